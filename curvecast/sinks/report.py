"""The report: one HTML file with every run's curve, forecast and verdict, readable without a network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from curvecast.curve import Bins
from curvecast.forecast import Forecast, NotEnoughSamples, Target
from curvecast.notation import alike
from curvecast.plots import forecast_figure
from curvecast.readers.base import FloatArray, Run
from curvecast.replay import watch
from curvecast.sinks.summary import ForecastSummary, summarise, summarise_forecast
from curvecast.watcher import Watcher

SHARES = (0.1, 0.25, 0.5)  # of a run, at which hindsight asks
COOLDOWNS = (0.05, 0.1, 0.2)  # of the horizon
_POINTS = 72  # of a curve that are drawn: a thousand runs must fit into one page
_FAN, _SPARK = 24, 24
_DIGITS = 5
_IN_TABLE = (
    "name",
    "step",
    "horizon",
    "loss",
    "median",
    "lower",
    "upper",
    "texts",
    "reason",
    "words",
    "stop",
    "probability",
    "spark",
)
_TABLE_ALONE = frozenset(_IN_TABLE) - {"name"}


def page_of(run: Run, seen: Run, watcher: Watcher) -> dict[str, object]:
    """What the report shows of one run, as plain types of some 10 kB.

    Args:
        run: the whole run, as logged.
        seen: the part of it that was watched.
        watcher: what has watched it.
    """
    summary = summarise(seen, watcher)
    of = "val" if seen.points("val") else "train"
    bins = {kind: _thinned(watcher, kind) for kind in ("train", "val")}
    came = _came(run, of) if len(run) > len(seen) else None
    figure = forecast_figure(watcher, train=bins["train"], val=bins["val"], truth=came, points=_FAN)
    figure.layout.template = None
    kept = bins[of]
    forecast = summary.forecast
    page: dict[str, object] = {
        "name": summary.name,
        "step": summary.step,
        "horizon": summary.horizon,
        "loss": None if summary.loss is None else summary.loss[1],
        "median": forecast.median if forecast else None,
        "lower": forecast.lower if forecast else None,
        "upper": forecast.upper if forecast else None,
        "texts": [summary.now, *(_cells(forecast) if forecast else "--")],
        "reason": summary.reason,
        "words": summary.words,
        "stop": summary.should_stop,
        "probability": summary.probability,
        "message": summary.message,
        "spark": [] if kept is None else kept.mean[_places(len(kept), _SPARK)],
        "figure": figure.to_plotly_json(),
        "hindsight": hindsight(run, watcher),
        "cooldowns": cooldowns(watcher),
        "notes": run.meta.get("notes", []),
    }
    plain = _compact(page)
    assert isinstance(plain, dict)
    return plain


def hindsight(run: Run, like: Watcher) -> list[dict[str, object]]:
    """What would have been forecast of the run's last step at shares of it, and what came.

    Args:
        run: the whole run.
        like: a watcher with the run's settings.
    """
    of: Target = "val" if run.points("val") else "train"
    steps, losses = _came(run, of)
    if not len(steps):
        return []
    end, came = float(steps[-1]), float(losses[-1])
    found: list[dict[str, object]] = []
    for share in SHARES:
        try:
            told = like.fresh(decisions=())  # nobody asks for a verdict of then
            early = watch(run.until(int(share * end)), like=told)
            forecast = early.forecast(at=end, of=of)
        except (NotEnoughSamples, ValueError):
            continue
        found.append({"share": share, **_told(forecast, came)})
    return found


def cooldowns(watcher: Watcher) -> list[dict[str, object]]:
    """The loss after a cooldown that begins now, for several lengths; none where no plan is known or left."""
    plan, horizon = watcher.schedule, watcher.horizon
    if plan is None or horizon is None or watcher.step >= horizon:
        return []
    found: list[dict[str, object]] = []
    for share in COOLDOWNS:
        steps = max(1, round(share * horizon))
        if watcher.step + steps > horizon:
            continue
        try:
            ahead = watcher.forecast(at=watcher.step + steps, schedule=plan.cooldown(start=watcher.step, steps=steps))
        except (NotEnoughSamples, ValueError):
            return found
        found.append({"steps": steps, "end": watcher.step + steps, **_told(ahead)})
    return found


def _told(forecast: Forecast, *came: float) -> dict[str, object]:
    """A forecast, as words and as how far off it was of what came."""
    ahead = summarise_forecast(forecast)
    told: dict[str, object] = {"texts": _cells(ahead, *came)}
    if came and came[0]:
        told["error"] = ahead.median / came[0] - 1.0
    return told


def _cells(ahead: ForecastSummary, *came: float) -> list[str]:
    """The cells of a forecast: its median, its interval, and what came, to alike digits."""
    median, lower, upper, *truth = alike(ahead.median, ahead.lower, ahead.upper, *came, width=ahead.upper - ahead.lower)
    return [median, f"[{lower}, {upper}]", *truth]


def _thinned(watcher: Watcher, of: str) -> Bins | None:
    """The series as the watcher keeps it, at no more places than are drawn."""
    try:
        bins = watcher.bins("val" if of == "val" else "train")
    except ValueError:  # never seen
        return None
    at = _places(len(bins), _POINTS)
    return Bins(bins.step[at], bins.mean[at], bins.count[at], bins.noise)


def _places(count: int, wanted: int) -> slice | FloatArray:
    """Places spread over so many, the first and the last among them."""
    if count <= wanted:
        return slice(None)
    places: Any = np.unique(np.linspace(0, count - 1, wanted).astype(np.int64))
    return places  # type: ignore[no-any-return]


def _came(run: Run, of: str) -> tuple[FloatArray, FloatArray]:
    """The finite losses of a run as means over at most ``_POINTS`` stretches."""
    losses = run.val_loss if of == "val" else run.train_loss
    logged = np.isfinite(losses)
    steps, values = run.steps[logged].astype(np.float64), losses[logged]
    if len(steps) <= _POINTS:
        return steps, values
    edges = np.linspace(0, len(steps), _POINTS + 1).astype(np.int64)[:-1]
    count = np.diff(np.append(edges, len(steps)))
    return np.append(steps[edges[1:] - 1], steps[-1]), np.add.reduceat(values, edges) / count


def _compact(value: object) -> object:
    """Plain types for JSON: five digits of every number, ``None`` for those that are not finite."""
    if isinstance(value, Mapping):
        if value.get("dtype") == "f8":  # as plotly packs an array; half of its digits are beyond any screen
            packed = np.frombuffer(base64.b64decode(str(value["bdata"])), "<f8").astype("<f4")
            return {**value, "dtype": "f4", "bdata": base64.b64encode(packed.tobytes()).decode()}
        return {str(key): _compact(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_compact(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        rounded = float(f"{value:.{_DIGITS}g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
    return value


def write_report(path: Path, pages: Sequence[Mapping[str, object]]) -> None:
    """Write the report of the runs that ``page_of`` has prepared.

    Args:
        path: the file; it holds plotly's JavaScript, 4 to 5 MB, and some 10 kB a run.
        pages: the runs.

    Raises:
        OSError: if the file cannot be written.
    """
    from plotly.offline import get_plotlyjs

    rows = _json([{name: page[name] for name in _IN_TABLE} for page in pages])
    details = "\n".join(
        _json({name: part for name, part in page.items() if name not in _TABLE_ALONE}) for page in pages
    )
    template = (files("curvecast.sinks") / "report.html").read_text(encoding="utf-8")
    before, rest = template.split("/*PLOTLY*/")
    between, rest = rest.split("/*DATA*/")
    then, after = rest.split("/*PAGES*/")
    path.write_text("".join([before, get_plotlyjs(), between, rows, then, details, after]), encoding="utf-8")


def _json(value: object) -> str:
    """As it may stand in a page: a name may hold `</script>`, and `<` may as well be written as its code."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
