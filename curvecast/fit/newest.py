"""The train losses since a verdict was last due, heard after the fit of then: one step of a Kalman filter.

A verdict is due after 5 % more losses. Between two, the fit of the first is kept, and each of its shapes, whose
coefficients are Gaussian, hears what came since as one observation more:

    samples   | all up to when a verdict was due |  train losses since  |
    heard by  |      a fit, which is kept        |  each of its shapes  |

What is left out is small where that is a small share of many losses: shapes are drawn before it is heard and weighed
anew by it, and the prior of the coefficients is counted in the loss at which the run then stood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.apart import Apart, apart
from curvecast.fit.basis import power_term
from curvecast.fit.batch import Job
from curvecast.fit.fitting import fit
from curvecast.fit.observed import LEAST_NOISE, MOST_NOISE
from curvecast.fit.posterior import Posterior
from curvecast.fit.tables import GAP, L_N, A, B
from curvecast.fit.units import go_together

_MANY = 320  # of fewer losses 5 % are some few, each of which says much: they are fitted with all others
_NEAR = 1.1  # the walk from the fit to now is a short one: up to so many times the steps
_NEWS = 1.0  # nats that they may tell of the shapes drawn: after more others would be drawn
_FORESEEN = 16.0  # square of the standard deviations by which shapes may miss them: else none drawn may hold them


class Newest(NamedTuple):
    """Some train losses as one observation.

    Args:
        step: Their mean step [steps].
        loss: Their mean [loss unit].
        variance: Of that mean [loss unit squared].
        now: Last step seen [steps].
    """

    step: float
    loss: float
    variance: float
    now: float


class Todo(NamedTuple):
    """What there is to fit of a run.

    Args:
        first: What is to be fitted.
        newest: What is heard after that, where it is no part of that.
        whole: All that was seen.
    """

    first: Job
    newest: Newest | None
    whole: Job


def todo(whole: Job, then: Job, since: tuple[int, float, float]) -> Todo:
    """What there is to fit, the losses since a verdict was last due apart where they can be.

    They cannot where they are many beside those before, nor where no fit can be kept, as that under a plan which is
    inferred anew from each learning rate.

    Args:
        whole: All that was seen.
        then: The same as it stood when a verdict was due; the losses since are of train.
        since: How many they are, and their mean step and loss.
    """
    count, step, loss = since
    can_wait = count > 0 and whole.timeline.lasting and whole.now < _NEAR * then.now
    if not (can_wait and np.add.reduce(then.train.count) >= _MANY and go_together(then.train, then.val)):
        return Todo(whole, None, whole)
    return Todo(then, Newest(step, loss, then.train.noise / count, whole.now), whole)


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
        if todo.newest is None:
            return self, self.posterior
        posterior = heard(self.posterior, todo.newest)
        if posterior is not None:
            return self, posterior
        whole = Fitted.of(todo.whole)
        return whole, whole.posterior


def heard(before: Posterior, newest: Newest) -> Posterior | None:
    """The posterior where the run stands now, after one of all that came before the newest losses.

    The law is told anew from where the run stands: there ``x`` is 1, and on the way there ``L_N`` has wandered.

    Args:
        before: The fit to all before.
        newest: Those.

    Returns:
        ``None`` where they tell so much of the shapes that others would have been drawn, or lie where none of these
        foresaw them, as after a change of the data; or where train loss was not heard.
    """
    if before.alone:
        return None
    clock, gain = before.timeline.at(np.array([before.now, newest.step, newest.now]))
    x, x_now = power_term(clock[1:, None] / clock[0], before.alpha, before.offset, before.floor)
    z = gain[:, 1].take(before.rate)
    walk = before.drift * before.drift
    root = _wandered(before.root, walk * math.log(newest.now / before.now))
    noise = min(newest.variance / before.scale**2, MOST_NOISE**2) + LEAST_NOISE**2
    away = noise + walk * math.log(newest.now / newest.step)
    miss = newest.loss / before.scale - _of_train(before.theta, z, x)
    phi = _of_train(root, z, x)
    variance = np.add.reduce(phi * phi) + away
    per = np.add.reduce(root * phi, axis=1) / variance
    theta = before.theta + per * miss
    root -= (per / (1.0 + np.sqrt(away / variance)))[:, None] * phi  # Potter's square-root update
    theta[A] *= x_now
    root[A] *= x_now
    square = miss * miss / variance
    log_odds = -0.5 * (square + np.log(variance))
    log_odds -= np.maximum.reduce(log_odds)
    weight = before.weight * np.exp(log_odds)
    total = float(np.add.reduce(weight))
    if not total > 0.0:  # no shape of any weight foresaw them; of a run that has gone mad none foresees a number
        return None
    weight /= total
    is_foreseen = float(weight @ square) < _FORESEEN
    if not (is_foreseen and float(weight @ log_odds) - math.log(total) < _NEWS):
        return None
    sped, grown = float(clock[0] / clock[2]), before.now / newest.now
    offset, floor, onset = before.offset * sped, before.floor * sped, before.onset * grown
    return replace(
        before, weight=weight, theta=theta, root=root, offset=offset, floor=floor, onset=onset, now=newest.now
    )


def _of_train(coefficients: FloatArray, z: FloatArray, x: FloatArray) -> FloatArray:
    """``(K,)`` a train loss by its ``(5, K)`` coefficients; a root of its variance ``(5, K)`` by their root."""
    return np.asarray(coefficients[L_N] - z * coefficients[B] + x * coefficients[A])


def _wandered(root: FloatArray, walk: FloatArray) -> FloatArray:
    """The root once ``L_N`` has wandered on: it and the gap alone have a part in its first two columns."""
    root = root.copy()
    own, shared, gap = root[L_N, L_N], root[GAP, L_N], root[GAP, GAP]
    wider = np.sqrt(own * own + walk)
    less = shared * own / wider
    root[GAP, GAP] = np.sqrt(gap * gap + (shared * shared - less * less))
    root[L_N, L_N], root[GAP, L_N] = wider, less
    return root
