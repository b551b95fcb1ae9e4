"""How a prior is fitted: one number at a time is moved, as long as the log-score of the forecasts rises."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from _moves import Move, is_sound

from curvecast import Prior
from curvecast.learn import Backtest, Forecaster

_WORST = -6.0  # log-score below which a forecast counts no further: one run that nothing foresees must not decide


class Scorer(Forecaster):
    """Log-scores of forecasts under any prior."""

    def __call__(self, test: Backtest, prior: Prior) -> float:
        """Logarithm of the density that the forecast had at the truth, in units of the truth."""
        ahead, _ = self.forecast(test, prior)
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
    best, top = start, evidence(start)
    away, step = [0.0] * len(moves), [move.step for move in moves]
    for sweep in range(sweeps):
        before = top
        for i, move in enumerate(moves):
            for d in (step[i], -step[i]):
                tried = move.apply(best, d)
                cost = 0.5 * penalty * ((away[i] + d) ** 2 - away[i] ** 2) / move.spread**2
                if is_sound(tried) and (score := evidence(tried) - cost) > top + 1e-3 * rise:
                    best, top, step[i] = tried, score, d
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
