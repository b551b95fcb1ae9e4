"""The losses since a verdict was last due, heard after the fit of then: a step or two of a Kalman filter.

A verdict is due after 5 % more losses. Between two, the fit of the first is kept, and each of its shapes, whose
coefficients are Gaussian, hears what came since as one observation more of either kind:

    samples   | all up to when a verdict was due |     losses since     |
    heard by  |      a fit, which is kept        |  each of its shapes  |

What is left out is small where that is a small share of many losses: shapes are drawn before it is heard and weighed
anew by it, and the prior of the coefficients is counted in the loss at which the run then stood.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from curvecast.curve import FloatArray, Since
from curvecast.fit.apart import Apart, apart
from curvecast.fit.basis import growth_term, power_term
from curvecast.fit.batch import Job
from curvecast.fit.fitting import fit
from curvecast.fit.observed import LEAST_NOISE, MOST_NOISE, first_bin
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.tables import GAP, L_N, A, B, G
from curvecast.fit.units import go_together

_MANY = 320  # of fewer losses 5 % are some few, each of which says much: they are fitted with all others
_NEAR = 1.1  # the walk from the fit to now is a short one: up to so many times the steps
_BEGINS = 1.25  # of a decay that has brought more than so many times what it had, each loss tells much
_FAR = 100.0  # a loss of so many times the newest is no part of any law
_NEWS = 1.0  # nats that they may tell of the shapes drawn: after more others would be drawn
_FORESEEN = 16.0  # square of the standard deviations by which shapes may miss them: else none drawn may hold them


class Newest(NamedTuple):
    """Some losses of one kind as one observation.

    Args:
        step: Their mean step [steps].
        loss: Their mean [loss unit].
        variance: Of that mean [loss unit squared].
        val: Whether they are validation losses.
    """

    step: float
    loss: float
    variance: float
    val: bool = False


class Todo(NamedTuple):
    """What there is to fit of a run.

    Args:
        first: What is to be fitted.
        newest: What is heard after that, where it is no part of that: in the order of the steps.
        whole: All that was seen.
    """

    first: Job
    newest: tuple[Newest, ...]
    whole: Job


def todo(whole: Job, then: Job, since: tuple[Since, Since]) -> Todo:
    """What there is to fit, the losses since a verdict was last due apart where they can be.

    They cannot where they are many beside those before, nor where finished runs tell what fits to all losses miss by:
    of runs that read the same batches that is told to less than the step differs. Validations are heard where they are
    what is forecast.

    Args:
        whole: All that was seen.
        then: The same as it stood when a verdict was due.
        since: What came since, of train and of validation.
    """
    came = zip(since, (then.train, then.val), (False, True), strict=True)
    newest = [Newest(each.step, each.loss, bins.noise / each.samples, val) for each, bins, val in came if each.samples]
    can_wait = newest and whole.now < _NEAR * then.now and (whole.of_val or not since[1].samples)
    can_wait = can_wait and not is_taught(whole.prior) and not _has_lost(whole, then)
    if not (can_wait and np.add.reduce(then.train.count) >= _MANY and go_together(then.train, then.val)):
        return Todo(whole, (), whole)
    return Todo(then, tuple(sorted(newest)), whole)


def is_taught(prior: Prior) -> bool:
    """Whether finished runs tell what a fit misses by: then no loss waits for the next fit."""
    return bool(prior.lessons or prior.curves)


def _has_lost(whole: Job, then: Job) -> bool:
    """Whether a loss far above the others has become too old to be fitted: what was fitted with it is another run."""
    for bins in (whole.train, whole.val):
        if len(bins):
            gone = bins.mean[first_bin(bins, then.now) : first_bin(bins, whole.now)]
            if len(gone) and float(gone.max()) > _FAR * abs(float(bins.mean[-1])):
                return True
    return False


@dataclass(frozen=True, eq=False)  # no slots: what is worked out is kept
class Fitted:
    """A fit, and what it was made of.

    Args:
        job: What was fitted.
        posterior: The fit.
    """

    job: Job
    posterior: Posterior

    @classmethod
    def of(cls, job: Job) -> Fitted:
        """The fit to a run."""
        return cls(job, fit(*job[:4], of_val=job.of_val, now=job.now))

    @cached_property
    def apart(self) -> Apart | None:
        """Validation by a law of its own, where it may have parted from train."""
        return apart(self.job.train, self.job.val, self.posterior)

    @property
    def untaught(self) -> Fitted:
        """The same as if no finished run had been learnt from."""
        return Fitted(self.job, replace(self.posterior, prior=self.posterior.prior.untaught))

    def then(self, todo: Todo) -> tuple[Fitted, Posterior]:
        """The posterior once the newest losses were heard as well, and the fit that it goes on from: this one, mostly.

        Args:
            todo: What there is to fit, of which this is the first.
        """
        if not todo.newest:
            return self, self.posterior
        posterior = heard(self.posterior, todo.newest, todo.whole.now)
        if posterior is not None:
            return self, posterior
        whole = Fitted.of(todo.whole)
        return whole, whole.posterior


def heard(before: Posterior, newest: Sequence[Newest], now: float) -> Posterior | None:
    """The posterior where the run stands now, after one of all that came before the newest losses.

    The law is told anew from where the run stands: there ``x`` is 1, and on the way there ``L_N`` has wandered.

    Args:
        before: The fit to all before.
        newest: Those, in the order of their steps.
        now: Last step seen [steps].

    Returns:
        ``None`` where they tell so much of the shapes that others would have been drawn, or lie where none of these
        foresaw them, as after a change of the data; where a decay has just begun, or where one loss was not heard.
    """
    if before.alone:
        return None
    clock, gain = before.timeline.at(np.array([before.now, *(each.step for each in newest), now]))
    if np.maximum.reduce(gain[:, -1]) > _BEGINS * np.maximum.reduce(gain[:, 0]):
        return None
    x = power_term(clock[1:, None] / clock[0], before.alpha, before.offset, before.floor)
    walk = before.drift * before.drift
    rows = [_row(before, each, gain[:, k].take(before.rate), x[k - 1], now) for k, each in enumerate(newest, 1)]
    theta, root = before.theta.copy(), _wandered(before.root, walk * math.log(now / before.now))
    log_odds, square = _hear(theta, root, rows[-1])
    for row, later in pairwise(rows):
        of_row, beside = _hear(theta, root, row.beyond(later))
        log_odds, square = log_odds + of_row, np.maximum(square, beside)
    theta[A] *= x[-1]
    root[A] *= x[-1]
    log_odds -= np.maximum.reduce(log_odds)
    weight = before.weight * np.exp(log_odds)
    total = float(np.add.reduce(weight))
    if not total > 0.0:  # no shape of any weight foresaw them; of a run that has gone mad none foresees a number
        return None
    weight /= total
    is_foreseen = float(weight @ square) < _FORESEEN
    if not (is_foreseen and float(weight @ log_odds) - math.log(total) < _NEWS):
        return None
    sped, grown = float(clock[0] / clock[-1]), before.now / now
    offset, floor, onset = before.offset * sped, before.floor * sped, before.onset * grown
    return replace(before, weight=weight, theta=theta, root=root, offset=offset, floor=floor, onset=onset, now=now)


class _Row(NamedTuple):
    """A mean of losses by what it is made of, in units of the posterior's scale.

    Args:
        column: ``(5, K)`` design.
        loss: The loss, ``(K,)`` where each shape has its own.
        away: ``(K,)`` variance of what has wandered from there to now.
        noise: ``(K,)`` variance of the loss about the law of now, that included.
    """

    column: FloatArray
    loss: Any
    away: FloatArray
    noise: FloatArray

    def beyond(self, later: _Row) -> _Row:
        """What it tells beside a later one: what has wandered since that is in both."""
        share = later.away / later.noise
        column, loss = self.column - share * later.column, self.loss - share * later.loss
        return _Row(column, loss, self.away, self.noise - share * later.away)


def _row(before: Posterior, each: Newest, z: FloatArray, x: FloatArray, now: float) -> _Row:
    """Of ``(K,)`` gain and power law there."""
    column = np.zeros((5, len(x)))
    column[L_N], column[A] = 1.0, x
    np.negative(z, out=column[B])
    if each.val:
        column[GAP] = 1.0
        if before.grows:
            column[G] = growth_term(np.array(each.step / before.now), before.onset)
    away = before.drift * before.drift * math.log(now / each.step)
    noise = min(each.variance / before.scale**2, MOST_NOISE**2) + LEAST_NOISE**2
    return _Row(column, each.loss / before.scale, away, noise + away)


def _hear(theta: FloatArray, root: FloatArray, row: _Row) -> tuple[FloatArray, FloatArray]:
    """Condition the coefficients, in place, on a loss.

    Returns:
        ``(K,)`` the logarithm of its density, and the square of the standard deviations by which it was missed.
    """
    column, loss, _, noise = row
    miss = loss - np.add.reduce(column * theta)
    phi = np.add.reduce(column[:, None] * root)
    variance = np.add.reduce(phi * phi) + noise
    per = np.add.reduce(root * phi, axis=1) / variance
    theta += per * miss
    root -= (per / (1.0 + np.sqrt(noise / variance)))[:, None] * phi  # Potter's square-root update
    square = miss * miss / variance
    return -0.5 * (square + np.log(variance)), square


def _wandered(root: FloatArray, walk: FloatArray) -> FloatArray:
    """The root once ``L_N`` has wandered on: it and the gap alone have a part in its first two columns."""
    root = root.copy()
    own, shared, gap = root[L_N, L_N], root[GAP, L_N], root[GAP, GAP]
    wider = np.sqrt(own * own + walk)
    less = shared * own / wider
    root[GAP, GAP] = np.sqrt(gap * gap + (shared * shared - less * less))
    root[L_N, L_N], root[GAP, L_N] = wider, less
    return root
