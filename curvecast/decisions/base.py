"""What a decision sees, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from typing import NamedTuple, Protocol

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.decisions.alarm import Alarm
from curvecast.decisions.choices import Choice, Cost, back_to, choices
from curvecast.decisions.validations import Recent
from curvecast.fit.posterior import Posterior
from curvecast.forecast import Forecast, Futures, Target, over
from curvecast.laws.base import FamilyLaw

_EARLY_SHARE = 0.1  # of the plan; where there is none, so many samples
_EARLY_SAMPLES = 100
_PEAK = 0.999  # of the peak rate: below it, and falling, a decay is under way
_HOLD = 4.0  # times the odds at which a verdict is said are those at which it falls


class Reason(StrEnum):
    """Why a verdict is what it is; the member is the machine's word."""

    NOT_ENOUGH_DATA = "not_enough_data"
    ON_TRACK = "on_track"
    COMPUTE_EFFICIENT_POINT_PASSED = "compute_efficient_point_passed"
    OVERFITTING = "overfitting"
    NO_IMPROVEMENT = "no_improvement"
    PLATEAU = "plateau"
    TARGET_OUT_OF_REACH = "target_out_of_reach"
    DIVERGED = "diverged"


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What is said of a run at a step.

    Args:
        should_stop: Whether the reason is one to stop for.
        reason: The reason, as a machine's word.
        message: The reason as a sentence with its numbers.
        probability: Probability that the reason holds.
        step: Step at which it was decided [steps].
        forecast: The loss at the horizon (or now, where no horizon is known); ``None`` before the first fit.
        details: Named numbers behind the message, such as ``best_step``, ``steps_saved``, ``flops_saved``.
        offer: What can be done now, or what gives it when asked: a healthy run is seldom asked.
    """

    should_stop: bool
    reason: Reason
    message: str
    probability: float
    step: int
    forecast: Forecast | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    offer: tuple[Choice, ...] | Callable[[], tuple[Choice, ...]] = ()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What can be done now, with what each ends at and takes.

        Empty before the first fit, and where no step is left.
        """
        return self.offer if isinstance(self.offer, tuple) else self.offer()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one decision found: the probability of its reason, and whether that is enough to say it.

    The message is made only where it is said; a note is what it lacks, or finds odd, and is said of a run on track.
    """

    reason: Reason
    probability: float
    fires: bool
    message: str = ""
    details: Mapping[str, float] = field(default_factory=dict)
    offer: tuple[Choice, ...] | Callable[[], tuple[Choice, ...]] = ()
    note: str = ""


class Rest(NamedTuple):
    """What can be done now, as words, as numbers, and one by one."""

    words: str = ""
    details: dict[str, float] = {}  # noqa: RUF012 - never written to
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, eq=False)  # no slots: the outlook is kept
class View:
    """A run at the moment of a decision.

    Args:
        step: Last step seen [steps].
        horizon: Planned optimizer steps; ``None`` where unknown [steps].
        of: The loss that decides.
        posterior: The fit.
        futures: The schedules that the run may follow.
        train, val: The series in bins.
        best_val: Lowest validation loss seen and its step, or ``None``.
        alarm: What the divergence alarm has seen.
        num_params: ``N``, or ``None``.
        batch_tokens: ``B`` [tokens/step], or ``None``.
        law: The law whose exponents the compute verdict uses.
        recent: The last validation losses, one by one.
        dataset_tokens: Unique tokens of the data, or ``None``.
        seconds: What a step takes at the pace so far [s/step], or ``None``.
        standing: The reason that the run was last told to stop for, or ``None``.
    """

    step: int
    horizon: int | None
    of: Target
    posterior: Posterior
    futures: Futures
    train: Bins
    val: Bins
    best_val: tuple[int, float] | None
    alarm: Alarm
    num_params: float | None
    batch_tokens: float | None
    law: FamilyLaw
    recent: Recent
    dataset_tokens: float | None = None
    seconds: float | None = None
    standing: Reason | None = None

    @property
    def end(self) -> int:
        """The horizon while it lies ahead, else the last step seen."""
        return self.step if self.horizon is None else max(self.horizon, self.step)

    @property
    def is_early(self) -> bool:
        """Whether the run is still in its first phases, which look like ends: they level off, then drop again."""
        return is_early(self.step, self.horizon, self.train.count.sum() + self.val.count.sum())

    @property
    def of_val(self) -> bool:
        """Whether the validation loss decides."""
        return self.of == "val"

    @property
    def steps_left(self) -> int:
        """Planned steps that are not yet done."""
        return self.end - self.step

    @cached_property
    def outlook(self) -> Forecast:
        """The loss that decides, at the end of the plan."""
        return over(self.futures, self.posterior, self.end, of=self.of)

    @cached_property
    def train_ahead(self) -> tuple[FloatArray, list[tuple[float, FloatArray]]]:
        """Half of what is left of the plan and its end [steps], and ``(5, 2, K)`` how the law's columns change by then.

        Of the train loss, relative; one change for each future, with its probability.
        """
        step = np.array([0.5 * (self.step + self.end), self.end])
        changes = []
        for probability, timeline in self.futures:
            columns = self.posterior.columns(step, val=False, timeline=timeline)
            changes.append((probability, columns[:, 1:] - columns[:, :1]))
        return step, changes

    def draw(self, step: FloatArray, count: int, *, val: bool) -> FloatArray:
        """``(count, m)`` curves at ``(m,)`` steps, of every future as many as its probability says [loss unit]."""
        until = np.cumsum([0.0, *(probability for probability, _ in self.futures)])
        shares = np.diff(np.round(count * until / until[-1])).astype(int).tolist()
        drawn = [
            self.posterior.draw(step, share, val=val, timeline=timeline)
            for share, (_, timeline) in zip(shares, self.futures, strict=True)
            if share
        ]
        return np.concatenate(drawn)

    def ahead(self, points: int) -> FloatArray:
        """``(points,)`` steps over what is left of the plan, log-spaced; the present one where nothing is."""
        return np.geomspace(min(self.step + 1, self.end), self.end, points if self.steps_left else 1)

    def flops(self, steps: float) -> float | None:
        """Training FLOPs of a number of steps, ``6 N B steps`` (Kaplan 2.1), where N and B are known."""
        if self.num_params is None or self.batch_tokens is None:
            return None
        return 6.0 * self.num_params * self.batch_tokens * steps

    @property
    def cost(self) -> Cost:
        """What a step takes."""
        return Cost(self.flops(1.0), self.seconds)

    @property
    def in_first_epoch(self) -> bool:
        """Whether no token of the data can have been seen twice, as far as that is known."""
        if self.dataset_tokens is None or self.batch_tokens is None:
            return False
        return self.batch_tokens * self.step <= self.dataset_tokens

    @property
    def level(self) -> float:
        """The loss where the run stands: the mean of what decides over its newest bin [loss unit]."""
        return float((self.val if self.of_val else self.train).mean[-1])

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Stop here, cool down from here, go on: what each ends at and takes; empty where no step is left."""
        return self.offered()

    def offered(self, cooldown: int | None = None) -> tuple[Choice, ...]:
        """The choices, with a cooldown over so many steps, or over as many as are worth it."""
        now, end = self.step, self.end
        return choices(self.posterior, self.futures, now=now, end=end, of=self.of, cost=self.cost, cooldown=cooldown)

    @property
    def offer(self) -> Callable[[], tuple[Choice, ...]]:
        """What gives the choices."""
        now, end = self.step, self.end
        return partial(choices, self.posterior, self.futures, now=now, end=end, of=self.of, cost=self.cost)

    def holds(self, reason: Reason, probability: float, level: float) -> bool:
        """Whether a reason is to be said: it is probable enough, or was said and is still nearly so.

        So that a verdict does not flicker, one that stands falls only where its odds are below a quarter of those
        that ``level`` asks for: said from 0.95 on, it stands down to 0.83.
        """
        stands = release(level)
        if stands <= probability < level:
            self.__dict__["is_close"] = True
        return probability >= (stands if self.standing is reason else level)

    @property
    def is_close(self) -> bool:
        """Whether a reason that was asked for stands or falls by what was said before."""
        return bool(self.__dict__.get("is_close"))

    def rest(self, *others: Choice, back: bool = False) -> Rest:
        """What can be done now, and what stopping saves, as words and as numbers.

        Args:
            others: What to offer in place of the usual choices.
            back: Whether the best lies behind: then going back to it stands first, and no cooldown is offered.
        """
        if not self.steps_left:
            return Rest()
        words, details = self.savings()
        offered = others or self.choices
        if back:
            best = () if self.best_val is None else (back_to(*self.best_val),)
            offered = (*best, *(choice for choice in offered if choice.name == "go_on"))
        for choice in offered:
            if choice.name == "cool_down":
                details |= {"cooldown_steps": float(choice.steps), "cooldown_loss": choice.loss}
        what = "; ".join(map(str, offered))
        if self.is_decaying and not back:
            details["rest_of_decay"] = offered[0].loss - offered[-1].loss
            words = f"the rest of the decay still brings {details['rest_of_decay']:.3g}; {words}"
        return Rest(f" {what[0].upper()}{what[1:]}; {words}.", details, offered)

    @property
    def is_decaying(self) -> bool:
        """Whether the learning rate has begun to fall, and falls on."""
        schedule = self.posterior.timeline.schedule
        if schedule is None or not self.steps_left:
            return False
        now, end = schedule.lr(self.step), schedule.lr(self.end)
        return end < now < _PEAK * max(schedule.knot_lrs) and schedule.lr(self.step + 1) < now

    def savings(self) -> tuple[str, dict[str, float]]:
        """What stopping here would save, as words and as numbers."""
        details = {"steps_saved": float(self.steps_left)}
        flops = self.flops(self.steps_left)
        if flops is None:
            return f"stopping here saves {self.steps_left} steps", details
        total = self.flops(self.end)
        details["flops_saved"] = flops
        return f"stopping here saves {self.steps_left} steps, {flops:.2g} of {total:.2g} FLOPs", details

    def where(self) -> str:
        """``step 1200/5000``."""
        return f"step {self.step}" if self.horizon is None else f"step {self.step}/{self.horizon}"


class Decision(Protocol):
    """One reason to stop: one comparison of two named quantities, with a probability."""

    def decide(self, view: View) -> Finding | None:
        """What this decision finds; ``None`` where it has nothing to go by."""

    def __repr__(self) -> str: ...


def is_early(step: int, horizon: int | None, samples: float) -> bool:
    """Whether a run is in its first phases: as `View.is_early`, of so many samples."""
    return bool(samples < _EARLY_SAMPLES) if horizon is None else step < _EARLY_SHARE * horizon


def release(level: float) -> float:
    """Probability down to which a verdict that was said from ``level`` on still stands.

    Example:
        >>> [round(release(level), 2) for level in (0.5, 0.9, 0.95, 0.99)]
        [0.2, 0.69, 0.83, 0.96]
    """
    odds = level / (1.0 - level) / _HOLD
    return odds / (1.0 + odds)


def check_level(level: float) -> float:
    """Return ``level`` if it is a probability.

    Raises:
        ValueError: if it is not inside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"`level` must lie inside (0, 1): got {level}. Pass 0.95 to be 95 % sure.")
    return level
