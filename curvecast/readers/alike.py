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
from functools import cached_property

import numpy as np

from curvecast.readers.base import FloatArray, IntArray
from curvecast.readers.counters import OF_TOTAL
from curvecast.readers.rows import DEEPEST, Records, number_in
from curvecast.readers.sides import OFTEN, SIDES, TIDY, told_apart

_DIGITS = b"0123456789+-."
_KEPT = _DIGITS + b"E,\n"
_REST = bytes(set(range(256)) - set(_KEPT))
_EXPONENT = re.compile(rb"[0-9]e[-+]")
_END = 10
_SAME = 32  # lines of one build are read together if there are at least so many
_NEAR = 256  # within so many lines of the first a line is found sooner by walking there
_MOST_BUILDS = 64  # builds of lines in a block; lines of further ones are read one by one
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_WORD = re.compile(rb'"([^"]*)":\s*("[^"]*")(?=[,}])')  # a name, and its value that is a string
_ONE_NUMBER = re.compile(rb'"(?:metricV|v)alue"\s*:')  # of a record whose word names it
_MAY_TELL = re.compile(
    rb'"(?:%s)":\s*"[^"]*(?:train|val|dev|test|tr\b)' % "|".join(sorted(OFTEN)).encode(), re.IGNORECASE
)
_OF_TOTAL = re.compile(OF_TOTAL.pattern.encode())
_MISLEADING = re.compile(rb"[0-9+\-.E,]")  # in a string: it would be taken for a part of a number


def read_alike(lines: Lines, first: int, records: Records) -> Iterator[tuple[int, bytes]]:
    r"""Read the lines of a block that are built like many others; give the rest.

    Args:
        lines: the block's, the last one's end included.
        first: the first line's number, from 0: the place of its record.
        records: takes the columns; they come in no order.

    Yields:
        Number and bytes of each line that is to be parsed on its own.

    Example:
        >>> records = Records()
        >>> list(read_alike(Lines(b'{"step": 1, "loss": 2.5}\n' * 40 + b"what?\n"), 0, records))
        [(40, b'what?')]
        >>> int(records.columns["loss"].there(41).sum())
        40
    """
    plain = _plain(lines.text, lines.line(0)) if len(lines) >= _SAME else None
    if plain is None:
        yield from enumerate(lines.text.split(b"\n")[:-1], first)
        return
    builds, numbers = (Lines(plain.translate(None, left_out), len(lines)) for left_out in (_DIGITS + b"E", _REST))
    for group in _groups(builds):
        if len(group) < _SAME or not _read(lines.line(int(group[0])), numbers, group, first, records):
            yield from ((first + at, lines.line(at)) for at in group.tolist())


class Lines:
    """A text, and where its lines end; that is looked for only where it is asked for."""

    def __init__(self, text: bytes, count: int | None = None) -> None:
        self.text = text
        self._count = count

    def __len__(self) -> int:
        if self._count is None:  # `bytes.count` takes ten times
            self._count = int(np.count_nonzero(np.frombuffer(self.text, np.uint8) == _END))
        return self._count

    @cached_property
    def ends(self) -> IntArray:
        """Where the lines end."""
        return np.flatnonzero(np.frombuffer(self.text, np.uint8) == _END)

    @cached_property
    def starts(self) -> IntArray:
        """Where the lines begin."""
        return np.append(np.int64(0), self.ends[:-1] + 1)

    def line(self, at: int) -> bytes:
        """One line, without its end."""
        if at >= _NEAR:
            return self.text[self.ends[at - 1] + 1 : self.ends[at]]
        begin = 0
        for _ in range(at):
            begin = self.text.index(b"\n", begin) + 1
        return self.text[begin : self.text.index(b"\n", begin)]

    def some(self, at: IntArray) -> bytes:
        """The text of some lines, in their order."""
        if len(at) == len(self):
            return self.text
        last = np.append(np.flatnonzero(at[1:] - at[:-1] != 1), len(at) - 1)  # of each run of neighbours
        first = np.append(0, last[:-1] + 1)
        runs = zip(self.starts[at[first]].tolist(), (self.ends[at[last]] + 1).tolist(), strict=True)
        return b"".join([self.text[begin:end] for begin, end in runs])


def _groups(builds: Lines) -> Iterator[IntArray]:
    """The places of the lines of each build, ascending; what is left when there are too many builds, as one each."""
    left = np.arange(len(builds))
    if (builds.line(0) + b"\n") * len(builds) == builds.text:
        yield left
        return
    sizes = builds.ends - builds.starts
    for _ in range(_MOST_BUILDS):
        if not len(left):
            return
        build = builds.line(int(left[0]))
        same = sizes[left] == len(build)
        alike = left[same]
        if builds.some(alike) != (build + b"\n") * len(alike):
            windows = np.ndarray((len(builds.text) - len(build) + 1,), f"S{len(build)}", builds.text, 0, (1,))
            same[same] = equal = windows[builds.starts[alike]] == build
            alike = alike[equal]
        yield alike
        left = left[~same]
    yield from left[:, None]


def _plain(block: bytes, line: bytes) -> bytes | None:
    """The block with nothing that looks like a number in its first line's names and words; ``None`` where it stays."""
    words = _STRING.findall(line)
    if any(b"\\" in word for word in words):
        return None
    misleading = [(name, word) for name, word in _WORD.findall(line) if _MISLEADING.search(word)]
    worded = {name for name, _ in misleading}
    if any(_tells(name.decode(errors="replace").lower(), word, line) for name, word in misleading):
        return None
    if any(name.decode(errors="replace").lower() in OFTEN for name in worded) and _MAY_TELL.search(block):
        return None  # a word of a later line may be more than a label
    if worded:
        block = re.sub(rb'("(?:%s)":)\s*"[^"]*"(?=[,}])' % b"|".join(map(re.escape, worded)), rb"\1null", block)
    names = sorted({name for name in words if _MISLEADING.search(name) and name + b":" in line})
    for k, name in enumerate(names):
        other = b'"' + b"x" * (k + 1) + b'":'
        if other in block:
            return None
        block = block.replace(name + b":", other)
    if _EXPONENT.search(line):  # so that the letter of a number is not one of a name
        block = block.replace(b"e-", b"E-").replace(b"e+", b"E+")
    return block


def _tells(name: str, word: bytes, line: bytes) -> bool:
    """Whether a word of a record is more than a label: what its numbers are, or a counter with its total."""
    tells = name in SIDES or (name in TIDY and _ONE_NUMBER.search(line) is not None)
    return tells or _OF_TOTAL.search(word) is not None


def _read(sample: bytes, numbers: Lines, group: IntArray, first: int, records: Records) -> bool:
    """Read the numbers of lines that are built like a sample; whether that could be done."""
    try:
        record = json.loads(sample)
    except (ValueError, RecursionError):
        return False
    told = told_apart(record) if isinstance(record, dict) else {}
    leaves = list(_leaves(told, "", DEEPEST))
    fields = numbers.line(int(group[0])).split(b",")
    if not leaves or len(fields) != len(leaves) or len({name for name, _ in leaves}) != len(leaves):
        return False
    if not all(_fits(field, value) for field, (_, value) in zip(fields, leaves, strict=True)):
        return False
    if any(isinstance(value, str) and number_in(value) is not None for _, value in leaves):
        return False
    columns = _columns(numbers.some(group), len(group), [bool(field) for field in fields])
    if columns is None:
        return False
    if told.keys() != record.keys():
        records.label(record, len(group))
    for (name, value), column in zip(leaves, columns, strict=True):
        if column is not None:
            records.extend(name, column, group + first)
        elif isinstance(value, float):
            records.extend(name, np.full(len(group), value), group + first)
    return True


def _columns(text: bytes, count: int, filled: Sequence[bool]) -> list[FloatArray | None] | None:
    """The numbers of each column, ``None`` for one that is empty throughout; ``None`` if they are not all alike."""
    try:
        from pyarrow import ArrowInvalid, csv, float64, py_buffer
    except ImportError:
        return _columns_by_hand(text.split(b"\n")[:-1], filled)
    names = [str(k) for k in range(len(filled))]
    try:
        table = csv.read_csv(
            py_buffer(text),
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, float64()), null_values=[""]),
        )
    except ArrowInvalid:
        return None
    found = [table.column(k) for k in range(len(filled))]
    if any(column.null_count != (0 if full else count) for column, full in zip(found, filled, strict=True)):
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
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf:
        try:
            return float(field) == float(value)
        except (ValueError, OverflowError):
            return False
    return not field and not (isinstance(value, float) and math.isinf(value))
