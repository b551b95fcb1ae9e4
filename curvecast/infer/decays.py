"""Decaying learning rates as a table of plans, fitted all at once. Private to `curvecast.infer`.

Time is in units of what was seen: 0 at the end of the warm-up, 1 now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Literal

import numpy as np

from curvecast.schedule.knots import FloatArray

Shape = Literal["linear", "cosine", "sqrt", "exponential", "inverse sqrt"]
_ENDLESS: tuple[Shape, ...] = ("exponential", "inverse sqrt")  # these have a time scale in place of an end
_ROUNDS = 2  # Gauss-Newton steps: few suffice, as the search begins at a plan through the last point
_LATEST = 1000.0  # an end this many times as far as the log is no end
_EARLIEST = -0.1  # earliest start of a decay: a sparse log shows the end of the warm-up late


@dataclass(frozen=True, slots=True)
class Points:
    """The LR to be explained.

    Args:
        x: ``(n,)`` times.
        y: ``(n,)`` relative LRs, about 1 at the peak.
        weight: ``(n,)`` one over the variance of each, times its share in the number of independent ones.
    """

    x: FloatArray
    y: FloatArray
    weight: FloatArray


@dataclass(frozen=True, slots=True)
class Plan:
    """One supposed schedule: peak until `start`, a fall to `floor` at `end`, then the floor.

    Args:
        shape: of the fall.
        start: time at which the fall begins.
        end: time at which it ends; of an endless shape ``end - start`` is its time scale.
        floor: relative LR at the end.
        free: which of start, end, floor are to be fitted; what is given of them is where the search begins.
        prior: logarithm of the prior weight.
    """

    shape: Shape
    start: float
    end: float
    floor: float
    free: tuple[bool, bool, bool] = (False, False, False)
    prior: float = 0.0

    @property
    def is_endless(self) -> bool:
        """Whether the LR falls for ever."""
        return self.shape in _ENDLESS

    def delayed(self, by: float) -> Plan:
        """The same plan, later by so much of its time."""
        return replace(self, start=self.start + by, end=self.end + by) if by else self

    def lr(self, x: FloatArray) -> FloatArray:
        """``(n,)``: relative LR at times `x`."""
        u = (x - self.start) / (self.end - self.start)
        return self.floor + (1.0 - self.floor) * _fall(self.shape, _within(self.shape, u))


def through(shape: Shape, floor: float, x: float, y: float, *, start: float | None, end: float | None) -> float:
    """The end (or, where that is given, the start) of the plan that goes through the point `x`, `y`.

    Args:
        shape: of the fall.
        floor: relative LR at the end.
        x: time of the point.
        y: its relative LR.
        start: time at which the fall begins, or None to ask for it.
        end: time at which it ends, or None to ask for it.

    Example:
        >>> through("linear", 0.0, 1.0, 0.75, start=0.0, end=None)
        4.0
    """
    left = min(max((y - floor) / (1.0 - floor), 0.01), 0.999)  # of the fall
    u = _share_of_time(shape, left)
    if start is not None:
        return start + max(x - start, 1e-3) / u
    assert end is not None
    return (x - u * end) / (1.0 - u) if u < 1.0 else 0.0


def _share_of_time(shape: Shape, left: float) -> float:
    """When so much of a fall is left: as a share of its time, or in its unit of time where it never ends."""
    if shape == "linear":
        return 1.0 - left
    if shape == "cosine":
        return math.acos(2.0 * left - 1.0) / math.pi
    if shape == "sqrt":
        return (1.0 - left) ** 2
    return -math.log(left) if shape == "exponential" else left**-2 - 1.0


def fit(plans: Iterable[Plan], points: Points) -> tuple[list[Plan], FloatArray]:
    """Least squares for the free parameters of every plan, in one batch of damped Gauss-Newton steps.

    Args:
        plans: at least one; which of their parameters are free may differ.
        points: the LR to be explained.

    Returns:
        The plans as fitted, those of a shape together, and ``(K,)`` the weighted square of what they leave.
    """
    plans = sorted(plans, key=lambda plan: plan.shape)
    groups = _groups(plans)
    p = np.array([(plan.start, plan.end, plan.floor) for plan in plans])
    free = np.array([plan.free for plan in plans])
    best, least = p, np.full(len(plans), np.inf)
    for rounds_to_go in reversed(range(_ROUNDS + 1 if free.any() else 1)):
        u = (points.x - p[:, :1]) / (p[:, 1:2] - p[:, :1])
        fall = np.concatenate([_fall(shape, _within(shape, u[rows])) for shape, rows in groups])
        left = points.y - p[:, 2:] - (1.0 - p[:, 2:]) * fall
        missed = left**2 @ points.weight
        best = np.where((missed < least)[:, None], p, best)
        least = np.minimum(missed, least)
        if rounds_to_go:
            jacobian = _jacobian(groups, p, u, fall) * free[:, :, None]
            p = np.where(free, _stepped(p, left, jacobian, points.weight), p)
    fitted = zip(plans, best.tolist(), strict=True)
    return [Plan(plan.shape, start, end, floor, plan.free, plan.prior) for plan, (start, end, floor) in fitted], least


def _groups(plans: list[Plan]) -> list[tuple[Shape, slice]]:
    """The rows of each shape, in plans sorted by it."""
    counts = [(shape, len(list(group))) for shape, group in groupby(plan.shape for plan in plans)]
    ends = accumulate(count for _, count in counts)
    return [(shape, slice(end - count, end)) for (shape, count), end in zip(counts, ends, strict=True)]


def _jacobian(groups: list[tuple[Shape, slice]], p: FloatArray, u: FloatArray, fall: FloatArray) -> FloatArray:
    """Derivatives of the LRs by start, end and floor ``(K, 3, n)``."""
    slope = np.empty_like(u)
    for shape, rows in groups:
        v = _within(shape, u[rows])
        slope[rows] = _slope(shape, v) * (v == u[rows])  # flat before the start and after the end
    slope *= (1.0 - p[:, 2:]) / (p[:, 1:2] - p[:, :1])
    jacobian = np.empty((len(p), 3, u.shape[1]))
    np.multiply(slope, u - 1.0, out=jacobian[:, 0])
    np.multiply(slope, -u, out=jacobian[:, 1])
    np.subtract(1.0, fall, out=jacobian[:, 2])
    return jacobian


def _stepped(p: FloatArray, left: FloatArray, jacobian: FloatArray, weight: FloatArray) -> FloatArray:
    weighted = jacobian * weight
    normal = weighted @ jacobian.transpose(0, 2, 1)
    diagonal = np.einsum("kii->ki", normal)  # a view: a hint of damping keeps what nothing tells where it is
    diagonal += 1e-6 * diagonal + 1e-6
    step = np.linalg.solve(normal, weighted @ left[:, :, None])[:, :, 0]
    reach = 0.5 * (p[:, 1] - p[:, 0])
    start = np.clip(p[:, 0] + np.clip(step[:, 0], -reach, reach), _EARLIEST, 1.0)
    end = np.clip(p[:, 1] + np.clip(step[:, 1], -reach, reach), start + 1e-3, _LATEST)
    return np.stack([start, end, np.clip(p[:, 2] + step[:, 2], 0.0, 0.98)], axis=1)


def _within(shape: Shape, u: FloatArray) -> FloatArray:
    """The share of the fall that is over, no less than 0 and no more than 1 where there is an end."""
    v = np.maximum(u, 0.0)
    return v if shape in _ENDLESS else np.minimum(v, 1.0)


def _fall(shape: Shape, v: FloatArray) -> FloatArray:
    """How much of the peak is left, from 1 to 0."""
    if shape == "linear":
        return 1.0 - v
    if shape == "cosine":
        return 0.5 + 0.5 * np.cos(np.pi * v)
    if shape == "sqrt":
        return 1.0 - np.sqrt(v)
    return np.exp(-v) if shape == "exponential" else (1.0 + v) ** -0.5


def _slope(shape: Shape, v: FloatArray) -> FloatArray:
    """The derivative of `_fall`."""
    if shape == "linear":
        return np.full_like(v, -1.0)
    if shape == "cosine":
        return -0.5 * np.pi * np.sin(np.pi * v)
    if shape == "sqrt":
        return -0.5 / np.maximum(np.sqrt(v), 0.03)  # infinite at its start, where no step should follow it
    return -np.exp(-v) if shape == "exponential" else -0.5 * (1.0 + v) ** -1.5
