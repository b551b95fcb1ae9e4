"""Muennighoff et al. 2023: the loss where data repeats or the model is larger than its data deserves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray, Law
from curvecast.laws.chinchilla import Chinchilla

_STEP = 1e-20


@dataclass(frozen=True, slots=True)
class DataConstrained:
    r"""Chinchilla's law on effective parameters and tokens: repeats and excess parameters count ever less.

    .. math:: D' = U_D + U_D R_D^* (1 - e^{-R_D / R_D^*}), \quad R_D = D / U_D - 1

    and likewise for parameters, where ``U_N`` is the best size for the unique tokens, or `N` if that is less.
    The authors warn that the loss itself is of little use on other data; the trend is.

    Args:
        E: irreducible loss [nats/token].
        A_N, alpha_N: of the term in parameters; the paper's A and alpha.
        A_D, alpha_D: of the term in tokens; the paper's B and beta.
        R_D: repeats after which what another one brings has fallen to 1/e; the paper's R_D* [epochs].
        R_N: likewise for parameters beyond the best size; the paper's R_N* [1].

    Example:
        >>> law = DataConstrained()
        >>> law.loss(6.34e9, 242e9, 25e9).item(), law.loss(8.67e9, 178e9, 25e9).item()
        (2.2256440889984477, 2.2269634075087867)
        >>> print(f"4 epochs are worth {law.effective_tokens(4e9, 1e9) / 4e9:.0%} of as many fresh tokens")
        4 epochs are worth 93% of as many fresh tokens

    Source: Muennighoff et al. 2023, arXiv:2305.16264; constants of its repository, huggingface/datablations,
    "Parametric Fit".
    """

    E: float = float(np.exp(0.6254804))
    A_N: float = float(np.exp(6.255414))
    alpha_N: float = 0.3526596
    A_D: float = float(np.exp(7.3049974))
    alpha_D: float = 0.3526596
    R_D: float = 15.387756
    R_N: float = 5.309743

    @property
    def fresh(self) -> Chinchilla:
        """The law where every token is new."""
        return Chinchilla(self.alpha_N, self.alpha_D, self.E, self.A_N, self.A_D)

    def loss(self, N: ArrayLike, D: ArrayLike, unique: ArrayLike = np.inf) -> FloatArray:
        """Loss of `N` parameters after `D` tokens, of which `unique` are different.

        Args:
            N: all parameters.
            D: tokens seen; broadcasts with `N`.
            unique: tokens of the data set; where it is no less than `D`, no token repeats.

        Returns:
            Loss [nats/token].
        """
        theta = (self.E, self.A_N, self.alpha_N, self.A_D, self.alpha_D, self.R_D, self.R_N)
        return repeated(theta, N, D, unique)

    def effective_tokens(self, D: ArrayLike, unique: ArrayLike) -> FloatArray:
        """Fresh tokens that `D` tokens of a data set of `unique` are worth.

        Args:
            D: tokens seen.
            unique: tokens of the data set.

        Returns:
            Tokens.
        """
        D, unique = np.asarray(D, dtype=np.float64), np.asarray(unique, dtype=np.float64)
        return np.asarray(_worth(D, np.minimum(unique, D), self.R_D).real)


def repeated(theta: ArrayLike, N: ArrayLike, D: ArrayLike, unique: ArrayLike) -> FloatArray:
    """The law with constants of one's own.

    Args:
        theta: ``E``, ``A_N``, ``alpha_N``, ``A_D``, ``alpha_D``, ``R_D``, ``R_N``.
        N: parameters.
        D: tokens seen; broadcasts with `N`.
        unique: tokens of the data set.

    Returns:
        Loss [nats/token].

    Example:
        >>> theta = (1.8, 500.0, 0.35, 1500.0, 0.35, 15.0, 5.0)
        >>> repeated(theta, 1e9, 2e10, [5e9, 2e10]).round(3).tolist()
        [2.569, 2.526]
    """
    return np.asarray(_loss(np.asarray(theta, dtype=np.complex128), N, D, unique).real)


def _repeated_gradient(theta: ArrayLike, N: ArrayLike, D: ArrayLike, unique: ArrayLike) -> FloatArray:
    """By complex steps, which are exact to rounding: the best size for the unique tokens is in every term."""
    theta = np.asarray(theta, dtype=np.complex128)
    columns = []
    for k in range(len(theta)):
        moved = theta.copy()
        moved[k] += 1j * _STEP
        columns.append(_loss(moved, N, D, unique).imag / _STEP)
    return np.stack(columns, axis=-1)


def _loss(theta: np.ndarray, N: ArrayLike, D: ArrayLike, unique: ArrayLike) -> np.ndarray:
    E, A_N, alpha_N, A_D, alpha_D, R_D, R_N = theta
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    U_D = np.minimum(np.asarray(unique, dtype=np.float64), D)
    G = (alpha_N * A_N / (alpha_D * A_D)) ** (1 / (alpha_N + alpha_D))
    best = (U_D * G) ** (alpha_D / alpha_N) * G
    U_N = np.where(best.real < N, best, N)
    return np.asarray(E + A_N * _worth(N, U_N, R_N) ** -alpha_N + A_D * _worth(D, U_D, R_D) ** -alpha_D)


def _worth(seen: np.ndarray, unique: np.ndarray, R: complex) -> np.ndarray:
    return np.asarray(unique - unique * R * np.expm1(-(seen / unique - 1) / R))


DATA_CONSTRAINED = Law(
    name="data-constrained L(N, D, U)",
    source="Muennighoff et al. 2023, arXiv:2305.16264, eqs. 5 and 6",
    parameters=("E", "A_N", "alpha_N", "A_D", "alpha_D", "R_D", "R_N"),
    loss=repeated,
    gradient=_repeated_gradient,
    example=(
        (1.869, 520.8, 0.3526596, 1487.7, 0.36, 15.387756, 5.309743),
        ((6.34e9, 1e9, 8e10), (242e9, 1e10, 1e11), (25e9, 2e10, 4e9)),
    ),
)
