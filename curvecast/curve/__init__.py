"""What is kept of a run, ordered and in bounded memory.

A `sample` is what a training loop or a log tells. Its losses join a `series` of log-spaced bins, its learning rates
the knots of `rates`.
"""

from __future__ import annotations

from curvecast.curve.rates import LearningRates
from curvecast.curve.sample import FinishedRun, FloatArray, Sample
from curvecast.curve.series import BINS_PER_DECADE, NO_BINS, NOISE_DOUBT, Bins, Mark, Series

__all__ = [
    "BINS_PER_DECADE",
    "NOISE_DOUBT",
    "NO_BINS",
    "Bins",
    "FinishedRun",
    "FloatArray",
    "LearningRates",
    "Mark",
    "Sample",
    "Series",
]
