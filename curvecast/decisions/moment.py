"""A run at one moment: what a decision is shown, and what reads off it without a forecast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.decisions.alarm import Alarm
from curvecast.decisions.base import UNTOLD, Reason, StandingNeeded, Untold, is_early, release
from curvecast.decisions.choices import Cost
from curvecast.decisions.exchange import Trade
from curvecast.decisions.validations import Recent
from curvecast.fit.batch import Job
from curvecast.fit.kinship import Kin
from curvecast.fit.newest import Fitted
from curvecast.fit.past import Past
from curvecast.fit.posterior import Posterior
from curvecast.fit.under_way import UnderWay
from curvecast.forecast import Futures, Target
from curvecast.forecast.futures import floor_of
from curvecast.laws.base import FamilyLaw
from curvecast.notation import plural

_PEAK = 0.999  # a rate that falls, and stands below this share of its peak, is decaying


@dataclass(frozen=True, eq=False)  # no slots: what is worked out is kept
class Moment:
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
        epoch_steps: Optimizer steps of one pass over the data, or ``None`` [steps].
        seconds: What a step takes at the pace so far [s/step], or ``None``.
        standing: The reason that the run was last told to stop for, or ``None``.
        held: What the rate of exchange said when the newest validation came, where that was asked already.
        kin: What the law of a family foretold, and whether the run can be of it; ``None`` where none did.
        is_first: Whether no verdict on the run came before: what is said but once is said now.
        past: The run as it stood a while ago; ``None`` where it tells nothing of forecasts.
        alone: What the run is fitted to where no finished run is heard; ``None`` where the same fit serves.
        under_way: The run as if a decay of which nobody tells were under way; ``None`` where none can be.
        fitted: The fit that the posterior goes on from, with what it was made of; ``None`` for the posterior itself.
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
    epoch_steps: float | None = None
    seconds: float | None = None
    standing: Reason | Untold | None = None
    held: tuple[Trade | None] | Untold | None = None
    kin: Kin | None = None
    is_first: bool = False
    past: Past | None = None
    alone: Job | None = None
    under_way: UnderWay | None = None
    fitted: Fitted | None = None

    @property
    def deciding(self) -> Bins:
        """The series that decides."""
        return self.val if self.of_val else self.train

    @property
    def end(self) -> int:
        """The horizon while it lies ahead, else the last step seen."""
        return self.step if self.horizon is None else max(self.horizon, self.step)

    @cached_property
    def is_early(self) -> bool:
        """Whether the run is still in its first phases, which look like ends: they level off, then drop again."""
        samples = 0 if self.horizon is not None else int(self.train.count.sum() + self.val.count.sum())
        return is_early(self.step, self.horizon, samples)

    @property
    def of_val(self) -> bool:
        """Whether the validation loss decides."""
        return self.of == "val"

    @property
    def steps_left(self) -> int:
        """Planned steps that are not yet done."""
        return self.end - self.step

    @cached_property
    def floor(self) -> float:
        """No loss that decides lies below it [loss unit]."""
        return floor_of(self.train, self.val, of_val=self.of_val)

    @cached_property
    def validations(self) -> float:
        """How many validation losses were seen."""
        return float(np.add.reduce(self.val.count))

    def has_validated(self, times: int) -> bool:
        """Whether so many validation losses were seen; each bin holds one at least."""
        return len(self.val) >= times or self.validations >= times

    @cached_property
    def stands_at_best(self) -> bool:
        """Whether the newest validation is the lowest of all: then nothing tells of a turn."""
        return self.best_val is None or float(self.recent.val[-1]) <= self.best_val[1]

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
        """Whether nothing of the data can have been seen twice, as far as that is known."""
        return self.epoch is not None and self.step <= self.epoch

    @property
    def epoch(self) -> float | None:
        """Optimizer steps of one pass over the data, as told or as its tokens have it [steps]."""
        if self.epoch_steps is not None or self.dataset_tokens is None or self.batch_tokens is None:
            return self.epoch_steps
        return self.dataset_tokens / self.batch_tokens

    @property
    def level(self) -> float:
        """The loss where the run stands: the mean of what decides over its newest bin [loss unit]."""
        return float(self.deciding.mean[-1])

    @cached_property
    def fallen(self) -> float:
        """How far the loss that decides has fallen from its highest, as a share of that; 0 where it has not."""
        means = self.deciding.mean
        highest = float(np.maximum.reduce(means))
        return 1.0 - float(means[-1]) / highest if highest > 0.0 else 0.0

    @property
    def is_decaying(self) -> bool:
        """Whether the learning rate has begun to fall, and falls on."""
        schedule = self.posterior.timeline.schedule
        if schedule is None or not self.steps_left:
            return False
        now, end = schedule.lr(self.step), schedule.lr(self.end)
        return end < now < _PEAK * max(schedule.knot_lrs) and schedule.lr(self.step + 1) < now

    def ahead(self, points: int) -> FloatArray:
        """``(points,)`` steps over what is left of the plan, log-spaced; the present one where nothing is."""
        return np.geomspace(min(self.step + 1, self.end), self.end, points if self.steps_left else 1)

    def holds(self, reason: Reason, probability: float, level: float) -> bool:
        """Whether a reason is to be said: it is probable enough, or was said and is still nearly so.

        So that a verdict does not flicker, one that stands falls only where its odds are below a quarter of those
        that ``level`` asks for: said from 0.95 on, it stands down to 0.83.

        Raises:
            StandingNeeded: where that depends on what was said before, and it is not known yet.
        """
        if self.standing is UNTOLD and release(level) <= probability < level:
            raise StandingNeeded
        return probability >= (release(level) if self.standing is reason else level)

    def savings(self) -> tuple[str, dict[str, float]]:
        """What stopping here would save, as words and as numbers."""
        saved = f"stopping here saves {plural(self.steps_left, 'step')}"
        details = {"steps_saved": float(self.steps_left)}
        flops = self.flops(self.steps_left)
        if flops is None:
            return saved, details
        total = self.flops(self.end)
        details["flops_saved"] = flops
        return f"{saved}, {flops:.2g} of {total:.2g} FLOPs", details

    def where(self) -> str:
        """``step 1,200/5,000``."""
        return f"step {self.step:,}" if self.horizon is None else f"step {self.step:,}/{self.horizon:,}"
