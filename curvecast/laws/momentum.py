"""The momentum law: the loss under any learning-rate schedule, by a leaking memory of its drops."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray, Law

_BLOCK = 256


def momentum_terms(lr: ArrayLike, *, decay: float = 0.999, warmup: int = 0) -> tuple[FloatArray, FloatArray]:
    r"""Summed learning rate S1 and annealing area S2 after every step.

    .. math:: S_1(s) = \sum_{i \le s} \eta_i, \quad S_2(s) = \sum_{i \le s} m_i,
              \quad m_i = \lambda m_{i-1} + (\eta_{i-1} - \eta_i)

    Steps at a learning rate of exactly zero change nothing in a model, so time stands still there: neither
    sum moves. (As published, S2 goes on growing over zero-LR steps appended to a run.)

    Args:
        lr: ``(n,)``: LR of every step, absolute or relative.
        decay: ``lambda``, in [0, 1) [1 per step]; 0.999 in the paper, others refitted 0.9997.
        warmup: first steps that count as if at the peak LR.

    Returns:
        S1 and S2, each ``(n,)`` [LR * steps].

    Raises:
        ValueError: if `lr` is empty or negative, or `decay` or `warmup` out of range.

    Example:
        >>> S1, S2 = momentum_terms([1.0, 1.0, 0.5, 0.5], decay=0.5)
        >>> S1.tolist(), S2.tolist()
        ([1.0, 2.0, 2.5, 3.0], [0.0, 0.0, 0.5, 0.75])

    Source: Tissue, Wang and Wang 2024, arXiv:2408.11029.
    """
    eta = np.array(lr, dtype=np.float64)
    if eta.ndim != 1 or not len(eta) or not np.all(eta >= 0):
        raise ValueError(f"`lr` must be one LR a step, none negative: got shape {eta.shape}. Pass n LRs.")
    if not 0 <= decay < 1 or not 0 <= warmup <= len(eta):
        raise ValueError(f"`decay` must lie in [0, 1) and `warmup` in the run: got decay={decay}, warmup={warmup}.")
    eta[:warmup] = eta.max()
    moving = eta > 0
    drop = -np.diff(eta[moving], prepend=eta[moving][:1])
    S2 = np.zeros_like(eta)
    S2[moving] = _leak(drop, decay)
    return np.cumsum(eta), np.cumsum(S2)


def momentum_law(
    theta: ArrayLike, lr: ArrayLike, steps: ArrayLike, *, decay: float = 0.999, warmup: int = 0
) -> FloatArray:
    r"""Loss after each of `steps` under a learning rate given step by step.

    .. math:: L(s) = L_0 + A\,S_1(s)^{-\alpha} - C\,S_2(s)

    A higher LR lowers this loss without end, so it compares schedules of one peak LR only.

    Args:
        theta: ``(4,)``: ``L0`` [nats/token], ``A`` [nats/token * (LR * steps)^alpha], ``alpha`` [1], ``C``
            [nats/token / (LR * steps)].
        lr: as in `momentum_terms`.
        steps: ``(m,)``: completed steps, 1 to ``n`` [steps].
        decay: as in `momentum_terms`.
        warmup: as in `momentum_terms`.

    Returns:
        ``(m,)``: loss [nats/token].

    Raises:
        ValueError: as `momentum_terms`, or if a step is out of range.

    Example:
        >>> momentum_law([2.0, 1.0, 0.5, 0.1], [1.0] * 4, [1, 4]).tolist()
        [3.0, 2.5]

    Source: Tissue, Wang and Wang 2024, arXiv:2408.11029.
    """
    L0, A, alpha, C = np.asarray(theta, dtype=np.float64)
    S1, S2 = _at(lr, steps, decay, warmup)
    return np.asarray(L0 + A * S1**-alpha - C * S2)


def momentum_gradient(
    theta: ArrayLike, lr: ArrayLike, steps: ArrayLike, *, decay: float = 0.999, warmup: int = 0
) -> FloatArray:
    """Derivative of `momentum_law` by ``L0``, ``A``, ``alpha``, ``C``.

    Args:
        theta: as in `momentum_law`.
        lr: as in `momentum_terms`.
        steps: as in `momentum_law`.
        decay: as in `momentum_terms`.
        warmup: as in `momentum_terms`.

    Returns:
        ``(m, 4)`` [nats/token per unit of the parameter].

    Raises:
        ValueError: as `momentum_law`.

    Example:
        >>> momentum_gradient([2.0, 1.0, 0.5, 0.1], [1.0] * 4, [4]).round(3).tolist()
        [[1.0, 0.5, -0.693, -0.0]]
    """
    _, A, alpha, _ = np.asarray(theta, dtype=np.float64)
    S1, S2 = _at(lr, steps, decay, warmup)
    x = S1**-alpha
    return np.stack([np.ones_like(x), x, -A * x * np.log(S1), -S2], axis=-1)


def _at(lr: ArrayLike, steps: ArrayLike, decay: float, warmup: int) -> tuple[FloatArray, FloatArray]:
    S1, S2 = momentum_terms(lr, decay=decay, warmup=warmup)
    t = np.atleast_1d(np.asarray(steps, dtype=np.float64)).astype(np.intp)
    if np.any((t < 1) | (t > len(S1))):
        raise ValueError(f"`steps` must lie between 1 and {len(S1)}: got {t.min()} to {t.max()}.")
    return S1[t - 1], S2[t - 1]


def _leak(drop: FloatArray, decay: float) -> FloatArray:
    """``m_i = decay * m_{i-1} + drop_i``, a block at a time."""
    powers = decay ** np.arange(_BLOCK + 1)
    age = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    within = np.where(age >= 0, powers[np.abs(age)], 0.0)
    blocks = np.pad(drop, (0, -len(drop) % _BLOCK)).reshape(-1, _BLOCK) @ within.T
    carried = 0.0
    for block in blocks:
        block += carried * powers[1:]
        carried = block[-1]
    return blocks.reshape(-1)[: len(drop)]


MOMENTUM_LAW = Law(
    name="momentum law",
    source="Tissue, Wang and Wang 2024, arXiv:2408.11029",
    parameters=("L0", "A", "alpha", "C"),
    loss=momentum_law,
    gradient=momentum_gradient,
    example=(
        (2.6, 4.0, 0.5, 0.002),
        (
            tuple(0.55 + 0.45 * float(np.cos(np.pi * k / 200)) for k in range(200)),
            (1.0, 2.0, 50.0, 120.0, 200.0),
        ),
    ),
)
