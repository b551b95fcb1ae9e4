"""Schedules that were inferred at an earlier step: what they are worth by the learning rates that came since."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.basis import Futures, Timeline
from curvecast.infer.logged import INDEPENDENT, TOLERANCE

Knots = tuple[Sequence[int], Sequence[float]]  # steps and learning rates [steps], [any unit]

_PARTED = 1e-4  # a decay that should have taken less than this share off the peak by now is as likely as before
_FORESEEN = 0.35  # of the weight: where less is left, what came was hardly foreseen, and others may explain it better
_UNLIKELY = 0.02  # a future with a smaller probability is dropped, as where it is inferred
_ALONG_A_LINE = 3.0  # who parts along a line was off by a third of the square by which he is off now, on the whole


def round_steps(step: int) -> Iterator[int]:
    """Steps before this one, few enough that each serves many later ones, and told by nothing but the step.

    They are the last power of two, and the last half, quarter and eighth of the way from there to the next.

    Example:
        >>> list(round_steps(1900))
        [1024, 1536, 1792]
    """
    length, tried = step.bit_length(), 0
    for rest in range(length - 1, max(length - 5, -1), -1):
        if tried < (before := step >> rest << rest) < step:
            yield (tried := before)


def since(futures: Futures, then: Knots, now: Knots) -> Futures | None:
    """Earlier futures, each weighed by how well it foretold the rates since, likeliest first; ``None`` at any news.

    A rate that stands at its peak is news once one of them should have begun to fall, for that tells it from the rest.
    Any other is news where hardly one foretold it, or the likeliest not closely.

    Args:
        futures: As inferred then.
        then: The knots then, one at least, of a rate above zero.
        now: The knots now, of which one at least has come since.

    Example:
        >>> from curvecast import Schedule
        >>> plans = [Schedule.linear(101), Schedule.constant(101)]
        >>> futures = [(0.5, Timeline(plan, ((0.1, 1.0),))) for plan in plans]
        >>> then = [1, 32], [3e-4, 2.07e-4]
        >>> kept, news = (since(futures, then, ([1, 51], [3e-4, rate])) for rate in (1.5e-4, 1.6e-4))
        >>> kept == ((1.0, futures[0][1]),), news
        (True, None)
    """
    peak, begin = max(then[1]), bisect_right(now[0], then[0][-1])
    steps, rates = now[0][begin:], now[1][begin:]
    if min(rates) == peak == max(rates):
        return futures if all(_is_at_peak(timeline, steps[-1]) for _, timeline in futures) else None
    off = [_miss(timeline, steps, np.array(rates) / peak) for _, timeline in futures]
    told = (steps[-1] - then[0][-1]) / (steps[-1] - then[0][then[1].index(peak)])  # as a share of all since warm-up
    scale = INDEPENDENT * told / _ALONG_A_LINE / TOLERANCE**2
    weights = [chance * math.exp(-0.5 * scale * miss**2) for (chance, _), miss in zip(futures, off, strict=True)]
    by_weight = sorted(range(len(weights)), key=lambda k: -weights[k])
    if sum(weights) < _FORESEEN or off[by_weight[0]] > TOLERANCE:
        return None
    kept = [k for k in by_weight if weights[k] > _UNLIKELY * sum(weights)]
    total = sum(weights[k] for k in kept)
    return tuple((weights[k] / total, futures[k][1]) for k in kept)


def _miss(timeline: Timeline, steps: Sequence[int], rates: FloatArray) -> float:
    """By how much a future missed relative rates at most; all of it where it has none [of peak]."""
    return 1.0 if timeline.schedule is None else float(np.abs(timeline.schedule.lr(steps) - rates).max())


def _is_at_peak(timeline: Timeline, step: int) -> bool:
    """Whether a future has not begun to fall by a step, as rates that still stand at their peak ask of it."""
    if timeline.schedule is None:
        return False
    return not timeline.has_decayed(step) or timeline.schedule.lr(step) >= 1.0 - _PARTED
