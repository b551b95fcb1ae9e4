"""Tables of comma-separated values with a row a step: Lightning's ``metrics.csv`` and its like."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.base import FloatArray, Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import HEAD_BYTES, Folder, Format, Part
from curvecast.readers.tags import choose_tags
from curvecast.readers.tidy import runs_of, tag_column, told_apart, word_columns

TABLE = "metrics.csv"  # Lightning's
_SUFFIXES, _OTHERS = (".csv", ".tsv"), (".txt", ".log", ".dat")
STEP_COLUMNS = (
    *("step", "global_step", "trainer/global_step", "train/global_step", "train/step", "train_step"),
    *("iteration", "iter", "iters", "iter_num", "train/iter", "n_iter", "num_updates", "update"),
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
)
UNIT_COLUMNS = {"epoch": "epoch", "consumed_samples": "sample", "consumed_tokens": "token", "tokens": "token"}
_BATCH = "batch"
_INDEX = ("", "unnamed: 0")  # as pandas writes the number of a row
_TEXT_SHOWN = 3
_LONGEST_HEADER = 1 << 20  # bytes
_MOST_REMARKS = 64  # lines before the header
_THOUSANDS = re.compile(r"\s*[1-9]\d{0,2}(?:,\d{3})+\s*")
_A_NUMBER = r"^\s*[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf|infinity)\s*$"
_LARGE = 4 << 20  # bytes from which on pyarrow, where it is installed, saves more than its import costs
LARGEST_STEP = 2**53  # beyond it a float no longer tells two steps apart


def step_column(header: Sequence[str]) -> str | None:
    """The column that counts steps, else epochs, samples or tokens, else the rows; or ``None``.

    Example:
        >>> step_column(["epoch", "Step", "train_loss"])
        'Step'
    """
    return next(iter(step_columns(header, _INDEX)), None)


def step_columns(header: Iterable[str], beside: Sequence[str] = ()) -> list[str]:
    """Every column that may count steps, epochs, samples or tokens, the best first; last those that are named beside.

    A batch counts where it is one of an epoch (unless ``is_batch_size``); alone it may be any number.

    Example:
        >>> step_columns(["epoch", "Batch", "loss"]), step_columns(["batch", "loss"])
        (['Batch', 'epoch'], [])
    """
    by_name: dict[str, str] = {}
    for name in header:
        by_name.setdefault(name.lower(), name)
    in_epoch = (_BATCH,) if "epoch" in by_name else ()
    return [by_name[name] for name in (*STEP_COLUMNS, *in_epoch, *UNIT_COLUMNS, *beside) if name in by_name]


def is_batch_size(name: str, numbers: NDArray[Any]) -> bool:
    """Whether what is named a batch counts nothing, as it stays the same."""
    return name.lower() == _BATCH and len(numbers) > 1 and bool((numbers == numbers[0]).all())


def read_header(path: Path) -> list[str]:
    """The column names of a table; empty for a file that has none.

    Raises:
        OSError: if the file cannot be opened.
    """
    return header_of(_start(path), path.name)


def _start(path: Path) -> bytes:
    """The first bytes of a table, its header among them."""
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
        return start if b"\n" in start else start + file.readline(_LONGEST_HEADER)


def header_of(start: bytes, name: str) -> list[str]:
    r"""The column names in the first line of these bytes, with which a file of that name begins.

    Lines before it that begin with ``#`` are remarks; the last of them has the names where only numbers follow.

    Example:
        >>> header_of(b"# seed 3\nstep,loss\n1,2.5\n", "a.csv"), header_of(b"# step,loss\n1,2.5\n", "a.csv")
        (['step', 'loss'], ['step', 'loss'])
    """
    first = _header_line(start)[1]
    return list(_names(first, delimiter_of(first, name)))


def _header_line(start: bytes) -> tuple[int, bytes]:
    """Lines up to the one with the names, that one included, and those names."""
    lines = start.removeprefix(BOM_UTF8).split(b"\n", _MOST_REMARKS)
    remarks = next((k for k, line in enumerate(lines) if not line.startswith(b"#")), len(lines))
    names = lines[remarks] if remarks < len(lines) else b""
    if remarks and (not names.strip() or _number(re.split(rb"[,;\t]", names)[0].decode(errors="replace")) is not None):
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


def read_table(path: Path) -> Log:
    """Read a table; a blank cell means that nothing was logged there, and ``nan`` that NaN was.

    Args:
        path: a CSV file (or TSV, by its suffix) with a header, a step column and a column for each metric.

    Raises:
        UnreadableRun: if there is no header, no step column, or no row with a step.
    """
    try:
        header = read_header(path)
        if not path.stat().st_size:
            raise UnreadableRun(f"{path.name} is empty.")
        column = step_column(header)
        if column is None:
            got = ", ".join(repr(name) for name in header[:12]) or "no header at all"
            looked_for = ", ".join(repr(name) for name in STEP_COLUMNS)
            raise UnreadableRun(f"no step column in {path.name}: looked for {looked_for}, got {got}.")
        notes = Notes()
        columns = read_columns(path, header, header.index(column), notes)
        if is_batch_size(column, np.concatenate([[], *(rows.steps for rows in columns if rows is not None)])):
            column, notes = step_column([name for name in header if name != column]) or column, Notes()
            columns = read_columns(path, header, header.index(column), notes)
        series = {name: rows for name, rows in zip(header, columns, strict=True) if rows is not None}
        if word_columns(header):
            series = told_apart(header, series, _rows(path))
    except (OSError, csv.Error) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    if not series:
        raise UnreadableRun(f"no numbers in {path.name}: it has columns {header[:12]}, but no row that can be read.")
    unit = UNIT_COLUMNS.get(column.lower(), "step")
    if column.lower() in _INDEX:
        notes.add("no column counts steps: the number of the row is taken for it")
    return Log(path, "csv", series, notes=notes, units=dict.fromkeys(series, unit) if unit != "step" else {})


def delimiter_of(first: bytes, name: str) -> str:
    """What stands between two cells: a comma, unless the header has none and a tab or a semicolon instead."""
    if name.endswith(".tsv"):
        return "\t"
    return next((mark for mark in ",\t;" if mark.encode() in first), ",")


def _layout(path: Path) -> tuple[str, int]:
    """What stands between two cells of a table, and the lines before its first row."""
    skipped, first = _header_line(_start(path))
    return delimiter_of(first, path.name), skipped


@dataclass(slots=True)
class _Text:
    """What stood where a number should: how often, and the first few."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, line: int, found: str) -> None:
        self.count += 1
        if len(self.shown) < _TEXT_SHOWN:
            self.shown.append(f"line {line} has {found}")


def read_columns(path: Path, header: Sequence[str], at: int, notes: Notes) -> list[Series | None]:
    """The columns of a table, each over the steps of column ``at``; ``None`` for one without a number.

    Raises:
        OSError: if the file cannot be opened.
        csv.Error: if it is no table.
    """
    if _is_plain(path, header) and (columns := read_plain(path, header, at)) is not None:
        return columns
    rows: list[list[tuple[int, float, int]]] = [[] for _ in header]
    text = [_Text() for _ in header]
    point = "." if _layout(path)[0] == "," else ","  # beside another mark a comma begins decimals
    for line, cells in _rows(path):
        if len(cells) != len(header):
            text[at].add(line, f"{len(cells)} cells for {len(header)} columns")
            continue
        thousands = _THOUSANDS.fullmatch(cells[at]) is not None
        step = _number(cells[at].replace(",", "") if thousands else cells[at].replace(point, "."))
        if step is None or not step.is_integer() or abs(step) > LARGEST_STEP:
            text[at].add(line, f"{cells[at]!r} for a step")
            continue
        for index, cell in enumerate(cells):
            if not cell or index == at:
                continue
            value = _number(cell.replace(point, "."))
            if value is not None:
                rows[index].append((int(step), value, line))
            elif not cell.isspace():
                text[index].add(line, f"{cell!r} for {header[index]!r}")
    for index, found in enumerate(text):
        if found.count and (index == at or rows[index]):  # a column that is all text is a label, not damage
            shown = "; ".join(found.shown) + (" ..." if found.count > _TEXT_SHOWN else "")
            notes.add(f"{path.name}: {found.count} entries left out: {shown}", lost=True)
    return [Series.of(of_column) if of_column else None for of_column in rows]


def _is_plain(path: Path, header: Sequence[str]) -> bool:
    """Whether a table is large, its rows are of one kind, and its decimals have points."""
    if path.stat().st_size < _LARGE or word_columns(header):
        return False
    start = _start(path)
    return b"," not in start or delimiter_of(_header_line(start)[1], path.name) == ","


def read_plain(path: Path, header: Sequence[str], at: int) -> list[Series | None] | None:
    """``read_columns`` by pyarrow, of a table of numbers, blanks and labels.

    Returns:
        The columns; ``None`` where pyarrow is not installed, or something in the table must be told.
    """
    try:
        import pyarrow
    except ImportError:
        return None
    try:
        try:
            table = _arrow_table(path, len(header), pyarrow.float64())
        except pyarrow.ArrowInvalid:  # some column is text
            table = _arrow_table(path, len(header))
    except pyarrow.ArrowException:
        return None
    columns = [table.column(index) for index in range(len(header))]
    values = [_numbers(column) for column in columns]
    steps = values[at]
    if steps is None or columns[at].null_count or not np.all(_is_step(steps)):
        return None
    if any(column is None and not _is_label(arrow) for column, arrow in zip(values, columns, strict=True)):
        return None
    counted = steps.astype(np.int64)
    order = np.arange(len(steps)) + 2
    found: list[Series | None] = []
    for index, (column, arrow) in enumerate(zip(values, columns, strict=True)):
        if index == at or column is None or arrow.null_count == len(arrow):
            found.append(None)
        elif arrow.null_count:
            logged = arrow.is_valid().to_numpy()
            found.append(Series(counted[logged], column[logged], order[logged]))
        else:
            found.append(Series(counted, column, order))
    return found


def _arrow_table(path: Path, width: int, type_: Any = None) -> Any:
    """A table of so many columns as pyarrow reads it, all of one type or each of its own."""
    from pyarrow import csv as arrow

    names = list(map(str, range(width)))
    delimiter, skipped = _layout(path)
    return arrow.read_csv(
        path,
        read_options=arrow.ReadOptions(use_threads=False, column_names=names, skip_rows=skipped),
        parse_options=arrow.ParseOptions(delimiter=delimiter),
        convert_options=arrow.ConvertOptions(null_values=[""], column_types=type_ and dict.fromkeys(names, type_)),
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


def _is_step(numbers: FloatArray) -> NDArray[np.bool_]:
    """Which numbers may count steps."""
    whole: NDArray[np.bool_] = (np.abs(numbers) <= LARGEST_STEP) & (numbers == np.floor(numbers))
    return whole


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        delimiter, skipped = _layout(path)
        reader = csv.reader(islice(file, skipped, None), delimiter=delimiter)
        for cells in reader:
            if cells:
                yield reader.line_num + skipped, cells


def _number(cell: str) -> float | None:
    """A cell as a number, ``nan`` and ``inf`` in every spelling included; ``None`` for text."""
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name == TABLE:
            yield Part(FORMAT.name, (folder.path / name,))
        elif name.endswith((*_SUFFIXES, *_OTHERS)) and _is_log(header_of(folder.head(name), name), folder.head(name)):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _is_log(header: Sequence[str], start: bytes) -> bool:
    """Whether a table's header has a step column and a loss, or its first rows name one; it may be any data.

    The number of a row is no step here: a table of runs has it too.
    """
    column = step_column(header)
    if column is None or column.lower() in _INDEX:
        return False
    if tag_column(header) is not None:
        return b"loss" in start.lower()
    choices = choose_tags(dict.fromkeys(header, 0))
    return (choices.train.tag or choices.val.tag) is not None


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    """The runs of a table; the empty name where there is one only."""
    path = files[0]
    log = read_table(path)
    try:
        header = read_header(path)
        return (runs_of(log, header, _rows(path)) if word_columns(header) else {}) or {"": log}
    except (OSError, csv.Error) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error


FORMAT = Format(
    "csv",
    f"{TABLE}, other tables (*.csv, *.tsv, *.txt, *.log, *.dat) with a step column and a loss",
    _claim,
    lambda path, start: (
        path.suffix in _SUFFIXES or (path.suffix in _OTHERS and _is_log(header_of(start, path.name), start))
    ),
    _read,
)
