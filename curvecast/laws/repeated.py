"""Muennighoff et al. 2023: what tokens are worth that are seen again."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray

HALF_LIFE = 15.387756
"""``R_D*``: repetitions after which a further one is worth 1/e of a first [1] (datablations, parametric fit)."""


def effective_tokens(D: ArrayLike, U: ArrayLike) -> FloatArray:
    r"""Tokens seen once that are worth as much as ``D`` tokens out of ``U`` different ones.

    .. math:: D' = U + U R^*_D (1 - e^{-R_D / R^*_D}), \quad R_D = D / U - 1

    Args:
        D: tokens seen, repeated ones included.
        U: different tokens; broadcasts with `D`.

    Returns:
        ``D'`` [tokens]; ``D`` itself in the first epoch.

    Example:
        >>> effective_tokens([5e8, 4e9, 1e12], 1e9).round(-7).tolist()
        [500000000.0, 3730000000.0, 16390000000.0]

    Source: Muennighoff et al. 2023, arXiv:2305.16264, section 3.1; constants of their repository datablations.
    """
    D, U = np.asarray(D, dtype=np.float64), np.asarray(U, dtype=np.float64)
    repeats = np.maximum(D / U - 1.0, 0.0)
    return np.asarray(np.minimum(D, U) + U * HALF_LIFE * -np.expm1(-repeats / HALF_LIFE))
