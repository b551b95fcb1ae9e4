"""Plateau: what is left of the plan lowers the loss by next to nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.decisions.base import Finding, Reason, check_level, check_number
from curvecast.decisions.details import Details
from curvecast.decisions.view import View
from curvecast.fit.tables import A, B
from curvecast.forecast import Forecast, Target
from curvecast.forecast.ahead import by_law
from curvecast.forecast.taught import Taught, lesson_on
from curvecast.notation import with_interval

_TINY = 1e-24


@dataclass(frozen=True, slots=True)
class Plateau:
    """Fires when the gain still expected up to the horizon is below ``min_gain`` with probability ``level``.

    Args:
        min_gain: Least gain worth the rest of the run [loss unit]; ``None`` for 0.1 % of the loss.
        level: Probability from which on it fires.
        min_left: Share of the plan that must be left: near its end every run has little to gain.

    Raises:
        ValueError: if ``level`` is no probability, ``min_gain`` not positive, or ``min_left`` no share below 1.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(horizon=2000, lr_held=True, decisions=[Plateau(min_gain=0.05)])
        >>> for step in range(1, 1001):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-1.0)
        >>> str(verdict.reason), verdict.details["expected_gain"] < 0.05
        ('plateau', True)
    """

    min_gain: float | None = None
    level: float = 0.95
    min_left: float = 0.1

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 0.0 <= check_number("min_left", self.min_left) < 1.0:
            raise ValueError(
                f"`min_left` must be a share below 1: got {self.min_left}. Pass 0.1 for a tenth of the plan."
            )
        if self.min_gain is not None and not 0.0 < check_number("min_gain", self.min_gain) < math.inf:
            raise ValueError(
                f"`min_gain` must be positive: got {self.min_gain}. "
                "Pass the least gain worth the rest of the run, in loss units."
            )

    def decide(self, view: View) -> Finding | None:
        """``None`` where no horizon is known, it is early, or too little is left.

        A validation loss that will rise is no plateau: growth is left out, overfitting has its own verdict.
        """
        if view.is_early or view.steps_left < max(self.min_left * view.end, 1):
            return None
        post = view.posterior
        least = 1e-3 * post.scale if self.min_gain is None else self.min_gain
        weight, mean, sd = parts = _gain(view)
        probability = float(weight @ ndtr((least / post.scale - mean) / sd))
        details = Details(partial(_details, view, parts))
        if not view.holds(Reason.PLATEAU, probability, self.level):
            return Finding(Reason.PLATEAU, probability, False, details=details)

        def says() -> str:
            lower, median, upper = (float(_forecast(view, parts).quantile(q)) for q in (0.05, 0.5, 0.95))
            gain = f"the gain still to come is {with_interval(median, lower, upper)}"
            return f"{view.where()}: {gain}, below {least:.3g} with probability {probability:.2f}."

        return view.stop(Reason.PLATEAU, probability, says, details)


_Parts = tuple[FloatArray, FloatArray, FloatArray]  # of a mixture: weights, means and standard deviations


def _details(view: View, parts: _Parts) -> dict[str, float]:
    return {"expected_gain": float(_forecast(view, parts).mean)}


def _forecast(view: View, parts: _Parts) -> Forecast:
    weight, mean, sd = (part[:, None] for part in parts)
    return Forecast(float(view.end), "train", weight, mean * view.posterior.scale, sd * view.posterior.scale)


def _gain(view: View) -> _Parts:
    """What the train loss falls from now to the end of the plan: the law's change, its doubt, and its wander."""
    post, step = view.posterior, float(view.end)
    ahead = math.log(step / post.now)
    slack = post.drop_error**2 * ahead / math.log(2.0)
    wander = ahead * post.drift * post.drift + _TINY
    each = []
    for probability, (*_, annealed), (*_, power) in view.train_ahead:
        mean = annealed * -post.theta[B] - power * post.theta[A]
        spread = annealed * post.root[B] + power * post.root[A]
        variance = np.add.reduce(spread * spread) + slack * mean * mean + wander
        each.append((probability * post.weight, mean, variance))
    weight, mean, variance = each[0]
    if len(each) > 1:
        weight, mean, variance = (np.concatenate(part) for part in zip(*each, strict=True))
    if post.prior.sudden and (drop := float(post.prior.sudden_drop(post.now, np.array(step)))) > 0.0:
        weight = np.concatenate([weight * (1.0 - drop), weight * drop])
        mean = np.concatenate([mean, mean + post.prior.sudden_size])
        variance = np.concatenate([variance, variance + post.prior.sudden_sd**2])
    return _taught(view, (weight, mean, np.sqrt(variance)))


def _taught(view: View, parts: _Parts) -> _Parts:
    """The gain by the law and, beside it, as finished runs have taught that it comes under the likeliest plan."""
    lesson = _lesson(view)
    if lesson is None:
        return parts
    (weight, mean, sd), scale = parts, view.posterior.scale
    shift, std, _, held = (part[:, 0] for part in lesson)
    untaught = weight * max(1.0 - float(held.sum()), 0.0)
    return (
        np.concatenate([untaught, held]),
        np.concatenate([mean, weight @ mean - shift / scale]),
        np.concatenate([sd, std / scale]),
    )


def _lesson(view: View) -> Taught | None:
    """What finished runs have taught of the end: of the loss that decides, or of train losses where that may rise."""
    post, (_, timeline) = view.posterior, view.futures[0]
    if not post.prior.lessons:
        return None
    step = np.array([float(view.end)])
    kinds: tuple[Target, ...] = ("train",) if post.grows or not view.of_val else ("val", "train")
    found = (lesson_on(by_law(post.for_lessons, step, of, timeline), post, timeline) for of in kinds)
    return next((lesson for lesson in found if lesson is not None), None)
