"""A tiny Trainer on the CPU whose loss follows a law exactly, and a logger that remembers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import Logger
from torch.utils.data import DataLoader, Dataset

from curvecast_lightning import CurveCast

TRAIN_NOISE = np.random.default_rng(0).normal(scale=0.01, size=100_000)


@pytest.fixture(autouse=True)
def only_our_warnings() -> Iterator[None]:
    """Lightning warns of small data, of few workers, and of what torch deprecates in it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning.*")
        yield


class Tokens(Dataset[tuple[torch.Tensor, int]]):
    """Items of eight tokens, and their index."""

    def __init__(self, items: int) -> None:
        self.items = items

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((8,), index % 7), index


class TinyModule(pl.LightningModule):
    """Its loss is a law of the optimizer step, not of its parameters."""

    def __init__(self, *, lr: float = 1e-3, validates: bool = True) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 4)
        self.linear = torch.nn.Linear(4, 4)
        self.lr = lr
        self.validates = validates
        self.losses: list[tuple[int, float]] = []  # (optimizer step, true loss of the batch)

    def law(self, step: int) -> float:
        return float(2.0 + 3.0 * step**-0.5)

    def val_law(self, step: int) -> float:
        return self.law(max(step, 1)) + 0.1

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        step = self.trainer.global_step + 1
        value = self.law(step) + float(TRAIN_NOISE[self.trainer.fit_loop.total_batch_idx])
        loss = self.linear(self.embedding(batch[0])).mean() * 0 + value
        self.losses.append((step, float(loss.detach())))
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.validates:
            self.log("val_loss", torch.tensor(self.val_law(self.trainer.global_step)))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Memory(Logger):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    @property
    def name(self) -> str:
        return "memory"

    @property
    def version(self) -> str:
        return "0"

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append((-1 if step is None else step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def of(self, tag: str) -> dict[int, float]:
        """The values of a tag by step."""
        return {step: metrics[tag] for step, metrics in self.rows if tag in metrics}


@pytest.fixture
def tiny() -> type[TinyModule]:
    return TinyModule


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def loader() -> Callable[[int], DataLoader[Any]]:
    """Batches of two items of eight tokens."""
    return lambda batches: DataLoader(Tokens(2 * batches), batch_size=2)


Fit = Callable[..., pl.Trainer]


@pytest.fixture
def fit(tmp_path: Path, loader: Callable[[int], DataLoader[Any]]) -> Fit:
    """Fit a tiny module: ``fit(*callbacks, module=, batches=, train=, val=, ckpt_path=, **trainer_arguments)``."""

    def run(
        *callbacks: Any,
        module: pl.LightningModule | None = None,
        batches: int = 40,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
        train: DataLoader[Any] | None = None,
        val: DataLoader[Any] | None = None,
        **arguments: Any,
    ) -> pl.Trainer:
        defaults: dict[str, Any] = {
            "accelerator": "cpu",
            "default_root_dir": str(tmp_path),
            "logger": False,
            "max_steps": 60,
            "val_check_interval": 20,
            "check_val_every_n_epoch": None,
            "log_every_n_steps": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
        }
        trainer = pl.Trainer(callbacks=list(callbacks), **{**defaults, **arguments})
        loaders = (loader(batches) if train is None else train), (loader(1) if val is None else val)
        module = TinyModule() if module is None else module
        trainer.fit(module, *loaders, ckpt_path=ckpt_path, weights_only=weights_only)
        return trainer

    return run


class Verdicts(pl.Callback):
    """Collects each new verdict of a CurveCast; to be placed after it."""

    def __init__(self, watched: CurveCast) -> None:
        self.watched = watched
        self.seen: list[Any] = []

    def _look(self) -> None:
        verdict = self.watched.verdict
        if verdict is not None and verdict.step and (not self.seen or verdict is not self.seen[-1]):
            self.seen.append(verdict)

    def on_train_batch_end(self, *_: Any) -> None:
        self._look()

    def on_validation_end(self, *_: Any) -> None:
        self._look()


@pytest.fixture
def verdicts() -> type[Verdicts]:
    return Verdicts


def numbers(verdict: Any) -> tuple[Any, ...]:
    """All that a verdict says."""
    ahead = verdict.forecast
    forecast = (ahead.of, ahead.step, ahead.median, ahead.interval(0.9).lower, ahead.interval(0.9).upper)
    return (verdict.step, verdict.reason, verdict.probability, verdict.message, *forecast)


@pytest.fixture
def said() -> Callable[[Any], tuple[Any, ...]]:
    return numbers
