"""What Lightning's own loggers write, read back: each logged loss *is* its number of completed steps."""

from __future__ import annotations

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curvecast.readers import Run, read

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hosts' own, at import
    import torch
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from torch.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.filterwarnings("ignore")

BASE_LR = 0.5
LOGGERS = pytest.mark.parametrize("logger_class", [CSVLogger, TensorBoardLogger])
# (accumulate_grad_batches, val_check_interval): at the epoch's end, between steps, in the middle of a step
VALIDATION = pytest.mark.parametrize(
    ("accumulate", "val_check"), [(1, 1.0), (1, 3), (4, 1.0), (4, 8), (4, 6), (4, 2), (3, 0.25)]
)


class Model(LightningModule):
    """Its losses are the true S, plus ``offset`` to tell sessions apart."""

    def __init__(self, offset: float = 0.0, *, by_step: bool = True, by_epoch: bool = False) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.offset, self.by_step, self.by_epoch = offset, by_step, by_epoch

    def training_step(self, batch: Any, batch_index: int) -> Any:
        loss = self.trainer.global_step + 1.0 + self.offset
        self.log("train_loss", loss, on_step=self.by_step, on_epoch=self.by_epoch)
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, batch_index: int) -> None:
        self.log("val_loss", self.trainer.global_step + self.offset)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=BASE_LR)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1.0 / (1 + done))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def batches(count: int) -> Any:
    return DataLoader(TensorDataset(torch.ones(count, 1)), batch_size=1)


def make_trainer(logger: Any, **settings: Any) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "log_every_n_steps": 1,
        "max_epochs": 2,
    }
    return Trainer(logger=logger, **(defaults | settings))


def train(folder: Path, logger_class: Any, model: Model | None = None, **settings: Any) -> Run:
    logger = logger_class(str(folder), version=0)
    make_trainer(logger, **settings).fit(model or Model(), batches(18), batches(2))
    logger.finalize("success")
    (run,) = read(logger.log_dir)
    return run


def off(run: Run, of: str) -> list[float]:
    """How far each row is from the step that it was measured at."""
    values = run.train_loss if of == "train" else run.val_loss
    return sorted(set((run.steps - values)[~np.isnan(values)].tolist()))


@LOGGERS
@VALIDATION
def test_steps_are_completed_optimizer_steps(
    tmp_path: Path, logger_class: Any, accumulate: int, val_check: float
) -> None:
    run = train(tmp_path, logger_class, accumulate_grad_batches=accumulate, val_check_interval=val_check)
    assert run.points("train") == 2 * math.ceil(18 / accumulate)
    assert run.points("val") >= 2
    assert (off(run, "train"), off(run, "val")) == ([0.0], [0.0])


@LOGGERS
@pytest.mark.parametrize(("accumulate", "val_check"), [(1, 1.0), (1, 3), (4, 1.0), (4, 8)])
def test_steps_are_right_where_few_are_logged(
    tmp_path: Path, logger_class: Any, accumulate: int, val_check: float
) -> None:
    settings: dict[str, Any] = {"accumulate_grad_batches": accumulate, "val_check_interval": val_check}
    run = train(tmp_path, logger_class, log_every_n_steps=3, **settings)
    assert (off(run, "train"), off(run, "val")) == ([0.0], [0.0])


@LOGGERS
def test_validation_within_a_step_is_at_most_one_late_where_few_are_logged(tmp_path: Path, logger_class: Any) -> None:
    run = train(tmp_path, logger_class, accumulate_grad_batches=4, val_check_interval=6, log_every_n_steps=3)
    assert off(run, "train") == [0.0]
    assert off(run, "val") == [0.0, 1.0]


@LOGGERS
@pytest.mark.parametrize("accumulate", [1, 4])
def test_learning_rates_stand_at_the_step_that_used_them(tmp_path: Path, logger_class: Any, accumulate: int) -> None:
    run = train(tmp_path, logger_class, accumulate_grad_batches=accumulate, callbacks=[LearningRateMonitor()])
    np.testing.assert_allclose(run.lr, BASE_LR / run.steps, rtol=1e-6)
    assert off(run, "val") == [0.0]


@LOGGERS
def test_an_epochs_mean_stands_at_its_end(tmp_path: Path, logger_class: Any) -> None:
    run = train(tmp_path, logger_class, Model(by_step=False, by_epoch=True))
    assert run.steps.tolist() == [18, 36]
    assert run.train_loss.tolist() == [9.5, 27.5]
    assert off(run, "val") == [0.0]


@LOGGERS
def test_step_values_go_before_epoch_means(tmp_path: Path, logger_class: Any) -> None:
    run = train(tmp_path, logger_class, Model(by_step=True, by_epoch=True))
    assert run.meta["train_tag"] == "train_loss_step"
    assert (off(run, "train"), off(run, "val")) == ([0.0], [0.0])


@LOGGERS
def test_validation_outside_fit_is_at_the_steps_done(tmp_path: Path, logger_class: Any) -> None:
    logger = logger_class(str(tmp_path), version=0)
    trainer, model = make_trainer(logger), Model()
    trainer.validate(model, batches(2), verbose=False)
    trainer.fit(model, batches(18), batches(2))
    trainer.validate(model, batches(2), verbose=False)
    logger.finalize("success")
    (run,) = read(logger.log_dir)
    assert (run.steps[0], run.steps[-1]) == (1, 36)
    assert (off(run, "train"), off(run, "val")) == ([0.0], [0.0])


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_resumed_run_is_one_curve(tmp_path: Path, accumulate: int) -> None:
    save = ModelCheckpoint(dirpath=tmp_path / "checkpoints", every_n_train_steps=6, save_top_k=-1)
    settings: dict[str, Any] = {
        "accumulate_grad_batches": accumulate,
        "enable_checkpointing": True,
        "max_epochs": -1,
    }
    first = TensorBoardLogger(str(tmp_path), version=0)
    make_trainer(first, max_steps=10, callbacks=[save], **settings).fit(Model(), batches(40), batches(2))
    first.finalize("success")
    (checkpoint,) = [path for path in (tmp_path / "checkpoints").iterdir() if "step=6" in path.name]
    second = TensorBoardLogger(str(tmp_path), version=0)
    trainer = make_trainer(second, max_steps=20, callbacks=[save], **settings)
    trainer.fit(Model(offset=1000.0), batches(40), batches(2), ckpt_path=checkpoint)
    second.finalize("success")
    (run,) = read(first.log_dir)
    trained = ~np.isnan(run.train_loss)
    assert run.steps[trained].tolist() == list(range(1, 21))
    assert run.train_loss[trained].tolist() == [*range(1, 7), *range(1007, 1021)]
    assert off(run, "val") in ([], [0.0], [-1000.0])
    assert "4 rows from before dropped" in str(run.meta["lost"])
