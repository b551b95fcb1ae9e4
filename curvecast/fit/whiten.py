"""Inner products under a discrepancy that wanders: a random walk on the logarithmic clock, seen through noise.

The walk is pinned to zero at the last observation and runs backwards, so the law holds where the run stands and
may have been wrong before. Its precision is tridiagonal, so the products cost a banded solve, not a dense one.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpttrf, dpttrs

from curvecast.curve import FloatArray

_LEAST_WALK = 1e-12  # two losses of one step share the walk; this keeps its precision finite


def inner_products(
    fixed: FloatArray, shapes: FloatArray, walk: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    r"""Products ``u^T S^-1 v`` of columns under the residual covariance ``S = walk + noise``.

    With ``T`` the walk's tridiagonal precision and ``D`` the diagonal one of the noise,
    ``S^-1 = D - D (T + D)^-1 D``: one banded factorisation for each window and drift.

    Args:
        fixed: ``(n, F)`` columns that all windows share, newest observation first.
        shapes: ``(W, n, X)`` columns of each window.
        walk: ``(n, W, Q)`` variance that the walk gains on the way *to* each observation, >= 0.
        noise: ``(n,)`` variance of each observation's own noise, > 0.

    Returns:
        ``(W * Q, F, F)`` fixed with fixed, ``(W * Q, X, F)`` shapes with fixed, ``(W * Q, X)`` each shape with
        itself, and ``(W * Q,)`` the log-determinant of ``S``.

    Source: Rue and Held 2005, Gaussian Markov Random Fields, for the walk's precision; Woodbury's identity.
    """
    n, W, Q = walk.shape
    precision, logdet = _precision(walk.transpose(1, 2, 0).reshape(W * Q, n), noise)
    columns = np.repeat(shapes, Q, axis=0)
    solved = np.matmul(precision, columns)
    ff = np.matmul(fixed.T, np.matmul(precision, fixed))
    return ff, np.matmul(solved.transpose(0, 2, 1), fixed), (solved * columns).sum(axis=1), logdet


def _precision(walk: FloatArray, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(C, n, n)`` inverse of the residual covariance, and its ``(C,)`` log-determinant."""
    steps = 1.0 / np.maximum(walk, _LEAST_WALK)
    D = 1.0 / noise
    diagonal = steps + D
    diagonal[:, :-1] += steps[:, 1:]
    off = -steps[:, 1:] if len(noise) > 1 else np.zeros((len(walk), 1))  # LAPACK wants at least one
    identity = np.eye(len(noise), order="F")
    inverse = np.empty((len(walk), len(noise), len(noise)))
    pivots = np.empty_like(diagonal)
    for c in range(len(walk)):
        pivots[c], e, _ = dpttrf(diagonal[c], off[c])
        inverse[c], _ = dpttrs(pivots[c], e, identity)
    inverse *= -D[:, None] * D
    inverse.reshape(len(walk), -1)[:, :: len(D) + 1] += D
    return inverse, np.log(noise).sum() + (np.log(pivots) - np.log(steps)).sum(axis=1)
