"""Patience: so many validations without an improvement."""

from __future__ import annotations

import math
from dataclasses import dataclass

from curvecast.decisions.base import Decision, Finding, Reason, check_number
from curvecast.decisions.validations import KEPT, Recent
from curvecast.decisions.view import View


def waited(seen: Recent, min_delta: float = 0.0) -> int:
    """Validations since the last one that was lower than the best before it by more than ``min_delta``.

    Args:
        seen: The validation losses.
        min_delta: [loss unit].

    Example:
        >>> import numpy as np
        >>> waited(Recent(np.array([3.0, 2.0, 2.1, 1.999, 2.2]), np.zeros(5)), min_delta=0.01)
        3

    Source: Lightning's ``EarlyStopping``, Keras' of the same name.
    """
    best, count = seen.lowest_before, 0
    for loss in seen.val.tolist():
        if loss < best - min_delta:
            best, count = loss, 0
        else:
            count += 1
    return count


@dataclass(frozen=True, slots=True)
class Patience:
    """Fires after ``checks`` validations without an improvement; with ``of``, only where that decision fires too.

    Alone it is what most people use today; around another decision it makes that one wait.

    Args:
        checks: Validations without an improvement.
        of: The decision that is to be patient; ``None`` for patience alone.
        min_delta: What counts as an improvement [loss unit].

    Raises:
        ValueError: if ``checks`` is not between 1 and 255, or ``min_delta`` negative.

    Example:
        >>> from curvecast import Overfitting, Watcher
        >>> watcher = Watcher(horizon=100, decisions=[Patience(3, of=Overfitting())])

    Source: Lightning's ``EarlyStopping``; around another decision, Optuna's ``PatientPruner``.
    """

    checks: int = 10
    of: Decision | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= check_number("checks", self.checks) < KEPT or self.checks != int(self.checks):
            raise ValueError(
                f"`checks` must be a whole number from 1 to {KEPT - 1}: got {self.checks}. "
                "Pass how many validations to wait for an improvement."
            )
        if not (check_number("min_delta", self.min_delta) >= 0.0 and math.isfinite(self.min_delta)):
            raise ValueError(f"`min_delta` must not be negative: got {self.min_delta}. Pass 0.0 to count any gain.")
        if self.of is not None and (isinstance(self.of, type) or not hasattr(self.of, "decide")):
            raise TypeError(f"`of` must be a decision or None: got {self.of!r}. Pass Overfitting(), say.")

    def decide(self, view: View) -> Finding | None:
        """The finding of what it wraps, held back while patience lasts; ``None`` without a validation loss."""
        if not len(view.recent):
            return None
        count = waited(view.recent, self.min_delta)
        is_over = count >= self.checks
        if self.of is None:
            return self._alone(view, count, fires=is_over)
        found = self.of.decide(view)
        if found is None or is_over or not found.fires:
            return found
        return Finding(found.reason, found.probability, False, details=found.details)

    @staticmethod
    def _alone(view: View, count: int, *, fires: bool) -> Finding:
        details = {"checks_without_improvement": float(count)}
        if not fires:
            return Finding(Reason.NO_IMPROVEMENT, 0.0, False, details=details)
        said = f"{view.where()}: no lower validation loss in the last {count:,} validations."
        return view.stop(Reason.NO_IMPROVEMENT, 1.0, lambda: said, details, back=True)
