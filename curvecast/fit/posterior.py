"""The posterior over one run's curve: a mixture of shapes, an exact Gaussian over coefficients at each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import FloatArray
from curvecast.fit.basis import Timeline, growth_term, power_term
from curvecast.fit.prior import Prior
from curvecast.fit.tables import GAP, L_N, A, B, G

_LOG_2 = math.log(2.0)
GROWTH_ERROR = 0.5  # as ``drop_error``, of a rise: how it begins tells little of how it goes on
NOTHING_TOLD = 1e30  # a variance so large that nothing is told
_OF_SHAPES = ("theta", "root", "alpha", "offset", "floor", "rate", "onset", "drift", "drop_error")


class Told(NamedTuple):
    """A loss ahead that shapes were conditioned on.

    Args:
        step: Where [steps].
        loss: There, in units of the posterior's scale.
        variance: ``(K,)`` of it, in the square of that; ``NOTHING_TOLD`` for shapes that were not conditioned.
        val: Whether it is a validation loss.
    """

    step: float
    loss: float
    variance: FloatArray
    val: bool


class _Drawn(NamedTuple):
    """How losses at ``(m,)`` steps are drawn to the one that was told, beyond what the law has learnt of it.

    Args:
        share: ``(m, K)`` of what lies between the law and the told loss.
        common: ``(m, K)`` covariance of what comes between law and loss at both.
        column: ``(5, K)`` design at the told step.
    """

    share: FloatArray
    common: FloatArray
    column: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Mixture of ``K`` shapes with Gaussian coefficients ``[L_N, gap, B, G, A]``, relative to ``scale``.

    Shapes run along the last axis.

    Args:
        weight: ``(K,)`` posterior probability of each shape.
        theta: ``(5, K)`` posterior mean of the coefficients.
        root: ``(5, 5, K)`` a square root of their covariance, ``root @ root.T`` of each shape.
        alpha, offset, floor: ``(K,)`` shape of the power-law term.
        rate: ``(K,)`` index of the annealing shape.
        onset: ``(K,)`` start of overfitting as a share of ``now``; inf for none.
        drift: ``(K,)`` standard deviation of the wander per square root of an e-fold, relative.
        drop_error: ``(K,)`` as in the prior: what may fail to come of a change that the law foresees.
        scale: Loss that 1.0 stands for [loss unit].
        now: Last step seen [steps].
        timeline: The law's clock.
        prior: What was believed before.
        evidence: Logarithm of the density of all losses under the law, as ``Grid.evidence`` gives it.
        turned: Whether validation stands above its lowest by more than noise. It says so as long as that is so, where
            ``grows`` depends on which shapes were drawn: a flat stretch after a rise leaves onsets hardly any weight.
        told: A loss ahead that is known, where one is.
        alone: Whether it is of one loss alone, for a law of both stood off that (``astray``).
    """

    weight: FloatArray
    theta: FloatArray
    root: FloatArray
    alpha: FloatArray
    offset: FloatArray
    floor: FloatArray
    rate: NDArray[np.intp]
    onset: FloatArray
    drift: FloatArray
    drop_error: FloatArray
    scale: float
    now: float
    timeline: Timeline
    prior: Prior
    evidence: float = math.nan
    turned: bool = False
    told: Told | None = None
    alone: bool = False

    @property
    def grows(self) -> bool:
        """Whether overfitting has begun in any shape."""
        return bool(np.minimum.reduce(self.onset) < np.inf)

    @property
    def is_lawful(self) -> NDArray[np.bool_]:
        """``(K,)`` which shapes are of no outlier, and of a known size of what is believed of that size alone."""
        law = self.prior if self.prior.size is not None else self.prior.beside or self.prior
        return np.asarray(self.drop_error <= law.drop_error)

    @property
    def lawful(self) -> Posterior:
        """The posterior of a run that is no outlier, and of a known size what is believed of that size alone."""
        kept = self.is_lawful.nonzero()[0]
        weight, told = self.weight.take(kept), self.told
        share = float(np.add.reduce(weight))
        if len(kept) == len(self.weight) or not share > 0.0:  # none is: after a loss of 1e20 even one is too much
            return self
        shapes: dict[str, Any] = {name: getattr(self, name).take(kept, axis=-1) for name in _OF_SHAPES}
        if told is not None:
            told = told._replace(variance=told.variance.take(kept))
        return replace(self, weight=weight / share, told=told, **shapes)

    @property
    def for_lessons(self) -> Posterior:
        """The lawful posterior, its law doubted as that of the runs that taught (``Prior.for_lessons``)."""
        lawful = self.lawful
        return replace(lawful, drop_error=np.maximum(lawful.drop_error, self.prior.lesson_error))

    def power(self, step: FloatArray) -> FloatArray:
        """``(m, K)`` power-law term ``x`` at ``(m,)`` steps: 1 where the run stands."""
        clock, _ = self.timeline.at(np.concatenate([[self.now], step]))
        return power_term(clock[1:, None] / clock[0], self.alpha, self.offset, self.floor)

    def columns(self, step: FloatArray, *, val: bool, timeline: Timeline | None = None) -> FloatArray:
        """``(5, 1 + m, K)`` design where the run stands and at ``(m,)`` steps.

        A timeline gives another future; its past is the same.
        """
        step = np.concatenate([[self.now], step])
        clock, gain = (timeline or self.timeline).at(step)
        out = np.zeros((5, len(step), len(self.weight)))
        out[L_N] = 1.0
        np.negative(gain.T.take(self.rate, axis=1), out=out[B])
        out[A] = power_term(clock[:, None] / clock[0], self.alpha, self.offset, self.floor)
        if val:
            out[GAP] = 1.0
            if self.grows:
                out[G] = growth_term(step[:, None] / self.now, self.onset)
        return out

    def moments(
        self, step: FloatArray, *, val: bool, timeline: Timeline | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """``(m, K)`` mean and variance of the noise-free loss at ``(m,)`` steps [loss unit, and its square]."""
        return self.from_here(step, val=val, timeline=timeline)[1:]

    def from_here(
        self, step: FloatArray, *, val: bool, timeline: Timeline | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The same, and before them ``(K,)`` the law's loss where the run stands, from which they are told."""
        columns = self.columns(step, val=val, timeline=timeline)
        ahead = self.ahead(step)
        law, slip = self._law(columns, ahead)
        here, mean = law[0], law[1:]
        spread = np.add.reduce(columns[:, None, 1:] * self.root[:, :, None])
        between = (self.drift * self.drift) * np.abs(ahead)
        between += slip * slip
        if self.told is not None:
            drawn = self._drawn_to(self.told, step, slip)
            end = drawn.column
            mean += drawn.share * (self.told.loss - np.add.reduce(end * self.theta))
            spread -= drawn.share * np.add.reduce(end[:, None] * self.root)[:, None]
            between -= drawn.share * drawn.common
        return here * self.scale, mean * self.scale, (np.add.reduce(spread * spread) + between) * self.scale**2

    def law(self, step: FloatArray, *, val: bool) -> FloatArray:
        """``(m, K)`` the law's loss at ``(m,)`` steps, in units of the scale."""
        return np.asarray(np.add.reduce(self.columns(step, val=val) * self.theta[:, None])[1:])

    def ahead(self, step: FloatArray) -> FloatArray:
        """``(m, 1)`` logarithm of ``(m,)`` steps over those done."""
        return np.asarray(np.log(step / self.now)[:, None])

    def _law(self, columns: FloatArray, ahead: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(1 + m, K)`` the law's loss, of now first; of its change, how much may fail to come, ``(m, K)``."""
        law = np.add.reduce(columns * self.theta[:, None])
        return law, self.slip(law, columns[G], self.theta[G], self.drop_error, ahead)

    def slip(
        self, law: FloatArray, grown: FloatArray, growth: FloatArray, drop_error: FloatArray, ahead: FloatArray
    ) -> FloatArray:
        """``(m, K)`` standard deviation of the share of the law's change that fails to come; more of a rise does.

        Args:
            law: ``(1 + m, K)`` the law's loss, where the run stands and at the steps.
            grown: ``(1 + m, K)`` column of growth there.
            growth: ``(K,)`` its coefficient.
            drop_error: ``(K,)`` of each shape.
            ahead: ``(m, 1)`` as of ``ahead``.
        """
        change = drop_error * (law[1:] - law[0])
        if self.grows:
            change -= (GROWTH_ERROR + drop_error) * growth * (grown[1:] - grown[0])
        return np.asarray(change * np.sqrt(np.maximum(ahead, 0.0) / _LOG_2))

    def _drawn_to(self, told: Told, step: FloatArray, slip: FloatArray) -> _Drawn:
        """How ``(m,)`` steps, with ``slip`` as of ``_law``, follow what came between law and loss at the told one."""
        end = np.array([told.step])
        columns = self.columns(end, val=told.val)
        (at_end,) = self._law(columns, self.ahead(end))[1]
        ahead, log_end = self.ahead(step), math.log(told.step / self.now)
        squared = self.drift * self.drift
        common = squared * np.clip(ahead, 0.0, log_end) + slip * at_end
        share = common / (squared * log_end + at_end * at_end + told.variance)
        return _Drawn(share, common, columns[:, 1])

    def given(self, step: float, loss: float, std: float, *, val: bool) -> Posterior:
        """The posterior once a loss ahead is known, as well as ``std`` says: Bayes' rule in each shape.

        What may still come between the law and that loss (wander, and what fails to come) keeps the law in doubt; at
        that step, and on the way there, it is known as well as the loss is.

        Args:
            step: Ahead of the run [steps].
            loss: There [loss unit].
            std: Of it [loss unit].
            val: Whether it is a validation loss.
        """
        at = np.array([step])
        column = self.columns(at, val=val)[:, 1]
        mean, variance = (part[0] for part in self.moments(at, val=val))
        phi = np.einsum("qk,qpk->pk", column, self.root)
        own = np.add.reduce(phi * phi)
        total = variance / self.scale**2 + (std / self.scale) ** 2
        miss = (loss - mean) / self.scale
        gain = np.einsum("pqk,qk->pk", self.root, phi)
        shrink = 1.0 / (total + np.sqrt(total * np.maximum(total - own, 0.0)))  # Potter's square-root update
        log_weight = np.log(np.maximum(self.weight, 1e-300)) - 0.5 * (miss * miss / total + np.log(total))
        weight = np.exp(log_weight - log_weight.max())
        return replace(
            self,
            weight=weight / weight.sum(),
            theta=self.theta + gain * (miss / total),
            root=self.root - shrink * gain[:, None] * phi,
            told=Told(step, loss / self.scale, np.full(len(weight), (std / self.scale) ** 2), val),
        )

    def draw(self, step: FloatArray, count: int, *, val: bool, timeline: Timeline | None = None) -> FloatArray:
        """``(count, m)`` noise-free curves drawn from the posterior at increasing steps [loss unit].

        The draws are the same at every call: a verdict must depend on the samples alone.
        """
        rng = np.random.default_rng(0)
        told = self.told
        steps = step if told is None else np.unique(np.append(step, told.step))
        positions = (np.arange(count) + 0.5) / count
        pick = np.minimum(np.searchsorted(np.cumsum(self.weight), positions), len(self.weight) - 1)
        normal = rng.standard_normal((count, 5))
        theta = self.theta[:, pick] + np.einsum("pqk,kq->pk", self.root[:, :, pick], normal)
        columns = self.columns(steps, val=val, timeline=timeline)
        law = np.add.reduce(columns[:, :, pick] * theta[:, None]).T
        slip = self.slip(law.T, columns[G].take(pick, axis=1), theta[G], self.drop_error[pick], self.ahead(steps))
        law = law[:, 1:]
        ahead = np.maximum(steps / self.now, 1.0)
        fails = slip.T * rng.standard_normal((count, 1))
        walk = rng.standard_normal((count, len(steps))) * np.sqrt(np.maximum(np.diff(np.log(ahead), prepend=0.0), 0.0))
        between = fails + self.drift[pick][:, None] * np.cumsum(walk, axis=1)
        falls = rng.random((count, 1)) < self.prior.sudden_drop(self.now, steps)
        drop = self.prior.sudden_size + self.prior.sudden_sd * rng.standard_normal((count, 1))
        drawn = law + between - falls * drop
        if told is not None:
            to = self._drawn_to(told, steps, self._law(columns, self.ahead(steps))[1])
            end = steps.searchsorted(told.step)
            noise = np.sqrt(told.variance[pick]) * rng.standard_normal(count)
            miss = told.loss - np.add.reduce(to.column[:, pick] * theta) - between[:, end] - noise
            drawn = (drawn + to.share[:, pick].T * miss[:, None])[:, steps.searchsorted(step)]
        return np.asarray(drawn * self.scale)


def together(parts: Sequence[Posterior], prior: Prior) -> Posterior:
    """The shapes of all parts, each with the weight that it has."""
    if len(parts) == 1 and parts[0].prior is prior:
        return parts[0]
    shapes: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in (*_OF_SHAPES, "weight")
    }
    return replace(parts[0], prior=prior, **shapes)


def joined(first: Posterior, second: Posterior, share: float) -> Posterior:
    """The shapes of both, the second's with a share of the weight; all else is the first's."""
    weighed = replace(first, weight=(1.0 - share) * first.weight), replace(second, weight=share * second.weight)
    return together(weighed, first.prior)
