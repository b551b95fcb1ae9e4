"""Where in one JSON value a run is: its records, or the lists of numbers that are its columns.

Both may lie within other names, beside settings and results. Lists that are named for a loss go before records, and
the longest records before others; of what is named alike and lies side by side nobody can tell which is the run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from curvecast.notation import natural
from curvecast.readers.sides import side_of
from curvecast.readers.tabular import step_column
from curvecast.readers.tags import LOSS_WORDS, is_usual_loss, split_words

TRIPLE = ("step", "train_loss", "val_loss")  # in which order three numbers without names are met
_SIDES = {"train": "train_loss", "val": "val_loss"}
_DEEPEST = 3  # levels in which a run is looked for
_UNNAMED_SET = re.compile(r"validation_\d+")  # as XGBoost calls those that it is given without a name
_BOOSTED = {"logloss", "mlogloss", "binary_logloss", "multi_logloss"}
_GRAIN = re.compile(r"(?:per[_ ]?)?(?:epoch|step|iter|iteration|batch)(?:e?s|[_ ]?\d+)?", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:epoch[_ ]?)?(\d{1,9})", re.IGNORECASE)

Rows = Sequence[Mapping[str, object]]


def records_of(value: object) -> Iterator[Mapping[str, object]]:
    """The records of a value; of lists of numbers those that are as long as the longest.

    Example:
        >>> list(records_of({"config": {"lr": 0.1}, "train_losses": [2.5], "val_losses": [2.75]}))
        [{'epoch': 0, 'train_losses': 2.5, 'val_losses': 2.75}]
        >>> list(records_of({"config": {"lr": 0.1}, "history": [{"epoch": 1, "loss": 2.5}]}))
        [{'epoch': 1, 'loss': 2.5}]
        >>> list(records_of({"1": {"loss": 2.5}, "2": {"loss": 2.25}}))
        [{'epoch': 1, 'loss': 2.5}, {'epoch': 2, 'loss': 2.25}]
    """
    if isinstance(value, list):
        yield from (record for record in value if isinstance(record, dict))
        yield from (dict(zip(TRIPLE, row, strict=True)) for row in value if isinstance(row, list) and len(row) == 3)
    elif isinstance(value, dict):
        named = any(_names_a_loss(name) and _are_numbers(each) for name, each in value.items())
        rows = None if named else _rows_in(value, _DEEPEST)
        yield from _of_lists(value) if rows is None else rows


def runs_of(value: object, depth: int = _DEEPEST) -> dict[str, object]:
    """What lies side by side and holds the same losses, so that each is a run, by its name; empty where nothing does.

    Example:
        >>> sorted(runs_of({"config": {"lr": 0.1}, "gru": {"val_loss": [2.5, 2.25]}, "lstm": {"val_loss": [2.75]}}))
        ['gru', 'lstm']
        >>> runs_of({"train": {"loss": [2.5]}, "shifted": {"loss": [2.75]}, "noisy": {"loss": [2.875]}})
        {}
    """
    if not isinstance(value, dict) or not depth:
        return {}
    within = {name for name in value if _is_within(name)}
    if any(_losses_in(value[name]) for name in within):
        return {}
    inner = {name: each for name, each in value.items() if name not in within}
    found = {name: losses for name, each in inner.items() if (losses := _losses_in(each))}
    if len(found) > 1:
        return {name: inner[name] for name in found} if len(set(found.values())) == 1 else {}
    deeper = [runs for each in inner.values() if (runs := runs_of(each, depth - 1))]
    return deeper[0] if len(deeper) == 1 and not found else {}


def _is_within(name: str) -> bool:
    """Whether a name is of a part of one run: of a side, a set, or what its losses are counted by."""
    return side_of(name) is not None or bool(_UNNAMED_SET.fullmatch(name) or _GRAIN.fullmatch(name))


def _losses_in(value: object) -> frozenset[str]:
    """The losses of the run that a value within another is, as far as they are called as losses usually are."""
    if isinstance(value, list):
        names = set(_names(value[0])) if _tell_losses(value) else set()
    elif isinstance(value, dict):
        names = {name for name, each in value.items() if _are_numbers(each)}
        nested = [each for each in value.values() if isinstance(each, dict | list) and not _are_numbers(each)]
        if not any(map(_names_a_loss, names)):  # a run may lie beside its settings
            inner = [losses for each in nested if (losses := _losses_in(each))]
            names = set(inner[0]) if len(inner) == 1 else set()
    else:
        return frozenset()
    return frozenset(name for name in names if is_usual_loss(name))


def are_lists(value: object) -> bool:
    """Whether the run of a value is lists of numbers."""
    return isinstance(value, dict) and _rows_in(value, _DEEPEST) is None


def shorter(value: Mapping[str, Any]) -> str:
    """The lists of numbers that are shorter than the longest, for nothing tells to which of its entries theirs belong.

    Example:
        >>> shorter({"loss": [3.0, 2.0, 1.0], "val_loss": [2.5], "best": [], "seed": 1})
        'val_loss (1 of 3)'
    """
    lists = _lists(value)
    longest = max(map(len, lists.values()), default=0)
    short = [
        f"{name} ({len(numbers)} of {longest})"
        for name, numbers in lists.items()
        if len(numbers) < longest and any(isinstance(number, int | float) for number in numbers)
    ]
    return ", ".join(short)


def _rows_in(value: Mapping[str, Any], depth: int) -> Rows | None:
    """The records within a value: those of each side, else the longest that tell losses, else those with numbers."""
    if sides := _sides(value):
        return _of_sides(sides)
    rows = max((each for each in value.values() if _tell_losses(each)), key=len, default=None)
    if rows is not None:
        return list(rows)
    if numbered := _numbered(value):
        return numbered
    inner = {name: _rows_in(each, depth - 1) for name, each in value.items() if isinstance(each, dict)} if depth else {}
    found = {name: rows for name, rows in inner.items() if rows is not None}
    if sides := _sides(found):
        return _of_sides(sides)
    return [] if _are_runs(list(found.values())) else max(found.values(), key=len, default=None)


def _are_runs(found: Sequence[Rows]) -> bool:
    """Whether records that lie side by side are of several runs, as they are named alike: none of them is the run."""
    names = Counter(frozenset(rows[0]) for rows in found if len(rows) > 1)
    return max(names.values(), default=0) > 1


def _numbered(value: Mapping[str, Any]) -> list[Mapping[str, object]]:
    """The records whose names are the numbers of their epochs."""
    numbers = [_NUMBERED.fullmatch(name) for name in value]
    if not value or not all(numbers) or not _tell_losses(list(value.values())):
        return []
    return [{"epoch": int(told[1]), **each} for told, each in zip(numbers, value.values(), strict=True) if told]


def _sides(value: Mapping[str, Any]) -> dict[str, Rows]:
    """The lists of records that are named for a side, training among them."""
    sides = {name: rows for name, rows in value.items() if side_of(name) is not None and _are_records(rows)}
    return sides if any(side_of(name) == "train" for name in sides) else {}


def _of_sides(sides: Mapping[str, Rows]) -> Rows:
    """The records of both sides in the order of their steps; what does not count is named for its side."""
    told = [
        {name if step_column([name]) else f"{side_of(side)}/{name}": number for name, number in row.items()}
        for side, rows in sides.items()
        for row in rows
    ]
    counts = step_column(list(told[0])) or ""
    places = [place for row in told if isinstance(place := row.get(counts), int | float)]
    return [told[at] for at in np.argsort(places, kind="stable").tolist()] if len(places) == len(told) else told


def _of_lists(value: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    lists = {_tag(name): numbers for name, numbers in _lists(value).items()}
    length = max(map(len, lists.values()), default=0)
    columns = {tag: numbers for tag, numbers in lists.items() if len(numbers) == length}
    counted = step_column(list(columns)) is not None
    for at in range(length):
        record = {tag: numbers[at] for tag, numbers in columns.items()}
        yield record if counted else {"step" if _are_boosted(lists) else "epoch": at, **record}


def _lists(value: Mapping[str, Any], prefix: str = "", depth: int = _DEEPEST) -> dict[str, list[Any]]:
    """The lists of a value by name; where it has none of its own, those within it, but for a name that all share.

    Example:
        >>> _lists({"train": {"logloss": [0.5]}, "valid": {"logloss": [0.6]}})
        {'train/logloss': [0.5], 'valid/logloss': [0.6]}
        >>> _lists({"history": {"loss": [0.5], "val_loss": [0.6]}, "params": {"epochs": 1}})
        {'loss': [0.5], 'val_loss': [0.6]}
    """
    own = {prefix + name: numbers for name, numbers in value.items() if isinstance(numbers, list)}
    inner = {name: each for name, each in value.items() if isinstance(each, dict)}
    if own or not depth:
        return own
    sets = sorted((name for name in inner if _UNNAMED_SET.fullmatch(name)), key=natural)
    inner = {name: each for name, each in inner.items() if name not in sets[:-1]}  # the last one decides there, too
    found = [lists for name, each in inner.items() if (lists := _lists(each, f"{prefix}{name}/", depth - 1))]
    with_loss = [lists for lists in found if any(map(_names_a_loss, lists))]  # the others are settings
    if len(with_loss) == 1 and not prefix and not sets:
        return {name.partition("/")[2]: numbers for name, numbers in with_loss[0].items()}
    return {name: numbers for lists in with_loss or found for name, numbers in lists.items()}


def _tag(name: str) -> str:
    """The tag of a list by its name: `steps` counts steps, and `train` beside `val` holds losses."""
    one = name.removesuffix("s")
    side = side_of(name) if "_" not in name and "/" not in name and len(split_words(name)) == 1 else None
    return one if step_column([one]) else _SIDES.get(side or "", name)


def _are_boosted(names: Iterable[str]) -> bool:
    """Whether lists have a row for each tree, as what XGBoost and LightGBM record of an evaluation does."""
    return any(name.rpartition("/")[2] in _BOOSTED for name in names)


def _are_records(rows: object) -> bool:
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)


def _tell_losses(rows: Any) -> bool:
    """Whether a value is a list of records, most of which tell a loss."""
    return _are_records(rows) and 2 * sum(any(map(_names_a_loss, _names(row))) for row in rows) > len(rows)


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    """The names of a record, and of the records in it."""
    for name, value in row.items():
        yield from (f"{name}/{each}" for each in value) if isinstance(value, dict) else (name,)


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and any(isinstance(each, int | float) for each in values)


def _names_a_loss(name: str) -> bool:
    return bool(split_words(name) & LOSS_WORDS)
