"""Which of the logged metrics is the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

VAL_LOSSES = (
    "val_loss",
    "val/loss",
    "valid_loss",
    "valid/loss",
    "validation_loss",
    "validation/loss",
    "eval_loss",
    "eval/loss",
    "loss/val",
    "val_loss_epoch",
    "val/loss_epoch",
)
TRAIN_LOSSES = ("train_loss_step", "train_loss", "train/loss_step", "train/loss", "loss_step", "loss")


def validation_loss_name(names: Iterable[str]) -> str | None:
    """The metric that is most likely the validation loss.

    Args:
        names: of the metrics logged so far, in order.

    Returns:
        The first of the usual names, else the first that has both 'val' and 'loss' in it and is no training
        metric, else None.

    Example:
        >>> validation_loss_name(["train_loss", "loss/valid", "acc"]), validation_loss_name(["acc"])
        ('loss/valid', None)
    """
    seen = list(names)
    usual = next((name for name in VAL_LOSSES if name in seen), None)
    likely = (n for n in seen if "val" in n.lower() and "loss" in n.lower() and "train" not in n.lower())
    return usual or next(likely, None)


def validation_loss(logged: Mapping[str, Any], monitor: str | None) -> tuple[str | None, Tensor | None]:
    """The metric to watch and its value; None where it is not among those logged.

    Args:
        logged: the Trainer's ``callback_metrics`` at the end of a validation.
        monitor: its name, or None to find it.
    """
    name = monitor or validation_loss_name(logged)
    return name, None if name is None else _scalar(logged.get(name))


def training_loss(trainer: Any, outputs: Any, *, name: str | None, scale: float, automatic: bool) -> Tensor | None:
    """The unscaled loss of one batch, still on its device.

    Args:
        trainer: whose ``callback_metrics`` hold what the module logged, unscaled.
        outputs: what ``on_train_batch_end`` got from the training step.
        name: the metric to read instead of `outputs`.
        scale: what Lightning divided the loss in `outputs` by.
        automatic: whether Lightning steps the optimizer. A batch without a loss was then skipped; otherwise
            its loss may have been logged under one of the usual names.

    Returns:
        A tensor of one element that nobody will write to, or None where the batch shows no loss.
    """
    if name is None:
        loss = _scalar(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
        if loss is not None and automatic:  # Lightning hands out a copy of its own
            return loss * scale if scale != 1 else loss
    else:
        loss = _scalar(trainer.callback_metrics.get(name))
    if loss is None and name is None and not automatic:
        logged = trainer.callback_metrics
        loss = next((_scalar(logged[usual]) for usual in TRAIN_LOSSES if usual in logged), None)
    return None if loss is None else loss.clone()


def listed(logged: Iterable[str]) -> str:
    """The names of metrics as a sentence.

    Example:
        >>> listed(["acc", "train_loss"])
        "Logged so far: 'acc', 'train_loss'."
    """
    names = ", ".join(map(repr, logged))
    return f"Logged so far: {names or 'nothing'}."


def _scalar(value: Any) -> Tensor | None:
    if isinstance(value, int | float):
        return torch.tensor(float(value))
    return value.detach() if isinstance(value, Tensor) and value.numel() == 1 else None
