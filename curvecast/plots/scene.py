"""What a picture of a forecast shows, before it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict, get_args

import numpy as np
from numpy.typing import ArrayLike

from curvecast.curve import Bins, FloatArray
from curvecast.decisions.base import Reason
from curvecast.forecast import Forecast, Interval, NotEnoughSamples, Target
from curvecast.plots.axes import STEPS, Axis
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

Theme: TypeAlias = Literal["light", "dark"]

LEVELS = (0.95, 0.8, 0.5)  # of a fan's bands, which are drawn one upon the other
_START = 0.05  # share of the picture's width from which on every loss must fit into its height


class Options(TypedDict, total=False):
    """What a `Drawing` may be given, as named arguments of a function."""

    train: Bins | None
    val: Bins | None
    truth: tuple[ArrayLike, ArrayLike] | None
    points: int
    log_x: bool
    log_y: bool
    axis: Axis | None
    schedule: Schedule | None
    end: float | None
    theme: Theme | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawing:
    """What is to be drawn of a watcher, and how.

    Args:
        train: training loss to draw; ``None`` for what the watcher keeps of it.
        val: validation loss to draw; ``None`` for what the watcher keeps of it.
        truth: ``(steps, losses)``, each ``(n,)``: what came in the end, of the loss that is forecast.
        points: steps at which the fan is computed, at least 2.
        log_x: whether the x-axis is logarithmic.
        log_y: whether the loss is.
        axis: what is counted along the x-axis, as ``plots.axis`` gives it; ``None`` for steps.
        schedule: another future, as in ``Watcher.forecast``.
        end: the last step drawn, where not the horizon [steps].
        theme: the page's; ``None`` for tones that are read on any.

    Raises:
        ValueError: if `points` is below 2, or there is no such `theme`.
        TypeError: if `axis` is none.
    """

    train: Bins | None = None
    val: Bins | None = None
    truth: tuple[ArrayLike, ArrayLike] | None = None
    points: int = 120
    log_x: bool = False
    log_y: bool = False
    axis: Axis | None = None
    schedule: Schedule | None = None
    end: float | None = None
    theme: Theme | None = None

    def __post_init__(self) -> None:
        if self.points < 2:
            raise ValueError(f"`points` must be at least 2: got {self.points}. Pass how fine the fan is to be.")
        if self.theme is not None and self.theme not in get_args(Theme):
            raise ValueError(f"`theme` must be one of {', '.join(get_args(Theme))}, or None: got {self.theme!r:.40}.")
        if not isinstance(self.axis, Axis | None):
            raise TypeError(
                f"`axis` must be what curvecast.plots.axis gives: got {self.axis!r:.40}. Pass axis('token')."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """The forecast on its way to the last step, computed once."""

    step: FloatArray
    median: FloatArray
    bands: tuple[Interval, ...]
    last: Forecast


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that is drawn, before it is drawn."""

    of: Target
    now: float
    end: float
    log_x: bool
    axis: Axis
    schedule: Schedule | None
    seen: dict[Target, Bins]
    fan: Fan | None
    truth: tuple[FloatArray, FloatArray]
    early: bool = False  # whether too little was seen for a forecast

    @property
    def first(self) -> float:
        """Left edge [steps]; on a logarithmic axis at most 500 times left of the right one."""
        begin = min((float(bins.step[0]) for bins in self.seen.values()), default=1.0)
        return min(max(begin, 0.002 * self.end), 0.5 * self.end) if self.log_x else 0.0

    def across(self, step: FloatArray) -> FloatArray:
        """Where steps lie, as shares of the picture's width."""
        x, (low, high) = self.axis.at(np.asarray(step, dtype=np.float64)), self.width
        if self.log_x:
            return np.asarray(np.log(np.maximum(x, 1e-12 * high) / low) / math.log(high / low))
        return np.asarray((x - low) / (high - low))

    @property
    def width(self) -> tuple[float, float]:
        """The x-axis' ends, in its own unit."""
        low, high = self.axis.at(np.array([self.first, self.end])).tolist()
        return max(low, 1e-3 * high) if self.log_x else low, high

    def height(self) -> tuple[float, float]:
        """Lowest and highest loss to show: the steep start of a run would flatten the rest, once there is one."""
        steps, came = self.truth
        start = 0.0 if self.early else _START
        losses = [came[self.across(steps) >= start], *(bins.mean[-1:] for bins in self.seen.values())]
        losses += [bins.mean[self.across(bins.step) >= start] for bins in self.seen.values()]
        if self.fan is not None:
            losses += [np.asarray(edge) for edge in (self.fan.bands[0].lower, self.fan.bands[0].upper)]
        shown = np.concatenate(losses)
        low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        return low - margin, high + margin


def compose(watcher: Watcher, drawing: Drawing) -> Scene:
    """Gather what `curvecast.plots.forecast_figure` draws."""
    given: dict[Target, Bins | None] = {"train": drawing.train, "val": drawing.val}
    drawn = {of: _kept(watcher, of) if bins is None else bins for of, bins in given.items()}
    seen = {of: bins for of, bins in drawn.items() if bins is not None and len(bins)}
    now = float(max(watcher.step, 1))
    schedule = drawing.schedule
    diverged = watcher.verdict.reason is Reason.DIVERGED
    ahead = now if diverged else 2 * now  # where no plan tells; of a run that diverged nothing is to come
    end = max(float(drawing.end or (schedule.horizon if schedule else watcher.horizon) or ahead), now)
    at = (np.geomspace if drawing.log_x else np.linspace)(now, end, drawing.points)
    of: Target = "val" if "val" in seen else "train"
    goes_on = end > now and not diverged
    fan = fan_of(watcher, at, schedule) if goes_on else None
    plan = schedule or watcher.schedule
    early = watcher.verdict.reason is Reason.NOT_ENOUGH_DATA
    return Scene(of, now, end, drawing.log_x, drawing.axis or STEPS, plan, seen, fan, _came(drawing.truth), early)


def fan_of(
    watcher: Watcher, at: FloatArray, schedule: Schedule | None = None, levels: Sequence[float] = LEVELS
) -> Fan | None:
    """The forecast at steps, under the plan or another, with bands of some levels; ``None`` before one is possible."""
    try:
        ahead = watcher.forecast(at=at, schedule=schedule)
    except NotEnoughSamples:
        return None
    bands = tuple(ahead.interval(level) for level in levels)
    return Fan(at, np.asarray(ahead.quantile(0.5)), bands, ahead.last)


def _kept(watcher: Watcher, of: Target) -> Bins | None:
    try:
        return watcher.bins(of)
    except ValueError:  # never seen
        return None


def _came(truth: tuple[ArrayLike, ArrayLike] | None) -> tuple[FloatArray, FloatArray]:
    steps, losses = ((), ()) if truth is None else truth
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"`truth` must be steps and losses of one length: got shapes {x.shape} and {y.shape}. "
            "Pass run.steps and run.val_loss."
        )
    logged = np.isfinite(y)
    return x[logged], y[logged]
