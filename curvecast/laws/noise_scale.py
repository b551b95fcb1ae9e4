r"""The gradient noise scale: how large a batch still pays, measured from gradients of two batch sizes.

Source: McCandlish et al. 2018, arXiv:1812.06162, section 2.2 and appendix A.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FamilyLaw, FloatArray
from curvecast.laws.kaplan import Kaplan


def noise_and_signal(
    small_square: ArrayLike, big_square: ArrayLike, small_batch: ArrayLike, big_batch: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    r"""Trace of the gradient's covariance, and the squared norm of the true gradient, without bias.

    .. math:: S = \frac{|G_{small}|^2 - |G_{big}|^2}{1/B_{small} - 1/B_{big}}, \quad
              |G|^2 = \frac{B_{big} |G_{big}|^2 - B_{small} |G_{small}|^2}{B_{big} - B_{small}}

    Either may come out negative from one pair of norms; their means may be trusted, and their ratio is biased.

    Args:
        small_square: ``(n,)``: squared norm of the mean gradient over a small batch.
        big_square: ``(n,)``: over a big one.
        small_batch: its size [tokens, or any unit].
        big_batch: its size, above `small_batch` [the same unit].

    Returns:
        ``(n,)`` each: trace of the covariance of one token's gradient, squared norm of the gradient.

    Raises:
        ValueError: if a batch is not positive, or the big one not the larger.

    Example:
        >>> noise, signal = noise_and_signal(4.0 + 100.0 / 10, 4.0 + 100.0 / 50, 10, 50)
        >>> noise.item(), signal.item()
        (100.0, 4.0)

    Source: McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.
    """
    small, big = np.asarray(small_batch, dtype=np.float64), np.asarray(big_batch, dtype=np.float64)
    if not np.all((small > 0.0) & (small < big) & (big < np.inf)):
        raise ValueError(
            "`big_batch` must be larger than `small_batch`, and both positive and finite: "
            f"got {big.tolist()} and {small.tolist()}. "
            "Pass the batch of one micro-batch or process, and that of the whole step."
        )
    of_small, of_big = np.asarray(small_square, dtype=np.float64), np.asarray(big_square, dtype=np.float64)
    noise = (of_small - of_big) / (1.0 / small - 1.0 / big)
    signal = (big * of_big - small * of_small) / (big - small)
    return np.asarray(noise), np.asarray(signal)


class NoiseScale:
    """The gradient noise scale of a run, from the squared norms of its gradients.

    Noise and signal are averaged apart, with the same exponential memory, so that its start drops out, and divided
    last. The simple noise scale, their ratio, takes the curvature to be the same in all directions; the critical batch
    that a trade-off of steps against tokens shows is of its order of magnitude, not its equal.

    Args:
        memory: share that is kept of the past at each step.

    Raises:
        ValueError: if `memory` lies outside (0, 1).

    Example:
        >>> scale = NoiseScale()
        >>> rng = np.random.default_rng(0)
        >>> def norm(batch):  # of the mean of `batch` gradients in 500 dimensions, true norm 1, noise scale 2000
        ...     return float(np.sum((500**-0.5 + rng.normal(size=500) * 2.0 * batch**-0.5) ** 2))
        >>> for step in range(500):
        ...     scale.update(norm(64), norm(512), 64, 512)
        >>> round(scale.batch, -2)
        1900.0

    Source: McCandlish et al. 2018, arXiv:1812.06162; the averaging as in EleutherAI's gpt-neox,
    megatron/gradient_noise_scale.
    """

    def __init__(self, *, memory: float = 0.99) -> None:
        if not 0.0 < memory < 1.0:
            raise ValueError(f"`memory` must lie inside (0, 1): got {memory}. Pass 0.99 to average over 100 steps.")
        self.memory = memory
        self._noise = self._signal = 0.0

    def update(
        self, small_square: float, big_square: float, small_batch: float, big_batch: float, steps: int = 1
    ) -> None:
        """Take in squared norms; those that are not finite are left out.

        Args:
            small_square: as in `noise_and_signal`, or its mean over `steps`.
            big_square: likewise.
            small_batch: as in `noise_and_signal`.
            big_batch: likewise.
            steps: how many optimizer steps the norms are the mean of.

        Raises:
            ValueError: if a batch is not positive, or the big one not the larger, or `steps` below 1.
        """
        noise, signal = (float(each) for each in noise_and_signal(small_square, big_square, small_batch, big_batch))
        if not steps >= 1:
            raise ValueError(f"`steps` must be at least 1: got {steps}. Pass how many steps the norms are the mean of.")
        if not (math.isfinite(noise) and math.isfinite(signal)):
            return
        kept = self.memory**steps
        self._noise = kept * self._noise + (1.0 - kept) * noise
        self._signal = kept * self._signal + (1.0 - kept) * signal

    @property
    def batch(self) -> float | None:
        """The noise scale, in the unit of the batches; ``None`` until noise and signal are both positive."""
        return self._noise / self._signal if self._noise > 0.0 and self._signal > 0.0 else None

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"noise": self._noise, "signal": self._signal}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self._noise, self._signal = float(state["noise"]), float(state["signal"])


@dataclass(frozen=True, slots=True)
class Measured(FamilyLaw):
    """A law whose critical batch was measured at one loss; how it moves with the loss stays the law's own.

    Args:
        alpha_N: as in the law.
        alpha_S: likewise.
        irreducible_loss: likewise.
        law: the law.
        critical_batch: measured, such as ``NoiseScale.batch`` [tokens].
        at_loss: the loss at which it was [nats/token].

    Example:
        >>> law = Measured.of(Kaplan(), critical_batch=1e5, at_loss=4.0)
        >>> law.step_factor(4.0, 1e5), round(law.step_factor(3.0, 1e5) - 1.0, 2)
        (2.0, 3.94)

    Source: Kaplan et al. 2020, arXiv:2001.08361, eqs. 5.3 and 5.4; McCandlish et al. 2018, arXiv:1812.06162.
    """

    alpha_N: float = Kaplan().alpha_N
    alpha_S: float = Kaplan().alpha_S
    irreducible_loss: float = 0.0
    law: FamilyLaw = field(default_factory=Kaplan)
    critical_batch: float = 1e6
    at_loss: float = 3.0

    name: ClassVar[str] = "measured critical batch"
    source: ClassVar[str] = "McCandlish et al. 2018, arXiv:1812.06162, and the law's own"

    @classmethod
    def of(cls, law: FamilyLaw, critical_batch: float, at_loss: float) -> Measured:
        """The law with its critical batch as measured."""
        return cls(law.alpha_N, law.alpha_S, law.irreducible_loss, law, critical_batch, at_loss, kappa=law.kappa)

    def step_factor(self, loss: float, batch: float) -> float:
        """``S / S_min = 1 + B_crit(L) / B``; a law without a critical batch has it the same at every loss."""
        here, there = (self.law.step_factor(at, batch) - 1.0 for at in (loss, self.at_loss))
        return 1.0 + (here / there if there > 0.0 else 1.0) * self.critical_batch / batch
