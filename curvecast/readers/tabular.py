"""Tables of comma-separated values with a row a step: Lightning's ``metrics.csv`` and its like."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.arrow import Columns
from curvecast.readers.axis import ADVICE, AXIS, ROWS
from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.columns import read_columns
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.layout import (
    STEP_COLUMNS,
    UNIT_COLUMNS,
    Layout,
    header_of,
    plain_name,
    read_layout,
    start_of,
    value_of,
    with_newlines,
)
from curvecast.readers.tags import LOSS_WORDS, choose_tags, split_words
from curvecast.readers.tidy import runs_of, tag_column, told_apart, word_columns

TABLE = "metrics.csv"  # Lightning's
_SUFFIXES, _OTHERS = (".csv", ".tsv"), (".txt", ".log", ".dat", ".out")
_BATCH = "batch"
_INDEX = ("", "unnamed: 0")  # as pandas writes the number of a row
_SPACY = ("E", "#")  # how its table begins
_KERAS = {"loss", "val_loss"}
_METRICS = {"acc", "accuracy", "perplexity", "ppl", "f1", "auc", "precision", "recall", "mae", "mse", "lr", "learning"}
_TIMES = {"time", "seconds"}  # of a row, where it has a metric: alone beside a loss they are the x-axis
_RESULTS = "verdict.reason"  # of `curvecast analyze --format csv`, a row a run, which may well lie beside the logs


def step_column(header: Sequence[str]) -> str | None:
    """The column that counts steps, else epochs, samples or tokens, else the rows; or ``None``.

    Example:
        >>> step_column(["epoch", "Step", "train_loss"]), step_column(["Iteration #", "Cross-Entropy (tr)"])
        ('Step', 'Iteration #')
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
        by_name.setdefault(plain_name(name), name)
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
    return _table(path)[0]


def _table(path: Path) -> tuple[Log, dict[str, Log]]:
    """A table as one log, and the runs that it holds by name, if several."""
    try:
        layout = read_layout(path)
        if not path.stat().st_size:
            raise UnreadableRun(f"{path.name} is empty.")
        column, (columns, by_words), notes = _counted(path, layout)
        series: dict[str, Series] = {}
        for name, rows in zip(layout.names, columns, strict=True):
            if rows is not None and series.setdefault(name, rows) is not rows:
                notes.add(f"{path.name}: {name!r} names more than one column: the first is read", lost=True)
        if layout.names[:2] == _SPACY:
            series = {name: rows.where(rows.steps > 0) for name, rows in series.items()}
            notes.add("spaCy sums its losses since the row before: the first one, of a single batch, is left out")
        if word_columns(layout.names):
            series = told_apart(layout.names, series, by_words)
    except (OSError, csv.Error) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    if not series:
        got = layout.names[:12]
        raise UnreadableRun(f"no numbers in {path.name}: it has columns {got}, but no row that can be read.")
    unit = UNIT_COLUMNS.get(plain_name(column or ""), "step")
    if (column or "").lower() in _INDEX:
        notes.add("no column counts steps: the number of the row is taken for it")
        if set(layout.names) >= _KERAS:
            unit = "epoch"
            notes.add("its columns have the names of Keras' history, which has a row an epoch")
    units = dict.fromkeys(series, unit) if unit != "step" else {}
    log = Log(path, "csv", series, notes=notes, units=units, axis=column or "")
    try:
        return log, runs_of(log, layout.names, by_words) if word_columns(layout.names) else {}
    except (OSError, csv.Error) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error


def _counted(path: Path, layout: Layout) -> tuple[str | None, Columns, Notes]:
    """The column that counts, all columns over its steps, and what was left out; ``None`` where the rows count."""
    header = layout.names
    column = step_column(header)
    if column is None and AXIS.get() != ROWS and not _are_metrics(header):
        raise UnreadableRun(_without_steps(path, header))
    notes = Notes()
    columns = read_columns(path, layout, None if column is None else header.index(column), notes)
    if column is None:
        return column, columns, notes
    steps = [rows.steps for rows in columns[0] if rows is not None]
    if not is_batch_size(column, np.concatenate([[], *steps])):
        return column, columns, notes
    column, notes = step_column([name for name in header if name != column]) or column, Notes()
    return column, read_columns(path, layout, header.index(column), notes), notes


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


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name == TABLE:
            yield Part(FORMAT.name, (folder.path / name,))
        elif name.endswith((*_SUFFIXES, *_OTHERS)) and _is_worth_a_line(name, folder.head(name)):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _is_worth_a_line(name: str, start: bytes) -> bool:
    """Whether a file is a log, or a table without a byte: of a run that broke off, or one that may not be opened."""
    return _is_log(header_of(start, name), start) if start else name.endswith(_SUFFIXES)


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
    row = with_newlines(start).decode("utf-8-sig", errors="replace").partition("\n")[2].partition("\n")[0].strip()
    cells = re.split(r"[,;\t]", row)
    return len(cells) == len(header) and value_of(cells[0]) is not None


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    """The runs of a table; the empty name where there is one only."""
    log, runs = _table(files[0])
    return runs or {"": log}


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
