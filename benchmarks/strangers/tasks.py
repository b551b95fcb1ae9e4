"""What the networks of ``stranger_runs.py`` learn: data in memory, and a loss of a network on a batch of them."""

from __future__ import annotations

import math
import pydoc_data.topics
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from torch import Generator, Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import lightning_gpt as demo

Batch = tuple[Tensor, ...]
Draw = Callable[[int, Generator], Batch]

SYMBOLS = 128  # bytes told apart
WORDS = 4000  # the commonest; all others are one


@dataclass(frozen=True, slots=True)
class Task:
    """Data, and the loss of a network on a batch.

    Args:
        draw: a random training batch of so many rows.
        held_out: the validation data, all in one batch.
        loss: of a network on a batch: a mean over its rows.
        unit: of the loss.
    """

    draw: Draw
    held_out: Batch
    loss: Callable[[nn.Module, Batch], Tensor]
    unit: str


def gauss(*shape: int, by: Generator) -> Tensor:
    return torch.randn(shape, generator=by)


def fixed(seed: int = 1) -> Generator:
    """What held-out data and teachers are drawn with."""
    return Generator().manual_seed(seed)


def rows_of(*columns: Tensor) -> Draw:
    """Rows drawn at random."""

    def draw(count: int, by: Generator) -> Batch:
        at = torch.randint(len(columns[0]), (count,), generator=by)
        return tuple(column[at] for column in columns)

    return draw


def of_outputs(loss: Callable[..., Tensor]) -> Callable[[nn.Module, Batch], Tensor]:
    """The loss of outputs and targets, as that of a network on ``(inputs, targets)``."""

    def of(model: nn.Module, batch: Batch) -> Tensor:
        return loss(model(batch[0]), batch[1])

    return of


def cross_entropy(outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over all but the last axis of the outputs [nats]; targets of -100 are left out."""
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), label_smoothing=smoothing)


def split(x: Tensor, y: Tensor, rows: int, loss: Callable[..., Tensor], unit: str) -> Task:
    """The first rows, in a seeded order, to learn; the rest held out."""
    order = torch.randperm(len(x), generator=fixed(0))
    x, y = x[order], y[order]
    return Task(rows_of(x[:rows], y[:rows]), (x[rows:], y[rows:]), of_outputs(loss), unit)


# Text.


@cache
def manual() -> tuple[Tensor, Tensor]:
    """Python's reference manual as `pydoc` has it, in English: bytes to learn, and the last tenth held out."""
    topics = "\n\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))
    text = torch.tensor(list(topics.encode("ascii", "replace")))
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


@cache
def sources() -> tuple[Tensor, Tensor]:
    """Python's standard library."""
    train, val = demo.standard_library()
    return train.long().clamp_(max=SYMBOLS - 1), val.long().clamp_(max=SYMBOLS - 1)


def windows(text: Tensor, time: int, count: int, by: Generator) -> Tensor:
    starts = torch.randint(len(text) - time, (count, 1), generator=by)
    return text[starts + torch.arange(time)]


def next_symbols(
    text: tuple[Tensor, Tensor], time: int, *, train: int | None = None, smoothing: float = 0.0, held_out: int = 96
) -> Task:
    """Each symbol of a window from those before it."""

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        found = windows(part, time + 1, count, by)
        return found[:, :-1], found[:, 1:]

    loss = of_outputs(partial(cross_entropy, smoothing=smoothing))
    return Task(partial(draw, text[0][:train]), draw(text[1], held_out, fixed()), loss, "nats/byte")


def last_symbol(text: tuple[Tensor, Tensor], time: int) -> Task:
    """The one symbol that follows a window."""

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        found = windows(part, time + 1, count, by)
        return found[:, :-1], found[:, -1]

    return Task(partial(draw, text[0]), draw(text[1], 2000, fixed()), of_outputs(cross_entropy), "nats/byte")


def masked_symbols(text: tuple[Tensor, Tensor], time: int) -> Task:
    """A seventh of the symbols of a window, from all others."""

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        found = windows(part, time, count, by)
        hidden = torch.rand(found.shape, generator=by) < 0.15
        return found.masked_fill(hidden, 0), found.masked_fill(~hidden, -100)

    return Task(partial(draw, text[0]), draw(text[1], 128, fixed()), of_outputs(cross_entropy), "nats/masked byte")


def skip_grams(text: tuple[Tensor, Tensor], rows: int = 2000) -> Task:
    """Which words stand near one another, against words drawn at random (Mikolov et al. 2013, arXiv:1310.4546)."""
    spelt = bytes(torch.cat(text).tolist()).decode("ascii").split()
    names = {word: k for k, (word, _) in enumerate(Counter(spelt).most_common(WORDS - 1), start=1)}
    words = torch.tensor([names.get(word, 0) for word in spelt])
    cut = len(words) * 9 // 10

    def draw(part: Tensor, count: int, by: Generator) -> Batch:
        at = torch.randint(3, len(part) - 3, (count,), generator=by)
        near = torch.randint(1, 4, (count,), generator=by) * (2 * torch.randint(2, (count,), generator=by) - 1)
        others = part[torch.randint(len(part), (count, 5), generator=by)]
        return part[at], torch.cat([part[at + near][:, None], others], 1)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        pairs = torch.stack([batch[0][:, None].expand_as(batch[1]), batch[1]], -1)
        fits = model(pairs.flatten(0, 1)).view(batch[1].shape)
        return -(functional.logsigmoid(fits[:, 0]) + functional.logsigmoid(-fits[:, 1:]).sum(1)).mean()

    return Task(partial(draw, words[:cut]), draw(words[cut:], rows, fixed()), loss, "nats/pair")


# Sequences that are made.


def sequences(make: Callable[[Tensor], Tensor], symbols: int, time: int) -> Task:
    """Random symbols, a mark, and what `make` makes of them: only that counts."""

    def draw(count: int, by: Generator) -> Batch:
        asked = torch.randint(1, symbols, (count, time), generator=by)
        whole = torch.cat([asked, torch.zeros(count, 1, dtype=torch.long), make(asked)], 1)
        targets = whole[:, 1:].clone()
        targets[:, :time] = -100
        return whole[:, :-1], targets

    return Task(draw, draw(400, fixed()), of_outputs(cross_entropy), "nats/symbol")


def parity(bits: int) -> Task:
    """Whether the number of ones is odd."""

    def draw(count: int, by: Generator) -> Batch:
        x = torch.randint(2, (count, bits), generator=by)
        return x.float()[..., None], x.sum(1) % 2

    return Task(draw, draw(1000, fixed()), of_outputs(cross_entropy), "nats/row")


def modular_sums(prime: int, share: float) -> Task:
    """``a + b`` modulo a prime: a share of all pairs to learn (Power et al. 2022, arXiv:2201.02177)."""
    a, b = torch.meshgrid(torch.arange(prime), torch.arange(prime), indexing="ij")
    x, y = torch.stack([a.flatten(), b.flatten()], 1), ((a + b) % prime).flatten()
    return split(x, y, round(share * len(x)), lambda out, y: cross_entropy(out[:, -1], y), "nats/sum")


def waves() -> Task:
    """The next value of two noisy sines, from 24 before it."""

    def draw(count: int, by: Generator) -> Batch:
        phase, pace = (torch.rand(count, 2, 1, generator=by) * high for high in (2 * math.pi, 0.6))
        wave = torch.sin(phase + pace * torch.arange(25)).sum(1) + 0.1 * gauss(count, 25, by=by)
        return wave[:, :-1, None], wave[:, -1:]

    return Task(draw, draw(1000, fixed()), of_outputs(functional.mse_loss), "squared amplitude")


# Tables and functions.


def table(
    load: Callable[..., tuple[np.ndarray, np.ndarray]], rows: int, loss: Callable[..., Tensor], unit: str
) -> Task:
    """One of scikit-learn's tables, its columns on the scale of their standard deviations; targets as they are."""
    x, y = load(return_X_y=True)
    inputs = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
    return split(inputs, torch.tensor(y) if y.dtype.kind == "i" else torch.tensor(y).float()[:, None], rows, loss, unit)


cancer = partial(table, load_breast_cancer, 400, cross_entropy, "nats/patient")
wine = partial(table, load_wine, 120, cross_entropy, "nats/wine")
diabetes = partial(table, load_diabetes, 300, partial(functional.huber_loss, delta=30.0), "Huber loss of the score")


def prices() -> Task:
    """A made target of five inputs, from 0 to 2,000, learnt as it is."""

    def draw(count: int, by: Generator) -> Batch:
        x = torch.rand(count, 5, generator=by)
        y = 1000 * (x[:, 0] * x[:, 1] + torch.sin(6 * x[:, 2]) ** 2 * x[:, 3]) + 50 * torch.randn(count, generator=by)
        return x, y[:, None]

    return Task(draw, draw(2000, fixed()), of_outputs(functional.mse_loss), "squared price")


def uneven() -> Task:
    """A mean and a spread that both vary, by the Gaussian log-likelihood."""

    def draw(count: int, by: Generator) -> Batch:
        x = 4.0 * torch.rand(count, 2, generator=by) - 2.0
        spread = 0.05 + 0.15 * torch.sigmoid(3.0 * x[:, 1])
        return x, (torch.sin(3.0 * x[:, 0]) * x[:, 1] + spread * torch.randn(count, generator=by))[:, None]

    def loss(out: Tensor, y: Tensor) -> Tensor:
        return functional.gaussian_nll_loss(out[:, :1], y, functional.softplus(out[:, 1:]) + 1e-4)

    return Task(draw, draw(2000, fixed()), of_outputs(loss), "nats/row, without the constant")


def ratings(shown: int, noise: float = 0.5) -> Task:
    """Made ratings of 400 items by 300 users: a product of four factors, and noise."""
    by = fixed(0)
    truth = gauss(300, 4, by=by) @ gauss(400, 4, by=by).T / 2.0
    pairs = torch.randperm(truth.numel(), generator=by)[: shown + 5000]
    x = torch.stack([pairs // 400, pairs % 400], 1)
    return split(x, truth[x[:, 0], x[:, 1]] + noise * gauss(len(x), by=by), shown, functional.mse_loss, "squared stars")


def taught(teacher: nn.Module, inputs: int, loss: Callable[..., Tensor], unit: str) -> Task:
    """What another network says of Gaussian inputs."""
    teacher.requires_grad_(False)

    def draw(count: int, by: Generator) -> Batch:
        x = gauss(count, inputs, by=by)
        return x, teacher(x)

    return Task(draw, draw(1000, fixed()), of_outputs(loss), unit)


def divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    """Kullback-Leibler's, of two sets of logits [nats]."""
    return functional.kl_div(outputs.log_softmax(-1), targets.log_softmax(-1), log_target=True, reduction="batchmean")


def equation() -> Task:
    """``u'' = -pi^2 sin(pi x)``, ``u`` zero at both ends (Raissi et al. 2019): the mean square of what is left."""

    def draw(count: int, by: Generator) -> Batch:
        return (2.0 * torch.rand(count, 1, generator=by) - 1.0,)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        with torch.enable_grad():
            x = batch[0].clone().requires_grad_()
            u = model(x)
            (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
            left = bend + math.pi**2 * torch.sin(math.pi * x)
            ends: Tensor = model(torch.tensor([[-1.0], [1.0]]))
            return (left**2).mean() + 10.0 * (ends**2).mean()

    return Task(draw, (torch.linspace(-1, 1, 200)[:, None],), loss, "squared residual")
