"""What a run is going to be: steps, learning rates, model size, tokens; and what could not be found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from curvecast import Schedule
from curvecast_lightning.counting import batch_tokens, count_parameters, has_no_tokens, told_of_batch
from curvecast_lightning.horizon import (
    accumulation_by_epoch,
    ends_first_epoch,
    planned_steps,
    replicas,
    steps_by_epoch,
    steps_of_epoch,
    waits_for_epoch,
)
from curvecast_lightning.schedule import PlannedRates, planned_rates, waits_for_metric

SCHEMA = 1
_FROZEN = 0.1  # of all parameters: who freezes more of them goes on with a network that was trained before
_TELLS = 1e5  # parameters: up to here a size tells how any network learns, above it only how a language model does


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's plan, as far as it is known.

    Args:
        horizon: planned optimizer steps.
        schedule: relative LR at every step.
        peak_lr: the LR that `schedule` calls 1; None where the user gave the schedule.
        num_params: non-embedding parameters N; None where they tell nothing (``without_size``).
        batch_tokens: B, over all ranks and accumulated batches [tokens/step].
        dataset_tokens: unique tokens of the data.
        epoch_steps: optimizer steps of one pass over the data.
        first_epoch: steps of the first epoch, where nothing but they told the horizon.
        strayed: the step at which the optimizer was seen to keep to other rates than its scheduler, run ahead, had.
        counted: how N was counted, and why it is left out.
        lr_held: whether nothing is known that would change the LR: there is no scheduler.
        unknown: pairs of an argument and why it is not known.
    """

    horizon: int | None = None
    schedule: Schedule | None = None
    peak_lr: float | None = None
    num_params: int | None = None
    batch_tokens: int | None = None
    dataset_tokens: int | None = None
    epoch_steps: float | None = None
    first_epoch: int | None = None
    strayed: int | None = None
    counted: str = "given"
    lr_held: bool = False
    unknown: tuple[tuple[str, str], ...] = ()

    def to_dict(self, *, monitor: str | None) -> dict[str, Any]:
        """Plain types: the sidecar beside a log, and part of a checkpoint."""
        return {
            "schema": SCHEMA,
            "horizon": self.horizon,
            "num_params": self.num_params,
            "batch_tokens": self.batch_tokens,
            "dataset_tokens": self.dataset_tokens,
            "epoch_steps": self.epoch_steps,
            **({} if self.first_epoch is None else {"first_epoch": self.first_epoch}),
            **({} if self.strayed is None else {"strayed": self.strayed}),
            "schedule": None if self.schedule is None else self.schedule.to_dict(),
            "peak_lr": self.peak_lr,
            "lr_held": self.lr_held,
            "counted": self.counted,
            "monitor": monitor,
        }


def make_plan(trainer: Any, module: Any, given: Plan, remembered: Mapping[str, Any], *, sized: bool = False) -> Plan:
    """Fill in what the user did not give from what the Trainer shows at ``on_train_start``.

    Args:
        trainer: the Trainer.
        module: its LightningModule.
        given: what the user said; it is never overruled.
        remembered: ``Plan.to_dict`` of a run that is taken up again, or empty.
        sized: whether N is wanted of any network: the user has a law of sizes.

    Returns:
        The plan without the batch, which is not to be seen yet.
    """
    plan, unknown = given, list(given.unknown)
    if plan.horizon is None:
        horizon, why = planned_steps(trainer, automatic=module.automatic_optimization)
        if horizon is None and plan.schedule is not None:
            horizon = plan.schedule.horizon
        if horizon is None and (first := first_epoch_of(trainer, remembered)):
            horizon = steps_by_epoch(trainer, first, automatic=module.automatic_optimization)
            plan = replace(plan, first_epoch=first)
        plan = replace(plan, horizon=horizon)
        if horizon is None:
            unknown.append(("horizon", why))
    if remembered.get("strayed") and plan.schedule is None:
        plan, why = replace(plan, strayed=int(remembered["strayed"])), ""
    else:
        plan, why = _with_rates(plan, trainer, module, _remembered_rates(remembered))
    if why and not waits_for_metric(trainer):
        unknown.append(("schedule", why))
    if plan.epoch_steps is None and plan.dataset_tokens is None:  # the tokens that are told say how long an epoch is
        plan = replace(plan, epoch_steps=steps_of_epoch(trainer, automatic=module.automatic_optimization))
    return with_size(replace(plan, unknown=tuple(unknown)), module, sized=sized)


def with_size(plan: Plan, module: Any, *, sized: bool = False) -> Plan:
    """Count the parameters, unless their number is known.

    Args:
        plan: the plan so far.
        module: the LightningModule.
        sized: as for ``make_plan``.
    """
    if plan.num_params is not None:
        return plan
    count = count_parameters(module)
    if count is None:
        why = "the parameters are sharded or not yet initialised"
    elif not count.non_embedding:
        why = count.how
    else:
        plan = replace(plan, num_params=count.non_embedding, counted=count.how)
        if not sized and count.trainable < (1.0 - _FROZEN) * count.total:
            plan = without_size(plan, "much is frozen, so it was trained before")
        return plan
    return replace(plan, unknown=(*plan.unknown, ("num_params", why)))


def recounted(plan: Plan, module: Any, *, sized: bool = False) -> Plan:
    """The plan once the first batch has passed through the module: lazy parameters have their shapes by now."""
    unknown = tuple(pair for pair in plan.unknown if pair[0] != "num_params")
    if unknown == plan.unknown:  # counted, or left out
        return plan
    return with_size(replace(plan, unknown=unknown), module, sized=sized)


def after_first_epoch(plan: Plan, trainer: Any, module: Any, *, past: PlannedRates | None) -> Plan:
    """The plan once the first epoch, which has just ended, has told how long the run is going to be.

    Args:
        plan: the plan so far, without a horizon.
        trainer: a Trainer that ``waits_for_epoch``.
        module: its LightningModule.
        past: the learning rates of that epoch; None where they were not seen.
    """
    steps = trainer.global_step
    horizon = steps_by_epoch(trainer, steps, automatic=module.automatic_optimization)
    plan = replace(plan, horizon=horizon, first_epoch=steps)
    return _with_rates(plan, trainer, module, past)[0]


def after_other_limits(plan: Plan, trainer: Any, module: Any, *, past: PlannedRates | None) -> Plan:
    """The plan once the Trainer's limits have changed on the way; the same one where they come to the same.

    Args:
        plan: the plan so far, of which the user gave neither the horizon nor the schedule.
        trainer: a Trainer at ``on_train_epoch_start``.
        module: its LightningModule.
        past: the learning rates so far; None where they were not seen.
    """
    automatic = module.automatic_optimization
    if plan.first_epoch is not None and waits_for_epoch(trainer):
        horizon: int | None = steps_by_epoch(trainer, plan.first_epoch, automatic=automatic)
    else:
        horizon, _ = planned_steps(trainer, automatic=automatic)
    if horizon is None or horizon == plan.horizon or horizon <= trainer.global_step:
        return plan
    plan = replace(plan, horizon=horizon, schedule=None, peak_lr=None, lr_held=False)
    return plan if plan.strayed else _with_rates(plan, trainer, module, past)[0]


def after_straying(plan: Plan, step: int) -> Plan:
    """The plan without the rates that the optimizer was seen at a step not to keep to."""
    return replace(plan, schedule=None, peak_lr=None, strayed=step)


def first_epoch_of(trainer: Any, remembered: Mapping[str, Any]) -> int | None:
    """Steps of the first epoch of a run that is taken up again; None where the plan does not hang on them.

    A checkpoint that the first epoch's end has written does not know them yet, but it was all that had been done then.
    """
    if not waits_for_epoch(trainer):
        return None
    if first := remembered.get("first_epoch"):
        return int(first)
    return trainer.global_step or None if ends_first_epoch(trainer) else None


def _with_rates(plan: Plan, trainer: Any, module: Any, past: PlannedRates | None) -> tuple[Plan, str]:
    """The plan with the learning rates to come; and why they are not known, or nothing."""
    if plan.schedule is not None or plan.horizon is None:
        return plan, ""
    accumulation = accumulation_by_epoch(trainer)
    batches = None if plan.first_epoch is None else plan.first_epoch * accumulation(0)
    rates, why = planned_rates(trainer, module, plan.horizon, accumulation=accumulation, past=past, batches=batches)
    if rates is not None:
        return replace(plan, schedule=rates.schedule, peak_lr=rates.peak), ""
    return (plan, why) if why else (replace(plan, lr_held=True), "")


def without_size(plan: Plan, why: str) -> Plan:
    """The plan of a network whose size tells nothing of its losses: what is known of large ones is of language models.

    A size that the user gave stays, and so does a small one.

    Example:
        >>> picture_model = Plan(num_params=25_000_000, counted="25,000,000 parameters")
        >>> without_size(picture_model, "it is fed no text").counted
        '25,000,000 parameters; left out, for it is fed no text'
    """
    if plan.num_params is None or plan.num_params <= _TELLS or plan.counted == Plan().counted:
        return plan
    return replace(plan, num_params=None, counted=f"{plan.counted}; left out, for {why}")


def with_batch(plan: Plan, trainer: Any, batch: Any, *, steps: int, automatic: bool, sized: bool = False) -> Plan:
    """Fill in the tokens of an optimizer step from the first batch, and leave out a size that tells nothing.

    Args:
        plan: the plan so far.
        trainer: the Trainer.
        batch: the first batch of this process.
        steps: optimizer steps that were taken on it.
        automatic: whether Lightning steps the optimizer.
        sized: as for ``make_plan``.
    """
    if plan.batch_tokens is not None:
        return plan
    tokens = batch_tokens(batch)
    if tokens is None and has_no_tokens(batch):
        return plan if sized else without_size(plan, "it is fed no text")
    if tokens is None:
        why = told_of_batch(batch)
    elif automatic:
        every = accumulation_by_epoch(trainer)(trainer.current_epoch)
        return replace(plan, batch_tokens=tokens * every * replicas(trainer))
    elif steps == 1:
        return replace(plan, batch_tokens=tokens * replicas(trainer))
    else:
        why = f"manual optimization took {steps:,} steps on the first batch"
    return replace(plan, unknown=(*plan.unknown, ("batch_tokens", why)))


def with_remembered(plan: Plan, remembered: Mapping[str, Any], *, sized: bool = False) -> Plan:
    """Fill in what the first batch once told of a run that is taken up again, where no batch is to be seen yet.

    Args:
        plan: the plan so far.
        remembered: as for ``make_plan``.
        sized: likewise.

    Example:
        >>> plan = Plan(num_params=25_000_000, counted="25,000,000 parameters")
        >>> [with_remembered(plan, {"num_params": size, "batch_tokens": 64}).num_params for size in (None, 1)]
        [None, 25000000]
    """
    tokens = remembered.get("batch_tokens")
    if plan.batch_tokens is None and tokens is not None:
        plan = replace(plan, batch_tokens=int(tokens))
    if remembered and not sized and remembered.get("num_params") is None:
        plan = without_size(plan, "it was left out before")
    return plan


def check_remembered(remembered: Mapping[str, Any]) -> None:
    """Raise an error where what a checkpoint brought is no plan."""
    numbers = ("horizon", "num_params", "batch_tokens", "first_epoch", "strayed")
    for value in (remembered.get(name) for name in numbers):
        if value is not None:
            int(value)
    _remembered_rates(remembered)


def _remembered_rates(remembered: Mapping[str, Any]) -> PlannedRates | None:
    if not remembered.get("schedule") or not remembered.get("peak_lr"):
        return None
    return PlannedRates(Schedule.from_dict(remembered["schedule"]), float(remembered["peak_lr"]))
