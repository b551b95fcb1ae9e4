"""OpenAI 2023, GPT-4 technical report: the last loss of a training run by its compute.

The report foretold it from runs of at most a ten-thousandth of the compute. Its constants are not public.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray, Law


def loss_of_compute(theta: ArrayLike, C: ArrayLike) -> FloatArray:
    r"""Last loss of the best-sized run of a family by its compute.

    .. math:: L(C) = a C^b + c

    Args:
        theta: ``a`` [nats/token * C^-b], ``b`` [1], negative, ``c`` [nats/token]: the irreducible loss.
        C: ``(T,)``: compute, in any unit: the report's is the share of GPT-4's own.

    Returns:
        ``(T,)``: loss [nats/token].

    Example:
        >>> loss_of_compute((0.5, -0.5, 1.0), [1e-4, 1.0]).tolist()
        [51.0, 1.5]

    Source: OpenAI 2023, GPT-4 technical report, arXiv:2303.08774, section 3.1.
    """
    a, b, c = np.asarray(theta, dtype=np.float64)
    return np.asarray(a * np.asarray(C, dtype=np.float64) ** b + c)


def _gradient(theta: ArrayLike, C: ArrayLike) -> FloatArray:
    a, b, _ = np.asarray(theta, dtype=np.float64)
    C = np.asarray(C, dtype=np.float64)
    power = C**b
    return np.stack([power, a * power * np.log(C), np.ones_like(power)], axis=-1)


GPT4 = Law(
    name="GPT-4 L(C)",
    source="OpenAI 2023, arXiv:2303.08774, section 3.1",
    parameters=("a", "b", "c"),
    loss=loss_of_compute,
    gradient=_gradient,
    example=((0.3, -0.07, 1.1), ((1e-10, 1e-6, 1e-4, 0.5),)),
)
