"""Lines of JSON that are built alike, many at once.

A training loop writes the same record over and over, and only its numbers change. What is left of a line without the
characters of numbers tells how it is built; of all lines that are built in one way the first is parsed by the book,
and of the others nothing but the numbers is read, by their place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import itemgetter

import numpy as np

from curvecast.readers.base import FloatArray, IntArray
from curvecast.readers.rows import DEEPEST, Records

_DIGITS = b"0123456789+-."
_KEPT = _DIGITS + b"E,\n"
_REST = bytes(set(range(256)) - set(_KEPT))
_EXPONENT = re.compile(rb"[0-9]e[-+]")
_END = 10
_SAME = 32  # lines of one build from which on they are read together
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_WORD = re.compile(rb':\s*"[^"\\]*"(?=[,}])')  # a value that is a string
_MISLEADING = re.compile(rb"[0-9+\-.E,]")  # in a string: it would be taken for a part of a number


def read_alike(block: bytes, first: int, records: Records) -> Iterator[tuple[int, bytes]]:
    r"""Read the lines of a block that are built like many others; give the rest.

    Args:
        block: whole lines, the last one's end included.
        first: the first line's number, from 0: the place of its record.
        records: takes the columns; they come in no order.

    Yields:
        Number and bytes of each line that is to be parsed on its own.

    Example:
        >>> records = Records()
        >>> list(read_alike(b'{"step": 1, "loss": 2.5}\n' * 40 + b"what?\n", 0, records))
        [(40, b'what?')]
        >>> len(records.columns["loss"][0])
        40
    """
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _END)
    plain = _plain(block, block[: ends[0]]) if len(ends) >= _SAME else None
    if plain is None:
        yield from enumerate(block.split(b"\n")[:-1], first)
        return
    builds = plain.translate(None, _DIGITS + b"E").split(b"\n")[:-1]
    numbers = plain.translate(None, _REST).split(b"\n")[:-1]
    for group in _groups(builds):
        rows = numbers if len(group) == len(numbers) else itemgetter(*group)(numbers) if len(group) > 1 else ()
        sample = _line(block, ends, int(group[0]))
        if len(group) < _SAME or not _read(sample, rows, np.asarray(group) + first, records):
            yield from ((first + at, _line(block, ends, at)) for at in group)


def _line(block: bytes, ends: IntArray, at: int) -> bytes:
    return block[ends[at - 1] + 1 if at else 0 : ends[at]]


def _groups(builds: Sequence[bytes]) -> list[Sequence[int]]:
    """The places of each build: those of the first line's, then the others'."""
    differs = list(map(builds[0].__ne__, builds))
    others: dict[bytes, list[int]] = {}
    for at in compress(range(len(builds)), differs):
        others.setdefault(builds[at], []).append(at)
    if not others:
        return [range(len(builds))]
    return [np.flatnonzero(~np.array(differs)).tolist(), *others.values()]


def _plain(block: bytes, line: bytes) -> bytes | None:
    """The block with nothing that looks like a number in its first line's names and words; ``None`` where it stays."""
    words = _STRING.findall(line)
    if any(b"\\" in word for word in words):
        return None
    if any(_MISLEADING.search(word) for word in _WORD.findall(line)):
        block = _WORD.sub(b":null", block)
    names = sorted({name for name in words if _MISLEADING.search(name) and name + b":" in line})
    for k, name in enumerate(names):
        other = b'"' + b"x" * (k + 1) + b'":'
        if other in block:
            return None
        block = block.replace(name + b":", other)
    if _EXPONENT.search(line):  # so that the letter of a number is not one of a name
        block = block.replace(b"e-", b"E-").replace(b"e+", b"E+")
    return block


def _read(sample: bytes, rows: Sequence[bytes], places: IntArray, records: Records) -> bool:
    """Read the rows of lines that are built like a sample; whether that could be done."""
    try:
        record = json.loads(sample)
    except (ValueError, RecursionError):
        return False
    leaves = list(_leaves(record, "", DEEPEST)) if isinstance(record, dict) else []
    fields = rows[0].split(b",")
    if not leaves or len(fields) != len(leaves) or len({name for name, _ in leaves}) != len(leaves):
        return False
    if not all(_fits(field, value) for field, (_, value) in zip(fields, leaves, strict=True)):
        return False
    columns = _columns(rows, [bool(field) for field in fields])
    if columns is None:
        return False
    for (name, value), column in zip(leaves, columns, strict=True):
        if column is not None:
            records.extend(name, column, places)
        elif isinstance(value, float):
            records.extend(name, np.full(len(rows), value), places)
    return True


def _columns(rows: Sequence[bytes], filled: Sequence[bool]) -> list[FloatArray | None] | None:
    """The numbers of each column, ``None`` for one that is empty throughout; ``None`` if they are not all alike."""
    try:
        from pyarrow import ArrowInvalid, csv, float64, py_buffer
    except ImportError:
        return _columns_by_hand(rows, filled)
    text = b"\n".join(rows)
    names = [str(k) for k in range(len(filled))]
    try:
        table = csv.read_csv(
            py_buffer(text),
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            csv.ParseOptions(ignore_empty_lines=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, float64()), null_values=[""]),
        )
    except ArrowInvalid:
        return None
    found = [table.column(k) for k in range(len(filled))]
    if any(column.null_count != (0 if full else len(rows)) for column, full in zip(found, filled, strict=True)):
        return None
    return [column.to_numpy() if full else None for column, full in zip(found, filled, strict=True)]


def _columns_by_hand(rows: Sequence[bytes], filled: Sequence[bool]) -> list[FloatArray | None] | None:
    cells = b",".join(rows).split(b",")
    if len(cells) != len(rows) * len(filled):
        return None
    columns: list[FloatArray | None] = []
    for k, full in enumerate(filled):
        column = cells[k :: len(filled)]
        if full:
            try:
                columns.append(np.fromiter(map(float, column), np.float64, len(rows)))
            except ValueError:
                return None
        elif any(column):
            return None
        else:
            columns.append(None)
    return columns


def _leaves(record: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, object]]:
    """The values of a record that are no records themselves, in the order of writing, by their joined names."""
    for name, value in record.items():
        if isinstance(value, dict):
            if not depth or not value:
                yield prefix + name, None
            else:
                yield from _leaves(value, f"{prefix}{name}/", depth - 1)
        else:
            yield prefix + name, value


def _fits(field: bytes, value: object) -> bool:
    """Whether a field holds a value, or nothing where the value has no digits."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        try:
            return float(field) == float(value)
        except (ValueError, OverflowError):
            return False
    return not field and not (isinstance(value, float) and math.isinf(value))
