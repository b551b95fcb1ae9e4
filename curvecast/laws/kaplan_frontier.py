"""Kaplan et al. 2020: the compute-efficient frontier of Appendix B, and the optima of Table 6.

The two do not agree (at 1 PF-day: 6.0e8 parameters here, 1.3e9 in Table 6), because Table 6 is a separate
fit of the measured optima. `Frontier` is consistent in itself; `table_6` is the paper's empirical answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray
from curvecast.laws.kaplan import PF_DAY, TABLE_5


@dataclass(frozen=True, slots=True)
class Frontier:
    """Models trained just as long as makes the best of their compute, with Table 5's constants.

    Convention of Appendix B: ``S`` is S_min of the law L(N, S), the batch is ``B_crit(L)``, ``C = 6 N B S``.
    A run held at ``B_crit`` itself takes ``2 S`` steps and ``2 C`` (eqs. 5.4, 5.5); in general multiply steps
    by ``1 + B_crit / B``.

    Args:
        alpha_N: exponent of the loss in size [1].
        N_c: its scale [non-embedding parameters].
        alpha_S: exponent in steps [1].
        S_c: its scale [steps, S_min].
        alpha_B: ``B_crit = B_star / L^(1 / alpha_B)`` [1].
        B_star: its scale [tokens].

    Example:
        >>> best = Frontier()
        >>> print(f"{best.size(PF_DAY):.1e} parameters, {best.steps(PF_DAY):.1e} steps")
        6.0e+08 parameters, 1.3e+04 steps

    Source: Kaplan et al. 2020, arXiv:2001.08361, Appendix B.
    """

    alpha_N: float = TABLE_5.alpha_N
    N_c: float = TABLE_5.N_c
    alpha_S: float = TABLE_5.alpha_S
    S_c: float = TABLE_5.S_c
    alpha_B: float = TABLE_5.alpha_B
    B_star: float = TABLE_5.B_star

    @property
    def alpha_C(self) -> float:
        """Exponent of the loss in compute, eq. B.7: 0.052 [1]."""
        return 1 / (1 / self.alpha_S + 1 / self.alpha_B + 1 / self.alpha_N)

    @property
    def C_c(self) -> float:
        """Scale of the loss in compute, eq. B.8 [FLOP]."""
        scale = 6 * self.N_c * self.B_star * self.S_c
        stretch = self._above_converged ** (1 / self.alpha_S + 1 / self.alpha_N)
        return float(scale * stretch * (self.alpha_S / self.alpha_N) ** (1 / self.alpha_S))

    @property
    def _above_converged(self) -> float:
        return 1 + self.alpha_N / self.alpha_S

    def loss(self, C: ArrayLike) -> FloatArray:
        """Least loss for compute, eq. B.6.

        Args:
            C: compute [FLOP].

        Returns:
            Loss [nats/token].
        """
        return np.asarray((self.C_c / np.asarray(C, dtype=np.float64)) ** self.alpha_C)

    def size(self, C: ArrayLike) -> FloatArray:
        """Best size for compute, eq. B.9.

        Args:
            C: compute [FLOP].

        Returns:
            Non-embedding parameters.
        """
        share = np.asarray(C, dtype=np.float64) / self.C_c
        exponent = self.alpha_C / self.alpha_N
        return np.asarray(self.N_c * share**exponent * self._above_converged ** (1 / self.alpha_N))

    def steps(self, C: ArrayLike) -> FloatArray:
        """Best number of steps for compute, eq. B.10.

        Args:
            C: compute [FLOP].

        Returns:
            S_min [steps].
        """
        share = np.asarray(C, dtype=np.float64) / self.C_c
        scale = self.C_c / (6 * self.N_c * self.B_star) * self._above_converged ** (-1 / self.alpha_N)
        return np.asarray(scale * share ** (self.alpha_C / self.alpha_S))

    def batch(self, C: ArrayLike) -> FloatArray:
        """Critical batch at the best loss for compute, eq. 5.3.

        Args:
            C: compute [FLOP].

        Returns:
            ``B_crit`` [tokens].
        """
        return np.asarray(self.B_star / self.loss(C) ** (1 / self.alpha_B))

    def stop_loss(self, N: ArrayLike) -> FloatArray:
        """Loss at which a model of this size has been trained efficiently, eq. B.5: 10 % above converged.

        Args:
            N: non-embedding parameters.

        Returns:
            ``L_eff = (1 + alpha_N / alpha_S) L(N, inf)`` [nats/token].

        Example:
            >>> Frontier().stop_loss(1e9).round(3).item()
            2.613
        """
        return np.asarray(self._above_converged * self._converged(N))

    def stop_step(self, N: ArrayLike) -> FloatArray:
        """Step at which a model of this size reaches `stop_loss`, from eq. B.4.

        Args:
            N: non-embedding parameters.

        Returns:
            S_min [steps]; at a batch B it takes ``1 + B_crit / B`` times as many.

        Example:
            >>> print(f"{Frontier().stop_step(1e9):.0f}")
            13917
        """
        S_term = self.alpha_N / self.alpha_S * self._converged(N)
        return np.asarray(self.S_c * S_term ** (-1 / self.alpha_S))

    def compute(self, N: ArrayLike, L: ArrayLike) -> FloatArray:
        """Compute that a model of this size needs for a loss, eq. B.15.

        Args:
            N: non-embedding parameters.
            L: loss [nats/token]; broadcasts with `N`.

        Returns:
            Compute [FLOP]; ``inf`` where the size cannot reach the loss.

        Example:
            >>> print(f"{Frontier().compute(1e9, 2.61):.2g}")
            1.9e+20
        """
        L = np.asarray(L, dtype=np.float64)
        S_term = np.maximum(L - self._converged(N), 0.0)
        with np.errstate(divide="ignore"):
            S = self.S_c * S_term ** (-1 / self.alpha_S)
        return np.asarray(6 * np.asarray(N) * S * self.B_star / L ** (1 / self.alpha_B))

    def compute_ratio(self, size_ratio: ArrayLike) -> FloatArray:
        """Compute for a loss with a model off the best size, over that of the best, eq. B.16.

        Args:
            size_ratio: size over the best size for this loss, > 0 [1].

        Returns:
            Ratio of at least 1 [1]; ``inf`` where the size cannot reach the loss.

        Example:
            >>> Frontier().compute_ratio([0.6, 1.0, 2.2]).round(2).tolist()
            [1.16, 1.0, 1.2]
        """
        r = np.asarray(size_ratio, dtype=np.float64)
        S_terms = np.maximum(1 + self.alpha_S / self.alpha_N * (1 - r**-self.alpha_N), 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(r * S_terms ** (-1 / self.alpha_S))

    def trained_to(self, excess: float) -> Shares:
        """What the frontier's model takes, against one trained closer to its own convergence.

        Args:
            excess: how far above its converged loss the other model is trained, ``f'`` > 0 [1].

        Returns:
            Shares for the same loss: parameters, steps and compute of the frontier's model over the other's.

        Example:
            >>> shares = Frontier().trained_to(0.02)
            >>> print("{:.1f}x parameters, {:.2f}x steps, {:.2f}x compute".format(*shares))
            2.7x parameters, 0.13x steps, 0.36x compute

        Source: eqs. B.12 to B.14; the paper rounds its 0.359 of the compute to 0.35 (65 % less).
        """
        f = self.alpha_N / self.alpha_S
        size = ((1 + f) / (1 + excess)) ** (1 / self.alpha_N)
        steps = ((1 + 1 / f) / (1 + 1 / excess)) ** (1 / self.alpha_S)
        return Shares(float(size), float(steps), float(size * steps))

    def _converged(self, N: ArrayLike) -> FloatArray:
        return np.asarray((self.N_c / np.asarray(N, dtype=np.float64)) ** self.alpha_N)


class Shares(NamedTuple):
    """Ratios between two ways to one loss."""

    size: float
    steps: float
    compute: float


class Optima(NamedTuple):
    """Table 6 at one compute."""

    N: FloatArray
    B_crit: FloatArray
    S_min: FloatArray
    D: FloatArray


def table_6(C_min: ArrayLike) -> Optima:
    """Measured optima for compute spent at batches far below critical, Table 6.

    Args:
        C_min: compute in the sense of eq. 5.5 [FLOP].

    Returns:
        Non-embedding parameters, critical batch [tokens], S_min [steps, a lower bound], tokens (one epoch).

    Example:
        >>> [f"{x:.1e}" for x in table_6(PF_DAY)]
        ['1.3e+09', '2.0e+06', '5.4e+03', '2.0e+10']

    Source: Kaplan et al. 2020, arXiv:2001.08361, Table 6.
    """
    c = np.asarray(C_min, dtype=np.float64) / PF_DAY
    return Optima(*(np.asarray(a * c**p) for a, p in ((1.3e9, 0.73), (2.0e6, 0.24), (5.4e3, 0.03), (2e10, 0.27))))


def tokens_at_critical_batch(C_min: ArrayLike) -> FloatArray:
    """Tokens of a compute-efficient run held at the critical batch, eq. 6.7: twice the fewest.

    Args:
        C_min: compute in the sense of eq. 5.5 [FLOP].

    Returns:
        Tokens.

    Example:
        >>> print(f"{tokens_at_critical_batch(PF_DAY):.0e}")
        4e+10

    Source: Kaplan et al. 2020, arXiv:2001.08361, eq. 6.7.
    """
    return np.asarray(4e10 * (np.asarray(C_min, dtype=np.float64) / PF_DAY) ** 0.26)
