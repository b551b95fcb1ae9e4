"""The forecast of one future, by the law and by what finished runs have taught."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from curvecast.curve import NO_BINS, Bins, FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import GROWTH_IN_FIRST_EPOCH, Prior
from curvecast.fit.tables import A
from curvecast.forecast.distribution import Forecast, Target
from curvecast.forecast.logged import as_logged
from curvecast.forecast.taught import lesson_on, of_lessons, with_lessons
from curvecast.schedule.checks import MOST_STEPS

# Of a validation that may turn, by hand, in view of open public logs (docs/log.md).
_TURNS = 0.7  # standard deviation of its move on a doubling of the steps, over what the law has it fall by in an e-fold
_STEEPEST = 0.15  # such a fall counts up to this share of the loss
_MOST_DOUBLINGS = 9.0  # farther ahead than 500 times the steps done it moves no more
GOLDEN = 0.6180339887498949  # its multiples lie evenly between 0 and 1, however many


def forecast(
    posterior: Posterior,
    at: ArrayLike,
    *,
    of: Target,
    timeline: Timeline | None = None,
    turned: ArrayLike = 0.0,
    logged: Bins = NO_BINS,
    floor: float = -math.inf,
    lessons_only: bool = False,
    may_turn: bool = True,
) -> Forecast:
    """Forecast a loss from a posterior.

    Args:
        posterior: The fit.
        at: A step or ``(m,)`` steps, >= 1 [steps].
        of: Which loss.
        timeline: Another future than the posterior's own schedule; its past must be the same.
        turned: Probability, at each step, that the loss has turned for good: so much weight the law lacks, and the
            lessons the share of it that was seen of the way (``taught.with_lessons``).
        logged: The series, for a forecast of what the log will show; by default it is of the noise-free loss. What
            finished runs have taught knows the noise of their ends, and their whole curves tell where this is given.
        floor: No loss is logged below it: where that is 0 the noise goes with the loss [loss unit].
        lessons_only: Whether only what finished runs have taught is asked for, where they have: its weights sum to the
            probability that it holds.
        may_turn: Whether validation of an outlier may turn where nothing is known of the network; not where its epochs
            say when it would (``decisions.repeats``).

    Raises:
        ValueError: if a step is below 1 or not finite.
    """
    step = checked_steps(at)
    if lessons_only:
        told = of_lessons(_for_lessons(posterior, step, of, timeline), posterior, timeline, logged)
        if told is not None:
            return told
    untaught = as_logged(by_law(posterior, step, of, timeline, may_turn=may_turn), logged, floor)
    lawful = _for_lessons(posterior, step, of, timeline) if posterior.prior.lessons else untaught
    return with_lessons(untaught, lawful, posterior, timeline, np.asarray(turned), logged)


def _for_lessons(posterior: Posterior, step: FloatArray, of: Target, timeline: Timeline | None) -> Forecast:
    """The law's forecast as finished runs teach to move it."""
    return by_law(posterior.for_lessons, step, of, timeline)


def by_law(
    posterior: Posterior, step: FloatArray, of: Target, timeline: Timeline | None, *, may_turn: bool = True
) -> Forecast:
    """The forecast of a step, or of ``(m,)`` steps, by the law alone; ``may_turn`` as in ``forecast``."""
    steps = step.reshape(-1)
    here, means, variances = (part.T for part in posterior.from_here(steps, val=of == "val", timeline=timeline))
    if may_turn and of == "val" and posterior.told is None and turns(posterior.prior):
        means, variances = _turning(here, means, variances, posterior, steps)
    stds = np.sqrt(variances) + 1e-12 * posterior.scale
    weight = posterior.weight[:, None].repeat(len(steps), axis=1)
    prior = posterior.prior
    if prior.sudden and np.maximum.reduce(drop := prior.sudden_drop(posterior.now, steps)) > 0.0:
        # Each shape once more, with a drop that the curve has not yet shown.
        size, spread = prior.sudden_size, prior.sudden_sd
        weight = np.concatenate([weight * (1.0 - drop), weight * drop])
        means = np.concatenate([means, means - size * posterior.scale])
        stds = np.concatenate([stds, np.hypot(stds, spread * posterior.scale)])
    return Forecast(step if step.ndim else float(step), of, weight, means, stds)


def turns(prior: Prior) -> bool:
    """Whether the validation of an outlier may turn ahead: where nothing is known of the network, not even its size.

    Before data repeat it does not (Muennighoff et al. 2023).

    Example:
        >>> unknown, small = (Prior().for_size(N) for N in (None, 1e5))
        >>> turns(unknown), turns(small), turns(unknown.in_first_epoch())
        (True, False, False)
    """
    return prior.size is None and prior.beside is not None and prior.growth < GROWTH_IN_FIRST_EPOCH


def _turning(
    here: FloatArray, means: FloatArray, variances: FloatArray, posterior: Posterior, steps: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(K, m)`` moments of a validation loss that may level off or turn, where a shape is of an outlier.

    ``here`` is ``(K,)`` the law's loss where the run stands.

    How it falls tells nothing of when that will be. So such a shape foretells the level that it has, and on every
    doubling of the steps a change, up or down, nearly as large as the fall that the law has for an e-fold.
    """
    outlier = ~posterior.is_lawful[:, None] & (steps > posterior.now)
    slope = np.minimum(posterior.theta[A] * posterior.alpha, _STEEPEST)[:, None] * posterior.scale
    doublings = np.clip(np.log2(steps / posterior.now), 0.0, _MOST_DOUBLINGS)
    return np.where(outlier, here[:, None], means), variances + outlier * (_TURNS * slope) ** 2 * doublings


def draw(
    posterior: Posterior, step: FloatArray, count: int, *, of: Target, timeline: Timeline | None = None
) -> FloatArray:
    """``(count, m)`` curves drawn at ``(m,)`` increasing steps, moved as a forecast is by what finished runs taught."""
    drawn = posterior.draw(step, count, val=of == "val", timeline=timeline)
    if not posterior.prior.lessons:
        return drawn
    untaught = by_law(posterior.for_lessons, step, of, timeline)
    if (lesson := lesson_on(untaught, posterior, timeline)) is None:
        return drawn
    lawful = posterior.for_lessons.draw(step, count, val=of == "val", timeline=timeline)
    mean, place = untaught.mixture.mean(), (np.arange(count) * GOLDEN % 1.0)[:, None]
    taught, told = drawn, 0.0
    for shift, wider, held in zip(lesson.shift, lesson.wider, lesson.held, strict=True):
        taught = np.where((told <= place) & (place < told + held), mean + shift + wider * (lawful - mean), taught)
        told = told + held
    return taught


def checked_steps(at: ArrayLike) -> FloatArray:
    """A step or ``(m,)`` steps, as floats.

    Raises:
        ValueError: if one is below 1 or not finite.
    """
    if isinstance(at, int | float) and 1 <= at <= MOST_STEPS:  # as mostly; to look into an array takes longer
        return np.array(at, dtype=np.float64)
    try:
        steps = np.asarray(at, dtype=np.float64)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # the last is torch's, under grad
        steps = np.empty(0)
    if steps.ndim > 1 or steps.size == 0 or not ((steps >= 1.0) & (steps < np.inf)).all():
        raise ValueError(
            f"`at` must be a step or a list of steps, each at least 1: got {at!r:.80}. "
            "Pass optimizer steps, or leave it out for the horizon."
        )
    return steps
