from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import curvecast
from curvecast.readers import Run, UnknownTag, UnreadableRun, read

WriteEvents = Callable[..., Path]


def losses(run: Run, of: str = "train") -> dict[int, float]:
    values = run.train_loss if of == "train" else run.val_loss
    return {int(s): float(v) for s, v in zip(run.steps, values, strict=True) if not math.isnan(v)}


def notes(run: Run) -> str:
    return "\n".join(str(note) for note in run.meta["notes"])  # type: ignore[attr-defined]


def test_an_event_file_becomes_a_run(tmp_path: Path, write_events: WriteEvents) -> None:
    rows = [("train/loss", 4.0 / s, s) for s in range(1, 5)] + [("val/loss", 2.5, 2), ("lr", 0.5, 1)]
    path = write_events(tmp_path / "d12", rows)
    (run,) = read(tmp_path)
    assert run.name == "d12"
    assert losses(run) == {s: float(np.float32(4.0 / s)) for s in range(1, 5)}
    assert losses(run, "val") == {2: 2.5}
    assert run.lr[0] == 0.5
    assert run.meta["source"] == str(path)
    assert [run.meta[key] for key in ("format", "train_tag", "val_tag", "lr_tag")] == [
        "tfevents", "train/loss", "val/loss", "lr",
    ]  # fmt: skip


def test_the_front_door_reads(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 2.5, 1)])
    (run,) = curvecast.read(tmp_path)
    assert isinstance(run, curvecast.Run)


def test_tags_in_any_script_can_be_asked_for(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("損失/訓練 🔥\u202e", 2.5, 1), ("損失/検証", 2.75, 1)])
    (run,) = read(tmp_path, train_tag="損失/訓練 🔥\u202e", val_tag="損失/検証")
    assert (losses(run), losses(run, "val")) == ({1: 2.5}, {1: 2.75})


def test_a_resumed_run_over_two_files_is_one_curve(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0 - s / 100, s) for s in range(1, 501)])
    write_events(tmp_path, [("loss", 1.0, s) for s in range(401, 601)])
    (run,) = read(tmp_path)
    assert run.steps.tolist() == list(range(1, 601))
    assert set(run.train_loss[400:]) == {1.0}
    assert run.meta["lost"] == ["training loss: the run was resumed at step 401; 100 rows from before dropped"]


def test_counting_from_zero_becomes_counting_completed_steps(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0, 0), ("loss", 8.0, 10), ("val_loss", 8.5, 10)])
    (run,) = read(tmp_path)
    assert (losses(run), losses(run, "val")) == ({1: 9.0, 11: 8.0}, {11: 8.5})
    assert "steps start at 0" in notes(run)


def test_counting_from_one_stays(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("val_loss", 10.0, 0), ("loss", 9.0, 1), ("loss", 8.0, 10), ("val_loss", 8.5, 10)])
    (run,) = read(tmp_path)
    assert (losses(run), losses(run, "val")) == ({1: 9.0, 10: 8.0}, {10: 8.5})
    assert "from before the first step" in notes(run)


def test_the_callbacks_own_tags_are_taken_as_they_are(tmp_path: Path, write_events: WriteEvents) -> None:
    (tmp_path / "hparams.yaml").write_text("")
    rows = [
        ("train_loss", 7.0, 0),
        ("curvecast/train_loss", 6.0, 1),
        ("curvecast/val_loss", 6.5, 1),
        ("val_loss", 7.5, 0),
    ]
    write_events(tmp_path, [*rows, ("train_loss", 6.0, 1), ("curvecast/train_loss", 5.0, 2)])
    (run,) = read(tmp_path)
    assert (losses(run), losses(run, "val")) == ({1: 6.0, 2: 5.0}, {1: 6.5})
    (run,) = read(tmp_path, train_tag="train_loss", val_tag="val_loss")
    assert (losses(run), losses(run, "val")) == ({1: 7.0, 2: 6.0}, {1: 7.5})


def test_logged_nan_is_seen_as_inf(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0, 1), ("loss", math.nan, 2), ("loss", -math.inf, 3)])
    (run,) = read(tmp_path)
    assert losses(run) == {1: 9.0, 2: math.inf, 3: math.inf}


def test_event_file_and_table_of_one_folder_are_one_run(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0, 1), ("loss", 8.0, 2)])
    (tmp_path / "metrics.csv").write_text("step,loss\n1,7\n2,6\n")
    (run,) = read(tmp_path)
    assert losses(run) == {1: 9.0, 2: 8.0}
    assert "read the tfevents" in notes(run)


def test_of_two_logs_the_fuller_one_wins(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0, 1), ("loss", 8.0, 2)])
    (tmp_path / "metrics.csv").write_text("step,loss\n1,7\n2,6\n3,5\n")
    (run,) = read(tmp_path)
    assert losses(run) == {1: 7.0, 2: 6.0, 3: 5.0}
    assert "read the csv" in notes(run)


def test_of_two_logs_one_may_be_broken(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0, 1)])
    (tmp_path / "metrics.csv").write_text("time,loss\n1,7\n")
    (run,) = read(tmp_path)
    assert losses(run) == {1: 9.0}
    assert "another could not be read: no step column" in notes(run)


def test_the_sidecar_goes_into_meta(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0, 1)])
    (tmp_path / "curvecast.json").write_text(json.dumps({"schema": 1, "horizon": 500, "num_params": "many"}))
    (run,) = read(tmp_path)
    assert run.meta["horizon"] == 500
    assert "num_params" not in run.meta
    assert "num_params could not be used" in str(run.meta["lost"])


def test_a_run_that_cannot_be_read_is_warned_of_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good/metrics.csv").write_text("step,loss\n1,7\n")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/metrics.csv").write_text("")
    with pytest.warns(UserWarning, match="bad is left out: metrics.csv is empty"):
        (run,) = read(tmp_path)
    assert run.name == "good"


@pytest.mark.parametrize("name", ["run17.csv", "run17.tsv"])
def test_an_empty_table_among_others_is_warned_of_and_not_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "run16.csv").write_text("step,loss\n1,7\n")
    (tmp_path / name).write_text("")
    with pytest.warns(UserWarning, match=f"run17 is left out: {name} is empty"):
        (run,) = read(tmp_path)
    assert run.name == "run16"


def test_when_no_run_can_be_read_every_reason_is_given(tmp_path: Path) -> None:
    for name, text in (("a", ""), ("b", "step,accuracy\n1,0.5\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(text)
    with pytest.raises(
        UnreadableRun, match=r"(?s)a: metrics.csv is empty.*b: no tag looks like a loss. Tags there: 'accuracy'"
    ):
        read(tmp_path)


def test_a_tag_that_no_run_has_is_a_key_error(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 9.0, 1)])
    with pytest.raises(UnknownTag, match=r"'nope' is not in the log. Tags there: 'loss'"):
        read(tmp_path, train_tag="nope")


def test_random_bytes_never_crash_the_readers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("metrics.csv", "events.out.tfevents.1", "unnamed", "table.tsv"):
        for size in (1, 11, 12, 13, 1000):
            (tmp_path / name).write_bytes(rng.bytes(size))
            with pytest.raises(UnreadableRun, match="no "):
                read(tmp_path / name)


def test_random_tables_never_crash_the_readers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = np.array(["", "1", "2", "3.0", "nan", "inf", "-1", "x", "1e400", '"', "\n", ",", "0"])
    path = tmp_path / "metrics.csv"
    for _ in range(300):
        path.write_text("step,train_loss,val_loss,lr\n" + ",".join(rng.choice(cells, 60)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                (run,) = read(path)
            except UnreadableRun:
                continue
        assert np.all(np.diff(run.steps) > 0)


def test_losses_that_nothing_tells_apart_are_asked_for(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss_d", 2.5, 1), ("loss_g", 3.5, 1), ("fid", 9.0, 1)])
    with pytest.raises(UnreadableRun, match=r"'loss_d', 'loss_g'\. Pass --train-tag .*Tags there: 'fid', 'loss_d'"):
        read(tmp_path)
    (run,) = read(tmp_path, train_tag="loss_g")
    assert losses(run) == {1: 3.5}


def test_every_validation_set_tokens_and_compute_are_kept(tmp_path: Path, write_events: WriteEvents) -> None:
    rows = [("train/loss", 2.5, 1), ("eval/a_loss", 3.5, 1), ("eval/b_loss", 4.5, 1)]
    write_events(tmp_path, [*rows, ("throughput/total_tokens", 512.0, 1), ("throughput/total_gflops", 3.0, 1)])
    (run,) = read(tmp_path)
    assert {tag: values.tolist() for tag, values in run.val_losses.items()} == {
        "eval/a_loss": [3.5],
        "eval/b_loss": [4.5],
    }
    assert run.tokens is not None
    assert run.flops is not None
    assert (run.tokens.tolist(), run.flops.tolist()) == ([512.0], [3e9])
    assert next(run.samples()).tokens == 512.0


def test_a_long_pause_in_logging_is_said(tmp_path: Path, write_events: WriteEvents) -> None:
    write_events(tmp_path, [("loss", 2.5, s) for s in (*range(1, 100), *range(500, 600))])
    (run,) = read(tmp_path)
    assert "no loss between step 99 and step 500" in notes(run)


@pytest.mark.parametrize("planned", [9_223_372_036_854_775_807, 0, 10**400])
def test_a_plan_that_no_run_can_have_leaves_the_horizon_unknown(tmp_path: Path, planned: int) -> None:
    lines = [json.dumps({"step": k, "loss": 2.0 + 1.0 / k}) for k in range(1, 40)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    (tmp_path / "curvecast.json").write_text(json.dumps({"schema": 1, "horizon": planned, "num_params": 10**400}))
    history = [{"step": k, "loss": 2.0 + 1.0 / k} for k in range(1, 40)]
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "trainer_state.json").write_text(json.dumps({"log_history": history, "max_steps": planned}))
    for run in read(tmp_path):
        assert run.meta.keys().isdisjoint({"horizon", "num_params"})
        assert curvecast.watch(run).horizon is None
    assert len(read(tmp_path)) == 2


def test_whole_numbers_beyond_any_float_are_losses_that_are_not_finite(tmp_path: Path) -> None:
    lines = [f'{{"step": {k}, "loss": 1{"0" * 400}}}' for k in range(1, 60)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    (run,) = read(tmp_path)
    assert list(losses(run).values()) == [math.inf] * 59
