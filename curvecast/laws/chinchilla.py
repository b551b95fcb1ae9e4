"""Hoffmann et al. 2022, "Chinchilla": the loss by size and data, and how to split compute between them.

`N` counts all parameters, embeddings included (Kaplan leaves them out), and compute is ``C = 6 N D`` in FLOP.
The paper's `A`, `B`, `alpha`, `beta`, `E` are ``A_N``, ``A_D``, ``alpha_N``, ``alpha_S`` and ``irreducible_loss`` here:
`B` is the batch everywhere else, and on a fixed batch the exponent in tokens is the one in steps.

Three sets of constants, of which `EPOCH` is the one to plan with: at the compute of Chinchilla itself, 5.76e23 FLOP,
it gives 18 tokens a parameter, the paper's printed constants 93, and those of the paper's source 59.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FamilyLaw, FloatArray, Law

_PAPER = "Hoffmann et al. 2022, arXiv:2203.15556"
_REFIT = "Besiroglu et al. 2024, arXiv:2404.10102"


@dataclass(frozen=True, slots=True)
class Chinchilla(FamilyLaw):
    r"""The parametric law, with the constants of Besiroglu et al. (Epoch) unless others are given.

    .. math:: L(N, D) = L_\infty + A_N N^{-\alpha_N} + A_D D^{-\alpha_S}

    Args:
        alpha_N: exponent in parameters; the paper's alpha [1].
        alpha_S: exponent in tokens; the paper's beta [1].
        irreducible_loss: the paper's E [nats/token].
        A_N: the paper's A [nats/token * parameters^alpha_N].
        A_D: the paper's B [nats/token * tokens^alpha_S].

    Raises:
        ValueError: if an exponent is not positive.

    Example:
        >>> N, D = Chinchilla().best(5.76e23)
        >>> print(f"{N:.1e} parameters, {D:.2e} tokens, {Chinchilla().loss(N, D):.3f} nats/token")
        7.2e+10 parameters, 1.33e+12 tokens, 1.974 nats/token

    Source: Hoffmann et al. 2022, arXiv:2203.15556, eqs. 2 to 4; constants of Besiroglu et al. 2024, arXiv:2404.10102.
    """

    alpha_N: float = 0.3478
    alpha_S: float = 0.3658
    irreducible_loss: float = 1.8169
    A_N: float = 482.01
    A_D: float = 2085.43
    kappa: float = field(default=1.0, init=False)  # both terms are added

    name: ClassVar[str] = "Chinchilla"
    source: ClassVar[str] = f"{_PAPER}, eqs. 2 to 4; {_REFIT}"

    def loss(self, N: ArrayLike, D: ArrayLike) -> FloatArray:
        """Loss of `N` parameters after `D` tokens, at the end of a decay that was planned for them.

        Args:
            N: all parameters.
            D: tokens, each seen once; ``inf`` for data without end. Broadcasts with `N`.

        Returns:
            Loss [nats/token].
        """
        return size_and_tokens((self.irreducible_loss, self.A_N, self.alpha_N, self.A_D, self.alpha_S), N, D)

    @property
    def G(self) -> float:
        """``(alpha A / (beta B))^(1 / (alpha + beta))``: what the frontier's formulas share."""
        ratio = self.alpha_N * self.A_N / (self.alpha_S * self.A_D)
        return float(ratio ** (1 / (self.alpha_N + self.alpha_S)))

    def best(self, C: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Size and tokens of the least loss for compute, eq. 4.

        Args:
            C: training compute [FLOP].

        Returns:
            Parameters and tokens, each shaped as `C`.

        Example:
            >>> [f"{x:.1e}" for x in HOFFMANN.best(5.76e23)]
            ['4.0e+10', '2.4e+12']
        """
        product = np.asarray(C, dtype=np.float64) / 6
        both = self.alpha_N + self.alpha_S
        return np.asarray(self.G * product ** (self.alpha_S / both)), np.asarray(
            product ** (self.alpha_N / both) / self.G
        )

    def best_tokens(self, N: ArrayLike) -> FloatArray:
        """Tokens for which `N` parameters are the best size.

        Example:
            >>> print(f"{Chinchilla().best_tokens(7e10):.2e}")
            1.29e+12
        """
        ratio = self.alpha_N / self.alpha_S
        return np.asarray(self.G ** -(1 + ratio) * np.asarray(N, dtype=np.float64) ** ratio)

    def compute_for(self, loss: ArrayLike) -> FloatArray:
        """Least compute that reaches a loss.

        Args:
            loss: above the irreducible one [nats/token].

        Returns:
            Compute [FLOP]; inf where the loss cannot be reached.

        Example:
            >>> law = Chinchilla()
            >>> print(f"{law.compute_for(law.loss(*law.best(1e21))):.2e}")
            1.00e+21

        Source: derived from eq. 4, as Epoch's refit does (arXiv:2404.10102).
        """
        above = np.asarray(loss, dtype=np.float64) - self.irreducible_loss
        terms = self.A_N * self.G**-self.alpha_N + self.A_D * self.G**self.alpha_S
        exponent = -(self.alpha_N + self.alpha_S) / (self.alpha_N * self.alpha_S)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(above > 0, 6 * (above / terms) ** exponent, np.inf))


HOFFMANN_ROUNDED = Chinchilla(alpha_N=0.34, alpha_S=0.28, irreducible_loss=1.69, A_N=406.4, A_D=410.7)
"""As the paper prints them. Too coarse to plan with: 93 tokens a parameter at 5.76e23 FLOP."""

HOFFMANN = Chinchilla(
    alpha_N=0.33917084,
    alpha_S=0.2849083,
    irreducible_loss=float(np.exp(0.5267228)),
    A_N=float(np.exp(6.0073404)),
    A_D=float(np.exp(6.0179186)),
)
"""As the paper's LaTeX source has them, by way of Epoch's notebook."""

EPOCH = Chinchilla()
"""Besiroglu et al. 2024: the same 240 runs fitted again, 5 outliers left out."""

EPOCH_INTERVALS = {
    "irreducible_loss": (1.769, 1.871),
    "A_N": (285.2, 743.6),
    "alpha_N": (0.317, 0.373),
    "A_D": (1042.4, 5810.3),
    "alpha_S": (0.331, 0.415),
}
"""95 % intervals of `EPOCH`, from 4,000 bootstraps of its authors (arXiv:2404.10102)."""


def size_and_tokens(theta: ArrayLike, N: ArrayLike, D: ArrayLike) -> FloatArray:
    """The law with constants of one's own.

    Args:
        theta: ``E`` [nats/token], ``A_N``, ``alpha_N``, ``A_D``, ``alpha_D``.
        N: parameters.
        D: tokens; broadcasts with `N`.

    Returns:
        Loss [nats/token].

    Example:
        >>> size_and_tokens((2.0, 1.0, 0.5, 3.0, 0.5), 4.0, [9.0, 36.0]).tolist()
        [3.5, 3.0]
    """
    E, A_N, alpha_N, A_D, alpha_D = np.asarray(theta, dtype=np.float64)
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    return np.asarray(E + A_N * N**-alpha_N + A_D * D**-alpha_D)


def _size_and_tokens_gradient(theta: ArrayLike, N: ArrayLike, D: ArrayLike) -> FloatArray:
    _, A_N, alpha_N, A_D, alpha_D = np.asarray(theta, dtype=np.float64)
    N, D = np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64)
    x, y = N**-alpha_N, D**-alpha_D
    columns = (np.ones(()), x, -A_N * x * np.log(N), y, -A_D * y * np.log(D))
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


CHINCHILLA = Law(
    name="Chinchilla L(N, D)",
    source=f"{_PAPER}, eq. 2",
    parameters=("E", "A_N", "alpha_N", "A_D", "alpha_D"),
    loss=size_and_tokens,
    gradient=_size_and_tokens_gradient,
    example=((1.8169, 482.01, 0.3478, 2085.43, 0.3658), ((1e8, 1e9, 7e10), (2e9, 2e10, 1.4e12))),
)
