"""What is kept of a run, ordered and in bounded memory.

A `sample` is what a training loop or a log tells. Its losses join a `series`, which is read in log-spaced `bins` with
the `noise` of one of them; its learning rates join the knots of `rates`.
"""

from __future__ import annotations

from curvecast.curve.bins import BINS_PER_DECADE, NO_BINS, Bins, bin_of
from curvecast.curve.noise import NOISE_DOUBT
from curvecast.curve.rates import LearningRates
from curvecast.curve.sample import FinishedRun, FloatArray, Sample
from curvecast.curve.series import Mark, Series, Since, as_fitted

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
    "Since",
    "as_fitted",
    "bin_of",
]
