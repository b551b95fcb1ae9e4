"""One run as a row of the table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from curvecast import Forecast, Reason, Verdict, Watcher
from curvecast.sinks.summary import LEVEL, last_of, summarise_forecast
from curvecast_tensorboard.entry import Entry

_SPARK = 24  # losses of the small picture


def row(entry: Entry, limit: int | None) -> dict[str, Any]:
    """A row as ``http_api.md`` describes it.

    Args:
        entry: the run.
        limit: points that TensorBoard keeps of a tag; 0 for all, ``None`` where that is not known.
    """
    run, watcher = entry.run, entry.watcher
    known = dict.fromkeys(
        ("step", "horizon", "loss", "forecast", "verdict", "compute_excess", "num_params", "batch_tokens")
    )
    told: dict[str, Any] = {
        "run": entry.name,
        "state": entry.state,
        "missing": entry.missing,
        "points": {"train": 0, "val": 0, "sampled": False},
        **known,
        "spark": [],
        "tags": {role: _tag(entry, role) for role in ("train", "val", "lr")},
        "wall_time": entry.wall_time,
        "candidates": list(entry.candidates),
    }
    if run is None:
        return told
    sampled = bool(limit) and any(len(points) >= (limit or 0) for points in entry.points.values())
    told["points"] = {"train": run.points("train"), "val": run.points("val"), "sampled": sampled}
    told["step"] = int(run.steps[-1]) if len(run) else None
    if watcher is None:
        return told
    verdict = watcher.verdict
    told |= {
        "step": watcher.step,
        "horizon": watcher.horizon,
        "forecast": forecast(None if verdict.reason is Reason.DIVERGED else verdict.forecast),
        "verdict": spoken(verdict),
        "num_params": watcher.num_params,
        "batch_tokens": watcher.batch_tokens,
        "spark": _spark(watcher),
    }
    losses = {"val": last_of(run.val_loss), "train": last_of(run.train_loss)}
    wanted = [verdict.forecast.of] if verdict.forecast is not None else []
    of = next((kind for kind in (*wanted, "val", "train") if losses[kind] is not None), None)
    told["loss"] = None if of is None else {"of": of, "value": losses[of]}
    if watcher.num_params is not None and verdict.forecast is not None:
        told["compute_excess"] = verdict.details.get("compute_excess")
    return told


def forecast(ahead: Forecast | None) -> dict[str, Any] | None:
    """A forecast with its 90 % interval."""
    if ahead is None:
        return None
    told = asdict(summarise_forecast(ahead))
    return {name: told[name] for name in ("of", "step", "median", "lower", "upper")} | {"level": LEVEL}


def spoken(verdict: Verdict) -> dict[str, Any]:
    """A verdict in plain types."""
    return {
        "reason": str(verdict.reason),
        "should_stop": bool(verdict.should_stop),
        "probability": float(verdict.probability),
        "message": verdict.message,
        "step": int(verdict.step),
    }


def _tag(entry: Entry, role: str) -> str | None:
    choice = getattr(entry.choices, role, None)
    return None if choice is None else choice.tag


def _spark(watcher: Watcher) -> list[float]:
    try:
        bins = watcher.bins()
    except ValueError:  # never seen
        return []
    if not len(bins):  # nothing finite was
        return []
    steps = np.linspace(bins.step[0], bins.step[-1], min(_SPARK, len(bins)))
    losses: list[float] = np.interp(steps, bins.step, bins.mean).tolist()
    return losses
