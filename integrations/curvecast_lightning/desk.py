"""What rank 0 does for all: make the plan, keep the watcher, log, and speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from curvecast import Watcher
from curvecast_lightning import bar, panels, wording
from curvecast_lightning.console import announce, say
from curvecast_lightning.plan import Plan, make_plan, with_batch
from curvecast_lightning.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is said, and where.

    Args:
        prefix: of the tags that are logged.
        prefixes: those of all the Trainer's CurveCast callbacks; the first one's writes panels and sidecar.
        monitor: the metric that the user named.
        milestones: shares of the horizon at which the forecast is said.
        log: whether to write to the loggers.
        progress_bar: whether the bar shows the forecast.
        verbose: whether to print and to announce verdicts.
        mute: a trial run (``fast_dev_run``): nothing is written or said.
    """

    prefix: str
    prefixes: tuple[str, ...]
    monitor: str | None
    milestones: tuple[float, ...]
    log: bool
    progress_bar: bool
    verbose: bool
    mute: bool

    @property
    def label(self) -> str:
        """The forecast's name on the progress bar."""
        return self.prefix.replace("curvecast", "forecast", 1)


class Desk:
    """One run, as rank 0 sees it.

    Args:
        trainer: a Trainer at ``on_train_start``.
        module: its LightningModule.
        given: what the user said of the plan.
        models: the Watcher's ``law``, ``prior`` and ``decisions``.
        settings: how much is said, and where.
        state: a `state_dict` of the same run, or empty.
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
    ) -> None:
        self.settings = settings
        self.recorder: Recorder | None = None
        self.text: str | None = None  # for the bar, which asks for it far more often than it changes
        self._models = models
        self._state = state
        self.plan = make_plan(trainer, module, given, state.get("plan") or {})
        if settings.progress_bar:
            bar.attach(trainer.progress_bar_callback, settings.label, lambda: self.text)
        if settings.log and not settings.mute and settings.prefix == settings.prefixes[0]:
            panels.add_panels(trainer.loggers, settings.prefixes, settings.milestones)

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
        remembered = (self._state.get("plan") or {}).get("batch_tokens")
        if batch is None and remembered is not None and self.plan.batch_tokens is None:
            self.plan = replace(self.plan, batch_tokens=int(remembered))
        self.plan = with_batch(self.plan, trainer, batch, steps=steps, automatic=module.automatic_optimization)
        recorder = Recorder(
            watcher_for(self.plan, self._models),
            horizon=self.plan.horizon,
            milestones=self.settings.milestones,
        )
        if self._state:
            recorder.load_state_dict(self._state["recorder"])
        self.recorder = recorder
        self.text = wording.bar_text(recorder.verdict)
        self._announce(trainer)
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
        news = self.recorder.feed(step, **sample)
        self.text = news.text or self.text
        if self.settings.mute:
            return
        scalars = {f"{self.settings.prefix}/{name}": value for name, value in news.scalars.items()}
        for logger in trainer.loggers if self.settings.log and scalars else []:
            logger.log_metrics(scalars, step=step)
        if self.settings.log and (news.change or news.line):
            moment = self.recorder.hindsight[-1][0] if news.line else None
            panels.tell(trainer.loggers, self.settings.prefix, self.recorder.watcher, step=step, moment=moment)
        if self.settings.verbose and news.line:
            say(trainer, news.line)
        if self.settings.verbose and news.change:
            announce(trainer, f"curvecast: {news.change}", alarming=news.alarming)

    def close(self, trainer: Any, step: int, *, stopped_by: str | None) -> None:
        """Say how the run ended."""
        if self.recorder is None or self.settings.mute or not self.settings.verbose or step < 1:
            return
        if stopped_by is None:
            say(trainer, wording.ended(step, self.recorder.name, self.recorder.best, self.recorder.hindsight))
            return
        tokens = self.plan.batch_tokens
        say(
            trainer,
            wording.stopped(
                step,
                self.plan.horizon,
                stopped_by,
                self.recorder.name,
                self.recorder.best,
                6.0 * self.plan.num_params * tokens if self.plan.num_params and tokens else None,
            ),
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain types, bounded; what was handed over is given back while it waits for the first batch."""
        if self.recorder is None:
            return dict(self._state)
        return {
            "recorder": self.recorder.state_dict(),
            "plan": self.plan.to_dict(monitor=self.settings.monitor),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to an earlier state of this run."""
        self._state = state
        if self.recorder is not None:
            self.recorder.load_state_dict(state["recorder"])

    def _announce(self, trainer: Any) -> None:
        if self.settings.mute:
            return
        if self.plan.unknown:
            announce(trainer, wording.question(self.plan.unknown), alarming=True)
        if self.settings.log and self.settings.prefix == self.settings.prefixes[0]:
            plan = self.plan.to_dict(monitor=self.settings.monitor)
            panels.write_sidecar(trainer.loggers, plan)
            panels.note_plan(trainer.loggers, plan)


def watcher_for(plan: Plan, models: Mapping[str, Any]) -> Watcher:
    """A watcher of a plan.

    Raises:
        ValueError: if the plan cannot be one.
    """
    return Watcher(
        horizon=plan.horizon,
        schedule=plan.schedule,
        num_params=plan.num_params,
        batch_tokens=plan.batch_tokens,
        dataset_tokens=plan.dataset_tokens,
        **models,
    )
