"""Sacred's ``metrics.json``: steps and values of each metric; what the run printed lies beside it, and is not read.

Source: ``FileStorageObserver`` of IDSIA/sacred.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from curvecast.readers.base import Log, Series, UnreadableRun, count_steps
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.plan import plan_of

_NAME, _PRINTED, _CONFIG = "metrics.json", "cout.txt", "config.json"
_START = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*\{\s*"(?:steps|values|timestamps)"\s*:\s*\[')
_LARGEST = 1 << 26  # bytes: all of it is in memory at once


def read_metrics(path: Path) -> Log:
    """Read the metrics of one run; ``config.json`` beside it may tell its horizon.

    Raises:
        UnreadableRun: if the file is no such file, or has no metric with a row.
    """
    metrics = _json(path)
    series: dict[str, Series] = {}
    for name, rows in metrics.items():
        try:
            steps, values = np.array(rows["steps"], np.float64), np.array(rows["values"], np.float64)
        except (TypeError, ValueError, KeyError, OverflowError):
            continue
        if steps.ndim == 1 and steps.shape == values.shape and len(steps) and count_steps(steps).all():
            series[name] = Series(steps.astype(np.int64), values, np.arange(len(steps)))
    if not series:
        raise UnreadableRun(f"no metric with steps and values in {path.name}.")
    try:
        meta = plan_of(_json(path.parent / _CONFIG))
    except UnreadableRun:
        meta = {}
    return Log(path, FORMAT.name, series, meta=meta)


def _json(path: Path) -> dict[str, dict[str, object]]:
    try:
        if path.stat().st_size > _LARGEST:
            raise UnreadableRun(f"{path.name} has more than {_LARGEST >> 20} MiB.")
        value = json.loads(path.read_bytes())
    except UnreadableRun:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    if not isinstance(value, dict):
        raise UnreadableRun(f"{path.name} holds no names.")
    return value


def _claim(folder: Folder) -> Iterator[Part]:
    if _NAME in folder.files and _START.match(folder.head(_NAME)):
        beside = [folder.path / name for name in (_PRINTED,) if name in folder.files]
        yield Part(FORMAT.name, (folder.path / _NAME, *beside))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_metrics(files[0])}


FORMAT = Format(
    "sacred",
    "",
    _claim,
    lambda path, start: path.suffix == ".json" and _START.match(start) is not None,
    _read,
)
