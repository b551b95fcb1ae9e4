"""What a decision sees, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.decisions.alarm import Alarm
from curvecast.fit.posterior import Posterior
from curvecast.forecast import Forecast, Futures, Target, forecast, over
from curvecast.laws.base import FamilyLaw

_EARLY_SHARE = 0.1  # of the plan; where there is none, so many samples
_EARLY_SAMPLES = 100
_DECAYING = 0.3  # of the peak rate: below it a decay is under way, and another makes no sense


class Reason(StrEnum):
    """Why a verdict is what it is; the member is the machine's word."""

    NOT_ENOUGH_DATA = "not_enough_data"
    ON_TRACK = "on_track"
    COMPUTE_EFFICIENT_POINT_PASSED = "compute_efficient_point_passed"
    OVERFITTING = "overfitting"
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
    """

    should_stop: bool
    reason: Reason
    message: str
    probability: float
    step: int
    forecast: Forecast | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one decision found: the probability of its reason, and whether that is enough to say it.

    The message is made only where it is said.
    """

    reason: Reason
    probability: float
    fires: bool
    message: str = ""
    details: dict[str, float] = field(default_factory=dict)


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

    @property
    def end(self) -> int:
        """The horizon while it lies ahead, else the last step seen."""
        return self.step if self.horizon is None else max(self.horizon, self.step)

    @property
    def is_early(self) -> bool:
        """Whether the run is still in its first phases, which look like ends: they level off, then drop again."""
        if self.horizon is None:
            return bool(self.train.count.sum() + self.val.count.sum() < _EARLY_SAMPLES)
        return self.step < _EARLY_SHARE * self.horizon

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

    def rest(self) -> tuple[str, dict[str, float]]:
        """What the rest of the plan would bring, what a cooldown now, and what stopping saves: words and numbers."""
        if not self.steps_left:
            return "", {}
        words, details = self.savings()
        cooled = self.cooldown()
        if cooled is None:
            return f" Going on to {self.end} brings {self.outlook}; {words}.", details
        details["cooldown_steps"], details["cooldown_loss"] = float(cooled.step) - self.step, float(cooled.median)
        choice = f"cooling down over {cooled.step - self.step:.0f} steps from here {cooled}"
        return f" Going on to {self.end} brings {self.outlook}, {choice}; {words}.", details

    def cooldown(self) -> Forecast | None:
        """The loss after taking the learning rate to zero from here, over a tenth of the steps done.

        ``None`` where the schedule is unknown, or already in its decay.
        """
        schedule = self.posterior.timeline.schedule
        steps = min(max(self.step // 10, 1), self.steps_left)
        if schedule is None or schedule.lr(self.step) < _DECAYING * max(schedule.knot_lrs):
            return None
        timeline = self.posterior.timeline.under(schedule.cooldown(start=self.step, steps=steps), self.posterior.now)
        return forecast(self.posterior, float(self.step + steps), of=self.of, timeline=timeline)

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


def check_level(level: float) -> float:
    """Return ``level`` if it is a probability.

    Raises:
        ValueError: if it is not inside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"`level` must lie inside (0, 1): got {level}. Pass 0.95 to be 95 % sure.")
    return level
