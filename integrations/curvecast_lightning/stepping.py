"""Several schedulers of one optimizer, or one that the module steps itself, as one that can be run ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import CodeType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

# All that a module's `lr_scheduler_step` may name to be called ahead of time: anything else may do more than step.
_COUNTS = frozenset({"step", "step_update", "trainer", "current_epoch", "global_step"})


class Together:
    """Schedulers that move one optimizer, each after those of its steps that it is called for.

    Args:
        optimizer: theirs.
        schedulers: in the order in which Lightning steps them.
        calls: for each of them ``(n,)``: how often it is stepped after each of the next steps.
        epochs: ``(n,)``: the epoch of each of these steps, from 0.
        done: steps that were taken before.
        hook: what steps them, if the module does so itself: its ``lr_scheduler_step``.

    Example:
        >>> class Halving:
        ...     optimizer = SimpleNamespace(param_groups=[{"params": [], "lr": 1.0}])
        ...     def step(self, epoch): self.optimizer.param_groups[0]["lr"] = 0.5**epoch
        >>> hook = lambda self, scheduler, metric: scheduler.step(epoch=self.current_epoch + 1)
        >>> rates = Together(Halving.optimizer, [Halving()], [[0, 1, 0, 1]], [0, 0, 1, 1], hook=hook)
        >>> for _ in range(4):
        ...     rates.step()
        ...     print(rates.optimizer.param_groups[0]["lr"], end=" ")
        1.0 0.5 0.5 0.25
    """

    def __init__(
        self,
        optimizer: Any,
        schedulers: Sequence[Any],
        calls: Sequence[Sequence[int] | NDArray[np.int64]],
        epochs: Sequence[int] | NDArray[np.int64],
        *,
        done: int = 0,
        hook: Callable[..., object] | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.schedulers = list(schedulers)
        self._calls, self._epochs, self._done, self._hook, self._at = calls, epochs, done, hook, 0

    def step(self) -> None:
        """What follows the next optimizer step."""
        epoch, taken = int(self._epochs[self._at]), self._done + self._at + 1
        for scheduler, calls in zip(self.schedulers, self._calls, strict=True):
            for _ in range(int(calls[self._at])):
                if self._hook is None:
                    scheduler.step()
                else:
                    self._hook(_counting(epoch, taken), scheduler, None)
        self._at += 1


def _counting(epoch: int, step: int) -> SimpleNamespace:
    """As much of a module, and of its Trainer, as a count is asked of."""
    counts = {"current_epoch": epoch, "global_step": step}
    return SimpleNamespace(**counts, trainer=SimpleNamespace(**counts))


def does_no_more_than_step(hook: Any) -> bool:
    """Whether a module's ``lr_scheduler_step`` may be called ahead of time: it steps, by a count or none.

    Example:
        >>> does_no_more_than_step(lambda self, scheduler, metric: scheduler.step(epoch=self.current_epoch))
        True
        >>> does_no_more_than_step(lambda self, scheduler, metric: print(scheduler.step()))
        False
    """
    code = getattr(hook, "__code__", None)
    if code is None or code.co_freevars or any(isinstance(const, CodeType) for const in code.co_consts):
        return False
    return _COUNTS.issuperset(code.co_names)


def epochs_of_steps(horizon: int, *, batches: float, accumulation: Callable[[int], int]) -> NDArray[np.int64]:
    """The epoch of each optimizer step, from 0.

    Args:
        horizon: optimizer steps.
        batches: batches an epoch, ``inf`` if unknown.
        accumulation: batches a step, by epoch.

    Example:
        >>> epochs_of_steps(5, batches=3, accumulation=lambda epoch: 2).tolist()
        [0, 0, 1, 1, 2]
    """
    epochs = np.zeros(horizon, dtype=np.int64)
    done = epoch = 0
    while done < horizon and not math.isinf(batches):
        following = done + math.ceil(batches / accumulation(epoch))
        epochs[done:following] = epoch
        done, epoch = following, epoch + 1
    return epochs
