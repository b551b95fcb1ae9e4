"""What is left of the plan brings next to nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curvecast.decisions.base import Finding, Reason, View, check_level


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
        path = view.draw(np.array([float(view.step), float(view.end)]), 256, val=False)
        gain = path[:, 0] - path[:, 1]
        probability = float(np.mean(gain < least))
        lower, median, upper = np.quantile(gain, [0.05, 0.5, 0.95])
        details = {"expected_gain": float(median)}
        if probability < self.level:
            return Finding(Reason.PLATEAU, probability, False, details=details)
        rest, more = view.rest()
        message = (
            f"{view.where()}: the gain still to come is {median:.3g} [{lower:.3g}, {upper:.3g}], below {least:.3g} "
            f"with probability {probability:.2f}.{rest}"
        )
        return Finding(Reason.PLATEAU, probability, True, message, details | more)
