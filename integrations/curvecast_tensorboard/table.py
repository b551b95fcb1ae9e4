"""The table of all runs, and what of it has changed since it was last asked for."""

from __future__ import annotations

import itertools
import logging
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from curvecast.notation import natural
from curvecast.sinks.records import plain
from curvecast_tensorboard.desk import Desk, Look
from curvecast_tensorboard.query import Known, Query
from curvecast_tensorboard.refusal import Refusal
from curvecast_tensorboard.rows import row

MOST_RUNS = 1_000
_BUDGET = 0.5  # seconds that one request works on runs that are not yet fitted
_TOGETHER = 16  # runs whose points are read in one go
_FAULT = {
    "what": "curvecast could not judge this run; TensorBoard's own output tells where",
    "do": "Try other settings or tags. If it stays, please report it with that output.",
}
log = logging.getLogger("tensorboard")
_BOOT = uuid.uuid4().hex[:8]
_NUMBERS = itertools.count(1)


@dataclass(slots=True, eq=False)
class Table:
    """What was last told of each run.

    Args:
        name: of the table, for its cursors.
        version: raised with every change.
        rows: each with the version at which it was last changed.
        gone: runs that were deleted, likewise.
        broken: runs that could not be judged, with what they were then: they are tried again when they have grown.
    """

    name: str
    version: int = 0
    rows: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    broken: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def put(self, told: dict[str, Any]) -> None:
        """A row, if it says something new."""
        name = told["run"]
        if name in self.rows and self.rows[name][1] == told:
            return
        self.version += 1
        self.rows[name] = self.version, told
        self.gone.pop(name, None)

    def drop(self, name: str) -> None:
        """A run is no longer there."""
        self.version += 1
        del self.rows[name]
        self.gone[name] = self.version


def runs_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """The table, or what of it has changed since a cursor.

    Raises:
        Refusal: if a setting or the pattern is none.
    """
    pattern = _pattern(query.get("q"))
    matching = [name for name in sorted(look.runs, key=natural) if pattern is None or pattern.search(name)]
    names = matching[:MOST_RUNS]
    with desk.lock:
        key = (look.scalars.experiment, query.common, tuple(sorted(query.own.items())), query.get("q"))
        table = desk.kept.get(key)
        if table is None:
            table = Table(f"{_BOOT}{next(_NUMBERS)}")
            desk.kept.put(key, table)
        for name in set(table.rows) - set(names):
            table.drop(name)
    pending = _fill(desk, look, query, table, names)
    since = _since(query.get("cursor"), table)
    with desk.lock:
        changed = [told for version, told in table.rows.values() if version > since]
        gone = [name for name, version in table.gone.items() if version > since]
        known = [told for _, told in table.rows.values()]
        sizes = {told["num_params"] for told in known if told["num_params"] and told["batch_tokens"]}
        return {
            "cursor": f"{table.name}.{table.version}",
            "rows": plain(changed),
            "gone": gone,
            "pending": pending,
            "total": len(look.runs),
            "left_out": len(matching) - len(names),
            "has_family": len(sizes) > 1,
        }


def _fill(desk: Desk, look: Look, query: Query, table: Table, names: Sequence[str]) -> int:
    """Bring rows up to date while there is time; how many are left."""
    common = query.common
    common.settings()  # what is wrong with them is wrong with the request, not with each run
    stale = [(name, query.known_of(name)) for name in names if not _is_told(desk, look, table, query, name)]
    for name, _ in stale:
        if name not in table.rows:
            table.put(_waiting(look, name))
    until = time.monotonic() + _BUDGET
    for at, (name, known) in enumerate(stale):
        if at and time.monotonic() > until:
            return len(stale) - at
        if at % _TOGETHER == 0:
            desk.prepare(look, stale[at : at + _TOGETHER])
        with desk.lock:
            try:
                table.put(row(desk.entry(look, name, known), desk.limit))
            except Refusal as refusal:  # a setting of its own
                table.put(_waiting(look, name) | {"state": "bad_settings", "missing": refusal.words})
            except Exception as error:  # of ours; one run must not take the others with it
                log.exception("curvecast could not judge the run %r", name)
                table.broken[name] = look.stamp(name)
                missing = _FAULT | {"got": repr(error)[:300]}
                table.put(_waiting(look, name) | {"state": "bad_settings", "missing": missing})
    return 0


def _is_told(desk: Desk, look: Look, table: Table, query: Query, name: str) -> bool:
    told = table.rows.get(name)
    if name in table.broken and table.broken[name] == look.stamp(name):
        return True
    return told is not None and told[1]["state"] != "pending" and desk.is_current(look, name, query.known_of(name))


def _waiting(look: Look, name: str) -> dict[str, Any]:
    stamps = [
        stamp for member in look.runs[name] for stamp in look.index.get(member.run, {}).values() if stamp is not None
    ]
    unknown = ("horizon", "loss", "forecast", "verdict", "compute_excess", "num_params", "batch_tokens")
    return {
        "run": name,
        "state": "pending",
        "missing": None,
        "points": {"train": 0, "val": 0, "sampled": False},
        "step": max((step for step, _ in stamps), default=None),
        **dict.fromkeys(unknown),
        "spark": [],
        "tags": dict.fromkeys(("train", "val", "lr")),
        "wall_time": max((wall for _, wall in stamps), default=None),
        "candidates": [],
    }


def _since(cursor: str | None, table: Table) -> int:
    """The version that a cursor stands for; 0, for all rows, where it is another table's."""
    name, _, version = (cursor or "").partition(".")
    return int(version) if name == table.name and version.isdecimal() and len(version) < 16 else 0


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    if len(text) > 200:
        raise Refusal(400, "`q` must have at most 200 characters", f"{len(text)}", "Pass a shorter pattern.")
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise Refusal(400, "`q` must be a regular expression", f"{text!r}: {error}", "Pass e.g. d12|d20.") from error


__all__ = ["MOST_RUNS", "Known", "Table", "runs_impl"]
