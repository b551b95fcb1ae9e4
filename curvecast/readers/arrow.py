"""A large table of numbers, blanks and labels, read by pyarrow where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curvecast.readers.base import FloatArray, IntArray, Series, count_steps
from curvecast.readers.layout import Layout, start_of, with_newlines
from curvecast.readers.tidy import ByWords, Words, are_few, word_columns

Columns = tuple[list[Series | None], ByWords]

_LARGE = 4 << 20  # bytes from which on pyarrow, where it is installed, saves more than its import costs
_FIRST = 2  # number of the first row
_A_NUMBER = r"^\s*[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf|infinity)\s*$"


def is_plain(path: Path, layout: Layout) -> bool:
    """Whether a table is large, its rows are of one kind, and its decimals have points."""
    if path.stat().st_size < _LARGE or layout.is_drawn:
        return False
    start = start_of(path)
    return b"\n" in start and with_newlines(start) == start and (layout.delimiter == "," or b"," not in start)


def read_plain(path: Path, layout: Layout, at: int | None, *, cut: bool = False) -> Columns | None:
    """``columns.read_columns`` by pyarrow, of a table of numbers, blanks and labels.

    Returns:
        The columns, and their rows by words; ``None`` where pyarrow is not installed, or something in the table must be
        told.
    """
    try:
        import pyarrow
    except ImportError:
        return None
    try:
        try:
            table = _arrow_table(path, layout, pyarrow.float64())
        except pyarrow.ArrowInvalid:  # some column is text
            table = _arrow_table(path, layout)
    except pyarrow.ArrowException:
        return None
    table = table.slice(0, len(table) - cut)
    columns = [table.column(index) for index in range(len(layout.names))]
    values = [_numbers(column) for column in columns]
    steps = np.arange(1.0, len(table) + 1) if at is None else values[at]
    if steps is None or (at is not None and columns[at].null_count) or not np.all(count_steps(steps)):
        return None
    if any(column is None and not _is_label(arrow) for column, arrow in zip(values, columns, strict=True)):
        return None
    counted = steps.astype(np.int64)
    order = np.arange(len(steps)) + _FIRST
    found: list[Series | None] = []
    for index, (column, arrow) in enumerate(zip(values, columns, strict=True)):
        if index == at or column is None or arrow.null_count == len(arrow):
            found.append(None)
        elif arrow.null_count:
            logged = arrow.is_valid().to_numpy()
            found.append(Series(counted[logged], column[logged], order[logged]))
        else:
            found.append(Series(counted, column, order))
    return found, lambda names: _by_words([columns[layout.names.index(name)] for name in names])


def _by_words(columns: Sequence[Any]) -> Words:
    """The numbers of the rows of each combination of words in some columns."""
    coded = [column.combine_chunks().dictionary_encode() for column in columns]
    codes = np.zeros(len(coded[0]), np.int64)
    for each in coded:
        codes = codes * len(each.dictionary) + each.indices.to_numpy(zero_copy_only=False)
    kinds, firsts, of = np.unique(codes, return_index=True, return_inverse=True)
    if not are_few(len(kinds), len(codes)):
        return {}
    found: dict[tuple[str, ...], IntArray] = {}
    for kind in np.argsort(firsts).tolist():  # in the order in which they come
        words = tuple(each.dictionary[each.indices[int(firsts[kind])].as_py()].as_py().strip() for each in coded)
        rows = np.flatnonzero(of == kind) + _FIRST
        found[words] = np.sort(np.concatenate([found[words], rows])) if words in found else rows
    return found


def _arrow_table(path: Path, layout: Layout, type_: Any = None) -> Any:
    """A table as pyarrow reads it, its columns all of one type or each of its own."""
    import pyarrow
    from pyarrow import csv as arrow

    names = list(map(str, range(len(layout.names))))
    types = dict.fromkeys(names, type_) if type_ is not None else {}
    types |= {names[layout.names.index(name)]: pyarrow.string() for name in word_columns(layout.names)}
    return arrow.read_csv(
        path,
        read_options=arrow.ReadOptions(use_threads=False, column_names=names, skip_rows=layout.skipped),
        parse_options=arrow.ParseOptions(delimiter=layout.delimiter),
        convert_options=arrow.ConvertOptions(null_values=[""], column_types=types),
    )


def _numbers(column: Any) -> FloatArray | None:
    """A column of numbers and blanks; ``None`` for one of anything else."""
    if str(column.type) not in ("double", "int64", "null"):
        return None
    numbers: FloatArray = column.cast("double").to_numpy()
    return numbers


def _is_label(column: Any) -> bool:
    """Whether no cell of a column is a number, so that it is a label, a date, or an answer."""
    from pyarrow import compute, types

    if types.is_binary(column.type):
        return False
    if not types.is_string(column.type):
        return True
    return not compute.any(compute.match_substring_regex(column, _A_NUMBER, ignore_case=True)).as_py()
