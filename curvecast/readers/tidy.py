"""Tables whose rows are not all of one run, of one side and of one tag: a column of words says what each is of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from curvecast.readers.base import IntArray, Log, Notes, Series
from curvecast.readers.sides import lone_side, side_column, side_of, sided

_VALUE, _TAGS = "value", ("tag", "metric", "key", "name", "variable")  # pandas' `melt`, tbparse, MLflow's export
_RUNS = ("run", "run_id", "run_name", "run_uuid", "dir_name", "trial name", "trial_name", "trial_id")
_OFTEN = ("type", "kind", "event", "dataset", "partition")  # where a side may stand, and much else
# With more combinations of words than so many they tell no runs apart, unless each has some rows: a time in each row is
# the name of none. Of more than the second every one would be a run of its own to fit.
_MANY_WORDS, _MOST_WORDS, _ROWS = 256, 4096, 8

Lines = Iterable[tuple[int, list[str]]]  # number and cells of each row
Words = Mapping[tuple[str, ...], Sequence[int] | IntArray]
ByWords = Callable[[Sequence[str]], Words]
"""The numbers of the rows by what stands in some columns."""


def word_columns(header: Sequence[str]) -> list[str]:
    """The columns that say what each row is of: its run, its side, or its tag.

    Example:
        >>> word_columns(["run", "step", "tag", "value"]), word_columns(["step", "loss"])
        (['run', 'tag'], [])
    """
    return [name for name in (_column(header, _RUNS), _side(header)[0], tag_column(header)) if name is not None]


def tag_column(header: Sequence[str]) -> str | None:
    """The column with the tags, in a table of one number a row."""
    return _column(header, _TAGS) if _column(header, [_VALUE]) is not None else None


def told_apart(header: Sequence[str], series: dict[str, Series], by_words: ByWords) -> dict[str, Series]:
    """The rows by side and tag, where columns name the side (training, validation) or the tag of each row."""
    tag, (side, known) = tag_column(header), _side(header)
    columns = [column for column in (tag, side) if column is not None]
    if not columns:
        return series
    found: dict[str, list[Series]] = {}
    for words, of_words in _few(by_words(columns)).items():
        for name, rows in series.items():
            if len(picked := rows.where(np.isin(rows.order, of_words))):
                full = words[0] if tag is not None and name.lower() == _VALUE else name
                of_side = None if side is None else known(words[-1])
                found.setdefault(full if of_side is None else sided(full, of_side), []).append(picked)
    return {name: Series.in_order(parts) for name, parts in found.items()} or series


def _side(header: Sequence[str]) -> tuple[str | None, Callable[[object], str | None]]:
    """The column that may name the side of each row, and how its words tell it."""
    if (column := side_column(header)) is not None or tag_column(header) is not None:
        return column, side_of
    return _column(header, _OFTEN), lone_side


def runs_of(log: Log, header: Sequence[str], by_words: ByWords) -> dict[str, Log]:
    """The runs of a table by name; none where it is not of several."""
    if (column := _column(header, _RUNS)) is None:
        return {}
    if not (words := _few(by_words([column]))):
        log.notes.add(f"column {column!r} holds too many words to be the names of runs: all rows are taken for one")
    if len(words) < 2:
        return {}
    runs: dict[str, Log] = {}
    last = max((int(rows.order.max(initial=0)) for rows in log.series.values()), default=0)
    owner = _owners(list(words.values()), last=last)
    picked = {tag: _dealt(rows, owner, len(words)) for tag, rows in log.series.items()}
    for place, (word,) in enumerate(words):
        series = {tag: dealt[place] for tag, dealt in picked.items() if len(dealt[place])}
        notes = Notes(list(log.notes.lines), list(log.notes.lost))
        runs[word or "no name"] = Log(log.path, log.format, series, notes=notes, units=dict(log.units), axis=log.axis)
    return runs


def by_row(header: Sequence[str], columns: Sequence[str], lines: Lines) -> Words:
    """The rows of each combination of words in some columns, a row after another."""
    found: dict[tuple[str, ...], list[int]] = {}
    places = [header.index(column) for column in columns]
    for line, cells in lines:
        if len(cells) == len(header):
            found.setdefault(tuple(cells[at].strip() for at in places), []).append(line)
    return found


def _owners(hands: Sequence[Sequence[int] | IntArray], *, last: int) -> IntArray:
    """The place of its hand for each number of a row, up to a last one at least; how many hands there are for none."""
    owner = np.full(max(last, *(int(np.max(hand)) for hand in hands)) + 1, len(hands))
    for place, hand in enumerate(hands):
        owner[hand] = place
    return owner


def _dealt(rows: Series, owner: IntArray, hands: int) -> list[Series]:
    """The rows of a series in so many hands, by who owns the number of each, all in one go."""
    mine = owner[rows.order]
    by_owner = mine.argsort(kind="stable")
    return [rows.where(part) for part in np.split(by_owner, mine[by_owner].searchsorted(np.arange(1, hands + 1)))]


def are_few(words: int, rows: int) -> bool:
    """Whether so many combinations of words may tell so many rows apart.

    Example:
        >>> are_few(256, 256), are_few(300, 12_000), are_few(300, 300), are_few(5000, 500_000)
        (True, True, False, False)
    """
    return words <= _MANY_WORDS or (words <= _MOST_WORDS and rows >= _ROWS * words)


def _few(words: Words) -> Words:
    """The same; none where there are too many combinations to tell rows apart."""
    return words if are_few(len(words), sum(map(len, words.values()))) else {}


def _column(header: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {name.lower(): name for name in header}
    return next((by_name[name] for name in names if name in by_name), None)
