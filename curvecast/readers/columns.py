"""The cells of a table as columns of numbers, each over the steps of the column that counts.

A row at a time, so that every cell that is no number is told with its line; a large table without any is left to
pyarrow (``arrow.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from curvecast.readers.arrow import Columns, is_plain, read_plain
from curvecast.readers.base import Notes, Series
from curvecast.readers.growing import GROWING, ends_cut
from curvecast.readers.layout import Layout, value_of
from curvecast.readers.tidy import by_row
from curvecast.schedule.checks import MOST_STEPS

_TEXT_SHOWN = 3
_THOUSANDS = re.compile(r"\s*[1-9]\d{0,2}(?:,\d{3})+\s*")
_BY_DOTS = re.compile(r"\s*[1-9]\d{0,2}(?:\.\d{3})+\s*")
_BEHIND_COMMA = re.compile(r"\s*[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+(?:[eE][-+]?\d+)?\s*")


@dataclass(slots=True)
class _Text:
    """What stood where a number should: how often, and the first few."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, line: int, found: str) -> None:
        self.count += 1
        if len(self.shown) < _TEXT_SHOWN:
            self.shown.append(f"line {line} has {found}")

    def __str__(self) -> str:
        shown = "; ".join(self.shown) + (" ..." if self.count > _TEXT_SHOWN else "")
        return f"{self.count} {'entry' if self.count == 1 else 'entries'} left out: {shown}"


def read_columns(path: Path, layout: Layout, at: int | None, notes: Notes) -> Columns:
    """The columns of a table, each over the steps of column ``at``, and its rows by words.

    ``None`` stands for a column without a number.

    Args:
        path: the table.
        layout: of the table.
        at: the place of the column that counts; ``None`` to count the rows.
        notes: takes what is left out.

    Raises:
        OSError: if the file cannot be opened.
        csv.Error: if it is no table.
    """
    cut = ends_cut(path, layout.last_cell)
    if cut and not GROWING.get():
        notes.add(f"{path.name}: the last row breaks off, and is left out", lost=True)
    if is_plain(path, layout) and (columns := read_plain(path, layout, at, cut=cut)) is not None:
        return columns
    rows = layout.rows(path)
    found = _by_row(path, _without_last(rows) if cut else rows, layout, at, notes)
    return found, lambda names: by_row(layout.names, names, layout.rows(path))


def _by_row(
    path: Path, rows: Iterator[tuple[int, list[str]]], layout: Layout, at: int | None, notes: Notes
) -> list[Series | None]:
    """``read_columns``, a row after another."""
    header = layout.names
    columns: list[list[tuple[int, float, int]]] = [[] for _ in header]
    left_out = [_Text() for _ in header]
    point = "." if layout.delimiter == "," else ","  # beside another mark a comma begins decimals
    line, cells = 0, list[str]()
    for count, (line, cells) in enumerate(rows, 1):
        if len(cells) != len(header):
            left_out[at or 0].add(line, f"{len(cells)} cells for {len(header)} columns")
            continue
        if point == ",":
            cells = _without_dots(cells, at)
        step = float(count) if at is None else _step_in(cells[at], point)
        if step is None:
            left_out[at or 0].add(line, f"{cells[at or 0]!r} for a step")
            continue
        for index, cell in enumerate(cells):
            if not cell or index == at:
                continue
            value = value_of(cell.replace(point, "."))
            if value is not None:
                columns[index].append((int(step), value, line))
            elif not cell.isspace():
                left_out[index].add(line, f"{cell!r} for {header[index]!r}")
    if cells and cells[-1].endswith("\n"):
        begun = line - cells[-1].count("\n") + 1
        notes.add(f"{path.name}: a quote in line {begun} is never closed: what follows is left out", lost=True)
    for index, found in enumerate(left_out):
        if found.count and (index == at or columns[index]):  # a column that is all text is a label, not damage
            notes.add(f"{path.name}: {found}", lost=True)
    return [Series.of(column) if column else None for column in columns]


def _step_in(cell: str, point: str) -> float | None:
    """The step that a cell holds; ``None`` for what is none."""
    thousands = _THOUSANDS.fullmatch(cell) is not None
    step = value_of(cell.replace(",", "") if thousands else cell.replace(point, "."))
    return step if step is not None and step.is_integer() and abs(step) <= MOST_STEPS else None


def _without_dots(cells: list[str], at: int | None) -> list[str]:
    """A row without the dots between thousands, which are some where decimals stand behind commas."""
    behind = ["," in cell and _BEHIND_COMMA.fullmatch(cell) is not None for cell in cells]
    if not any(behind):
        return cells
    return [
        cell.replace(".", "") if comma or (index == at and _BY_DOTS.fullmatch(cell)) else cell
        for index, (cell, comma) in enumerate(zip(cells, behind, strict=True))
    ]


def _without_last(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """All rows but the last one, which was cut off."""
    return (row for row, _ in pairwise(rows))
