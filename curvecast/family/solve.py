"""Many robust fits at once: Levenberg-Marquardt on reweighted squares, in arrays whose first axis is the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curvecast.laws.base import FloatArray

Model = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

_LEAST, _MOST = 1e-9, 1e10  # bounds of the damping
_FAR = 3.0  # largest step of a coordinate, which is a logarithm
_TURNS = 150  # most evaluations of the model
_REST = 1e-7  # a fit rests when its objective falls by less than this share,
_RESTS = 6  # and is done after so many rests in a row
_OVER = 1.6  # reweighted steps are too short: they are lengthened by this factor


@dataclass(frozen=True, slots=True)
class Ridge:
    """What is believed of the coordinates beforehand, as a quadratic penalty.

    Args:
        mean: ``(P,)``, or ``(K, P)``, where it has its minimum.
        weight: ``(P,)`` its curvature, in units of the objective; 0 where nothing is believed.
    """

    mean: FloatArray
    weight: FloatArray

    @classmethod
    def none(cls, size: int) -> Ridge:
        """No penalty."""
        return cls(np.zeros(size), np.zeros(size))


def solve(
    model: Model,
    y: FloatArray,
    start: FloatArray,
    *,
    weight: FloatArray | None = None,
    ridge: Ridge | None = None,
    delta: float = 1e-3,
) -> tuple[FloatArray, FloatArray]:
    r"""Minimise the weighted Huber loss of ``y - f(phi)`` from each start.

    .. math:: \sum_t w_t \, \rho_\delta(y_t - f_t(\phi)) + \tfrac12 \sum_p k_p (\phi_p - \mu_p)^2

    Args:
        model: ``(K, P)`` coordinates -> ``(K, T)`` values and ``(K, P, T)`` derivatives.
        y: ``(T,)`` observations.
        start: ``(K, P)``.
        weight: ``(T,)`` or ``(K, T)``; ``None`` for ones.
        ridge: the penalty; ``None`` for none.
        delta: where the loss turns from a square to a line [unit of `y`].

    Returns:
        ``(K, P)`` coordinates and ``(K,)`` objectives.

    Example:
        >>> x = np.arange(6.0)
        >>> line = lambda phi: (phi @ np.stack([np.ones(6), x]), np.broadcast_to([np.ones(6), x], (len(phi), 2, 6)))
        >>> y = 1.0 + 2.0 * x + np.array([0, 0, 0, 0, 0, 50.0])
        >>> solve(line, y, np.zeros((1, 2)), delta=1e-6)[0].round(4).tolist()
        [[1.0, 2.0]]
    """
    K, P = start.shape
    weights = np.ones((1, len(y))) if weight is None else np.atleast_2d(weight)
    weights = np.broadcast_to(weights, (K, len(y)))
    ridge = ridge or Ridge.none(P)
    believed = np.broadcast_to(ridge.mean, start.shape)
    found, score = start.copy(), np.full(K, np.inf)
    # Of those fits that still move: which they are, and where each stands.
    moving, phi, value = np.arange(K), start.copy(), np.full(K, np.inf)
    residual = slopes = np.empty(0)
    damping, rests = np.full(K, 1e-2), np.zeros(K, dtype=np.intp)
    trial = phi
    for turn in range(_TURNS):
        with np.errstate(all="ignore"):  # a step too far is not finite, and is taken back
            f, J = model(trial)
        r = y - f
        tried = _objective(r, weights[moving], trial - believed[moving], ridge.weight, delta)
        if turn == 0:
            residual, slopes = r, J
        better = tried < value
        with np.errstate(invalid="ignore"):  # a start that leads nowhere has no finite objective
            rests = np.where(better & (value - tried > _REST * np.abs(tried)), 0, rests + 1)
        damping = np.clip(np.where(better, damping * 0.2, damping * 6.0), _LEAST, _MOST)
        if better.all():
            phi, residual, slopes, value = trial, r, J, tried
        else:
            phi = np.where(better[:, None], trial, phi)
            residual = np.where(better[:, None], r, residual)
            slopes = np.where(better[:, None, None], J, slopes)
            value = np.where(better, tried, value)
        found[moving], score[moving] = phi, value
        goes_on = (rests < _RESTS) & (damping < _MOST) & np.isfinite(value)
        if not goes_on.any():
            break
        if not goes_on.all():
            moving, phi, damping, rests = moving[goes_on], phi[goes_on], damping[goes_on], rests[goes_on]
            residual, slopes, value = residual[goes_on], slopes[goes_on], value[goes_on]
        step = _step(residual, slopes, weights[moving], phi - believed[moving], ridge.weight, damping, delta)
        trial = phi + np.clip(step, -_FAR, _FAR)
    return found, score


def _objective(r: FloatArray, weight: FloatArray, off: FloatArray, ridge: FloatArray, delta: float) -> FloatArray:
    size = np.abs(r)
    inner = np.minimum(size, delta)
    loss = np.einsum("kt,kt->k", weight, inner * (size - 0.5 * inner))
    value = loss + 0.5 * off**2 @ ridge
    return np.asarray(np.where(np.isfinite(value), value, np.inf))


def _step(
    r: FloatArray,
    J: FloatArray,
    weight: FloatArray,
    off: FloatArray,
    ridge: FloatArray,
    damping: FloatArray,
    delta: float,
) -> FloatArray:
    """``(k, P)`` the damped step of each fit, its squares reweighted as Huber's loss asks."""
    w = weight * (delta / np.maximum(np.abs(r), delta))
    WJ = J * w[:, None, :]
    gradient = (WJ @ r[:, :, None])[:, :, 0] - off * ridge
    H = WJ @ J.transpose(0, 2, 1)
    diagonal = np.einsum("kpp->kp", H)
    scale = diagonal + ridge
    diagonal += ridge + damping[:, None] * scale + 1e-14 * scale.max(axis=1, keepdims=True) + 1e-300
    return np.asarray(_OVER * np.linalg.solve(H, gradient[:, :, None])[:, :, 0])
