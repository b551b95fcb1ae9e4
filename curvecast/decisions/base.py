"""What is said of a run: reasons, findings, verdicts."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from curvecast.decisions.choices import Choice
from curvecast.forecast import Forecast

if TYPE_CHECKING:  # the view says its findings in these words
    from curvecast.decisions.view import View

_HOLD = 4.0  # a verdict falls when its odds are so many times smaller than those at which it is said
_EARLY_SHARE = 0.1  # it is early before this share of the plan,
_EARLY_SAMPLES = 100  # or, without a plan, before so many samples


class Reason(StrEnum):
    """Why a verdict is what it is; the member is the machine's word.

    Example:
        >>> Reason("plateau") is Reason.PLATEAU, Reason.PLATEAU == "plateau"
        (True, True)
    """

    NOT_ENOUGH_DATA = "not_enough_data"
    ON_TRACK = "on_track"
    COMPUTE_EFFICIENT_POINT_PASSED = "compute_efficient_point_passed"
    OVERFITTING = "overfitting"
    NO_IMPROVEMENT = "no_improvement"
    PLATEAU = "plateau"
    TARGET_OUT_OF_REACH = "target_out_of_reach"
    DIVERGED = "diverged"


class Untold(Enum):
    """What was said before is yet to be found out."""

    UNTOLD = "untold"


UNTOLD = Untold.UNTOLD


class StandingNeeded(Exception):  # noqa: N818 - a question, not a mistake
    """A verdict depends on the one before it."""


class TradeNeeded(StandingNeeded):
    """It depends on what those since the newest validation found of the rate of exchange."""


Words = str | Callable[[], str]
"""A sentence, or what gives it when it is asked for."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verdict:
    """What is said of a run at a step.

    Args:
        should_stop: Whether the reason is one to stop for.
        reason: The reason, as a machine's word.
        words: The reason as a sentence with its numbers, or what gives it: ``message`` asks.
        probability: Probability that the reason holds.
        step: Step at which it was decided [steps].
        forecast: The loss at the horizon (or now, where no horizon is known); ``None`` before the first fit.
        details: Named numbers behind the message, such as ``best_step``, ``steps_saved``, ``flops_saved``.
        offer: What can be done now, or what gives it when asked: a healthy run is seldom asked.

    Example:
        >>> verdict = Verdict(True, Reason.PLATEAU, lambda: "step 9/10: no gain is to come.", 0.97, 9)
        >>> print(verdict, verdict.to_stop_for, verdict.choices)
        step 9/10: no gain is to come. plateau ()
    """

    should_stop: bool
    reason: Reason
    words: Words
    probability: float
    step: int
    forecast: Forecast | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    offer: tuple[Choice, ...] | Callable[[], tuple[Choice, ...]] = ()

    @property
    def message(self) -> str:
        """The reason as a sentence with its numbers."""
        return spoken(self.words)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What can be done now, with what each ends at and takes.

        Empty before the first fit; where no step is left, at most the way back to the best.
        """
        return self.offer if isinstance(self.offer, tuple) else self.offer()

    @property
    def to_stop_for(self) -> Reason | None:
        """The reason, where it is one to stop for."""
        return self.reason if self.should_stop else None

    def __repr__(self) -> str:
        names = ("should_stop", "reason", "message", "probability", "step", "forecast", "details")
        return f"Verdict({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def __str__(self) -> str:
        """The sentence, for whoever prints a verdict."""
        return self.message

    def _repr_html_(self) -> str:
        """For a notebook: the sentence, and what can be done now where it does not say so itself."""
        choices = "".join(f"<li>{html.escape(str(choice))}</li>" for choice in self.choices)
        listed = f"<ul>{choices}</ul>" if choices and not self.should_stop else ""
        return f"<p>{html.escape(self.message)}</p>{listed}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one decision found: the probability of its reason, and whether that is enough to say it.

    The message, or what gives it, is there only where it is said. ``View.stop`` makes one that fires.

    Args:
        reason: What is asked.
        probability: Probability that the reason holds.
        fires: Whether that is enough to say it.
        message: The sentence, where it fires.
        details: Named numbers, for ``Verdict.details``.
        offer: What can be done now, or what gives it.
        note: What the decision lacks, or finds odd; said of a run on track.

    Example:
        >>> found = Finding(Reason.PLATEAU, 0.4, False, details={"expected_gain": 0.1})
        >>> found.fires, found.message
        (False, '')
    """

    reason: Reason
    probability: float
    fires: bool
    message: Words = ""
    details: Mapping[str, float] = field(default_factory=dict)
    offer: tuple[Choice, ...] | Callable[[], tuple[Choice, ...]] = ()
    note: str = ""


class Rest(NamedTuple):
    """What can be done now, as words, as numbers, and one by one."""

    words: str = ""
    details: dict[str, float] = {}  # noqa: RUF012 - never written to
    choices: tuple[Choice, ...] = ()


def spoken(words: Words) -> str:
    """The sentence."""
    return words if isinstance(words, str) else words()


class Decision(Protocol):
    """One reason to stop: one comparison of two named quantities, with a probability.

    Example:
        >>> from curvecast import Watcher
        >>> class Enough:  # stop as soon as the loss is low enough
        ...     def decide(self, view):
        ...         if view.level < 2.2:
        ...             return view.stop(Reason.PLATEAU, 1.0, lambda: f"{view.where()}: low enough.")
        >>> watcher = Watcher(horizon=1000, decisions=[Enough()])
        >>> for step in range(1, 301):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        >>> verdict.should_stop, "low enough" in verdict.message
        (True, True)
    """

    def decide(self, view: View) -> Finding | None:
        """What this decision finds; ``None`` where it has nothing to go by."""

    def __repr__(self) -> str: ...


def is_early(step: int, horizon: int | None, samples: int) -> bool:
    """Whether a run is still in its first phases."""
    return samples < _EARLY_SAMPLES if horizon is None else step < _EARLY_SHARE * horizon


def release(level: float) -> float:
    """Probability down to which a verdict that was said from ``level`` on still stands.

    Example:
        >>> [round(release(level), 2) for level in (0.5, 0.9, 0.95, 0.99)]
        [0.2, 0.69, 0.83, 0.96]
    """
    odds = level / (1.0 - level) / _HOLD
    return odds / (1.0 + odds)


def check_number(name: str, value: object) -> float:
    """Return ``value`` if it is a number.

    Raises:
        TypeError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"`{name}` must be a number: got {value!r}. Pass one, or leave it out for the usual one.")
    return float(value)


def check_level(level: float) -> float:
    """Return ``level`` if it is a probability.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is not inside (0, 1).
    """
    if not 0.0 < check_number("level", level) < 1.0:
        raise ValueError(f"`level` must lie inside (0, 1): got {level}. Pass 0.95 to be 95 % sure.")
    return level
