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
    fixed: FloatArray, shapes: FloatArray, walk: FloatArray, noise: FloatArray, *, at_once: bool = False
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Products ``u^T S^-1 v`` of columns under the residual covariance ``S = walk + noise``.

    With ``C`` what takes the difference of each observation to the one before it, ``M = C S C^T`` is tridiagonal and
    ``u^T S^-1 v = (C u)^T M^-1 (C v)``. Where ``M = L D L^T``, that is also ``(L^-1 C u)^T D^-1 (L^-1 C v)``.

    Args:
        fixed: ``(F, n)`` columns that all windows share, newest observation first; of ``r`` runs ``(F, n, r)``, and
            so on.
        shapes: ``(W, X, n)`` columns of each window.
        walk: ``(W, Q, n)`` variance that the walk gains on the way *to* each observation, >= 0.
        noise: ``(n,)`` variance of each observation's own noise, > 0.
        at_once: Whether all columns are solved at once, which is faster for few runs; for one without a further axis
            they are. Otherwise a run has the same products, to the last digit, however many lie beside it.

    Returns:
        For ``c = W * Q`` walks (of each run, the runs going last): ``(F, F + X, c)`` the fixed columns with all, the
        fixed ones first, ``(X, c)`` each shape with itself, and ``(c,)`` the log-determinant of ``S``.

    Source: Durbin and Koopman 2012, Time Series Analysis by State Space Methods, 2.13: the local level model, whose
    differences are a moving average of order one.
    """
    if noise.ndim == 1:
        at_once = True
        fixed, shapes, walk, noise = (each[..., None] for each in (fixed, shapes, walk, noise))
    pivots, lower = _factored(walk, noise)
    products, own = (_solved if at_once else _swept)(fixed, shapes, pivots, lower)
    products, own = products.reshape(-1, *products.shape[-2:]), own.reshape(-1, own.shape[-1])
    logdet = np.add.reduce(np.log(pivots), axis=-1).reshape(-1)
    return np.ascontiguousarray(products.transpose(1, 2, 0)), np.ascontiguousarray(own.T), logdet


def _factored(walk: FloatArray, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(W, Q, r, n)`` each: ``D``, and of ``L`` what lies below the diagonal.

    All walks are one tridiagonal system, with nothing between the end of one and the start of the next.
    """
    walk, noise = walk.swapaxes(2, 3), noise.T
    diagonal, lower = np.maximum(walk, LEAST_WALK) + noise, np.zeros(walk.shape)
    diagonal[..., 1:] += noise[..., :-1]
    lower[..., :-1] = -noise[..., :-1]
    pivots, lower, _ = dpttrf(diagonal.reshape(-1), _below(lower))
    return pivots.reshape(walk.shape), lower


def _below(lower: FloatArray) -> FloatArray:
    """What LAPACK wants of a sub-diagonal: one entry less than the diagonal has, but one."""
    return lower.reshape(-1)[: max(lower.size - 1, 1)]


def _solved(
    fixed: FloatArray, shapes: FloatArray, pivots: FloatArray, lower: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(W, Q, r, F, F + X)`` and ``(W, Q, r, X)`` products of few runs, by solving ``M`` for all columns at once."""
    (W, Q, r, n), F, X = pivots.shape, len(fixed), shapes.shape[1]
    behind = np.zeros((F + X, W, r, 1 + n))  # a zero, from which the first differs
    behind[:F, ..., 1:], behind[F:, ..., 1:] = fixed.swapaxes(1, 2)[:, None], shapes.transpose(1, 0, 3, 2)
    columns = behind[..., 1:] - behind[..., :-1]
    right = np.repeat(columns, Q, axis=1).reshape(F + X, -1)
    solved, _ = dpttrs(pivots.reshape(-1), lower, right.T, overwrite_b=True)
    solved = solved.T.reshape(-1, W, Q, r, n)
    products = np.matmul(solved[:F].transpose(1, 2, 3, 0, 4), columns.transpose(1, 2, 3, 0)[:, None])
    own = np.add.reduce(np.multiply(solved[F:], columns[F:, :, None], out=solved[F:]), axis=4)
    return products, own.transpose(1, 2, 3, 0)


def _swept(
    fixed: FloatArray, shapes: FloatArray, pivots: FloatArray, lower: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(W, Q, r, F, F + X)`` and ``(W, Q, r, X)`` products of many, by ``L^-1``, an observation after another."""
    (W, Q, r, n), F, X = pivots.shape, len(fixed), shapes.shape[1]
    columns, white = np.empty((n, W, 1, r, F + X)), np.empty((n, W, Q, r, F + X))
    columns[:, :, 0, :, :F] = fixed.transpose(1, 2, 0)[:, None]
    columns[:, :, 0, :, F:] = shapes.transpose(2, 0, 3, 1)
    white[0] = columns[0]
    scale = 1.0 / np.sqrt(pivots)
    carried = -np.append(lower, 0.0)[: pivots.size].reshape(pivots.shape)
    carried[..., :-1] *= scale[..., 1:] / scale[..., :-1]
    scale, carried = (each.transpose(3, 0, 1, 2)[..., None] for each in (scale, carried))
    np.multiply(columns[0], scale[0], out=white[0])
    before = np.empty_like(white[0])
    for k, now in enumerate(np.subtract(columns[1:], columns[:-1]), start=1):
        np.multiply(now, scale[k], out=white[k])
        white[k] += np.multiply(white[k - 1], carried[k - 1], out=before)
    by_walk = white.transpose(1, 2, 3, 0, 4)
    products = np.matmul(by_walk[..., :F].swapaxes(3, 4), by_walk)
    return products, np.einsum("nwqrx,nwqrx->wqrx", white[..., F:], white[..., F:])
