"""The learning rate that a Trainer is going to use: its schedulers, replayed over the plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvecast import Watcher
from curvecast.schedule import Schedule, is_conditional, replay_lrs
from curvecast_lightning.horizon import lead
from curvecast_lightning.stepping import Together, does_no_more_than_step, epochs_of_steps

_OF_TRAINER = frozenset({"global_step", "current_epoch"})
AGREEMENT = 1e-3  # a schedule remembered and one replayed are the same up to this share of the peak


@dataclass(frozen=True, slots=True)
class PlannedRates:
    """The LR of every step of the plan.

    Args:
        schedule: relative to the peak.
        peak: the LR that `schedule` calls 1 [the optimizer's unit].
    """

    schedule: Schedule
    peak: float

    @classmethod
    def from_lrs(cls, lrs: NDArray[np.float64]) -> PlannedRates:
        """From ``(n,)`` absolute LRs of steps ``1..n``."""
        return cls(Schedule.from_array(lrs), float(lrs.max()))


def rates_seen(watcher: Watcher) -> PlannedRates | None:
    """The LR of every step that a watcher has seen; None where it was told of none."""
    steps, rates = watcher.seen.rates.knots(watcher.step)
    if max(rates, default=0.0) <= 0.0:
        return None
    return PlannedRates.from_lrs(np.interp(np.arange(1, watcher.step + 1), steps, rates))


def planned_rates(
    trainer: Any,
    module: Any,
    horizon: int,
    *,
    accumulation: Callable[[int], int],
    past: PlannedRates | None = None,
    batches: float | None = None,
) -> tuple[PlannedRates | None, str]:
    """The LR of every step up to the horizon.

    Args:
        trainer: a Trainer at ``on_train_start``.
        module: its LightningModule.
        horizon: steps of the plan [optimizer steps].
        accumulation: batches a step, by epoch.
        past: what was planned, in a run that is taken up again; a scheduler cannot be run backwards.
        batches: of an epoch, where the first one told more than the Trainer does.

    Returns:
        The plan, or None with the reason why it is not known; no reason where there is no scheduler: the LR is
        taken to be held, but code of the user's may still set it, so what the optimizer shows is to be followed.
    """
    configs = configs_of_first(trainer)
    batches = trainer.num_training_batches if batches is None else batches
    try:
        why = _unforeseeable(module, configs, batches)
        if why or not configs:
            return None, why
        future, done = _replayed(trainer, module, horizon, configs, accumulation=accumulation, batches=batches)
        return _joined(past, done, future), ""
    except ValueError as error:  # a rate below zero, or none at all: the run will tell, we cannot plan with it
        return None, f"the planned learning rates cannot be used ({error})"
    except Exception as error:  # a scheduler of the user's own, which may hold anything and raise anything
        return None, f"{type(configs[0].scheduler).__name__} cannot be run ahead: {error.__cause__ or error}"


def _replayed(
    trainer: Any,
    module: Any,
    horizon: int,
    configs: Sequence[Any],
    *,
    accumulation: Callable[[int], int],
    batches: float,
) -> tuple[NDArray[np.float64], int]:
    """The LR of every step that is left, and how many were taken."""
    done = min(trainer.global_step, horizon)
    ahead = 0 if math.isinf(trainer.num_training_batches) else min(lead(trainer), done)
    length: dict[str, Any] = {"batches": batches, "accumulation": accumulation}
    configs = sorted(configs, key=lambda config: bool(config.interval == "epoch"))  # these are stepped last
    calls = [
        lr_steps(horizon - ahead, **length, interval=config.interval, frequency=config.frequency)[done - ahead :]
        for config in configs
    ]
    share = (trainer, module)
    hook = type(module).lr_scheduler_step if _is_overridden(module, "lr_scheduler_step") else None
    if hook is None and len(configs) == 1:
        return replay_lrs(configs[0].scheduler, horizon - done, stepped=calls[0], share=share), done
    epochs = epochs_of_steps(horizon - ahead, **length)[done - ahead :]
    schedulers = [config.scheduler for config in configs]
    together = Together(trainer.optimizers[0], schedulers, calls, epochs, done=done, hook=hook)
    return replay_lrs(together, horizon - done, share=share), done


def lr_steps(
    horizon: int, *, batches: float, accumulation: Callable[[int], int], interval: str, frequency: int
) -> NDArray[np.int64]:
    """How often Lightning steps a scheduler after each optimizer step.

    A 'step' scheduler moves at an optimizer step whose batch, numbered from 1 within its epoch, is divisible
    by `frequency`; an 'epoch' scheduler on the last batch of every `frequency`-th epoch.

    Args:
        horizon: optimizer steps.
        batches: batches an epoch, ``inf`` if unknown.
        accumulation: batches a step, by epoch.
        interval: 'step' or 'epoch'.
        frequency: at least 1.

    Returns:
        ``(horizon,)``: 1 where the scheduler steps, else 0.

    Example:
        >>> lr_steps(6, batches=5, accumulation=lambda epoch: 2, interval="epoch", frequency=1).tolist()
        [0, 0, 1, 0, 0, 1]
        >>> lr_steps(6, batches=5, accumulation=lambda epoch: 2, interval="step", frequency=4).tolist()
        [0, 1, 0, 0, 1, 0]
    """
    calls = np.zeros(horizon, dtype=np.int64)
    done = epoch = 0
    while done < horizon:
        every = accumulation(epoch)
        steps = horizon - done if math.isinf(batches) else math.ceil(batches / every)
        if interval == "step":
            reached = np.minimum(every * np.arange(1, steps + 1), batches)
            calls[done : done + steps] = (reached % frequency == 0)[: horizon - done]
        elif done + steps <= horizon and (epoch + 1) % frequency == 0 and not math.isinf(batches):
            calls[done + steps - 1] = 1
        done += steps
        epoch += 1
    return calls


def configs_of_first(trainer: Any) -> list[Any]:
    """The scheduler configurations of the optimizer whose LR we follow: the first."""
    first = trainer.optimizers[0] if trainer.optimizers else None
    return [c for c in trainer.lr_scheduler_configs if getattr(c.scheduler, "optimizer", first) is first]


def _unforeseeable(module: Any, configs: list[Any], batches: float) -> str:
    if not configs:
        return ""
    if not module.automatic_optimization:
        return "manual optimization steps the scheduler where it likes"
    is_own = _is_overridden(module, "lr_scheduler_step")
    if is_own and not does_no_more_than_step(type(module).lr_scheduler_step):
        return "the module steps the scheduler itself, and does more than that in lr_scheduler_step"
    if any(config.interval == "epoch" for config in configs) and math.isinf(batches):
        return "the scheduler steps by epochs, and the training data has no length"
    for scheduler in (config.scheduler for config in configs):
        if _waits(scheduler, told_epoch=is_own):
            return f"{type(scheduler).__name__} waits for a metric"
        if _counts_by_trainer(scheduler):
            return f"a function of {type(scheduler).__name__} reads the Trainer's own count"
    return ""


def _waits(scheduler: Any, *, told_epoch: bool) -> bool:
    """Whether a scheduler waits for a metric; one that must be told the epoch is no failure where the module tells."""
    try:
        return is_conditional(scheduler)
    except TypeError:
        if told_epoch:
            return False
        raise


def waits_for_metric(trainer: Any) -> bool:
    """Whether a metric yet to come moves the LR: nobody could name the schedule then, so it is not asked for.

    Args:
        trainer: a Trainer at ``on_train_start``.

    Example:
        >>> from types import SimpleNamespace
        >>> class OnPlateau:
        ...     optimizer = SimpleNamespace(param_groups=[])
        ...     def step(self, metrics): ...
        >>> scheduler = OnPlateau()
        >>> config = SimpleNamespace(scheduler=scheduler)
        >>> waits_for_metric(SimpleNamespace(optimizers=[scheduler.optimizer], lr_scheduler_configs=[config]))
        True
    """
    try:
        return any(is_conditional(config.scheduler) for config in configs_of_first(trainer))
    except TypeError:  # one that must be told the epoch
        return False


def _counts_by_trainer(scheduler: Any) -> bool:
    """Whether a scheduler's functions ask the Trainer how far it is, which stands still while they are run ahead."""
    inner = getattr(scheduler, "_schedulers", ())
    functions = (getattr(function, "__func__", function) for function in getattr(scheduler, "lr_lambdas", ()))
    codes = (getattr(function, "__code__", None) for function in functions)
    return any(code is not None and not _OF_TRAINER.isdisjoint(code.co_names) for code in codes) or any(
        map(_counts_by_trainer, inner)
    )


def _is_overridden(module: Any, hook: str) -> bool:
    home = str(getattr(type(module), hook).__module__)
    return not home.startswith(("pytorch_lightning.", "lightning."))


def _joined(past: PlannedRates | None, done: int, future: NDArray[np.float64]) -> PlannedRates | None:
    """What is remembered up to step `done`, then `future`; the remembered whole where the two agree."""
    if done == 0:
        return PlannedRates.from_lrs(future)
    if past is None:
        # Nothing is known of the steps before: the LR that the run goes on with is the best guess for them.
        return PlannedRates.from_lrs(np.concatenate([np.repeat(future[:1], done), future])) if len(future) else None
    ahead = np.arange(done + 1, done + len(future) + 1)
    gap = np.abs(past.peak * past.schedule.lr(ahead) - future)
    if past.schedule.horizon == done + len(future) and np.all(gap <= AGREEMENT * past.peak):
        return past
    seen = past.peak * past.schedule.lr(np.arange(1, done + 1))
    return PlannedRates.from_lrs(np.concatenate([seen, future]))
