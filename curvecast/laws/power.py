"""The power law of one run at a constant learning rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray, Law


def power_law(theta: ArrayLike, S: ArrayLike) -> FloatArray:
    r"""Loss after ``S`` optimizer steps at fixed model and batch size.

    .. math:: L(S) = L_N + A\,S^{-\alpha}

    Valid after warm-up and at a constant learning rate; a decay schedule bends the tail below it (see
    `curvecast.laws.annealing`).

    Args:
        theta: ``(3,)`` or ``(K, 3)``: ``L_N`` [nats/token], ``A`` [nats/token * step^alpha], ``alpha`` [1].
        S: ``(T,)``: completed optimizer steps, ``S >= 1`` [steps].

    Returns:
        ``(T,)`` or ``(K, T)``: loss [nats/token].

    Raises:
        ValueError: if any ``S < 1``.

    Example:
        >>> power_law([2.0, 3.0, 0.5], [1, 100]).tolist()
        [5.0, 2.3]

    Source: Kaplan et al. 2020, arXiv:2001.08361, L(N, S) with N fixed; ``L_N`` is its ``(N_c/N)^alpha_N``
    term, the converged loss of *this* model, not the irreducible loss ``L_inf`` of the data.
    """
    L_N, A, alpha = _split(theta)
    return np.asarray(L_N + A * _steps(S) ** -alpha)


def power_law_gradient(theta: ArrayLike, S: ArrayLike) -> FloatArray:
    """Derivative of `power_law` by ``L_N``, ``A``, ``alpha``.

    Args:
        theta: as in `power_law`.
        S: as in `power_law`.

    Returns:
        ``(T, 3)`` or ``(K, T, 3)`` [nats/token per unit of the parameter].

    Raises:
        ValueError: if any ``S < 1``.

    Example:
        >>> power_law_gradient([2.0, 3.0, 0.5], [1, 100]).round(3).tolist()
        [[1.0, 1.0, -0.0], [1.0, 0.1, -1.382]]
    """
    _, A, alpha = _split(theta)
    S = _steps(S)
    x = S**-alpha
    return np.stack([np.ones_like(x), x, -A * x * np.log(S)], axis=-1)


def _split(theta: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    theta = np.asarray(theta, dtype=np.float64)
    if theta.shape[-1:] != (3,):
        raise ValueError(f"`theta` must hold L_N, A, alpha on its last axis: got shape {theta.shape}.")
    L_N, A, alpha = np.moveaxis(theta[..., None], -2, 0)
    return L_N, A, alpha


def _steps(S: ArrayLike) -> FloatArray:
    S = np.asarray(S, dtype=np.float64)
    if np.any(S < 1):
        raise ValueError(f"`S` must be at least 1: got {S.min()}. Count completed optimizer steps from 1.")
    return S


POWER_LAW = Law(
    name="power law",
    source="Kaplan et al. 2020, arXiv:2001.08361, eq. 1.6 with N fixed",
    parameters=("L_N", "A", "alpha"),
    loss=power_law,
    gradient=power_law_gradient,
    example=((2.5, 8.0, 0.45), ((1.0, 10.0, 300.0, 2e4, 1e6),)),
)
