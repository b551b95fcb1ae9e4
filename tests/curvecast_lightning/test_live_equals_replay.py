from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

import curvecast
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
