"""What a picture of a forecast shows, before it is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curvecast.curve import Bins, FloatArray
from curvecast.forecast import Forecast, Interval, NotEnoughSamples, Target
from curvecast.plots.axes import STEPS, Axis
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

LEVELS = (0.95, 0.8, 0.5)
_START = 0.05  # share of the picture's width from which on every loss must fit into its height


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
        """Lowest and highest loss to show: the steep start of a run would flatten all the rest."""
        steps, came = self.truth
        losses = [came[self.across(steps) >= _START], *(bins.mean[-1:] for bins in self.seen.values())]
        losses += [bins.mean[self.across(bins.step) >= _START] for bins in self.seen.values()]
        if self.fan is not None:
            losses += [np.asarray(edge) for edge in (self.fan.bands[0].lower, self.fan.bands[0].upper)]
        shown = np.concatenate(losses)
        low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        return low - margin, high + margin


def compose(
    watcher: Watcher,
    train: Bins | None,
    val: Bins | None,
    truth: tuple[ArrayLike, ArrayLike] | None,
    points: int,
    *,
    log_x: bool,
    axis: Axis = STEPS,
    schedule: Schedule | None = None,
    end: float | None = None,
) -> Scene:
    """Gather what `curvecast.plots.forecast_figure` draws; arguments as there."""
    given: dict[Target, Bins | None] = {"train": train, "val": val}
    drawn = {of: _kept(watcher, of) if bins is None else bins for of, bins in given.items()}
    seen = {of: bins for of, bins in drawn.items() if bins is not None and len(bins)}
    now = float(max(watcher.step, 1))
    end = max(float(end or (schedule.horizon if schedule else watcher.horizon) or 2 * now), now)
    at = np.geomspace(now, end, points) if log_x else np.linspace(now, end, points)
    of: Target = "val" if "val" in seen else "train"
    fan = fan_of(watcher, at, schedule) if end > now else None
    return Scene(of, now, end, log_x, axis, schedule or watcher.schedule, seen, fan, _came(truth))


def fan_of(watcher: Watcher, at: FloatArray, schedule: Schedule | None = None) -> Fan | None:
    """The forecast at steps, under the plan or another; ``None`` before one is possible."""
    try:
        ahead = watcher.forecast(at=at, schedule=schedule)
    except NotEnoughSamples:
        return None
    bands = tuple(ahead.interval(level) for level in LEVELS)
    return Fan(at, np.asarray(ahead.median), bands, watcher.forecast(at=at[-1], schedule=schedule))


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
