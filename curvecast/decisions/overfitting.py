"""The best validation loss lies behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curvecast.decisions.base import Finding, Reason, View, check_level

_DRAWS, _POINTS = 256, 24


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Fires when, under every remaining step of the plan, the best validation loss lies behind.

    The probability is the share of curves drawn from the joint posterior of train and validation loss whose
    lowest point up to now is not undercut later. The raw gap between the two losses has no part in it: it
    overestimates overfitting (Kaplan et al. 2020, Fig. 16).

    Args:
        level: Probability from which on it fires.
        min_points: Validation losses that must have been seen.
    """

    level: float = 0.95
    min_points: int = 6

    def __post_init__(self) -> None:
        check_level(self.level)

    def decide(self, view: View) -> Finding | None:
        """``None`` without enough validation losses.

        With no step left, or where no horizon is known, the lowest point is held against the present level.
        """
        if view.best_val is None or view.val.count.sum() < self.min_points:
            return None
        seen = view.val.step
        path = view.draw(np.append(seen, view.ahead(_POINTS)), _DRAWS, val=True)
        past, ahead = path[:, : len(seen)].min(axis=1), path[:, len(seen) :].min(axis=1)
        probability = float(np.mean(ahead > past))
        step, loss = view.best_val
        details = {"best_step": float(step), "best_loss": loss}
        if probability < self.level:
            return Finding(Reason.OVERFITTING, probability, False, details=details)
        rest, more = view.rest()
        message = (
            f"{view.where()}: the best validation loss, {loss:.4g} at step {step}, lies behind with probability "
            f"{probability:.2f}.{rest}"
        )
        return Finding(Reason.OVERFITTING, probability, True, message, details | more)
