"""Files of one tag each, several of which are one run: TensorBoard's downloads and DeepSpeed's monitor.

TensorBoard's scalars are downloaded as ``run-NAME-tag-TAG.csv`` with the columns ``Wall time``, ``Step`` and ``Value``,
or as ``.json``, a list of such triples.
DeepSpeed writes ``Train_Samples_train_loss.csv`` with the columns ``step``, which counts samples, and ``train_loss``.

Source: TensorBoard's scalars plugin, and ``csvMonitor`` of deepspeedai/DeepSpeed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from curvecast.readers.base import FloatArray, Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.layout import header_of, read_layout
from curvecast.readers.tabular import read_table
from curvecast.readers.tags import split_words

_DOWNLOAD = ("wall time", "step", "value")
_SERIES = {"", "unnamed: 0", "index", "step", "value", "timestamp"}  # of Neptune, as pandas saves it
_NAMED = re.compile(r"run-(?P<run>.*)-tag-(?P<tag>.*)")
_MONITOR, _SAMPLES = "Train_Samples_", "Train/Samples/"
_TRIPLES = re.compile(rb"\s*\[\s*\[\s*[\d.]+\s*,\s*\d+\s*,")
_MICROSECONDS = 1e6
_LARGEST = 2.0**42  # of steps, and of seconds since 1970: microseconds of it fit into 64 bits


def place_of(path: Path, header: Sequence[str]) -> tuple[str, str] | None:
    """Run (empty for the folder's own) and tag that a file holds; ``None`` where it is no such file.

    Example:
        >>> header = ["Wall time", "Step", "Value"]
        >>> place_of(Path("run-d12-tag-train_loss.csv"), header), place_of(Path("val_loss.csv"), header)
        (('d12', 'train_loss'), ('', 'val_loss'))
    """
    if path.name.startswith(_MONITOR) and len(header) == 2 and header[0] == "step":
        return "", _SAMPLES + header[1]
    lower = tuple(name.lower() for name in header)
    if lower != _DOWNLOAD and not ({"step", "value"} <= set(lower) <= _SERIES and "loss" in split_words(path.stem)):
        return None
    if (named := _NAMED.fullmatch(path.stem)) is not None:
        return named["run"], named["tag"]
    return ("", path.stem) if "loss" in split_words(path.stem) else (path.stem, "value")


def read_tags(files: Sequence[Path]) -> Log:
    """The files of one run; one that cannot be read is noted.

    Raises:
        UnreadableRun: if none of them can be read.
    """
    log = Log(files[0] if len(files) == 1 else files[0].parent, FORMAT.name, {})
    errors: list[str] = []
    for file in files:
        try:
            tag, rows = _read_file(file, log.notes)
        except UnreadableRun as error:
            errors.append(str(error))
            continue
        log.series[tag] = rows
    if not log.series:
        raise UnreadableRun("; ".join(errors))
    for line in errors:
        log.notes.add(line, lost=True)
    return log


def _read_file(file: Path, notes: Notes) -> tuple[str, Series]:
    if file.suffix == ".json":
        return read_triples(file)
    table = read_table(file)
    notes.lines += table.notes.lines
    notes.lost += table.notes.lost
    found = place_of(file, read_layout(file).names)
    by_name = {name.lower(): rows for name, rows in table.series.items()}
    rows = by_name.get("value", next(iter(table.series.values())))
    if found is None:  # it was another file when it was found
        raise UnreadableRun(f"{file.name} is no table of one tag.")
    walls = by_name.get("wall time")
    if walls is None or len(walls) != len(rows) or not np.all(np.abs(walls.values) < _LARGEST):
        return found[1], rows
    return found[1], Series(rows.steps, rows.values, (walls.values * _MICROSECONDS).astype(np.int64))


def read_triples(file: Path) -> tuple[str, Series]:
    """Tag and rows of a download that is a list of wall time, step and value.

    Raises:
        UnreadableRun: if it is none.
    """
    named = _NAMED.fullmatch(file.stem)
    try:
        walls, steps, values = np.array(json.loads(file.read_bytes()), np.float64).T
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableRun(f"cannot read {file.name} as a list of wall time, step and value: {error}.") from error
    if named is None or not _is_whole(steps) or not _is_whole(np.rint(walls)):
        raise UnreadableRun(f"{file.name} is no list of wall time, step and value.")
    return named["tag"], Series(steps.astype(np.int64), values, (walls * _MICROSECONDS).astype(np.int64))


def _is_whole(numbers: FloatArray) -> bool:
    return bool(np.all((np.abs(numbers) < _LARGEST) & (numbers == np.rint(numbers))))


def _claim(folder: Folder) -> Iterator[Part]:
    runs: dict[str, list[Path]] = {}
    for name in folder.files:
        if name.endswith(".json") and (named := _NAMED.fullmatch(Path(name).stem)) is not None:
            if _TRIPLES.match(folder.head(name)):
                runs.setdefault(named["run"], []).append(folder.path / name)
        elif name.endswith(".csv"):
            path = folder.path / name
            found = place_of(path, header_of(folder.head(name), name))
            if found is not None:
                runs.setdefault(found[0], []).append(path)
    for run, files in runs.items():
        yield Part(FORMAT.name, tuple(files), run)


def _accepts(path: Path, start: bytes) -> bool:
    if path.suffix == ".json":
        return _NAMED.fullmatch(path.stem) is not None and _TRIPLES.match(start) is not None
    return path.suffix == ".csv" and place_of(path, header_of(start, path.name)) is not None


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_tags(files)}


FORMAT = Format("tag_csv", "*.csv", _claim, _accepts, _read)
