"""Trains as a script does: ``python launch_program.py STRATEGY FOLDER``, on two processes unless STRATEGY is 'auto'.

Each process writes what it ended with into FOLDER. 'ddp' starts this script once more for the second process,
'ddp_spawn' starts two others.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from curvecast.decisions.base import Finding, Reason
from curvecast.decisions.view import View
from curvecast_lightning import CurveCast

PROCESSES = 2
BATCH = 8  # over all processes


@atexit.register
def leave() -> None:
    """Ends gloo's threads while Python still stands: one that lets go of a tensor after that aborts the process."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def data(rows: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, 32, generator=generator)
    target = features.sum(-1, keepdim=True) + 0.5 * torch.randn(rows, 1, generator=generator)
    return TensorDataset(features, target)


class From:
    """Says 'plateau' from a step on."""

    def decide(self, view: View) -> Finding:
        return Finding(Reason.PLATEAU, 0.97, view.step >= 60, f"step {view.step}: enough is enough")


class Regression(pl.LightningModule):
    """A real one: the losses depend on the weights, and these on every process's gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(32, 1)

    def loss(self, batch: Any) -> Any:
        features, target = batch
        return torch.nn.functional.mse_loss(self.linear(features), target)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch))  # of this process's share alone

    def loader(self, dataset: TensorDataset) -> DataLoader[Any]:
        """Each process's share of every batch; left to itself, Lightning would shuffle."""
        world, rank = self.trainer.world_size, self.trainer.global_rank
        sampler: DistributedSampler[Any] = DistributedSampler(dataset, num_replicas=world, rank=rank, shuffle=False)
        return DataLoader(dataset, batch_size=BATCH // world, sampler=sampler)

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader(data(320, 1))

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader(data(64, 2))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.02)
        return [optimizer], [
            {"scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80), "interval": "step"}
        ]


class Report(pl.Callback):
    """Keeps each new verdict, and writes them when the training ends."""

    def __init__(self, watched: CurveCast, folder: Path) -> None:
        self.watched, self.folder = watched, folder
        self.told: dict[int, Any] = {}

    def on_train_batch_end(self, *_: Any) -> None:
        verdict = self.watched.verdict
        if verdict is not None and verdict.forecast is not None:
            ahead = verdict.forecast
            interval = ahead.interval(0.9)
            numbers = [verdict.probability, ahead.median, interval.lower, interval.upper]
            self.told[verdict.step] = [str(verdict.reason), *map(float, numbers)]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        watcher = self.watched.watcher
        content = {
            "step": trainer.global_step,
            "failed": self.watched.failed,
            "pid": os.getpid(),
            "parent": os.getppid(),
            "batch_tokens": watcher and watcher.batch_tokens,
            "num_params": watcher and watcher.num_params,
            "told": self.told,
        }
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(content))


def train(strategy: str, folder: Path) -> None:
    pl.seed_everything(0, verbose=False)
    processes = 1 if strategy == "auto" else PROCESSES
    watched = CurveCast(every_n_steps=2, stop_on={"plateau"}, decisions=[From()], batch_tokens=100, verbose=False)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy=strategy,
        max_steps=80,
        val_check_interval=10,
        check_val_every_n_epoch=None,
        callbacks=[watched, Report(watched, folder)],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Regression())


def quietly(strategy: str, folder: Path) -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    train(strategy, folder)


if __name__ == "__main__":
    quietly(sys.argv[1], Path(sys.argv[2]))
