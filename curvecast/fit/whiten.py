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
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Products ``u^T S^-1 v`` of columns under the residual covariance ``S = walk + noise``.

    With ``T`` the walk's tridiagonal precision and ``D`` the diagonal one of the noise,
    ``S^-1 = D - D (T + D)^-1 D``: one banded solve of all columns for each window and drift.

    Args:
        fixed: ``(F, n)`` columns that all windows share, newest observation first.
        shapes: ``(W, X, n)`` columns of each window.
        walk: ``(W, Q, n)`` variance that the walk gains on the way *to* each observation, >= 0.
        noise: ``(n,)`` variance of each observation's own noise, > 0.

    Returns:
        ``(W * Q, F + X, F)`` all columns, the fixed ones first, with the fixed ones, ``(W * Q, X)`` each shape
        with itself, and ``(W * Q,)`` the log-determinant of ``S``.

    Source: Rue and Held 2005, Gaussian Markov Random Fields, for the walk's precision; Woodbury's identity.
    """
    (W, Q, n), F, X = walk.shape, len(fixed), shapes.shape[1]
    D = 1.0 / noise
    columns = np.empty((F + X, W, n))
    columns[:F], columns[F:] = fixed[:, None], shapes.swapaxes(0, 1)
    weighted = columns * D
    solved, logdet = _solve(walk, D, weighted)
    rest = np.subtract(columns[:, :, None], solved, out=solved)  # S^-1 v = D (v - (T + D)^-1 D v)
    products = np.matmul(weighted.swapaxes(0, 1)[:, None], rest[:F].transpose(1, 2, 3, 0))
    own = np.add.reduce(np.multiply(rest[F:], weighted[F:, :, None], out=rest[F:]), axis=3)
    return products.reshape(W * Q, F + X, F), own.transpose(1, 2, 0).reshape(W * Q, X), logdet


def _solve(walk: FloatArray, D: FloatArray, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(V, W, Q, n)`` solutions of ``T + D`` for the columns of each walk's window, and ``(W * Q,)`` ``log |S|``.

    All walks are one tridiagonal system, with nothing between the end of one and the start of the next.
    """
    W, Q, n = walk.shape
    steps = 1.0 / np.maximum(walk, _LEAST_WALK)
    diagonal, off = steps + D, np.zeros((W, Q, n))
    diagonal[:, :, :-1] += steps[:, :, 1:]
    off[:, :, :-1] = -steps[:, :, 1:]
    pivots, e, _ = dpttrf(diagonal.reshape(-1), off.reshape(-1)[: max(W * Q * n - 1, 1)])
    right = np.repeat(columns, Q, axis=1).reshape(len(columns), -1)
    solved, _ = dpttrs(pivots, e, right.T, overwrite_b=True)
    logs = np.log(pivots / (steps * D).reshape(-1)).reshape(W * Q, n)
    return solved.T.reshape(-1, W, Q, n), np.add.reduce(logs, axis=1)
