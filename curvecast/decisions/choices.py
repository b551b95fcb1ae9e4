"""What can be done now: stop, cool down from here, or go on; where each ends, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from curvecast.fit.posterior import Posterior
from curvecast.forecast import Forecast, Target
from curvecast.notation import duration, plural, with_interval
from curvecast.schedule import Schedule

LEVEL = 0.9  # probability of the intervals
DECAYING = 0.3  # below this share of the peak rate a decay is under way, and another makes no sense
_LENGTHS = (0.02, 0.05, 0.1, 0.2)  # cooldowns that are weighed against each other, as shares of the steps done
_MOST = 0.9  # the shortest is taken that brings this share of what the longest brings over none
_MOMENT = 0.5  # a shorter time is not worth a word [s]
_ROUNDING = 1e-9  # two ways to one loss differ by no more than this share of it


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to do now.

    Args:
        name: ``"stop"``, ``"cool_down"`` or ``"go_on"``; ``"go_back"`` to the best where it lies behind.
        step: Where it ends [steps].
        loss: Median of the loss there [loss unit].
        lower, upper: Its 90 % interval [loss unit].
        steps: What it still takes [steps].
        flops: What it still takes, where N and B are known [FLOP].
        seconds: What it still takes at the pace so far, where that was told [s].

    Example:
        >>> str(Choice("cool_down", 1100, 2.913, 2.905, 2.921, 100, 3e15, 90.0))
        'cool down over 100 steps from here: 2.913 [2.905, 2.921], 3e+15 FLOPs, 90 s'
    """

    name: str
    step: int
    loss: float
    lower: float
    upper: float
    steps: int
    flops: float | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        what = {
            "stop": "stop here",
            "cool_down": f"cool down over {plural(self.steps, 'step')} from here",
            "go_on": f"go on to {self.step:,}",
            "go_back": f"go back to step {self.step:,}",
        }[self.name]
        if self.name == "go_back":
            return f"{what}: {self.loss:.4g}"
        cost = [] if self.flops is None or not self.steps else [f"{self.flops:.2g} FLOPs"]
        cost += [] if self.seconds is None or self.seconds < _MOMENT else [duration(self.seconds)]
        return ", ".join([f"{what}: {self.interval_text}", *cost])

    @property
    def interval_text(self) -> str:
        """The loss with its interval, to alike digits."""
        return with_interval(self.loss, self.lower, self.upper)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON and checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Choice:
        """The choice whose plain form this is."""
        return cls(**state)


def back_to(step: int, loss: float) -> Choice:
    """The checkpoint with the lowest validation loss: what was measured there."""
    return Choice("go_back", step, loss, loss, loss, 0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step takes.

    Args:
        flops: [FLOP/step], or ``None``.
        seconds: [s/step], or ``None``.
    """

    flops: float | None = None
    seconds: float | None = None

    def of(self, steps: float) -> tuple[float | None, float | None]:
        """FLOPs and seconds of so many steps; ``None`` for what no float can hold."""
        each = (None if one is None else float(one) * float(steps) for one in (self.flops, self.seconds))
        flops, seconds = (None if one is None or math.isinf(one) else one for one in each)
        return flops, seconds


class Foresight(Protocol):
    """What forecasts the loss that decides: at a step or several, under another future where one is given."""

    def __call__(self, at: ArrayLike, schedule: Schedule | None = None) -> Forecast:
        """The forecast."""


def choices(
    posterior: Posterior, ahead: Foresight, *, now: int, end: int, of: Target, cost: Cost, cooldown: int | None = None
) -> tuple[Choice, ...]:
    """What can be done now, and what it ends at; nothing where no step is left.

    Args:
        posterior: The fit, which says how long a cooldown is worth it.
        ahead: What forecasts the loss.
        now: Last step seen [steps].
        end: The horizon [steps].
        of: The loss that decides.
        cost: What a step takes.
        cooldown: Steps of the cooldown; ``None`` for as many as the law says are worth it.
    """
    if end <= now:
        return ()
    both = ahead(np.array([now, end], dtype=np.float64))
    found = [*_choices(("stop", "go_on"), both, now, cost)]
    choice = cooled(posterior, ahead, now=now, left=end - now, of=of, cost=cost, steps=cooldown)
    going_on = found[-1]
    is_no_lower = choice is not None and choice.loss > going_on.loss - _ROUNDING * abs(going_on.loss)
    if choice is not None and not (cooldown is None and choice.step == end and is_no_lower):
        found[1:1] = [choice]  # one that ends where the plan does, and no lower, is none
    return tuple(found)


def cooled(
    posterior: Posterior, ahead: Foresight, *, now: int, left: int, of: Target, cost: Cost, steps: int | None = None
) -> Choice | None:
    """The choice of a cooldown; arguments as in `cool_down` and `choices`."""
    if left < 1 or (schedule := cool_down(posterior, now=now, left=left, of=of, steps=steps)) is None:
        return None
    return _choices(("cool_down",), ahead(float(schedule.horizon), schedule), now, cost)[0]


def _choices(names: Sequence[str], ahead: Forecast, now: int, cost: Cost) -> list[Choice]:
    interval = ahead.interval(LEVEL)
    columns = (np.atleast_1d(each) for each in (ahead.step, ahead.median, interval.lower, interval.upper))
    return [
        Choice(name, int(step), float(loss), float(lower), float(upper), int(step) - now, *cost.of(step - now))
        for name, step, loss, lower, upper in zip(names, *columns, strict=True)
    ]


def cool_down(posterior: Posterior, *, now: int, left: int, of: Target, steps: int | None = None) -> Schedule | None:
    """The schedule that takes the learning rate to zero from here; ``None`` where it is not known, or decays already.

    Where ``steps`` is not given, it is the shortest of 2, 5, 10 and 20 % of the steps done that brings nine tenths of
    what the longest would.
    """
    schedule = posterior.timeline.schedule
    if schedule is None or schedule.lr(now) < DECAYING * max(schedule.knot_lrs):
        return None
    if steps is not None:
        return schedule.cooldown(start=now, steps=min(steps, left))
    lengths = sorted({min(max(round(share * now), 1), left) for share in _LENGTHS})
    after = [_cooled_mean(posterior, schedule, now, k, of) for k in lengths]
    here = float(posterior.moments(np.array([float(now)]), val=of == "val")[0][0] @ posterior.weight)
    best = min(after)
    enough = best + (1.0 - _MOST) * max(here - best, 0.0)
    return schedule.cooldown(start=now, steps=next(k for k, loss in zip(lengths, after, strict=True) if loss <= enough))


def _cooled_mean(posterior: Posterior, schedule: Schedule, now: int, steps: int, of: Target) -> float:
    timeline = posterior.timeline.under(schedule.cooldown(start=now, steps=steps), posterior.now)
    mean, _ = posterior.moments(np.array([float(now + steps)]), val=of == "val", timeline=timeline)
    return float(mean[0] @ posterior.weight)
