"""Never: the baseline that lets every run go on."""

from __future__ import annotations

from dataclasses import dataclass

from curvecast.decisions.base import Finding
from curvecast.decisions.view import View


@dataclass(frozen=True, slots=True)
class Never:
    """Finds nothing, ever: for a watcher that forecasts without judging.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(horizon=1000, decisions=[Never()])
        >>> for step in range(1, 201):
        ...     verdict = watcher.update(step, train_loss=2.0 + 1e-9 * step)
        >>> str(verdict.reason), watcher.forecast().step
        ('on_track', 1000.0)
    """

    def decide(self, view: View) -> Finding | None:
        """Nothing."""
        return None
