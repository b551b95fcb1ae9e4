"""The best size at a compute, how flat the valley around it is, and the cheapest model over training and use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curvecast.laws.base import FloatArray
from curvecast.planning.laws import PlanLaw

VALLEY = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)
"""Sizes that a plan shows, over the best."""

COMPUTES = (1e6, 1e36)  # bounds of the search for the compute to a given size or length [FLOP]
_SIZES = np.geomspace(1e4, 1e15, 2201)


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to spend the compute.

    Args:
        num_params: N.
        num_tokens: D.
        flops: training compute, ``6 N D`` [FLOP].
        loss: expected [the law's unit].
        excess: by how much that is more than the least [1].
    """

    num_params: float
    num_tokens: float
    flops: float
    loss: float
    excess: float


def best_size(law: PlanLaw, flops: float, unique_tokens: float = math.inf) -> float:
    """Size of the least loss at a compute.

    Args:
        law: the law.
        flops: training compute [FLOP].
        unique_tokens: of the data set.

    Returns:
        Parameters.

    Example:
        >>> from curvecast.planning import law_of
        >>> print(f"{best_size(law_of('hoffmann'), 5.76e23):.1e}")
        4.0e+10
    """
    losses = law.loss(_SIZES, flops / (6 * _SIZES), unique_tokens)
    k = int(np.clip(np.nanargmin(losses), 1, len(_SIZES) - 2))
    fine = np.geomspace(_SIZES[k - 1], _SIZES[k + 1], 401)
    return float(fine[np.nanargmin(law.loss(fine, flops / (6 * fine), unique_tokens))])


def valley(law: PlanLaw, flops: float, unique_tokens: float = math.inf) -> tuple[Choice, ...]:
    """Choices around the best size at one compute: how flat the valley is.

    Args:
        law: the law.
        flops: training compute [FLOP].
        unique_tokens: of the data set.

    Returns:
        A row for each of `VALLEY`.

    Example:
        >>> from curvecast.planning import law_of
        >>> rows = valley(law_of("chinchilla"), 5.76e23)
        >>> [f"{row.num_params:.1e}: +{row.excess:.2%}" for row in rows[::3]]
        ['3.6e+10: +0.24%', '7.2e+10: +0.00%', '1.4e+11: +0.25%']
    """
    best = best_size(law, flops, unique_tokens)
    sizes = best * np.array(VALLEY)
    losses = np.asarray(law.loss(sizes, flops / (6 * sizes), unique_tokens))
    least = float(law.loss(best, flops / (6 * best), unique_tokens))
    rows = zip(sizes.tolist(), losses.tolist(), strict=True)
    return tuple(Choice(N, flops / (6 * N), flops, loss, loss / least - 1) for N, loss in rows)


def checked_valley(law: PlanLaw, C: float, U: float) -> tuple[Choice, ...]:
    """The valley, of which the best must not lie at the end of what is looked through: then it were not the best."""
    near = valley(law, C, U) if 1.01 * COMPUTES[0] < C < COMPUTES[1] / 1.01 else ()
    if not (near and 1.01 * _SIZES[0] < near[VALLEY.index(1.0)].num_params < _SIZES[-1] / 1.01):
        raise ValueError(
            f"The best size must lie between {_SIZES[0]:g} and {_SIZES[-1]:g} parameters: got one beyond, for "
            f"{C:.3g} FLOP. No law was fitted there: check the unit of what was given."
        )
    return near


def size_and_tokens(law: PlanLaw, C: float | None, N: float | None, D: float | None, U: float) -> tuple[float, float]:
    """Size and tokens: those given, else the best."""
    if N is not None and D is not None:
        return N, D
    if C is not None:
        N = N or (C / (6 * D) if D is not None else best_size(law, C, U))
        return N, C / (6 * N)
    low, high = COMPUTES  # for which what was given is the best
    for _ in range(60):
        middle = math.sqrt(low * high)
        size = best_size(law, middle, U)
        too_much = size > N if N is not None else middle / (6 * size) > (D or math.inf)
        low, high = (low, middle) if too_much else (middle, high)
    C = math.sqrt(low * high)
    if N is None:
        return C / (6 * (D or math.nan)), float(D or math.nan)
    return N, C / (6 * N)


def in_use(law: PlanLaw, loss: float, N: float, D: float, U: float, inference: float) -> dict[str, float]:
    """The cheapest model of this loss over training and use (Sardana et al. 2024), by any law."""
    sizes = N * np.geomspace(1 / 64, 4, 601)
    tokens = _tokens_to_reach(law, loss, sizes, U)
    reached = law.loss(sizes, tokens, U) <= loss * (1 + 1e-9)
    cost = np.where(reached, 6 * sizes * tokens + 2 * sizes * inference, np.inf)
    cheapest = int(np.argmin(cost))
    size, its_tokens = float(sizes[cheapest]), float(tokens[cheapest])
    as_planned = 6 * N * D + 2 * N * inference
    return {
        "num_params": size,
        "num_tokens": its_tokens,
        "training_flops": 6 * size * its_tokens,
        "inference_flops": 2 * size * inference,
        "saved": float(1 - cost[cheapest] / as_planned),
    }


def _tokens_to_reach(law: PlanLaw, loss: float, sizes: FloatArray, U: float) -> FloatArray:
    """``(n,)`` tokens on which models of ``(n,)`` sizes reach a loss; for those that never do, very many."""
    low, high = np.full(sizes.shape, 1e3), np.full(sizes.shape, 1e22)
    for _ in range(90):
        middle = np.sqrt(low * high)
        above = law.loss(sizes, middle, U) > loss
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high
