"""One JSON value that holds a run: a list of records, or a list of numbers for each tag, as Keras' ``history`` is.

Of the latter the steps are the list of that name; where there is none, the lists count epochs. In a file named for a
loss the lists may be called by their sides alone (``train``, ``val``), and the numbers of a record may have no names.
Each side may have a list of records of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curvecast.notation import natural
from curvecast.readers.axis import ADVICE
from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.rows import COUNTED, Records
from curvecast.readers.tabular import step_column
from curvecast.readers.tags import LOSS_WORDS, split_words

_RECORDS = re.compile(rb"\s*\[\s*\{")
_LISTS = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*\[\s*[-+\d.NI\]]')
_NESTED = re.compile(rb'\s*\{(?:\s*"[^"]*"\s*:\s*\{){1,3}\s*"[^"]*"\s*:\s*\[\s*[-+\d.NI\]]')
_LOSS = re.compile(rb'"[^"]*(?<![a-z])(?:m?log)?loss[^"]*"\s*:', re.IGNORECASE)
_TIDY = re.compile(rb'"(?:metricV|v)alue"\s*:')  # records of one number
_NAMED = re.compile(rb':\s*"[^"]*(?<![a-z])loss[^"]*"', re.IGNORECASE)
_TRIPLES = re.compile(rb"\s*\[\s*\[\s*\d+\s*,\s*-?\d+\.[-+\deE]+\s*,\s*-?\d+\.[-+\deE]+\s*\]")
_TRIPLE = ("step", "train_loss", "val_loss")  # in which order three numbers without names are met
_SIDES = {"train": "train_loss", "training": "train_loss", "val": "val_loss", "valid": "val_loss"}
_SIDE_RECORDS = re.compile(rb'\s*\{\s*"(?:train(?:ing)?|val(?:id)?)"\s*:\s*\[\s*\{', re.IGNORECASE)
_OF_SIDES = re.compile(rb'"train(?:ing)?"\s*:\s*\[', re.IGNORECASE)
_CHAINER = "log"  # what its LogReport writes
_DEEPEST = 3  # levels in which lists are looked for
_UNNAMED_SET = re.compile(r"validation_\d+")  # as XGBoost calls those that it is given without a name
_BOOSTED = {"logloss", "mlogloss", "binary_logloss", "multi_logloss"}
_LARGEST = 1 << 26  # bytes: all of it is in memory at once, tenfold


def read_history(path: Path) -> Log:
    """Read the records, or the lists.

    Raises:
        UnreadableRun: if the file is no such value, or has no step.
    """
    try:
        if path.stat().st_size > _LARGEST:
            why = f"{path.name} is one JSON value of more than {_LARGEST >> 20} MiB. Write lines of JSON."
            raise UnreadableRun(why)
        value = json.loads(path.read_bytes())
    except UnreadableRun:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    records = Records()
    for record in _records(value):
        records.add(record)
    notes = Notes()
    if records.count_losses():
        notes.add(COUNTED)
    series, unit = records.series()
    if not series:
        raise UnreadableRun(f"no list of records with a step, and no lists of numbers, in {path.name}. {ADVICE}")
    if isinstance(value, list) and not any(isinstance(record, dict) for record in value):
        notes.add(f"its numbers have no names: taken for {', '.join(_TRIPLE)}")
    if isinstance(value, dict) and not _sides(value) and (short := _shorter(value)):
        notes.add(f"{path.name}: lists shorter than the longest are left out: {short}", lost=True)
    return Log(path, FORMAT.name, series, notes=notes, units=dict.fromkeys(series, unit) if unit != "step" else {})


def _records(value: object) -> Iterator[Mapping[str, object]]:
    """The records of a value; of lists of numbers those that are as long as the longest."""
    if isinstance(value, list):
        yield from (record for record in value if isinstance(record, dict))
        yield from (dict(zip(_TRIPLE, row, strict=True)) for row in value if isinstance(row, list) and len(row) == 3)
    if not isinstance(value, dict):
        return
    if sides := _sides(value):
        yield from _of_sides(sides)
        return
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
    if len(found) == 1 and not prefix and not sets:
        return {name.partition("/")[2]: numbers for name, numbers in found[0].items()}
    return {name: numbers for lists in found for name, numbers in lists.items()}


def _are_boosted(names: Iterable[str]) -> bool:
    """Whether lists have a row for each tree, as what XGBoost and LightGBM record of an evaluation does."""
    return any(name.rpartition("/")[2] in _BOOSTED for name in names)


def _sides(value: Mapping[str, Any]) -> dict[str, Sequence[Mapping[str, object]]]:
    """The lists of records that are named for a side."""
    return {name: rows for name, rows in value.items() if name.lower() in _SIDES and _are_records(rows)}


def _shorter(value: Mapping[str, Any]) -> str:
    """The lists of numbers that are shorter than the longest, for nothing tells to which of its entries theirs belong.

    Example:
        >>> _shorter({"loss": [3.0, 2.0, 1.0], "val_loss": [2.5], "best": [], "seed": 1})
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


def _are_records(rows: object) -> bool:
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)


def _of_sides(sides: Mapping[str, Sequence[Mapping[str, object]]]) -> Sequence[Mapping[str, object]]:
    """The records of both sides in the order of their steps; what does not count is named for its side."""
    told = [
        {name if step_column([name]) else f"{side}/{name}": number for name, number in row.items()}
        for side, rows in sides.items()
        for row in rows
    ]
    counts = step_column(list(told[0])) or ""
    places = [place for row in told if isinstance(place := row.get(counts), int | float)]
    return [told[at] for at in np.argsort(places, kind="stable").tolist()] if len(places) == len(told) else told


def _tag(name: str) -> str:
    """The tag of a list by its name: `steps` counts steps, and `train` beside `val` holds losses."""
    one = name.removesuffix("s")
    return one if step_column([one]) else _SIDES.get(name.lower(), name)


def _is_bare(name: str, start: bytes) -> bool:
    """Whether what is named for a loss holds lists of numbers that are not: by their sides, or in triples."""
    named = bool(split_words(Path(name).stem) & LOSS_WORDS)
    return named and bool(_TRIPLES.match(start) or (_LISTS.match(start) and _OF_SIDES.search(start)))


def _looks_right(start: bytes) -> bool:
    if _RECORDS.match(start) is not None and _TIDY.search(start) is not None and _NAMED.search(start) is not None:
        return True
    forms = (_RECORDS, _LISTS, _NESTED, _SIDE_RECORDS)
    return any(form.match(start) for form in forms) and _LOSS.search(start) is not None


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if (name.endswith(".json") or name == _CHAINER) and (
            _looks_right(folder.head(name)) or _is_bare(name, folder.head(name))
        ):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_history(files[0])}


FORMAT = Format(
    "history",
    "*.json",
    _claim,
    lambda path, start: (
        (path.suffix == ".json" or path.name == _CHAINER) and (_looks_right(start) or _is_bare(path.name, start))
    ),
    _read,
)
