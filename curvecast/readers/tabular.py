"""Tables of comma-separated values with a row a step: Lightning's ``metrics.csv`` and its like."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.axis import ADVICE, AXIS, ROWS
from curvecast.readers.base import FloatArray, Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.growing import GROWING, ends_cut
from curvecast.readers.layout import STEP_COLUMNS, UNIT_COLUMNS, Layout, header_of, read_layout, start_of, value_of
from curvecast.readers.tags import LOSS_WORDS, choose_tags, split_words
from curvecast.readers.tidy import runs_of, tag_column, told_apart, word_columns

TABLE = "metrics.csv"  # Lightning's
_SUFFIXES, _OTHERS = (".csv", ".tsv"), (".txt", ".log", ".dat", ".out")
_BATCH = "batch"
_INDEX = ("", "unnamed: 0")  # as pandas writes the number of a row
_KERAS = {"loss", "val_loss"}
_METRICS = {"acc", "accuracy", "perplexity", "ppl", "f1", "auc", "precision", "recall", "mae", "mse", "lr"}
_TIMES = {"time", "seconds"}  # of a row, where it has a metric: alone beside a loss they are the x-axis
_TEXT_SHOWN = 3
_THOUSANDS = re.compile(r"\s*[1-9]\d{0,2}(?:,\d{3})+\s*")
_BY_DOTS = re.compile(r"\s*[1-9]\d{0,2}(?:\.\d{3})+\s*")
_BEHIND_COMMA = re.compile(r"\s*[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+(?:[eE][-+]?\d+)?\s*")
_A_NUMBER = r"^\s*[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf|infinity)\s*$"
_RESULTS = "verdict.reason"  # of `curvecast analyze --format csv`, a row a run, which may well lie beside the logs
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
    if (asked := AXIS.get()) is not None:
        return [name for name in header if name == asked]
    by_name: dict[str, str] = {}
    for name in header:
        by_name.setdefault(name.lower(), name)
    in_epoch = (_BATCH,) if "epoch" in by_name else ()
    return [by_name[name] for name in (*STEP_COLUMNS, *in_epoch, *UNIT_COLUMNS, *beside) if name in by_name]


def is_batch_size(name: str, numbers: NDArray[Any]) -> bool:
    """Whether what is named a batch counts nothing, as it stays the same."""
    return name.lower() == _BATCH and len(numbers) > 1 and bool((numbers == numbers[0]).all())


def read_table(path: Path) -> Log:
    """Read a table; a blank cell means that nothing was logged there, and ``nan`` that NaN was.

    Args:
        path: a CSV file (or TSV, by its suffix) with a header, a step column and a column for each metric. Where it has
            losses and their like alone, its rows are counted.

    Raises:
        UnreadableRun: if there is no header, no step column, or no row with a step.
    """
    try:
        layout = read_layout(path)
        header = layout.names
        if not path.stat().st_size:
            raise UnreadableRun(f"{path.name} is empty.")
        column = step_column(header)
        if column is None and AXIS.get() != ROWS and not _are_metrics(header):
            raise UnreadableRun(_without_steps(path, header))
        notes = Notes()
        columns = read_columns(path, layout, None if column is None else header.index(column), notes)
        if column and is_batch_size(
            column, np.concatenate([[], *(rows.steps for rows in columns if rows is not None)])
        ):
            column, notes = step_column([name for name in header if name != column]) or column, Notes()
            columns = read_columns(path, layout, header.index(column), notes)
        series: dict[str, Series] = {}
        for name, rows in zip(header, columns, strict=True):
            if rows is not None and series.setdefault(name, rows) is not rows:
                notes.add(f"{path.name}: {name!r} names more than one column: the first is read", lost=True)
        if word_columns(header):
            series = told_apart(header, series, layout.rows(path))
    except (OSError, csv.Error) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    if not series:
        raise UnreadableRun(f"no numbers in {path.name}: it has columns {header[:12]}, but no row that can be read.")
    unit = UNIT_COLUMNS.get((column or "").lower(), "step")
    if (column or "").lower() in _INDEX:
        notes.add("no column counts steps: the number of the row is taken for it")
        if set(header) >= _KERAS:
            unit = "epoch"
            notes.add("its columns have the names of Keras' history, which has a row an epoch")
    return Log(path, "csv", series, notes=notes, units=dict.fromkeys(series, unit) if unit != "step" else {})


def _are_metrics(header: Sequence[str]) -> bool:
    """Whether a table has losses and their like alone, so that nothing in it may count."""
    words = [split_words(name) for name in header]
    alike = LOSS_WORDS | _METRICS | (_TIMES if any(each & _METRICS for each in words) else set())
    return any(each & LOSS_WORDS for each in words) and all(each & alike for each in words)


def _without_steps(path: Path, header: Sequence[str]) -> str:
    """Why a table is refused that has no step column."""
    if start_of(path)[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
        return f"{path.name} is written in UTF-16. Save it as UTF-8."
    if header and all(value_of(name) is not None for name in header):
        return (
            f"no header in {path.name}: its first line is numbers. Write the names of its columns above them, as "
            "`step,train_loss,val_loss`."
        )
    got = ", ".join(repr(name) for name in header[:12]) or "no header at all"
    if (asked := AXIS.get()) is not None:
        return f"no column {asked!r} in {path.name}: got {got}. {ADVICE}"
    return f"no step column in {path.name}: looked for {', '.join(map(repr, STEP_COLUMNS))}, got {got}. {ADVICE}"


@dataclass(slots=True)
class _Text:
    """What stood where a number should: how often, and the first few."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, line: int, found: str) -> None:
        self.count += 1
        if len(self.shown) < _TEXT_SHOWN:
            self.shown.append(f"line {line} has {found}")


def read_columns(path: Path, layout: Layout, at: int | None, notes: Notes) -> list[Series | None]:
    """The columns of a table, each over the steps of column ``at``; ``None`` for one without a number.

    Args:
        path: the table.
        layout: of the table.
        at: the place of the column that counts; ``None`` to count the rows.
        notes: takes what is left out.

    Raises:
        OSError: if the file cannot be opened.
        csv.Error: if it is no table.
    """
    cut, header = ends_cut(path, layout.last_cell), layout.names
    if cut and not GROWING.get():
        notes.add(f"{path.name}: the last row breaks off, and is left out", lost=True)
    if _is_plain(path, layout) and (columns := read_plain(path, layout, at, cut=cut)) is not None:
        return columns
    rows: list[list[tuple[int, float, int]]] = [[] for _ in header]
    text = [_Text() for _ in header]
    point = "." if layout.delimiter == "," else ","  # beside another mark a comma begins decimals
    line, cells = 0, list[str]()
    for count, (line, cells) in enumerate(_without_last(layout.rows(path)) if cut else layout.rows(path), 1):
        if len(cells) != len(header):
            text[at or 0].add(line, f"{len(cells)} cells for {len(header)} columns")
            continue
        if point == ",":
            cells = _without_dots(cells, at)
        step = float(count) if at is None else _step_in(cells[at], point)
        if step is None:
            text[at or 0].add(line, f"{cells[at or 0]!r} for a step")
            continue
        for index, cell in enumerate(cells):
            if not cell or index == at:
                continue
            value = value_of(cell.replace(point, "."))
            if value is not None:
                rows[index].append((int(step), value, line))
            elif not cell.isspace():
                text[index].add(line, f"{cell!r} for {header[index]!r}")
    if cells and cells[-1].endswith("\n"):
        begun = line - cells[-1].count("\n") + 1
        notes.add(f"{path.name}: a quote in line {begun} is never closed: what follows is left out", lost=True)
    for index, found in enumerate(text):
        if found.count and (index == at or rows[index]):  # a column that is all text is a label, not damage
            shown = "; ".join(found.shown) + (" ..." if found.count > _TEXT_SHOWN else "")
            notes.add(
                f"{path.name}: {found.count} {'entry' if found.count == 1 else 'entries'} left out: {shown}", lost=True
            )
    return [Series.of(of_column) if of_column else None for of_column in rows]


def _step_in(cell: str, point: str) -> float | None:
    """The step that a cell holds; ``None`` for what is none."""
    thousands = _THOUSANDS.fullmatch(cell) is not None
    step = value_of(cell.replace(",", "") if thousands else cell.replace(point, "."))
    return step if step is not None and step.is_integer() and abs(step) <= LARGEST_STEP else None


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
    return (row for row, _ in pairwise(rows))


def _is_plain(path: Path, layout: Layout) -> bool:
    """Whether a table is large, its rows are of one kind, and its decimals have points."""
    if path.stat().st_size < _LARGE or word_columns(layout.names) or layout.is_drawn:
        return False
    return layout.delimiter == "," or b"," not in start_of(path)


def read_plain(path: Path, layout: Layout, at: int | None, *, cut: bool = False) -> list[Series | None] | None:
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
            table = _arrow_table(path, layout, pyarrow.float64())
        except pyarrow.ArrowInvalid:  # some column is text
            table = _arrow_table(path, layout)
    except pyarrow.ArrowException:
        return None
    table = table.slice(0, len(table) - cut)
    columns = [table.column(index) for index in range(len(layout.names))]
    values = [_numbers(column) for column in columns]
    steps = np.arange(1.0, len(table) + 1) if at is None else values[at]
    if steps is None or (at is not None and columns[at].null_count) or not np.all(_is_step(steps)):
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


def _arrow_table(path: Path, layout: Layout, type_: Any = None) -> Any:
    """A table as pyarrow reads it, its columns all of one type or each of its own."""
    from pyarrow import csv as arrow

    names = list(map(str, range(len(layout.names))))
    return arrow.read_csv(
        path,
        read_options=arrow.ReadOptions(use_threads=False, column_names=names, skip_rows=layout.skipped),
        parse_options=arrow.ParseOptions(delimiter=layout.delimiter),
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
    if _RESULTS in header:
        return False
    column = step_column(header)
    if AXIS.get() != ROWS and (column is None or column.lower() in _INDEX):
        return False
    if tag_column(header) is not None:
        return b"loss" in start.lower()
    choices = choose_tags(dict.fromkeys(header, 0))
    return (choices.train.tag or choices.val.tag) is not None


def _is_table(header: Sequence[str], start: bytes) -> bool:
    """Whether a text that is named is a table: names, a loss among them, above as many cells, the first a number."""
    if len(header) < 2 or not any(split_words(name) & LOSS_WORDS for name in header):
        return False
    if any(value_of(name) is not None for name in header):
        return False
    row = start.decode("utf-8-sig", errors="replace").partition("\n")[2].partition("\n")[0].strip()
    cells = re.split(r"[,;\t]", row)
    return len(cells) == len(header) and value_of(cells[0]) is not None


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    """The runs of a table; the empty name where there is one only."""
    path = files[0]
    log = read_table(path)
    try:
        layout = read_layout(path)
        return (runs_of(log, layout.names, layout.rows(path)) if word_columns(layout.names) else {}) or {"": log}
    except (OSError, csv.Error) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error


def _accepts(path: Path, start: bytes) -> bool:
    if path.suffix in _SUFFIXES:
        return True
    header = header_of(start, path.name) if path.suffix in _OTHERS else []
    return bool(header) and (_is_log(header, start) or _is_table(header, start))


FORMAT = Format(
    "csv",
    "*.csv, *.tsv, *.dat",
    _claim,
    _accepts,
    _read,
)
