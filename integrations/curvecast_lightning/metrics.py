"""Which of the logged metrics is the loss."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from curvecast import choose_tags

_OWN = "curvecast/"
_ADVERSARIES = ({"g", "gen", "generator"}, {"d", "disc", "discriminator"})


@lru_cache(maxsize=64)
def _loss_names(names: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Of the training loss and the validation loss, as a reader of logs would choose them."""
    found = choose_tags({name: 1 for name in names if not name.startswith(_OWN)})
    return None if found.tied else found.train.tag, found.val.tag


def validation_loss_name(names: Iterable[str]) -> str | None:
    """The metric that is most likely the validation loss.

    Args:
        names: of the metrics logged so far.

    Returns:
        The tag that a reader of logs would take, or None.

    Example:
        >>> validation_loss_name(["train_loss", "loss/valid", "acc"]), validation_loss_name(["acc"])
        ('loss/valid', None)
        >>> validation_loss_name(["val_g_loss", "val_d_loss"])  # of two adversaries' losses neither tells of the end
    """
    logged = tuple(names)
    found = _loss_names(logged)[1]
    return None if found is None or _is_adversary(found, logged) else found


def _is_adversary(name: str, logged: Iterable[str]) -> bool:
    """Whether a loss is one of the two of a generator and a discriminator."""
    return any(
        _words(name) & own and any(_words(other) & rival for other in logged)
        for own, rival in (_ADVERSARIES, _ADVERSARIES[::-1])
    )


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def validation_loss(logged: Mapping[str, Any], monitor: str | None) -> tuple[str | None, Tensor | None]:
    """The metric to watch and its value; None where it is not among those logged.

    Args:
        logged: what a validation has put among the Trainer's ``callback_metrics``.
        monitor: its name, or None to find it.
    """
    name = monitor or validation_loss_name(logged) or _plain_loss_name(logged)
    return name, None if name is None else _scalar(logged.get(name))


def _plain_loss_name(logged: Iterable[str]) -> str | None:
    """A loss that is logged in training and validation under one name, such as "loss"."""
    usual, _ = _loss_names(tuple(name for name in logged if "train" not in name.lower()))
    return usual


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
        usual, _ = _loss_names(tuple(trainer.callback_metrics))
        loss = None if usual is None else _scalar(trainer.callback_metrics[usual])
    return None if loss is None else loss.clone()


def listed(logged: Iterable[str], *, who: str = "Logged so far") -> str:
    """The names of metrics as a sentence.

    Example:
        >>> listed(["acc", "train_loss", "curvecast/forecast"]), listed([], who="Validation logged")
        ("Logged so far: 'acc', 'train_loss'.", 'Validation logged: nothing.')
    """
    names = ", ".join(repr(name) for name in logged if not name.startswith(_OWN))
    return f"{who}: {names or 'nothing'}."


def _scalar(value: Any) -> Tensor | None:
    if isinstance(value, int | float):
        return torch.tensor(float(value))
    return value.detach() if isinstance(value, Tensor) and value.numel() == 1 else None
