"""The views of one run: its curve, and what would have been said of it earlier."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from curvecast import Choice, Forecast, NotEnoughSamples, Run, Watcher
from curvecast.notation import duration
from curvecast.overlays import narrowing
from curvecast.plots import Drawing, forecast_sheet
from curvecast.replay import Replay
from curvecast.seen import NEEDED
from curvecast.sinks.records import plain
from curvecast_tensorboard.desk import Desk, Look
from curvecast_tensorboard.drawing import DRAWABLE, UNITS, axes_of, came, head, theme_of
from curvecast_tensorboard.entry import Entry
from curvecast_tensorboard.query import Query
from curvecast_tensorboard.refusal import too_few
from curvecast_tensorboard.rows import forecast, row, spoken

Loss = Literal["train", "val"]

_MOMENTS = 24  # of a run at which is asked how sure the forecast was
_SLIDER = 200  # steps that the page's slider stops at
_FAN = 60  # points of a fan


def curve_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """A run's curve, its forecast, and what can be done now."""
    theme, unit = theme_of(query), query.one_of("x", UNITS)
    with desk.lock:
        entry = desk.entry(look, query.run(), query.known_of(query.run()))
        told = head(entry) | {"row": plain(row(entry, desk.limit)), "x": "step", "notes": _notes(entry)}
        told |= {"figure": None, "axes": dict.fromkeys(UNITS), "choices": [], "details": {}}
        if entry.state not in DRAWABLE:
            return told
        _, watcher = entry.seen()
        axes, needs = axes_of(entry)
        used = next(each for each in UNITS if each == (unit if unit in axes else "step"))
        drawing = Drawing(
            points=_FAN, log_x=query.flag("log_x"), log_y=query.flag("log_y"), axis=axes[used], theme=theme
        )
        figure = forecast_sheet(watcher, drawing)
        verdict = watcher.verdict
        told |= {
            "figure": figure.to_json(),
            "x": used,
            "axes": needs,
            "choices": plain([_spoken_choice(choice, _pace(entry)) for choice in verdict.choices]),
            "details": plain({name: float(value) for name, value in verdict.details.items()}),
        }
        return told


def _spoken_choice(choice: Choice, pace: float | None) -> dict[str, Any]:
    """A choice with its sentence, and with the time that it takes where the run itself told none."""
    if choice.seconds is None and pace is not None:
        choice = replace(choice, seconds=pace * choice.steps)
    takes = duration(choice.seconds) if choice.steps and choice.seconds else None
    return choice.to_dict() | {"text": str(choice), "takes": takes}


def _pace(entry: Entry) -> float | None:
    """Seconds a step, by when the losses were written: the usual ones, for a run may have paused."""
    clock = entry.clock()
    return None if clock is None else float(np.median(np.diff(clock[1]) / np.diff(clock[0])))


def _notes(entry: Entry) -> list[str]:
    notes = [] if entry.run is None else entry.run.meta.get("notes")
    return [str(note) for note in notes][:50] if isinstance(notes, list) else []


def hindsight_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """What would have been said of a run as of a step, against what came."""
    theme = theme_of(query)
    asked = query.number("step", least=1.0)
    with desk.lock:
        entry = desk.entry(look, query.run(), query.known_of(query.run()))
        told = head(entry) | dict.fromkeys(("step", "last_step", "figure", "then", "came", "verdict")) | {"steps": []}
        if entry.state not in DRAWABLE:
            return told
        run, watcher = entry.seen()
        of = _loss_of(run)
        steps, losses = came(run, of)
        stops = _stops(run)
        last = int(steps[-1])
        step = int(min(max(asked or stops[len(stops) // 2], stops[0]), stops[-1]))
        early = _as_of(run, watcher, step)
        told |= {"step": step, "last_step": last, "steps": stops, "verdict": spoken(early.verdict)}
        try:
            then = early.forecast(at=last, of=of)
        except (NotEnoughSamples, ValueError) as error:
            if entry.state == "ok":
                told |= {"state": "few_points", "missing": too_few(error, "Move the slider to a later step.")}
        else:
            value, interval = float(losses[-1]), then.interval(0.9)
            told["then"] = forecast(then)
            told["came"] = {
                "step": last,
                "value": value,
                "inside": bool(interval.lower <= value <= interval.upper),
                "off": float(then.median) / value - 1.0 if value else None,
            }
        drawing = Drawing(truth=(steps, losses), points=_FAN, log_x=query.flag("log_x"), end=float(last), theme=theme)
        figure = forecast_sheet(early, drawing)
        return plain(told) | {"figure": figure.to_json()}  # type: ignore[no-any-return]


def _loss_of(run: Run) -> Loss:
    """The loss to be held against what came: validation, unless all of it is NaN or infinite."""
    return "val" if len(came(run, "val")[0]) else "train"


def _stops(run: Run) -> list[int]:
    """Steps that the slider stops at, evenly spread: each has a loss of its own."""
    places = np.unique(np.linspace(min(NEEDED, len(run) - 1), len(run) - 1, _SLIDER).astype(int))
    stops: list[int] = run.steps[places].tolist()
    return stops


def _as_of(run: Run, like: Watcher, step: int) -> Watcher:
    """A watcher with another's settings that has seen a run up to a step."""
    return Replay(like.fresh(), run.until(step), to_end=True).finish()


def narrowing_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """How the forecast of the end narrowed over the run."""
    theme = theme_of(query)
    with desk.lock:
        entry = desk.entry(look, query.run(), query.known_of(query.run()))
        told = head(entry) | {"end": None, "figure": None, "rows": []}
        if entry.state not in DRAWABLE:
            return told
        run, watcher = entry.seen()
        end = max(watcher.horizon or 0, watcher.step)
        of = _loss_of(run)
        forecasts = _forecasts_on_the_way(run, watcher.fresh(), end, of)
        steps_seen, losses = came(run, of)
        arrived = float(losses[-1]) if len(losses) and steps_seen[-1] >= end else None
        told["end"] = end
        told["rows"] = plain([row for step, ahead in forecasts if (row := _row(step, ahead)) is not None])
        told["figure"] = narrowing(forecasts, came=arrived, log_x=query.flag("log_x"), theme=theme).to_json()
        return told


def _forecasts_on_the_way(run: Run, early: Watcher, end: int, of: Loss) -> list[tuple[int, Forecast]]:
    """What was foretold of the end at moments spread evenly over the logarithm of the run, and when.

    Args:
        run: the run.
        early: a watcher with its settings that has seen nothing yet; it is fed.
        end: the step that is forecast.
        of: the loss that is forecast.
    """
    moments = np.unique(np.geomspace(NEEDED, max(len(run), NEEDED), _MOMENTS).astype(int)) - 1
    forecasts: list[tuple[int, Forecast]] = []
    before = 0
    for place in moments.tolist():
        step = int(run.steps[min(place, len(run) - 1)])
        early.skim(run.until(step).after(before + 1).samples())
        before = step
        with suppress(NotEnoughSamples, ValueError):  # too early, or before the first validation
            forecasts.append((step, early.forecast(at=end, of=of)))
    return forecasts


def _row(step: int, ahead: Forecast) -> dict[str, Any] | None:
    """A forecast as it is listed; ``None`` where it is no number."""
    told = forecast(ahead)
    return None if told is None else {"step": step, **{name: told[name] for name in ("median", "lower", "upper")}}
