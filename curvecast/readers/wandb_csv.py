"""CSV exports of a W&B chart: a column a run, headed ``run - tag``, with ``__MIN`` and ``__MAX`` beside it.

Charts of one folder that have a run in common, of its two losses for example, tell of the same runs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.columns import read_columns
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.layout import UNIT_COLUMNS, header_of, read_layout

_BETWEEN = " - "
_ALIKE = 1e-3  # share of a loss by which two exports of it may differ: they average over other steps
_EDGES = ("__MIN", "__MAX")
_COUNT = "_step"  # W&B's own count, exported beside a chart over another x-axis
_CLOCKS = ("relative time", "wall time", "_runtime", "_timestamp")


def is_chart(header: Sequence[str]) -> bool:
    """Whether a header is that of a chart's export.

    Example:
        >>> is_chart(["Step", "d12 - train/loss", "d12 - train/loss__MIN", "d12 - train/loss__MAX"])
        True
        >>> is_chart(["step", "train - loss"])
        False
    """
    curves = [name for name in header[1:] if not name.endswith(_EDGES)]
    there = set(header)  # a file that is no table may have thousands of commas in its first line
    bounded = all(f"{name}{edge}" in there for name in curves for edge in _EDGES)
    return bool(curves) and all(_BETWEEN in name for name in curves) and bounded


def read_chart(path: Path) -> dict[str, Log]:
    """The runs of a chart by name; a blank cell means that the run logged nothing there.

    Raises:
        UnreadableRun: if the file cannot be read, or holds no number.
    """
    notes = Notes()
    try:
        layout = read_layout(path)
        header = layout.names
        if not header:
            raise UnreadableRun(f"no header in {path.name}.")
        if header[0].lower().startswith(_CLOCKS):
            raise UnreadableRun(f"{path.name} is over {header[0]!r}. Export the chart over steps.")
        columns, _ = read_columns(path, layout, 0, notes)
    except (OSError, csv.Error) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    found: dict[str, dict[str, Series]] = {}
    for name, rows in zip(header, columns, strict=True):
        if rows is not None and _BETWEEN in name and not name.endswith(_EDGES):
            run, _, tag = name.rpartition(_BETWEEN)
            if tag == _COUNT:
                continue
            if tag in found.get(run, {}):
                run = _another(run, found)
            found.setdefault(run, {})[tag] = rows
    if not found:
        raise UnreadableRun(f"no numbers in {path.name}.")
    unit = UNIT_COLUMNS.get(header[0].lower(), "step")
    return {
        run: Log(
            path,
            FORMAT.name,
            series,
            notes=Notes(list(notes.lines), list(notes.lost)),
            units=dict.fromkeys(series, unit) if unit != "step" else {},
            axis=header[0],
        )
        for run, series in found.items()
    }


def _another(run: str, found: Mapping[str, object]) -> str:
    """A name for a second run of one name."""
    number = 2
    while f"{run} ({number})" in found:
        number += 1
    return f"{run} ({number})"


def read_charts(files: Sequence[Path]) -> dict[str, Log]:
    """The runs of several charts by name; where two have a run in common, what both have of it is put together.

    Raises:
        UnreadableRun: if none of the files can be read.
    """
    found: dict[str, Log] = {}
    errors: list[str] = []
    for file in files:
        try:
            runs = read_chart(file)
        except UnreadableRun as error:
            errors.append(str(error))
            continue
        for run, log in runs.items():
            if run in found and _agree(found[run], log):
                _join(found[run], log)
            else:
                found[_another(run, found) if run in found else run] = log
    if not found:
        raise UnreadableRun("; ".join(errors))
    for log in found.values():
        for line in errors:
            log.notes.add(line, lost=True)
    return found


def _agree(log: Log, other: Log) -> bool:
    """Whether two charts may be of one run: they count the same, and where both have a tag its values are alike."""
    if set(log.units.values()) != set(other.units.values()):
        return False
    for tag in log.series.keys() & other.series.keys():
        one, two = log.series[tag], other.series[tag]
        _, here, there = np.intersect1d(one.steps, two.steps, return_indices=True)
        if not np.allclose(one.values[here], two.values[there], rtol=_ALIKE, equal_nan=True):
            return False
    return True


def _join(log: Log, other: Log) -> None:
    """Add what a chart has of a run; of a tag that both have, the rows at further steps."""
    for tag, rows in other.series.items():
        if tag in log.series:
            known = log.series[tag]
            joined = Series.joined([known, rows.where(~np.isin(rows.steps, known.steps))])
            rising = joined.where(np.argsort(joined.steps, kind="stable"))
            rows = Series(rising.steps, rising.values, np.arange(len(rising)))
        log.series[tag] = rows
    log.notes.add(f"{'' if other.path is None else other.path.name} tells of the same run")
    log.path = log.folder


def _claim(folder: Folder) -> Iterator[Part]:
    groups: list[tuple[list[str], set[str]]] = []  # files, and the runs in them
    for name in folder.files:
        if name.endswith(".csv") and is_chart(header := header_of(folder.head(name), name)):
            files, runs = [name], {column.rpartition(_BETWEEN)[0] for column in header[1:]}
            for group in [group for group in groups if group[1] & runs]:
                groups.remove(group)
                files, runs = group[0] + files, runs | group[1]
            groups.append((files, runs))
    for files, _ in groups:
        yield Part(
            FORMAT.name, tuple(folder.path / name for name in files), " + ".join(Path(name).stem for name in files)
        )


def _accepts(path: Path, start: bytes) -> bool:
    return is_chart(header_of(start, path.name))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return read_charts(files)


FORMAT = Format("wandb_csv", "", _claim, _accepts, _read)
