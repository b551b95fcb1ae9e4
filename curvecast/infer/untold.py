"""Where nobody tells the learning rate: the decays that may be to come. Private to `curvecast.infer`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from curvecast.infer.plans import KINDS, WSD_DECAYS
from curvecast.schedule import Schedule

# By share of the run that a decay takes: those that begin with the run, and what a WSD's takes.
_DECAYS = {1.0: KINDS["cosine"] + KINDS["linear"]} | {share: KINDS["wsd"] * p for share, p in WSD_DECAYS.items()}
# Of a decay that would have begun the losses have shown a part, and the law, which takes it for its own, goes on with
# it: of what is left so much comes on top. By hand, in view of large networks whose rates were withheld (docs/log.md).
_ON_TOP = 0.5
_COSINE_FLOOR = 0.1  # one for all cosines: what bends the losses they have in common, and another would cost a fit


def untold(horizon: int, now: int, probability: float) -> Iterator[tuple[float, Schedule]]:
    """The plans that a run may follow whose rate nobody tells, with their probabilities: first that it stays as it is.

    What the rate was until now is not known either. It is taken for constant in all of them, for the losses show what
    it has brought.

    Args:
        horizon: planned steps.
        now: last step seen, before the horizon.
        probability: that it follows one of the known kinds of plans at all.

    Example:
        >>> for chance, plan in untold(1000, 750, 1.0):
        ...     print(round(chance, 2), plan.lr([750, 850, 1000]).round(2).tolist())
        0.25 [1.0, 1.0, 1.0]
        0.5 [1.0, 0.95, 0.88]
        0.06 [1.0, 1.0, 0.0]
        0.09 [1.0, 0.75, 0.0]
        0.05 [1.0, 0.83, 0.58]
        0.05 [1.0, 0.88, 0.69]
    """
    yield _held(horizon, probability)
    for share, chance in _DECAYS.items():
        start, left = _start(horizon, share), 1.0
        if start < now:
            left, start = _ON_TOP * (horizon - now) / (share * horizon), now
        yield probability * chance, _held_until(start, horizon, 1.0 - left)


def yet_to_fall(horizon: int, now: int, probability: float) -> Iterator[tuple[float, Schedule]]:
    """Those of ``untold`` under which the rate has stayed as it was until now.

    Example:
        >>> [round(chance, 2) for chance, _ in yet_to_fall(1000, 750, 1.0)]
        [0.25, 0.06, 0.09]
    """
    yield _held(horizon, probability)
    for share, chance in _DECAYS.items():
        if (start := _start(horizon, share)) >= now:
            yield probability * chance, _held_until(start, horizon, 0.0)


def under_way(horizon: int, now: int, probability: float) -> Iterator[tuple[float, Schedule]]:
    """The others: plans under which it has begun to fall, each with the past that it would have had.

    Example:
        >>> for chance, plan in under_way(1000, 750, 1.0):
        ...     print(round(chance, 2), plan.lr([1, 750, 1000]).round(2).tolist())
        0.35 [1.0, 0.23, 0.1]
        0.15 [1.0, 0.25, 0.0]
        0.05 [1.0, 0.83, 0.0]
        0.05 [1.0, 0.62, 0.0]
    """
    for share, chance in _DECAYS.items():
        if (start := _start(horizon, share)) >= now:
            continue
        if share < 1.0:
            yield probability * chance, _held_until(start, horizon, 0.0)
        else:  # what these have begun to bring tells them apart
            yield probability * KINDS["cosine"], _cosine(horizon)
            yield probability * KINDS["linear"], Schedule.linear(horizon)


def _held(horizon: int, probability: float) -> tuple[float, Schedule]:
    """That the rate stays as it is to the end."""
    return 1.0 - probability * sum(_DECAYS.values()), _held_until(horizon, horizon, 1.0)


def _start(horizon: int, share: float) -> int:
    """The last step before a decay over the last share of the run."""
    return horizon - max(round(horizon * share), 1)


@lru_cache(maxsize=64)  # they stay what they are until their decay would have begun
def _held_until(start: int, horizon: int, end: float) -> Schedule:
    knots = {1: 1.0, max(start, 1): 1.0, horizon: end}
    return Schedule.from_log(list(knots), list(knots.values()))


@lru_cache(maxsize=8)  # it has many knots
def _cosine(horizon: int) -> Schedule:
    return Schedule.cosine(horizon, floor=_COSINE_FLOOR)
