"""What is said of losses that are odd, and what their steps count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from curvecast.cli import main
from curvecast.readers import AmbiguousTag, find, read, read_source
from tests.readers.printed import loss, notes


def history(folder: Path, records: list[dict[str, float]]) -> Path:
    lines = [{"step": 10 * at, **record} for at, record in enumerate(records, 1)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": lines, "max_steps": 10 * len(lines)}))
    return folder


@pytest.mark.parametrize(("alive", "since"), [(0, 10), (3, 40)])
def test_a_loss_that_is_nought_to_its_end_is_said_to_be_dead(tmp_path: Path, alive: int, since: int) -> None:
    losses = [loss(s) for s in range(1, alive + 1)] + [0.0] * 20
    history(tmp_path, [{"loss": value} for value in losses])
    result = CliRunner().invoke(main, ["analyze", str(tmp_path)])
    assert f"the training loss is exactly 0 from step {since} on" in " ".join(result.stderr.split())


def test_a_loss_that_touches_nought_is_not(tmp_path: Path) -> None:
    history(tmp_path, [{"loss": 0.0 if s % 3 else 0.1} for s in range(20)])
    assert "exactly 0" not in notes(read(tmp_path)[0])


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_loss_of_a_policy_is_doubted_unless_it_is_asked_for(tmp_path: Path, sign: int) -> None:
    history(tmp_path, [{"loss": 0.05 * sign**s, "reward": 0.1 * s, "kl": 0.001} for s in range(20)])
    (run,) = read(tmp_path)
    assert "'loss' stands beside 'reward': the loss of a policy" in notes(run)
    assert "policy" not in notes(read(tmp_path, train_tag="loss")[0])


@pytest.mark.parametrize("other", ["rewards/chosen", "learning_rate"])
def test_a_loss_above_nought_or_without_a_reward_is_not_doubted(tmp_path: Path, other: str) -> None:
    history(tmp_path, [{"loss": (-1 if other == "learning_rate" else 1) * loss(s), other: 0.1} for s in range(1, 20)])
    assert "policy" not in notes(read(tmp_path)[0])


def test_losses_that_are_tied_and_dead_are_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "step,epoch,disc_loss,gen_loss\n" + "".join(f"{s},0,nan,nan\n" for s in range(9))
    )
    with pytest.raises(AmbiguousTag, match=r"None of their numbers is finite"):
        read_source(find(tmp_path)[0])


@pytest.mark.parametrize("gaps", [1, 5])
def test_a_gap_is_one_beside_the_usual_distance_of_losses(tmp_path: Path, gaps: int) -> None:
    """And not beside that of the first few steps, each of which was logged; of many three are named."""
    steps = [1, 2, 3] + [9000 * part + s for part in range(gaps + 1) for s in range(100, 2001, 100)]
    (tmp_path / "log.csv").write_text("step,loss\n" + "".join(f"{s},{loss(s)}\n" for s in steps))
    told = [
        line for line in notes(read(tmp_path / "log.csv")[0]).split("; ") if "no loss between" in line or "gaps" in line
    ]
    named = [f"no loss between step {9000 * k + 2000:,} and step {9000 * k + 9100:,}" for k in range(min(gaps, 3))]
    assert told == named + ["and 2 more such gaps"] * (gaps == 5)


def test_where_steps_are_epochs_the_table_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,train_loss\n" + "".join(f"{s},{loss(s)}\n" for s in range(1, 9)))
    told = CliRunner().invoke(main, ["analyze", str(path)])
    assert "8/? epochs" in told.stdout or "epoch 8/?" in told.stdout
    record = json.loads(CliRunner().invoke(main, ["analyze", str(path), "--format", "json"]).stdout)["runs"][0]
    assert record["unit"] == "epoch"
    known = CliRunner().invoke(main, ["analyze", str(path), "--format", "json", "--epoch-steps", "50"])
    assert json.loads(known.stdout)["runs"][0]["unit"] is None


def test_a_validation_loss_and_a_rate_that_are_always_nought_are_left_out(tmp_path: Path) -> None:
    history(tmp_path, [{"loss": loss(s), "val_loss": 0.0, "lr": 0.0} for s in range(1, 20)])
    (run,) = read(tmp_path)
    assert not np.isfinite(run.val_loss).any()
    assert not np.isfinite(run.lr).any()
    assert "'val_loss' is exactly 0 in every row, which is no validation loss: it is left out" in notes(run)
    assert read(tmp_path, val_tag="val_loss")[0].points("val") == 19


@pytest.mark.parametrize(("later", "left"), [(1.0, 18), (1e-9, 19)])
def test_a_first_loss_of_nought_is_left_out_unless_the_loss_rises_from_there(
    tmp_path: Path, later: float, left: int
) -> None:
    history(tmp_path, [{"loss": 0.0}] + [{"loss": loss(s) if later == 1.0 else later * s**3} for s in range(1, 19)])
    (run,) = read(tmp_path)
    assert run.points("train") == left
    assert ("as before anything is measured" in notes(run)) == (later == 1.0)
