from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from curvecast.readers import Run
from curvecast.replay import watch
from curvecast.sinks.records import as_csv, bundle, record
from curvecast.watcher import Watcher


def make_pair(count: int = 200, **meta: object) -> tuple[Run, Watcher]:
    steps = np.arange(1, count + 1)
    nothing = np.full(count, math.nan)
    run = Run("d12", steps, 2.0 + 3.0 / np.sqrt(steps), nothing, nothing, dict(meta))
    return run, watch(run)


def loaded(*pairs: tuple[Run, Watcher]) -> Any:
    return json.loads(bundle([record(*pair) for pair in pairs]), parse_constant=refuse)


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_a_run_is_told_in_full() -> None:
    run, watcher = make_pair(horizon=1000, num_params=331_000, notes=["one"], source="runs/d12", train_tag="loss")
    (entry,) = loaded((run, watcher))["runs"]
    told = {key: entry[key] for key in ("name", "source", "train_tag", "step", "horizon", "num_params", "notes")}
    assert told == {
        "name": "d12",
        "source": "runs/d12",
        "train_tag": "loss",
        "step": 200,
        "horizon": 1000,
        "num_params": 331_000,
        "notes": ["one"],
    }
    assert entry["points"] == {"train": 200, "val": 0}
    assert entry["train_loss"] == run.train_loss[-1]
    assert entry["val_loss"] is None


def test_verdict_and_forecast_are_the_watchers_own() -> None:
    run, watcher = make_pair(horizon=1000)
    (entry,) = loaded((run, watcher))["runs"]
    verdict, forecast = watcher.verdict, watcher.verdict.forecast
    assert forecast is not None
    assert entry["verdict"]["reason"] == verdict.reason
    assert entry["verdict"]["probability"] == verdict.probability
    assert entry["verdict"]["details"] == dict(verdict.details)
    assert (entry["forecast"]["of"], entry["forecast"]["step"]) == ("train", 1000)
    assert entry["forecast"]["median"] == forecast.median
    assert (entry["forecast"]["lower"], entry["forecast"]["level"]) == (forecast.interval(0.9).lower, 0.9)


def test_what_is_not_finite_becomes_null() -> None:
    steps = np.arange(1, 31)
    losses = np.where(steps > 20, np.inf, 2.0)
    run = Run(
        "nan",
        steps,
        losses,
        np.full(30, np.nan),
        np.full(30, np.nan),
        {"notes": [np.float64("nan"), np.int64(3)]},
    )
    (entry,) = loaded((run, watch(run)))["runs"]
    assert entry["train_loss"] is None
    assert entry["notes"] == [None, 3]
    assert entry["verdict"]["reason"] == "diverged"


def test_before_there_is_enough_data_there_is_no_forecast() -> None:
    (entry,) = loaded(make_pair(3))["runs"]
    assert entry["forecast"] is None
    assert entry["verdict"]["reason"] == "not_enough_data"


def test_the_schema_has_a_version() -> None:
    assert loaded() == {"schema": 1, "runs": []}


def test_names_in_any_script_survive() -> None:
    run, watcher = make_pair(3)
    renamed = Run("損失 🔥", run.steps, run.train_loss, run.val_loss, run.lr)
    assert loaded((renamed, watcher))["runs"][0]["name"] == "損失 🔥"


def test_a_text_that_a_spreadsheet_would_run_is_text_in_a_table_as_in_the_tabs() -> None:
    for begin in "=+-@\t\r":
        entries = [{"name": f"{begin}cmd|' /C calc'!A0", "loss": -1.5, "notes": ["=1", "b"]}]
        assert as_csv(entries) == f"name,loss,notes\n'{entries[0]['name']},-1.5,'=1; b\n"
    script = Path(__file__).parents[2] / "integrations" / "curvecast_tensorboard" / "static" / "download.js"
    assert r"/^[=+\-@\t\r]/" in script.read_text(encoding="utf-8")


def test_a_run_without_a_forecast_adds_no_column_to_a_csv() -> None:
    entries: list[dict[str, object]] = [
        {"name": "d12", "forecast": {"median": 2.5}},
        {"name": "lost", "forecast": None},
    ]
    assert as_csv(entries) == "name,forecast.median\nd12,2.5\nlost,\n"
    assert as_csv(entries[1:]) == "name,forecast\nlost,\n"
