"""A run whose rates are set by something else than its scheduler is not forecast by the scheduler's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, StochasticWeightAveraging
from pytorch_lightning.loggers import CSVLogger
from torch.optim import lr_scheduler

from curvecast import Schedule
from curvecast_lightning import CurveCast
from tests.curvecast_lightning.conftest import TinyModule

STEPS = 240
ARGUMENTS: dict[str, Any] = {"max_steps": STEPS, "log_every_n_steps": 4, "batches": 40, "val_check_interval": 20}


class Cosine(TinyModule):
    """Its scheduler takes the rate down by a cosine; a second group, if asked for, is held."""

    def __init__(self, *, holds_second: bool = False) -> None:
        super().__init__()
        self.holds_second = holds_second

    def configure_optimizers(self) -> Any:
        groups = [{"params": self.embedding.parameters(), "lr": 1.0}, {"params": self.linear.parameters(), "lr": 0.4}]
        optimizer = torch.optim.SGD(groups)
        total = self.trainer.max_steps if self.trainer.max_steps > 0 else STEPS

        def falls(step: int) -> float:
            return 0.5 + 0.5 * math.cos(math.pi * min(step / total, 1.0))

        scheduler = lr_scheduler.LambdaLR(optimizer, [falls, (lambda _: 1.0) if self.holds_second else falls])
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class ByHand(pl.Callback):
    """Sets the rates of the steps from `begin` up to `end`."""

    def __init__(self, rate: float, begin: int = 0, end: int = STEPS) -> None:
        self.rate, self.begin, self.end = rate, begin, end

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if self.begin <= trainer.global_step < self.end:
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = self.rate


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "something else sets it" in record.message]


def test_rates_that_something_else_sets_are_followed_and_told_of_once(
    fit: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    callback, logger = CurveCast(), CSVLogger(tmp_path)
    fit(callback, ByHand(0.1), module=Cosine(), logger=logger, **ARGUMENTS)
    (said,) = warned(caplog)
    assert "the learning rate is 0.1 at step 32, and its scheduler, run ahead at the start, had 0.959: " in said
    assert callback.watcher is not None
    assert callback.watcher.schedule is None
    assert callback.watcher.step == STEPS
    assert callback.hindsight
    assert "finished at step 240" in str(callback.verdict).lower()
    told = json.loads((Path(logger.log_dir) / "curvecast.json").read_text())
    assert (told["schedule"], told["peak_lr"], told["strayed"], told["horizon"]) == (None, None, 32, STEPS)


@pytest.mark.parametrize(
    "beside",
    [
        ByHand(0.01, end=STEPS // 10),  # a warm-up by hand
        ByHand(0.01, begin=100, end=108),  # a trial
        ByHand(1.0, begin=STEPS),
    ],
)
def test_a_plan_that_is_kept_to_stays(fit: Any, caplog: pytest.LogCaptureFixture, beside: ByHand) -> None:
    callback = CurveCast()
    fit(callback, beside, module=Cosine(), **ARGUMENTS)
    assert not warned(caplog)
    assert callback.watcher is not None
    assert callback.watcher.schedule is not None


def test_a_group_that_is_held_is_no_other_plan(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    callback = CurveCast()
    fit(callback, module=Cosine(holds_second=True), **ARGUMENTS)
    assert not warned(caplog)
    assert callback.watcher is not None
    assert callback.watcher.schedule is not None


def test_a_schedule_that_the_user_gave_is_never_overruled(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    callback = CurveCast(schedule=Schedule.constant(STEPS))
    fit(callback, ByHand(0.1, begin=50), module=Cosine(), **ARGUMENTS)
    assert not warned(caplog)
    assert callback.watcher is not None
    assert callback.watcher.schedule == Schedule.constant(STEPS)


@pytest.mark.filterwarnings("ignore:Swapping scheduler")
def test_averaging_that_swaps_the_scheduler_is_noticed(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    callback = CurveCast()
    limits = ARGUMENTS | {"max_steps": -1, "max_epochs": 6, "val_check_interval": 1.0, "check_val_every_n_epoch": 1}
    fit(callback, StochasticWeightAveraging(2.0, swa_epoch_start=3, annealing_epochs=1), module=Cosine(), **limits)
    assert len(warned(caplog)) == 1
    assert callback.watcher is not None
    assert callback.watcher.step == STEPS


@pytest.mark.parametrize("at", [26, 46])  # between the first rate that is off and the third, and after it
def test_a_run_that_goes_on_strays_as_the_one_that_was_never_cut(
    fit: Any, verdicts: Any, said: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    whole, first, second = (CurveCast(horizon=STEPS) for _ in range(3))
    seen, before, after = verdicts(whole), verdicts(first), verdicts(second)
    fit(whole, seen, ByHand(0.1), module=Cosine(), **ARGUMENTS)
    saver = ModelCheckpoint(str(tmp_path), save_top_k=-1, every_n_train_steps=at)
    module = Cosine()
    arguments = ARGUMENTS | {"enable_checkpointing": True}
    stops = type("Stops", (pl.Callback,), {"on_train_batch_end": lambda _, trainer, *__: halt(trainer, at)})()
    fit(first, before, ByHand(0.1), saver, stops, module=module, **arguments)
    caplog.clear()
    path = str(tmp_path / f"epoch={(at - 1) // 40}-step={at}.ckpt")
    fit(second, after, ByHand(0.1), module=Cosine(), ckpt_path=path, **ARGUMENTS)
    assert len(warned(caplog)) == (at < 32)
    late = {verdict.step: said(verdict) for verdict in seen.seen if verdict.step > at and verdict.forecast}
    assert len(late) > 20
    assert {v.step: said(v) for v in after.seen if v.step in late} == late


@pytest.mark.parametrize(
    ("limits", "interval"),
    [
        ({"accumulate_grad_batches": 4, "batches": 37}, "step"),
        ({"accumulate_grad_batches": 4, "batches": 37}, "epoch"),
        ({"gradient_clip_val": 0.1, "batches": 30}, "epoch"),
    ],
)
def test_epochs_and_accumulated_batches_keep_to_the_plan(
    fit: Any, caplog: pytest.LogCaptureFixture, limits: dict[str, Any], interval: str
) -> None:
    class Falls(TinyModule):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            falls = lr_scheduler.ExponentialLR(optimizer, 0.97 if interval == "step" else 0.5)
            return [optimizer], [{"scheduler": falls, "interval": interval}]

    callback = CurveCast()
    lengths = {"max_steps": -1, "max_epochs": 8, "val_check_interval": 1.0, "check_val_every_n_epoch": 1}
    fit(callback, module=Falls(), **lengths, **limits)
    assert not warned(caplog)
    assert callback.watcher is not None
    assert callback.watcher.schedule is not None


def test_who_gives_the_schedule_of_a_run_that_strayed_is_heard(fit: Any, tmp_path: Path) -> None:
    saver = ModelCheckpoint(str(tmp_path), save_top_k=-1, every_n_train_steps=60)
    limits = ARGUMENTS | {"max_steps": 60, "enable_checkpointing": True}
    fit(CurveCast(horizon=STEPS), ByHand(0.1), saver, module=Cosine(), **limits)
    callback, logger = CurveCast(schedule=Schedule.constant(STEPS)), CSVLogger(tmp_path)
    path = str(tmp_path / "epoch=1-step=60.ckpt")
    fit(callback, ByHand(0.1), module=Cosine(), logger=logger, ckpt_path=path, **ARGUMENTS)
    assert callback.watcher is not None
    assert callback.watcher.schedule == Schedule.constant(STEPS)
    assert "strayed" not in json.loads((Path(logger.log_dir) / "curvecast.json").read_text())


def halt(trainer: Any, at: int) -> None:
    trainer.should_stop = trainer.global_step == at
