"""Overfitting: the best validation loss lies behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial

from curvecast.decisions.base import Finding, Reason, check_level, check_number
from curvecast.decisions.details import Details
from curvecast.decisions.view import View
from curvecast.fit.fitting import LEAST_VALIDATIONS
from curvecast.laws.kaplan import critical_batch
from curvecast.laws.kaplan_overfitting import first_stop_step, overfitting, tokens_needed
from curvecast.laws.repeated import effective_tokens


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Fires when the best validation loss lies behind, under all that is left of the plan, and that costs something.

    The probability is that of both: no validation ahead undercuts the best, be it by noise, and the last of the plan
    stands ``min_rise`` above the lowest. With a train loss beside it, the rate at which a further fall of the train
    loss still lowers validation decides (``decisions.exchange``); where both losses rise it is no overfitting. Alone,
    validation is held against curves drawn from the posterior. The raw gap between the two losses has no part in
    it: it overestimates overfitting (Kaplan et al. 2020, Fig. 16).

    Args:
        level: Probability from which on it fires.
        min_points: Validation losses that must have been seen.
        min_rise: Rise above the lowest that counts, relative; 0 for any. Kaplan's 4.4 draws the line at 2 %.

    Raises:
        ValueError: if ``level`` is no probability, ``min_points`` below 3, or ``min_rise`` negative.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(horizon=4000, decisions=[Overfitting()])
        >>> for step in range(25, 2001, 25):
        ...     turned = 0.2 * max(0.0, (step / 500) ** 0.5 - 1.0)
        ...     verdict = watcher.update(step, train_loss=3.0 * step**-0.3, val_loss=3.0 * step**-0.3 + turned)
        >>> str(verdict.reason)
        'overfitting'
    """

    level: float = 0.95
    min_points: int = LEAST_VALIDATIONS
    min_rise: float = 0.02

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 3 <= check_number("min_points", self.min_points) < math.inf:
            raise ValueError(f"`min_points` must be at least 3: got {self.min_points}. A turn needs three points.")
        if not 0.0 <= check_number("min_rise", self.min_rise) < math.inf:
            raise ValueError(
                f"`min_rise` must not be negative: got {self.min_rise}. Pass 0.0 where any rise counts, 0.02 for 2 %."
            )

    def decide(self, view: View) -> Finding | None:
        """``None`` without enough validation losses.

        With no step left, or where no horizon is known, the lowest point is held against the present level.
        """
        if view.best_val is None or not view.has_validated(self.min_points):
            return None
        step, loss = view.best_val
        best = {"best_step": float(step), "best_loss": loss}
        details = Details(best, partial(of_data, view), partial(foreseen, view))
        # Until validation stands above its lowest by more than its noise nothing is asked.
        probability = view.turned(self.min_rise) * view.spared if view.posterior.turned else 0.0
        if not view.holds(Reason.OVERFITTING, probability, self.level):
            return Finding(Reason.OVERFITTING, probability, False, details=details)
        lowest = f"the best validation loss, {loss:.4g} at step {step:,}"
        said = f"{view.where()}: {lowest}, lies behind with probability {probability:.2f}."
        return view.stop(Reason.OVERFITTING, probability, lambda: said, details, back=True)


def of_data(view: View) -> dict[str, float]:
    """What the size of the data set says, where it is known: Kaplan's 4.3, 4.4, 5.7, and what repeated data is worth.

    ``overfitting_penalty`` is the share of the loss that so little data costs, ``tokens_needed`` what keeps it at
    2 %, ``first_stop_step`` the lower bound of the step at which stopping can be due [steps], ``effective_tokens``
    what the tokens seen so far are worth.
    """
    if view.dataset_tokens is None:
        return {}
    found: dict[str, float] = {}
    if view.num_params is not None:
        names = ("overfitting_penalty", "tokens_needed", "first_stop_step")
        found |= dict(zip(names, _kaplan(view.num_params, view.dataset_tokens), strict=True))
        if view.batch_tokens is not None:  # S_min to steps at this batch, eq. 5.4
            found["first_stop_step"] *= 1.0 + float(critical_batch(max(view.level, 1e-3))) / view.batch_tokens
        else:
            del found["first_stop_step"]
    if view.batch_tokens is not None:
        found["effective_tokens"] = float(effective_tokens(view.batch_tokens * view.step, view.dataset_tokens))
    return found


def foreseen(view: View) -> dict[str, float]:
    """The turn of validation that is yet to come: how probable it is in this plan, and the step in the middle of where.

    Empty where none is to be expected, or nothing is known of epochs (``decisions.repeats``).
    """
    if view.behind or (turn := view.turn_ahead) is None:
        return {}
    return {"turn_ahead": turn.probability, "turn_ahead_step": turn.middle}


@lru_cache(maxsize=64)
def _kaplan(N: float, D: float) -> tuple[float, float, float]:  # noqa: N803 - the paper's letters
    return float(overfitting(N, D)), float(tokens_needed(N)), float(first_stop_step(N, D))
