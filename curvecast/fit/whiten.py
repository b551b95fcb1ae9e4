"""Inner products under a discrepancy that wanders: a random walk on the logarithmic clock, seen through noise.

The walk is pinned to zero at the last observation and runs backwards, so the law holds where the run stands and
may have been wrong before. Of neighbours' differences the covariance is tridiagonal, so the products cost a banded
solve, not a dense one.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpttrf, dpttrs

from curvecast.curve import FloatArray

LEAST_WALK = 1e-12  # two losses of one step share the walk; this keeps its precision finite


def inner_products(
    fixed: FloatArray, shapes: FloatArray, walk: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Products ``u^T S^-1 v`` of columns under the residual covariance ``S = walk + noise``.

    With ``C`` what takes the difference of each observation to the one before it, ``M = C S C^T`` is tridiagonal and
    ``u^T S^-1 v = (C u)^T M^-1 (C v)``: one banded solve of all columns for each window and drift.

    Args:
        fixed: ``(F, n)`` columns that all windows share, newest observation first.
        shapes: ``(W, X, n)`` columns of each window.
        walk: ``(W, Q, n)`` variance that the walk gains on the way *to* each observation, >= 0.
        noise: ``(n,)`` variance of each observation's own noise, > 0.

    Returns:
        ``(W * Q, F + X, F)`` all columns, the fixed ones first, with the fixed ones, ``(W * Q, X)`` each shape
        with itself, and ``(W * Q,)`` the log-determinant of ``S``.

    Source: Durbin and Koopman 2012, Time Series Analysis by State Space Methods, 2.13: the local level model, whose
    differences are a moving average of order one.
    """
    (W, Q, n), F, X = walk.shape, len(fixed), shapes.shape[1]
    columns = np.empty((F + X, W, n))
    columns[:F], columns[F:] = fixed[:, None], shapes.swapaxes(0, 1)
    columns[:, :, 1:] -= columns[:, :, :-1].copy()
    solved, logdet = _solve(walk, noise, columns)
    products = np.matmul(columns.swapaxes(0, 1)[:, None], solved[:F].transpose(1, 2, 3, 0))
    own = np.add.reduce(np.multiply(solved[F:], columns[F:, :, None], out=solved[F:]), axis=3)
    return products.reshape(W * Q, F + X, F), own.transpose(1, 2, 0).reshape(W * Q, X), logdet


def _solve(walk: FloatArray, noise: FloatArray, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(V, W, Q, n)`` solutions of ``M`` for the columns of each walk's window, and ``(W * Q,)`` ``log |S|``.

    All walks are one tridiagonal system, with nothing between the end of one and the start of the next.
    """
    W, Q, n = walk.shape
    diagonal, off = np.maximum(walk, LEAST_WALK) + noise, np.zeros((W, Q, n))
    diagonal[:, :, 1:] += noise[:-1]
    off[:, :, :-1] = -noise[:-1]
    pivots, e, _ = dpttrf(diagonal.reshape(-1), off.reshape(-1)[: max(W * Q * n - 1, 1)])
    right = np.repeat(columns, Q, axis=1).reshape(len(columns), -1)
    solved, _ = dpttrs(pivots, e, right.T, overwrite_b=True)
    return solved.T.reshape(-1, W, Q, n), np.add.reduce(np.log(pivots).reshape(W * Q, n), axis=1)
