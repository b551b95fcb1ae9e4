"""What finished runs teach about the next one: how steeply losses fall there, and what a decay brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import FloatArray, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.grid import A, B
from curvecast.fit.posterior import Posterior, fit
from curvecast.fit.prior import Prior
from curvecast.schedule import Schedule

_LEAST = 50  # samples of a run that can teach anything
_ANY_SPEED = tuple((float(speed), 1.0 / 7.0) for speed in np.geomspace(0.2, 4.0, 7))  # a run is read with no opinion
_SPREAD = 0.25  # how far the runs of one team differ among each other, in the logarithm of both quantities


class FinishedRun(Protocol):
    """What is needed of a run; ``curvecast.Run`` has it."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """``(n,)`` completed optimizer steps."""

    @property
    def train_loss(self) -> FloatArray:
        """``(n,)`` train loss; NaN where none was logged."""

    @property
    def val_loss(self) -> FloatArray:
        """``(n,)`` validation loss; NaN where none was logged."""

    @property
    def lr(self) -> FloatArray:
        """``(n,)`` learning rate; NaN where none was logged."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """``"schedule"``: a ``Schedule.to_dict()``, where the plan is known."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Mean and variance of a logarithm, as one run tells it; infinite variance where it tells nothing."""

    mean: float
    variance: float


def learn_prior(runs: Iterable[FinishedRun], *, start: Prior | None = None) -> Prior:
    """A prior for the next run, learnt from finished ones.

    Two quantities are learnt, the exponent ``alpha`` and the annealing speed, each as a normal distribution of
    its logarithm: the team's own centre shrinks toward the shipped one where there are few runs or they say
    little, and its spread shrinks from that between laboratories to that within one.

    Args:
        runs: Finished runs, with their learning rates (logged, or a ``schedule`` in ``meta``).
        start: The prior to start from; ``None`` for the shipped one.

    Raises:
        ValueError: if no run has enough samples.

    Example:
        >>> from types import SimpleNamespace
        >>> steps = np.arange(1, 2001)
        >>> loss, nothing = 2.0 + 3.0 * steps**-0.3, np.full(2000, np.nan)
        >>> run = SimpleNamespace(steps=steps, train_loss=loss, val_loss=nothing, lr=nothing, meta={})
        >>> Prior().alpha_log_sd > learn_prior([run]).alpha_log_sd
        True
    """
    prior = start or Prior()
    lessons = [lesson for run in runs if (lesson := _study(run, prior)) is not None]
    if not lessons:
        raise ValueError(
            f"`runs` must hold a finished run with at least {_LEAST} losses: got none. Pass longer runs, or prior=None."
        )
    alpha = _combine(_Lesson(prior.alpha_log_mean, prior.alpha_log_sd**2), [a for a, _ in lessons])
    speed = _combine(_of_mixture(prior), [s for _, s in lessons])
    spread = np.sqrt(1.5 * speed.variance) * np.array([-1.0, 0.0, 1.0])  # three points with that variance
    return replace(
        prior,
        alpha_log_mean=alpha.mean,
        alpha_log_sd=float(np.sqrt(alpha.variance)),
        annealing=tuple((float(np.exp(speed.mean + d)), 1.0 / 3.0) for d in spread),
        source=f"{prior.source}; then learnt from {len(lessons)} finished runs",
    )


def _study(run: FinishedRun, prior: Prior) -> tuple[_Lesson, _Lesson] | None:
    """What one finished run says of ``ln alpha`` and of the logarithm of the annealing speed."""
    train, val = Series(), Series()
    for series, losses in ((train, run.train_loss), (val, run.val_loss)):
        for step, loss in zip(run.steps.tolist(), losses.tolist(), strict=True):
            if np.isfinite(loss) and step >= 1:
                series.add(step, loss)
    if train.total + val.total < _LEAST:
        return None
    timeline = Timeline(_schedule(run), prior.annealing_time)
    open_minded = replace(prior, alpha_log_sd=2.0, annealing=_ANY_SPEED, annealing_sd=0.05)
    post = fit(train.bins(), val.bins(), timeline, open_minded, of_val=bool(val.total))
    log_alpha = np.log(post.alpha)
    alpha = _Lesson(float(post.weight @ log_alpha), _variance(post.weight, log_alpha) + 0.1**2)
    annealed = timeline.gain(np.array([post.now])).max() > 0.3
    if not annealed:
        return alpha, _Lesson(0.0, np.inf)
    return alpha, _annealing_speed(post)


def _annealing_speed(post: Posterior) -> _Lesson:
    """``ln(B / slope)`` over the shapes in which both are positive, with the joint variance of ``ln B - ln A``."""
    slope = post.alpha / (1.0 + post.offset) * post.theta[:, A]
    sure = (post.theta[:, B] > 0.0) & (slope > 0.0)
    weight = post.weight[sure]
    if weight.sum() < 0.5:
        return _Lesson(0.0, np.inf)
    weight = weight / weight.sum()
    b, a, root = post.theta[sure, B, None], post.theta[sure, A, None], post.root[sure]
    within = np.square(root[:, B] / b - root[:, A] / a).sum(axis=-1)
    log_speed = np.log(b[:, 0] / slope[sure])
    return _Lesson(float(weight @ log_speed), _variance(weight, log_speed) + float(weight @ within))


def _schedule(run: FinishedRun) -> Schedule | None:
    planned = run.meta.get("schedule")
    if isinstance(planned, Mapping):
        return Schedule.from_dict(planned)
    known = np.isfinite(run.lr) & (run.steps >= 1)
    if not known.any() or run.lr[known].max() <= 0.0:
        return None
    every = np.arange(1.0, float(run.steps[-1]) + 1.0)
    return Schedule.from_array(np.interp(every, run.steps[known], run.lr[known]))


def _combine(before: _Lesson, lessons: list[_Lesson]) -> _Lesson:
    """Normal-normal shrinkage: the centre of the team's runs, and how far the next one may lie from it."""
    precision = 1.0 / before.variance + sum(1.0 / (lesson.variance + _SPREAD**2) for lesson in lessons)
    total = before.mean / before.variance + sum(lesson.mean / (lesson.variance + _SPREAD**2) for lesson in lessons)
    return _Lesson(total / precision, min(1.0 / precision + _SPREAD**2, before.variance))


def _of_mixture(prior: Prior) -> _Lesson:
    speed, share = np.asarray(prior.annealing).T
    weight = share / share.sum()
    return _Lesson(float(weight @ np.log(speed)), max(_variance(weight, np.log(speed)), _SPREAD**2))


def _variance(weight: FloatArray, values: FloatArray) -> float:
    return float(weight @ np.square(values - weight @ values))
