"""What a watcher is given, checked: settings raise in words, data are taken as numbers. Not for users."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from curvecast.decisions.base import Decision
from curvecast.decisions.divergence import Divergence
from curvecast.schedule.checks import MOST_STEPS


def positive(name: str, value: float | None, what: str) -> float | None:
    """A setting that is a positive number, or is not known.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is not positive, or no float can hold it.
    """
    if isinstance(value, np.integer | np.floating):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError(f"`{name}` must be a number or None: got {value!r}. Pass {what}.")
    if value is not None and not 0 < value <= sys.float_info.max:
        raise ValueError(f"`{name}` must be positive: got {value!r:.40}. Pass {what}, or None where unknown.")
    return value


def whole_horizon(horizon: float | None) -> int | None:
    """The planned steps.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is no positive whole number, or beyond what can be counted.
    """
    planned = positive("horizon", horizon, "the planned optimizer steps")
    if planned is not None and planned != int(planned):
        raise ValueError(f"`horizon` must be a whole number of steps: got {horizon}. Pass Trainer.max_steps, say.")
    if planned is not None and planned >= MOST_STEPS:
        raise ValueError(f"`horizon` must be below {MOST_STEPS:.3g} steps: got {planned:.3g}. Pass None where unknown.")
    return None if planned is None else int(planned)


def at_least_a_batch(dataset_tokens: float | None, batch_tokens: float | None) -> None:
    """The size of the data, where both are known.

    Raises:
        ValueError: if the data are smaller than a batch.
    """
    if dataset_tokens and batch_tokens and dataset_tokens < batch_tokens:
        raise ValueError(
            f"`dataset_tokens` must be at least `batch_tokens`: got {dataset_tokens:.3g} and {batch_tokens:.3g}. "
            "Pass the unique tokens of the whole data set."
        )


_FROM_TEXT = {  # what makes of a text what is wanted
    "prior": "curvecast.Prior.load(path), for one that `curvecast learn` wrote.",
    "law": "curvecast.Family.load(path), for one that `curvecast fit` wrote.",
    "schedule": "a plan of so many steps, as curvecast.Schedule.cosine(20_000, warmup=500).",
}
_FROM_NUMBERS = "curvecast.Schedule.from_array(lrs), with the rate of each step."
_FROM_SCHEDULER = "curvecast.Schedule.from_torch(scheduler, steps=...)."


def of_kinds(*settings: tuple[str, object, type]) -> None:
    """Settings that are ``None`` or of their kind.

    Raises:
        TypeError: if one is neither.
    """
    for name, value, kind in settings:
        if not isinstance(value, kind | None):
            told = f"`{name}` must be a curvecast.{kind.__name__} or None: got {value!r:.80}. "
            raise TypeError(f"{told}Pass {_made_of(name, value)}")


def _made_of(name: str, value: object) -> str:
    """What makes of a value the object that is wanted."""
    if isinstance(value, str) and name in _FROM_TEXT:
        return _FROM_TEXT[name]
    if name == "schedule" and isinstance(value, Sequence | np.ndarray):
        return _FROM_NUMBERS
    if name == "schedule" and hasattr(value, "optimizer"):
        return _FROM_SCHEDULER
    return "an object of that class, or leave it out."


def listed(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """The decisions, each an object that can decide.

    Raises:
        TypeError: if they are no list, or one is none.
        ValueError: if there are two alarms.
    """
    if hasattr(decisions, "decide"):
        raise TypeError(f"`decisions` must be a list: got {decisions!r} alone. Pass it in brackets.")
    if not isinstance(decisions, Iterable):
        raise TypeError(f"`decisions` must be a list: got {decisions!r}. Pass e.g. [Plateau()].")
    decisions = tuple(decisions)
    if strange := [each for each in decisions if isinstance(each, type) or not hasattr(each, "decide")]:
        raise TypeError(
            f"`decisions` must each be an object with a `decide` method: got {strange}. Pass e.g. [Plateau()]."
        )
    if sum(isinstance(each, Divergence) for each in decisions) > 1:
        raise ValueError(
            "`decisions` must hold one Divergence at most: got more. There is one alarm; merge their settings."
        )
    return decisions


def whole_cooldown(name: str, steps: Any) -> int | None:
    """The steps of a cooldown; ``None`` where it is to be chosen.

    Raises:
        ValueError: if they are no whole number, or less than 1.
    """
    if steps is None:
        return None
    length = number(steps)
    if not (1.0 <= length < MOST_STEPS and length.is_integer()):
        raise ValueError(
            f"`{name}` must be at least 1 step: got {steps!r:.40}. Pass a whole number, or None to have it chosen."
        )
    return int(length)


def number(value: Any) -> float:
    """A Python float of whatever a loop has at hand: a float, a numpy scalar, a tensor; NaN where it is no number."""
    if type(value) is float:
        return value
    found = _as_float(value)
    return math.nan if found is None else found


def is_no_number(value: Any) -> bool:
    """Whether no number can be made of it: of a list, a word, an array of several; NaN is one.

    Example:
        >>> [is_no_number(value) for value in (2.5, math.nan, "2.5", "loss", [2.5], np.ones(3))]
        [False, False, False, True, True, True]
    """
    return _as_float(value) is None


def _as_float(value: Any) -> float | None:
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except Exception:  # whatever it raises is no reason to end a training run
        return None
