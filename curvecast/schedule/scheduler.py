"""Run a learning-rate scheduler ahead on a detached copy."""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def replay_lrs(
    scheduler: Any,
    steps: int,
    *,
    interval: int = 1,
    stepped: Sequence[int] | NDArray[Any] | Callable[[int], int] | None = None,
    share: Iterable[object] = (),
) -> NDArray[np.float64]:
    """LRs of the next `steps` optimizer steps, from the scheduler's present state.

    The first is the LR that the next optimizer step will use. The live scheduler and its optimizer stay as
    they are, no warning is raised, and torch is not imported. With several param groups the one with the
    largest peak LR counts. A scheduler that raises ValueError past its end (OneCycleLR), or that waits for a
    metric (see `is_conditional`), holds its last LR.

    Args:
        scheduler: an object with ``optimizer.param_groups`` and ``step()``, or one that wraps it in
            ``.scheduler`` (Accelerate).
        steps: how many, at least 0 [optimizer steps].
        interval: ``scheduler.step()`` is called after every `interval`-th of these steps.
        stepped: instead of `interval`, how often ``scheduler.step()`` is called after each of these steps
            (True is once): ``(steps,)``, or a function of the step's index from 0.
        share: objects that the copy must not copy (module, trainer), where the scheduler refers to them.
            Parameters, and what a bound method among its functions belongs to, are shared anyway.

    Returns:
        ``(steps,)``: absolute LRs.

    Raises:
        ValueError: if `interval` < 1, or `stepped` is shorter than `steps`.
        TypeError: if the scheduler cannot be stepped or copied.

    Example:
        >>> from types import SimpleNamespace
        >>> class Halving:
        ...     optimizer = SimpleNamespace(param_groups=[{"params": [], "lr": 1.0}])
        ...     def step(self):
        ...         self.optimizer.param_groups[0]["lr"] /= 2
        >>> replay_lrs(Halving(), 5, interval=2).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    if steps < 0 or interval < 1:
        raise ValueError(f"`steps` must not be negative and `interval` at least 1: got {steps}, {interval}.")
    calls = _calls(steps, interval, stepped)
    scheduler = _unwrap(scheduler)
    conditional = is_conditional(scheduler)
    ghost = _detached(scheduler, share)
    groups = ghost.optimizer.param_groups
    lrs = np.empty((steps, len(groups)))
    with warnings.catch_warnings(action="ignore"):
        for i in range(steps):
            lrs[i] = [float(group["lr"]) for group in groups]
            try:
                for _ in range(0 if conditional else calls[i]):
                    ghost.step()
            except ValueError:
                lrs[i + 1 :] = lrs[i]
                break
    return lrs[:, np.argmax(lrs.max(axis=0))] if steps else np.empty(0)


def is_conditional(scheduler: Any) -> bool:
    """Whether the future of a scheduler depends on a metric yet to come (ReduceLROnPlateau).

    Raises:
        TypeError: if it has no optimizer or no ``step()``, or must be told the epoch.

    Example:
        >>> from types import SimpleNamespace
        >>> class OnPlateau:
        ...     optimizer = SimpleNamespace(param_groups=[{"params": [], "lr": 1.0}])
        ...     def step(self, metrics): ...
        >>> is_conditional(OnPlateau())
        True
    """
    scheduler = _unwrap(scheduler)
    needed = [
        p.name
        for p in inspect.signature(scheduler.step).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if {"epoch", "step", "num_updates"} & set(needed):
        raise TypeError(
            f"`scheduler.step()` must need no argument: got {type(scheduler).__name__}, which needs "
            f"{', '.join(needed)}. Pass the LRs yourself: Schedule.from_array(lrs)."
        )
    return bool(needed)


def has_stepped(scheduler: Any) -> bool:
    """Whether ``step()`` was called since the scheduler was made."""
    return any((getattr(s, "last_epoch", 0) or 0) > 0 for s in _family(_unwrap(scheduler)))


class _Taken:
    """`optimizer.step` as torch wants to see it before a scheduler steps: wrapped, and called."""

    _wrapped_by_lr_sched = True
    _with_counter = True

    def __call__(self, *_: object) -> None:
        pass


class _StandIn:
    """What a scheduler needs of an optimizer: groups without their parameters."""

    # Torch looks here for a step already taken. Raising the scheduler's own `_step_count` instead would
    # silence it too, but SWALR computes its LR from that count.
    _opt_called = True
    _step_count = 1

    def __init__(self, optimizer: Any) -> None:
        self.param_groups = [
            {"params": []} | {k: copy.deepcopy(v) for k, v in group.items() if k != "params"}
            for group in optimizer.param_groups
        ]
        self.defaults = dict(getattr(optimizer, "defaults", {}))
        self.step = _Taken()


def _unwrap(scheduler: Any) -> Any:
    while not hasattr(scheduler, "optimizer") and hasattr(scheduler, "scheduler"):
        scheduler = scheduler.scheduler
    if not callable(getattr(scheduler, "step", None)) or not hasattr(
        getattr(scheduler, "optimizer", None), "param_groups"
    ):
        raise TypeError(
            f"`scheduler` must have step() and optimizer.param_groups: got {type(scheduler).__name__}. "
            "Pass a torch LRScheduler, or the LRs: Schedule.from_array(lrs)."
        )
    return scheduler


def _family(scheduler: Any) -> Iterator[Any]:
    """The scheduler and those inside it (SequentialLR, ChainedScheduler, and their like)."""
    yield scheduler
    for name, value in getattr(scheduler, "__dict__", {}).items():
        for child in value if isinstance(value, list | tuple) else [value]:
            if name != "optimizer" and callable(getattr(child, "step", None)) and hasattr(child, "optimizer"):
                yield from _family(child)


def _detached(scheduler: Any, share: Iterable[object]) -> Any:
    """A copy of the scheduler on an optimizer without parameters or state."""
    kept = list(share)
    optimizers = {}
    for member in _family(scheduler):
        optimizers[id(member.optimizer)] = member.optimizer
        for value in getattr(member, "__dict__", {}).values():
            for item in value if isinstance(value, list | tuple) else [value]:
                while isinstance(item, functools.partial):
                    item = item.func
                owner = getattr(item, "__self__", None)
                # A lambda that is a method of the model would copy the model.
                if inspect.ismethod(item) and owner is not member:
                    kept.append(owner)
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            kept.extend(group.get("params", ()))
    memo = {id(item): item for item in kept}
    memo.update({key: _StandIn(optimizer) for key, optimizer in optimizers.items()})
    try:
        return copy.deepcopy(scheduler, memo)
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"`scheduler` must be copyable: got {type(scheduler).__name__}, {error}. "
            "Pass share= what it must not copy, or the LRs: Schedule.from_array(lrs)."
        ) from error


def _calls(steps: int, interval: int, stepped: Sequence[int] | NDArray[Any] | Callable[[int], int] | None) -> list[int]:
    if stepped is None:
        return [int((i + 1) % interval == 0) for i in range(steps)]
    if callable(stepped):
        return [int(stepped(i)) for i in range(steps)]
    if len(stepped) < steps:
        raise ValueError(f"`stepped` must cover every step: got {len(stepped)} of {steps}.")
    return [int(k) for k in stepped[:steps]]
