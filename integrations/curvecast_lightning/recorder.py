"""The side of rank 0: samples go to the watcher, and what is worth telling comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curvecast import Choice, Forecast, NotEnoughSamples, Reason, Verdict, Watcher
from curvecast_lightning import wording

Told = tuple[float, int, Forecast]
_LATE = 0.95  # of the steps: the train losses from there on stand for the end, for a single one is noisy


@dataclass(frozen=True, slots=True)
class News:
    """What one sample brought.

    Args:
        scalars: to log at its step.
        verdict: those of them that the verdict brought, where it is new.
        line: to print: a milestone.
        change: a message, where the verdict's reason changed.
        alarming: whether the new reason is one to stop for.
        text: for the progress bar, where the verdict is new.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    verdict: dict[str, float] = field(default_factory=dict)
    line: str | None = None
    change: str | None = None
    alarming: bool = False
    text: str | None = None


class Recorder:
    """Feeds a watcher and remembers what was said.

    Args:
        watcher: the watcher of this run.
        horizon: planned steps; without one there are no milestones.
        milestones: shares of the horizon at which the forecast is said and kept; one that is passed before there is a
            forecast gives way to the next once that is nearer.
    """

    def __init__(self, watcher: Watcher, *, horizon: int | None, milestones: Sequence[float]) -> None:
        self.watcher = watcher
        self.horizon = horizon
        self.hindsight: list[Told] = []
        self.best: tuple[int, float] | None = None
        self._last: float | None = None  # validation loss
        self.name = "val_loss"
        self._milestones = sorted(milestones)
        self._said: set[float] = set()
        self._reason = Reason.ON_TRACK.value
        self._validated = 0

    @property
    def verdict(self) -> Verdict:
        """The last verdict."""
        return self.watcher.verdict

    def feed(
        self,
        step: int,
        *,
        train_loss: float | None = None,
        val_loss: float | None = None,
        lr: float | None = None,
        seconds: float | None = None,
        critical_batch: float | None = None,
    ) -> News:
        """Pass a sample on.

        Args:
            step: completed optimizer steps.
            train_loss: mean over the window [loss unit].
            val_loss: of the monitored metric [loss unit].
            lr: of this step.
            seconds: time spent on training so far [s].
            critical_batch: as measured [tokens].

        Returns:
            What is worth telling; nothing of a validation that repeats the last one's step.
        """
        if val_loss is not None:
            if step <= self._validated:
                return News()
            self._validated = step
            self._last = val_loss
            self._keep_best(step, val_loss)
        before = self.verdict
        fed = {"train_loss": train_loss, "val_loss": val_loss, "lr": lr}
        fed |= {"seconds": seconds, "critical_batch": critical_batch}
        verdict = self.watcher.update(step, **fed)
        if verdict is not before and not _is_sound(verdict):
            raise FloatingPointError(f"the forecast made at step {step} is not a number")
        scalars = {name: value for name, value in fed.items() if value is not None}
        told = _scalars(verdict) if verdict is not before else {}
        return News(
            scalars=scalars | told,
            verdict=told,
            line=self._milestone(step, verdict),
            change=None if verdict is before else self._change(verdict),
            alarming=verdict.should_stop,
            text=None if verdict is before else wording.bar_text(verdict),
        )

    def may_cool_down(self, steps: int | None) -> bool:
        """Whether `cool_down` would plan one; asking changes nothing."""
        try:
            return self.watcher.judge.cooldown(steps) is not None
        except NotEnoughSamples:
            return False

    def cool_down(self, steps: int | None) -> Choice | None:
        """Plan a cooldown from here; None where none makes sense. What was planned before has no more milestones."""
        try:
            return self.watcher.cool_down(steps)
        except NotEnoughSamples:
            return None

    def _keep_best(self, step: int, loss: float) -> None:
        if math.isfinite(loss) and (self.best is None or loss < self.best[1]):
            self.best = (step, loss)

    def _change(self, verdict: Verdict) -> str | None:
        """What is said of a reason other than the last one; that a run begins well is no news."""
        before = self._reason
        if verdict.reason is Reason.NOT_ENOUGH_DATA or verdict.reason.value == before:
            return None
        self._reason = verdict.reason.value
        return wording.change(before, verdict)

    def _milestone(self, step: int, verdict: Verdict) -> str | None:
        if self.horizon is None or self.horizon != self.watcher.horizon:  # unknown, or cut short by a cooldown
            return None
        if verdict.forecast is None or verdict.forecast.step != self.horizon or step >= self.horizon:
            return None  # one that a resumed run has kept may be of another end
        passed = [f for f in self._milestones if f * self.horizon <= step and f not in self._said]
        if not passed:
            return None
        self._said.update(passed)
        following = next((f for f in self._milestones if f > passed[-1]), math.inf)
        if step / self.horizon - passed[-1] > following - step / self.horizon:
            return None  # there was no forecast yet at that one, and the next is nearer by now
        self.hindsight.append((passed[-1], step, verdict.forecast))
        return wording.milestone(step, self.horizon, self.spoken(verdict.forecast), verdict.forecast, verdict)

    def came(self) -> str | None:
        """What the run has come to, in words; None of one that showed no loss."""
        if self.best is not None:
            return wording.came(self.name, self._last, self.best)
        try:
            bins = self.watcher.bins("train")
        except ValueError:
            return None
        late = bins.step > _LATE * bins.step[-1]
        return wording.came("train loss", float(np.average(bins.mean[late], weights=bins.count[late])), None)

    def spoken(self, forecast: Forecast) -> str:
        """What the forecast's loss is called."""
        return self.name if forecast.of == "val" else "train loss"

    def go_on_from(self, earlier: Recorder) -> None:
        """Take over all that another one, with another plan, has seen and said."""
        self.load_state_dict(earlier.state_dict())
        self._last = earlier._last

    def state_dict(self) -> dict[str, Any]:
        """Plain types, bounded."""
        return {
            "watcher": self.watcher.state_dict(),
            "horizon": self.horizon,
            "said": sorted(self._said),
            "reason": self._reason,
            "validated": self._validated,
            "name": self.name,
            "best": None if self.best is None else list(self.best),
            "hindsight": [_to_plain(told) for told in self.hindsight],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.watcher.load_state_dict(state["watcher"])
        self._said = set(state["said"])
        self._reason = str(state["reason"])
        self._validated = int(state["validated"])
        self.name = str(state["name"])
        self.best = None if state["best"] is None else (int(state["best"][0]), float(state["best"][1]))
        self.hindsight = [_from_plain(told) for told in state["hindsight"]]
        if state["horizon"] != self.horizon:  # what was foretold is no forecast of the new end
            self.hindsight, self._said = [], set()


def single(value: float) -> float:
    """As a logger keeps it, and a reader will see it: rounded to float32."""
    return float(np.float32(value))


def _is_sound(verdict: Verdict) -> bool:
    return math.isfinite(verdict.probability) and (
        verdict.forecast is None or math.isfinite(float(verdict.forecast.median))
    )


def _scalars(verdict: Verdict) -> dict[str, float]:
    """What is logged of a verdict, on the step it was reached."""
    scalars = {"probability": float(verdict.probability)}
    if verdict.forecast is not None:
        interval = verdict.forecast.interval(wording.LEVEL)
        scalars["forecast"] = float(verdict.forecast.median)
        scalars["lower"], scalars["upper"] = float(interval.lower), float(interval.upper)
    return scalars


def _to_plain(told: Told) -> dict[str, Any]:
    fraction, step, forecast = told
    return {"fraction": fraction, "step": step, "forecast": forecast.to_dict()}


def _from_plain(state: Mapping[str, Any]) -> Told:
    return float(state["fraction"]), int(state["step"]), Forecast.from_dict(state["forecast"])
