"""What a stranger's run is made of, and the optimizers and schedules that people take."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn, optim
from torch.optim import Optimizer, lr_scheduler

from strangers.tasks import Task

Optim = Callable[[Iterable[Tensor]], Optimizer]
Plan = Callable[[Optimizer, int], Any]  # of an optimizer and how often the scheduler will be called
Part = Literal["open", "sealed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One run.

    Args:
        name: of its file.
        model: a fresh one.
        task: what it learns.
        optimizer: of the parameters that learn, with its rate.
        plan: PyTorch's scheduler; None where the rate is left alone.
        plan_every: optimizer steps from one call of the scheduler to the next; it may be an epoch.
        steps: optimizer steps.
        batch: rows a step, in turn where there are several.
        train_every: steps from one logged train loss to the next; 0 for none.
        means: whether what is logged is the mean over these steps, or the loss of the last.
        val_every: steps from one validation to the next; 0 for none.
        clip: norm of the gradient that is let through.
        average: decay of the averaged weights that are validated.
        first: what is learnt beforehand, for so many steps, unseen.
        low_rank: whether afterwards only low-rank adapters learn.
        lost: shares of the run between which the log is lost, the optimizer beginning anew behind it.
    """

    name: str
    model: Callable[[], nn.Module]
    task: Callable[[], Task]
    optimizer: Optim
    plan: Plan | None = None
    plan_every: int = 1
    steps: int
    batch: int | tuple[int, ...] = 32
    train_every: int = 10
    means: bool = False
    val_every: int = 0
    clip: float = 0.0
    average: float = 0.0
    first: tuple[Callable[[], Task], int] | None = None
    low_rank: bool = False
    lost: tuple[float, float] | None = None

    @property
    def seed(self) -> int:
        """Its own, whatever other recipes there are."""
        return zlib.crc32(self.name.encode()) % 10_000

    @property
    def part(self) -> Part:
        """A coin tossed by the name: whether the curve may be looked at, or is only scored."""
        return "open" if random.Random(f"strangers: {self.name}").random() < 0.5 else "sealed"


def sgd(lr: float, momentum: float = 0.0, **more: Any) -> Optim:
    return partial(optim.SGD, lr=lr, momentum=momentum, **more)


def adam(lr: float, **more: Any) -> Optim:
    return partial(optim.Adam, lr=lr, **more)


def adamw(lr: float, decay: float = 0.01, **more: Any) -> Optim:
    return partial(optim.AdamW, lr=lr, weight_decay=decay, **more)


def cosine(optimizer: Optimizer, calls: int) -> Any:
    return lr_scheduler.CosineAnnealingLR(optimizer, calls)


def warm_cosine(optimizer: Optimizer, calls: int) -> Any:
    """Up for a twentieth, then a cosine to a hundredth."""
    warm = max(calls // 20, 1)
    up = lr_scheduler.LinearLR(optimizer, 0.01, 1.0, warm)
    down = lr_scheduler.CosineAnnealingLR(optimizer, calls - warm, 0.01 * optimizer.param_groups[0]["lr"])
    return lr_scheduler.SequentialLR(optimizer, [up, down], [warm])


def linear(optimizer: Optimizer, calls: int) -> Any:
    return lr_scheduler.LinearLR(optimizer, 1.0, 0.0, calls)


def warm_linear(optimizer: Optimizer, calls: int) -> Any:
    """As Hugging Face's Trainer has it, with a tenth of warm-up."""
    warm = calls // 10
    return lr_scheduler.LambdaLR(optimizer, lambda k: min((k + 1) / warm, (calls - k) / (calls - warm)))


def one_cycle(peak: float) -> Plan:
    return lambda optimizer, calls: lr_scheduler.OneCycleLR(optimizer, peak, calls)


def exponential(last: float) -> Plan:
    """Falling to the share `last`."""
    return lambda optimizer, calls: lr_scheduler.ExponentialLR(optimizer, last ** (1.0 / calls))


def step_by(every: float, factor: float) -> Plan:
    """A drop after each share `every` of the run."""
    return lambda optimizer, calls: lr_scheduler.StepLR(optimizer, round(every * calls), factor)


def drops_at(*shares: float, factor: float = 0.1) -> Plan:
    return lambda optimizer, calls: lr_scheduler.MultiStepLR(optimizer, [round(s * calls) for s in shares], factor)


def polynomial(power: float) -> Plan:
    return lambda optimizer, calls: lr_scheduler.PolynomialLR(optimizer, calls, power)


def restarts(first: float, longer: int = 1) -> Plan:
    """A cosine that begins anew, first after a share `first`."""
    return lambda optimizer, calls: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, round(first * calls), longer)


def on_plateau(patience: int, factor: float = 0.5) -> Plan:
    """To be called with each validation loss."""
    return lambda optimizer, calls: lr_scheduler.ReduceLROnPlateau(optimizer, patience=patience, factor=factor)


def inverse_root(warm: int) -> Plan:
    return lambda optimizer, calls: lr_scheduler.LambdaLR(
        optimizer, lambda k: min((k + 1) / warm, (warm / (k + 1)) ** 0.5)
    )


def warm_up(warm: int) -> Plan:
    """Then constant."""
    return lambda optimizer, calls: lr_scheduler.LinearLR(optimizer, 0.01, 1.0, warm)


def cyclic(low: float, high: float, half: float, mode: Any = "triangular2") -> Plan:
    return lambda optimizer, calls: lr_scheduler.CyclicLR(
        optimizer, low, high, round(half * calls), mode=mode, cycle_momentum=False
    )


def range_test(times: float) -> Plan:
    """The rate grows by this factor: how people look for one."""
    return lambda optimizer, calls: lr_scheduler.ExponentialLR(optimizer, times ** (1.0 / calls))
