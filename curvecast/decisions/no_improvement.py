"""No later validation will be better than the best by as much as counts: it turned up, or it levelled off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from curvecast.decisions.base import Finding, Reason, check_level, check_number
from curvecast.decisions.patience import waited
from curvecast.decisions.validations import KEPT
from curvecast.decisions.view import LEAST_VALIDATIONS, View

_UNKNOWN_NOISE = 0.02  # standard deviation of a validation, relative
_OWN = 0.5  # share of that by which the lowest of several may lie elsewhere than at its median


@dataclass(frozen=True, slots=True)
class NoImprovement:
    """Fires when no later validation undercuts the best one by ``min_gain``, with probability ``level``.

    Overfitting and a plateau in one, for those who keep the checkpoint of the best validation and ask whether a
    better one is still to come: the validation loss has turned for good, or the law's forecast stays above. The
    lowest of the validations to come is asked, noise and all, as it was the lowest of those so far that is to be
    undercut. The model may be wrong: with probability ``doubt`` what counts is how long nothing better came, ``w``
    validations, against the ``k`` still to come, ``w/(w + k)``.

    Args:
        level: Probability from which on it fires.
        min_gain: What counts as better, relative to the best.
        checks: Validations without an improvement before it may fire.
        doubt: Probability that the model is wrong.

    Raises:
        ValueError: if ``level`` is no probability, ``doubt`` not one below 1, or another one negative.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(horizon=4000, decisions=[NoImprovement(level=0.8)])
        >>> for step in range(25, 3001, 25):
        ...     loss = 2.0 + 3.0 * step**-2.0
        ...     verdict = watcher.update(step, train_loss=loss, val_loss=max(loss, 2.00001))
        >>> str(verdict.reason)
        'no_improvement'

    Source: own rule; ``w/(w + k)`` is the share of orders of so many validations in which the best is among the
    first: Gott 1993, Implications of the Copernican principle for our future prospects.
    """

    level: float = 0.95
    min_gain: float = 0.002
    checks: int = 2
    doubt: float = 0.2

    def __post_init__(self) -> None:
        check_level(self.level)
        for name, most in (("min_gain", math.inf), ("checks", KEPT), ("doubt", 1.0)):
            if not 0.0 <= check_number(name, getattr(self, name)) < most:
                limit = "" if most == math.inf else f" and below {most:g}"
                raise ValueError(
                    f"`{name}` must not be negative{limit}: got {getattr(self, name)}. Leave it out for the usual one."
                )
        if not float(self.checks).is_integer():
            raise ValueError(f"`checks` must be a whole number: got {self.checks}. Leave it out for the usual one.")

    def decide(self, view: View) -> Finding | None:
        """``None`` without validations enough, where no step is left, or early."""
        enough = view.best_val is not None and view.validations >= LEAST_VALIDATIONS
        if view.best_val is None or not enough or not view.of_val or view.is_early or not view.steps_left:
            return None
        step, best = view.best_val
        waits = waited(view.recent, self.min_gain * abs(best))
        ahead = max(view.steps_left * view.validations / view.step, 0.5)
        by_model = self._by_model(view, best, ahead)
        probability = (1.0 - self.doubt) * by_model + self.doubt * waits / (waits + ahead)
        probability *= waits >= self.checks
        details = {"best_step": float(step), "best_loss": best, "checks_without_improvement": float(waits)}
        if not view.holds(Reason.NO_IMPROVEMENT, probability, self.level):
            return Finding(Reason.NO_IMPROVEMENT, probability, False, details=details)
        rest = view.rest(back=True)
        message = (
            f"{view.where()}: no validation to come undercuts the best, {best:.4g} at step {step}, by more than "
            f"{self.min_gain:.2g} of it, with probability {probability:.2f}.{rest.words}"
        )
        return Finding(Reason.NO_IMPROVEMENT, probability, True, message, details | rest.details, rest.choices)

    def _by_model(self, view: View, best: float, ahead: float) -> float:
        """It has turned, or the lowest of those ahead, about the level at the end, stays above what counts."""
        unknown = math.isnan(view.val.noise)
        noise = _UNKNOWN_NOISE * abs(view.level) if unknown else math.sqrt(view.val.noise)
        lowest = -noise * float(ndtri(1.0 - 0.5 ** (1.0 / max(ahead, 1.0))))  # its median, below the level
        law, goal = view.by_law(view.end), best - self.min_gain * abs(best)
        sd = np.hypot(law.stds, _OWN * noise)
        stays = float(np.add.reduce(law.weight * ndtr((law.means - lowest - goal) / sd), axis=None))
        turned = view.turned(0.0)
        return turned + (1.0 - turned) * stays
