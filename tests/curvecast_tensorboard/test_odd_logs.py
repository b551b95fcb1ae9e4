"""Logs that are empty, odd, growing or vanishing: every view says what is missing, and none breaks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curvecast import Schedule, Watcher, read, watch
from curvecast.cli import main
from curvecast.replay import judged_to_end
from curvecast_tensorboard import table
from curvecast_tensorboard.panels import Panels
from tests.curvecast_tensorboard.boards import ALL, BASE, Board, fast, slow
from tests.curvecast_tensorboard.browser.logs import Writer, power_law, write
from tests.curvecast_tensorboard.test_panels import make_writer

VIEWS = ("curve", "hindsight", "narrowing", "whatif")
SCRIPT = "<script>alert(1)<"
NAMES = [SCRIPT, "lauf ü", "запуск", "実験 7", "run & b='c\"", "<b>bold<"]
Made = Callable[[], Board]
NAN = float("nan")


@pytest.fixture(params=[slow, fast], ids=["load_fast=false", "load_fast=true"])
def board_on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Board]]:
    """A board on ``tmp_path``; made once the logs are there."""
    made: list[Board] = []

    def make(samples: int | None = ALL) -> Board:
        made.append(request.param(tmp_path, samples))
        return made[-1]

    yield make
    for board in made:
        board.close()


def each_view(board: Board, run: str, **known: Any) -> dict[str, Any]:
    return {view: board.ask(view, run=run, **known) for view in VIEWS}


def test_a_run_that_diverged_has_no_forecast_in_the_table(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    write(tmp_path / "sound", power_law(200))
    broken = [(step, {"train/loss": NAN}) for step in range(201, 240)]
    write(tmp_path / "broken", [*power_law(200), *broken])
    rows = board_on().table()
    assert rows["broken"]["verdict"]["reason"] == "diverged"
    assert rows["broken"]["forecast"] is None
    assert rows["sound"]["forecast"]["median"] > 0.0


@pytest.mark.parametrize(("max_steps", "horizon"), [(500, 500), (-1, 600)])
def test_the_trainer_of_hugging_face_tells_its_horizon_here_as_in_a_file(
    tmp_path: Path, board_on: Callable[..., Board], max_steps: int, horizon: int
) -> None:
    writer = make_writer("torch.utils.tensorboard", tmp_path / "run")
    writer.add_text("args", json.dumps({"max_steps": max_steps, "num_train_epochs": 3.0}, indent=2))
    for step in range(5, 301, 5):
        writer.add_scalar("train/loss", 2.0 + 3.0 * step**-0.5, step)
        writer.add_scalar("train/epoch", step / 200, step)
    writer.close()
    (run,) = read(str(tmp_path))
    assert board_on().table()["run"]["horizon"] == run.meta["horizon"] == horizon


def test_logs_without_a_curve_say_what_is_missing(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    write(tmp_path / "one point", power_law(1))
    write(tmp_path / "only nan", [(step, {"train/loss": NAN}) for step in range(1, 40)])
    write(tmp_path / "no loss", [(step, {"accuracy": 0.5, "speed": 2.0}) for step in range(1, 40)])
    write(tmp_path / "two losses", [(step, {"loss_g": 0.5, "loss_d": 2.0}) for step in range(1, 40)])
    Writer(tmp_path / "nothing").close()
    board = board_on()
    expected = {
        "one point": "few_points",
        "only nan": "not_finite",
        "no loss": "no_loss",
        "two losses": "ambiguous",
    }
    rows = board.table()
    assert {name: rows[name]["state"] for name in expected} == expected
    for name, state in expected.items():
        missing = rows[name]["missing"]
        assert missing["what"]
        assert missing["do"]
        for told in each_view(board, name).values():
            assert told["state"] == state
            assert told["missing"] == missing
    if "nothing" in rows:
        assert rows["nothing"]["state"] == "no_scalars"
    assert sorted(rows["two losses"]["candidates"]) == ["loss_d", "loss_g"]
    picker = board.ask("tags", run="two losses")
    assert {tag["looks_like"] for tag in picker["tags"]} == {"train"}
    assert picker["guess"]["train"]["tag"] is None
    assert not any("update" in str(rows[name]["missing"]) for name in expected)  # who reads a page calls no function
    picked = board.ask("curve", run="two losses", train_tag="loss_g")
    assert picked["row"]["tags"]["train"] == "loss_g"
    assert board.ask("curve", run="no loss", train_tag="not there")["state"] == "no_loss"
    assert board.ask("compare", run=["no loss", "only nan"])["state"] == "no_loss"


def test_a_run_that_diverged_is_held_against_no_other(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    write(tmp_path / "gone", [*power_law(300), *((step, {"train/loss": NAN}) for step in range(301, 380))])
    write(tmp_path / "a", power_law(200))
    write(tmp_path / "b", power_law(250))
    below = board_on().ask("compare", run=["a", "b", "gone"])["below"]
    told = {(pair["a"], pair["b"]): pair for pair in below}
    assert told["a", "b"]["probability"] is not None
    for name in "ab":
        assert told[name, "gone"]["probability"] is None
        assert told[name, "gone"]["missing"]["got"] == "a run that has diverged"


def test_a_validation_that_is_never_a_number_leaves_the_training_loss_its_hindsight(
    tmp_path: Path, board_on: Callable[..., Board]
) -> None:
    write(tmp_path / "run", [(step, values | {"val/loss": NAN}) for step, values in power_law(90)])
    told = each_view(board_on(), "run")
    assert told["hindsight"]["then"]["of"] == "train"
    assert told["hindsight"]["came"]["step"] == 90
    assert told["narrowing"]["rows"]


def test_without_any_run_the_table_is_empty(board_on: Callable[..., Board]) -> None:
    board = board_on()
    assert board.ask("runs")["total"] == 0
    assert board.ask("family")["state"] == "few_points"


def test_names_in_any_script_are_text(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    for name in NAMES:
        write(tmp_path / name, power_law(60))
    board = board_on()
    assert set(board.table()) == set(NAMES)
    for name in NAMES:
        assert board.ask("curve", run=name)["run"] == name
        assert board.ask("tags", run=name)["run"] == name
    figure = board.ask("compare", run=NAMES)["figure"]
    drawn = " ".join(str(trace.get("name", "")) + str(trace.get("hovertemplate", "")) for trace in figure["data"])
    assert "<script" not in drawn
    assert "&lt;script&gt;alert(1)&lt;" in drawn


def test_settings_that_do_not_fit_a_run_are_said(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    write(tmp_path / "run", power_law(60))
    board = board_on()
    told = board.ask("curve", run="run", batch_tokens=1000, dataset_tokens=10)
    assert told["state"] == "bad_settings"
    assert "dataset_tokens" in told["missing"]["what"]


def test_a_run_that_grows_updates_and_says_what_analyze_says(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    from click.testing import CliRunner

    rows = power_law(400)
    writer = Writer(tmp_path / "grows").extend(rows[:200])
    write(tmp_path / "stands", power_law(100))
    board = board_on()
    first = board.table(horizon=800)
    assert first["grows"]["step"] == 200
    cursor = board.ask("runs", horizon=800)["cursor"]
    writer.extend(rows[200:])
    writer.close()
    board.reload()
    told = board.ask("runs", horizon=800, cursor=cursor)
    assert [row["run"] for row in told["rows"]] == ["grows"]
    (row,) = told["rows"]
    said = CliRunner().invoke(main, ["analyze", str(tmp_path / "grows"), "--horizon", "800", "--format", "json"]).stdout
    assert row["step"] == 400
    assert row["verdict"]["message"] in said.replace('\\"', '"')


def test_a_run_that_has_grown_since_it_was_prepared_is_read_anew(
    tmp_path: Path, board_on: Callable[..., Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table prepares a handful of runs, and has time for the first of them alone."""
    rows = power_law(400)
    write(tmp_path / "first", power_law(100))
    writer = Writer(tmp_path / "grows").extend(rows[:200])
    board = board_on()
    with monkeypatch.context() as patch:
        patch.setattr(table, "_BUDGET", -1.0)
        assert board.ask("runs")["pending"] == 1
    writer.extend(rows[200:])
    writer.close()
    board.reload()
    assert board.ask("curve", run="grows")["row"]["step"] == 400


def test_what_the_callback_notes_beside_the_losses_counts_as_in_analyze(
    tmp_path: Path, board_on: Callable[..., Board]
) -> None:
    rows = [
        (step, {"curvecast/train_loss": loss["train/loss"], "curvecast/seconds": 0.5 * step})
        for step, loss in power_law(400)
    ]
    for step, values in rows:
        values["curvecast/critical_batch"] = 1e5 if step < 300 else 2e5
    writer = Writer(tmp_path / "own").extend(rows[:200])
    board = board_on()
    known: dict[str, Any] = {"horizon": 800, "num_params": 1e6, "batch_tokens": 1e4}
    assert board.ask("curve", run="own", **known)["row"]["step"] == 200
    writer.extend(rows[200:])
    writer.close()
    board.reload()
    told = board.ask("curve", run="own", **known)
    verdict = judged_to_end(watch(tmp_path / "own", horizon=800, num_params=1e6, batch_tokens=1e4)).verdict
    assert told["details"]["critical_batch"] == pytest.approx(verdict.details["critical_batch"], rel=1e-6)
    assert [each["seconds"] for each in told["choices"]] == pytest.approx([each.seconds for each in verdict.choices])


def test_what_a_choice_takes_is_told_by_when_the_losses_were_written_whatever_pauses_there_were(
    tmp_path: Path, board_on: Callable[..., Board]
) -> None:
    writer = make_writer("torch.utils.tensorboard", tmp_path / "paused")
    for step, values in power_law(400):
        pause = 86_400.0 if step > 200 else 0.0
        writer.add_scalar("train/loss", values["train/loss"], step, walltime=1.7e9 + 9.0 * step + pause)
    writer.close()
    stop, *_, go_on = board_on().ask("curve", run="paused", horizon=800)["choices"]
    assert go_on["seconds"] == pytest.approx(9.0 * 400)
    assert (stop["takes"], go_on["takes"]) == (None, "60 min")
    assert go_on["text"].endswith("60 min")


def test_micro_batches_become_optimizer_steps_as_in_analyze(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    rows = [  # as litgpt logs them: a step has four micro-batches
        (4 * step - 1, {"loss": loss["train/loss"], "iter": 4.0 * step, "step": float(step), "epoch": 0.0})
        for step, loss in power_law(200)
    ]
    write(tmp_path / "litgpt", rows)
    row = board_on().table()["litgpt"]
    watcher = judged_to_end(watch(tmp_path / "litgpt"))
    assert row["step"] == watcher.step == 200
    assert row["verdict"]["message"] == watcher.verdict.message


def test_a_loss_that_was_logged_once_is_not_taken_where_another_is_a_curve(
    tmp_path: Path, board_on: Callable[..., Board]
) -> None:
    rows = power_law(100, tag="loss")
    rows[-1][1]["train_loss"] = 2.5  # the mean over the whole run, as Hugging Face logs it
    write(tmp_path / "once", rows)
    (run,) = read(tmp_path)
    assert board_on().table()["once"]["tags"]["train"] == run.meta["train_tag"] == "loss"


def test_a_cooldown_on_the_way_is_known_from_where_it_began(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    watcher = Watcher(schedule=Schedule.constant(1000))
    writer = make_writer("torch.utils.tensorboard", tmp_path / "cooled")
    panels = Panels(writer, watcher)
    for step in range(1, 451):
        loss = float(np.float32(2.0 + 3.0 * step**-0.5))  # as an event file keeps it
        panels.write(watcher.update(step, train_loss=loss), train_loss=loss)
        if step == 400:
            assert watcher.cool_down(100) is not None
    writer.close()
    board = board_on()
    row = board.table()["cooled"]
    assert row["horizon"] == 500
    assert row["verdict"]["message"] == judged_to_end(watcher).verdict.message
    said = {step: board.ask("hindsight", run="cooled", step=step)["verdict"]["message"] for step in (300, 450)}
    assert [message.partition(":")[0].partition("/")[2] for message in said.values()] == ["1,000", "500"]


def test_a_run_that_is_deleted_goes(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    write(tmp_path / "stays", power_law(60))
    write(tmp_path / "goes", power_law(60))
    board = board_on()
    board.table()
    cursor = board.ask("runs")["cursor"]
    shutil.rmtree(tmp_path / "goes")
    board.reload()
    told = board.ask("runs", cursor=cursor)
    assert told["gone"] == ["goes"]
    assert told["total"] == 1
    assert board.ask("curve", status=404, run="goes")["error"]["do"]


def test_of_very_many_tags_the_likely_ones_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "run", [(1, {f"metric_{k}": 1.0 for k in range(10_000)}), *power_law(60)])
    board = slow(tmp_path)
    told = board.ask("tags", run="run")
    assert told["total"] == 10_001
    assert len(told["tags"]) == 200
    assert told["tags"][0] == {"tag": "train/loss", "last_step": 60, "looks_like": "train"}
    assert told["left_out"] == 9_801
    assert board.ask("curve", run="run")["state"] == "ok"


def test_a_sample_of_a_long_run_is_said_to_be_one(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    write(tmp_path / "long", power_law(1500))
    row = board_on(None).table()["long"]
    assert row["points"] == {"train": 1000, "val": 0, "sampled": True}
    assert row["state"] == "ok"


def test_keras_two_folders_are_one_run(tmp_path: Path, board_on: Callable[..., Board]) -> None:
    for side in ("train", "validation"):
        write(tmp_path / "model" / side, [(s, {"epoch_loss": v["train/loss"]}) for s, v in power_law(60)])
    board = board_on()
    row = board.table()["model"]
    assert row["points"] == {"train": 60, "val": 60, "sampled": False}
    assert row["tags"]["val"] == "validation/epoch_loss"


def test_a_fault_of_ours_is_answered_and_the_next_request_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "run", power_law(60))
    board = slow(tmp_path)
    from curvecast_tensorboard import views

    def broken(*_: object) -> dict[str, Any]:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setitem(views.IMPLEMENTED, "curve", broken)
        error = board.ask("curve", status=500, run="run")["error"]
        assert "broken" in error["got"]
    assert board.ask("curve", run="run")["state"] == "ok"


def test_one_run_that_breaks_leaves_the_others_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("breaks", "stands"):
        write(tmp_path / name, power_law(60))
    board = slow(tmp_path)
    from curvecast_tensorboard import rows, table

    row = rows.row

    def breaking(entry: Any, limit: int | None) -> dict[str, Any]:
        if entry.name == "breaks":
            raise RuntimeError("broken")
        return row(entry, limit)

    monkeypatch.setattr(table, "row", breaking)
    states = {name: told["state"] for name, told in board.table().items()}
    assert states == {"breaks": "bad_settings", "stands": "ok"}


def test_bodies_of_any_kind_are_answered_with_words(tmp_path: Path) -> None:
    board = slow(tmp_path)
    for body in (b"{", b"null", b"[" * 100_000, b'{"own": 3}', b'{"own": {"a": []}}', b'{"horizon": {}}', b"\xff\xfe"):
        response = board.client.post(f"{BASE}runs", data=body)
        assert response.status_code == 400
        assert response.get_json()["error"]["do"]
