"""Target out of reach: the loss that is wanted will not be reached."""

from __future__ import annotations

import math
from dataclasses import dataclass

from curvecast.decisions.base import Finding, Reason, check_level, check_number
from curvecast.decisions.view import View


@dataclass(frozen=True, slots=True)
class TargetOutOfReach:
    """Fires when P(loss at the horizon <= ``target``) is below ``1 - level``.

    Args:
        target: The loss that is wanted at the horizon [loss unit].
        level: Probability from which on it fires.

    Raises:
        ValueError: if ``target`` is not finite, or ``level`` no probability.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(horizon=2000, lr_held=True, decisions=[TargetOutOfReach(1.5)])
        >>> for step in range(1, 1001):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        >>> str(verdict.reason), verdict.should_stop
        ('target_out_of_reach', True)
    """

    target: float
    level: float = 0.95

    def __post_init__(self) -> None:
        check_level(self.level)
        if not math.isfinite(check_number("target", self.target)):
            raise ValueError(f"`target` must be a finite loss: got {self.target}. Pass the loss wanted at the horizon.")

    def decide(self, view: View) -> Finding | None:
        """``None`` where no step is left, or it is early."""
        if view.is_early or view.steps_left == 0:
            return None
        reason = Reason.TARGET_OUT_OF_REACH
        if self.target >= view.level:
            note = f"the target {self.target:.4g} is reached: the {view.of} loss stands at {view.level:.4g}"
            return Finding(reason, 0.0, False, note=f"{note}. Pass a lower one.")
        missed = 1.0 - float(view.outlook.probability_below(self.target))
        if not view.holds(reason, missed, self.level):
            return Finding(reason, missed, False)
        what = f"the {view.of} loss ends above the target, {self.target:.4g}, with probability {missed:.2f}"
        return view.stop(reason, missed, lambda: f"{view.where()}: {what}: {view.outlook} at step {view.end:,}.")
