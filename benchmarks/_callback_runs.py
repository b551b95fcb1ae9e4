"""The runs that the callback's cost is measured on: a network so small that its step is Lightning's own work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from curvecast_lightning import CurveCast

BLOCK = 50  # steps: what lies between two samples, so that every block of ours has one drain
HORIZON = 20_000


class Batches(IterableDataset[Any]):
    """The same batch for ever: the data costs nothing."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        batch = torch.zeros(4, 16, dtype=torch.long)
        while True:
            yield batch


class Small(pl.LightningModule):
    """A step of about a millisecond, most of it Lightning's own; its loss falls as a power of the step."""

    def __init__(self, horizon: int, *, scheduler: str | None = "cosine") -> None:
        super().__init__()
        self.horizon, self.scheduler = horizon, scheduler
        self.linear = torch.nn.Linear(8, 8)
        self.inputs: torch.Tensor
        self.law: torch.Tensor
        self.register_buffer("inputs", torch.ones(4, 8))
        rng = np.random.default_rng(0)
        steps = np.arange(1.0, horizon + 2.0)
        self.register_buffer("law", torch.tensor(2.0 + 3.0 * steps**-0.4 + 0.02 * rng.standard_normal(len(steps))))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.linear(self.inputs).square().mean() * 0.0 + self.law[batch_idx % len(self.law)]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.law[self.trainer.global_step - 1] + 0.02)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-3)
        if self.scheduler is None:
            return optimizer
        if self.scheduler == "plateau":  # cannot be foreseen, so that all plausible futures are weighed
            waits = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return [optimizer], [{"scheduler": waits, "monitor": "val_loss", "strict": False}]
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.horizon)
        return [optimizer], [{"scheduler": cosine, "interval": "step"}]


def trainer(steps: int, *callbacks: pl.Callback, **arguments: Any) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "max_steps": steps,
            "logger": False,
            "callbacks": list(callbacks),
            **quiet,
            **arguments,
        }
    )


def fit(module: Small, steps: int, *callbacks: pl.Callback, **arguments: Any) -> pl.Trainer:
    run = trainer(steps, *callbacks, **arguments)
    batches = DataLoader(Batches(), batch_size=None)
    validates = "val_check_interval" in arguments
    run.fit(module, batches, DataLoader(TensorDataset(torch.zeros(1))) if validates else None)
    return run


def watched(**settings: Any) -> CurveCast:
    return CurveCast(**{"verbose": False, "num_params": 10**6, "batch_tokens": 2**14, **settings})
