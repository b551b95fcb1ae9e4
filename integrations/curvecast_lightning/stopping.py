"""What the callback tells of its run, and the vote on stopping it."""

from __future__ import annotations

import logging
from typing import Any

from curvecast import Choice, Forecast, Reason, Verdict, Watcher
from curvecast_lightning import wording
from curvecast_lightning.desk import Desk
from curvecast_lightning.ending import NO_COOLDOWN, Ending
from curvecast_lightning.guard import guarded, guarded_always

log = logging.getLogger("curvecast")


class Stopping:
    """The part of the callback that is no hook of Lightning's.

    What is told is rank 0's; where a stop is voted on, and where a cooldown begins, all ranks meet.
    """

    failed: bool
    stop_on: frozenset[Reason]
    _desk: Desk | None
    _ending: Ending
    _cooldown_steps: int | None
    _stopped_by: str | None
    _noted: set[str]

    @property
    def watcher(self) -> Watcher | None:
        """The watcher; None before the first batch, and on ranks other than 0."""
        recorder = self._desk and self._desk.recorder
        return recorder.watcher if recorder else None

    @property
    def verdict(self) -> Verdict | None:
        """The last verdict; once the run is over it says how that ended. None where there is no watcher."""
        watcher, ended = self.watcher, self._desk and self._desk.ended
        return ended or (watcher.verdict if watcher else None)

    @property
    def hindsight(self) -> list[tuple[float, int, Forecast]]:
        """(share of the horizon, step, forecast) of each milestone passed so far."""
        recorder = self._desk and self._desk.recorder
        return list(recorder.hindsight) if recorder else []

    @property
    def cooldown(self) -> Choice | None:
        """What the cooldown was expected to end at when it began; None where there is none, and on other ranks."""
        return self._desk.cooldown if self._desk else None

    @property
    def checkpoints(self) -> list[str]:
        """Paths of the checkpoints that `save_on_stop` has written in this run."""
        return list(self._ending.checkpoints)

    def switch_off(self, error: Exception) -> None:
        """Something of ours failed: say so once, and let the training go on without us."""
        if not self.failed:
            log.warning(
                "curvecast failed and is switched off; training goes on. %s: %s",
                type(error).__name__,
                error,
                exc_info=error,
            )
        self.failed = True
        if self._desk is not None:
            self._desk.text = None

    def _note(self, message: str) -> None:
        """Warn once a topic, on rank 0."""
        topic = message.split(".")[0]
        if self._desk is not None and not self._desk.settings.mute and topic not in self._noted:
            log.warning(message)
        self._noted.add(topic)

    def _vote(self, trainer: Any) -> None:
        """Stop on all ranks, or on none."""
        if not self.stop_on or trainer.fast_dev_run:
            return
        if not self._agreed(trainer, bool(self._wants_stop(trainer))):
            return
        # Lightning validates once more on its way out, and the verdict may turn: this is why it stopped.
        self._stopped_by = self._stopped_by or (self.verdict.reason.value if self.verdict else "")
        if self._desk is not None and self._desk.stood_for == self._stopped_by:
            self._note(wording.stopped_again(self._stopped_by))
        self._end(trainer)

    @guarded
    def _wants_stop(self, trainer: Any) -> bool:
        verdict = self.verdict
        if verdict is None or not verdict.should_stop or verdict.reason not in self.stop_on:
            return False
        if self._ending.is_cooling and verdict.reason not in NO_COOLDOWN:
            return False  # it is on its way already
        # Before the minimum Lightning would train on, and log every single step.
        enough = trainer.global_step >= (trainer.min_steps or 0)
        return bool(enough and trainer.current_epoch >= (trainer.min_epochs or 0))

    @guarded_always
    def _end(self, trainer: Any) -> None:
        """Begin the cooldown, or stop; rank 0 knows which."""
        steps = 0
        if self._ending.cools and not self._ending.is_cooling and self._agreed(trainer, bool(self._may_cool())):
            self._ending.save(trainer, "before-cooldown")
            steps = int(trainer.strategy.broadcast(self._plan_cooldown(trainer) or 0, 0))
        if not steps or not self._agreed(trainer, bool(self._begin_cooling(trainer, steps)), by_all=True):
            self._ending.stop(trainer)

    @guarded_always
    def _begin_cooling(self, trainer: Any, steps: int) -> bool:
        self._ending.begin(trainer, steps)
        return True

    @guarded
    def _may_cool(self) -> bool:
        """Whether a cooldown will be planned: of a run that stops at once there is no state before one to keep."""
        verdict, recorder = self.verdict, None if self._desk is None else self._desk.recorder
        if recorder is None or verdict is None or verdict.reason in NO_COOLDOWN:
            return False
        return recorder.may_cool_down(self._cooldown_steps)

    @guarded
    def _plan_cooldown(self, trainer: Any) -> int:
        return 0 if self._desk is None else self._desk.cool_down(trainer, self._cooldown_steps)

    @guarded_always
    def _go_on_cooling(self, trainer: Any) -> None:
        self._ending.resume(trainer)

    @guarded_always
    def _cool(self, trainer: Any) -> None:
        self._ending.cool(trainer)

    @guarded_always
    def _agreed(self, trainer: Any, wish: bool, *, by_all: bool = False) -> bool:
        return bool(trainer.strategy.reduce_boolean_decision(wish, all=by_all))
