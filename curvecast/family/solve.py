"""Many robust fits at once: Levenberg-Marquardt on reweighted squares, in arrays whose first axis is the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.laws.base import FloatArray

Model = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

_LEAST, _MOST = 1e-9, 1e10  # bounds of the damping
_BOLDER, _SHORTER = 0.2, 6.0  # factors on the damping after a step that was better, and after one that was not
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
    ridge = ridge or Ridge.none(P)
    aim = _Aim(np.broadcast_to(weights, (K, len(y))), np.broadcast_to(ridge.mean, (K, P)), ridge.weight, delta)
    found, score = start.copy(), np.full(K, np.inf)
    moving, fits, trial = np.arange(K), _Fits.at(start), start.copy()
    for _ in range(_TURNS):
        with np.errstate(all="ignore"):  # a step too far is not finite, and is taken back
            f, J = model(trial)
        r = y - f
        fits = fits.moved(trial, aim.of(moving).objective(trial, r), r, J)
        found[moving], score[moving] = fits.phi, fits.value
        goes_on = fits.goes_on
        if not goes_on.any():
            break
        if not goes_on.all():
            moving, fits = moving[goes_on], fits.only(goes_on)
        trial = fits.phi + np.clip(aim.of(moving).step(fits), -_FAR, _FAR)
    return found, score


class _Fits(NamedTuple):
    """Where each of ``k`` fits stands that still moves.

    Args:
        phi: ``(k, P)`` coordinates.
        value: ``(k,)`` objective there; infinite before the first turn.
        residual: ``(k, T)`` observations less the model; empty before the first turn.
        slopes: ``(k, P, T)`` derivatives of the model, likewise.
        damping: ``(k,)`` how short its steps are.
        rests: ``(k,)`` turns in a row that brought next to nothing.
    """

    phi: FloatArray
    value: FloatArray
    residual: FloatArray
    slopes: FloatArray
    damping: FloatArray
    rests: NDArray[np.intp]

    @classmethod
    def at(cls, start: FloatArray) -> _Fits:
        """Fits that have not moved yet."""
        K, nothing = len(start), np.empty(0)
        return cls(start, np.full(K, np.inf), nothing, nothing, np.full(K, 1e-2), np.zeros(K, dtype=np.intp))

    def moved(self, trial: FloatArray, tried: FloatArray, r: FloatArray, J: FloatArray) -> _Fits:
        """Each where it was tried, if that is better, and bolder; else where it was, and more careful.

        Args:
            trial: ``(k, P)`` coordinates that were tried.
            tried: ``(k,)`` objective there.
            r: ``(k, T)`` observations less the model there.
            J: ``(k, P, T)`` derivatives of the model there.
        """
        better = tried < self.value
        with np.errstate(invalid="ignore"):  # a start that leads nowhere has no finite objective
            rests = np.where(better & (self.value - tried > _REST * np.abs(tried)), 0, self.rests + 1)
        damping = np.clip(np.where(better, self.damping * _BOLDER, self.damping * _SHORTER), _LEAST, _MOST)
        if better.all():
            return _Fits(trial, tried, r, J, damping, rests)
        of_rows, of_slopes = better[:, None], better[:, None, None]
        is_first = not self.residual.size  # then a start that is not finite has no earlier place
        return _Fits(
            np.where(of_rows, trial, self.phi),
            np.where(better, tried, self.value),
            r if is_first else np.where(of_rows, r, self.residual),
            J if is_first else np.where(of_slopes, J, self.slopes),
            damping,
            rests,
        )

    @property
    def goes_on(self) -> NDArray[np.bool_]:
        """``(k,)`` whether another step may bring something."""
        return np.asarray((self.rests < _RESTS) & (self.damping < _MOST) & np.isfinite(self.value))

    def only(self, which: NDArray[np.bool_]) -> _Fits:
        """Some of them."""
        phi, value, residual, slopes, damping, rests = self
        return _Fits(phi[which], value[which], residual[which], slopes[which], damping[which], rests[which])


class _Aim(NamedTuple):
    """What each of ``k`` fits minimises.

    Args:
        weight: ``(k, T)`` of the observations.
        believed: ``(k, P)`` where the penalty has its minimum.
        ridge: ``(P,)`` its curvature.
        delta: Where Huber's loss turns from a square to a line.
    """

    weight: FloatArray
    believed: FloatArray
    ridge: FloatArray
    delta: float

    def of(self, which: NDArray[np.intp]) -> _Aim:
        """That of some of them."""
        return _Aim(self.weight[which], self.believed[which], self.ridge, self.delta)

    def objective(self, phi: FloatArray, r: FloatArray) -> FloatArray:
        """``(k,)`` what is minimised, at coordinates that leave a residual; infinite where it is no number."""
        size = np.abs(r)
        inner = np.minimum(size, self.delta)
        loss = np.einsum("kt,kt->k", self.weight, inner * (size - 0.5 * inner))
        value = loss + 0.5 * (phi - self.believed) ** 2 @ self.ridge
        return np.asarray(np.where(np.isfinite(value), value, np.inf))

    def step(self, fits: _Fits) -> FloatArray:
        """``(k, P)`` the damped step of each fit, its squares reweighted as Huber's loss asks."""
        r, J = fits.residual, fits.slopes
        w = self.weight * (self.delta / np.maximum(np.abs(r), self.delta))
        WJ = J * w[:, None, :]
        gradient = (WJ @ r[:, :, None])[:, :, 0] - (fits.phi - self.believed) * self.ridge
        H = WJ @ J.transpose(0, 2, 1)
        diagonal = np.einsum("kpp->kp", H)  # a view: what is added to it is added to H
        scale = diagonal + self.ridge
        damped = fits.damping[:, None] * scale
        diagonal += self.ridge + damped + 1e-14 * scale.max(axis=1, keepdims=True) + 1e-300
        return np.asarray(_OVER * np.linalg.solve(H, gradient[:, :, None])[:, :, 0])
