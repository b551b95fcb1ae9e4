"""Kaplan et al. 2020: what too little data costs a model, and when it stops paying to train on it.

All with the joint fit of L(N, D), Table 2. The gap between test and training loss is not the measure of
overfitting: it overrates it against the limit of infinite data (the paper's Figure 16).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray
from curvecast.laws.kaplan import TABLE_2, TABLE_3, loss_of_size_and_data

SEED_NOISE = 0.02
"""Loss differs by this between seeds [nats/token]; the paper's threshold for `tokens_needed`."""


def overfitting(N: ArrayLike, D: ArrayLike) -> FloatArray:
    r"""Share of the loss that a data set of `D` tokens costs against data without end, eq. 4.3 (Table 2).

    .. math:: \delta L = L(N, D) / L(N, \infty) - 1

    Args:
        N: non-embedding parameters.
        D: tokens; broadcasts with `N`.

    Returns:
        ``delta L`` [1].

    Example:
        >>> overfitting(1.5e9, [1e9, 2.2e10]).round(3).tolist()
        [0.237, 0.028]

    Source: Kaplan et al. 2020, arXiv:2001.08361, eqs. 4.2 and 4.3.
    """
    t = TABLE_2
    ratio = (np.asarray(N, dtype=np.float64) / t.N_c) ** (t.alpha_N / t.alpha_D) * t.D_c / np.asarray(D)
    return np.asarray(np.expm1(t.alpha_D * np.log1p(ratio)))


def tokens_needed(N: ArrayLike, excess: float = SEED_NOISE) -> FloatArray:
    """Tokens that keep `overfitting` at most at `excess`, eq. 4.4 (Table 2).

    At 2 % it is ``5.5e3 N^0.738``; the paper rounds to ``5e3 N^0.74``.

    Args:
        N: non-embedding parameters.
        excess: allowed share of the loss, > 0 [1].

    Returns:
        Tokens.

    Raises:
        ValueError: if `excess` is not positive.

    Example:
        >>> print(f"{tokens_needed(1e9):.1e}")
        2.4e+10

    Source: Kaplan et al. 2020, arXiv:2001.08361, eq. 4.4.
    """
    if not excess > 0:
        raise ValueError(f"`excess` must be positive: got {excess}. Pass the allowed share, e.g. 0.02.")
    t = TABLE_2
    size = (np.asarray(N, dtype=np.float64) / t.N_c) ** (t.alpha_N / t.alpha_D)
    return np.asarray(t.D_c * size / np.expm1(np.log1p(excess) / t.alpha_D))


def first_stop_step(N: ArrayLike, D: ArrayLike) -> FloatArray:
    """Lower bound of the step at which early stopping can be due on `D` tokens, eq. 5.7.

    L(N, D) and its limit are of Table 2, ``S_c`` and ``alpha_S`` of Table 3.

    Args:
        N: non-embedding parameters.
        D: tokens; broadcasts with `N`.

    Returns:
        S_min [steps]: at a batch B it takes ``1 + B_crit / B`` times as many (eq. 5.4).

    Example:
        >>> print(f"{first_stop_step(1.5e9, 2.2e10):.0f}")
        78040

    Source: Kaplan et al. 2020, arXiv:2001.08361, eq. 5.7.
    """
    gap = loss_of_size_and_data(N, D) - loss_of_size_and_data(N, np.inf)
    with np.errstate(divide="ignore"):
        return np.asarray(TABLE_3.S_c * gap ** (-1 / TABLE_3.alpha_S))
