"""Kaplan et al. 2020: the loss by size, data, steps and compute, and the batch-size conversions.

`N` counts parameters without embeddings, losses are nats/token on WebText2 with a 50257-token vocabulary, and
compute is ``C = 6 N B S`` in FLOP (the paper's PF-days times 8.64e19). The paper fitted its constants
three times, and they do not mix: each table is a value of its own, and each function names the one it uses.
The frontier of Appendix B is in `kaplan_frontier`, overfitting in `kaplan_overfitting`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FamilyLaw, FloatArray, Law

PF_DAY = 8.64e19
"""FLOP in a petaflop/s-day (section 1.3)."""

_PAPER = "Kaplan et al. 2020, arXiv:2001.08361"
_LEAST_LOSS, _MOST_LOSS = 1e-40, 1e40  # losses between which B_crit is a finite number


@dataclass(frozen=True, slots=True)
class Table2:
    """Joint fit of L(N, D), eq. 1.5: the only constants that give the overfitting rule 4.4."""

    alpha_N: float = 0.076
    alpha_D: float = 0.103
    N_c: float = 6.4e13
    D_c: float = 1.8e13


@dataclass(frozen=True, slots=True)
class Table3:
    """Joint fit of L(N, S_min), eq. 1.6."""

    alpha_N: float = 0.077
    alpha_S: float = 0.76
    N_c: float = 6.5e13
    S_c: float = 2.1e3


@dataclass(frozen=True, slots=True)
class Table5:
    """Summary: one variable at a time (eqs. 1.1 to 1.4), and what Appendix B computes with.

    Sizes in non-embedding parameters, data and batches in tokens, steps as S_min, compute in FLOP.
    """

    alpha_N: float = 0.076
    N_c: float = 8.8e13
    alpha_D: float = 0.095
    D_c: float = 5.4e13
    alpha_C: float = 0.057
    C_c: float = 1.6e7 * PF_DAY
    alpha_C_min: float = 0.050
    C_c_min: float = 3.1e8 * PF_DAY
    alpha_B: float = 0.21
    B_star: float = 2.1e8
    alpha_S: float = 0.76
    S_c: float = 2.1e3


TABLE_2, TABLE_3, TABLE_5 = Table2(), Table3(), Table5()


@dataclass(frozen=True, slots=True)
class Kaplan(FamilyLaw):
    """Kaplan's exponents for compute-efficiency verdicts, with no irreducible loss.

    Args:
        alpha_N: exponent of the loss in the non-embedding parameters [1].
        alpha_S: exponent in the steps S_min [1].
        irreducible_loss: 0, as in the paper [nats/token].

    Example:
        >>> law = Kaplan()
        >>> print(f"stop {law.efficient_ratio:.0%} above the converged loss")
        stop 10% above the converged loss
        >>> law.compute_excess(N_term=2.8, S_term=[0.056, 0.28]).round(2).tolist()
        [2.79, 1.0]
    """

    alpha_N: float = TABLE_5.alpha_N
    alpha_S: float = TABLE_5.alpha_S
    irreducible_loss: float = 0.0
    kappa: float = field(default=1.0, init=False)  # both terms are added

    name: ClassVar[str] = "Kaplan"
    source: ClassVar[str] = f"{_PAPER}, Table 5 and eqs. B.4, B.5"

    def step_factor(self, loss: float, batch: float) -> float:
        """``S / S_min = 1 + B_crit(L) / B``, eq. 5.4.

        Example:
            >>> Kaplan().step_factor(3.0, float(critical_batch(3.0)))
            2.0
        """
        known = min(max(loss, _LEAST_LOSS), _MOST_LOSS)
        return 1.0 + TABLE_5.B_star / math.pow(known, 1.0 / TABLE_5.alpha_B) / batch


def loss_of_size(N: ArrayLike) -> FloatArray:
    """Converged loss of a model on data without end, eq. 1.1 (Table 5).

    Args:
        N: non-embedding parameters.

    Returns:
        Loss [nats/token], shaped as `N`.

    Example:
        >>> loss_of_size([1e6, 1.5e9]).round(2).tolist()
        [4.02, 2.3]
    """
    return power_of_one((TABLE_5.N_c, TABLE_5.alpha_N), N)


def loss_of_data(D: ArrayLike) -> FloatArray:
    """Early-stopped loss of a model without size limit on `D` tokens, eq. 1.2 (Table 5).

    Args:
        D: tokens of the data set.

    Returns:
        Loss [nats/token], shaped as `D`.

    Example:
        >>> loss_of_data(2.2e10).round(2).item()
        2.1
    """
    return power_of_one((TABLE_5.D_c, TABLE_5.alpha_D), D)


def loss_of_compute(C: ArrayLike) -> FloatArray:
    """Least loss for compute at the paper's fixed batch of 2^19 tokens: the naive L(C) (Table 5).

    Args:
        C: non-embedding compute [FLOP].

    Returns:
        Loss [nats/token], shaped as `C`.

    Example:
        >>> loss_of_compute(PF_DAY).round(2).item()
        2.57
    """
    return power_of_one((TABLE_5.C_c, TABLE_5.alpha_C), C)


def loss_of_min_compute(C_min: ArrayLike) -> FloatArray:
    """Least loss for compute spent at batches far below critical, eq. 1.3 (Table 5).

    Args:
        C_min: compute as `min_compute` gives it [FLOP].

    Returns:
        Loss [nats/token], shaped as `C_min`.

    Example:
        >>> loss_of_min_compute(PF_DAY).round(2).item()
        2.66
    """
    return power_of_one((TABLE_5.C_c_min, TABLE_5.alpha_C_min), C_min)


def loss_of_size_and_data(N: ArrayLike, D: ArrayLike) -> FloatArray:
    """Early-stopped loss of `N` parameters on `D` tokens, eq. 1.5 (Table 2).

    Args:
        N: non-embedding parameters.
        D: tokens of the data set; ``inf`` for data without end. Broadcasts with `N`.

    Returns:
        Loss [nats/token].

    Example:
        >>> loss_of_size_and_data(1e9, [2e8, 2e10, float("inf")]).round(2).tolist()
        [3.25, 2.37, 2.32]
    """
    t = TABLE_2
    return size_and_data((t.N_c, t.alpha_N, t.D_c, t.alpha_D), N, D)


def loss_of_size_and_steps(N: ArrayLike, S_min: ArrayLike) -> FloatArray:
    """Loss of `N` parameters after steps at a batch far above critical, eq. 1.6 (Table 3).

    Fitted on runs with a cosine decay to zero, after their warm-up; poor at few steps.

    Args:
        N: non-embedding parameters.
        S_min: steps as `min_steps` gives them [steps]; ``inf`` for a converged run. Broadcasts with `N`.

    Returns:
        Loss [nats/token].

    Example:
        >>> loss_of_size_and_steps(1e9, [1e3, 1e4, float("inf")]).round(2).tolist()
        [4.1, 2.65, 2.35]
    """
    t = TABLE_3
    return size_and_steps((t.N_c, t.alpha_N, t.S_c, t.alpha_S), N, S_min)


def critical_batch(L: ArrayLike) -> FloatArray:
    """Critical batch at a loss, eq. 5.3 (Table 5): there both steps and data are twice their minimum.

    Args:
        L: training loss [nats/token].

    Returns:
        ``B_crit`` [tokens].

    Example:
        >>> [f"{b:.1e}" for b in critical_batch([4.0, 3.0, 2.0])]
        ['2.9e+05', '1.1e+06', '7.7e+06']
    """
    return np.asarray(TABLE_5.B_star / np.asarray(L, dtype=np.float64) ** (1 / TABLE_5.alpha_B))


def min_steps(S: ArrayLike, B: ArrayLike, L: ArrayLike) -> FloatArray:
    """Steps that a batch without limit would have needed, eq. 5.4.

    Args:
        S: steps taken [steps].
        B: batch [tokens].
        L: the loss reached [nats/token].

    Returns:
        ``S_min = S / (1 + B_crit / B)`` [steps].

    Example:
        >>> min_steps(1000, critical_batch(3.0), 3.0).item()
        500.0
    """
    return np.asarray(np.asarray(S, dtype=np.float64) / (1 + critical_batch(L) / np.asarray(B)))


def min_compute(C: ArrayLike, B: ArrayLike, L: ArrayLike) -> FloatArray:
    """Compute that a batch far below critical would have needed, eq. 5.5.

    Args:
        C: compute spent [FLOP].
        B: batch [tokens].
        L: the loss reached [nats/token].

    Returns:
        ``C_min = C / (1 + B / B_crit)`` [FLOP].

    Example:
        >>> min_compute(6e18, critical_batch(3.0), 3.0).item()
        3e+18
    """
    return np.asarray(np.asarray(C, dtype=np.float64) / (1 + np.asarray(B) / critical_batch(L)))


def power_of_one(theta: ArrayLike, X: ArrayLike) -> FloatArray:
    """``(X_c / X)^alpha``: eqs. 1.1 to 1.3 with constants of one's own.

    Args:
        theta: ``X_c`` [unit of `X`], ``alpha`` [1].
        X: ``(T,)``.

    Returns:
        ``(T,)``: loss [nats/token].

    Example:
        >>> power_of_one((100.0, 0.5), [1.0, 25.0]).tolist()
        [10.0, 2.0]
    """
    X_c, alpha = np.asarray(theta, dtype=np.float64)
    return np.asarray((X_c / np.asarray(X, dtype=np.float64)) ** alpha)


def _power_of_one_gradient(theta: ArrayLike, X: ArrayLike) -> FloatArray:
    X_c, alpha = np.asarray(theta, dtype=np.float64)
    L = power_of_one(theta, X)
    return np.stack([alpha * L / X_c, L * np.log(X_c / np.asarray(X))], axis=-1)


def size_and_data(theta: ArrayLike, N: ArrayLike, D: ArrayLike) -> FloatArray:
    r"""Eq. 1.5 with constants of one's own.

    .. math:: L(N, D) = \left[(N_c / N)^{\alpha_N / \alpha_D} + D_c / D\right]^{\alpha_D}

    Args:
        theta: ``N_c`` [parameters], ``alpha_N`` [1], ``D_c`` [tokens], ``alpha_D`` [1].
        N: non-embedding parameters.
        D: tokens; broadcasts with `N`.

    Returns:
        Loss [nats/token].

    Example:
        >>> size_and_data((1e4, 0.1, 1e4, 0.1), 1e4, 1e4).round(4).item()
        1.0718
    """
    _, _, D_c, alpha_D = np.asarray(theta, dtype=np.float64)
    return np.asarray((_size_part(theta, N) + D_c / np.asarray(D, dtype=np.float64)) ** alpha_D)


def _size_part(theta: ArrayLike, N: ArrayLike) -> FloatArray:
    N_c, alpha_N, _, alpha_D = np.asarray(theta, dtype=np.float64)
    return np.asarray((N_c / np.asarray(N, dtype=np.float64)) ** (alpha_N / alpha_D))


def _size_and_data_gradient(theta: ArrayLike, N: ArrayLike, D: ArrayLike) -> FloatArray:
    N_c, alpha_N, D_c, alpha_D = np.asarray(theta, dtype=np.float64)
    D = np.asarray(D, dtype=np.float64)
    u, log_N = _size_part(theta, N), np.log(N_c / np.asarray(N, dtype=np.float64))
    total = u + D_c / D
    slope = alpha_D * total ** (alpha_D - 1)
    by_alpha_D = total**alpha_D * np.log(total) - slope * u * log_N * alpha_N / alpha_D**2
    columns = (slope * u * alpha_N / alpha_D / N_c, slope * u * log_N / alpha_D, slope / D, by_alpha_D)
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def size_and_steps(theta: ArrayLike, N: ArrayLike, S_min: ArrayLike) -> FloatArray:
    r"""Eq. 1.6 with constants of one's own.

    .. math:: L(N, S) = (N_c / N)^{\alpha_N} + (S_c / S_{min})^{\alpha_S}

    Args:
        theta: ``N_c`` [parameters], ``alpha_N`` [1], ``S_c`` [steps], ``alpha_S`` [1].
        N: non-embedding parameters.
        S_min: steps; broadcasts with `N`.

    Returns:
        Loss [nats/token].

    Example:
        >>> size_and_steps((1e4, 0.5, 100.0, 0.5), 1e4, [25.0, 100.0]).tolist()
        [3.0, 2.0]
    """
    theta = np.asarray(theta, dtype=np.float64)
    return np.asarray(power_of_one(theta[:2], N) + power_of_one(theta[2:], S_min))


def _size_and_steps_gradient(theta: ArrayLike, N: ArrayLike, S_min: ArrayLike) -> FloatArray:
    theta = np.asarray(theta, dtype=np.float64)
    N, S_min = np.broadcast_arrays(N, S_min)
    halves = (_power_of_one_gradient(theta[:2], N), _power_of_one_gradient(theta[2:], S_min))
    return np.concatenate(halves, axis=-1)


KAPLAN_ONE = Law(
    name="Kaplan L(X)",
    source=f"{_PAPER}, eqs. 1.1 to 1.3",
    parameters=("X_c", "alpha"),
    loss=power_of_one,
    gradient=_power_of_one_gradient,
    example=((TABLE_5.N_c, TABLE_5.alpha_N), ((1e6, 1e8, 1e11),)),
)
KAPLAN_SIZE_AND_DATA = Law(
    name="Kaplan L(N, D)",
    source=f"{_PAPER}, eq. 1.5",
    parameters=("N_c", "alpha_N", "D_c", "alpha_D"),
    loss=size_and_data,
    gradient=_size_and_data_gradient,
    example=(
        (TABLE_2.N_c, TABLE_2.alpha_N, TABLE_2.D_c, TABLE_2.alpha_D),
        ((1e6, 1e8, 1e9), (1e9, 1e8, 2e10)),
    ),
)
KAPLAN_SIZE_AND_STEPS = Law(
    name="Kaplan L(N, S)",
    source=f"{_PAPER}, eq. 1.6",
    parameters=("N_c", "alpha_N", "S_c", "alpha_S"),
    loss=size_and_steps,
    gradient=_size_and_steps_gradient,
    example=(
        (TABLE_3.N_c, TABLE_3.alpha_N, TABLE_3.S_c, TABLE_3.alpha_S),
        ((1e6, 1e8, 1e9), (1e3, 1e5, 3e4)),
    ),
)
