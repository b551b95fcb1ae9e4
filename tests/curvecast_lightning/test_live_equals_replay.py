from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

import curvecast
from curvecast import Schedule
from curvecast.decisions import Plateau
from curvecast.decisions.base import Finding, Reason
from curvecast.decisions.view import View
from curvecast_lightning import CurveCast


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("scheduled", [True, False])
def test_verdicts_live_equal_verdicts_replayed(
    fit: Any,
    tiny: Any,
    verdicts: Any,
    said: Any,
    tmp_path: Path,
    accumulate: int,
    scheduled: bool,
) -> None:
    class Cosine(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            if not scheduled:
                return optimizer
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)
            return [optimizer], [{"scheduler": cosine, "interval": "step"}]

    loggers = [CSVLogger(str(tmp_path), "csv"), TensorBoardLogger(str(tmp_path), "tb")]
    callback = CurveCast(every_n_steps=3)
    live = verdicts(callback)
    fit(
        callback,
        live,
        module=Cosine(),
        logger=loggers,
        max_steps=80,
        batches=50,
        accumulate_grad_batches=accumulate,
        val_check_interval=16 * accumulate,
        log_every_n_steps=10,
    )
    expected = [said(verdict) for verdict in live.seen]
    assert len(expected) > 15
    for path in (tmp_path / "csv/version_0/metrics.csv", tmp_path / "tb/version_0"):
        replayed: list[Any] = []
        replay = curvecast.watch(path, on_verdict=replayed.append)
        assert [said(verdict) for verdict in replayed] == expected
        assert callback.watcher is not None
        assert replay.choices() == callback.watcher.choices()
        assert replay.state_dict()["pace"] == callback.watcher.state_dict()["pace"]


class From:
    """Says 'plateau' from a step on."""

    def __init__(self, step: int) -> None:
        self.step = step

    def decide(self, view: View) -> Finding:
        return Finding(Reason.PLATEAU, 0.97, view.step >= self.step, f"step {view.step}: enough is enough")


@pytest.mark.parametrize("scheduled", [True, False])
@pytest.mark.parametrize("at", [40, 46], ids=["with a validation", "without"])
def test_a_replay_takes_the_cooldown_that_the_run_took(
    fit: Any, tiny: Any, verdicts: Any, said: Any, tmp_path: Path, scheduled: bool, at: int
) -> None:
    class Linear(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=200)
            return [optimizer], [{"scheduler": falling, "interval": "step"}]

    loggers = [CSVLogger(str(tmp_path), "csv"), TensorBoardLogger(str(tmp_path), "tb")]
    decisions = [From(at)]
    callback = CurveCast(
        every_n_steps=2,
        decisions=decisions,
        stop_on={"plateau"},
        on_stop="cooldown",
        cooldown=20,
        schedule=None if scheduled else Schedule.constant(200),
    )
    live = verdicts(callback)
    trainer = fit(callback, live, module=Linear(), logger=loggers, max_steps=200, batches=200, val_check_interval=10)
    assert trainer.global_step == at + 20
    assert callback.watcher is not None
    expected = [said(verdict) for verdict in live.seen]
    for path in (tmp_path / "csv/version_0/metrics.csv", tmp_path / "tb/version_0"):
        replayed: list[Any] = []
        replay = curvecast.watch(path, decisions=decisions, on_verdict=replayed.append)
        assert [said(verdict) for verdict in replayed] == expected
        assert (replay.horizon, replay.schedule) == (callback.watcher.horizon, callback.watcher.schedule)
        assert replay.forecast().median == callback.watcher.forecast().median
        quick = curvecast.watch(path, decisions=[Plateau(min_gain=1e-9)])
        assert quick.horizon == at + 20
