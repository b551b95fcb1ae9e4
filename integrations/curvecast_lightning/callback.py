"""The callback: Lightning's events become samples, and a verdict may stop the run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from curvecast import Family, FamilyLaw, Prior, Schedule
from curvecast_lightning import arguments, bar
from curvecast_lightning.desk import DAMAGE, DAMAGED, Desk, check_state, watcher_for
from curvecast_lightning.ending import Ending
from curvecast_lightning.guard import Lock, guarded, guarded_always
from curvecast_lightning.horizon import cadence, planned_steps, steps_by_epoch, waits_for_epoch
from curvecast_lightning.host import callback_class, join_hosts
from curvecast_lightning.monitors import publish
from curvecast_lightning.noise import GradientNorms
from curvecast_lightning.plan import Plan, first_epoch_of
from curvecast_lightning.readings import Readings, mean_over_ranks
from curvecast_lightning.settings import Settings, prefixes_of
from curvecast_lightning.stopping import Stopping

if TYPE_CHECKING:
    from pytorch_lightning import Callback
else:
    Callback = callback_class()

_SCHEMA = 1  # of the state in a checkpoint

log = logging.getLogger("curvecast")


class CurveCast(Stopping, Callback):
    """Forecasts the end of a run while it trains, and says when going on is not worth it.

    Put it among the Trainer's callbacks; the rest is found out: the horizon and the learning rates to come
    from the Trainer, N from the module, the tokens of a step from the first batch. What cannot be found out
    is asked for, once. Training is stopped only for the reasons in `stop_on`, and never fails because of us.

    With several processes the losses are averaged over them, and rank 0 alone holds the watcher.

    Args:
        monitor: name of the validation loss among the logged metrics; None: found by its name.
        train_metric: a logged metric to read instead of the loss that ``training_step`` returns.
        horizon: planned optimizer steps.
        schedule: relative learning rate at every step.
        num_params: non-embedding parameters N.
        batch_tokens: tokens of one optimizer step, over all processes.
        dataset_tokens: unique tokens of the data, where it repeats.
        epoch_steps: optimizer steps of one pass over the data.
        law: law of the family, for the compute verdict, or the path of what ``curvecast fit`` wrote; None: Kaplan's.
        prior: what past runs have taught, or the path of what ``curvecast learn`` wrote; None: the shipped one.
        decisions: what is judged; None: ``Watcher``'s own.
        stop_on: reasons for which training is stopped, such as {"overfitting", "diverged"}.
        warm_start: "logs": a run that goes on from a checkpoint without a state of this callback, because it was
            added late, learns its past from the logs on disk, if there are any. None: it starts afresh.
        on_stop: "stop" stops at once. "cooldown" takes the learning rates to zero first, whatever schedulers there
            are, and then stops; a run that overfits or diverges, or is decaying already, stops at once all the same.
        cooldown: steps of the cooldown; None: as many as the law says are worth it.
        save_on_stop: whether to write a checkpoint where the run stops, and one where a cooldown begins, beside the
            Trainer's own or else beside its logs; `checkpoints` has their paths.
        every_n_steps: optimizer steps between two samples; None: the Trainer's ``log_every_n_steps``, or fewer where
            a short run would give less than 30 samples.
        noise_scale: whether to measure the gradient noise scale, from accumulation or from the processes of DDP, for
            the compute verdict's critical batch: one more norm of the gradient a step, two with accumulation. It is
            told in tokens, so it needs the tokens of a step.
        milestones: shares of the horizon at which the forecast is said, and kept in `hindsight`; one that passes before
            there is a forecast gives way to the next once that is nearer.
        log: whether to log scalars, the panel and the sidecar file ``curvecast.json``.
        progress_bar: whether the progress bar shows the forecast.
        verbose: whether to say milestones, changes of the verdict, and the summary.

    Raises:
        ValueError: if an argument cannot be right.

    Example:
        >>> callback = CurveCast(monitor="val_loss", stop_on={"overfitting"})
        >>> callback.state_key
        "CurveCast{'monitor': 'val_loss'}"
    """

    def __init__(
        self,
        *,
        monitor: str | None = None,
        train_metric: str | None = None,
        horizon: int | None = None,
        schedule: Schedule | None = None,
        num_params: int | None = None,
        batch_tokens: int | None = None,
        dataset_tokens: int | None = None,
        epoch_steps: float | None = None,
        law: FamilyLaw | str | None = None,
        prior: Prior | str | None = None,
        decisions: Sequence[Any] | None = None,
        stop_on: Collection[str] = frozenset(),
        warm_start: str | None = None,
        on_stop: str = "stop",
        cooldown: int | None = None,
        save_on_stop: bool = False,
        every_n_steps: int | None = None,
        noise_scale: bool = False,
        milestones: Sequence[float] = (0.1, 0.25, 0.5, 0.75),
        log: bool = True,
        progress_bar: bool = True,
        verbose: bool = True,
    ) -> None:
        join_hosts(CurveCast)
        super().__init__()
        self.monitor = monitor
        self.train_metric = train_metric
        self.stop_on = arguments.reasons(stop_on)
        self._warm_start = arguments.warm(warm_start)
        self._ending = Ending(cools=arguments.cools(on_stop, cooldown), saves=save_on_stop)
        self._cooldown_steps = cooldown
        self.every_n_steps = arguments.cadence(every_n_steps)
        self.milestones = arguments.shares(milestones)
        self._logs = log  # Lightning puts the module's `log` method on every callback, under that name
        self.progress_bar = progress_bar
        self.verbose = verbose
        self.failed = False
        self._given = Plan(horizon, schedule, None, num_params, batch_tokens, dataset_tokens, epoch_steps)
        law, prior = arguments.loaded("law", law, Family.load), arguments.loaded("prior", prior, Prior.load)
        self._models: dict[str, Any] = {"law": law, "prior": prior, "decisions": decisions}
        watcher_for(self._given, self._models)  # what it refuses is refused here, not in the middle of a run
        named = {"monitor": monitor, "train_metric": train_metric, "law": law and type(law).__name__}
        self._key = self._generate_state_key(**{name: value for name, value in named.items() if value})
        self._desk: Desk | None = None
        self._readings = Readings(monitor=monitor, train_metric=train_metric, ask=self._note)
        self._norms = GradientNorms() if noise_scale else None
        self._loaded: dict[str, Any] = {}
        self._lock = Lock()
        self._every = 1
        self._step = self._began = 0
        self._limits: tuple[int | None, int] = None, -1
        self._has_first_epoch = False
        self._stopped_by: str | None = None
        self._noted: set[str] = set()

    @property
    def state_key(self) -> str:
        """Tells several of these callbacks apart in a checkpoint."""
        return self._key

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Make the plan; any earlier, ``global_step`` of a resumed run is still 0."""
        self._every = self.every_n_steps or self._cadence(trainer, pl_module) or 1
        self._step = self._began = trainer.global_step
        self._limits = trainer.max_epochs, trainer.max_steps
        self._has_first_epoch = False
        self._stopped_by = None
        self.failed = self.failed and trainer.global_step > 0  # a fresh run is a fresh start
        self._begin(trainer, pl_module)
        self._go_on_cooling(trainer)
        self._measure_noise(trainer)
        self._publish(trainer)

    @guarded
    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """Note the gradient of a step's first micro-batch, where the noise scale is measured."""
        if self._norms is not None:
            self._norms.after_backward(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Optimizer) -> None:
        """Note the learning rate while it is still this step's."""
        self._cool(trainer)
        self._note_rates(trainer, pl_module, optimizer)

    @guarded
    def _note_rates(self, trainer: Any, pl_module: Any, optimizer: Optimizer) -> None:
        """Note what the step is about to be taken with; the rates only where it ends a window."""
        if optimizer is not trainer.optimizers[0]:
            return
        if self._norms is not None:
            self._norms.before_step(trainer, optimizer)
        if (self._step + 1) % self._every == 0 or not pl_module.automatic_optimization:
            self._readings.note_rates(optimizer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Gather the loss; where a window ends, pass its mean on.

        Which steps end a window is a matter of ``global_step`` alone, so that all ranks meet there.
        """
        before, self._step = self._step, trainer.global_step
        self._gather(trainer, pl_module, outputs, batch, self._step - before)
        if self._step // self._every > before // self._every:
            with self._lock:
                loss = self._mean(trainer, self._take(trainer))
                self._feed_train(trainer, loss)
            self._publish(trainer)
            self._vote(trainer)
        self._cool(trainer)

    @guarded
    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Note what stands there already: what this validation does not log is an older one's."""
        if not trainer.sanity_checking:
            self._readings.before_validation(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Pass the validation loss on: elsewhere ``callback_metrics`` may still hold an older one."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.global_step:
            return
        loss = self._mean(trainer, self._validated(trainer))
        with self._lock:
            self._feed_val(trainer, pl_module, loss)
        self._publish(trainer)
        self._vote(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note that the first epoch is over: it may be the first to show how long the run is going to be."""
        is_first = self._began == 0 and trainer.current_epoch == 0 and trainer.global_step > 0
        self._has_first_epoch = is_first and waits_for_epoch(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Plan on from the first epoch, now that the schedulers have made its last step; all ranks meet here then.

        So too where code of the user's has changed the Trainer's limits; then without a meeting.
        """
        before, self._limits = self._limits, (trainer.max_epochs, trainer.max_steps)
        if not self._has_first_epoch:
            if before != self._limits:
                self._replan(trainer, pl_module)
            return
        self._has_first_epoch = False
        self._plan_on(trainer, pl_module)
        self._every = self.every_n_steps or self._cadence(trainer, pl_module) or 1

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Say how it ended."""
        self._finish(trainer)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Say how it ended: after an exception, or Ctrl-C, ``on_train_end`` does not come."""
        self._finish(trainer)

    @guarded
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Comes before the plan is known, or, from a learning-rate finder, in the middle of a run."""
        if (schema := state_dict.get("schema")) != _SCHEMA:
            log.warning(
                "curvecast starts afresh: the checkpoint's state has schema %s, this version reads %s.",
                schema,
                _SCHEMA,
            )
            return
        try:
            self._take_over(state_dict)
        except DAMAGE as error:  # what can be trained on can be forecast, too: it is told where the run goes on
            self._readings.begin()
            self._ending.load(None)
            self._loaded = {DAMAGED: f"{type(error).__name__}: {error}"}
            if self._desk is not None:
                self._desk.forget(self._loaded)

    def _take_over(self, state_dict: dict[str, Any]) -> None:
        self._readings.load_state_dict(state_dict)
        self._ending.load(state_dict["cooldown"])
        check_state(state_dict["desk"])
        if self._desk is not None:
            self._desk.load_state_dict(state_dict["desk"])
        else:
            self._loaded = state_dict["desk"]

    def state_dict(self) -> dict[str, Any]:
        """Plain types, bounded."""
        with self._lock:
            return self._state() or {}

    @guarded
    def _state(self) -> dict[str, Any]:
        desk = self._desk.state_dict() if self._desk else self._loaded
        state = {"schema": _SCHEMA, "desk": desk, **self._readings.state_dict()}
        return state | {"cooldown": self._ending.to_dict()} if desk else {}

    @guarded
    def _begin(self, trainer: Any, module: Any) -> None:
        earlier, self._desk = self._desk, None
        loaded, self._loaded = self._loaded, {}
        if not trainer.global_step:
            self._readings.begin()
        if not trainer.is_global_zero:
            return
        if earlier and earlier.recorder and 0 < earlier.recorder.watcher.step <= trainer.global_step:
            loaded = earlier.state_dict()  # the same run, fitted on
        prefix, prefixes = self._prefixes(trainer)
        settings = Settings(
            prefix=prefix,
            prefixes=prefixes,
            monitor=self.monitor,
            milestones=self.milestones,
            log=self._logs,
            progress_bar=self.progress_bar,
            verbose=self.verbose,
            mute=bool(trainer.fast_dev_run),
            train_metric=self.train_metric,
            warm_start=self._warm_start,
        )
        self._desk = Desk(
            trainer,
            module,
            given=self._given,
            models=self._models,
            settings=settings,
            state=loaded,
            heard=self._noted,
        )

    @guarded_always
    def _cadence(self, trainer: Any, module: Any) -> int:
        """Steps from sample to sample; rank 0's, for other ranks may have other numbers of batches."""
        every = self._cadence_here(trainer, module) or 1
        return int(trainer.strategy.broadcast(every, 0)) if trainer.world_size > 1 else every

    @guarded_always
    def _cadence_here(self, trainer: Any, module: Any) -> int:
        automatic = module.automatic_optimization
        given = self._given.horizon or (self._given.schedule and self._given.schedule.horizon)
        steps = given or planned_steps(trainer, automatic=automatic)[0]
        if steps is None:
            known = self._desk.plan.to_dict(monitor=None) if self._desk else self._loaded.get("plan") or {}
            first = first_epoch_of(trainer, known) if trainer.global_step else None
            steps = first and steps_by_epoch(trainer, first, automatic=automatic)
        return cadence(trainer, steps)

    @guarded
    def _replan(self, trainer: Any, module: Any) -> None:
        if self._desk is not None:
            self._desk.replan(trainer, module)

    @guarded
    def _plan_on(self, trainer: Any, module: Any) -> None:
        if self._desk is not None:
            self._desk.plan_on(trainer, module)

    def _prefixes(self, trainer: Any) -> tuple[str, tuple[str, ...]]:
        """Of our tags, and of those of all the Trainer's CurveCast callbacks."""
        siblings = [callback for callback in trainer.callbacks if isinstance(callback, CurveCast)]
        prefixes = prefixes_of([sibling.monitor or sibling.train_metric for sibling in siblings])
        return prefixes[siblings.index(self)], prefixes

    @guarded
    def _gather(self, trainer: Any, module: Any, outputs: Any, batch: Any, steps: int) -> None:
        self._readings.add(trainer, outputs, automatic=module.automatic_optimization, steps=steps)
        if self._desk is not None and self._desk.recorder is None:
            self._desk.open(trainer, module, batch, steps=steps)

    @guarded
    def _take(self, trainer: Any) -> Tensor:
        return self._readings.window.take(trainer.strategy.root_device)

    @guarded
    def _validated(self, trainer: Any) -> Tensor | None:
        return self._readings.validated(trainer)

    @guarded_always
    def _mean(self, trainer: Any, pair: Tensor | None) -> float | None:
        return mean_over_ranks(trainer, pair)

    @guarded
    def _feed_train(self, trainer: Any, loss: float | None) -> None:
        if self._desk is None:
            return
        if loss is None:
            self._readings.ask_for_train_loss(trainer)
            return
        batch = self._desk.plan.batch_tokens
        norms = self._norms.take(batch) if self._norms is not None and batch else None
        self._desk.feed(
            trainer,
            self._step,
            train_loss=loss,
            lr=self._readings.lr,
            seconds=self._desk.clock(),
            critical_batch=self._desk.critical_batch(norms),
        )
        self._desk.follow(trainer, self._step, self._readings.rates)

    @guarded
    def _feed_val(self, trainer: Any, module: Any, loss: float | None) -> None:
        if self._desk is None or loss is None:
            return
        self._desk.open(trainer, module, None, steps=0).name = self._readings.found or "val_loss"
        self._desk.feed(trainer, trainer.global_step, val_loss=loss)

    @guarded_always
    def _publish(self, trainer: Any) -> None:
        """Let other callbacks monitor what was said last; all ranks meet here where one does."""
        prefix, _ = self._prefixes(trainer)
        publish(trainer, prefix, self._desk.said if self._desk else {})

    @guarded
    def _measure_noise(self, trainer: Any) -> None:
        if self._norms is None:
            return
        if why := self._norms.begin(trainer):
            self._norms = None
            self._note(f"curvecast cannot measure the gradient noise scale: {why}.")

    @guarded_always
    def _finish(self, trainer: Any) -> None:
        if self._desk is None:
            return
        bar.detach(trainer.progress_bar_callback, self._desk.settings.label)
        if not self.failed:
            self._desk.close(trainer, self._step, stopped_by=self._stopped_by, every=self._every)
