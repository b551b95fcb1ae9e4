"""A byte-level GPT learns Python from the standard library, on a CPU, in about three minutes.

While it trains, curvecast forecasts its last validation loss in the progress bar; afterwards the forecasts
are held against what came. A second run, on a small slice of the text, overfits, and curvecast stops it.
"""

from __future__ import annotations

import logging
import math
import random
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from curvecast import Verdict
from curvecast_lightning import CurveCast

ROWS, CONTEXT = 12, 64  # windows a batch; bytes a window
ASCII = 128  # byte values told apart: Python's sources hold hardly any other
SLICE = 32_768  # bytes of text for the second run: few enough to be learnt by heart
NOT_SOURCE = {"site-packages", "test", "tests", "idle_test", "encodings", "pydoc_data", "lib2to3"}


@cache
def standard_library(holdout: float = 0.08, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Python's own sources as bytes, ``(train,)`` and ``(held out,)``: split by file, always the same way."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(f for f in root.rglob("*.py") if NOT_SOURCE.isdisjoint(f.relative_to(root).parts))
    random.Random(seed).shuffle(files)
    cut = max(1, int(len(files) * holdout))
    val, train = (b"\n".join(f.read_bytes() for f in part) for part in (files[:cut], files[cut:]))
    return tuple(torch.frombuffer(bytearray(text), dtype=torch.uint8) for text in (train, val))  # type: ignore[return-value]


Batch = tuple[Tensor, Tensor]  # bytes, and the byte that follows each: both ``(ROWS, CONTEXT)``


class Windows(IterableDataset[Batch]):
    """``batches`` of random windows of a text: the same ones at every pass."""

    def __init__(self, text: Tensor, *, batches: int, seed: int) -> None:
        self.windows = text.unfold(0, CONTEXT + 1, 1)  # a view: no copy of the text
        self.batches, self.seed = batches, seed

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.batches):
            at = torch.randint(len(self.windows), (ROWS,), generator=generator)
            windows = self.windows[at].long().clamp_(max=ASCII - 1)
            yield windows[:, :-1], windows[:, 1:]

    def __len__(self) -> int:
        return self.batches


class Sources(pl.LightningDataModule):
    """The standard library in memory; ``train_bytes`` cuts the training text to a small slice of it."""

    def __init__(self, *, steps: int, seed: int, train_bytes: int | None, val_batches: int) -> None:
        super().__init__()
        self.steps, self.seed, self.val_batches = steps, seed, val_batches
        train, self.val_text = standard_library()
        self.train_text = train[:train_bytes]

    def train_dataloader(self) -> DataLoader[Batch]:
        """One epoch is the whole run."""
        return self._loader(self.train_text, self.steps, self.seed)

    def val_dataloader(self) -> DataLoader[Batch]:
        """A fixed set of windows, whatever the seed."""
        return self._loader(self.val_text, self.val_batches, seed=1)

    def _loader(self, text: Tensor, batches: int, seed: int) -> DataLoader[Batch]:
        return DataLoader(Windows(text, batches=batches, seed=seed), batch_size=None)


class Block(nn.Module):
    """Causal attention, then a two-layer perceptron, each on a normalised residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` to the same."""
        batch, time, width = x.shape
        heads = self.qkv(self.norm_1(x)).view(batch, time, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, time, width))
        hidden = functional.relu(self.up(self.norm_2(x)))
        return torch.add(x, self.down(hidden))


class GPT(nn.Module):
    """Bytes in, next-byte logits out: ``12 * depth * width**2`` parameters besides the embeddings."""

    def __init__(self, *, depth: int = 2, width: int = 64, heads: int = 2) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(ASCII, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * depth) if last else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(batch, time)`` bytes to ``(batch, time, ASCII)`` logits."""
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits: Tensor = functional.linear(self.norm(x), self.tokens.weight)
        return logits


class LitGPT(pl.LightningModule):
    """The GPT with AdamW, a warm-up, and a cosine down to a tenth of the peak learning rate."""

    def __init__(self, *, steps: int, lr: float = 3e-3) -> None:
        super().__init__()
        self.steps, self.warmup, self.lr = steps, min(100, steps // 10), lr
        self.model = GPT()

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of the next byte [nats/byte]."""
        seen, following = batch
        return functional.cross_entropy(self.model(seen).flatten(0, 1), following.flatten())

    def training_step(self, batch: Batch) -> Tensor:
        """Loss of a batch."""
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Log the loss of a held-out batch."""
        self.log("val_loss", self.loss(batch), prog_bar=True, batch_size=ROWS)

    def relative_lr(self, done: int) -> float:
        """The learning rate after ``done`` steps, as a share of the peak."""
        if done < self.warmup:
            return (done + 1) / self.warmup
        progress = min(1.0, (done - self.warmup) / (self.steps - self.warmup))
        return 0.55 + 0.45 * math.cos(math.pi * progress)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW; its learning rate moves with every step."""
        parameters = self.parameters()
        optimizer = torch.optim.AdamW(parameters, lr=self.lr, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.relative_lr)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class Bar(TQDMProgressBar):
    """A line short enough for the forecast to fit in."""

    BAR_FORMAT = "{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"

    def init_validation_tqdm(self) -> Tqdm:
        """No second bar comes and goes."""
        return Tqdm(disable=True)

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        """All but the number of the logs' folder."""
        return {name: shown for name, shown in super().get_metrics(*args).items() if name != "v_num"}


console = Console(highlight=False)


def train(name: str, callback: CurveCast, data: Sources, *, validations: int, folder: Path) -> float:
    """Train a fresh model, and return its last validation loss [nats/byte]."""
    pl.seed_everything(data.seed, verbose=False)
    tensorboard = TensorBoardLogger(folder, name=name)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        val_check_interval=data.steps // validations,
        gradient_clip_val=1.0,
        callbacks=[callback, Bar(refresh_rate=10)],
        logger=[tensorboard, CSVLogger(folder, name=name, version=tensorboard.version)],
        log_every_n_steps=max(1, data.steps // 1250),
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(LitGPT(steps=data.steps), data)
    return float(trainer.callback_metrics["val_loss"])


def hindsight(callback: CurveCast, truth: float) -> Table:
    """Each forecast that was made on the way, beside what came."""
    columns = ("observed", "step", "forecast", "90 % interval", "truth", "error", "inside?")
    title = r"What was forecast of the last validation loss, and what came \[nats/byte]"
    table = Table(*columns, title=title, title_justify="left")
    for fraction, step, forecast in callback.hindsight:
        median, interval = float(forecast.median), forecast.interval(0.9)
        span = f"{interval.lower:.3f} to {interval.upper:.3f}"
        error, inside = f"{median / truth - 1:+.1%}", "yes" if truth in interval else "no"
        table.add_row(f"{fraction:.0%}", f"{step:,}", f"{median:.3f}", span, f"{truth:.3f}", error, inside)
    return table


def efficient_point(verdict: Verdict) -> str:
    """When the run passed the step from which on a larger model would have used the compute better, in words."""
    names = [f"efficient_step_{quantile}" for quantile in ("median", "lower", "upper")]
    median, lower, upper = (verdict.details.get(name, math.inf) for name in names)
    if median <= verdict.step:
        where = f"step {median:,.0f} (90 %: {lower:,.0f} to {upper:,.0f})"
        return f"From {where} on a larger model would have done more with the compute: its compute-efficient point."
    if lower <= verdict.step:
        return (
            "Its compute-efficient point, from which on a larger model would do more with the compute, lies beyond "
            f"step {lower:,.0f} (95 % sure), probably beyond the end."
        )
    return "It has not reached its compute-efficient point: a model of this size was worth every step."


def quiet() -> None:
    """Leave out what Lightning says about hardware, tips and workers: the loaders need none."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.utils.data")


@click.command(help=__doc__)
@click.option("--steps", default=5000, show_default=True, help="Steps of the first run, in hundreds.")
@click.option("--seed", default=0, show_default=True)
@click.option("--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Log folder.")
@click.option("--quick", is_flag=True, help="A few seconds of each run, to see that everything works.")
def main(steps: int, seed: int, runs: Path, quick: bool) -> None:
    quiet()
    torch.set_num_threads(1)  # so small a model gains little from more, and nothing on busy cores
    steps, validations, val_batches = (100, 10, 2) if quick else (max(100, steps // 100 * 100), 50, 43)

    console.print(f"\n[bold]1. A GPT learns Python from the standard library: {steps:,} steps.[/bold]")
    console.print(r"In the bar: the forecast of the last validation loss, \[its 90 % interval], and the verdict.")
    callback = CurveCast(milestones=(0.1, 0.25, 0.5, 0.75))
    data = Sources(steps=steps, seed=seed, train_bytes=None, val_batches=val_batches)
    truth = train("demo", callback, data, validations=validations, folder=runs)
    console.print(hindsight(callback, truth))
    if callback.verdict:
        console.print(efficient_point(callback.verdict))

    console.print(f"\n[bold]2. The same model on {SLICE:,} bytes of it, again and again, until it overfits.[/bold]")
    console.print("Here curvecast may stop the run: CurveCast(stop_on={'overfitting', 'diverged'}).")
    callback = CurveCast(stop_on={"overfitting", "diverged"}, dataset_tokens=SLICE, milestones=())
    data = Sources(steps=steps // 5 * 3, seed=seed, train_bytes=SLICE, val_batches=val_batches)
    train("overfit", callback, data, validations=validations // 5 * 6, folder=runs)

    console.print("\n[bold]3. Look at both:[/bold]")
    programs = ".venv/bin/" if Path(sys.prefix) == Path.cwd() / ".venv" else ""
    console.print(f"   {programs}tensorboard --logdir {runs}\n   {programs}curvecast analyze {runs}")


if __name__ == "__main__":
    main()
