"""Where the loss will be, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from curvecast.curve import Bins, FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.lessons import UNKNOWN_BATCH, UNKNOWN_SIZE, lessons_on
from curvecast.fit.likeness import Places
from curvecast.fit.posterior import Posterior
from curvecast.schedule import Schedule

Target = Literal["train", "val"]

_ITERATIONS = 80  # two or three are enough; the bound is that of bisection
_CLOSE = 2e-3  # miss of the probit at which one more step ends a thousand times closer
_LEAP = 0.1  # of the least standard deviation: a longer last step may lead over a gap, which a slope does not foretell
_FREE = 4  # turns before every third one halves the bracket
_TINY = 1e-14
_FAR = 6.0  # standard deviations: nothing to speak of lies beyond
_MOST_CUT = 1.0 - 1e-6  # of a forecast: where all of it lies below the floor, it is put just above
_USUAL_LEVEL = 0.9
_TURNED = 0.5  # of a turn's probability: what lessons leave to it, for finished runs have turned as well
GOLDEN = 0.6180339887498949  # its multiples lie evenly between 0 and 1, however many
_DRAWN = 96  # quantiles of one forecast that are held against another
# Of the table, in standard deviations; its ends are put far out.
_RUNGS = np.array([-4.0, -3.0, -2.0, -1.4, -0.7, 0.0, 0.7, 1.4, 2.0, 3.0, 4.0])[:, None]


class NotEnoughSamples(ValueError):  # noqa: N818 - the contract's name; it is a state, not a mistake
    """A forecast was asked for before the curve can carry one.

    Args:
        seen: Samples seen so far.
        needed: Samples that the first fit needs.
    """

    def __init__(self, seen: int, needed: int) -> None:
        super().__init__(
            f"A forecast needs at least {needed} samples: got {seen} so far. Go on with `update`, "
            "or look at `verdict.reason` first."
        )
        self.seen = seen
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Interval:
    """Central interval of a forecast.

    Args:
        lower, upper: Its ends [loss unit]; arrays where the forecast is one.
        level: Probability that the truth lies inside.

    Example:
        >>> 1.4 in Interval(1.3, 1.5, 0.9)
        True
    """

    lower: float | FloatArray
    upper: float | FloatArray
    level: float

    @property
    def width(self) -> float | FloatArray:
        """``upper - lower`` [loss unit]."""
        return self.upper - self.lower

    def __contains__(self, loss: float) -> bool:
        return bool(np.all((np.asarray(self.lower) <= loss) & (loss <= np.asarray(self.upper))))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Forecast:
    """Distribution of the noise-free loss at one step or several: a mixture of Gaussians, cut off at a floor.

    It is the loss that a long average would show there, not one noisy sample of it.

    Args:
        step: The step, or ``(m,)`` steps, that it is for [steps].
        of: Which loss: ``"val"`` or ``"train"``.
        weight: ``(K, m)`` weights of the mixture, summing to 1 at each step.
        means: ``(K, m)`` means [loss unit].
        stds: ``(K, m)`` standard deviations [loss unit].
        floor: No loss lies below it [loss unit].

    Example:
        >>> import numpy as np
        >>> f = Forecast(100, "val", np.ones((1, 1)), np.array([[2.0]]), np.array([[0.1]]))
        >>> round(f.median, 6), round(f.interval(0.9).upper, 3)
        (2.0, 2.164)
        >>> early = Forecast(100, "val", np.ones((1, 1)), np.array([[1.0]]), np.array([[1.0]]), floor=0.0)
        >>> early.interval(0.9).lower > 0.0
        True
    """

    step: float | FloatArray
    of: Target
    weight: FloatArray
    means: FloatArray
    stds: FloatArray
    floor: float = -math.inf
    _usual: list[FloatArray] = field(default_factory=list, init=False)  # what log, bar and message all ask for

    def above(self, floor: float) -> Forecast:
        """The same, given that no loss lies below ``floor``: itself where none of it does."""
        if float((self.means - _FAR * self.stds).min()) >= floor:
            return self
        return replace(self, floor=max(self.floor, floor))

    @property
    def mean(self) -> float | FloatArray:
        """Mean of the mixture [loss unit]."""
        return self._shaped(self._kept()._mean())

    @property
    def std(self) -> float | FloatArray:
        """Standard deviation of the mixture [loss unit]."""
        kept = self._kept()
        return self._shaped(kept._std(kept._mean()))

    @property
    def median(self) -> float | FloatArray:
        """The loss that is as likely undershot as overshot [loss unit]."""
        return self._shaped(self._usual_quantiles()[1])

    def quantile(self, q: float) -> float | FloatArray:
        """Loss that is undershot with probability ``q`` [loss unit].

        Raises:
            ValueError: if ``q`` is not inside (0, 1).
        """
        if not is_share(q):
            raise ValueError(f"`q` must lie inside (0, 1): got {q!r:.40}. Pass 0.5 for the median.")
        return self._shaped(self._quantiles(np.array([q]))[0])

    def interval(self, level: float = 0.9) -> Interval:
        """Central interval that holds the truth with probability ``level``.

        Raises:
            ValueError: if ``level`` is not inside (0, 1).
        """
        if not is_share(level):
            raise ValueError(f"`level` must lie inside (0, 1): got {level!r:.40}. Pass 0.9 for a 90 % interval.")
        if level == _USUAL_LEVEL:
            lower, _, upper = self._usual_quantiles()
        else:
            lower, upper = self._quantiles(np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level]))
        return Interval(self._shaped(lower), self._shaped(upper), level)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON and checkpoints.

        Example:
            >>> f = Forecast(100.0, "val", np.ones((1, 1)), np.array([[2.0]]), np.array([[0.1]]))
            >>> f.to_dict()
            {'step': 100.0, 'of': 'val', 'weight': [[1.0]], 'means': [[2.0]], 'stds': [[0.1]]}
        """
        mixture = {name: getattr(self, name).tolist() for name in ("weight", "means", "stds")}
        floor = {} if self.floor == -math.inf else {"floor": self.floor}
        return {"step": np.asarray(self.step).tolist(), "of": self.of, **mixture, **floor}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Forecast:
        """The forecast whose plain form this is."""
        step = state["step"]
        weight, means, stds = (np.array(state[name], dtype=np.float64) for name in ("weight", "means", "stds"))
        at = np.array(step) if isinstance(step, list) else step
        return cls(at, state["of"], weight, means, stds, state.get("floor", -math.inf))

    def _usual_quantiles(self) -> FloatArray:
        """``(3, m)``: the ends of the usual interval and, between them, the median; found once."""
        if not self._usual:
            self._usual.append(self._quantiles(np.array([0.5 - 0.5 * _USUAL_LEVEL, 0.5, 0.5 + 0.5 * _USUAL_LEVEL])))
        return self._usual[0]

    def _quantiles(self, q: FloatArray) -> FloatArray:
        """``(Q, m)`` quantiles: a table of the distribution, then Newton on its probit between two entries.

        On that scale a mixture of Gaussians is nearly a straight line, so two or three turns are enough.
        """
        scale = 1.0 / self.stds
        density, shifted = self.weight * scale, self.means * scale
        cut = self._cut()
        goal = _probit(cut + q[:, None] * (1.0 - cut))
        low, high, x = (np.maximum(each, self.floor) for each in self._located(goal, scale, shifted))
        longest = _LEAP * np.minimum.reduce(self.stds)
        for turn in range(_ITERATIONS):
            z = x[:, None] * scale - shifted
            probit = _probit(np.add.reduce(self.weight * ndtr(z), axis=1))
            slope = np.add.reduce(density * np.exp(-0.5 * z * z), axis=1)
            miss = goal - probit
            newton = x + miss * np.exp(-0.5 * probit * probit) / np.maximum(slope, 1e-300)
            kept = np.minimum(np.maximum(newton, low), high)
            close = (np.abs(miss) <= _CLOSE) & (np.abs(kept - x) <= longest)
            if close.all():
                return np.asarray(kept)
            if turn >= _FREE:  # Newton may go in circles
                low, high = np.where(miss > 0.0, x, low), np.where(miss > 0.0, high, x)
                trusted = close | ((low <= newton) & (newton <= high) & (turn % 3 < 2))
                newton = np.where(trusted, newton, 0.5 * (low + high))
            x = np.minimum(np.maximum(newton, low), high)
        return x

    def _located(self, goal: FloatArray, scale: FloatArray, shifted: FloatArray) -> tuple[FloatArray, ...]:
        """``(Q, m)`` each: two losses between which a quantile lies, and where a straight line puts it."""
        reach = 9.0 * self.stds
        start, end = np.minimum.reduce(self.means - reach), np.maximum.reduce(self.means + reach)
        mean = self._mean()
        table = mean + self._std(mean) * _RUNGS
        table[0], table[-1] = start, end
        table[1:-1] = np.minimum(np.maximum(table[1:-1], start), end)
        probit = _probit(np.add.reduce(self.weight * ndtr(table[:, None] * scale - shifted), axis=1))
        after = np.minimum(np.maximum(np.add.reduce(probit < goal[:, None], axis=1), 1), len(table) - 1)
        steps = np.arange(len(start))
        (low, first), (high, last) = ((table[k, steps], probit[k, steps]) for k in (after - 1, after))
        share = (goal - first) / np.maximum(last - first, _TINY)
        return low, high, low + (high - low) * np.minimum(np.maximum(share, 0.0), 1.0)

    def probability_below(self, loss: ArrayLike) -> float | FloatArray:
        """Probability that the loss ends at or below ``loss``."""
        z = (np.asarray(loss, dtype=np.float64) - self.means) / self.stds
        below, cut = np.add.reduce(self.weight * ndtr(z)), self._cut()
        return self._shaped(np.maximum(below - cut, 0.0) / (1.0 - cut))

    def _cut(self) -> FloatArray | float:
        """``(m,)`` what of the mixture lies below the floor."""
        if self.floor == -math.inf:
            return 0.0
        below = np.add.reduce(self.weight * ndtr((self.floor - self.means) / self.stds))
        return np.asarray(np.minimum(below, _MOST_CUT))

    def _kept(self) -> Forecast:
        """A mixture with the moments of what lies above the floor."""
        if self.floor == -math.inf:
            return self
        z = (self.floor - self.means) / self.stds
        share = np.maximum(ndtr(-z), _TINY)
        hazard = np.where(z < _FAR, np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / share, z)
        weight = self.weight * share
        stds = self.stds * np.sqrt(np.maximum(1.0 + z * hazard - hazard * hazard, 0.0))
        return Forecast(self.step, self.of, weight / np.add.reduce(weight), self.means + self.stds * hazard, stds)

    def probability_less(self, other: Forecast) -> float:
        """Probability that this loss ends below another's, both being independent.

        Args:
            other: of another run; where a forecast is for several steps, the first is taken.

        Example:
            >>> import numpy as np
            >>> one, sure = np.ones((1, 1)), np.array([[0.1]])
            >>> low, high = (Forecast(100, "val", one, np.array([[loss]]), sure) for loss in (2.0, 2.1))
            >>> round(low.probability_less(high), 2), round(low.probability_less(low), 2)
            (0.76, 0.5)
            >>> early = Forecast(100, "val", one, np.array([[1.0]]), np.array([[1.0]]), floor=0.0)
            >>> round(early.probability_less(early), 2)
            0.5
        """
        losses = self._quantiles((np.arange(_DRAWN) + 0.5) / _DRAWN)[:, 0]
        z, cut = (losses - other.means[:, :1]) / other.stds[:, :1], np.ravel(other._cut())[0]
        below = np.maximum(np.add.reduce(other.weight[:, :1] * ndtr(z)) - cut, 0.0) / (1.0 - cut)
        return float(np.mean(1.0 - below))

    def _mean(self) -> FloatArray:
        return np.asarray(np.add.reduce(self.weight * self.means))

    def _std(self, mean: FloatArray) -> FloatArray:
        away = self.means - mean
        return np.asarray(np.sqrt(np.add.reduce(self.weight * (self.stds * self.stds + away * away))))

    def _shaped(self, values: FloatArray) -> float | FloatArray:
        return float(values[0]) if np.ndim(self.step) == 0 else values

    def __repr__(self) -> str:
        return f"Forecast(step={self.step!r}, of={self.of!r}: {self})"

    def __str__(self) -> str:
        if np.ndim(self.step):
            medians = np.atleast_1d(self.median)
            return f"{len(medians)} medians from {medians[0]:.4g} to {medians[-1]:.4g}"
        interval = self.interval(0.9)
        return f"{self.median:.4g} [{interval.lower:.4g}, {interval.upper:.4g}]"


Futures = Sequence[tuple[float, Timeline]]  # schedules that a run may follow, with their probabilities


def _probit(below: FloatArray) -> FloatArray:
    """Standard deviations that a probability lies from the middle, kept finite."""
    return np.asarray(ndtri(np.minimum(np.maximum(below, _TINY), 1.0 - _TINY)))


def futures_of(
    steps: Sequence[int],
    rates: Sequence[float],
    horizon: int | None,
    now: int,
    shape: tuple[tuple[float, float], ...],
) -> Futures:
    """The schedules that logged learning rates leave open, the likeliest first.

    Args:
        steps: ``(k,)`` steps of the knots.
        rates: ``(k,)`` learning rates there; none, or zeros, where the clock counts steps [any unit].
        horizon: Planned steps; ``None`` for holding the last rate.
        now: Last step seen.
        shape: How annealing arrives, as in the prior.
    """
    return _futures_of(tuple(steps), tuple(rates), horizon, now, shape)


@lru_cache(maxsize=32)  # the runs of a sweep share a schedule
def _futures_of(
    steps: tuple[int, ...],
    rates: tuple[float, ...],
    horizon: int | None,
    now: int,
    shape: tuple[tuple[float, float], ...],
) -> Futures:
    if max(rates, default=0.0) <= 0.0:
        return ((1.0, Timeline(None, shape)),)
    if horizon is None or horizon <= steps[-1]:
        return ((1.0, Timeline(Schedule.from_log(steps, rates), shape, lasting=False)),)
    first, *others = Schedule.infer(rates, horizon, steps=steps)
    likeliest = Timeline(first.schedule, shape, lasting=False)
    rest = likeliest.all_under([one.schedule for one in others], float(now)) if others else []
    probabilities = [one.probability for one in (first, *others)]
    return tuple(zip(probabilities, [likeliest, *rest], strict=True))


def floor_of(bins: Bins) -> float:
    """Below which no loss of a series lies: 0 where all were positive, as those are that the laws are meant for.

    Example:
        >>> import numpy as np
        >>> [floor_of(Bins(np.ones(2), np.array(means), np.ones(2), 0.0)) for means in ([0.1, 2.0], [-0.1, 2.0])]
        [0.0, -inf]
    """
    return 0.0 if len(bins) and float(bins.mean.min()) > 0.0 else -math.inf


def over(
    futures: Futures,
    posterior: Posterior,
    at: ArrayLike,
    *,
    of: Target,
    floor: float = -math.inf,
    turned: ArrayLike = 0.0,
) -> Forecast:
    """The forecast where the plan is not known: a mixture over the schedules that the run may follow.

    The fit is the one under the likeliest of them: what a decay is worth is tied to that horizon.

    Args:
        futures: The schedules, all with the run's past.
        posterior: The fit.
        at: A step or ``(m,)`` steps, >= 1 [steps].
        of: Which loss.
        floor: No loss lies below it: 0 for one that was always positive, as cross-entropy is [loss unit].
        turned: As in ``forecast``.
    """
    if len(futures) == 1:
        return forecast(posterior, at, of=of, timeline=futures[0][1], turned=turned).above(floor)
    steps = _checked(at)
    each = steps.reshape(-1)
    every, risen = (np.tile(np.broadcast_to(part, each.shape), len(futures)) for part in (each, turned))
    together = _Together([timeline for _, timeline in futures])
    ahead = forecast(posterior, every, of=of, timeline=together, turned=risen)
    parts = (part.reshape(len(part), len(futures), -1) for part in (ahead.weight, ahead.means, ahead.stds))
    weight, means, stds = (part.transpose(1, 0, 2).reshape(-1, steps.size) for part in parts)
    share = np.repeat([probability for probability, _ in futures], len(ahead.weight))[:, None]
    return Forecast(float(steps) if steps.ndim == 0 else steps, of, share * weight, means, stds).above(floor)


class _Together(Timeline):
    """Several futures as one, which is asked for the same steps of each, one future after another."""

    __slots__ = ("_futures",)

    def __init__(self, futures: Sequence[Timeline]) -> None:
        self._futures = futures

    def at(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """As a single future's: the present first, which all of them share."""
        asked = np.empty((len(self._futures), 1 + len(step) // len(self._futures)))
        asked[:, 0], asked[:, 1:] = step[0], step[1:].reshape(len(asked), -1)
        told = [future.at(steps) for future, steps in zip(self._futures, asked, strict=True)]
        clock = np.concatenate([told[0][0][:1], *(clock[1:] for clock, _ in told)])
        return clock, np.concatenate([told[0][1][:, :1], *(gain[:, 1:] for _, gain in told)], axis=1)


def forecast(
    posterior: Posterior, at: ArrayLike, *, of: Target, timeline: Timeline | None = None, turned: ArrayLike = 0.0
) -> Forecast:
    """Forecast a loss from a posterior.

    Args:
        posterior: The fit.
        at: A step or ``(m,)`` steps, >= 1 [steps].
        of: Which loss.
        timeline: Another future than the posterior's own schedule; its past must be the same.
        turned: Probability, at each step, that the loss has turned for good: so much weight the law lacks, and the
            lessons half of it, for finished runs have turned like that one.

    Raises:
        ValueError: if a step is below 1 or not finite.
    """
    steps = _checked(at)
    each = steps.reshape(-1)
    step = float(steps) if steps.ndim == 0 else steps
    untaught = replace(by_law(posterior, each, of, timeline), step=step)
    return _taught(untaught, posterior, timeline, np.asarray(turned))


def by_law(posterior: Posterior, steps: FloatArray, of: Target, timeline: Timeline | None) -> Forecast:
    """The forecast of ``(m,)`` steps by the law alone."""
    means, variances = (part.T for part in posterior.moments(steps, val=of == "val", timeline=timeline))
    stds = np.sqrt(variances) + 1e-12 * posterior.scale
    weight = posterior.weight[:, None] * np.ones(len(steps))
    drop = posterior.prior.sudden_drop(posterior.now, steps)
    if drop.max() > 0.0:  # each shape once more, with a drop that the curve has not yet shown
        size, spread = posterior.prior.sudden_size, posterior.prior.sudden_sd
        weight = np.concatenate([weight * (1.0 - drop), weight * drop])
        means = np.concatenate([means, means - size * posterior.scale])
        stds = np.concatenate([stds, np.hypot(stds, spread * posterior.scale)])
    return Forecast(steps, of, weight, means, stds)


def is_share(value: object) -> bool:
    """Whether a value is one number inside (0, 1)."""
    return isinstance(value, int | float | np.floating) and bool(0.0 < value < 1.0)


def _checked(at: ArrayLike) -> FloatArray:
    try:
        steps = np.asarray(at, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        steps = np.empty(0)
    if steps.ndim > 1 or steps.size == 0 or not (steps.min() >= 1.0 and steps.max() < np.inf):
        raise ValueError(f"`at` must be a step or a list of steps, each at least 1: got {at!r:.80}.")
    return steps


def draw(
    posterior: Posterior, step: FloatArray, count: int, *, of: Target, timeline: Timeline | None = None
) -> FloatArray:
    """``(count, m)`` curves drawn at ``(m,)`` increasing steps, moved as a forecast is by what finished runs taught."""
    drawn = posterior.draw(step, count, val=of == "val", timeline=timeline)
    untaught = by_law(posterior, step, of, timeline)
    if (lesson := lesson_on(untaught, posterior, timeline)) is None:
        return drawn
    shift, wider, held = lesson
    mean = untaught._mean()
    taught = (np.arange(count) * GOLDEN % 1.0)[:, None] < held
    return np.where(taught, mean + shift + wider * (drawn - mean), drawn)


def _taught(ahead: Forecast, posterior: Posterior, timeline: Timeline | None, turned: FloatArray) -> Forecast:
    """The law's forecast and, beside it, the same moved and narrowed as a team's finished runs have taught."""
    weight = ahead.weight * (1.0 - turned) if turned.any() else ahead.weight
    if (lesson := lesson_on(ahead, posterior, timeline)) is None:
        return replace(ahead, weight=weight)
    shift, wider, held = lesson
    mean = ahead._mean()
    weight = np.concatenate([ahead.weight * (held * (1.0 - _TURNED * turned)), weight * (1.0 - held)])
    means = np.concatenate([mean + shift + wider * (ahead.means - mean), ahead.means])
    return Forecast(ahead.step, ahead.of, weight, means, np.concatenate([wider * ahead.stds, ahead.stds]))


def lesson_on(
    ahead: Forecast, posterior: Posterior, timeline: Timeline | None = None
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """What finished runs have taught of a forecast by the law; ``None`` where they taught nothing of such a loss.

    Returns:
        ``(m,)`` each: how far it is to be moved [loss unit], how many times wider it is to be made, and the
        probability that the lesson holds. What lies in the past stays as it is.
    """
    lessons = lessons_on(posterior.prior.lessons, ahead.of == "val")
    if lessons is None:
        return None
    steps = np.atleast_1d(np.asarray(ahead.step))
    places = places_of(ahead, steps, posterior, timeline)
    change, sd, held = lessons.expected(places)
    past = steps <= posterior.now
    shift = np.where(past, 0.0, posterior.scale * (change - places.change))
    return shift, np.where(past, 1.0, sd / places.sd), held


def places_of(ahead: Forecast, steps: FloatArray, posterior: Posterior, timeline: Timeline | None = None) -> Places:
    """Where forecasts of ``(m,)`` steps stand, as lessons are told."""
    clock, gain = (timeline or posterior.timeline).at(np.concatenate([[posterior.now], steps]))
    gained, prior = gain.mean(axis=0), posterior.prior
    size = UNKNOWN_SIZE if prior.size is None else math.log(prior.size)
    batch = UNKNOWN_BATCH if prior.batch is None else math.log(prior.batch)
    at = np.empty((len(steps), 7))
    at[:, 0] = np.log(np.maximum(clock[1:] / clock[0], _TINY))
    at[:, 2] = gained[1:] - gained[0]
    at[:, [1, 3, 4, 5, 6]] = gained[0], size, batch, math.log(clock[0]), math.log(posterior.scale)
    mean = ahead._mean()
    return Places(at, mean / posterior.scale - 1.0, ahead._std(mean) / posterior.scale)
