"""How a table is laid out: what names its columns have, what stands between two cells, where its first row is.

Beside commas, tabs and semicolons these are tables as they are printed: between bars (Markdown's among them), or in
columns that are padded with spaces.
"""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from curvecast.readers.formats import HEAD_BYTES
from curvecast.readers.tags import LOSS_WORDS, TEST_WORDS, TRAIN_WORDS, VAL_WORDS, split_words

STEP_COLUMNS = (
    *("step", "global_step", "trainer/global_step", "train/global_step", "train/step", "train_step"),
    *("iteration", "iter", "iters", "itr", "iter_num", "train/iter", "n_iter", "num_updates", "update"),
    *(
        "current_steps",
        "current_step",
        "steps",
        "iterations",
        "optimizer_step",
        "update_step",
        "batch_idx",
        "training_iteration",
    ),
    "_step",
    "#",  # spaCy's
)
UNIT_COLUMNS = {
    **{"epoch": "epoch", "epochs": "epoch", "consumed_samples": "sample", "consumed_tokens": "token"},
    **{
        "tokens": "token",
        "track_tokens_seen": "token",
        "tokens_seen": "token",
        "episode": "episode",
        "episodes": "episode",
        "samples_seen": "sample",
        "round": "step",  # of federated training
    },
}
_LONGEST_HEADER = 1 << 20  # bytes
_MOST_REMARKS = 64  # lines before the header
_RULE = re.compile(r"[\s|+:=_-]+")  # drawn between the rows of a printed table
_SIDES = TRAIN_WORDS | VAL_WORDS | TEST_WORDS
_GAP = re.compile(r"\s{2,}")  # between names of several words


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is laid out.

    Args:
        names: of its columns.
        delimiter: what stands between two cells; a space for any white space.
        skipped: lines before the first row.
    """

    names: tuple[str, ...]
    delimiter: str
    skipped: int

    @property
    def is_drawn(self) -> bool:
        """Whether it was printed for people: no quotes, rules between the rows, and the names may come again."""
        return self.delimiter in ("|", " ")

    def cells(self, line: str) -> list[str]:
        """The cells of one line."""
        if self.is_drawn:
            return _drawn_cells(line, self.delimiter)
        try:
            return next(csv.reader([line], delimiter=self.delimiter), [])
        except csv.Error:
            return []

    def last_cell(self, line: str) -> str | None:
        """The last cell of a row of numbers; ``None`` for what is no such row."""
        cells = self.cells(line)
        last = cells[-1].strip() if len(cells) == len(self.names) else "no row"
        return last if not last or value_of(last.replace(",", ".")) is not None else None

    def rows(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each row of a file.

        Raises:
            OSError: if it cannot be opened.
            csv.Error: if it is no table.
        """
        with path.open(encoding="utf-8-sig", errors="replace", newline=None if self.is_drawn else "") as file:
            lines = islice(file, self.skipped, None)
            if self.is_drawn:
                held_out = False  # as of what stands below a line `validation`, as NequIP's does
                for number, line in enumerate(lines, self.skipped + 1):
                    cells = [] if _RULE.fullmatch(line) else self.cells(line)
                    if len(cells) == 1 and (words := split_words(cells[0])) & _SIDES and len(words) == 1:
                        held_out = not words & TRAIN_WORDS
                    elif cells and cells != list(self.names) and not held_out:
                        yield number, cells
                return
            reader = csv.reader(lines, delimiter=self.delimiter)
            for cells in reader:
                if cells:
                    yield reader.line_num + self.skipped, cells


def layout_of(start: bytes, name: str) -> Layout:
    r"""The layout of a table that begins with these bytes, in a file of that name.

    Lines before it that begin with ``#`` are remarks; the last of them has the names where only numbers follow.

    Example:
        >>> layout_of(b"# seed 3\n# step,loss\n1,2.5\n", "a.csv")
        Layout(names=('step', 'loss'), delimiter=',', skipped=2)
        >>> layout_of(b"| Epoch | Train loss |\n|---|---|\n| 1 | 2.5 |\n", "a.txt").names
        ('Epoch', 'Train loss')
    """
    start = with_newlines(start)
    skipped, first = _header_line(start)
    if name.endswith(".tsv"):
        return Layout(_names(first, "\t"), "\t", skipped)
    delimiter = next((mark for mark in ",\t;" if mark.encode() in first), None)
    names = _names(first, delimiter or ",")
    if (delimiter is None or not _names_a_loss(names)) and (drawn := _drawn(start)) is not None:
        return drawn  # a comma may stand in a remark above it
    return Layout(names, delimiter or ",", skipped)


def header_of(start: bytes, name: str) -> list[str]:
    r"""The column names of a table that begins with these bytes, in a file of that name.

    Example:
        >>> header_of(b"# seed 3\nstep,loss\n1,2.5\n", "a.csv"), header_of(b"# step loss\n1 2.5\n", "a.txt")
        (['step', 'loss'], ['step', 'loss'])
    """
    return list(layout_of(start, name).names)


def read_layout(path: Path) -> Layout:
    """The layout of a file.

    Raises:
        OSError: if the file cannot be opened.
    """
    return layout_of(start_of(path), path.name)


def start_of(path: Path) -> bytes:
    """The first bytes of a table, its header among them."""
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
        return start if b"\n" in with_newlines(start) else start + file.readline(_LONGEST_HEADER)


def with_newlines(start: bytes) -> bytes:
    r"""The first bytes of a text, whose lines may end as on an old Macintosh, the last one perhaps otherwise.

    Example:
        >>> with_newlines(b"step,loss\r1,2.5\r2,2\r\n"), with_newlines(b"step\r\n1")
        (b'step,loss\n1,2.5\n2,2\n', b'step\r\n1')
    """
    if start.count(b"\r") - start.count(b"\r\n") <= start.count(b"\n"):
        return start
    return start.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def plain_name(column: str) -> str:
    """A column's name in lower case, without the sign of a number behind it.

    Example:
        >>> plain_name("Iteration #"), plain_name("Step")
        ('iteration', 'step')
    """
    return column.lower().removesuffix("#").rstrip() or column


def value_of(cell: str) -> float | None:
    """A cell as a number, ``nan`` and ``inf`` in every spelling included; ``None`` for text.

    Example:
        >>> value_of("2.5"), value_of("-inf"), value_of("1_000")
        (2.5, -inf, None)
    """
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def _header_line(start: bytes) -> tuple[int, bytes]:
    """Lines up to the one with the names, that one included, and those names."""
    lines = start.removeprefix(BOM_UTF8).split(b"\n", _MOST_REMARKS)
    remarks = next((k for k, line in enumerate(lines) if not line.startswith(b"#")), len(lines))
    names = lines[remarks] if remarks < len(lines) else b""
    if remarks and (not names.strip() or value_of(re.split(rb"[,;\t]", names)[0].decode(errors="replace")) is not None):
        return remarks, lines[remarks - 1].lstrip(b"# ")
    return remarks + 1, names


@lru_cache(maxsize=64)  # each format of tables asks, and the tables of a folder have the same
def _names(first: bytes, delimiter: str) -> tuple[str, ...]:
    if b"\0" in first:
        return ()
    try:
        cells = next(csv.reader([first.decode("utf-8-sig", errors="replace")], delimiter=delimiter), [])
    except csv.Error:
        return ()
    return tuple(cell.strip() for cell in cells)


def _drawn(start: bytes) -> Layout | None:
    """The layout of a printed table: names with a step and a loss among them, and below them a row that fits."""
    if b"loss" not in start.lower() or b"\0" in start:
        return None
    lines = start.split(b"\n", _MOST_REMARKS)[:_MOST_REMARKS]
    for at, line in enumerate(lines):
        if b"loss" not in line.lower():
            continue
        below = next((k for k in range(at + 1, len(lines)) if not _RULE.fullmatch(_text(lines[k]))), len(lines))
        if below == len(lines) or b"loss" in lines[below].lower():  # as in most logs, whose lines name their numbers
            continue
        for names in (_text(line), _of_two_lines(_text(lines[at - 1]), _text(line)) if at else ""):
            if (found := _names_above(names, _text(lines[below]))) is not None:
                return Layout(*found, below)
    return None


def _of_two_lines(above: str, line: str) -> str:
    """The names that stand in two lines between bars, as MATLAB writes them.

    Example:
        >>> _of_two_lines("|  Epoch  |  Mini-batch  |", "|         |     Loss     |")
        'Epoch|Mini-batch Loss'
    """
    pairs = [_drawn_cells(each, "|") if "|" in each else [] for each in (above, line)]
    if len(pairs[0]) != len(pairs[1]) or any(value_of(cell) is not None for cell in pairs[0]):
        return ""
    return "|".join(f"{first} {second}".strip() for first, second in zip(*pairs, strict=True))


def _text(line: bytes) -> str:
    return line.decode("utf-8-sig", errors="replace")


def _names_above(line: str, row: str) -> tuple[tuple[str, ...], str] | None:
    """The names in a line, and what stands between them, if the row below it fits them."""
    line = line.strip().lstrip("#").strip()
    delimiter = "|" if "|" in line else " "
    row_cells = _drawn_cells(row, delimiter)
    for names in (_drawn_cells(line, delimiter), _GAP.split(line)):
        lower = [plain_name(name) for name in names]
        step = next((lower.index(name) for name in (*STEP_COLUMNS, *UNIT_COLUMNS) if name in lower), None)
        if step is None or len(names) != len(row_cells) or len(set(lower)) != len(lower):
            continue
        if value_of(row_cells[step]) is not None and _names_a_loss(names):
            return tuple(names), delimiter
    return None


def _names_a_loss(names: Sequence[str]) -> bool:
    return any(split_words(name) & LOSS_WORDS for name in names)


def _drawn_cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
