"""What a forecast is worth once the truth is known: error, coverage, width, and two proper scores.

Every figure is in percent of the truth, so that sets with other losses can be laid side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

FloatArray = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9)
LOGGED = 0.9  # level of the interval that the noise of the truth is added to
QUANTILES = np.arange(1, 100) / 100.0
_LEAST = 1e-3  # percent: less of a score is none


@dataclass(frozen=True, slots=True)
class Score:
    """One forecast against the truth, in percent of it.

    Args:
        error: of the median, signed: positive where the loss was overestimated.
        crps: continuous ranked probability score.
        inside: whether the truth lies in the central interval, by ``LEVELS``.
        width: of that interval.
        logged: whether it lies in the 90 % interval of what is logged, which has the noise of the truth beside.
        interval: its interval score: the width, and a fine of 2/(1 - level) times what the truth lies outside.
        ms: milliseconds of CPU that the forecast took.
        extra: other figures, by name.
    """

    error: float
    crps: float
    inside: tuple[bool, ...]
    logged: bool
    width: tuple[float, ...]
    interval: tuple[float, ...]
    ms: float
    extra: dict[str, float] = field(default_factory=dict)


class Row(NamedTuple):
    """One forecast, scored."""

    set: str
    method: str
    fraction: float
    curve: str
    score: Score


def score(
    truth: float,
    median: float,
    intervals: Sequence[tuple[float, float]],
    logged: tuple[float, float],
    quantiles: FloatArray,
    ms: float,
) -> Score:
    """Score a forecast.

    Args:
        truth: what came, not 0; of a negative one its size is what percent are of.
        median: of the forecast.
        intervals: the ends of its central intervals at ``LEVELS``.
        logged: those of the 90 % one of what is logged, which has the noise of the truth beside.
        quantiles: at ``QUANTILES``.
        ms: what it took.
    """
    percent = 100.0 / abs(truth)
    fines = [
        upper - lower + 2.0 / (1.0 - level) * max(lower - truth, truth - upper, 0.0)
        for level, (lower, upper) in zip(LEVELS, intervals, strict=True)
    ]
    return Score(
        error=percent * (median - truth),
        crps=percent * crps(truth, quantiles),
        inside=tuple(lower <= truth <= upper for lower, upper in intervals),
        logged=logged[0] <= truth <= logged[1],
        width=tuple(percent * (upper - lower) for lower, upper in intervals),
        interval=tuple(percent * fine for fine in fines),
        ms=ms,
    )


def score_gaussian(truth: float, mean: float, sd: float, noise: float, ms: float) -> Score:
    """Score a Gaussian, in the same way as any other forecast; ``noise`` is the standard deviation of the truth."""

    def central(level: float, sd: float) -> tuple[float, float]:
        return float(mean + sd * ndtri(0.5 - 0.5 * level)), float(mean + sd * ndtri(0.5 + 0.5 * level))

    logged = central(LOGGED, math.hypot(sd, noise))
    return score(truth, mean, [central(level, sd) for level in LEVELS], logged, mean + sd * ndtri(QUANTILES), ms)


def crps(truth: float, quantiles: FloatArray) -> float:
    """Twice the pinball loss over all levels, by the trapezoidal rule on the 99 percentiles; at 0 and 1 it vanishes."""
    miss = truth - quantiles
    return 2.0 * float(np.sum(np.maximum(QUANTILES * miss, (QUANTILES - 1.0) * miss))) / (len(QUANTILES) + 1)


def summarize(scores: Sequence[Score]) -> dict[str, float]:
    """What is told of many forecasts: of errors and widths the median, of the proper scores the mean."""
    errors = np.array([s.error for s in scores])
    figures = {
        "n": float(len(scores)),
        "median |error|": _median(np.abs(errors)),
        "mean |error|": float(np.mean(np.abs(errors))),
        "90th percentile of |error|": float(np.quantile(np.abs(errors), 0.9)),
        "bias": _median(errors),
        "CRPS": float(np.mean([s.crps for s in scores])),
        "median CRPS": _median([s.crps for s in scores]),
        f"coverage {LOGGED:.0%}, noise of the truth added": float(np.mean([s.logged for s in scores])),
        "ms": _median([s.ms for s in scores]),
    }
    for k, level in enumerate(LEVELS):
        figures[f"coverage {level:.0%}"] = float(np.mean([s.inside[k] for s in scores]))
        figures[f"width {level:.0%}"] = _median([s.width[k] for s in scores])
        figures[f"interval score {level:.0%}"] = float(np.mean([s.interval[k] for s in scores]))
    for name in sorted({name for s in scores for name in s.extra}):
        figures[name] = _median([s.extra[name] for s in scores if name in s.extra])
    return figures


def ratio(scores: Sequence[Score], others: Sequence[Score], by: Callable[[Score], float]) -> float:
    """The median of one figure over that of others, of the same curves."""
    return _median([by(s) for s in scores]) / max(_median([by(s) for s in others]), 1e-12)


def geometric_ratio(scores: Sequence[Score], others: Sequence[Score], by: Callable[[Score], float]) -> float:
    """The geometric mean over the curves of one figure over that of others: no curve counts more for its unit."""
    pairs = zip(scores, others, strict=True)
    return math.exp(float(np.mean([math.log(max(by(s), _LEAST) / max(by(o), _LEAST)) for s, o in pairs])))


def _median(values: Iterable[float] | FloatArray) -> float:
    return float(np.median(np.fromiter(values, np.float64)))
