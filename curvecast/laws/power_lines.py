"""Bergsma et al. 2025, "Power Lines": weight decay and batch for a size and a number of tokens.

The timescale of AdamW, as a share of the run, is ``tau = B / (eta lambda D)``: weights forget their past over
``tau`` of the data. Its optimum depends on tokens per parameter alone. The best and the critical batch
grow with the data whatever the model's size, unlike Kaplan's, which follows the loss.
Only the exponents of the two batch laws are given here: their scale belongs to a data set and a set-up, so it is
taken from a batch that was measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray

TAU_SCALE, TAU_EXPONENT = 1.084, -0.527
BEST_BATCH_EXPONENT = 0.38
"""Of tokens: 0.37 to 0.39 in the paper's fits."""
CRITICAL_BATCH_EXPONENT = 0.47
"""Of tokens."""


def best_timescale(N: ArrayLike, D: ArrayLike) -> FloatArray:
    """AdamW's best timescale, as a share of the run.

    Args:
        N: parameters.
        D: training tokens; broadcasts with `N`.

    Returns:
        ``tau = 1.084 (D / N)^-0.527`` [1].

    Example:
        >>> best_timescale(1e9, [2e10, 2e11]).round(3).tolist()
        [0.224, 0.066]

    Source: Bergsma et al. 2025, arXiv:2505.13738, Figure 1, left.
    """
    ratio = np.asarray(D, dtype=np.float64) / np.asarray(N, dtype=np.float64)
    return np.asarray(TAU_SCALE * ratio**TAU_EXPONENT)


def best_weight_decay(N: ArrayLike, D: ArrayLike, *, batch_tokens: ArrayLike, lr: ArrayLike) -> FloatArray:
    """AdamW's best weight decay.

    Args:
        N: parameters.
        D: training tokens.
        batch_tokens: B [tokens].
        lr: peak learning rate eta, as AdamW multiplies it with the decay.

    Returns:
        ``lambda = B / (eta D tau)`` [1].

    Raises:
        ValueError: if an argument is not positive.

    Example:
        >>> best_weight_decay(1e9, 2e10, batch_tokens=2**20, lr=3e-3).round(3).item()
        0.078

    Source: Bergsma et al. 2025, arXiv:2505.13738.
    """
    for name, value in (("N", N), ("D", D), ("batch_tokens", batch_tokens), ("lr", lr)):
        if not np.all(np.asarray(value) > 0):
            raise ValueError(f"`{name}` must be positive: got {np.min(value):g} at least.")
    B, eta = np.asarray(batch_tokens, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    return np.asarray(B / (eta * np.asarray(D, dtype=np.float64) * best_timescale(N, D)))


def batch_for(D: ArrayLike, *, measured: float, at_tokens: float, exponent: float = BEST_BATCH_EXPONENT) -> FloatArray:
    """The best (or critical) batch for other amounts of data, from one that was measured.

    Args:
        D: training tokens.
        measured: batch that was best in a run [tokens].
        at_tokens: training tokens of that run.
        exponent: of the data: `BEST_BATCH_EXPONENT` or `CRITICAL_BATCH_EXPONENT` [1].

    Returns:
        Batch [tokens].

    Example:
        >>> print(f"{batch_for(2e11, measured=2**18, at_tokens=2e9):.1e}")
        1.5e+06

    Source: Bergsma et al. 2025, arXiv:2505.13738, Figure 1, middle and right.
    """
    return np.asarray(measured * (np.asarray(D, dtype=np.float64) / at_tokens) ** exponent)
