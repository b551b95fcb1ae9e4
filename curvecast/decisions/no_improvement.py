"""No improvement: to those who keep the best checkpoint, going on is not worth its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from curvecast.curve import FloatArray
from curvecast.decisions.base import Finding, Reason, check_level, check_number
from curvecast.decisions.patience import waited
from curvecast.decisions.view import View
from curvecast.fit.fitting import LEAST_VALIDATIONS

_WAYS = 6  # so many lengths of going on are tried, log-spaced from the next validation to the end
_UNKNOWN_NOISE = 0.02  # standard deviation of a validation whose noise is unknown, as a share of it
_OWN = 0.5  # share of that by which the lowest of several may lie elsewhere than at its median
_SQRT_TAU = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class NoImprovement:
    """Fires when going on, however far, is worth its steps with a probability of at most ``1 - level``.

    Overfitting and a plateau in one, for those who keep the checkpoint of the best validation: an optimal stopping
    rule. Going on is worth it if it undercuts the best by ``worth`` of it or more for the steps of a whole plan, and by
    as much less for fewer. Of the expected gain, Markov's inequality bounds the probability of that from above, and the
    way on with the highest bound is taken. The lowest of the validations to come is asked, noise and all, as it was
    the lowest of those so far that is to be undercut: under the law's forecast, and not at all where validation has
    turned for good. The model may be wrong: with probability ``doubt`` the law of records holds instead, by which the
    best is undercut among the next ``k`` validations with probability ``k/(w + k)``, after ``w`` that did not; and that
    brings ``min_gain``.

    Args:
        level: Probability from which on it fires.
        worth: Gain that a whole plan's steps are worth, relative to the best.
        min_gain: Gain that a mistaken model may miss, relative to the best.
        doubt: Probability that the model is wrong.

    Raises:
        ValueError: if ``level`` is no probability, ``worth`` not positive, ``doubt`` not one below 1, or ``min_gain``
            negative.

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
    worth: float = 0.1
    min_gain: float = 0.002
    doubt: float = 0.2

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 0.0 < check_number("worth", self.worth) < math.inf:
            raise ValueError(
                f"`worth` must be positive: got {self.worth}. Pass 0.1 where a whole plan is worth a tenth of the loss."
            )
        for name, most in (("min_gain", math.inf), ("doubt", 1.0)):
            if not 0.0 <= check_number(name, getattr(self, name)) < most:
                limit = "" if most == math.inf else f" and below {most:g}"
                raise ValueError(
                    f"`{name}` must not be negative{limit}: got {getattr(self, name)}. Leave it out for the usual one."
                )

    def decide(self, view: View) -> Finding | None:
        """``None`` without validations enough, where no step is left, or early."""
        enough = view.best_val is not None and view.validations >= LEAST_VALIDATIONS
        if view.best_val is None or not enough or not view.of_val or view.is_early or not view.steps_left:
            return None
        step, best = view.best_val
        waits = waited(view.recent)
        each = view.step / view.validations
        ahead = np.geomspace(min(each, view.steps_left), view.steps_left, _WAYS)
        gain = self._gain(view, best, ahead, np.maximum(ahead / each, 1.0), waits)
        rate = float((gain / ahead).max()) * view.end
        probability = max(1.0 - rate / (self.worth * abs(best)), 0.0) if best else 0.0
        details = {
            "best_step": float(step),
            "best_loss": best,
            "checks_without_improvement": float(waits),
            "gain_of_a_plan": rate,
        }
        if not view.holds(Reason.NO_IMPROVEMENT, probability, self.level):
            return Finding(Reason.NO_IMPROVEMENT, probability, False, details=details)
        said = (
            f"{view.where()}: going on is not worth its steps, with probability {probability:.2f}. The steps of a "
            f"whole plan are expected to lower the best validation loss, {best:.4g} at step {step:,}, by {rate:.2g}; "
            f"that would have to be {self.worth * abs(best):.2g}."
        )
        return view.stop(Reason.NO_IMPROVEMENT, probability, lambda: said, details, back=True)

    def _gain(self, view: View, best: float, ahead: FloatArray, count: FloatArray, waits: int) -> FloatArray:
        """``(m,)`` by how much the best is expected to be undercut within ``(m,)`` steps, ``count`` validations."""
        unknown = math.isnan(view.val.noise)
        noise = _UNKNOWN_NOISE * abs(view.level) if unknown else math.sqrt(view.val.noise)
        lowest = -noise * ndtri(1.0 - 0.5 ** (1.0 / count))  # its median, below the level
        law = view.by_law(view.step + ahead, is_logged=False)  # the noise is that of the lowest of many
        sd = np.hypot(law.stds, _OWN * noise)
        below = best - (law.means - lowest)
        z = below / sd
        by_law = np.add.reduce(law.weight * (below * ndtr(z) + sd * np.exp(-0.5 * z * z) / _SQRT_TAU))
        by_record = self.min_gain * abs(best) * count / (waits + count)
        return np.asarray((1.0 - self.doubt) * (1.0 - view.turned(0.0)) * by_law + self.doubt * by_record)
