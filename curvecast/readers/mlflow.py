"""MLflow: the folders of ``mlruns/``, and the SQLite file of a tracking store.

A run's folder has ``meta.yaml``, ``params/NAME`` and ``metrics/NAME``, the latter with a line
``timestamp value step`` for each value; names with a slash are folders within. A store has the tables ``runs``,
``metrics``, ``params`` and ``tags``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.plan import plan_of
from curvecast.readers.sidecar import parse_plan
from curvecast.schedule.checks import MOST_STEPS

PLAN_TAG = "curvecast.plan"  # where the live callback notes the plan of a run
_SQLITE = b"SQLite format 3\0"
_STORE = "mlflow.db"  # as MLflow itself calls it; what is wrong with it is worth a line
_ENTRY = re.compile(r"^(run_name|run_id|lifecycle_stage):[ \t]*(['\"]?)(.*?)\2[ \t]*$", re.MULTILINE)


def read_folder(folder: Path) -> tuple[str, Log]:
    """Read a run's folder: its name, and its metrics.

    Raises:
        UnreadableRun: if it has no metric with a number.
    """
    notes, about = Notes(), _about(folder)
    if about.get("lifecycle_stage") == "deleted":
        raise UnreadableRun("the run was deleted in MLflow.")
    series: dict[str, Series] = {}
    root = folder / "metrics"
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        tag = file.relative_to(root).as_posix()
        rows = _metric(file, notes)
        if rows is not None:
            series[tag] = rows
    if not series:
        raise UnreadableRun(f"no metric with a number in {folder.name}/metrics.")
    name = about.get("run_name") or about.get("run_id") or folder.name
    meta = plan_of(_params(folder / "params")) | _told(_tag_of(folder / "tags" / PLAN_TAG), notes)
    return name, Log(folder, FORMAT.name, series, notes=notes, meta=meta)


def _told(plan: str | None, notes: Notes) -> dict[str, object]:
    """What the live callback has told of the run's plan, if it was there."""
    return {} if plan is None else parse_plan(plan, notes)


def _tag_of(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _metric(file: Path, notes: Notes) -> Series | None:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        notes.add(f"{file.name} cannot be read ({error.strerror}); it is left out", lost=True)
        return None
    rows: list[tuple[int, float, int]] = []
    bad = 0
    for line in text.splitlines():
        try:
            stamp, value, *step = line.split()
            rows.append((int(step[0]) if step else len(rows), float(value), int(stamp)))
        except (ValueError, IndexError):
            bad += 1
            continue
        if abs(rows[-1][0]) > MOST_STEPS or abs(rows[-1][2]) > MOST_STEPS:
            rows.pop()
            bad += 1
    if bad:
        notes.add(f"{file.name}: {bad} lines are no values and left out", lost=True)
    return Series.of(rows) if rows else None


def _about(folder: Path) -> dict[str, str]:
    """What ``meta.yaml`` says of the run's name, id and stage; nothing where it cannot be read."""
    try:
        text = (folder / "meta.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {match[1]: match[3] for match in _ENTRY.finditer(text) if match[3] not in ("", "null")}


def _params(folder: Path) -> dict[str, object]:
    params: dict[str, object] = {}
    for file in folder.glob("*") if folder.is_dir() else ():
        try:
            params[file.name] = file.read_text(encoding="utf-8", errors="replace")[:100].strip()
        except OSError:
            continue
    return params


def read_store(path: Path) -> dict[str, Log]:
    """Read every run of a tracking store that lies in a SQLite file, without changing it.

    Raises:
        UnreadableRun: if it is no such store, or holds no metric.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            return _runs(store, path)
    except sqlite3.Error as error:
        raise UnreadableRun(f"cannot read {path.name} as an MLflow store: {error}.") from error


def _runs(store: sqlite3.Connection, path: Path) -> dict[str, Log]:
    logs: dict[str, Log] = {}
    query = "select name, run_uuid from runs where lifecycle_stage is not 'deleted' order by start_time"
    for name, identity in store.execute(query).fetchall():
        series: dict[str, Series] = {}
        metrics = store.execute(
            "select key, step, value, is_nan, timestamp from metrics where run_uuid = ? order by key, timestamp, step",
            (identity,),
        ).fetchall()
        for tag in dict.fromkeys(row[0] for row in metrics):
            of_tag = [row for row in metrics if row[0] == tag]
            values = np.array([np.nan if is_nan else value for _, _, value, is_nan, _ in of_tag], np.float64)
            steps, stamps = (np.array([row[at] for row in of_tag], np.int64) for at in (1, 4))
            series[tag] = Series(steps, values, stamps)
        params = dict(store.execute("select key, value from params where run_uuid = ?", (identity,)).fetchall())
        if series:
            notes = Notes()
            title = name if name and name not in logs else f"{name or 'run'} {identity[:8]}"
            meta = plan_of(params) | _told(_stored_tag(store, identity), notes)
            logs[title] = Log(path, FORMAT.name, series, notes=notes, meta=meta)
    if not logs:
        raise UnreadableRun(f"no run with a metric in {path.name}.")
    return logs


def _stored_tag(store: sqlite3.Connection, identity: str) -> str | None:
    with suppress(sqlite3.OperationalError):  # a store without tags is one all the same
        for (told,) in store.execute("select value from tags where run_uuid = ? and key = ?", (identity, PLAN_TAG)):
            return str(told)
    return None


def _claim(folder: Folder) -> Iterator[Part]:
    if "meta.yaml" in folder.files and "metrics" in folder.folders:
        yield Part(FORMAT.name, (folder.path / "meta.yaml",))
    for name in folder.files:
        if name == _STORE or (name.endswith((".db", ".sqlite")) and _is_store(folder.path / name)):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _is_store(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                return False
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            tables = {name for (name,) in store.execute("select name from sqlite_master where type = 'table'")}
    except (OSError, sqlite3.Error):
        return False
    return {"runs", "metrics"} <= tables


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    if files[0].name == "meta.yaml":
        name, log = read_folder(files[0].parent)
        return {name: log}
    return read_store(files[0])


FORMAT = Format(
    "mlflow",
    "mlruns/, *.db",
    _claim,
    lambda path, start: start.startswith(_SQLITE),
    _read,
)
