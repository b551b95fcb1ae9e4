"""A run whose steps only its first epoch tells is forecast from there on, as one whose steps were known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch.optim import lr_scheduler as of_torch
from torch.utils.data import DataLoader, IterableDataset

import curvecast
from curvecast.decisions.base import Finding, Reason
from curvecast.decisions.view import View
from curvecast_lightning import CurveCast
from tests.curvecast_lightning.conftest import TinyModule

EPOCHS, STEPS = 4, 30
LIMITS: dict[str, Any] = {
    "max_epochs": EPOCHS,
    "max_steps": -1,
    "val_check_interval": 1.0,
    "check_val_every_n_epoch": 1,
    "log_every_n_steps": 5,
}


class Stream(IterableDataset[Any]):
    """Batches without a length."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        yield from self.loader


@pytest.fixture
def stream(loader: Any) -> DataLoader[Any]:
    return DataLoader(Stream(loader(STEPS)), batch_size=None)


class Decaying(TinyModule):
    """Its rate falls by steps, or by epochs."""

    interval = "step"

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-3)
        every = EPOCHS if self.interval == "epoch" else EPOCHS * STEPS
        decay = of_torch.CosineAnnealingLR(optimizer, every)
        return [optimizer], [{"scheduler": decay, "interval": self.interval}]


class ByEpoch(Decaying):
    interval = "epoch"


class TwoOptimizers(TinyModule):
    """Takes two optimizer steps a batch, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss)
        optimizers = self.optimizers()
        assert isinstance(optimizers, list)
        for optimizer in optimizers:
            optimizer.step()
        return loss

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), lr=self.lr) for part in (self.embedding, self.linear)]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "curvecast"]


@pytest.mark.parametrize("kind", [Decaying, ByEpoch, TinyModule])
def test_a_stream_is_planned_as_data_of_that_length_are(fit: Any, stream: Any, caplog: Any, kind: type[Any]) -> None:
    known, found = CurveCast(), CurveCast()
    fit(known, module=kind(), batches=STEPS, **LIMITS)
    assert not told(caplog)
    fit(found, module=kind(), train=stream, **LIMITS)
    first, second = told(caplog)
    assert "the first epoch tells it, and nothing is forecast until that has ended" in first
    assert second.startswith("curvecast: the first epoch took 30 steps, so 4 take some 120: the horizon from now on.")
    assert found.watcher is not None
    assert known.watcher is not None
    assert found.watcher.horizon == known.watcher.horizon == EPOCHS * STEPS
    every = range(1, EPOCHS * STEPS + 1)
    if kind is not TinyModule:
        assert found.watcher.schedule is not None
        assert known.watcher.schedule is not None
        assert found.watcher.schedule.lr(every) == pytest.approx(known.watcher.schedule.lr(every), abs=5e-3)
    assert [share for share, _, _ in found.hindsight] == [0.5, 0.75]
    assert found.hindsight[-1][2].median == pytest.approx(known.hindsight[-1][2].median, rel=0.02)


def test_manual_optimization_is_forecast_too(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    callback = CurveCast()
    fit(callback, module=TwoOptimizers(), batches=STEPS, **LIMITS)
    assert callback.watcher is not None
    assert callback.watcher.horizon == 2 * EPOCHS * STEPS
    assert len(callback.hindsight) >= 2
    assert not callback.failed


def test_an_accumulation_that_grows_is_reckoned_with(fit: Any, stream: Any) -> None:
    callback = CurveCast()
    grown = pl.callbacks.GradientAccumulationScheduler({0: 1, 2: 3})
    trainer = fit(callback, grown, train=stream, **LIMITS)
    assert callback.watcher is not None
    assert trainer.global_step == callback.watcher.horizon == 30 + 30 + 10 + 10


def test_a_run_that_goes_on_keeps_the_horizon_that_was_found(fit: Any, stream: Any, tmp_path: Path) -> None:
    whole, resumed = CurveCast(), CurveCast()
    saver = pl.callbacks.ModelCheckpoint(str(tmp_path), save_top_k=-1, save_on_train_epoch_end=True)
    fit(whole, saver, module=Decaying(), train=stream, enable_checkpointing=True, **LIMITS)
    path = str(next(tmp_path.glob("*step=60.ckpt")))
    trainer = fit(resumed, module=Decaying(), train=stream, ckpt_path=path, **LIMITS)
    assert resumed.watcher is not None
    assert whole.watcher is not None
    assert trainer.global_step == resumed.watcher.horizon == EPOCHS * STEPS
    assert resumed.watcher.schedule == whole.watcher.schedule
    assert [step for _, step, _ in resumed.hindsight] == [step for _, step, _ in whole.hindsight]
    longer = CurveCast()
    fit(longer, module=Decaying(), train=stream, ckpt_path=path, **(LIMITS | {"max_epochs": 5}))
    assert longer.watcher is not None
    assert longer.watcher.horizon == 5 * STEPS


@pytest.mark.parametrize("saves", [{"save_on_train_epoch_end": True}, {"every_n_train_steps": STEPS}])
def test_a_run_that_goes_on_from_the_end_of_its_first_epoch_is_told_its_horizon(
    fit: Any, stream: Any, tmp_path: Path, saves: dict[str, Any]
) -> None:
    saver = pl.callbacks.ModelCheckpoint(str(tmp_path), save_top_k=-1, **saves)
    fit(CurveCast(), saver, module=Decaying(), train=stream, enable_checkpointing=True, **LIMITS)
    resumed = CurveCast()
    path = str(next(tmp_path.glob(f"*step={STEPS}.ckpt")))
    trainer = fit(resumed, module=Decaying(), train=stream, ckpt_path=path, **LIMITS)
    assert resumed.watcher is not None
    assert resumed.watcher.horizon == trainer.global_step == EPOCHS * STEPS
    assert [share for share, _, _ in resumed.hindsight] == [0.5, 0.75]


def test_a_first_epoch_without_a_step_tells_nothing(fit: Any) -> None:
    class Late(TwoOptimizers):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch, batch_idx) if self.current_epoch else None

    callback = CurveCast()
    fit(callback, module=Late(), batches=STEPS, **LIMITS)
    assert not callback.failed
    assert callback.watcher is not None
    assert callback.watcher.horizon is None
    assert callback.watcher.step > 0


def test_of_an_epoch_that_was_begun_before_nothing_is_taken(fit: Any, stream: Any, tmp_path: Path) -> None:
    saver = pl.callbacks.ModelCheckpoint(str(tmp_path), save_top_k=-1, every_n_train_steps=20)
    fit(CurveCast(), saver, train=stream, enable_checkpointing=True, **LIMITS)
    resumed = CurveCast()
    fit(resumed, train=stream, ckpt_path=str(next(tmp_path.glob("*step=20.ckpt"))), **LIMITS)
    assert resumed.watcher is not None
    assert resumed.watcher.horizon is None


class Enough:
    """Has had enough at once."""

    def decide(self, view: View) -> Finding:
        return view.stop(Reason.NO_IMPROVEMENT, 1.0, lambda: "Enough.")


def test_a_cooldown_that_is_under_way_is_not_planned_over(fit: Any, loader: Any, caplog: Any) -> None:
    callback = CurveCast(decisions=[Enough()], stop_on={"no_improvement"}, on_stop="cooldown", every_n_steps=1)
    trainer = fit(callback, train=DataLoader(Stream(loader(13)), batch_size=None), **LIMITS)
    assert callback.watcher is not None
    assert callback.watcher.horizon == trainer.global_step
    assert 13 < trainer.global_step < 2 * 13
    assert not [line for line in told(caplog) if "the horizon from now on" in line]


def test_a_log_is_replayed_with_the_horizon_that_was_found(fit: Any, stream: Any, tmp_path: Path, said: Any) -> None:
    callback = CurveCast()
    fit(callback, module=Decaying(), train=stream, logger=CSVLogger(str(tmp_path), "csv"), **LIMITS)
    replayed = curvecast.watch(tmp_path / "csv")
    assert callback.watcher is not None
    assert replayed.horizon == EPOCHS * STEPS
    assert said(replayed.verdict) == said(callback.watcher.verdict)


class Longer(pl.Callback):
    """Gives a run more epochs where it stands at the end of its second."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            trainer.fit_loop.max_epochs = 7


@pytest.mark.parametrize(
    ("kind", "is_stream"), [(Decaying, False), (ByEpoch, False), (Decaying, True), (TinyModule, False)]
)
def test_a_limit_that_is_raised_on_the_way_is_the_horizon_from_then_on(
    fit: Any, stream: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: Any, is_stream: bool
) -> None:
    callback, used = CurveCast(), Rates()
    logger = CSVLogger(str(tmp_path), "raised")
    train = {"train": stream} if is_stream else {"batches": STEPS}
    trainer = fit(callback, Longer(), used, module=kind(), logger=logger, **train, **LIMITS)
    watcher = callback.watcher
    assert watcher is not None
    assert (trainer.global_step, watcher.step, watcher.horizon) == (7 * STEPS, 7 * STEPS, 7 * STEPS)
    told = [r.getMessage() for r in caplog.records if "is going to take" in r.getMessage()]
    assert told == [
        f"curvecast: at step {2 * STEPS} the Trainer is going to take 210 steps, not 120: the horizon from now on."
    ]
    assert curvecast.watch(tmp_path / "raised" / "version_0").horizon == 7 * STEPS
    if kind is not TinyModule:
        assert watcher.schedule is not None
        planned = watcher.schedule.lr(np.arange(1, 7 * STEPS + 1))
        np.testing.assert_allclose(planned, np.array(used.lrs) / max(used.lrs), atol=4e-3 if is_stream else 1e-3)


class Rates(pl.Callback):
    """The rate of every step."""

    def __init__(self) -> None:
        self.lrs: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.lrs.append(optimizer.param_groups[0]["lr"])


def test_a_horizon_that_the_user_gave_stays_where_the_limit_is_raised(fit: Any) -> None:
    callback = CurveCast(horizon=500)
    fit(callback, Longer(), batches=STEPS, **LIMITS)
    assert callback.watcher is not None
    assert callback.watcher.horizon == 500


@pytest.mark.parametrize("limits", [{"max_epochs": 1}, {"max_epochs": -1}, {"max_steps": 70}])
def test_nothing_is_taken_from_an_epoch_where_it_tells_nothing(
    fit: Any, stream: Any, caplog: Any, limits: dict[str, Any]
) -> None:
    class Enough(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.global_step == 70

    callback = CurveCast()
    fit(callback, Enough(), train=stream, **(LIMITS | limits))
    assert callback.watcher is not None
    assert callback.watcher.horizon == (70 if limits.get("max_steps") else None)
    assert not [line for line in told(caplog) if "first epoch" in line]
