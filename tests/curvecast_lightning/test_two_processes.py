"""Two real processes on the CPU: rank 0 watches, all meet, all stop on the same step."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.strategies import DDPStrategy, Strategy

from curvecast.decisions.base import Finding, Reason
from curvecast.decisions.view import View
from curvecast_lightning import CurveCast, callback, metrics, readings
from curvecast_lightning.ending import Ending
from tests.curvecast_lightning.launch_program import quietly


class From:
    """Says 'plateau' from a step on."""

    def __init__(self, step: int) -> None:
        self.step = step

    def decide(self, view: View) -> Finding:
        return Finding(Reason.PLATEAU, 0.97, view.step >= self.step, f"step {view.step}: enough is enough")


class Report(pl.Callback):
    """Writes what a process ended with: its memory is gone afterwards."""

    def __init__(self, folder: Path, watched: CurveCast) -> None:
        self.folder = folder
        self.watched = watched
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        watcher = self.watched.watcher
        content = {
            "step": trainer.global_step,
            "failed": self.watched.failed,
            "watched": None if watcher is None else watcher.step,
            "batch_tokens": None if watcher is None else watcher.batch_tokens,
            "rates": self.rates,
            "checkpoints": self.watched.checkpoints,
            "window": self.watched._readings.window.state_dict()["closed"]["count"],
        }
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(content))


@pytest.fixture
def together(fit: Any, tiny: Any, tmp_path: Path) -> Any:
    """Fit on two ranks whose losses differ by one; give the report of each and rank 0's log."""

    class ByRank(tiny):  # type: ignore[misc]
        def law(self, step: int) -> float:
            return float(super().law(step) + self.trainer.global_rank)

    def run(watched: CurveCast, *others: Any, **arguments: Any) -> tuple[list[dict[str, Any]], Path]:
        logger = CSVLogger(str(tmp_path), "log")
        fit(
            watched,
            Report(tmp_path, watched),
            *others,
            module=ByRank(),
            logger=logger,
            devices=2,
            # A rank that waits in vain becomes an error.
            strategy=DDPStrategy(start_method="fork", timeout=timedelta(seconds=30)),
            **{"max_steps": 30, "val_check_interval": 10, **arguments},
        )
        reports = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
        return reports, tmp_path / "log/version_0/metrics.csv"

    return run


pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def column(path: Path, tag: str) -> dict[int, float]:
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    at, step = header.index(tag), header.index("step")
    return {int(row[step]): float(row[at]) for row in rows if row[at]}


def test_losses_are_averaged_over_ranks_and_rank_0_watches(together: Any) -> None:
    reports, log = together(CurveCast(every_n_steps=5))
    assert [report["watched"] for report in reports] == [30, None]
    assert reports[0]["batch_tokens"] == 2 * 2 * 8
    train, val = column(log, "curvecast/train_loss"), column(log, "curvecast/val_loss")
    assert list(train) == [5, 10, 15, 20, 25, 30]
    for step, loss in train.items():
        law = sum(2.0 + 3.0 * s**-0.5 for s in range(step - 4, step + 1)) / 5
        assert loss == pytest.approx(law + 0.5, abs=0.02)
    assert list(val) == [10, 20, 30]
    assert val[10] == pytest.approx(2.0 + 3.0 * 10**-0.5 + 0.1 + 0.5, rel=1e-6)


def test_ranks_of_other_numbers_of_batches_sample_on_the_same_steps(
    together: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the limits give differs by rank: 30 steps and 90, of which every step and every third would be sampled.
    monkeypatch.setattr(
        callback, "planned_steps", lambda trainer, **_: (30 * (1 + 2 * trainer.global_rank), "")
    )  # as where a rank has a loader of its own
    reports, log = together(CurveCast(), log_every_n_steps=5)
    assert [report["step"] for report in reports] == [30, 30]
    assert [report["failed"] for report in reports] == [False, False]
    assert list(column(log, "curvecast/train_loss")) == list(range(1, 31))


def test_all_ranks_stop_on_the_same_step(together: Any) -> None:
    watched = CurveCast(every_n_steps=1, decisions=[From(17)], stop_on={"plateau"})
    reports, _ = together(watched)
    assert [report["step"] for report in reports] == [17, 17]


COOLED: dict[str, Any] = {
    "every_n_steps": 1,
    "decisions": [From(17)],
    "stop_on": {"plateau"},
    "on_stop": "cooldown",
    "cooldown": 6,
    "save_on_stop": True,
}
DOWN = [1e-3 * (1 - j / 6) for j in range(1, 7)]


def test_all_ranks_cool_down_alike_and_write_one_checkpoint_each_time(together: Any) -> None:
    reports, log = together(CurveCast(**COOLED))
    paths = [str(log.parent / f"curvecast-{name}.ckpt") for name in ("before-cooldown-step=17", "stop-step=23")]
    for report in reports:
        assert (report["step"], report["failed"]) == (23, False)
        assert report["rates"] == pytest.approx([1e-3] * 17 + DOWN)
        assert report["checkpoints"] == paths
    assert [torch.load(path, weights_only=True)["global_step"] for path in paths] == [17, 23]


def test_all_ranks_go_on_down_from_a_checkpoint(together: Any, tmp_path: Path) -> None:
    saver = pl.callbacks.ModelCheckpoint(str(tmp_path), filename="down", every_n_train_steps=20)
    together(CurveCast(**COOLED), saver, enable_checkpointing=True)
    reports, _ = together(CurveCast(**COOLED), ckpt_path=str(tmp_path / "down.ckpt"))
    for report in reports:
        assert (report["step"], report["failed"]) == (23, False)
        assert report["rates"] == pytest.approx(DOWN[3:])


def test_a_rank_that_failed_cools_down_with_the_other(together: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_after(monkeypatch, rank=1, step=18)
    reports, _ = together(CurveCast(**COOLED))
    assert [report["step"] for report in reports] == [23, 23]
    assert [report["failed"] for report in reports] == [False, True]
    assert reports[0]["rates"] == reports[1]["rates"] == pytest.approx([1e-3] * 17 + DOWN)


@pytest.mark.parametrize("on_stop", ["stop", "cooldown"])
def test_a_full_disk_of_the_rank_that_writes_leaves_no_other_waiting(
    together: Any, monkeypatch: pytest.MonkeyPatch, on_stop: str
) -> None:
    def write(strategy: Any, *_: Any, **__: Any) -> None:  # the others have nothing to write
        if strategy.is_global_zero:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Strategy, "save_checkpoint", write)
    cooldown = 6 if on_stop == "cooldown" else None
    reports, _ = together(CurveCast(**COOLED | {"on_stop": on_stop, "cooldown": cooldown}))
    for report in reports:
        assert (report["step"], report["failed"], report["checkpoints"]) == (17 + (cooldown or 0), False, [])


@pytest.mark.parametrize("rank", [0, 1])
def test_where_one_rank_cannot_cool_down_all_stop_at_once(
    together: Any, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    begin = Ending.begin

    def fails(ending: Ending, trainer: Any, steps: int) -> None:
        if trainer.global_rank == rank:
            raise RuntimeError("a bug of ours")
        begin(ending, trainer, steps)

    monkeypatch.setattr(Ending, "begin", fails)
    reports, _ = together(CurveCast(**COOLED))
    assert [report["step"] for report in reports] == [17, 17]
    assert [report["failed"] for report in reports] == [rank == 0, rank == 1]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failure_before_the_first_step_leaves_no_other_waiting(
    together: Any, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    def planned(trainer: Any, **_: Any) -> Any:
        if trainer.global_rank == rank:
            raise RuntimeError("a bug of ours")
        return 30, ""

    monkeypatch.setattr(callback, "planned_steps", planned)
    reports, log = together(CurveCast(), log_every_n_steps=5)
    assert [report["step"] for report in reports] == [30, 30]
    assert list(column(log, "curvecast/train_loss")) == list(range(1, 31))


def fail_after(monkeypatch: pytest.MonkeyPatch, *, rank: int, step: int) -> None:
    """Have something of ours raise on one rank from a step on."""
    training_loss = metrics.training_loss

    def fails(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        if trainer.global_rank == rank and trainer.global_step > step:
            raise RuntimeError("a bug of ours")
        return training_loss(trainer, *args, **kwargs)

    monkeypatch.setattr(readings, "training_loss", fails)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failure_on_one_rank_leaves_no_other_waiting(
    together: Any, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    fail_after(monkeypatch, rank=rank, step=12)
    reports, _ = together(CurveCast(every_n_steps=1, stop_on={"overfitting"}))
    assert [report["step"] for report in reports] == [30, 30]
    assert [report["failed"] for report in reports] == [rank == 0, rank == 1]


class Uneven(torch.utils.data.IterableDataset[Any]):
    """A stream without a length that gives each rank another number of batches."""

    def __init__(self, batches: tuple[int, int]) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        for index in range(self.batches[torch.distributed.get_rank()]):
            yield torch.full((2, 8), index), index


@pytest.mark.parametrize("fails", [False, True], ids=["healthy", "failed on rank 1"])
def test_no_collective_is_skipped_where_ranks_have_different_numbers_of_batches(
    together: Any, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    # Eight and seven batches an epoch, four a step: two steps on either rank. Three and two to validate on.
    if fails:
        fail_after(monkeypatch, rank=1, step=3)
    # Since 2.6 Lightning itself meets on every batch, to pass a SIGTERM on, and hangs where ranks differ in them.
    monkeypatch.setattr(_TrainingEpochLoop, "_broadcast_sigterm_tensor", lambda *_: None, raising=False)
    reports, log = together(
        CurveCast(every_n_steps=1, decisions=[From(17)], stop_on={"plateau"}, horizon=30),
        train=torch.utils.data.DataLoader(Uneven((8, 7)), batch_size=None),
        val=torch.utils.data.DataLoader(Uneven((3, 2)), batch_size=None),
        accumulate_grad_batches=4,
        val_check_interval=None,
        check_val_every_n_epoch=2,
    )
    assert [report["step"] for report in reports] == [17, 17]
    assert [report["failed"] for report in reports] == [False, fails]
    assert list(column(log, "curvecast/train_loss")) == list(range(1, 18))
    assert list(column(log, "curvecast/val_loss")) == [4, 8, 12, 16]


PROGRAM = Path(__file__).with_name("launch_program.py")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One process with twice the batch: a fork of this one, which has imported all that it needs."""
    folder = tmp_path_factory.mktemp("alone")
    process = multiprocessing.get_context("fork").Process(target=quietly, args=("auto", folder))
    process.start()
    process.join(600.0)
    assert process.exitcode == 0
    return reports(folder)[0]


def launched(strategy: str, folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, PROGRAM, strategy, folder], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return reports(folder)


def reports(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rank*.json"))]


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn"])
def test_two_launched_processes_say_what_one_with_twice_the_batch_says(
    alone: dict[str, Any], tmp_path: Path, strategy: str
) -> None:
    first, second = launched(strategy, tmp_path)
    assert first["parent"] == second["parent"] if strategy == "ddp_spawn" else second["parent"] == first["pid"]
    assert [first["step"], second["step"]] == [60, 60] == [alone["step"], 60]
    assert [first["failed"], second["failed"]] == [False, False]
    assert (second["told"], second["num_params"]) == ({}, None)
    assert (first["num_params"], first["batch_tokens"]) == (alone["num_params"], alone["batch_tokens"]) == (33, 100)
    assert len(alone["told"]) > 10
    assert list(first["told"]) == list(alone["told"])
    for step, (reason, *numbers) in alone["told"].items():
        assert first["told"][step][0] == reason
        assert first["told"][step][1:] == pytest.approx(numbers, rel=1e-4)
