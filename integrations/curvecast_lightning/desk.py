"""What rank 0 does for all: make the plan, keep the watcher, log, and speak."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from curvecast import Choice, NoiseScale, Verdict, Watcher
from curvecast_lightning import bar, panels, past, wording
from curvecast_lightning.console import announce, say
from curvecast_lightning.doubts import doubts
from curvecast_lightning.horizon import waits_for_epoch
from curvecast_lightning.noise import Norms
from curvecast_lightning.plan import (
    Plan,
    after_first_epoch,
    after_other_limits,
    after_straying,
    check_remembered,
    make_plan,
    recounted,
    with_batch,
    with_remembered,
)
from curvecast_lightning.recorder import Recorder, single
from curvecast_lightning.schedule import PlannedRates, rates_seen
from curvecast_lightning.settings import Settings
from curvecast_lightning.straying import Straying
from curvecast_lightning.trouble import Trouble

DAMAGED = "damaged"  # in place of a state: why it could not be used
DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # what a damaged one raises


class Desk:
    """One run, as rank 0 sees it.

    Args:
        trainer: a Trainer at ``on_train_start``.
        module: its LightningModule.
        given: what the user said of the plan.
        models: the Watcher's ``law``, ``prior`` and ``decisions``.
        settings: how much is said, and where.
        state: a `state_dict` of the same run, or empty.
        heard: what the user was told already, in an earlier fit of the same callback; it is added to.
    """

    def __init__(
        self,
        trainer: Any,
        module: Any,
        *,
        given: Plan,
        models: Mapping[str, Any],
        settings: Settings,
        state: Mapping[str, Any],
        heard: set[str],
    ) -> None:
        self.settings = settings
        self._heard = heard
        self.recorder: Recorder | None = None
        self.text: str | None = None  # for the bar, which asks for it far more often than it changes
        self.cooldown: Choice | None = None
        self.ended: Verdict | None = None  # the last verdict, once the run is over
        self.stood_for: str | None = None  # the reason to stop that a resumed run brought along
        self.said: dict[str, float] = {}  # the last verdict's numbers, for other callbacks to monitor
        self._models = models
        self._state = state
        self._start = int(trainer.global_step)
        self.trouble = Trouble()
        self._noise = NoiseScale()
        self._started = time.monotonic()
        self._take_over(state)
        self._is_given = given.horizon is not None or given.schedule is not None
        self._planned_at = 0
        self._sized = models.get("law") is not None  # whether N is wanted of any network
        self.plan = make_plan(trainer, module, given, state.get("plan") or {}, sized=self._sized)
        self._doubts = doubts(trainer, module, self.plan, given=given, monitor=settings.monitor)
        if settings.progress_bar:
            bar.attach(trainer.progress_bar_callback, settings.label, self.shown)

    def shown(self) -> str | None:
        """What the bar shows; a method, for a Trainer that is saved or sent to a process takes its bar along."""
        return self.text

    def open(self, trainer: Any, module: Any, batch: Any, *, steps: int) -> Recorder:
        """The recorder; built with the first batch, which shows how many tokens a step sees.

        Args:
            trainer: the Trainer.
            module: its LightningModule.
            batch: the batch that was just trained on; None where a resumed run starts with a validation.
            steps: optimizer steps taken on it.
        """
        if self.recorder is not None:
            return self.recorder
        if batch is None:
            self.plan = with_remembered(self.plan, self._state.get("plan") or {}, sized=self._sized)
        automatic = module.automatic_optimization
        self.plan = recounted(self.plan, module, sized=self._sized)
        self.plan = with_batch(self.plan, trainer, batch, steps=steps, automatic=automatic, sized=self._sized)
        recorder = self._new_recorder()
        if not self.settings.mute:
            recorder = self._caught_up(trainer, recorder)
        self.recorder = recorder
        self.text = wording.bar_text(recorder.verdict)
        self._announce(trainer)
        return recorder

    def _caught_up(self, trainer: Any, recorder: Recorder) -> Recorder:
        """Load what the checkpoint brought, or else what the logs tell; say so where a past is missing."""
        why = "the checkpoint has no state of it"
        if damage := self._state.get(DAMAGED):
            why = f"the checkpoint's state cannot be used ({damage})"
        elif self._state:
            try:
                recorder.load_state_dict(self._state["recorder"])
                self.stood_for = recorder.verdict.reason.value if recorder.verdict.should_stop else None
                return recorder
            except DAMAGE as error:
                why = f"the checkpoint's state cannot be used ({error})"
                recorder = self._new_recorder()  # of the other a part may be loaded
        if not self._start:
            return recorder
        if self.settings.warm_start == "logs":
            found = past.find_past(
                trainer, self._start, val_tag=self.settings.monitor, train_tag=self.settings.train_metric
            )
            if found is not None:
                run, folder = found
                recorder.name = self.settings.monitor or past.name_of(run) or recorder.name
                count = past.replay(recorder, run, self._start)
                announce(
                    trainer, f"curvecast: {why}; {count:,} samples up to step {recorder.watcher.step:,} from {folder}"
                )
                return recorder
            why += ", and no log of it was found"
        else:
            why += '; CurveCast(warm_start="logs") would look for its logs'
        announce(trainer, f"curvecast starts afresh at step {self._start}: {why}.", alarming=True)
        return recorder

    def feed(self, trainer: Any, step: int, **sample: float | None) -> None:
        """Pass a sample to the watcher, log it, and tell what it brought.

        Args:
            trainer: the Trainer.
            step: completed optimizer steps.
            **sample: as ``Recorder.feed`` takes it.
        """
        if self.recorder is None:
            return
        began = time.thread_time()
        news = self.recorder.feed(step, **sample)
        self.trouble.took(time.thread_time() - began)
        self.text = news.text or self.text
        self.said |= news.verdict
        if self.settings.mute:
            return
        scalars = {f"{self.settings.prefix}/{name}": value for name, value in news.scalars.items()}
        if self.settings.log and scalars:
            self.trouble.write(trainer.loggers, scalars, step=step)
        if self.settings.log and (news.change or news.line):
            moment = self.recorder.hindsight[-1][0] if news.line else None
            with self.trouble.of_panels():
                panels.tell(trainer.loggers, self.settings.prefix, self.recorder.watcher, step=step, moment=moment)
        if self.settings.verbose and news.line:
            say(trainer, news.line)
        if self.settings.verbose and news.change:
            announce(trainer, f"curvecast: {news.change}", alarming=news.alarming)

    def plan_on(self, trainer: Any, module: Any) -> None:
        """Take the horizon that nobody gave from the first epoch, which has just ended: what was seen stays."""
        seen = self.recorder
        if seen is None or self.plan.horizon is not None or seen.watcher.turn is not None:  # a cooldown has an end
            return
        self._go_on_with(after_first_epoch(self.plan, trainer, module, past=rates_seen(seen.watcher)), seen)
        if not self.settings.mute:
            horizon = self.plan.horizon or trainer.global_step
            announce(trainer, wording.first_epoch(trainer.global_step, trainer.max_epochs, horizon), alarming=True)
        self._note_plan(trainer)

    def replan(self, trainer: Any, module: Any) -> None:
        """Take another horizon where the Trainer's limits were changed on the way: what was seen stays."""
        seen, before = self.recorder, self.plan
        if seen is None or self._is_given or seen.watcher.turn is not None:  # a cooldown has an end
            return
        if before.schedule is not None and before.peak_lr is not None:
            past: PlannedRates | None = PlannedRates(before.schedule, before.peak_lr)
        else:
            past = rates_seen(seen.watcher)
        plan = after_other_limits(before, trainer, module, past=past)
        if plan is before or plan.horizon is None:
            return
        self._go_on_with(plan, seen)
        self._planned_at = int(trainer.global_step)
        if not self.settings.mute:
            announce(trainer, wording.replanned(trainer.global_step, before.horizon, plan.horizon), alarming=True)
        self._note_plan(trainer)

    def follow(self, trainer: Any, step: int, rates: Sequence[float]) -> None:
        """Leave the planned learning rates where the optimizer does not keep to them: what was seen stays.

        Args:
            trainer: the Trainer.
            step: completed optimizer steps.
            rates: that this step was taken with, one a parameter group.
        """
        seen = self.recorder
        if seen is None or seen.watcher.turn is not None:  # a cooldown sets them itself
            return
        planned = self._straying.note(self.plan, step, rates)
        if planned is None:
            return
        self._go_on_with(after_straying(self.plan, step), seen)
        if not self.settings.mute:
            announce(trainer, wording.strayed(step, planned, max(rates)), alarming=True)
        self._note_plan(trainer)

    def _go_on_with(self, plan: Plan, seen: Recorder) -> None:
        """Take another plan, and over to it all that was seen and said."""
        self.plan = plan
        self.recorder = self._new_recorder()
        self.recorder.go_on_from(seen)

    def _new_recorder(self) -> Recorder:
        watcher = watcher_for(self.plan, self._models)
        return Recorder(watcher, horizon=self.plan.horizon, milestones=self.settings.milestones)

    def cool_down(self, trainer: Any, steps: int | None) -> int:
        """Plan a cooldown, and say what is expected of it.

        Args:
            trainer: the Trainer.
            steps: its length [optimizer steps]; None: as the law says.

        Returns:
            Its length; 0 where none makes sense: the rate is low already, or no step is left.
        """
        if self.recorder is None:
            return 0
        self.cooldown = self.recorder.cool_down(steps)
        if self.cooldown is None:
            return 0
        self._note_plan(trainer)
        if not self.settings.mute and self.settings.verbose:
            say(trainer, wording.cooling(self.recorder.watcher.step, self.recorder.name, self.cooldown))
        return self.cooldown.steps

    def close(self, trainer: Any, step: int, *, stopped_by: str | None, every: int) -> None:
        """Say how the run ended, which was looked at every so many steps; from then on the verdict says so, too."""
        if self.recorder is None or self.settings.mute or step < 1:
            return
        words = self._ending(self.recorder, step, stopped_by, every)
        self.ended = wording.last_verdict(self.recorder.verdict, step, words)
        if self.settings.verbose:
            say(trainer, f"curvecast: {words}")

    def _ending(self, recorder: Recorder, step: int, stopped_by: str | None, every: int) -> str:
        if stopped_by is None:
            told, verdict = recorder.hindsight, recorder.verdict
            return wording.ended(step, self.plan.horizon, recorder.came(), told, verdict, every=every)
        tokens = self.plan.batch_tokens
        return wording.stopped(
            step,
            self.plan.horizon,
            stopped_by,
            recorder.name,
            recorder.best,
            6.0 * self.plan.num_params * tokens if self.plan.num_params and tokens else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain types, bounded; what was handed over is given back while it waits for the first batch."""
        if self.recorder is None:
            return dict(self._state)
        return {
            "recorder": self.recorder.state_dict(),
            "plan": self.plan.to_dict(monitor=self.settings.monitor),
            "cooldown": None if self.cooldown is None else self.cooldown.to_dict(),
            "seconds": self._seconds,
            "noise": self._noise.state_dict(),
            "straying": self._straying.count,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to an earlier state of this run."""
        self._state, self.ended = state, None
        if self.recorder is not None:
            self.recorder.load_state_dict(state["recorder"])
            self._take_over(state)

    def forget(self, state: Mapping[str, Any]) -> None:
        """Begin anew with the next batch, for a state that was to be gone back to is damaged."""
        self._state, self.ended, self.recorder = state, None, None
        self._take_over({})

    def _take_over(self, state: Mapping[str, Any]) -> None:
        told = state.get("cooldown")
        self.cooldown = None if told is None else Choice.from_dict(told)
        self._seconds = float(state.get("seconds", 0.0))
        self._started = time.monotonic() - self._seconds
        self._straying = Straying(int(state.get("straying", 0)))
        if "noise" in state:
            self._noise.load_state_dict(state["noise"])

    def clock(self) -> float:
        """Time spent on this run so far, without what its checkpoints do not know of [s]."""
        self._seconds = single(time.monotonic() - self._started)
        return self._seconds

    def critical_batch(self, norms: Norms | None) -> float | None:
        """The gradient noise scale with one more window's norms [tokens]; None before it is known."""
        if norms is not None and self.plan.batch_tokens is not None:
            small_square, big_square, small_batch, steps = norms
            self._noise.update(small_square, big_square, small_batch, self.plan.batch_tokens, steps)
        return None if norms is None or self._noise.batch is None else single(self._noise.batch)

    def _announce(self, trainer: Any) -> None:
        if self.settings.mute:
            return
        if self.plan.unknown:
            waits = waits_for_epoch(trainer) and not self._start
            self._tell_once(trainer, wording.question(self.plan.unknown, waits=waits))
        for doubt in self._doubts:
            self._tell_once(trainer, f"curvecast: {doubt}")
        self._note_plan(trainer)
        if self._speaks_first:
            with self.trouble.of_panels():
                panels.add_panels(trainer.loggers, self.settings.prefixes, self.settings.milestones)
                panels.note_hparams(trainer.loggers, self.plan.to_dict(monitor=self.settings.monitor))

    def _tell_once(self, trainer: Any, message: str) -> None:
        """Say what each fold of a cross-validation, and each fit that goes on, would say again."""
        if message not in self._heard:
            self._heard.add(message)
            announce(trainer, message, alarming=True)

    @property
    def _speaks_first(self) -> bool:
        """Whether it is this desk that writes what a run has but one of."""
        settings = self.settings
        return settings.log and not settings.mute and settings.prefix == settings.prefixes[0]

    def _note_plan(self, trainer: Any) -> None:
        """Write the plan beside the logs and into them; where the run turned off it, both of its plans."""
        if not self._speaks_first:
            return
        plan, turn = self.plan.to_dict(monitor=self.settings.monitor), self.recorder and self.recorder.watcher.turn
        if turn:
            plan |= turn.to_plan()
        panels.write_sidecar(trainer.loggers, plan, failed=self.trouble.tell)
        with self.trouble.of_panels():
            panels.note_plan(
                trainer.loggers, plan, turn.step if turn else self._planned_at or self.plan.first_epoch or 0
            )
            panels.tag_stores(trainer.loggers, plan)


def check_state(state: Mapping[str, Any]) -> None:
    """Raise one of `DAMAGE` where what a checkpoint brought of a desk is not what one has written.

    What was seen is checked where it is loaded.
    """
    if not state["recorder"]:
        raise ValueError("nothing of what was seen is there")
    if (cooldown := state.get("cooldown")) is not None:
        Choice.from_dict(cooldown)
    if "noise" in state:
        NoiseScale().load_state_dict(state["noise"])
    if not math.isfinite(float(state.get("seconds", 0.0)) + int(state.get("straying", 0))):
        raise ValueError("its clock is not finite")
    check_remembered(state["plan"])


def watcher_for(plan: Plan, models: Mapping[str, Any]) -> Watcher:
    """A watcher of a plan.

    Raises:
        ValueError: if the plan cannot be one.
    """
    return Watcher(
        horizon=plan.horizon,
        schedule=plan.schedule,
        lr_held=plan.lr_held,
        num_params=plan.num_params,
        batch_tokens=plan.batch_tokens,
        dataset_tokens=plan.dataset_tokens,
        epoch_steps=plan.epoch_steps,
        **models,
    )
