"""Tables that lie in memory: pandas' frames, dicts of arrays, and what else gives its columns by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from curvecast.readers.axis import ADVICE, ROWS, counted_by
from curvecast.readers.base import FloatArray, Log, Run, Series, UnreadableRun, count_steps
from curvecast.readers.layout import UNIT_COLUMNS, plain_name
from curvecast.readers.reading import to_run
from curvecast.readers.tabular import step_column as found_step_column
from curvecast.readers.units import Lengths

_NAME = "table"


@runtime_checkable
class Columns(Protocol):
    """Columns by name, as a pandas ``DataFrame`` or a dict has them."""

    def keys(self) -> Iterable[Any]:
        """Their names."""

    def __getitem__(self, name: Any, /) -> Any: ...


def is_table(given: object) -> TypeGuard[Columns]:
    """Whether something gives columns by name."""
    return isinstance(given, Columns)


def run_of(
    table: Columns,
    *,
    train_tag: str | None = None,
    val_tag: str | None = None,
    step_column: str | None = None,
    lengths: Lengths | None = None,
) -> Run:
    """The run that a table holds: a row a moment, a column for the steps and one for each metric.

    Args:
        table: the columns; where a cell is NaN nothing was logged there, and a loss that was no number is inf. A named
            index of pandas is a column too.
        train_tag: as in ``read``.
        val_tag: likewise.
        step_column: likewise.
        lengths: likewise.

    Raises:
        UnreadableRun: if nothing counts its steps, its columns differ in length, or no loss is among them.
        UnknownTag: if a tag that was asked for is not there.

    Example:
        >>> run_of({"step": [1, 2, 3], "loss": [4.5, 4.25, float("nan")], "val_loss": [float("nan"), 4.75, 4.5]})
        Run('table', last_step=3, train=2 points, val=2 points)
    """
    columns = _numbers_of(table)
    with counted_by(step_column):
        counts = None if step_column == ROWS else found_step_column(list(columns))
    if counts is None and step_column != ROWS:
        raise UnreadableRun(f"no column of the table counts steps: it has {list(columns)[:12]}. {ADVICE}")
    rows = len(next(iter(columns.values()), ()))
    steps = np.arange(1.0, rows + 1.0) if counts is None else columns.pop(counts)
    whole = count_steps(steps)
    order = np.arange(rows)
    series = {}
    for name, values in columns.items():
        there = whole & ~np.isnan(values)
        series[name] = Series(steps[there].astype(np.int64), values[there], order[there])
    if series and not any(len(each.steps) for each in series.values()):
        raise UnreadableRun(
            f"no numbers in the table: it has columns {list(series)[:12]}, but no row that can be read."
        )
    unit = UNIT_COLUMNS.get(plain_name(counts or ""), "step")
    log = Log(None, _NAME, series, units=dict.fromkeys(series, unit) if unit != "step" else {}, axis=counts or "")
    return to_run(log, _NAME, train_tag=train_tag, val_tag=val_tag, lengths=lengths)


def _numbers_of(table: Columns) -> dict[str, FloatArray]:
    """The columns of numbers, by name; one of words is none."""
    given = {str(name): table[name] for name in table.keys()}  # noqa: SIM118 - a frame may not be iterated so
    index = getattr(table, "index", None)
    if getattr(index, "name", None):
        given.setdefault(str(index.name), index)  # type: ignore[union-attr]
    columns: dict[str, FloatArray] = {}
    for name, column in given.items():
        try:
            columns[name] = _floats(column)
        except (TypeError, ValueError, OverflowError):
            continue
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name!r} {len(column):,}" for name, column in list(columns.items())[:12])
        raise UnreadableRun(f"the columns of the table must be of one length: got {lengths}. Pass a row a moment.")
    return columns


def _floats(column: Any) -> FloatArray:
    """``(n,)`` the numbers of a column; what is masked was not logged.

    Raises:
        TypeError, ValueError, OverflowError: if it holds something that is none, or that no float can be.

    Example:
        >>> _floats(np.ma.masked_array([2.5, 1e20], [False, True])).tolist()
        [2.5, nan]
    """
    if isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(np.float64), np.nan)
    if np.iscomplexobj(column):
        raise TypeError("complex numbers are no losses")
    return np.asarray(column, dtype=np.float64).reshape(-1)
