"""What if: another horizon, a cooldown, another size; the forecast moves with the slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curvecast import NotEnoughSamples, Schedule, Watcher
from curvecast.overlays import whatif
from curvecast.schedule import DecayShape
from curvecast.sinks.records import plain
from curvecast_tensorboard.desk import Desk, Look
from curvecast_tensorboard.drawing import head, theme_of
from curvecast_tensorboard.query import Query
from curvecast_tensorboard.refusal import too_few
from curvecast_tensorboard.rows import forecast

_LONGEST = 10  # times the horizon
_SIZES = 8.0  # times smaller and larger
_SHAPES: tuple[DecayShape, ...] = ("linear", "cosine", "sqrt")
_NAMES = ("base", "forecast", "change", "step", "limits", "cost", "size", "ended", "figure")


@dataclass(frozen=True, slots=True)
class Plan:
    """Another future of a run.

    Args:
        end: its last step [steps].
        schedule: its learning rate; ``None`` for what the watcher expects.
        start, steps: of the cooldown; 0 steps for none.
        shape: of the cooldown.
        notes: what was assumed.
    """

    end: int
    schedule: Schedule | None
    start: int
    steps: int
    shape: DecayShape
    notes: tuple[str, ...]


def whatif_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """The forecast under another plan."""
    theme = theme_of(query)
    with desk.lock:
        entry = desk.entry(look, query.run(), query.known_of(query.run()))
        told = head(entry) | dict.fromkeys(_NAMES) | {"notes": []}
        if entry.state != "ok":
            return told
        _, watcher = entry.seen()
        try:
            plan = _plan(watcher, query)
            base = watcher.forecast()
            ahead = watcher.forecast(at=plan.end, schedule=plan.schedule)
        except NotEnoughSamples as error:
            return told | {"state": "few_points", "missing": too_few(error)}
        now = watcher.step
        figure = whatif(watcher, schedule=plan.schedule, end=float(plan.end), log_x=query.flag("log_x"), theme=theme)
        told |= {
            "base": forecast(base),
            "forecast": forecast(ahead),
            "change": float(ahead.median) - float(base.median),
            "step": now,
            "limits": _limits(watcher, query, plan),
            "cost": {
                "steps": plan.end - now,
                "flops": _flops(watcher, plan.end - now),
                "base_flops": _flops(watcher, max(watcher.horizon or now, now) - now),
            },
            "size": _size(watcher, query.number("new_params", least=1.0)),
            "ended": {
                "new_horizon": plan.end,
                "cooldown_start": plan.start,
                "cooldown_steps": plan.steps,
                "cooldown_shape": plan.shape,
            },
            "notes": list(plan.notes),
        }
        return plain(told) | {"figure": figure.to_json()}  # type: ignore[no-any-return]


def _plan(watcher: Watcher, query: Query) -> Plan:
    now, notes = watcher.step, []
    planned = max(watcher.horizon or now, now)
    asked = query.number("new_horizon", least=1.0)
    end = int(min(max(asked or planned, now), _LONGEST * max(planned, 1)))
    shape = next(each for each in _SHAPES if each == query.one_of("cooldown_shape", _SHAPES))
    schedule, likely = None, watcher.likely_schedule
    if end != planned and likely is not None and now < min(likely.horizon, end):
        schedule = likely.stretched(start=now, end=end)
        notes.append("the rest of the schedule is stretched to the new horizon")
    start = int(min(max(query.number("cooldown_start") or now, now), max(end - 1, now)))
    steps = int(query.number("cooldown_steps") or 0)
    if steps:
        if likely is None:
            notes.append("no learning rate is known: a constant one is taken up to the cooldown")
        steps = min(steps, max(end - start, 1)) if end > start else steps
        top = schedule or likely or Schedule.constant(max(end, now))
        schedule = top.cooldown(start=start, steps=steps, shape=shape)
        end = start + steps
    return Plan(end, schedule, start, steps, shape, tuple(notes))


def _limits(watcher: Watcher, query: Query, plan: Plan) -> dict[str, list[float] | None]:
    now = watcher.step
    planned = max(watcher.horizon or now, now)
    asked = int(min(max(query.number("new_horizon") or planned, now), _LONGEST * planned))
    size = watcher.num_params
    return {
        "new_horizon": [now, _LONGEST * planned],
        "cooldown_start": [now, max(asked - 1, now)] if asked > now else None,
        "cooldown_steps": [0, max(asked - plan.start, 1)] if asked > now else None,
        "new_params": None if size is None or watcher.batch_tokens is None else [size / _SIZES, size * _SIZES],
    }


def _flops(watcher: Watcher, steps: int) -> float | None:
    if watcher.num_params is None or watcher.batch_tokens is None:
        return None
    return 6.0 * watcher.num_params * watcher.batch_tokens * steps


def _size(watcher: Watcher, asked: float | None) -> dict[str, Any] | None:
    """The same compute on another size."""
    size, batch = watcher.num_params, watcher.batch_tokens
    if size is None or batch is None:
        return None
    end = max(watcher.horizon or 0, watcher.step)
    new = min(max(asked or size, size / _SIZES), size * _SIZES)
    way, here, best = watcher.resized(new), watcher.resized(size), watcher.resized()
    return {
        "new_params": new,
        "steps": round(way.tokens * end),
        "tokens": way.tokens * end * batch,
        "flops": _flops(watcher, end),
        "loss": way.loss,
        "base_loss": here.loss,
        "best_params": best.size * size,
        "best_loss": best.loss,
        "law": watcher.law.name,
    }
