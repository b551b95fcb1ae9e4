"""How many optimizer steps a Trainer is going to take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import RandomSampler, WeightedRandomSampler

LEAST_SAMPLES = 30  # of a run whose length is known: twelve come before the first forecast
_USUAL = 50  # Lightning's own cadence
SILENT_EPOCHS = 1000  # what Lightning puts in place of a missing limit


def planned_steps(trainer: Any, *, automatic: bool) -> tuple[int | None, str]:
    """The horizon that the Trainer's own limits give.

    Args:
        trainer: a Trainer that has loaded its training data.
        automatic: whether Lightning steps the optimizer; otherwise only `max_steps` counts what we count.

    Returns:
        The number of optimizer steps, or None with the reason why it is not known.
    """
    limit = trainer.max_steps if trainer.max_steps != -1 else None
    if not automatic:
        return limit, "manual optimization may take any number of optimizer steps a batch"
    epochs = trainer.max_epochs
    if epochs is None or epochs == -1:
        return limit, "the Trainer has no limit in steps or epochs"
    is_silent = limit is None and epochs == SILENT_EPOCHS
    silent = f"max_epochs={SILENT_EPOCHS} is what Lightning sets where no limit is given"
    batches = trainer.num_training_batches
    if math.isinf(batches):
        return limit, silent if is_silent else "the training data has no length"
    accumulation = accumulation_by_epoch(trainer)
    steps = sum(math.ceil(batches / accumulation(epoch)) for epoch in range(epochs)) + lead(trainer)
    if is_silent:
        return None, f"{silent}; where they are meant, it is {steps}"
    return (steps if limit is None else min(steps, limit)), ""


def waits_for_epoch(trainer: Any) -> bool:
    """Whether the Trainer's limit is one in epochs, so that the first of them tells its steps."""
    epochs = trainer.max_epochs
    return trainer.max_steps == -1 and epochs is not None and 1 < epochs < SILENT_EPOCHS


def ends_first_epoch(trainer: Any) -> bool:
    """Whether a run that is taken up again stands where its first epoch has ended, and the second has not begun.

    Args:
        trainer: a Trainer at ``on_train_start``.
    """
    epochs = trainer.fit_loop.epoch_progress.current
    return bool(epochs.processed == epochs.ready == 1)


def steps_by_epoch(trainer: Any, steps: int, *, automatic: bool) -> int:
    """The horizon where nothing but the first epoch tells how long one is.

    Args:
        trainer: a Trainer that ``waits_for_epoch``.
        steps: optimizer steps that its first epoch took.
        automatic: whether Lightning steps the optimizer, and so gathers batches.

    Example:
        >>> from types import SimpleNamespace
        >>> gathering = SimpleNamespace(get_accumulate_grad_batches=lambda epoch: 1 if epoch < 2 else 4)
        >>> trainer = SimpleNamespace(max_epochs=4, callbacks=[gathering])
        >>> steps_by_epoch(trainer, 40, automatic=True), steps_by_epoch(trainer, 40, automatic=False)
        (100, 160)
    """
    if not automatic:
        return int(steps * trainer.max_epochs)
    accumulation = accumulation_by_epoch(trainer)
    batches = steps * accumulation(0)
    return sum(math.ceil(batches / accumulation(epoch)) for epoch in range(trainer.max_epochs))


def steps_of_epoch(trainer: Any, *, automatic: bool) -> float | None:
    """Optimizer steps of one pass over the training data; None where an epoch is a part of it, or may be other data.

    Args:
        trainer: a Trainer that has loaded its training data.
        automatic: whether Lightning steps the optimizer.

    Example:
        >>> from types import SimpleNamespace
        >>> told = {"callbacks": [], "accumulate_grad_batches": 4, "reload_dataloaders_every_n_epochs": 0}
        >>> told |= {"limit_train_batches": 1.0, "overfit_batches": 0.0, "max_epochs": 2}
        >>> trainer = SimpleNamespace(num_training_batches=10, train_dataloader=None, **told)
        >>> steps_of_epoch(trainer, automatic=True), steps_of_epoch(trainer, automatic=False)
        (3.0, None)
    """
    batches = trainer.num_training_batches
    is_whole = trainer.limit_train_batches == 1.0 and not isinstance(trainer.limit_train_batches, int)
    is_whole |= bool(trainer.overfit_batches)  # they are the same ones each time, in the same order
    if not automatic or not is_whole or trainer.reload_dataloaders_every_n_epochs or not 0 < batches < math.inf:
        return None
    accumulation, epochs = accumulation_by_epoch(trainer), trainer.max_epochs or 1
    gathered = {accumulation(epoch) for epoch in range(SILENT_EPOCHS if epochs < 0 else epochs)}
    if _is_sampled(trainer.train_dataloader) or len(gathered) != 1:  # epochs of several lengths have none
        return None
    return float(math.ceil(batches / gathered.pop()))


def _is_sampled(loaders: Any) -> bool:
    """Whether an epoch of a loader, or of one of several, draws more or fewer samples at random than the data has.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> data = list(range(64))
        >>> samplers = RandomSampler(data, num_samples=16), WeightedRandomSampler([1.0] * 64, 64)
        >>> [_is_sampled([DataLoader(data, sampler=sampler)]) for sampler in samplers]
        [True, False]
    """
    if isinstance(loaders, Mapping | list | tuple):
        return any(map(_is_sampled, loaders.values() if isinstance(loaders, Mapping) else loaders))
    sampler = getattr(loaders, "sampler", None)
    return isinstance(sampler, RandomSampler | WeightedRandomSampler) and len(sampler) != len(loaders.dataset)


def lead(trainer: Any) -> int:
    """Optimizer steps done beyond those that epochs of today's length would have taken to get where the run stands.

    Not 0 where a run goes on with epochs of another length, as on another number of processes.

    Args:
        trainer: a Trainer at ``on_train_start`` or ``on_train_epoch_start``, whose training data has a length.
    """
    if not trainer.global_step:
        return 0
    batches, accumulation = trainer.num_training_batches, accumulation_by_epoch(trainer)
    progress, loop = trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_loop
    is_begun = progress.started == progress.ready > progress.processed
    within = loop.batch_progress.current.ready if is_begun else 0
    every = accumulation(trainer.current_epoch)
    whole = sum(math.ceil(batches / accumulation(epoch)) for epoch in range(trainer.current_epoch))
    return int(trainer.global_step - whole - (within // every if within < batches else math.ceil(batches / every)))


def cadence(trainer: Any, steps: int | None) -> int:
    """Optimizer steps from sample to sample: the logger's, or fewer where a short run would give too few.

    Args:
        trainer: the Trainer.
        steps: that it is going to take, or None.

    Example:
        >>> from types import SimpleNamespace
        >>> trainer = SimpleNamespace(log_every_n_steps=50)
        >>> [cadence(trainer, steps) for steps in (20_000, 300, 10, None)]
        [50, 10, 1, 50]
    """
    usual = int(trainer.log_every_n_steps or _USUAL)
    return usual if steps is None else max(min(usual, steps // LEAST_SAMPLES), 1)


def accumulation_by_epoch(trainer: Any) -> Callable[[int], int]:
    """Batches that an optimizer step gathers, as a function of the epoch from 0."""
    for callback in trainer.callbacks:
        at_epoch: Callable[[int], int] | None = getattr(callback, "get_accumulate_grad_batches", None)
        if at_epoch is not None:
            return at_epoch
    fixed = int(trainer.accumulate_grad_batches)
    return lambda epoch: fixed


def replicas(trainer: Any) -> int:
    """Processes that each see their own batch; ranks that share one model's layers see the same batch."""
    sampler = getattr(trainer.strategy, "distributed_sampler_kwargs", None) or {}
    return int(sampler.get("num_replicas") or trainer.world_size)
