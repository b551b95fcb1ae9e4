"""How a prior is fitted: one number at a time is moved, as long as the log-score of the forecasts rises."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from _moves import Move, is_sound

from curvecast import Prior
from curvecast.backtests import Backtest, Forecaster, foreseen
from curvecast.curve import FloatArray
from curvecast.fit.batch import fit_many
from curvecast.fit.posterior import Posterior
from curvecast.forecast import Forecast

_LEAST_DENSITY = 1e-300  # its logarithm is still a number
_WORST = -6.0  # log-score below which a forecast counts no further: one run that nothing foresees must not decide


class Scorer:
    """Log-scores of forecasts under any prior of one size."""

    def __init__(self) -> None:
        self._forecaster = Forecaster()

    def __call__(self, tests: Sequence[Backtest], prior: Prior) -> FloatArray:
        """``(n,)`` logarithm of the density that each forecast had at the truth, in units of the truth."""
        every = zip(tests, fit_many([self._forecaster.job(test, prior) for test in tests]), strict=True)
        return np.array([_log_score(test, posterior) for test, posterior in every])


def _log_score(test: Backtest, posterior: Posterior) -> float:
    told = _density(foreseen(test, posterior)[0], test.truth)
    if not math.isfinite(told):
        return _WORST
    return max(math.log(max(told * abs(test.truth), _LEAST_DENSITY)), _WORST)


def _density(ahead: Forecast, loss: float) -> float:
    """The probability density of a loss under a forecast of one step [1 / loss unit]."""
    z = (loss - ahead.means) / ahead.stds
    return float(np.sum(ahead.weight / ahead.stds * np.exp(-0.5 * z * z))) / math.sqrt(2.0 * math.pi)


def climb(
    start: Prior,
    evidence: Callable[[Prior], float],
    moves: Sequence[Move],
    *,
    sweeps: int,
    rise: float,
    penalty: float,
    away: Sequence[float] | None = None,
) -> list[float]:
    """Move one number at a time while ``evidence`` rises by more than the moves' own improbability.

    A step that finds nothing is halved, one that does is tried again in the next sweep.

    Args:
        start: Each move's distance is counted from here.
        evidence: Logarithm of how well a prior explains what is known.
        moves: What may be moved, in the order in which it is tried.
        sweeps: At most so many times through all moves.
        rise: Of the objective in a sweep, below which it ends.
        penalty: Factor of the moves' improbability.
        away: Distances to begin with; ``None`` for none.

    Returns:
        How far each number was moved.
    """
    far, step = [0.0] * len(moves) if away is None else list(away), [move.step for move in moves]
    best = moved(start, moves, far)
    dear = 0.5 * penalty * sum((d / move.spread) ** 2 for d, move in zip(far, moves, strict=True))
    top = evidence(best) - dear
    for _ in range(sweeps):
        before = top
        for i, move in enumerate(moves):
            for d in (step[i], -step[i]):
                tried = move.apply(best, d)
                cost = dear + 0.5 * penalty * ((far[i] + d) ** 2 - far[i] ** 2) / move.spread**2
                if is_sound(tried) and (score := evidence(tried) - cost) > top + 1e-3 * rise:
                    best, top, dear, step[i] = tried, score, cost, d
                    far[i] += d
                    break
            else:
                step[i] *= 0.5
        if top < before + rise:
            break
    return far


def climb_often(
    start: Prior,
    evidence: Callable[[Prior], float],
    moves: Sequence[Move],
    *,
    times: int,
    sweeps: int,
    rise: float,
    penalty: float,
) -> Prior:
    """Climb from the middle of where several climbs end, each of which tries the moves in an order of its own.

    Where one climb ends depends on that order, and moves the median error of a set by a factor of up to two.
    """
    ends = np.zeros((times, len(moves)))
    for k in range(times):
        order = np.random.default_rng(k).permutation(len(moves))
        tried = [moves[i] for i in order]
        ends[k, order] = climb(start, evidence, tried, sweeps=sweeps, rise=rise, penalty=penalty)
    middle = ends.mean(axis=0).tolist()
    return moved(start, moves, climb(start, evidence, moves, sweeps=sweeps, rise=rise, penalty=penalty, away=middle))


def moved(start: Prior, moves: Sequence[Move], away: Sequence[float]) -> Prior:
    """The prior with each number moved by its distance."""
    for move, d in zip(moves, away, strict=True):
        start = move.apply(start, d)
    return start
