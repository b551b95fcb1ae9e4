"""What the laws have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curvecast.schedule import Schedule

FloatArray = NDArray[np.float64]

LEAST_EXPONENT, MOST_EXPONENT = 1e-9, 1e3  # between them no power of a loss overflows


class Foretold(NamedTuple):
    """What a law expects of a run's end.

    Args:
        of_val: whether it is a validation loss.
        loss: at the end [loss unit].
        std: of it [loss unit].
    """

    of_val: bool
    loss: float
    std: float


@dataclass(frozen=True, slots=True)
class Law:
    """A loss formula as a record: its functions, its letters and where it comes from.

    Args:
        name: short and unique.
        source: authors, year, arXiv number and equation.
        parameters: names of the entries of ``theta``, in order.
        loss: ``loss(theta, *inputs)``: ``(P,)`` and arrays -> ``(T,)`` loss [nats/token].
        gradient: ``gradient(theta, *inputs)`` -> ``(T, P)``: derivative of the loss by ``theta``.
        example: a ``theta`` and inputs inside the law's range.

    Example:
        >>> from curvecast.laws.power import POWER_LAW
        >>> POWER_LAW.parameters
        ('L_N', 'A', 'alpha')
        >>> theta, inputs = POWER_LAW.example
        >>> POWER_LAW.gradient(theta, *inputs).shape == (len(inputs[0]), 3)
        True
    """

    name: str
    source: str
    parameters: tuple[str, ...]
    loss: Callable[..., FloatArray]
    gradient: Callable[..., FloatArray]
    example: tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]


@dataclass(frozen=True, slots=True)
class FamilyLaw:
    r"""A law of a whole model family: what a compute-efficiency verdict needs beside the run's own curve.

    .. math:: L = L_\infty + \left[(A_N N^{-\alpha_N})^{1/\kappa} + (A_S S^{-\alpha_S})^{1/\kappa}\right]^\kappa

    At a given loss the compute is proportional to ``N S`` (``S``: steps, or tokens where the batch does not change).
    With ``kappa = 1`` both terms are added, as by Kaplan's L(N, S), where ``C = 6 N S B_crit(L)``, and by Chinchilla's
    law, where ``C = 6 N D``; with ``kappa = alpha_S`` they join as in Kaplan's L(N, D). What a run shows of them is its
    N-term, converged less irreducible loss, and its S-term, what further training could still take away.

    Args:
        alpha_N: exponent of the loss in N where data has no end, > 0 [1].
        alpha_S: exponent of the loss in S where size has none, > 0 [1].
        irreducible_loss: ``L_inf``, which no model of the family goes below [nats/token].
        kappa: how size and training join, > 0 [1].

    Raises:
        TypeError: if one is no number.
        ValueError: if an exponent is not positive, or the loss is not finite.

    Example:
        >>> law = FamilyLaw(alpha_N=0.35, alpha_S=0.37, irreducible_loss=1.8)
        >>> round(law.efficient_ratio, 3)
        0.946
    """

    alpha_N: float
    alpha_S: float
    irreducible_loss: float = 0.0
    kappa: float = field(default=1.0, kw_only=True)

    name: ClassVar[str] = "family"
    source: ClassVar[str] = "exponents given by the caller"

    def __post_init__(self) -> None:
        for name in ("alpha_N", "alpha_S", "irreducible_loss", "kappa"):
            if not isinstance(value := getattr(self, name), int | float | np.integer | np.floating):
                raise TypeError(f"`{name}` must be a number: got {value!r:.40}. Pass what was fitted to the family.")
        if not (LEAST_EXPONENT <= self.alpha_N <= MOST_EXPONENT and LEAST_EXPONENT <= self.alpha_S <= MOST_EXPONENT):
            raise ValueError(
                f"`alpha_N` and `alpha_S` must be positive, from {LEAST_EXPONENT:g} to {MOST_EXPONENT:g}: "
                f"got {self.alpha_N}, {self.alpha_S}. Pass the exponents of the terms' decline, without their minus."
            )
        if not LEAST_EXPONENT <= self.kappa <= MOST_EXPONENT:
            raise ValueError(
                f"`kappa` must be positive, from {LEAST_EXPONENT:g} to {MOST_EXPONENT:g}: got {self.kappa}. "
                "Pass 1.0 where both terms are added."
            )
        if not abs(self.irreducible_loss) < math.inf:
            raise ValueError(
                f"`irreducible_loss` must be a finite loss: got {self.irreducible_loss}. Pass 0.0 where unknown."
            )

    @property
    def efficient_ratio(self) -> float:
        """S-term over N-term on the compute-efficient frontier, ``(1 + alpha_N/alpha_S)^kappa - 1`` [1].

        Example:
            >>> [round(FamilyLaw(0.15, 0.25, kappa=kappa).efficient_ratio, 2) for kappa in (1.0, 0.3)]
            [0.6, 0.15]
        """
        return math.expm1(self.kappa * math.log1p(self.alpha_N / self.alpha_S))

    def ratio_under(self, load: ArrayLike) -> FloatArray:
        """The same where inference takes ``load`` times the compute of training [1].

        Source: the condition of Lagrange, for the terms before they join: Sardana et al. 2024, arXiv:2401.00448.
        """
        share = self.alpha_N / (self.alpha_S * (1.0 + np.asarray(load, dtype=np.float64)))
        return np.asarray(np.expm1(self.kappa * np.log1p(share)))

    def foretold(
        self, *, num_params: float, num_tokens: float, num_steps: float, unique_tokens: float, schedule: Schedule | None
    ) -> Foretold | None:
        """Where a run of the family ends.

        Args:
            num_params: N.
            num_tokens: tokens seen at its end.
            num_steps: optimizer steps of the whole run.
            unique_tokens: tokens of the data set; inf where none repeats.
            schedule: the learning rate; ``None`` where unknown.

        Returns:
            ``None`` where the law has exponents alone, as published ones have for other data.
        """
        return None

    def step_factor(self, loss: float, batch: float) -> float:
        """Steps taken over those that a batch without limit would need, ``S / S_min``, at a loss [1].

        Args:
            loss: reached [nats/token].
            batch: [tokens].

        Returns:
            1 where the law knows no critical batch.
        """
        return 1.0

    def compute_excess(self, N_term: ArrayLike, S_term: ArrayLike) -> FloatArray:
        r"""Compute of a run over the least compute that a model of the best size needs for the same loss.

        With both terms added,

        .. math:: \frac{C}{C_{min}} = \left(\frac{N'_{term}}{N_{term}}\right)^{1/\alpha_N}
                                      \left(\frac{S'_{term}}{S_{term}}\right)^{1/\alpha_S}

        Args:
            N_term: what the model's size leaves of the loss: converged less irreducible, > 0 [nats/token].
            S_term: what training so far leaves of it, > 0 [nats/token]; broadcasts with `N_term`.

        Returns:
            Ratio of at least 1 [1]: 1 on the frontier, nan where a term is not positive.

        Example:
            >>> FamilyLaw(0.076, 0.76).compute_excess(1.0, [0.01, 0.1, 1.0]).round(1).tolist()
            [6.0, 1.0, 276.8]

        Source: derived from Kaplan et al. 2020, arXiv:2001.08361, eqs. B.1 to B.5; equals its B.16.
        """
        n, s = self._log_best(N_term, S_term)
        return np.asarray(np.maximum(np.exp(-n - s), 1.0))  # the frontier's own rounding

    def best_size(self, N_term: ArrayLike, S_term: ArrayLike) -> tuple[FloatArray, FloatArray]:
        r"""Size and steps of the best model for a run's loss, over the run's own.

        The best size splits the reducible loss ``R = N_term + S_term`` as `efficient_ratio` says; the sizes follow
        from the terms' powers.

        .. math:: N'_{term} = R\,(1 + \alpha_N / \alpha_S)^{-\kappa}, \quad S'_{term} = R - N'_{term}

        Args:
            N_term: as in `compute_excess`.
            S_term: as in `compute_excess`.

        Returns:
            ``N' / N`` and ``S' / S`` [1]; nan where a term is not positive.

        Example:
            >>> n, s = FamilyLaw(0.076, 0.76).best_size(1.0, 0.02)
            >>> print(f"{n:.2f} times the parameters, {s:.2f} times the steps")
            2.70 times the parameters, 0.13 times the steps

        Source: Kaplan et al. 2020, arXiv:2001.08361, eqs. B.4, B.12, B.13.
        """
        n, s = self._log_best(N_term, S_term)
        return np.asarray(np.exp(n)), np.asarray(np.exp(s))

    def _log_best(self, N_term: ArrayLike, S_term: ArrayLike) -> tuple[FloatArray, FloatArray]:
        N, S = np.asarray(N_term, dtype=np.float64), np.asarray(S_term, dtype=np.float64)
        N, S = np.where(N > 0, N, np.nan), np.where(S > 0, S, np.nan)
        joined = np.log1p(S / N)  # of the loss, relative to the N-term; before they join that is divided by kappa
        own = np.expm1(joined / self.kappa)
        best = joined / self.kappa - math.log1p(self.alpha_N / self.alpha_S)  # of the N-term, before they join
        n = -best * self.kappa / self.alpha_N
        return n, (np.log(own * self.alpha_S / self.alpha_N) - best) * self.kappa / self.alpha_S
