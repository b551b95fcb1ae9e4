"""Which tag of a log is the training loss, which the validation loss, which the learning rate."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curvecast.readers.base import UnknownTag

OWN = "curvecast/"  # what the live callback logs: exactly what was fed to the watcher, at completed steps
_TAGS_LISTED = 20

# Best first, in the form that `_plain` gives. A value per step comes before the mean of an epoch.
_TRAIN = (
    "train_loss_step train_loss training_loss training_loss_step loss_train trainer_loss train_lm_loss "
    "loss_step loss lm_loss train_loss_epoch training_loss_epoch loss_epoch"
)
# No `val_loss_step`: Lightning counts its x in validation batches.
_VAL = (
    "val_loss val_loss_epoch valid_loss valid_loss_epoch validation_loss validation_loss_epoch loss_val "
    "loss_valid loss_validation eval_loss eval_loss_epoch loss_eval dev_loss validation_lm_loss"
)
_LR = "lr learning_rate train_lr train_learning_rate optim_lr optimizer_lr"

_VAL_WORDS = {"val", "valid", "validation", "eval", "evaluation", "dev"}
_OTHER_WORDS = {"test", "scale", "grad", "best", "min", "max", "ema", "avg"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A tag and why it was taken; ``tag`` is ``None`` where none fits."""

    tag: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Choices:
    """The tags of a run's three curves."""

    train: Choice
    val: Choice
    lr: Choice


def choose_tags(points: Mapping[str, int], *, train_tag: str | None = None, val_tag: str | None = None) -> Choices:
    """Pick the tags to read.

    Where the live callback's own tags are there, they are taken and nothing is added to them, so that
    replaying the log gives what was seen live.

    Args:
        points: how many rows each tag has.
        train_tag: the training loss's tag, if it is known.
        val_tag: the validation loss's tag, if it is known.

    Raises:
        UnknownTag: if a tag that was asked for is not in ``points``.

    Example:
        >>> choices = choose_tags({"epoch": 90, "lr-AdamW": 80, "train_loss_step": 80, "val_loss": 10})
        >>> choices.train.tag, choices.val.tag, choices.lr.tag
        ('train_loss_step', 'val_loss', 'lr-AdamW')
    """
    train = _asked(points, "train_tag", train_tag)
    val = _asked(points, "val_tag", val_tag)
    if train is None and f"{OWN}train_loss" in points:
        return Choices(_own(points, "train_loss"), val or _own(points, "val_loss"), _own(points, "lr"))
    return Choices(
        train or _guess_train(points),
        val or _own_or_none(points, "val_loss") or _guess_val(points),
        _guess_lr(points),
    )


def _asked(points: Mapping[str, int], argument: str, tag: str | None) -> Choice | None:
    if tag is None:
        return None
    if tag not in points:
        raise UnknownTag(_unknown(points, argument, tag))
    return Choice(tag, "as asked")


def _unknown(points: Mapping[str, int], argument: str, tag: str) -> str:
    there = sorted(points, key=lambda name: (-difflib.SequenceMatcher(None, tag, name).ratio(), name))
    listed = ", ".join(repr(name) for name in there[:_TAGS_LISTED]) or "none"
    more = f" and {len(there) - _TAGS_LISTED} more" if len(there) > _TAGS_LISTED else ""
    advice = f" Pass {argument}={there[0]!r}." if there else ""
    return f"tag {tag!r} is not in the log. Tags there: {listed}{more}.{advice}"


def _own(points: Mapping[str, int], name: str) -> Choice:
    return _own_or_none(points, name) or Choice(None, f"nothing was fed to the live callback as {OWN}{name}")


def _own_or_none(points: Mapping[str, int], name: str) -> Choice | None:
    return Choice(OWN + name, "logged by the live callback") if OWN + name in points else None


def _guess_train(points: Mapping[str, int]) -> Choice:
    candidates = [tag for tag in points if "loss" in _words(tag) and not _words(tag) & (_VAL_WORDS | _OTHER_WORDS)]
    return _best(points, candidates, _TRAIN.split(), "the training loss")


def _guess_val(points: Mapping[str, int]) -> Choice:
    candidates = [
        tag
        for tag in points
        if {"loss"} <= _words(tag) and _words(tag) & _VAL_WORDS and not _words(tag) & (_OTHER_WORDS | {"step"})
    ]
    return _best(points, candidates, _VAL.split(), "the validation loss")


def _guess_lr(points: Mapping[str, int]) -> Choice:
    candidates = [
        tag
        for tag in points
        if (_words(tag) & {"lr"} or {"learning", "rate"} <= _words(tag)) and not _words(tag) & {"momentum", "decay"}
    ]
    return _best(points, candidates, _LR.split(), "the learning rate")


def _best(points: Mapping[str, int], candidates: Sequence[str], names: Sequence[str], what: str) -> Choice:
    """The first known name; else the candidate with the most rows, the first by name where they tie."""
    usual = [tag for tag in candidates if _plain(tag) in names]
    if usual:
        best = min(usual, key=lambda tag: (names.index(_plain(tag)), -points[tag], tag))
        return Choice(best, f"a usual name for {what}")
    if not candidates:
        return Choice(None, f"no tag looks like {what}")
    best = min(candidates, key=lambda tag: (-points[tag], tag))
    others = sorted(set(candidates) - {best})
    beside = f"; also there: {', '.join(map(repr, others[:4]))}" if others else ""
    return Choice(best, f"a guess at {what}, by its name{beside}")


def _plain(tag: str) -> str:
    """A tag's words in lower case, joined by underscores: ``Train/Loss`` and ``train_loss`` are one name."""
    return "_".join(_split(tag))


def _words(tag: str) -> set[str]:
    return set(_split(tag))


def _split(tag: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", tag.lower()) if word]
