"""What the forecasts of finished runs missed by, and what that says of a forecast at a like place.

A team's runs share what no law says: an optimizer that gains more in its first tenth, a decay that pays late, a step at
which the loss drops. Their own back-tests show it. What they missed by is a Gaussian process over where a forecast
stands (``fit.likeness``); a new forecast is moved by what it is expected to miss by, and has the doubt that is left.
What runs of one recipe lose from a like place on is another, which needs no law; their whole curves are a third
(``fit.siblings``). Each is believed as far as it has foretold each of the runs by the others. Next to the step that is
forecast, where none of them stands, they give way: to lessons of the end where the run itself ends, else to the law.
"""

from __future__ import annotations

import math
from functools import cache, cached_property
from itertools import product
from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.likeness import Away, Places
from curvecast.fit.misses import DOUBT, REPEATS, Misses
from curvecast.fit.paths import Path, Point
from curvecast.fit.scores import of_gaussians, of_pools
from curvecast.fit.siblings import Siblings

LATE = 0.95  # of the steps: a lesson from there on teaches of the end alone
_HANDED_OVER = 0.9, 0.97  # of the way: between them lessons give way, as none stands there but those of the end
_LAW = 0.3  # probability that a team's runs teach nothing, before any was held against the others,
_PLAIN = 0.35  # and that they are alike without the law, in the limit of many runs
_WHOLE = 0.35  # of all that, in that limit: that their whole curves tell
_SUREST = 0.95  # the most that lessons are believed: a run may always be the first of its kind
_SHARES = 4  # a forecast is divided among the law and the lessons in parts of one in so many
_VERDICT = 20.0  # log-odds that a pool loses, for each run, if its score is worse by the mean score of the first three
_ALONE = 3.0  # of one run alone, how much more a difference of time or decays to come takes from the likeness
_TINY = 1e-300
_LEAST = 1e-9  # least standard deviation of a forecast, as a share of the loss
_FARTHEST = 30.0  # e-folds that whole curves may foretell a loss to move: a prior's file may hold any


class Lesson(NamedTuple):
    """One forecast of the end of a finished run. Losses are relative to that where the run stood.

    Args:
        run: Number of the run.
        of_val: 1.0 if it was of a validation loss, 0.0 of a train loss.
        progress: Logarithm of the share of the steps that was seen.
        time: Logarithm of the summed learning rate at the end over that seen.
        gained, ahead: Share of a full decay's gain that had arrived, and that was still to come.
        size: Logarithm of the non-embedding parameters.
        batch: Logarithm of the tokens of a step.
        clock: Logarithm of the summed learning rate seen [steps at the peak].
        level: Logarithm of the loss where the run stood [loss unit].
        change, sd: The change that the law foresaw, and its standard deviation.
        came: The change that came.
        noise: Standard deviation of the last losses, by which that is known.
        score: The law's continuous ranked probability score of what came (``fit.scores``).
    """

    run: float
    of_val: float
    progress: float
    time: float
    gained: float
    ahead: float
    size: float
    batch: float
    clock: float
    level: float
    change: float
    sd: float
    came: float
    noise: float
    score: float

    @property
    def is_late(self) -> bool:
        """Whether it teaches of the end alone."""
        return self.progress >= math.log(LATE)


class Expected(NamedTuple):
    """What lessons foresee at ``m`` places, in four parts or five, of which one holds, or none.

    They are by what the law missed by, of a run like most and of an odd one, and the same two without the law; the
    fifth is by whole curves. Near the end of a run four more are by the lessons there.

    Args:
        change, sd: ``(p, m)`` mean and standard deviation of the relative change, where that part holds.
        held: ``(p, m)`` the probability that it does. Where none does the law holds: runs teach each other nothing, or
            all are far.
    """

    change: FloatArray
    sd: FloatArray
    held: FloatArray

    def by(self, share: FloatArray) -> Expected:
        """The same, of which ``(m,)`` a share holds."""
        return self._replace(held=share * self.held)


class Ahead(NamedTuple):
    """A run whose forecast whole curves are asked for.

    Args:
        path: The way that it has come.
        at: ``(m, 6)`` the places that are forecast, as ``paths.places_at`` gives them.
        level: Logarithm of the loss where it stands [loss unit].
    """

    path: Path
    at: FloatArray
    level: float


class Way(NamedTuple):
    """How far a run has come when a forecast is made.

    Args:
        to_step: ``(m,)`` share of the steps up to each that is forecast.
        to_end: ``(m,)`` share of all that the run will have, as far as that is known.
    """

    to_step: FloatArray
    to_end: FloatArray


class Lessons:
    """The lessons on one kind of loss, solved once.

    Args:
        lessons: At least one.
        points: The whole curves of the same runs, or none.
        at_the_end: Lessons of the last tenth, a team of their own that takes over there; solved when they are asked.

    Attributes:
        runs: How many finished runs they are of.

    Example:
        >>> where, far = (0.7, 0.0, 0.8, 18.0, 13.0, 7.0, 1.0), (0.1, 0.5, 0.3, 2.0, 4.0, 2.0, 1.0)
        >>> late = Lesson(0.0, 1.0, -0.7, *where, change=-0.1, sd=0.01, came=-0.08, noise=0.0, score=0.02)
        >>> places = Places(np.array([where, far]), np.array([-0.1, 0.0]), np.full(2, 0.01))
        >>> change, sd, held = Lessons((late,)).expected(places)
        >>> change[0].round(3).tolist(), sd[0].round(3).tolist(), held.round(2).T.tolist()
        ([-0.08, 0.0], [0.013, 0.046], [[0.7, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    """

    def __init__(
        self, lessons: tuple[Lesson, ...], points: tuple[Point, ...] = (), at_the_end: tuple[Lesson, ...] = ()
    ) -> None:
        table = np.array(lessons, dtype=np.float64)
        run, progress = table[:, 0], table[:, 2]
        change, sd, came, noise, score = table[:, 10:].T
        places = Places(table[:, 3:10], change, sd)
        known = run, progress, noise, came
        self.by_law, self.plain = Misses(places, *known), Misses(places.unforeseen(), *known)
        self.places, self.known, self._last = places, lessons, at_the_end
        self.of_run = np.equal.outer(run, np.unique(run)).astype(np.float64)
        self.runs = runs = self.of_run.shape[1]
        self.of_others = self._alike(places, places.away(places)) * (1.0 - self.of_run @ self.of_run.T)
        self.near = self.of_others.max(axis=1)
        # One run alone is held against none, and of curves all must be there.
        self.whole = Siblings(points) if runs > 1 and {point.run for point in points} == set(run.tolist()) else None
        self.pools, self.first = _pools(runs, self.whole is not None)
        rivals = [(change, sd), (self.by_law.mean, self.by_law.sd), (self.plain.mean, self.plain.sd)]
        if self.whole is not None:
            rivals.append(self._by_others(self.whole, came))
        means, sds = (np.array(part) for part in zip(*rivals, strict=True))
        own = of_gaussians(means, np.maximum(sds, _LEAST), came)
        own[0] = np.maximum(score, 0.0)  # the law's own shape is seldom a Gaussian's
        self.foretold = means[1:]
        scores = of_pools(own, means, np.maximum(sds, _LEAST), self.pools) / own[:3].mean(axis=0)
        self.scores = scores.T * (runs > 1)

    def expected(self, places: Places, ahead: Ahead | None = None, way: Way | None = None) -> Expected:
        """What the lessons foresee at ``m`` places, and how far that may be believed.

        Where the way of the run is not told, the share of whole curves is the other lessons'.

        Args:
            places: Where the forecasts stand.
            ahead: The way of the run.
            way: How far it has come; ``None`` where that is not asked.
        """
        if way is None:
            return self._expected(places, ahead)
        near, late = (np.interp(share, _HANDED_OVER, (0.0, 1.0)) for share in way)
        if not self._last or not np.count_nonzero(late):
            return self._expected(places, ahead).by(1.0 - near)
        of_end = self._at_the_end.expected(places).by(late)
        if np.minimum.reduce(near) == 1.0:
            return of_end
        told = self._expected(places, ahead).by(1.0 - near)
        return Expected(*(np.concatenate(parts) for parts in zip(told, of_end, strict=True)))

    @cached_property
    def _at_the_end(self) -> Lessons:
        return Lessons(self._last)

    def _expected(self, places: Places, ahead: Ahead | None) -> Expected:
        away = places.away(self.places)
        told = self.by_law.expected(places, away), self.plain.expected(places.unforeseen(), away)
        change, sd, probability = (np.concatenate(part) for part in zip(*told, strict=True))
        alike = self._alike(places, away)
        held = self._held(alike) if self.runs > 1 else self._held(alike) * _by_one(alike, away)
        if self.whole is None or ahead is None:
            all_held = np.add.reduce(held)
            held = held[:2] * (all_held / np.maximum(np.add.reduce(held[:2]), _TINY))
            return Expected(change, sd, probability * held.repeat(2, axis=0))
        mean, doubt = self.whole.expected(ahead.path, ahead.at)
        times = _times(mean - ahead.level)
        change = np.concatenate([change, [times - 1.0]])
        doubt = times * doubt * self._surprising(alike)
        of_whole = held[2] * np.minimum(1.0, self._usual_doubt(alike) / doubt)
        rest = held[:2] * (1.0 + (held[2] - of_whole) / np.maximum(np.add.reduce(held[:2]), _TINY))
        sd = np.concatenate([sd, [doubt]])
        return Expected(change, sd, np.concatenate([probability * rest.repeat(2, axis=0), [of_whole]]))

    def _by_others(self, whole: Siblings, came: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` each: the change that whole curves of the other runs foretell, and its standard deviation."""
        mean, sd = np.array([whole.left_out(lesson.run, lesson.progress) for lesson in self.known]).T
        times = _times(mean - self.places.at[:, -1])
        self.surprise = ((came - times + 1.0) / (times * sd)) ** 2
        self.doubt = times * sd * self._surprising(self.of_others)
        return times - 1.0, self.doubt

    def _usual_doubt(self, alike: FloatArray) -> FloatArray:
        """``(m,)`` how sure whole curves were where they were scored: of less sure ones the scores tell nothing."""
        share = alike / np.maximum(alike.sum(axis=1), _TINY)[:, None]
        return np.asarray(np.exp(share @ np.log(np.maximum(self.doubt, _LEAST))))

    def _surprising(self, alike: FloatArray) -> FloatArray:
        """``(m,)`` what the doubt of whole curves must be taken times, as lessons surprise one another there."""
        worth = REPEATS * alike
        return np.asarray(np.sqrt((DOUBT + worth @ self.surprise) / (DOUBT + worth.sum(axis=1))))

    @cached_property
    def left_out(self) -> dict[Lesson, float]:
        """The change that each lesson's run had been foretold, had the other runs alone taught."""
        held = self._held(self.of_others)
        told = (1.0 - np.add.reduce(held)) * self.places.change + np.add.reduce(held * self.foretold)
        return dict(zip(self.known, told.tolist(), strict=True))

    def _alike(self, places: Places, away: Away) -> FloatArray:
        """``(m, n)`` how alike places are, and how sure the law was: if a run never learns it is as good as sure."""
        as_sure = np.exp(-np.abs(np.subtract.outer(places.sure, self.places.sure)))
        return np.asarray(self.by_law.alike(away) * as_sure)

    def _held(self, alike: FloatArray) -> FloatArray:
        """``(l, m)`` probability that each lesson holds there: each run was foretold by what the others taught.

        It fades where the nearest lesson is less like it than those were by which the lessons heard there were
        foretold: how well siblings foretell from as far off is what the scores have shown.
        """
        heard = alike / (np.maximum(alike @ self.of_run, 1.0) @ self.of_run.T)  # of a run the mean, if it is near
        log_weight = self.first - _VERDICT * (heard @ self.scores)
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        held = (weight / weight.sum(axis=1, keepdims=True) @ self.pools[:, 1:]).T
        most = np.minimum(1.0, _SUREST / np.maximum(np.add.reduce(held), _TINY))
        near = self.near
        usual = (1.0 + heard @ (near * near)) / (1.0 + heard @ near)  # as of one run more that stood at the very place
        return np.asarray(held * most * np.minimum(alike.max(axis=1) / usual, 1.0))


def _times(log_ratio: FloatArray) -> FloatArray:
    """What a loss is foretold to become, over that where the run stood."""
    return np.asarray(np.exp(np.minimum(np.maximum(log_ratio, -_FARTHEST), _FARTHEST)))


def _by_one(alike: FloatArray, away: Away) -> FloatArray:
    """``(m,)`` how much of what one run alone teaches is believed under another course, as a held rate's of a decay.

    How far lessons reach is what several runs show of one another; one has shown nothing of it.
    """
    near = (alike * np.exp(-_ALONE * away.course)).max(axis=1)
    return np.asarray(near / np.maximum(alike.max(axis=1), _TINY))


@cache
def _pools(runs: int, with_curves: bool = False) -> tuple[FloatArray, FloatArray]:
    """Ways to divide a forecast among the law and the lessons: ``(p, k)``, and ``(p,)`` their log-probabilities.

    Beforehand the parts fall to them at random. That runs are alike without the law, and in their whole curves, only
    many of them can show: one tells as well of its own luck.

    Example:
        >>> [(np.exp(first) @ pools).round(2).tolist() for pools, first in map(_pools, (1, 8))]
        [[0.3, 0.7, 0.0], [0.3, 0.39, 0.31]]
        >>> pools, first = _pools(8, True)
        >>> (np.exp(first) @ pools).round(2).tolist()
        [0.21, 0.27, 0.21, 0.31]
    """
    several = 1.0 - 1.0 / runs
    plain = _PLAIN * several
    share = np.maximum([_LAW, 1.0 - _LAW - plain, plain], _TINY)
    if with_curves:
        share = np.append((1.0 - _WHOLE * several) * share, _WHOLE * several)
    parts = [each for each in product(range(_SHARES + 1), repeat=len(share)) if sum(each) == _SHARES]
    ways = [math.factorial(_SHARES) / math.prod(map(math.factorial, each)) for each in parts]
    pools = np.array(parts, dtype=np.float64)
    return pools / _SHARES, np.log(ways) + pools @ np.log(share)
