"""Divergence: non-finite losses, or a loss that left its level and did not come back."""

from __future__ import annotations

from dataclasses import dataclass

from curvecast.decisions.alarm import RISING, Alarm
from curvecast.decisions.base import Finding, Reason, check_number
from curvecast.decisions.view import View


@dataclass(frozen=True, slots=True)
class Divergence:
    """Fires on what the alarm has seen, sample by sample; a spike that comes back is no divergence.

    Args:
        patience: Non-finite losses in a row that count as divergence.
        persistence: Share of the steps done that the loss must stay above the alarm.
        samples: Least number of samples above the alarm, in a row.

    Raises:
        ValueError: if `patience` or `samples` is below 1, or `persistence` no share.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(horizon=1000, decisions=[Divergence()])
        >>> for step in range(1, 206):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5 if step <= 200 else float("nan"))
        >>> str(verdict.reason), verdict.step
        ('diverged', 205)

    Source: own rule. The level is the best that the bins have seen, not a moving average that a slow rise drags along.
    """

    patience: int = 5
    persistence: float = 0.02
    samples: int = 8

    def __post_init__(self) -> None:
        for name in ("patience", "persistence", "samples"):
            check_number(name, getattr(self, name))
        if not (self.patience >= 1 and self.samples >= 1):
            raise ValueError(
                f"`patience` and `samples` must be at least 1: got {self.patience} and {self.samples}. "
                "Leave Divergence out of `decisions` to switch it off."
            )
        if not 0.0 <= self.persistence < 1.0:
            raise ValueError(
                f"`persistence` must be a share below 1: got {self.persistence}. Pass 0.02 for 2 % of the steps done."
            )

    def alarm(self) -> Alarm:
        """A fresh alarm with these settings."""
        return Alarm(patience=self.patience, persistence=self.persistence, samples=self.samples)

    def decide(self, view: View) -> Finding:
        """Certain once it fires: it is an observation, not a forecast."""
        return self.judge(view.alarm)

    def judge(self, alarm: Alarm) -> Finding:
        """The finding without a fit: a run may diverge before it has one."""
        fires = alarm.diverged
        details = {"spikes": float(alarm.spikes)}
        return Finding(Reason.DIVERGED, float(fires), fires, self._message(alarm) if fires else "", details)

    @staticmethod
    def _message(alarm: Alarm) -> str:
        if alarm.nonfinite:
            return (
                f"diverged at step {alarm.step:,}: the last {alarm.nonfinite:,} losses are not finite. "
                "Go back to an earlier checkpoint with a lower learning rate, or clip gradients."
            )
        return (
            f"diverged at step {alarm.step:,}: the loss left {alarm.level:.4g} at step {alarm.first_high:,}, rose to "
            f"{alarm.worst:.4g} and has not come back. Go back to a checkpoint before that step."
            f"{RISING if alarm.rising else ''}"
        )
