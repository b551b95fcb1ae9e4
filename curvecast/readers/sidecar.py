"""``curvecast.json``: what the live callback writes beside a log, so that a replay knows what it knew."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

from curvecast.readers.base import Notes
from curvecast.schedule import Schedule
from curvecast.turn import Turn

NAME = "curvecast.json"
SCHEMA = 1
_ANY = Schedule.constant(1).to_dict()


def read_sidecar(folder: Path, notes: Notes) -> dict[str, object]:
    """The sidecar's known entries; a missing file gives none, a bad file or entry gives a note."""
    path = folder / NAME
    if not os.path.exists(path):  # noqa: PTH110 - hardly any folder has one, and pathlib takes thrice as long to say so
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        notes.add(f"{NAME} could not be read ({error}); it is left out", lost=True)
        return {}
    return parse_plan(text, notes)


def parse_plan(text: str, notes: Notes) -> dict[str, object]:
    """The known entries of a sidecar's text; a bad text or entry gives a note.

    Example:
        >>> parse_plan('{"schema": 1, "horizon": 20000}', Notes())
        {'horizon': 20000}
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        notes.add(f"{NAME} is not JSON ({error}); it is left out", lost=True)
        return {}
    if not isinstance(entries, dict) or entries.get("schema") != SCHEMA:
        schema = entries.get("schema") if isinstance(entries, dict) else None
        notes.add(f"{NAME} has schema {schema!r}, this version reads {SCHEMA}; it is left out", lost=True)
        return {}
    return _checked(entries, notes)


def _checked(entries: dict[str, object], notes: Notes) -> dict[str, object]:
    meta: dict[str, object] = {}
    for key, check in _CHECKS.items():
        if (value := entries.get(key)) is None:
            continue
        try:
            meta[key] = check(value)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            notes.add(f"{NAME}: {key} could not be used ({error}); it is left out", lost=True)
    if meta.get("schedule") is None:
        meta.pop("earlier", None)  # it tells from which schedule the run turned to this one
    return meta


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
        raise ValueError(f"it must be a whole number of at least 1: got {value!r}")
    float(value)  # what none can hold, no watcher takes
    return int(value)


def _length(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise ValueError(f"it must be a positive number: got {value!r}")
    return float(value)


def _schedule(value: object) -> object:
    if not isinstance(value, dict):
        raise TypeError(f"it must be an object with steps and lr: got {type(value).__name__}")
    return Schedule.from_dict(value).to_dict()


def _earlier(value: object) -> object:
    told = Turn.of({"earlier": value, "schedule": _ANY})
    if told is None:
        raise TypeError(f"it must be an object: got {type(value).__name__}")
    return told.to_plan()["earlier"]


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"it must be true or false: got {value!r}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"it must be text: got {value!r}")
    return value


_CHECKS: dict[str, Callable[[object], object]] = {
    "horizon": _count,
    "num_params": _count,
    "batch_tokens": _count,
    "dataset_tokens": _count,
    "epoch_steps": _length,
    "schedule": _schedule,
    "lr_held": _flag,
    "counted": _text,
    "monitor": _text,
    "earlier": _earlier,
}
