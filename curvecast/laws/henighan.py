"""Henighan et al. 2020: a power law over a floor, in whatever is scaled, for images, video, mathematics and text."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray, Law


def over_floor(theta: ArrayLike, x: ArrayLike) -> FloatArray:
    r"""Loss by size, compute or data, the other two being no limit.

    .. math:: L(x) = L_\infty + (x_0 / x)^{\alpha_x}

    ``L_inf`` is the entropy of the data, the rest what divides the model from it (the Kullback-Leibler divergence).

    Args:
        theta: ``L_inf`` [nats/token], ``x_0`` [unit of `x`], ``alpha_x`` [1].
        x: ``(T,)``: parameters, FLOP or tokens.

    Returns:
        ``(T,)``: loss [nats/token].

    Example:
        >>> over_floor((2.0, 100.0, 0.5), [1.0, 100.0]).tolist()
        [12.0, 3.0]

    Source: Henighan et al. 2020, arXiv:2010.14701, eq. 1.1.
    """
    L_inf, x_0, alpha = np.asarray(theta, dtype=np.float64)
    return np.asarray(L_inf + (x_0 / np.asarray(x, dtype=np.float64)) ** alpha)


def _over_floor_gradient(theta: ArrayLike, x: ArrayLike) -> FloatArray:
    _, x_0, alpha = np.asarray(theta, dtype=np.float64)
    ratio = x_0 / np.asarray(x, dtype=np.float64)
    above = ratio**alpha
    return np.stack([np.ones_like(above), alpha * above / x_0, above * np.log(ratio)], axis=-1)


def size_for(theta: ArrayLike, reducible: ArrayLike) -> FloatArray:
    """What it takes to come within `reducible` of the entropy of the data.

    Args:
        theta: as in `over_floor`.
        reducible: loss above the floor, > 0 [nats/token].

    Returns:
        ``x`` [its unit].

    Example:
        >>> size_for((2.0, 100.0, 0.5), [10.0, 1.0]).tolist()
        [1.0, 100.0]
    """
    _, x_0, alpha = np.asarray(theta, dtype=np.float64)
    return np.asarray(x_0 * np.asarray(reducible, dtype=np.float64) ** (-1 / alpha))


HENIGHAN = Law(
    name="Henighan L(x)",
    source="Henighan et al. 2020, arXiv:2010.14701, eq. 1.1",
    parameters=("L_inf", "x_0", "alpha_x"),
    loss=over_floor,
    gradient=_over_floor_gradient,
    example=((2.0, 1e4, 0.2), ((1e5, 1e7, 1e9),)),
)
