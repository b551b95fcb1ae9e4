"""CSV exports of a W&B chart: a column a run, headed ``run - tag``, with ``__MIN`` and ``__MAX`` beside it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.layout import UNIT_COLUMNS, header_of, read_layout
from curvecast.readers.tabular import read_columns

_BETWEEN = " - "
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
    bounded = sum(f"{name}{edge}" in header for name in curves for edge in _EDGES)
    return bool(curves) and all(_BETWEEN in name for name in curves) and bounded == 2 * len(curves)


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
        columns = read_columns(path, layout, 0, notes)
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
        )
        for run, series in found.items()
    }


def _another(run: str, found: Mapping[str, object]) -> str:
    """A name for a second run of one name."""
    number = 2
    while f"{run} ({number})" in found:
        number += 1
    return f"{run} ({number})"


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(".csv") and is_chart(header_of(folder.head(name), name)):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _accepts(path: Path, start: bytes) -> bool:
    return is_chart(header_of(start, path.name))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return read_chart(files[0])


FORMAT = Format("wandb_csv", "CSV exports of W&B charts", _claim, _accepts, _read)
