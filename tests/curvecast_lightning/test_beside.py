"""Beside other callbacks, and with every logger: what each of them does stays as it was, and ours arrives."""

from __future__ import annotations

import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

import curvecast
from curvecast_lightning import CurveCast

TAGS = ("train_loss", "val_loss", "lr", "seconds", "forecast", "lower", "upper", "probability")


def saver(folder: Path, monitor: str, **settings: Any) -> ModelCheckpoint:
    return ModelCheckpoint(str(folder), monitor=monitor, save_top_k=2, **settings)


def best(checkpoint: ModelCheckpoint) -> float:
    assert checkpoint.best_model_score is not None
    return float(checkpoint.best_model_score)


@pytest.mark.parametrize("name", ["forecast", "lower", "upper", "probability"])
@pytest.mark.parametrize("when", [{}, {"every_n_train_steps": 10}])
def test_a_checkpoint_can_monitor_what_we_say(
    fit: Any, memory: Any, tmp_path: Path, name: str, when: dict[str, Any]
) -> None:
    monitor = f"curvecast/{name}"
    checkpoint = saver(tmp_path, monitor, **when)
    trainer = fit(CurveCast(), checkpoint, logger=memory, enable_checkpointing=True)
    assert trainer.global_step == 60
    said = {float(torch.tensor(row[monitor])) for _, row in memory.rows if monitor in row}  # twice where validated
    known = {float(score) for score in checkpoint.best_k_models.values()}
    assert len(known) == 2
    assert known <= said


def test_two_of_ours_are_monitored_apart(fit: Any, tiny: Any, memory: Any, tmp_path: Path) -> None:
    class TwoLosses(tiny):  # type: ignore[misc]
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            super().validation_step(batch, batch_idx)
            self.log("val_b", torch.tensor(self.val_law(self.trainer.global_step) + 1.0))

    ours = [CurveCast(), CurveCast(monitor="val_b")]
    checkpoints = [saver(tmp_path / "a", "curvecast/forecast"), saver(tmp_path / "b", "curvecast/val_b/forecast")]
    fit(*ours, *checkpoints, module=TwoLosses(), logger=memory, enable_checkpointing=True)
    for tag, checkpoint in zip(("curvecast/forecast", "curvecast/val_b/forecast"), checkpoints, strict=True):
        assert best(checkpoint) in {float(torch.tensor(row[tag])) for _, row in memory.rows if tag in row}
    assert best(checkpoints[0]) + 0.5 < best(checkpoints[1])


def test_nothing_of_ours_is_mistaken_for_a_loss(fit: Any) -> None:
    trainer = fit(CurveCast())
    ours = {name for name in trainer.callback_metrics if name.startswith("curvecast/")}
    assert ours == {f"curvecast/{name}" for name in ("forecast", "lower", "upper", "probability")}
    assert all(math.isfinite(trainer.callback_metrics[name]) for name in ours)


def test_early_stopping_may_follow_the_forecast(fit: Any) -> None:
    stopper = EarlyStopping("curvecast/forecast", patience=100, check_finite=False)
    trainer = fit(CurveCast(), stopper)
    assert trainer.global_step == 60
    assert math.isfinite(stopper.best_score)


@pytest.mark.parametrize("monitor", ["curvecast/forecast", "val_loss"])
def test_an_early_stopping_that_would_not_wait_for_a_forecast_is_told_of(fit: Any, caplog: Any, monitor: str) -> None:
    trainer = fit(CurveCast(), EarlyStopping(monitor, patience=100))
    told = "curvecast: EarlyStopping('curvecast/forecast') will stop the run before there is a forecast"
    assert (told in caplog.text) == (monitor == "curvecast/forecast")
    assert (trainer.global_step < 60) == (monitor == "curvecast/forecast")


def test_others_do_what_they_do_without_us(fit: Any, tmp_path: Path, memory: Any) -> None:
    def once(*ours: Any, at: str) -> tuple[Any, ...]:
        monitor = LearningRateMonitor("step")
        stopper = EarlyStopping("val_loss", stopping_threshold=2.6)
        checkpoint = ModelCheckpoint(str(tmp_path / at), monitor="val_loss", save_top_k=-1, every_n_train_steps=7)
        memory.rows.clear()
        trainer = fit(*ours, monitor, stopper, checkpoint, logger=memory, enable_checkpointing=True)
        theirs = [
            (step, {name: value for name, value in row.items() if not name.startswith("curvecast/")})
            for step, row in memory.rows
        ]
        saved = sorted(path.name for path in (tmp_path / at).iterdir())
        return trainer.global_step, stopper.state_dict(), saved, [row for row in theirs if row[1]]

    assert once(at="without") == once(CurveCast(), CurveCast(monitor="val_loss"), at="with")


def test_without_a_logger(fit: Any) -> None:
    callback = CurveCast()
    fit(callback, logger=False)
    assert callback.verdict is not None
    assert callback.verdict.forecast is not None


def host(name: str, folder: Path) -> Any:
    """A logger of each kind that writes to a folder, offline."""
    if name == "wandb":
        pytest.importorskip("wandb", reason="W&B's logger needs wandb (pip install wandb)")
        return WandbLogger(save_dir=str(folder), offline=True)
    if name == "mlflow":
        pytest.importorskip("mlflow", reason="MLflow's logger needs mlflow (pip install mlflow)", exc_type=ImportError)
        return MLFlowLogger("test", tracking_uri=f"sqlite:///{folder}/mlflow.db")
    return {"csv": CSVLogger, "tensorboard": TensorBoardLogger}[name](str(folder), "log")


@pytest.mark.filterwarnings("ignore")  # the hosts' own
@pytest.mark.parametrize("name", ["csv", "tensorboard", "wandb", "mlflow"])
def test_every_logger_holds_what_was_fed_and_a_replay_says_the_same(fit: Any, tmp_path: Path, name: str) -> None:
    logger = host(name, tmp_path)
    callback = CurveCast(every_n_steps=3)
    fit(callback, logger=logger, log_every_n_steps=3)
    if name == "wandb":
        logger.experiment.finish()
    logger.finalize("success")
    path = {"wandb": tmp_path / "wandb", "mlflow": tmp_path / "mlflow.db"}.get(name, tmp_path / "log")
    [run] = written(path)
    assert (run.meta["train_tag"], run.meta["val_tag"]) == ("curvecast/train_loss", "curvecast/val_loss")
    assert list(run.steps[~(run.train_loss != run.train_loss)]) == list(range(3, 61, 3))
    assert run.meta["horizon"] == 60
    assert callback.watcher is not None
    settings: dict[str, Any] = {"horizon": 60, "num_params": 20, "batch_tokens": 16}
    assert curvecast.watch(run, **settings).verdict.message == callback.watcher.verdict.message
    assert _tags(name, path) >= {f"curvecast/{tag}" for tag in TAGS}


def written(path: Path) -> list[curvecast.Run]:
    """What a log holds; W&B writes in a process of its own, which a busy machine may let wait."""
    until = time.monotonic() + 60.0
    while True:
        try:
            return curvecast.read(path)
        except ValueError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _tags(name: str, path: Path) -> set[str]:
    if name == "csv":
        [table] = path.rglob("metrics.csv")
        return set(table.read_text().splitlines()[0].split(","))
    if name == "mlflow":
        with sqlite3.connect(path) as store:
            return {row[0] for row in store.execute("select distinct key from metrics")}
    if name == "tensorboard":
        events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        [folder] = {file.parent for file in path.rglob("*tfevents*")}
        seen = events.EventAccumulator(str(folder))
        seen.Reload()
        return set(seen.Tags()["scalars"])
    [records] = path.rglob("*.wandb")
    content = records.read_bytes()
    return {f"curvecast/{tag}" for tag in TAGS if f"curvecast/{tag}".encode() in content}
