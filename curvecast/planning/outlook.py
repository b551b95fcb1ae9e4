"""What is asked of a plan next: what more compute would bring, how sure the size is, what run would tell most."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curvecast.family.result import beyond, reaching
from curvecast.laws.base import FloatArray
from curvecast.planning.laws import Doubts, PlanLaw
from curvecast.planning.optimum import COMPUTES, best_size

BUDGETS = (0.5, 2.0, 4.0, 10.0)
"""Computes that a plan is held against, over its own."""
TRIALS = (0.01, 0.03, 0.1, 0.3)
"""Computes of the trial runs that are weighed, as shares of the plan's."""

_LEAST_SCATTER = 1e-6  # of losses without any noise a fit knows all but rounding
_Z = 1.645  # standard deviations on either side of the middle that hold 90 %
_OFF_BEST = np.geomspace(1 / 2, 2, 9)  # sizes of a trial run that are weighed, over the best for its compute
_SIZES = np.geomspace(1 / 100, 100, 461)  # among which each bootstrap has its best size, over the plan's best


@dataclass(frozen=True, slots=True)
class Budget:
    """The best run of another compute, held against a plan.

    Args:
        times: its compute over the plan's [1].
        flops: its training compute [FLOP].
        num_params: N.
        num_tokens: D.
        loss: expected [the law's unit].
        change: `loss` over the plan's, less 1.
        interval: 90 % interval of `change`; ``None`` where the law's doubts are not known.
    """

    times: float
    flops: float
    num_params: float
    num_tokens: float
    loss: float
    change: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Trial:
    """A smaller run that would make a plan surer.

    Args:
        share: its compute over the plan's [1].
        flops: its training compute [FLOP].
        num_params: N.
        num_tokens: D.
        narrows: width of the plan's interval after it over the width now [1].
    """

    share: float
    flops: float
    num_params: float
    num_tokens: float
    narrows: float


def budgets(law: PlanLaw, flops: float, N: float, D: float, U: float) -> tuple[Budget, ...]:
    """The best runs of `BUDGETS`, held against a run of N parameters on D tokens.

    Args:
        law: the law.
        flops: the run's compute [FLOP].
        N: the run's parameters.
        D: its tokens.
        U: unique tokens; inf where none repeats.

    Returns:
        A row for each compute that sizes can be searched at.

    Example:
        >>> from curvecast.planning import law_of
        >>> rows = budgets(law_of("chinchilla"), 5.76e23, 7.2e10, 1.33e12, float("inf"))
        >>> [f"{row.times:g}x: {row.change:+.1%}" for row in rows]
        ['0.5x: +1.0%', '2x: -0.9%', '4x: -1.7%', '10x: -2.7%']
    """
    now = float(law.loss(N, D, U))
    rows = []
    for times in BUDGETS:
        C = times * flops
        if not COMPUTES[0] < C < COMPUTES[1]:
            continue
        size = best_size(law, C, U)
        tokens = C / (6 * size)
        loss = float(law.loss(size, tokens, U))
        interval = None if law.doubts is None else _change(law.doubts, (N, size), (D, tokens), U, loss / now)
        rows.append(Budget(times, C, size, tokens, loss, loss / now - 1, interval))
    return tuple(rows)


def _change(
    doubts: Doubts, sizes: tuple[float, float], tokens: tuple[float, float], U: float, change: float
) -> tuple[float, float]:
    """90 % interval of what the second run's loss is over the first's, less 1: what both may be off cancels."""
    drawn = np.log(doubts.drawn(np.array(sizes), np.array(tokens), U))
    far = doubts.distance(np.array(sizes), np.array(tokens))
    sd = math.hypot(float(np.std(drawn[:, 1] - drawn[:, 0])), float(beyond(doubts.drift, far[:, 1] - far[:, 0])))
    return change * math.exp(-_Z * sd) - 1, change * math.exp(_Z * sd) - 1


def size_interval(law: PlanLaw, flops: float, U: float) -> tuple[float, float] | None:
    """90 % interval of the best size at a compute, by the bootstraps; ``None`` where there are none.

    Args:
        law: the law.
        flops: training compute [FLOP].
        U: unique tokens; inf where none repeats.
    """
    if law.doubts is None:
        return None
    best = best_size(law, flops, U)
    sizes = best * _SIZES
    found = sizes[np.argmin(law.doubts.drawn(sizes, flops / (6 * sizes), U), axis=1)]
    interval = reaching(best, found)
    return float(interval.lower), float(interval.upper)


def trials(law: PlanLaw, flops: float, N: float, D: float, U: float) -> tuple[Trial, ...]:
    """For each of `TRIALS` the run that would narrow the interval of a run of N parameters on D tokens the most.

    Losses are taken to be normal in their logarithms: the bootstraps say what both runs share, and beyond the runs that
    are then known the law may be off as far for each factor of e as now.

    Args:
        law: the law.
        flops: the run's compute [FLOP].
        N: the run's parameters.
        D: its tokens.
        U: unique tokens; inf where none repeats.

    Returns:
        The runs; none where the law's doubts are not known.
    """
    if law.doubts is None:
        return ()
    rows = []
    for share in TRIALS:
        C = share * flops
        if not COMPUTES[0] < C < COMPUTES[1]:
            continue
        sizes = best_size(law, C, U) * _OFF_BEST
        tokens = C / (6 * sizes)
        narrows = _narrowed(law, law.doubts, np.append(sizes, N), np.append(tokens, D), U)
        k = int(np.argmin(narrows))
        rows.append(Trial(share, C, float(sizes[k]), float(tokens[k]), float(narrows[k])))
    return tuple(rows)


def _narrowed(law: PlanLaw, doubts: Doubts, sizes: FloatArray, tokens: FloatArray, U: float) -> FloatArray:
    """``(n,)`` standard deviation of the last run's log loss once each other one is known, over that of now."""
    drawn = np.log(doubts.drawn(sizes, tokens, U))
    drawn = drawn - drawn.mean(axis=0)
    shared = drawn.T @ drawn[:, -1] / len(drawn)
    drift = beyond(doubts.drift, doubts.distance(sizes, tokens))
    scatter = max(doubts.scatter, _LEAST_SCATTER)
    own = np.mean(drawn**2, axis=0) + drift**2 + scatter**2
    left = beyond(doubts.drift, _further(law, sizes, tokens))
    after = np.mean(drawn[:, -1] ** 2) - shared[:-1] ** 2 / own[:-1] + left**2 + scatter**2
    return np.asarray(np.sqrt(after / own[-1]))


def _further(law: PlanLaw, sizes: FloatArray, tokens: FloatArray) -> FloatArray:
    """``(2, n)`` factors of e that the last run lies beyond the law's runs and each other one, in size and in data."""
    pairs = zip(law.reach, (sizes, tokens), strict=True)
    return np.maximum(np.log([values[-1] / np.maximum(most, values[:-1]) for most, values in pairs]), 0.0)
