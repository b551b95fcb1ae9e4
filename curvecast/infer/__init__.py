"""Which schedules a logged learning rate may belong to: what it was, what it may become, and how likely that is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curvecast.infer.decays import Plan, Points, fit
from curvecast.infer.logged import INDEPENDENT, TOLERANCE, VISIBLE, Log, clean, points_of, read
from curvecast.infer.plans import KINDS, PER_PARAMETER, Drops, drops_to_come, smooth_plans
from curvecast.infer.stairs import Stairs, find_stairs, straighten
from curvecast.schedule import Schedule
from curvecast.schedule.knots import FloatArray

__all__ = ["PossibleSchedule", "infer_schedule"]

MAX_POSSIBLE = 6
_MISFIT = 25.0  # a plan that misses the log by more standard errors than this explains it no better than none at all
_HOPELESS = 7.0  # a guess whose log-weight lies this far below the best one's is dropped
_UNLIKELY = 0.02  # in the end, futures with a smaller probability are dropped
_SAME_FUTURE = 0.02  # futures that differ by less count as one [of peak]
_LANDED = 0.9  # no decay is taken to end above this rate [of peak]
_FLAT_SHARE = 0.03  # a decay that begins after this share of its end is a WSD
# 64 pieces keep a decay within 2e-4 of its peak. A root that has only begun bends harder, by up to 0.03 at its start;
# what gain is still to come changes by less than a thousandth of it.
_BENDS = np.linspace(0.0, 1.0, 65)
_GRID = 33  # futures are compared at so many steps

Way = Plan | Drops
HELD = Drops(np.empty(0), np.empty(0), 0.0)


@dataclass(frozen=True, slots=True)
class PossibleSchedule:
    """A schedule that a run may be following.

    Args:
        schedule: the past as logged, the future as supposed; relative to the peak of both.
        probability: of this future; those of all candidates sum to 1.
        kind: "constant", "linear", "cosine", "wsd", "step", "exponential", "inverse sqrt", or "as logged" where
            the LR is none of these and its last value is held.

    Example:
        >>> (only,) = infer_schedule([3e-4] * 100)
        >>> only.kind, only.probability, only.schedule.horizon
        ('constant', 1.0, 100)
    """

    schedule: Schedule
    probability: float
    kind: str


@dataclass(frozen=True, slots=True)
class _Guess:
    """A supposed future, by the logarithm of its weight."""

    kind: str
    score: float
    way: Way


def infer_schedule(
    lr_so_far: ArrayLike, horizon: float | None = None, steps: ArrayLike | None = None, *, held: bool = False
) -> tuple[PossibleSchedule, ...]:
    """Schedules that explain a logged LR, the likeliest first. `Schedule.infer` says more.

    Args:
        lr_so_far: ``(k,)``: LR in any unit.
        horizon: planned steps; None where unknown.
        steps: ``(k,)``: completed steps of `lr_so_far`; None for ``1..k``.
        held: whether nothing is known that would change the LR: then one that is constant so far stays so.

    Returns:
        Between 1 and 6 candidates.

    Raises:
        ValueError: if `horizon` is not a positive whole number, or `steps` do not fit.

    Example:
        >>> seen = Schedule.linear(1000, warmup=50).lr(range(1, 601))
        >>> [(possible.kind, possible.schedule.horizon) for possible in infer_schedule(seen, horizon=1000)]
        [('linear', 1000)]
    """
    if horizon is not None and not (horizon >= 1 and float(horizon).is_integer()):
        raise ValueError(f"`horizon` must be at least 1 step: got {horizon}. Pass the planned steps, or None.")
    t, y = clean(lr_so_far, steps)
    if not len(y) or not y.max() > 0:  # nothing was logged that a peak could be read off
        return (_unknown(t, y, horizon),)
    log = read(t, y, horizon)
    return tuple(_possible(log, list(_guesses(log, held))))


def _unknown(steps: FloatArray, lr: FloatArray, horizon: float | None) -> PossibleSchedule:
    """What is left where nothing was logged, or nothing but zeros."""
    end, level = max(float(horizon or 1.0), *steps[-1:].tolist(), 1.0), 0.0 if len(lr) else 1.0
    knots = [1.0, end] if end > 1.0 else [1.0]
    return PossibleSchedule(Schedule(knots, [level] * len(knots)), 1.0, "as logged")


def _guesses(log: Log, held: bool) -> Iterator[_Guess]:
    """All futures that are tried: smooth plans, further drops of a staircase, and the last value held."""
    t, y = log.decay()
    if (held or log.horizon is None) and y.min() >= 1.0 - VISIBLE:
        yield _Guess("constant", 0.0, HELD)
        return
    kept = straighten(t, y, 2.0 * TOLERANCE)
    stairs, points = find_stairs(t[kept], y[kept]), points_of(log)
    missed_by_stairs = _missed(log, stairs, points)
    late = 0.0
    if stairs is not None and stairs.is_followed_plan:
        points, late = _edges(log, stairs)
    plans, missed = fit(smooth_plans(log, points, has_landed=_has_landed(t[kept], y[kept])), points)
    for plan, miss in zip(plans, missed.tolist(), strict=True):
        yield _Guess(_kind(plan), plan.prior - PER_PARAMETER * sum(plan.free) - miss / 2.0, plan.delayed(late))
    for drops in drops_to_come(log, stairs):
        yield _Guess("step", drops.score - missed_by_stairs / 2.0, drops)
    yield _Guess("as logged", math.log(KINDS["as logged"]) - INDEPENDENT * _MISFIT**2 / 2.0, HELD)


def _missed(log: Log, stairs: Stairs | None, points: Points) -> float:
    """Weighted square of what stairs leave of the points; without any, of what a constant leaves."""
    levels = np.ones_like(points.y) if stairs is None else stairs.lr(log.warm + log.span * points.x)
    return float((points.y - levels) ** 2 @ points.weight)


def _edges(log: Log, stairs: Stairs) -> tuple[Points, float]:
    """Points of the smooth plan behind stairs, and by how much of its time their middle line comes after it.

    A plan that is followed once an epoch has its own LR where a tread starts; one that is rounded, in the middle
    of the tread. The last tread may go on; early ones may be several that are too flat to be told apart.
    """
    if stairs.is_even:
        steps, lr = np.append(stairs.start[0], stairs.start[stairs.late :]), np.append(1.0, stairs.level[stairs.late :])
        late = stairs.spacing / 2.0 / log.span
    else:
        steps, lr, late = (stairs.start + stairs.end)[:-1] / 2.0, stairs.level[:-1], 0.0
    weight = INDEPENDENT / len(steps) / TOLERANCE**2
    return Points((steps - log.warm) / log.span, lr, np.full(len(steps), weight)), late


def _has_landed(steps: FloatArray, lr: FloatArray) -> bool:
    """Whether a straightened LR has fallen and is constant now."""
    if len(lr) < 3 or lr[-1] > _LANDED:
        return False
    flat = abs(lr[-1] - lr[-2]) < 2.0 * TOLERANCE
    return bool(flat and steps[-1] - steps[-2] >= 0.02 * (steps[-1] - steps[0]))


def _kind(plan: Plan) -> str:
    if plan.floor == 1.0:
        return "constant"
    if plan.shape == "inverse sqrt":
        return plan.shape
    late = plan.start > _FLAT_SHARE * (1.0 if plan.is_endless else plan.end)
    return "wsd" if late or plan.shape == "sqrt" else plan.shape


def _distinct(log: Log, guesses: list[_Guess]) -> Iterator[tuple[_Guess, float]]:
    """The likeliest guesses, each with the probability of all futures like its own."""
    best = max(guess.score for guess in guesses)
    likely = sorted((guess for guess in guesses if guess.score > best - _HOPELESS), key=lambda guess: -guess.score)
    grid = np.linspace(log.now, max(_until(log, guess.way) for guess in likely), _GRID)
    lrs = np.array([_lr_ahead(log, guess.way, grid) for guess in likely])
    weight = np.zeros(len(likely))  # of those alone that stand for all that are like them
    for k, guess in enumerate(likely):
        apart = np.abs(lrs[:k] - lrs[k]).max(axis=1)
        alike = ((apart < _SAME_FUTURE) & (weight[:k] > 0.0)).nonzero()[0]
        weight[alike[0] if len(alike) else k] += math.exp(guess.score - best)
    by_weight = np.argsort(-weight, kind="stable")[:MAX_POSSIBLE]
    kept = by_weight[weight[by_weight] > _UNLIKELY * weight.sum()]
    total = weight[kept].sum()
    for k in kept.tolist():
        yield likely[k], float(weight[k] / total)


def _possible(log: Log, guesses: list[_Guess]) -> Iterator[PossibleSchedule]:
    kept = np.union1d(straighten(log.steps, log.lr, TOLERANCE), log.lr.argmax())
    past_steps, past_lr = log.steps[kept], log.lr[kept]
    if past_steps[0] > 1:  # the first LR is held back to step 1
        past_steps, past_lr = np.append(1.0, past_steps), np.append(past_lr[0], past_lr)
    for guess, probability in _distinct(log, guesses):
        steps = _knots_ahead(log, guess.way)
        lr = np.concatenate([past_lr, _lr_ahead(log, guess.way, steps)])
        yield PossibleSchedule(Schedule(np.concatenate([past_steps, steps]), lr / lr.max()), probability, guess.kind)


def _until(log: Log, way: Way) -> float:
    """The last step of a future: the horizon, else the end of the decay, else as far again as was seen."""
    if log.horizon is not None:
        return log.horizon
    if isinstance(way, Drops):
        return 2.0 * log.now if len(way.steps) else log.now
    return 2.0 * log.now if way.is_endless else max(float(math.ceil(log.step(way.end) - 1e-3)), log.now)


def _lr_ahead(log: Log, way: Way, steps: FloatArray) -> FloatArray:
    """``(n,)``: relative LR at steps after the last one seen."""
    if isinstance(way, Plan):
        return way.lr((steps - log.warm) / log.span)
    treads = np.append(log.lr[-1], way.lr)
    return np.asarray(treads[np.searchsorted(way.steps, steps, side="right")])


def _knots_ahead(log: Log, way: Way) -> FloatArray:
    """Steps after the last one seen between which the LR is straight."""
    until = _until(log, way)
    if isinstance(way, Drops):
        steps = np.unique([way.steps - 1.0, way.steps])
    else:
        first, last = max(log.step(way.start), log.now), until if way.is_endless else min(log.step(way.end), until)
        u = _BENDS[:: _BENDS.size - 1] if way.shape == "linear" else _BENDS
        u = u**4 if way.shape == "sqrt" and first > log.now else u  # the root bends hard at its start
        steps = first + (last - first) * u if last > first else _BENDS[:0]
    steps = steps[(steps > log.now) & (steps < until)]
    return np.append(steps, until) if until > log.now else steps
