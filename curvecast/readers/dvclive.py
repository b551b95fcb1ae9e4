"""DVCLive's folder: a table for each metric, in folders that make the metric's name.

Source: ``dvclive/plots/metrics`` of iterative/dvclive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part, head
from curvecast.readers.layout import header_of
from curvecast.readers.tabular import read_table

_PLOTS, _METRICS = "plots", "metrics"
_TIME = "timestamp"


def read_metrics(files: Sequence[Path]) -> Log:
    """Read the tables of one run; one that cannot be read is noted.

    Raises:
        UnreadableRun: if none of them can be read.
    """
    root = next(folder for folder in files[0].parents if folder.name == _METRICS)
    log = Log(root.parent.parent, FORMAT.name, {})
    errors: list[str] = []
    for file in files:
        try:
            table = read_table(file)
        except UnreadableRun as error:
            errors.append(str(error))
            continue
        rows = [rows for name, rows in table.series.items() if name != _TIME]
        if rows:
            log.series[file.relative_to(root).with_suffix("").as_posix()] = rows[-1]
        log.notes.lines += table.notes.lines
        log.notes.lost += table.notes.lost
    if not log.series:
        raise UnreadableRun("; ".join(errors) or f"no metric in {root}.")
    for line in errors:
        log.notes.add(line, lost=True)
    return log


def _claim(folder: Folder) -> Iterator[Part]:
    root = folder.path / _PLOTS / _METRICS
    if _PLOTS not in folder.folders or not root.is_dir():
        return
    files = sorted(file for file in root.rglob("*.tsv") if file.is_file() and _is_metric(head(file), file))
    if files:
        folders = {each for file in files for each in file.relative_to(folder.path).parents[:-1]}
        yield Part(FORMAT.name, tuple(files), merged=tuple(each.as_posix() for each in folders))


def _is_metric(start: bytes, file: Path) -> bool:
    """Whether a table has a step, and a column that is called as its file is."""
    header = header_of(start, file.name)
    return "step" in header and header[-1] == file.stem


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_metrics(files)}


FORMAT = Format("dvclive", "", _claim, lambda path, start: False, _read)
