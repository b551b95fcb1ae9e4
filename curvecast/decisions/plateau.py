"""What is left of the plan brings next to nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from curvecast.decisions.base import Finding, Reason, View, check_level
from curvecast.decisions.details import Details
from curvecast.forecast import Forecast


@dataclass(frozen=True, slots=True)
class Plateau:
    """Fires when the gain still expected up to the horizon is below ``min_gain`` with probability ``level``.

    Args:
        min_gain: Least gain worth the rest of the run [loss unit]; ``None`` for 0.1 % of the loss.
        level: Probability from which on it fires.
        min_left: Share of the plan that must be left: near its end every run has little to gain.
    """

    min_gain: float | None = None
    level: float = 0.95
    min_left: float = 0.1

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.min_gain is not None and not self.min_gain > 0.0:
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
        least = 1e-3 * view.posterior.scale if self.min_gain is None else self.min_gain
        gain = _gain(view)
        probability = float(gain.probability_below(least))
        details = Details(partial(_details, gain))
        if not view.holds(Reason.PLATEAU, probability, self.level):
            return Finding(Reason.PLATEAU, probability, False, details=details)
        lower, median, upper = (float(gain.quantile(q)) for q in (0.05, 0.5, 0.95))
        rest = view.rest()
        message = (
            f"{view.where()}: the gain still to come is {median:.3g} [{lower:.3g}, {upper:.3g}], below {least:.3g} "
            f"with probability {probability:.2f}.{rest.words}"
        )
        return Finding(Reason.PLATEAU, probability, True, message, {**details, **rest.details}, rest.choices)


def _details(gain: Forecast) -> dict[str, float]:
    return {"expected_gain": float(gain.mean)}


def _gain(view: View) -> Forecast:
    """What the train loss falls from now to the end of the plan: the law's change, its doubt, and its wander."""
    post, step = view.posterior, float(view.end)
    ahead = math.log(step / post.now)
    slack = post.prior.drop_error**2 * ahead / math.log(2.0)
    wander = post.drift * post.drift * ahead
    parts = []
    for probability, columns in view.train_ahead[1]:
        change = columns[:, -1]
        mean = -np.add.reduce(change * post.theta)
        spread = np.add.reduce(change[:, None] * post.root)
        parts.append((probability * post.weight, mean, np.add.reduce(spread * spread) + mean * mean * slack + wander))
    weight, mean, variance = (np.concatenate(each) for each in zip(*parts, strict=True))
    drop = float(post.prior.sudden_drop(post.now, np.array([step]))[0])
    if drop > 0.0:
        weight = np.concatenate([weight * (1.0 - drop), weight * drop])
        mean = np.concatenate([mean, mean + post.prior.sudden_size])
        variance = np.concatenate([variance, variance + post.prior.sudden_sd**2])
    sd = np.sqrt(variance) + 1e-12
    return Forecast(step, "train", weight[:, None], mean[:, None] * post.scale, sd[:, None] * post.scale)
