"""The best validation loss lies behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curvecast.decisions.base import Finding, Reason, View, check_level
from curvecast.decisions.choices import Choice
from curvecast.decisions.exchange import Ahead, Trade, trade
from curvecast.fit.grid import B
from curvecast.laws.kaplan import critical_batch
from curvecast.laws.kaplan_overfitting import first_stop_step, overfitting, tokens_needed
from curvecast.laws.repeated import effective_tokens

_DRAWS, _POINTS = 128, 24
_STALE = 0.9  # of the steps done: a train loss that ended before it says nothing about now
_TRAINS = 6  # bins of train loss that tell how it fell
_FIRST_EPOCH_ODDS = 0.02  # before data repeats there is hardly anything to learn by heart (Muennighoff et al. 2023)
_Z = 1.645  # of a 90 % interval


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Fires when the best validation loss lies behind, under all that is left of the plan, and that costs something.

    The probability is that of both: no validation ahead undercuts the best, and the last of the plan stands
    ``min_rise`` above the lowest. With a train loss beside it, the rate at which a further fall of the train loss
    still lowers validation decides (``decisions.exchange``); where both losses rise it is no overfitting. Alone,
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
    min_points: int = 6
    min_rise: float = 0.02

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.min_points < 3:
            raise ValueError(f"`min_points` must be at least 3: got {self.min_points}. A turn needs three points.")
        if not 0.0 <= self.min_rise < math.inf:
            raise ValueError(
                f"`min_rise` must not be negative: got {self.min_rise}. Pass 0.0 where any rise counts, 0.02 for 2 %."
            )

    def decide(self, view: View) -> Finding | None:
        """``None`` without enough validation losses.

        With no step left, or where no horizon is known, the lowest point is held against the present level.
        """
        if view.best_val is None or view.val.count.sum() < self.min_points:
            return None
        found = self._traded(view)
        probability = self._drawn(view) if found is None else min(found.behind, found.risen)
        if view.in_first_epoch:
            odds = _FIRST_EPOCH_ODDS * probability
            probability = odds / (odds + 1.0 - probability)
        step, loss = view.best_val
        details = {"best_step": float(step), "best_loss": loss} | of_data(view)
        if not view.holds(Reason.OVERFITTING, probability, self.level):
            return Finding(Reason.OVERFITTING, probability, False, details=details)
        rest = view.rest(*self._choices(view, found), back=True)
        message = (
            f"{view.where()}: the best validation loss, {loss:.4g} at step {step}, lies behind with probability "
            f"{probability:.2f}.{rest.words}"
        )
        return Finding(Reason.OVERFITTING, probability, True, message, details | rest.details, rest.choices)

    def _traded(self, view: View) -> Trade | None:
        """The answer of the two losses side by side; ``None`` where there is no train loss to speak of."""
        train, best = view.train, view.best_val
        if len(train) < _TRAINS or train.step[-1] < _STALE * view.val.step[-1] or best is None:
            return None
        newest = float(view.recent.val[-1])
        return trade(view.val, train, _ahead(view), best=best[1], newest=newest, min_rise=self.min_rise)

    def _drawn(self, view: View) -> float:
        """The share of curves drawn from the posterior whose lowest point up to now is not undercut, but left."""
        seen = view.val.step
        path = view.draw(np.append(seen, view.ahead(_POINTS)), _DRAWS, val=True)
        past, ahead = path[:, : len(seen)].min(axis=1), path[:, len(seen) :]
        return float(np.mean((ahead.min(axis=1) > past) & (ahead[:, -1] > (1.0 + self.min_rise) * past)))

    def _choices(self, view: View, found: Trade | None) -> tuple[Choice, ...]:
        """Going on, as the rate of exchange has it, in place of the law that train and validation share."""
        if found is None:
            return tuple(choice for choice in view.choices if choice.name == "go_on")
        half = _Z * found.end_sd
        steps = view.steps_left
        cost = view.cost.of(steps)
        return (Choice("go_on", view.end, found.end, found.end - half, found.end + half, steps, *cost),)


def _ahead(view: View) -> Ahead:
    """What the posterior expects of the train loss, over all futures."""
    post = view.posterior
    step, changes = view.train_ahead
    fall, decay = np.zeros(2), np.zeros(2)
    for probability, columns in changes:
        change = columns * post.theta[:, None]
        fall += probability * (np.add.reduce(change) @ post.weight)
        decay += probability * (change[B] @ post.weight)
    return Ahead(step, fall * post.scale, decay * post.scale)


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


@lru_cache(maxsize=64)
def _kaplan(N: float, D: float) -> tuple[float, float, float]:  # noqa: N803 - the paper's letters
    return float(overfitting(N, D)), float(tokens_needed(N)), float(first_stop_step(N, D))
