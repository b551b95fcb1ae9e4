"""What looks like a mistake in a plan, told before the run has paid for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from curvecast import Schedule
from curvecast_lightning.horizon import accumulation_by_epoch, planned_steps
from curvecast_lightning.plan import Plan
from curvecast_lightning.schedule import configs_of_first, lr_steps

NOTHING = 1e-6  # share of the peak rate at which nothing is learnt any more
IDLE = 0.05  # share of the plan at that rate from which on it is told of
HARDLY = 0.02  # a decay of less than this share is none that anybody planned
OWN = "curvecast"  # what the names of our metrics begin with
NO_LOSSES = {
    *("acc", "accuracy", "auc", "auroc", "precision", "recall", "f1", "score"),
    *("iou", "miou", "dice", "map", "psnr", "ssim", "bleu", "rouge", "r2", "return", "reward"),
}


def doubts(trainer: Any, module: Any, plan: Plan, *, given: Plan, monitor: str | None) -> list[str]:
    """Sentences on what the user most likely did not mean; none where all looks well.

    Args:
        trainer: a Trainer at ``on_train_start``.
        module: its LightningModule.
        plan: what the run is going to be.
        given: what the user said of it.
        monitor: the metric that the user named.
    """
    of_monitor = [*_of_monitor(monitor), *_of_stoppers(trainer)]
    if given.horizon is not None:
        planned, _ = planned_steps(trainer, automatic=module.automatic_optimization)
        if of_horizon := list(_of_horizon(given.horizon, planned)):
            return of_monitor + of_horizon  # to that horizon no scheduler was made
    if plan.schedule is None or plan.peak_lr is None:  # not replayed, so no scheduler is at fault
        return of_monitor
    return of_monitor + list(_of_scheduler(trainer, plan.schedule))


def _of_monitor(monitor: str | None) -> Iterator[str]:
    """A metric that rises as the model gets better is no loss.

    Example:
        >>> [bool(list(_of_monitor(name))) for name in ("val_acc", "valid/F1-score", "val_loss", "backlog", None)]
        [True, True, False, False, False]
    """
    words = set(re.split(r"[^a-z0-9]+", (monitor or "").lower()))
    if words & NO_LOSSES and "loss" not in words:
        yield (
            f"{monitor!r} does not sound like a loss. Forecasts and verdicts are about a loss that falls: "
            "pass its name as CurveCast(monitor=...)."
        )


def _of_stoppers(trainer: Any) -> Iterator[str]:
    """An EarlyStopping that takes a forecast which is not there yet for a loss that is no number.

    Example:
        >>> from types import SimpleNamespace
        >>> stopper = SimpleNamespace(monitor="curvecast/forecast", check_finite=True)
        >>> print(*_of_stoppers(SimpleNamespace(callbacks=[stopper])))
        EarlyStopping('curvecast/forecast') will stop the run before there is a forecast: until then that is NaN. Pass \
it check_finite=False.
    """
    for callback in trainer.callbacks:
        wanted = str(getattr(callback, "monitor", None))
        if wanted.startswith(OWN) and getattr(callback, "check_finite", False):
            yield (
                f"EarlyStopping({wanted!r}) will stop the run before there is a forecast: until then that is NaN. "
                "Pass it check_finite=False."
            )


def _of_horizon(given: int, planned: int | None) -> Iterator[str]:
    if planned is not None and given < planned / 2:
        yield (
            f"CurveCast(horizon={given}) ends long before the Trainer, which is going to take {planned} optimizer "
            "steps. A horizon counts optimizer steps, not epochs; leave it out to have it found."
        )


def _of_scheduler(trainer: Any, schedule: Schedule) -> Iterator[str]:
    configs = configs_of_first(trainer)
    config, by_epochs = configs[0], all(config.interval == "epoch" for config in configs)
    if len(configs) > 1:  # what one of them was made for, another may change
        yield from _of_rates(schedule, once_an_epoch=by_epochs)
        return
    stepped = lr_steps(
        schedule.horizon,
        batches=trainer.num_training_batches,
        accumulation=accumulation_by_epoch(trainer),
        interval=config.interval,
        frequency=config.frequency,
    )
    calls = int(stepped.sum())
    kind = type(config.scheduler).__name__
    length = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max"}.get(kind, "")
    made_for = getattr(config.scheduler, length, calls)
    # The rate after the last step is used by none, but OneCycleLR raises all the same where it is asked for it.
    if (calls if kind == "OneCycleLR" else int(stepped[:-1].sum())) > made_for:
        then = "it raises an error after that" if kind == "OneCycleLR" else "the learning rate rises again after that"
        yield (
            f"{kind}({length}={made_for}) is going to be stepped {calls} times, and {then}. "
            f"If that is not meant, pass {length}={calls}."
        )
    else:
        yield from _of_rates(schedule, once_an_epoch=by_epochs)


def _of_rates(schedule: Schedule, *, once_an_epoch: bool) -> Iterator[str]:
    """What the learning rates themselves show.

    Example:
        >>> short = Schedule.from_array([1.0, 0.5, 0.0, *[0.0] * 97])
        >>> print(*_of_rates(short, once_an_epoch=False))
        The learning rate is zero from step 3 of 100 on. Was the scheduler made for fewer steps?
        >>> rising = Schedule.from_array([0.01 * step for step in range(1, 101)])
        >>> print(*_of_rates(rising, once_an_epoch=False))
        The learning rate rises until step 100 of 100. Is its warm-up too long for this run?
    """
    by_epochs = " It is stepped once an epoch: where it counts steps, return it with 'interval': 'step'."
    steps, peak = schedule.horizon, max(schedule.knot_lrs)
    if not peak > 0.0:
        yield f"The learning rate is zero at each of {steps:,} steps.{by_epochs if once_an_epoch else ''}"
        return
    rates = np.asarray(schedule.lr(np.arange(1, steps + 1)), dtype=np.float64) / peak
    alive = int(np.flatnonzero(rates > NOTHING)[-1]) + 1
    risen = int(np.flatnonzero(np.diff(rates, prepend=0.0) > NOTHING)[-1]) + 1
    falls = 1.0 - float(rates[rates.argmax() :].min())  # at the lowest: after a restart it may end high
    if steps - alive > max(IDLE * steps, 1):
        gone = f"from step {alive + 1:,} of {steps:,} on"
        yield f"The learning rate is zero {gone}. Was the scheduler made for fewer steps?"
    elif falls <= NOTHING and risen > steps / 2 > 1:
        asked = by_epochs if once_an_epoch else " Is its warm-up too long for this run?"
        yield f"The learning rate rises until step {risen:,} of {steps:,}.{asked}"
    elif NOTHING < falls < HARDLY:
        asked = by_epochs if once_an_epoch else " Was the scheduler made for more steps?"
        yield f"The learning rate falls by less than {HARDLY:.0%} over the run.{asked}"
