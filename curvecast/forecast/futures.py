"""Where the plan is not known: the schedules that a run may follow, and the forecast over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from curvecast.curve import NO_BINS, Bins, FloatArray
from curvecast.fit.basis import Futures, Timeline
from curvecast.fit.kinds import smallness
from curvecast.fit.posterior import Posterior
from curvecast.fit.units import go_together
from curvecast.forecast.ahead import checked_steps, forecast
from curvecast.forecast.distribution import Forecast, Target
from curvecast.infer.untold import under_way, untold, yet_to_fall
from curvecast.schedule import Schedule

_FEW_DECAY = 0.25  # of runs that may be anything, by hand: ``decays_untold``
_KEPT = 0.01  # a rate within so much of what was foretold, as a share of its peak, is no news


def futures_of(
    steps: Sequence[int],
    rates: Sequence[float],
    horizon: int | None,
    now: int,
    shape: tuple[tuple[float, float], ...],
    *,
    held: bool = False,
    decays: float = 0.0,
) -> Futures:
    """The schedules that logged learning rates leave open, the likeliest first; where none was, first a constant one.

    Args:
        steps: ``(k,)`` steps of the knots.
        rates: ``(k,)`` learning rates there; none, or zeros, where the clock counts steps [any unit].
        horizon: Planned steps; ``None`` for holding the last rate.
        now: Last step seen.
        shape: How annealing arrives, as in the prior.
        held: Whether nothing is known that would change the rate.
        decays: Probability that a rate of which nothing is known follows a plan, as in ``decays_untold``.
    """
    if max(rates, default=0.0) <= 0.0:
        return _untold(horizon, now, shape, 0.0 if held else decays)
    return _futures_of(tuple(steps), tuple(rates), horizon, now, shape, held)


def are_kept_to(futures: Futures, peak: float, last: tuple[int, float] | None) -> bool:
    """Whether a learning rate is what each of the futures said that it would be.

    Args:
        futures: As of an earlier step.
        peak: The highest rate by then; 0 where none was told [any unit].
        last: Step and value of the last one, if any [the same].

    Example:
        >>> plan = Timeline(Schedule.linear(101), ((0.1, 1.0),))
        >>> [are_kept_to([(1.0, plan)], 3e-4, (51, rate)) for rate in (1.5e-4, 2e-4)]
        [True, False]
    """
    if last is None or not peak > 0.0:
        return False
    step, rate = last
    schedules = [timeline.schedule for _, timeline in futures]
    return all(each is not None and abs(each.lr(step) - rate / peak) <= _KEPT for each in schedules)


@lru_cache(maxsize=32)  # the runs of a sweep share a schedule
def _futures_of(
    steps: tuple[int, ...],
    rates: tuple[float, ...],
    horizon: int | None,
    now: int,
    shape: tuple[tuple[float, float], ...],
    held: bool,
) -> Futures:
    if horizon is None or horizon <= steps[-1]:
        return ((1.0, Timeline(Schedule.from_log(steps, rates), shape, lasting=False)),)
    first, *others = Schedule.infer(rates, horizon, steps=steps, held=held)
    likeliest = Timeline(first.schedule, shape, lasting=False)
    rest = likeliest.all_under([one.schedule for one in others], float(now)) if others else []
    probabilities = [one.probability for one in (first, *others)]
    return tuple(zip(probabilities, [likeliest, *rest], strict=True))


@lru_cache(maxsize=32)  # the runs of a sweep are of one length
def _untold(horizon: int | None, now: int, shape: tuple[tuple[float, float], ...], decays: float) -> Futures:
    if horizon is None or horizon <= now or not decays:
        return ((1.0, _steady(shape)),)
    return tuple((chance, _timeline(plan, shape)) for chance, plan in untold(horizon, now, decays))


@lru_cache(maxsize=32)  # one for all steps, so that a fit under it serves until the next verdict is due
def _steady(shape: tuple[tuple[float, float], ...]) -> Timeline:
    return Timeline(None, shape)


@lru_cache(maxsize=32)  # most plans of which nobody tells stay what they are until their decay begins
def _timeline(plan: Schedule, shape: tuple[tuple[float, float], ...]) -> Timeline:
    return Timeline(plan, shape, lasting=False)


@lru_cache(maxsize=32)  # the runs of a sweep are of one length
def falls_of(
    horizon: int | None, now: int, shape: tuple[tuple[float, float], ...], decays: float
) -> tuple[Futures, Futures] | None:
    """Where nobody tells the rate, the plans under which it has stayed as it was, and those under which it has fallen.

    The arguments are those of ``futures_of``.

    Returns:
        ``None`` where nothing may have fallen.
    """
    if horizon is None or horizon <= now or not decays:
        return None
    stays, falls = (
        [(chance, _timeline(plan, shape)) for chance, plan in plans(horizon, now, decays)]
        for plans in (yet_to_fall, under_way)
    )
    return (stays, falls) if falls else None


def decays_untold(num_params: float | None) -> float:
    """Probability that the rate of such a network follows a plan where nobody tells of it.

    A large network's does, as likely as the plans in ``curvecast.infer`` are common. Of other runs, among them those of
    which nobody tells the size, most behave as if none were to come; by hand, in view of open logs without rates.

    Example:
        >>> [decays_untold(N) for N in (124e6, 1e4, None)]
        [1.0, 0.25, 0.25]
    """
    return _FEW_DECAY if num_params is None else 1.0 - (1.0 - _FEW_DECAY) * smallness(num_params)


def floor_of(train: Bins, val: Bins, *, of_val: bool) -> float:
    """Below which none of these losses lies: 0 where none was negative, as those are that the laws are meant for.

    Args:
        train: Train loss; may be empty.
        val: Validation loss, likewise.
        of_val: Which of them is asked for; where the other is in the same unit and was negative, zero means nothing.

    Example:
        >>> ones, losses = np.ones(3), ([2.0, 1.0, 0.1], [2.0, 1.0, -0.1])
        >>> positive, likelihood = (Bins(ones, np.array(each), ones, 0.0) for each in losses)
        >>> [floor_of(positive, likelihood, of_val=of_val) for of_val in (False, True)]
        [-inf, -inf]
        >>> floor_of(positive, NO_BINS, of_val=False), floor_of(likelihood, NO_BINS, of_val=False)
        (0.0, -inf)
    """
    lows = [float(np.minimum.reduce(each.mean, initial=math.inf)) for each in (train, val)]
    was_negative = lows[of_val] < 0.0 or (lows[not of_val] < 0.0 and go_together(train, val))
    return -math.inf if was_negative else 0.0


def over(
    futures: Futures,
    posterior: Posterior,
    at: ArrayLike,
    *,
    of: Target,
    floor: float = -math.inf,
    turned: ArrayLike = 0.0,
    logged: Bins = NO_BINS,
    lessons_only: bool = False,
    may_turn: bool = True,
) -> Forecast:
    """The forecast where the plan is not known: a mixture over the schedules that the run may follow.

    The fit is the one under the likeliest of them: what a decay is worth is tied to that horizon.

    Args:
        futures: The schedules, all with the run's past.
        posterior: The fit.
        at: A step or ``(m,)`` steps, >= 1 [steps].
        of: Which loss.
        floor: No loss lies below it: 0 for one that was never negative, as cross-entropy is [loss unit].
        turned: As in ``ahead.forecast``.
        logged: Likewise.
        lessons_only: Likewise.
        may_turn: Likewise.
    """
    asked: dict[str, Any] = {"of": of, "logged": logged, "floor": floor}
    asked |= {"lessons_only": lessons_only, "may_turn": may_turn}
    if len(futures) == 1:
        only = futures[0][1]
        return forecast(posterior, at, timeline=only, turned=turned, **asked).above(floor)
    steps = checked_steps(at)
    each = steps.reshape(-1)
    together = _Together(futures, np.concatenate([[posterior.now], each]))
    risen = (0.0 * each + np.asarray(turned))[together.which]
    ahead = forecast(posterior, each[together.which], timeline=together, turned=risen, **asked)
    parts = (part[:, together.place].transpose(1, 0, 2) for part in (ahead.weight, ahead.means, ahead.stds))
    weight, means, stds = (part.reshape(-1, steps.size) for part in parts)
    weight *= together.share.repeat(len(ahead.weight), axis=0)
    return Forecast(float(steps) if steps.ndim == 0 else steps, of, weight, means, stds).above(floor)


class _Together(Timeline):
    """Several futures as one, which is asked for every step of each at which none before it says the same.

    Until its decay begins a plan is one that holds the rate: a forecast of many steps would ask most of them anew.

    Args:
        futures: They, with their probabilities.
        step: ``(1 + m,)`` the present, which they share, and the steps.

    Attributes:
        which: ``(P,)`` places of the steps that are asked for, one future after another.
        place: ``(F, m)`` where among them each step of each future stands.
        share: ``(F, m)`` probability of each, with that of those after it that say the same; of these it is 0.
    """

    __slots__ = ("_told", "place", "share", "which")

    def __init__(self, futures: Futures, step: FloatArray) -> None:
        told = np.array([np.concatenate([clock[None], gain]) for clock, gain in (one.at(step) for _, one in futures)])
        ahead, number = told[:, :, 1:], np.arange(len(futures))[:, None]
        first = np.logical_and.reduce(ahead[:, None] == ahead, axis=2).argmax(axis=1)  # that says what each does
        own = first == number
        self.which = own.nonzero()[1]
        self.place = (own.cumsum().reshape(own.shape) - 1)[first, np.arange(len(step) - 1)]
        probability = np.array([chance for chance, _ in futures])[:, None]
        self.share = np.add.reduce(probability * (first == number[:, None]), axis=1)
        self._told = np.concatenate([told[0, :, :1], ahead.transpose(1, 0, 2)[:, own]], axis=1)

    def at(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Of the present and all that are asked for, which ``step`` must be."""
        return self._told[0], self._told[1:]
