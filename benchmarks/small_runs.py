"""A data set of small training runs: each with its train loss, its validation loss and its learning rate.

Byte-level GPTs on Python's own sources, perceptrons and convolutional nets with batch-norm on scikit-learn's
digits, and perceptrons on tables. They begin outside any scaling law: a GPT on the level of byte pairs, a
batch-norm whose running averages lag behind. Some of them are meant to overfit.

It writes ``small_runs/NAME.csv`` (``step,train_loss,val_loss,lr``) and ``small_runs/meta.json``, which says
what each run is. All of it takes about 25 minutes on one core. A run is the same each time, but for the versions
of Python (whose sources are the text), PyTorch and scikit-learn, and the rounding of the processor.

    python benchmarks/small_runs.py
    python benchmarks/small_runs.py --only 'digits-*' --only 'gpt-w32-*'
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from _made import Row, as_csv, write_meta
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.datasets import load_diabetes, load_digits, make_friedman1
from torch import Generator, Tensor, nn
from torch.nn import functional

from curvecast import Schedule
from curvecast_lightning import count_parameters

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import lightning_gpt as demo

FOLDER = Path(__file__).parent / "small_runs"
TRAIN_EVERY = 5  # steps from one logged train loss to the next
VALIDATIONS = 50  # a run
WINDOWS = 128  # held out: which ones they are changes a step from one validation to the next by 0.25 % of the loss

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "cosine": partial(Schedule.cosine, floor=0.1),
    "wsd": partial(Schedule.wsd, decay=0.2, shape="linear", floor=0.0),
    "constant": Schedule.constant,
}

ABOUT = {
    "made_by": "benchmarks/small_runs.py: AdamW (betas 0.9 and 0.99, weight decay 0.1), gradients clipped to norm 1",
    "data": {
        "gpt": "Python's standard library as bytes, split by file into train and held out: examples/lightning_gpt.py; "
        "the held-out files are about 3 % easier; gpt-slice learns the first 16,384 or 32,768 bytes alone",
        "digits": "scikit-learn's load_digits: 1,200 images, and fresh Gaussian noise in each batch, of standard "
        "deviation 0.4 where a pixel goes from 0 to 1; in the runs that overfit 300 images whose noise stays, and "
        "15 % of their labels drawn at random",
        "friedman": "synthetic: scikit-learn's make_friedman1 with noise of standard deviation 3; 20,000 rows, or 200",
        "diabetes": "scikit-learn's load_diabetes: 300 rows, and 142 held out",
    },
    "licence": "Apache-2.0, as curvecast itself",
    "columns": {
        "step": "completed optimizer steps, from 1",
        "train_loss": "of the one batch of that step, before the step; blank where none was logged",
        "val_loss": "after the step, on the same held-out data throughout; blank where there was no validation",
        "lr": "of that step, relative to the peak",
    },
    "units": {
        "loss": "gpt: nats/byte; digits: nats/image; friedman, diabetes: squared error over the variance of the target",
        "batch": "windows of 64 bytes, images, or rows",
        "batch_tokens": "bytes a batch; null where there is no text",
        "epoch_steps": "optimizer steps that draw as many windows, images or rows as there are different ones",
        "num_params": "parameters without embeddings",
        "horizon, warmup": "optimizer steps",
    },
    "schedules": {
        "cosine": "to a tenth of the peak",
        "wsd": "constant, then a line to 0 over the last 20 % of the steps",
        "constant": "constant to the end",
    },
}

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Task:
    """Data in memory, and the loss on them.

    Args:
        draw: a random training batch of so many windows, images or rows.
        rows: how many different ones there are; of windows those that do not overlap.
        held_out: the validation data, all in one batch.
        loss: of the model's output and the targets.
    """

    draw: Callable[[int, Generator], Batch]
    rows: int
    held_out: Batch
    loss: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One run.

    Args:
        name: of its file.
        group: runs of one group are siblings: one task, one architecture.
        kind: of model.
        model: a fresh one.
        task: what it learns.
        schedule: one of ``SCHEDULES``.
        horizon: optimizer steps.
        batch: windows, images or rows a step.
        peak_lr: of AdamW.
        overfits: whether it is meant to.
    """

    name: str
    group: str
    kind: str
    model: Callable[[], nn.Module]
    task: Callable[[], Task]
    schedule: str
    horizon: int
    batch: int
    peak_lr: float
    overfits: bool = False

    @property
    def seed(self) -> int:
        """Its own, whatever other runs there are."""
        return zlib.crc32(self.name.encode()) % 10_000

    @property
    def warmup(self) -> int:
        """Steps of the linear warm-up."""
        return self.horizon // 40

    def plan(self) -> Schedule:
        """The relative learning rate of every step."""
        return SCHEDULES[self.schedule](self.horizon, warmup=self.warmup)


class MLP(nn.Sequential):
    """Two hidden layers, with batch-norm where ``norm`` says so."""

    def __init__(self, inputs: int, width: int, outputs: int, *, norm: bool) -> None:
        sizes = (inputs, width, width)
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), *([nn.BatchNorm1d(n_out, momentum=0.02)] if norm else []), nn.ReLU()]
        super().__init__(*layers, nn.Linear(width, outputs))


class CNN(nn.Sequential):
    """Three convolutions with batch-norm, the mean over the image, and a linear layer."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        for n_in, n_out, stride in ((1, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)):
            convolution = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(n_out, momentum=0.02), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10))


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over all but the last axis of the logits [nats]."""
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


@cache
def python_sources(train_bytes: int | None = None) -> Task:
    """The next byte in the standard library's sources, or in their first ``train_bytes``."""
    train, val = demo.standard_library()

    def windows(text: Tensor, count: int, generator: Generator) -> Batch:
        starts = torch.randint(len(text) - demo.CONTEXT, (count, 1), generator=generator)
        found = text[starts + torch.arange(demo.CONTEXT + 1)].long().clamp_(max=demo.ASCII - 1)
        return found[:, :-1], found[:, 1:]

    held_out = windows(val, WINDOWS, Generator().manual_seed(1))
    learnt = train[:train_bytes]
    return Task(partial(windows, learnt), len(learnt) // demo.CONTEXT, held_out, cross_entropy)


def from_rows(train: Batch, held_out: Batch, loss: Callable[[Tensor, Tensor], Tensor], noise: float = 0.0) -> Task:
    """Rows drawn at random, each with fresh Gaussian noise of standard deviation ``noise`` on its inputs."""

    def draw(count: int, generator: Generator) -> Batch:
        at = torch.randint(len(train[0]), (count,), generator=generator)
        x = train[0][at]
        return x + noise * torch.randn(x.shape, generator=generator), train[1][at]

    return Task(draw, len(train[0]), held_out, loss)


@cache
def digits(*, few: bool = False, noise: float = 0.4) -> Task:
    """Noisy images of digits; with ``few`` 300 of them, whose noise stays, and 15 % of the labels drawn at random."""
    generator = Generator().manual_seed(0)
    pixels, names = load_digits(return_X_y=True)
    order = torch.randperm(len(names), generator=generator)
    x = torch.tensor(pixels, dtype=torch.float32)[order].view(-1, 1, 8, 8) / 16
    y = torch.tensor(names)[order]
    val = x[1200:].repeat(4, 1, 1, 1)
    held_out = val + noise * torch.randn(val.shape, generator=generator), y[1200:].repeat(4)
    if not few:
        return from_rows((x[:1200], y[:1200]), held_out, cross_entropy, noise)
    wrong = torch.rand(300, generator=generator) < 0.15
    labels = torch.where(wrong, torch.randint(10, (300,), generator=generator), y[:300])
    return from_rows(
        (x[:300] + noise * torch.randn((300, 1, 8, 8), generator=generator), labels), held_out, cross_entropy
    )


def table(x: Any, y: Any, rows: int) -> Task:
    """Squared error of a target on the scale of its standard deviation: the first ``rows`` are learnt."""
    x = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
    y = torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32).view(-1, 1)
    return from_rows((x[:rows], y[:rows]), (x[rows:], y[rows:]), functional.mse_loss)


@cache
def friedman(rows: int) -> Task:
    """Friedman's first function of ten inputs, with noise: ``rows`` to learn, 4,000 held out."""
    x, y = make_friedman1(rows + 4000, noise=3.0, random_state=0)
    return table(x, y, rows)


@cache
def diabetes() -> Task:
    """How far a disease went in a year: 300 patients to learn, 142 held out."""
    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return table(x[order], y[order], 300)


def gpts() -> Iterator[Recipe]:
    """Four sizes, two batches, three schedules; and two on a slice of the text."""
    make = partial(Recipe, kind="byte-level GPT")
    for (width, lr), (rows, horizon), schedule in product(
        {32: 4e-3, 48: 3e-3, 64: 3e-3, 88: 2e-3}.items(), {6: 2500, 16: 2000}.items(), SCHEDULES
    ):
        name = f"gpt-w{width}-b{rows}-{schedule}"
        plan = {"schedule": schedule, "horizon": horizon, "batch": rows, "peak_lr": lr}
        yield make(name=name, group="gpt", model=partial(demo.GPT, width=width), task=python_sources, **plan)
    for size, schedule in ((16_384, "cosine"), (32_768, "constant")):
        plan = {"schedule": schedule, "horizon": 2000, "batch": 8, "peak_lr": 3e-3, "overfits": True}
        task = partial(python_sources, size)
        yield make(name=f"gpt-slice-{size}-{schedule}", group="gpt-slice", model=demo.GPT, task=task, **plan)


def small_nets(group: str, models: Mapping[int, Callable[[], nn.Module]], **settings: Any) -> Iterator[Recipe]:
    """Each of the models, by its width, on each of the schedules."""
    few = "few-" if settings.get("overfits") else ""
    for (width, model), schedule in product(models.items(), settings.pop("schedules", SCHEDULES)):
        name = f"{group}-w{width}-{few}{schedule}"
        yield Recipe(name=name, group=group, model=model, schedule=schedule, horizon=1500, peak_lr=3e-3, **settings)


FEW: dict[str, Any] = {"overfits": True, "schedules": ("cosine", "constant")}


def on_tables() -> Iterator[Recipe]:
    """Perceptrons on a synthetic table, plenty of it or little, and on a small real one."""
    mlps = {w: partial(MLP, 10, w, 1, norm=False) for w in (16, 96)}
    settings: dict[str, Any] = {"kind": "MLP", "batch": 32}
    yield from small_nets("friedman-mlp", mlps, task=partial(friedman, 20_000), **settings)
    yield from small_nets("friedman-mlp", mlps, task=partial(friedman, 200), **settings, **FEW)
    yield from small_nets("diabetes-mlp", mlps, task=diabetes, **settings, **FEW)


def on_digits() -> Iterator[Recipe]:
    """Perceptrons and convolutional nets, two sizes of each; then again on few images."""
    mlps = {w: partial(MLP, 64, w, 10, norm=True) for w in (32, 128)}
    cnns = {w: partial(CNN, w) for w in (4, 12)}
    few = partial(digits, few=True)
    mlp: dict[str, Any] = {"kind": "MLP with batch-norm", "batch": 64}
    cnn: dict[str, Any] = {"kind": "CNN with batch-norm", "batch": 32}
    yield from small_nets("digits-mlp", mlps, task=digits, **mlp)
    yield from small_nets("digits-mlp", mlps, task=few, **mlp, **FEW)
    yield from small_nets("digits-cnn", cnns, task=digits, **cnn)
    yield from small_nets("digits-cnn", {12: cnns[12]}, task=few, **cnn, **FEW)


def recipes() -> list[Recipe]:
    """Every run of the set, the shortest first."""
    return [*on_tables(), *on_digits(), *gpts()]


def validate(model: nn.Module, task: Task) -> float:
    """Loss on the held-out data."""
    model.eval()
    with torch.no_grad():
        loss = float(task.loss(model(task.held_out[0]), task.held_out[1]))
    model.train()
    return loss


def train(recipe: Recipe) -> Iterator[Row]:
    """Train a fresh model, a row of its log for every step."""
    torch.manual_seed(recipe.seed)
    generator = Generator().manual_seed(recipe.seed)
    model, task, plan = recipe.model(), recipe.task(), recipe.plan()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    for step in range(1, recipe.horizon + 1):
        lr = plan.lr(step)
        optimizer.param_groups[0]["lr"] = recipe.peak_lr * lr
        seen, targets = task.draw(recipe.batch, generator)
        loss = task.loss(model(seen), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        logged = step == 1 or step % TRAIN_EVERY == 0
        validated = step % (recipe.horizon // VALIDATIONS) == 0
        yield step, loss.item() if logged else None, validate(model, task) if validated else None, lr


def described(recipe: Recipe) -> dict[str, Any]:
    """What ``meta.json`` says of a run."""
    count = count_parameters(recipe.model())
    return {
        "kind": recipe.kind,
        "group": recipe.group,
        "num_params": count.non_embedding if count else None,
        "batch": recipe.batch,
        "batch_tokens": recipe.batch * demo.CONTEXT if recipe.group.startswith("gpt") else None,
        "schedule": recipe.schedule,
        "epoch_steps": recipe.task().rows / recipe.batch,
        "horizon": recipe.horizon,
        "warmup": recipe.warmup,
        "peak_lr": recipe.peak_lr,
        "overfits": recipe.overfits,
        "seed": recipe.seed,
    }


def make(chosen: Sequence[Recipe], folder: Path) -> None:
    """Train each, and write its log when it is done."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=sum(recipe.horizon for recipe in chosen))
        for recipe in chosen:
            progress.update(bar, description=recipe.name)
            rows = []
            for row in train(recipe):
                rows.append(row)
                progress.advance(bar)
            (folder / f"{recipe.name}.csv").write_text(as_csv(rows), encoding="utf-8")
            progress.console.print(f"{recipe.name}: {rows[-1][2]:.4g}")


@click.command(help=__doc__.partition("\n    python")[0])
@click.option("--only", multiple=True, metavar="PATTERN", help="Names of the runs to make, as of files in a shell.")
@click.option("--anew", is_flag=True, help="Make those again that are there.")
@click.option("--folder", default=FOLDER, type=click.Path(path_type=Path), help="Where they go.")
def main(only: tuple[str, ...], anew: bool, folder: Path) -> None:
    torch.set_num_threads(1)  # so small models gain little from more, and the sums keep their order
    folder.mkdir(exist_ok=True)
    chosen = [r for r in recipes() if not only or any(fnmatch(r.name, pattern) for pattern in only)]
    make([r for r in chosen if anew or not (folder / f"{r.name}.csv").exists()], folder)
    there = {r.name: described(r) for r in recipes() if (folder / f"{r.name}.csv").exists()}
    write_meta(folder, ABOUT, there)


if __name__ == "__main__":
    main()
