"""Hernandez et al. 2021: how many tokens of its own domain a pre-trained model's past is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray


@dataclass(frozen=True, slots=True)
class Transfer:
    r"""Effective data transferred, in characters.

    .. math:: D_T = k \, D_F^{\alpha} N^{\beta}

    It holds where data is short: a fine-tuning set of at most a tenth of what the model could use. Above, what was
    learnt before may hinder ("ossification").

    Args:
        k: scale [characters^(1 - alpha) * parameters^-beta].
        alpha: exponent in the fine-tuning set [1].
        beta: exponent in parameters [1].

    Example:
        >>> print(f"{TEXT_TO_PYTHON.transferred(3e5, 4e7):.1e} characters")
        1.4e+08 characters
        >>> print(f"{TEXT_TO_PYTHON.multiplier(3e5, 4e7):.0f} times as many as it has")
        476 times as many as it has

    Source: Hernandez et al. 2021, arXiv:2102.01293, eq. 1.1 and Table 1.
    """

    k: float
    alpha: float
    beta: float

    def transferred(self, D_F: ArrayLike, N: ArrayLike) -> FloatArray:
        """Characters that training from nothing would have needed on top of the fine-tuning set.

        Args:
            D_F: size of the fine-tuning set [characters].
            N: non-embedding parameters; broadcasts with `D_F`.

        Returns:
            ``D_T`` [characters].
        """
        return np.asarray(
            self.k * np.asarray(D_F, dtype=np.float64) ** self.alpha * np.asarray(N, dtype=np.float64) ** self.beta
        )

    def multiplier(self, D_F: ArrayLike, N: ArrayLike) -> FloatArray:
        """By how much pre-training multiplies the fine-tuning set.

        Args:
            D_F: size of the fine-tuning set [characters].
            N: non-embedding parameters.

        Returns:
            ``(D_F + D_T) / D_F`` [1].
        """
        return np.asarray(1 + self.transferred(D_F, N) / np.asarray(D_F, dtype=np.float64))


TEXT_TO_PYTHON = Transfer(k=1.9e4, alpha=0.18, beta=0.38)
"""Pre-trained on text, fine-tuned on Python."""

TEXT_AND_CODE_TO_PYTHON = Transfer(k=2.1e5, alpha=0.096, beta=0.38)
"""Pre-trained on half text, half other code."""
