"""The numbers of a prior that can be learnt, and how far each may be moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from curvecast.fit.prior import Prior


@dataclass(frozen=True, slots=True)
class Move:
    """One number of a prior.

    Args:
        name: The field, and the place in it where it is a grid.
        change: A prior of one size with that number moved by a distance.
        step: The first distance that is tried.
        spread: How far from the shipped number a team's is expected, as a standard deviation.
    """

    name: str
    change: Callable[[Prior, float], Prior]
    step: float
    spread: float

    def apply(self, prior: Prior, d: float) -> Prior:
        """The prior with that number moved by a distance, for large networks and for small ones alike."""
        large = self.change(prior, d)
        return large.with_small(self.change(prior.of_small(), d)) if prior.small else large


def scaled(field: str, step: float, spread: float) -> Move:
    """A number that is multiplied by ``exp(d)``."""
    return Move(field, lambda prior, d: _put(prior, field, getattr(prior, field) * math.exp(d)), step, spread)


def shifted(field: str, step: float, spread: float) -> Move:
    """A number that ``d`` is added to."""
    return Move(field, lambda prior, d: _put(prior, field, getattr(prior, field) + d), step, spread)


def probability(field: str, step: float, spread: float) -> Move:
    """A probability that is moved on the logit scale."""

    def change(prior: Prior, d: float) -> Prior:
        p = getattr(prior, field)
        return _put(prior, field, p if p in (0.0, 1.0) else 1.0 / (1.0 + (1.0 - p) / p * math.exp(-d)))

    return Move(field, change, step, spread)


def entry(field: str, i: int, step: float, spread: float) -> Move:
    """The ``i``-th point of a grid, multiplied by ``exp(d)``."""

    def change(prior: Prior, d: float) -> Prior:
        grid = list(getattr(prior, field))
        grid[i] = _round(grid[i] * math.exp(d))
        changed: dict[str, Any] = {field: tuple(grid)}
        return replace(prior, **changed)

    return Move(f"{field}[{i}]", change, step, spread)


# Not among them: the grids of annealing shapes and of the wander, and the spread of ``alpha``. They span how
# laboratories differ, of which two or three laboratories say nothing.
MOVES = (
    shifted("annealing_log_mean", 0.15, 0.5),
    shifted("alpha_log_mean", 0.15, 0.4),
    scaled("annealing_log_sd", 0.4, 0.8),
    scaled("annealing_sd", 0.4, 0.8),
    scaled("drop_error", 0.4, 0.8),
    scaled("reducible", 0.3, 0.6),
    scaled("reducible_sd", 0.3, 0.6),
    shifted("annealing_speed", 0.2, 0.4),
    scaled("drift_growth", 0.4, 0.8),
    entry("window", 1, 0.3, 0.6),
    entry("window", 2, 0.3, 0.6),
    entry("offset", 0, 0.06, 0.12),
    entry("offset", 1, 0.4, 0.8),
    shifted("converged", 0.05, 0.1),
    scaled("converged_sd", 0.3, 0.6),
    probability("sudden", 0.6, 1.2),
    scaled("sudden_until", 0.4, 0.8),
    shifted("sudden_size", 0.04, 0.08),
    scaled("sudden_sd", 0.3, 0.6),
)


def is_sound(prior: Prior) -> bool:
    """Whether the grids of a prior are in order, and nothing has left its range."""
    return _is_sound(prior) and (not prior.small or _is_sound(prior.of_small()))


def _is_sound(prior: Prior) -> bool:
    ordered = all(a < b for grid in (prior.window, prior.drift) for a, b in pairwise(grid))
    within = prior.window[-1] <= 0.5 and min(prior.offset) > -0.97
    sudden = 0.0 <= prior.sudden < 0.8 and prior.sudden_until < 0.7 and prior.sudden_size > 0.0
    return ordered and within and sudden and prior.annealing_shares().max() < 0.5


def _put(prior: Prior, field: str, value: float) -> Prior:
    changed: dict[str, Any] = {field: _round(value)}
    return replace(prior, **changed)


def _round(value: float) -> float:
    return float(f"{value:.4g}")
