"""Inner products under a discrepancy that wanders: a random walk on the logarithmic clock, seen through noise.

The walk is pinned to zero at the last observation and runs backwards, so the law holds where the run stands and
may have been wrong before. Of neighbours' differences the covariance is tridiagonal, so what whitens the columns is
known in closed form.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dpttrf

from curvecast.curve import FloatArray

LEAST_WALK = 1e-12  # two losses of one step share the walk; this keeps its precision finite
_MOST, _APART = 700.0, 600.0  # exponents that do not overflow: alone, and with all that multiplies the exponential


def inner_products(
    columns: FloatArray, fixed: int, walk: FloatArray, noise: FloatArray, *, at_once: bool = False
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Products ``u^T S^-1 v`` of columns under the residual covariance ``S = walk + noise``.

    With ``C`` what takes the difference of each observation to the one before it, ``M = C S C^T`` is tridiagonal and
    ``M = L D L^T``. So ``T = D^-1/2 L^-1 C`` whitens: ``u^T S^-1 v = (T u)^T (T v)``.

    Args:
        columns: ``(W, P, r, F + X, n)`` of each window, prior and run, newest observation first.
        fixed: ``F``, how many of them have their products with all of them asked for.
        walk: ``(W, Q, r, n)`` variance that the walk gains on the way *to* each observation, >= 0.
        noise: ``(r, n)`` variance of each observation's own noise, > 0.
        at_once: Whether ``T`` is written out, which is faster for few runs. Otherwise a run has the same products, to
            the last digit, however many lie beside it.

    Returns:
        ``(W, Q, P, r, F, F + X)`` the fixed columns with all, the fixed ones first, ``(W, Q, P, r, X)`` each of the
        others with itself, and ``(W, Q, r)`` the log-determinant of ``S``.

    Source: Durbin and Koopman 2012, Time Series Analysis by State Space Methods, 2.13: the local level model, whose
    differences are a moving average of order one.
    """
    pivots = _pivots(walk, noise)
    log_pivots = np.log(pivots)
    if at_once:
        whitener = _written_out(pivots, log_pivots, noise)
        white = np.matmul(whitener[:, :, None], columns[:, None].swapaxes(-1, -2))
    else:
        white = _swept(columns, pivots, noise)
    products = np.matmul(white[..., :fixed].swapaxes(-1, -2), white)
    others = white[..., fixed:]
    own = np.einsum("...nx,...nx->...x", others, others)
    return products, own, np.add.reduce(log_pivots, axis=-1)


def _pivots(walk: FloatArray, noise: FloatArray) -> FloatArray:
    """``(W, Q, r, n)``: ``D``; ``L`` has ``-noise / D`` below its diagonal.

    All walks are one tridiagonal system, with nothing between the end of one and the start of the next.
    """
    diagonal, lower = np.maximum(walk, LEAST_WALK) + noise, np.zeros(walk.shape)
    diagonal[..., 1:] += noise[:, :-1]
    lower[..., :-1] = -noise[:, :-1]
    pivots, _, _ = dpttrf(diagonal.reshape(-1), lower.reshape(-1)[: max(lower.size - 1, 1)])
    return np.asarray(pivots.reshape(walk.shape))


def _written_out(pivots: FloatArray, log_pivots: FloatArray, noise: FloatArray) -> FloatArray:
    """``(W, Q, r, n, n)``: ``T``.

    Where ``L`` has ``-a`` below its diagonal, ``L^-1`` has products of neighbouring ``a``, and ``L^-1 C`` those times
    ``a - 1`` of the last. A product is what ``a`` come to by its end, over what they came to by its start. Of many
    small ones these are no numbers: then it is a difference of summed logarithms.
    """
    n, log_noise, half = noise.shape[-1], np.log(noise), 0.5 * log_pivots
    past = np.add.accumulate(log_noise - log_pivots, axis=-1)  # of a, up to each observation
    lost = np.log(np.maximum(pivots - noise, LEAST_WALK)) - log_pivots  # of 1 - a
    end, start = past - log_noise + half, lost - past
    if float(np.minimum.reduce(past, axis=None)) > -_APART:
        whitener = np.exp(end)[..., None] * np.exp(start)[..., None, :]
    else:
        whitener = end[..., None] + start[..., None, :]
        np.exp(np.minimum(whitener, _MOST, out=whitener), out=whitener)
    whitener *= _below(n)
    whitener.reshape(*pivots.shape[:-1], -1)[..., :: n + 1] = np.exp(-half)
    return np.asarray(whitener)


@lru_cache(maxsize=128)
def _below(n: int) -> FloatArray:
    """``(n, n)``: -1 below the diagonal, and zero elsewhere."""
    return -np.tri(n, k=-1)


def _swept(columns: FloatArray, pivots: FloatArray, noise: FloatArray) -> FloatArray:
    """``(W, Q, P, r, n, F + X)``: the columns whitened by ``L^-1``, an observation after another."""
    scale = 1.0 / np.sqrt(pivots)
    carried = (noise / pivots)[..., :-1] * (scale[..., 1:] / scale[..., :-1])
    scale, carried = (np.moveaxis(each, -1, 0)[:, :, :, None, :, None] for each in (scale, carried))
    columns = np.ascontiguousarray(np.moveaxis(columns, -1, 0))[:, :, None]  # (n, W, 1, P, r, F + X)
    white = np.empty((len(columns), *pivots.shape[:2], *columns.shape[3:]))
    np.multiply(columns[0], scale[0], out=white[0])
    before, change = np.empty_like(white[0]), np.empty_like(columns[0])
    for k in range(1, len(white)):
        np.multiply(np.subtract(columns[k], columns[k - 1], out=change), scale[k], out=white[k])
        white[k] += np.multiply(white[k - 1], carried[k - 1], out=before)
    return np.moveaxis(white, 0, -2)
