"""Records and rows of training and validation that share their names, told apart by a word: ``split``, ``mode``, ..."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from curvecast.readers.counters import with_counts
from curvecast.readers.tags import LOSS_WORDS, TRAIN_WORDS, VAL_WORDS, split_words

SIDES = ("split", "mode", "phase", "stage", "subset", "set", "runcontext")  # the names under which that word stands
LABELS = frozenset(["dataset", "data", "name", "tag", "source"])
"""Names under which the word may be the run's own as well, as of one that is called ``test``: see `Records`."""

OFTEN = LABELS | {"type", "kind", "event", "msg", "message", "partition", "log_type"}
"""Names under which that word often stands, and much else: there nothing but the word itself counts."""

_WHETHER = ("is_train", "is_training", "training")  # names of what is true of training alone
_OTHERS = {"test", "testing"}
_BESIDE = {"step", "epoch", "set", "split", "loss", "metrics", "log"}  # may stand beside a side's word
_TIDY = {"value": ("tag", "metric", "key", "name", "variable"), "metricValue": ("metricName",)}  # MLflow's key, Comet's
_SIDE_WORDS = TRAIN_WORDS | VAL_WORDS | _OTHERS
TIDY = frozenset(name.lower() for names in _TIDY.values() for name in names)
"""Names, in lower case, whose words say what the one number of a record is."""


def side_column(names: Iterable[str]) -> str | None:
    """The name under which a record says what it is of.

    Example:
        >>> side_column(["step", "Phase", "loss"])
        'Phase'
    """
    return next((name for name in names if name.lower() in SIDES), None)


def side_of(word: object) -> str | None:
    """``train``, ``val`` or ``test``, in whichever of their spellings; ``None`` where a word is none of them."""
    if not isinstance(word, str) or len(word) > 20:
        return None
    words = split_words(word)
    return "val" if words & VAL_WORDS else "train" if words & TRAIN_WORDS else "test" if words & _OTHERS else None


def sided(name: str, side: str) -> str:
    """A tag with the side before it, where it is a loss and does not say so itself.

    Example:
        >>> sided("loss", "val"), sided("val_loss", "val"), sided("step", "val")
        ('val/loss', 'val_loss', 'step')
    """
    words = split_words(name)
    return f"{side}/{name}" if words & LOSS_WORDS and not words & (VAL_WORDS | TRAIN_WORDS | _OTHERS) else name


def told_apart(record: Mapping[str, object]) -> Mapping[str, object]:
    """A record whose numbers have the names that its words give, and whose losses say what they are of.

    Example:
        >>> told_apart({"step": 10, "split": "valid", "loss": 2.5})
        {'step': 10, 'split': 'valid', 'val/loss': 2.5}
        >>> told_apart({"step": 10, "key": "train_loss", "value": 2.5})
        {'step': 10, 'train_loss': 2.5}
    """
    for value in record.values():  # most are bare numbers
        if value.__class__ is not float and value.__class__ is not int:
            break
    else:
        return record
    record = _named(with_counts(record))
    _, side = _said(record)
    return record if side is None else _of_side(record, side)


def label_of(record: Mapping[str, object]) -> str | None:
    """The side of a record, where nothing says so but a word that may be the name of the run.

    Example:
        >>> label_of({"name": "test", "loss": 2.5}), label_of({"name": "test", "split": "train", "loss": 2.5})
        ('test', None)
    """
    name, side = _said(record)
    return side if name in LABELS else None


def lone_side(word: object) -> str | None:
    """The side that a word names, where it says nothing else.

    Example:
        >>> lone_side("eval"), lone_side("train_step"), lone_side("train on c4")
        ('val', 'train', None)
    """
    return side_of(word) if isinstance(word, str) and split_words(word) - _BESIDE <= _SIDE_WORDS else None


def _said(record: Mapping[str, object]) -> tuple[str, str | None]:
    """Under which name a record says its side, in lower case, and which that is."""
    column = side_column(record)
    if column is not None and (side := side_of(record[column])) is not None:
        return column.lower(), side
    for name, value in record.items():
        if value.__class__ is float or value.__class__ is int:
            continue
        if isinstance(value, str):
            if name.lower() in OFTEN and (side := lone_side(value)) is not None:
                return name.lower(), side
        elif isinstance(value, bool) and name in _WHETHER:
            return name, "train" if value else "val"
    return "", None


def _of_side(record: Mapping[str, object], side: str) -> dict[str, object]:
    """A record, and the records in it, whose losses say what they are of."""
    return {
        sided(name, side): _of_side(value, side) if isinstance(value, dict) else value for name, value in record.items()
    }


def _named(record: Mapping[str, object]) -> Mapping[str, object]:
    """A record of one number, under the name that stands beside it."""
    for value, names in _TIDY.items():
        if value not in record:
            continue
        for name in names:
            if isinstance(tag := record.get(name), str):
                return {key: each for key, each in record.items() if key not in (name, value)} | {tag: record[value]}
    return record
