"""How a prior is fitted: one number at a time is moved, as long as the log-score of the forecasts rises."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from _moves import Move, is_sound

from curvecast import Prior, Schedule
from curvecast.curve import FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many
from curvecast.fit.posterior import Posterior
from curvecast.forecast import forecast
from curvecast.learn import Backtest

_WORST = -6.0  # log-score below which a forecast counts no further: one run that nothing foresees must not decide


class Scorer:
    """Log-scores of forecasts under any prior of one size; the schedules' timelines are kept from one to the next."""

    def __init__(self) -> None:
        self._timelines: dict[tuple[Schedule | None, tuple[tuple[float, float], ...]], Timeline] = {}

    def __call__(self, tests: Sequence[Backtest], prior: Prior) -> FloatArray:
        """``(n,)`` logarithm of the density that each forecast had at the truth, in units of the truth."""
        plans = [self._timeline(test.plan, prior) for test in tests]
        jobs = [
            Job(test.train, test.val, plan, prior, test.of == "val", test.now)
            for test, plan in zip(tests, plans, strict=True)
        ]
        every = zip(tests, plans, fit_many(jobs), strict=True)
        return np.array([_log_score(test, plan, posterior) for test, plan, posterior in every])

    def _timeline(self, schedule: Schedule | None, prior: Prior) -> Timeline:
        key = (schedule, prior.annealing_shape)
        if key not in self._timelines:
            self._timelines[key] = Timeline(schedule, prior.annealing_shape)
        return self._timelines[key]


def _log_score(test: Backtest, plan: Timeline, posterior: Posterior) -> float:
    future = plan if test.future is test.plan or test.future is None else plan.under(test.future, test.now)
    ahead = forecast(posterior, test.end, of=test.of, timeline=future)
    z = (test.truth - ahead.means) / ahead.stds
    density = float((ahead.weight * np.exp(-0.5 * z * z) / ahead.stds).sum()) / math.sqrt(2.0 * math.pi)
    if not math.isfinite(density):
        return _WORST
    return max(math.log(max(density * abs(test.truth), 1e-300)), _WORST)


def climb(
    start: Prior,
    evidence: Callable[[Prior], float],
    moves: Sequence[Move],
    *,
    sweeps: int,
    rise: float,
    penalty: float = 1.0,
    progress: Callable[[float], None] | None = None,
) -> Prior:
    """Move one number at a time while ``evidence`` rises by more than the moves' own improbability.

    A step that finds nothing is halved, one that does is tried again in the next sweep.

    Args:
        start: Where to begin; each move's distance is counted from here.
        evidence: Logarithm of how well a prior explains what is known.
        moves: What may be moved.
        sweeps: At most so many times through all moves.
        rise: Of the objective in a sweep, below which it ends.
        penalty: Factor of the moves' improbability; 0 for none.
        progress: Called with the share that is done.
    """
    best, top, dear = start, evidence(start), 0.0
    away, step = [0.0] * len(moves), [move.step for move in moves]
    for sweep in range(sweeps):
        before = top
        for i, move in enumerate(moves):
            for d in (step[i], -step[i]):
                tried = move.apply(best, d)
                cost = dear + 0.5 * penalty * ((away[i] + d) ** 2 - away[i] ** 2) / move.spread**2
                if is_sound(tried) and (score := evidence(tried) - cost) > top + 1e-3 * rise:
                    best, top, dear, step[i] = tried, score, cost, d
                    away[i] += d
                    break
            else:
                step[i] *= 0.5
            if progress is not None:
                progress((sweep + (i + 1) / len(moves)) / sweeps)
        if top < before + rise:
            break
    if progress is not None:
        progress(1.0)
    return best
