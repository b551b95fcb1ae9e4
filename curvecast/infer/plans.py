"""The schedules that runs are trained with, and how common each is. Private to `curvecast.infer`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvecast.infer.decays import Plan, Points, Shape, through
from curvecast.infer.logged import INDEPENDENT, VISIBLE, Log
from curvecast.infer.stairs import Stairs
from curvecast.schedule.knots import FloatArray

# What a run of unknown make is trained with. Cosine has been the default of language-model training since GPT-3,
# WSD is what many recent runs use, a constant LR what small runs and debugging use; the rest is met in older code.
# Assumptions, not counts: as soon as a decay is visible the log outvotes them.
KINDS = {
    "cosine": 0.35,
    "wsd": 0.25,
    "constant": 0.15,
    "linear": 0.15,
    "step": 0.04,
    "exponential": 0.03,
    "inverse sqrt": 0.03,
    "as logged": 0.02,
}
# Share of the run that the decay of a WSD takes: 10 % in MiniCPM (Hu et al. 2024), 20 % in Hägele et al. 2024,
# 30 to 70 % in speed runs. Until it begins nothing else is known of it.
WSD_DECAYS = {0.1: 0.25, 0.2: 0.35, 0.3: 0.2, 0.4: 0.2}
WSD_SHAPES: dict[Shape, float] = {"linear": 0.6, "sqrt": 0.15, "cosine": 0.15, "exponential": 0.1}
# Decays go to 0 (torch's default) or to a tenth of the peak (GPT-3, Chinchilla, nanoGPT).
FLOORS = {0.0: 0.5, 0.1: 0.3}
OTHER_FLOOR = 0.2
ENDS_AT_HORIZON = 0.9  # else the plan ends before it (nanoGPT's lr_decay_iters), or the run is to be cut short
MILESTONES = (0.5, 0.75)  # where MultiStepLR is usually told to drop [of the run]
MILESTONE_FACTOR = 0.1  # torch's default
# After a drop none may follow, or one after the same time again, or one at the next milestone.
AFTER_A_DROP = {"held": 0.4, "regular": 0.35, "milestones": 0.25}

PER_PARAMETER = 0.5 * math.log(INDEPENDENT)  # what a parameter costs, as in the BIC
_NEAR = 0.03  # a drop this close to a milestone is taken for it [of the run]
_MOST_DROPS = 100  # if more drops than this are to come, they are a smooth decay


@dataclass(frozen=True, slots=True)
class Drops:
    """Jumps of the LR supposed to come.

    Args:
        steps: ``(m,)`` first step after each.
        lr: ``(m,)`` relative LR from there on.
        score: logarithm of the prior weight, less the price of its parameters.
    """

    steps: FloatArray
    lr: FloatArray
    score: float


def smooth_plans(log: Log, points: Points, *, has_landed: bool) -> Iterator[Plan]:
    """Every smooth plan to try.

    Args:
        log: what was seen.
        points: the same, as `curvecast.infer.decays.fit` will have it.
        has_landed: whether the LR has fallen and is constant now.
    """
    yield Plan("linear", 0.0, 1.0, 1.0, prior=math.log(KINDS["constant"]))
    # Noam: the square root of warm-up over step, which is 1 at the end of the warm-up.
    yield Plan("inverse sqrt", 0.0, log.warm / log.span, 0.0, prior=math.log(KINDS["inverse sqrt"]))
    if log.horizon is not None:
        yield from _round_plans(log, log.horizon)
    if points.y.min() < 1.0 - VISIBLE:
        yield from _measured_plans(log, points, has_landed)


def _round_plans(log: Log, horizon: float) -> Iterator[Plan]:
    """Plans that end at the horizon, with nothing left to measure."""
    end = max(log.time(horizon), 1e-3)
    shapes: tuple[Shape, ...] = ("linear", "cosine")
    for shape in shapes:
        for floor, weight in FLOORS.items():
            yield Plan(shape, 0.0, end, floor, prior=math.log(KINDS[shape] * ENDS_AT_HORIZON * weight))
    for share, weight in WSD_DECAYS.items():
        start = log.time(horizon * (1.0 - share))
        if start > 0.0:
            yield Plan("linear", start, end, 0.0, prior=math.log(KINDS["wsd"] * weight))


def _measured_plans(log: Log, points: Points, has_landed: bool) -> Iterator[Plan]:
    """Plans whose start, end or floor is read off the log, in every combination that it can tell apart."""
    ends: list[tuple[float | None, float]] = [(None, 1.0)]
    if log.horizon is not None:
        ends = [(max(log.time(log.horizon), 1.0), ENDS_AT_HORIZON), (None, 1.0 - ENDS_AT_HORIZON)]
    fall = _fall_seen(points, has_landed)
    for shape, starts_at_once, weight in _STARTS:
        for end, of_end in ends:
            for floor, of_floor in [*FLOORS.items(), (None, OTHER_FLOOR)]:
                free = (not starts_at_once, end is None, floor is None)
                if _is_known(shape, free, has_landed):
                    yield _begun(shape, end, floor, free, fall, weight * of_end * of_floor)
    for shape, starts_at_once, weight in _ENDLESS_STARTS:
        yield _begun(shape, None, 0.0, (not starts_at_once, True, False), fall, weight)


# Shape, whether it falls from the end of the warm-up on, prior weight.
_STARTS: tuple[tuple[Shape, bool, float], ...] = (
    ("linear", True, KINDS["linear"]),
    ("cosine", True, KINDS["cosine"]),
    ("linear", False, KINDS["wsd"] * WSD_SHAPES["linear"]),
    ("cosine", False, KINDS["wsd"] * WSD_SHAPES["cosine"]),
    ("sqrt", False, KINDS["wsd"] * WSD_SHAPES["sqrt"]),
)
_ENDLESS_STARTS: tuple[tuple[Shape, bool, float], ...] = (
    ("exponential", True, KINDS["exponential"]),
    ("exponential", False, KINDS["wsd"] * WSD_SHAPES["exponential"]),
    ("inverse sqrt", False, 0.3 * KINDS["inverse sqrt"]),  # T5 holds its peak first; most do not
)


def _is_known(shape: Shape, free: tuple[bool, bool, bool], has_landed: bool) -> bool:
    """Whether there is something to fit, and the log can tell it: on its way down a line shows no floor."""
    start, end, floor = free
    if has_landed or not floor:
        return any(free)
    return not end or (shape == "cosine" and not start)


@dataclass(frozen=True, slots=True)
class _Fall:
    """What is seen of a fall: where it begins, a point that it goes through, and a guess of its floor."""

    onset: float
    x: float
    y: float
    floor: float


def _fall_seen(points: Points, has_landed: bool) -> _Fall:
    """The fall as far as the last point or, where it is over, down to its middle."""
    y = points.y
    at = int(np.argmin(np.abs(y - (1.0 + y[-1]) / 2.0))) if has_landed else len(y) - 1
    before = max(int(np.argmax(y < 1.0 - VISIBLE)) - 1, 0)
    floor = min(float(y[-1]), 0.9) * (1.0 if has_landed else 0.5)
    return _Fall(float(points.x[before]), float(points.x[at]), float(y[at]), floor)


def _begun(
    shape: Shape, end: float | None, floor: float | None, free: tuple[bool, bool, bool], fall: _Fall, weight: float
) -> Plan:
    """The plan where its search begins."""
    low, start = fall.floor if floor is None else floor, fall.onset if free[0] else 0.0
    if end is None:
        end = through(shape, low, fall.x, fall.y, start=start, end=None)
    elif free[0]:
        start = min(max(through(shape, low, fall.x, fall.y, start=None, end=end), 0.0), 0.99)
    return Plan(shape, start, end, low, free, math.log(weight))


def drops_to_come(log: Log, stairs: Stairs | None) -> Iterator[Drops]:
    """How an LR that falls in jumps, or may do so, goes on."""
    prior = math.log(KINDS["step"])
    if stairs is None:
        if log.horizon is not None and MILESTONES[0] * log.horizon + 1.0 > log.now:
            steps = log.horizon * np.array(MILESTONES) + 1.0
            yield Drops(np.ceil(steps), MILESTONE_FACTOR ** np.arange(1.0, len(steps) + 1.0), prior)
        return
    cost = {"held": 2.0 * (stairs.count - 1), "regular": 2.0, "milestones": 1.0}
    for way, (steps, lr) in _ways_down(log, stairs).items():
        yield Drops(np.ceil(steps), lr, prior + math.log(AFTER_A_DROP[way]) - cost[way] * PER_PARAMETER)


def _ways_down(log: Log, stairs: Stairs) -> dict[str, tuple[FloatArray, FloatArray]]:
    ways = {"held": (np.empty(0), np.empty(0))}
    level, last = float(stairs.level[-1]), float(stairs.end[-2] + stairs.start[-1]) / 2.0
    ahead = 2.0 * log.now if log.horizon is None else log.horizon
    due = float(stairs.start[-1]) + stairs.spacing > log.now
    if stairs.is_regular and due and (ahead - last) / stairs.spacing < _MOST_DROPS:
        steps = np.maximum(np.arange(last + stairs.spacing, ahead, stairs.spacing), log.now + 1.0)
        ways["regular"] = steps, level * stairs.factor ** np.arange(1.0, len(steps) + 1.0)
    if log.horizon is not None and stairs.count == len(MILESTONES):
        early, late = (share * log.horizon for share in MILESTONES)
        unseen = float(stairs.start[-1] - stairs.end[-2])  # a drop may have come since the last sample, or next to it
        if abs(last - early) < _NEAR * log.horizon and late + unseen > log.now:
            ways["milestones"] = np.array([max(late, log.now + 1.0)]), np.array([level * stairs.factor])
    return ways
