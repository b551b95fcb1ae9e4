"""Runs as JSON: plain types under a schema version; what is not a finite number is ``null``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from curvecast.readers.base import Run
from curvecast.sinks.summary import LEVEL, summarise
from curvecast.watcher import Watcher

SCHEMA = 1
_RUN = ("=", "+", "-", "@", "\t", "\r")  # what a formula begins with
_FROM_META = ("source", "format", "train_tag", "val_tag", "lr_tag", "unit", "chosen", "notes", "lost")


def record(run: Run, watcher: Watcher) -> dict[str, object]:
    """One run as plain types.

    Args:
        run: the run.
        watcher: what has seen it.

    Returns:
        Its name and source, how far it is (``step``, ``horizon``, ``points``), the last losses, the verdict, and the
        forecast with its 90 % interval, or ``None``.
    """
    summary = summarise(run, watcher)
    entry = {
        "name": summary.name,
        **{key: run.meta.get(key) for key in _FROM_META},
        "step": summary.step,
        "horizon": summary.horizon,
        "num_params": watcher.num_params,
        "batch_tokens": watcher.batch_tokens,
        "points": {"train": summary.train_points, "val": summary.val_points},
        "train_loss": summary.train_loss,
        "val_loss": summary.val_loss,
        "verdict": {
            "reason": summary.reason,
            "should_stop": summary.should_stop,
            "probability": summary.probability,
            "step": summary.decided_at,
            "message": summary.message,
            "details": summary.details,
        },
        "forecast": None if summary.forecast is None else {**asdict(summary.forecast), "level": LEVEL},
    }
    return {key: plain(value) for key, value in entry.items()}


def bundle(entries: Sequence[Mapping[str, object]]) -> str:
    """Records as one JSON text with the schema's version, two blanks an indent, its keys in a fixed order.

    Example:
        >>> print(bundle([]))
        {
          "schema": 1,
          "runs": []
        }
    """
    return json.dumps({"schema": SCHEMA, "runs": entries}, indent=2, allow_nan=False, ensure_ascii=False)


def to_line(entry: Mapping[str, object]) -> str:
    """A record as one line of JSON, with the schema's version.

    Example:
        >>> to_line({"name": "d12", "step": 200})
        '{"schema": 1, "name": "d12", "step": 200}'
    """
    return json.dumps({"schema": SCHEMA, **entry}, allow_nan=False, ensure_ascii=False)


def flat(entry: Mapping[str, object]) -> dict[str, object]:
    """A record without nesting, for tables: ``verdict.reason``; lists are joined, details left out.

    Example:
        >>> flat({"name": "d12", "points": {"train": 5}, "notes": ["a", "b"]})
        {'name': 'd12', 'points.train': 5, 'notes': 'a; b'}
    """
    row: dict[str, object] = {}
    for key, value in entry.items():
        if key == "details":
            continue
        if isinstance(value, Mapping):
            row |= {f"{key}.{inner}": found for inner, found in flat(value).items()}
        else:
            row[key] = "; ".join(map(str, value)) if isinstance(value, list) else value
    return row


def as_csv(entries: Sequence[Mapping[str, object]]) -> str:
    """Records as a table of comma-separated values: a row each; its columns are those of all, in the order they come.

    What is nested in one record and missing in another, as a forecast, has no column of its own beside the nested ones.

    A text that a spreadsheet would run as a formula gets an apostrophe before it, as in the tab's tables
    (``static/download.js``); numbers stay.

    Example:
        >>> print(as_csv([{"name": "=1+1", "step": -3}, {"name": "d12", "step": 4, "unit": "epoch"}]), end="")
        name,step,unit
        '=1+1,-3,
        d12,4,epoch
    """
    rows = [flat(entry) for entry in entries]
    columns = dict.fromkeys(name for row in rows for name in row)
    parents = {name.rpartition(".")[0] for name in columns}
    page = io.StringIO()
    kept = [name for name in columns if name not in parents]
    writer = csv.DictWriter(page, kept, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: _inert(cell) for name, cell in row.items()} for row in rows)
    return page.getvalue()


def _inert(cell: object) -> object:
    """A cell that no spreadsheet runs."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_RUN) else cell


def plain(value: Any) -> Any:
    """Plain types alone: numpy's become Python's, tuples lists, what is not finite ``None``.

    Example:
        >>> plain({"loss": np.array([2.0, np.nan]), "step": np.int64(3), "of": ("val",)})
        {'loss': [2.0, None], 'step': 3, 'of': ['val']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
