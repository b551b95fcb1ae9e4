"""The gradient noise scale, measured in a Trainer, against the one that the gradients were drawn with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import curvecast
from curvecast_lightning import CurveCast

ITEMS, ITEM_TOKENS, SIZE, NOISE = 4, 8, 100, 0.6
TRUE = NOISE**2 * SIZE * ITEM_TOKENS  # tr(Sigma) / |G|^2 of an item, at |G| = 1, times the tokens of an item


class Draws(Dataset[tuple[Tensor, Tensor]]):
    """Tokens, and for every item a gradient about a fixed one of norm 1."""

    gradients = NOISE * torch.randn(4800, SIZE, generator=torch.Generator().manual_seed(1)) + SIZE**-0.5

    def __len__(self) -> int:
        return len(self.gradients)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(ITEM_TOKENS, dtype=torch.long), self.gradients[index]


class Linear(pl.LightningModule):
    """Its gradient is the mean of the items' own, whatever its weight; its loss falls with the steps alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(SIZE))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return batch[1].mean(dim=0) @ self.weight + 3.0 + float((1.0 + self.global_step) ** -0.5)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-9)


def measured(callback: CurveCast, *, logger: Any = False, **arguments: Any) -> float | None:
    """Train, and return the noise scale as the watcher was told it [tokens]."""
    defaults: dict[str, Any] = {"max_steps": 150, "accumulate_grad_batches": 4}
    trainer = pl.Trainer(
        accelerator="cpu", logger=logger, callbacks=[callback], log_every_n_steps=10, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, **{**defaults, **arguments},
    )  # fmt: skip
    trainer.fit(Linear(), DataLoader(Draws(), batch_size=ITEMS))
    assert not callback.failed
    assert callback.watcher is not None
    told: float | None = callback.watcher.state_dict()["critical_batch"]
    return told


@pytest.mark.parametrize(
    "arguments",
    [{}, {"accumulate_grad_batches": 8, "max_steps": 100}, {"gradient_clip_val": 1e-3}, {"precision": "bf16-mixed"}],
)
def test_accumulation_gives_the_noise_scale(arguments: dict[str, Any]) -> None:
    told = measured(CurveCast(noise_scale=True), **arguments)
    assert told == pytest.approx(TRUE, rel=0.25)  # a hundred steps are remembered


def test_it_is_measured_on_request_alone() -> None:
    assert measured(CurveCast(), max_steps=40) is None


def test_the_log_tells_a_replay_and_the_compute_verdict_has_it(tmp_path: Path) -> None:
    callback = CurveCast(noise_scale=True, num_params=10_000)
    told = measured(callback, logger=CSVLogger(str(tmp_path), "csv"))
    replay = curvecast.watch(tmp_path / "csv")
    assert replay.state_dict()["critical_batch"] == told
    assert callback.verdict is not None
    assert replay.verdict.details["critical_batch"] == pytest.approx(callback.verdict.details["critical_batch"])
    assert callback.verdict.details["critical_batch"] == pytest.approx(told, rel=0.3)  # that of the last verdict


def test_where_it_cannot_be_measured_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert measured(CurveCast(noise_scale=True), max_steps=40, accumulate_grad_batches=1) is None
    assert "cannot measure the gradient noise scale: there is neither accumulation nor a second process" in caplog.text


class Tell(pl.Callback):
    """Writes down, on rank 0, what was measured."""

    def __init__(self, watched: CurveCast, path: Path) -> None:
        self.watched, self.path = watched, path

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        watcher = self.watched.watcher
        if trainer.is_global_zero and watcher is not None:
            self.path.write_text(str(watcher.state_dict()["critical_batch"]))


def two_processes(path: Path, accumulate: int) -> None:
    callback = CurveCast(noise_scale=True)
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", logger=False, max_steps=150, log_every_n_steps=10,
        accumulate_grad_batches=accumulate, callbacks=[callback, Tell(callback, path)], enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Linear(), DataLoader(Draws(), batch_size=ITEMS))


@pytest.mark.filterwarnings("ignore")  # of forks and small loaders
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_give_the_noise_scale(tmp_path: Path, accumulate: int) -> None:
    if not torch.distributed.is_gloo_available():
        pytest.skip("two processes on the CPU need gloo")
    two_processes(tmp_path / "told", accumulate)
    assert float((tmp_path / "told").read_text()) == pytest.approx(TRUE, rel=0.25)


def test_the_estimate_is_right_where_the_memory_is_long() -> None:
    rng = np.random.default_rng(3)
    scale = curvecast.NoiseScale(memory=0.9995)
    draws = SIZE**-0.5 + rng.normal(scale=NOISE, size=(4000, 4, SIZE)) / np.sqrt(ITEMS)
    for step in draws:
        small, big = float(np.sum(step[0] ** 2)), float(np.sum(step.mean(axis=0) ** 2))
        scale.update(small, big, ITEMS, 4 * ITEMS)
    assert scale.batch == pytest.approx(NOISE**2 * SIZE, rel=0.05)
