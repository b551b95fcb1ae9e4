"""The one staircase: samples in, verdicts out; live runs and old logs walk up the same steps."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curvecast._settings import MOST_STEPS, at_least_a_batch, listed, number, of_kinds, positive, whole_horizon
from curvecast.curve import Bins, LearningRates, Sample, Series
from curvecast.decisions import ComputeEfficiency, Divergence, Overfitting, Plateau
from curvecast.decisions.alarm import HUGE
from curvecast.decisions.base import Decision, Reason, Untold, Verdict, is_early
from curvecast.decisions.choices import Choice, Pace, cooled
from curvecast.decisions.compute_efficiency import resized
from curvecast.decisions.exchange import Trade
from curvecast.decisions.saying import judged, not_enough, said
from curvecast.decisions.validations import Validations
from curvecast.decisions.view import View
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many
from curvecast.fit.kinship import Kin, believed
from curvecast.fit.posterior import Posterior, fit
from curvecast.fit.prior import Prior, shipped
from curvecast.forecast import Forecast, Futures, NotEnoughSamples, Target, floor_of, futures_of, is_share, over
from curvecast.laws.base import FamilyLaw
from curvecast.laws.frontier import Way
from curvecast.laws.kaplan import Kaplan
from curvecast.laws.noise_scale import Measured
from curvecast.schedule import Schedule
from curvecast.state import SCHEMA, check_schema, dump_trade, dump_verdict, load_trade, load_verdict
from curvecast.turn import Turn

_KEPT = ("train", "val", "validations", "rates", "alarm", "pace")  # what keeps a state of its own
NEEDED = 12  # samples before the first fit: fewer cannot tell a law from a line
REFIT_GROWTH = 1.04  # a refit is due after 4 % more samples: on a log clock, evenly spaced
JUMP, _USUAL = 100, 10_000  # times the steps done and planned, of at least so many: no run goes so far at once
_FIRST_BEST, _BEST_STEPS, _BEST_DRAWS = 0.02, 120, 400  # where the best step is looked for, and how finely
SOON = 0.02  # share of the plan before which there is no verdict
_LEAST_LOSS = 1e-3  # at which a critical batch can have been measured


class Watcher:
    """Watches one run: keeps its posterior, forecasts its end, and judges it.

    Args:
        horizon: Planned optimizer steps; ``None`` where unknown.
        schedule: Relative LR at every step, past and planned; ``None`` to learn it from the ``lr`` passed to
            ``update``. What is to come is then inferred (see ``Schedule.infer``), and a forecast is a mixture over
            the plausible futures; without a horizon the last LR is held.
        num_params: Non-embedding parameters ``N``; ``None`` for no compute verdicts.
        batch_tokens: Tokens an optimizer step ``B`` [tokens/step].
        dataset_tokens: Unique tokens, where data repeats [tokens].
        prior: What past runs have taught; ``None`` for the shipped prior.
        law: Law of the family, for the compute verdict; ``None`` for Kaplan's. One that `fit_family` found also says
            where such a run ends, which the forecast weighs with what this run has shown. Where they contradict each
            other, as in other units, the law is left out, and the verdict says so.
        decisions: What is judged, in order of precedence; ``None`` for divergence, overfitting, compute
            efficiency and plateau.

    Raises:
        ValueError: if a number is not positive, or the schedule cannot be one.

    Example:
        >>> watcher = Watcher(horizon=2000)
        >>> for step in range(1, 501):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        >>> forecast = watcher.forecast()
        >>> 2.0 + 3.0 * 2000**-0.5 in forecast.interval(0.9)
        True
    """

    def __init__(
        self,
        *,
        horizon: int | None = None,
        schedule: Schedule | None = None,
        num_params: float | None = None,
        batch_tokens: float | None = None,
        dataset_tokens: float | None = None,
        prior: Prior | None = None,
        law: FamilyLaw | None = None,
        decisions: Sequence[Decision] | None = None,
    ) -> None:
        of_kinds(("schedule", schedule, Schedule), ("prior", prior, Prior), ("law", law, FamilyLaw))
        if horizon is None and schedule is not None:
            horizon = schedule.horizon
        self.horizon = whole_horizon(horizon)
        self.schedule = schedule
        self.num_params = positive("num_params", num_params, "the non-embedding parameters")
        self.batch_tokens = positive("batch_tokens", batch_tokens, "the tokens of one optimizer step")
        self.dataset_tokens = positive("dataset_tokens", dataset_tokens, "the unique tokens of the data")
        at_least_a_batch(self.dataset_tokens, self.batch_tokens)
        self.prior = prior or shipped()
        self._sized = self.prior.for_size(self.num_params, self.batch_tokens)
        self._in_first_epoch = self._sized if self.dataset_tokens is None else self._sized.in_first_epoch()
        self.law = law or Kaplan()
        self.decisions = DEFAULT_DECISIONS if decisions is None else listed(decisions)
        self._divergence = next((d for d in self.decisions if isinstance(d, Divergence)), None)
        self._given = (self.horizon, schedule)
        self.turn: Turn | None = None  # the change of plan that `cool_down` made
        self._told: Turn | None = None  # the one that the run's log tells of
        self._expected: Turn | None = None  # the same, as long as it is still to come
        self._planned = None if schedule is None else Timeline(schedule, self._sized.annealing_shape)
        self._train, self._val, self._rates = Series(), Series(), LearningRates()
        self._alarm = (self._divergence or Divergence()).alarm()
        self._val_name: str | None = None
        self._best_val: tuple[int, float] | None = None
        self._validations = Validations()
        self._tokens: float | None = None
        self._critical: float | None = None
        self._pace = Pace()
        self._trade: tuple[Trade | None] | Untold | None = None  # what the newest validation told, once asked
        self._next_train, self._next_val = 1, 1
        self._offered = [0, 0]  # last step at which a train and a validation loss came, taken in or held back
        self._reach = max(self.horizon or 0, _USUAL)
        self._jumped: int | None = None
        self.step = 0
        self.verdict = not_enough(0, NEEDED, self.horizon, SOON)
        self._cache: tuple[tuple[object, ...], Posterior, Futures] | None = None
        self._put_off: list[Watcher] | None = None  # where verdicts are put off, what they would be given on
        self._skims = False
        self._kin: Kin | None = None  # what the family's law said at the last fit

    def __repr__(self) -> str:
        return f"Watcher(step={self.step}, horizon={self.horizon}, verdict={self.verdict.reason.value!r})"

    def update(
        self,
        step: int,
        train_loss: float | None = None,
        val_loss: float | Mapping[str, float] | None = None,
        lr: float | None = None,
        tokens: float | None = None,
        seconds: float | None = None,
        critical_batch: float | None = None,
    ) -> Verdict:
        """Take in what was measured at a step, and give the verdict that stands.

        Never raises on bad data: losses that are not finite feed the divergence alarm; steps that repeat or
        go back, and a step below 1, are left out, and one that lies a hundred times further than the run could be
        until a later one goes on from there. The verdict is decided anew after every 4 % more samples,
        and at once when the run diverges.

        Args:
            step: Completed optimizer steps, from 1.
            train_loss: Train loss [any unit, the same throughout].
            val_loss: Validation loss, or ``{name: loss}``; the first name ever seen is the one that decides.
            lr: Learning rate of that step [any unit].
            tokens: Tokens seen so far, where the batch varies [tokens].
            seconds: Time on the run's clock, from any zero, for the time that choices take [s].
            critical_batch: As measured here, such as ``NoiseScale.batch``; the compute verdict takes it in place of the
                law's [tokens].

        Returns:
            The standing verdict; ``verdict.step`` says when it was decided.
        """
        if type(step) is not int:
            step = number(step)  # type: ignore[assignment]
        if not 1 <= step < MOST_STEPS:
            return self.verdict
        step = int(step)
        if step > self.step:
            if step > JUMP * (self.step + self._reach) and self._strays(step):
                return self.verdict
            if self._expected is not None and step > self._expected.step:
                self._turn(self._expected)
            self.step = step
        if lr is not None and self.schedule is None and 0.0 <= (rate := number(lr)) < HUGE:
            self._rates.add(step, rate)
        if tokens is not None and step == self.step and 0.0 < (seen := number(tokens)) < HUGE:
            self._tokens = seen
        if seconds is not None and step == self.step:
            self._pace.add(step, number(seconds))
        if critical_batch is not None and step == self.step and 0.0 < (batch := number(critical_batch)) < HUGE:
            self._critical = batch
        due = False
        if train_loss is not None and step > self._offered[0]:
            self._offered[0] = step
            train_loss = number(train_loss)
            if self._alarm.admits(step, train_loss):
                self._train.add(step, train_loss)
                self._validations.trained(train_loss)
                due = self._train.total >= self._next_train and self._train.total + self._val.total >= NEEDED
            else:
                due = self._has_just_diverged()
        if val_loss is not None:
            due = self._add_val(step, val_loss) or due
        if due:
            self._decide()
        if self._expected is not None and self._expected.has_come(step, of_val=val_loss is not None):
            self._turn(self._expected)
        return self.verdict

    def skim(self, samples: Iterable[Sample]) -> None:
        """Take samples in as ``update`` does, and decide nothing: for those who ask for forecasts alone.

        Args:
            samples: in order.

        Example:
            >>> watcher = Watcher(horizon=2000)
            >>> watcher.skim(Sample(step, train_loss=2.0 + 3.0 * step**-0.5) for step in range(1, 501))
            >>> watcher.verdict.reason.value, round(watcher.forecast().median, 1)
            ('not_enough_data', 2.1)
        """
        self._skims = True
        try:
            for sample in samples:
                self._take(sample)
        finally:
            self._skims = False

    def _take(self, sample: Sample) -> Verdict:
        """What ``update`` does, with a sample."""
        return self.update(
            sample.step,
            sample.train_loss,
            sample.val_loss,
            sample.lr,
            sample.tokens,
            sample.seconds,
            sample.critical_batch,
        )

    def strays(self, steps: NDArray[np.int64]) -> bool:
        """Whether any of ``(n,)`` steps lies so far beyond the one before it that it would be held for a mistake."""
        before = np.concatenate([[self.step], steps[:-1]])
        return bool((steps > JUMP * (before + self._reach)).any())

    def _strays(self, step: int) -> bool:
        """Whether a step so far ahead is held for a mistake: it is believed once a later one goes on from there."""
        goes_on = self._jumped is not None and step > self._jumped
        self._jumped = None if goes_on else step
        return not goes_on

    def _add_val(self, step: int, val_loss: float | Mapping[str, float]) -> bool:
        """Take in a validation loss; whether a verdict is due."""
        if isinstance(val_loss, Mapping):
            if self._val_name is None:
                self._val_name = next(iter(val_loss), None)
            if self._val_name is None or self._val_name not in val_loss:
                return False
            loss = val_loss[self._val_name]
        else:
            loss = val_loss
        if step <= self._offered[1]:
            return False
        self._offered[1] = step
        loss = number(loss)
        if self._train.total == 0 and not self._alarm.admits(step, loss):  # nothing else to raise the alarm
            return self._has_just_diverged()
        if not abs(loss) < HUGE:
            return False
        self._val.add(step, loss)
        self._validations.add(loss)
        self._trade = None
        if self._best_val is None or loss < self._best_val[1]:
            self._best_val = (step, loss)
        return self._val.total >= self._next_val and self._train.total + self._val.total >= NEEDED

    def _has_just_diverged(self) -> bool:
        return self._blew_up and self.verdict.reason is not Reason.DIVERGED

    def forecast(
        self,
        at: ArrayLike | None = None,
        of: Target | None = None,
        schedule: Schedule | None = None,
    ) -> Forecast:
        """Forecast a loss from all that was seen; asking changes nothing.

        Args:
            at: A step, an array of steps, or ``None`` for the horizon (the last step seen where none is known). At
                a step already passed it is the law, not what was measured there.
            of: ``"val"`` or ``"train"``; ``None`` for validation if any was seen.
            schedule: Another future, e.g. ``watcher.schedule.cooldown(start=..., steps=...)``.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if ``of`` was never seen, or ``at`` is no step.
            TypeError: if ``schedule`` is none.
        """
        of_kinds(("schedule", schedule, Schedule))
        target = self._target(of)
        at = self._end() if at is None else at
        if target == self._target(None):
            return self._view().forecast(at, schedule)
        posterior, futures = self._posterior(target)
        if schedule is not None:
            futures = ((1.0, posterior.timeline.under(schedule, posterior.now)),)
        return over(futures, posterior, at, of=target, floor=floor_of(self.bins(target)))

    def choices(self, cooldown: int | None = None) -> tuple[Choice, ...]:
        """What can be done now: stop here, cool down from here, go on to the horizon; asking changes nothing.

        Args:
            cooldown: Steps of the cooldown; ``None`` for the shortest of 2, 5, 10 and 20 % of the steps done that
                brings nine tenths of what the longest would.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if ``cooldown`` is below 1.

        Example:
            >>> watcher = Watcher(schedule=Schedule.constant(2000), num_params=1e6, batch_tokens=1e4)
            >>> for step in range(1, 1001):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5, seconds=0.1 * step)
            >>> [f"{choice.name} {choice.steps} {choice.seconds:.3g}" for choice in watcher.choices(cooldown=100)]
            ['stop 0 0', 'cool_down 100 10', 'go_on 1000 100']
        """
        cooldown = _whole_cooldown("cooldown", cooldown)
        return self._view().offered(cooldown)

    def cool_down(self, steps: int | None = None) -> Choice | None:
        """Change the plan: from here on the learning rate falls in a straight line to zero, and there the run ends.

        The loop must lower the rate as ``watcher.schedule`` now says. Part of ``state_dict`` from then on; of several
        changes a state, and a log, tell the last alone.

        Args:
            steps: As in ``choices``.

        Returns:
            What the cooldown is expected to end at; ``None``, and the plan stays, where no learning rate is known, it
            has fallen below 0.3 of its peak already, or no step is left.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if ``steps`` is below 1.

        Example:
            >>> watcher = Watcher(schedule=Schedule.constant(2000))
            >>> for step in range(1, 1001):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> choice = watcher.cool_down(100)
            >>> watcher.horizon, watcher.schedule.lr([1000, 1050, 1100]).tolist()
            (1100, [1.0, 0.5, 0.0])
        """
        steps = _whole_cooldown("steps", steps)
        view = self._view()
        left = self.step if self.horizon is None else view.steps_left
        choice = cooled(
            view.posterior, view.forecast, now=self.step, left=left, of=view.of, cost=view.cost, steps=steps
        )
        if choice is not None:
            before = view.posterior.timeline
            assert before.schedule is not None  # or there were no choice
            schedule = before.schedule.cooldown(start=self.step, steps=choice.steps)
            total = before.under(schedule, view.posterior.now).total
            self._turn(Turn(self.step, self._offered[1] == self.step, *self._given, schedule, total))
        return choice

    def _turn(self, turn: Turn) -> None:
        """Change the plan."""
        self.turn, self._expected = turn, None
        self.horizon, self.schedule = turn.schedule.horizon, turn.schedule
        self._planned = Timeline(turn.schedule, self._sized.annealing_shape, total=turn.total)
        self._cache = None

    def fresh(self) -> Watcher:
        """A watcher that was told the same and has seen nothing yet.

        Example:
            >>> watcher = Watcher(horizon=1000)
            >>> for step in range(1, 101):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> watcher.fresh().step, watcher.fresh().horizon
            (0, 1000)
        """
        horizon, schedule = self._given
        fresh = Watcher(
            horizon=horizon,
            schedule=schedule,
            num_params=self.num_params,
            batch_tokens=self.batch_tokens,
            dataset_tokens=self.dataset_tokens,
            prior=self.prior,
            law=self.law,
            decisions=self.decisions,
        )
        fresh._expect(self._told)
        return fresh

    def _expect(self, turn: Turn | None) -> None:
        """Change the plan where the run did, as its log tells."""
        self._told = self._expected = turn

    @property
    def likely_schedule(self) -> Schedule | None:
        """The plan; where none was given the likeliest future of the learning rates seen; ``None`` where none was."""
        return self.schedule or self._futures()[0][1].schedule

    def resized(self, num_params: float | None = None) -> Way:
        """The compute of the whole plan on another size; asking changes nothing.

        Args:
            num_params: The other size; ``None`` for the best one.

        Returns:
            Size and tokens over the run's own, and the loss at the end: the forecast's median, moved by what the
            law of the family says the other size is worth.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if ``num_params`` of the run is not known, or the other is not positive.

        Example:
            >>> watcher = Watcher(horizon=2000, num_params=1e6)
            >>> for step in range(1, 501):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> watcher.resized().size > 1, round(watcher.resized(1e6).loss / watcher.forecast().median, 9)
            (True, 1.0)
        """
        if self.num_params is None:
            raise ValueError("`num_params` must be known for another size: got None. Pass it to the Watcher.")
        if num_params is not None:
            positive("num_params", num_params, "the non-embedding parameters")
        return resized(self._view(), num_params)

    def best_step(self, level: float = 0.9) -> tuple[float, float, float]:
        """The step of the lowest validation loss, past or to come: median, and the interval's ends [steps].

        Args:
            level: Probability that the step lies inside.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if no validation loss was seen, or ``level`` is not inside (0, 1).

        Example:
            >>> watcher = Watcher(horizon=1000)
            >>> for step in range(20, 801, 20):
            ...     verdict = watcher.update(step, val_loss=2.0 + 3.0 * step**-0.5 + 1e-6 * max(step - 300, 0) ** 2)
            >>> median, lower, upper = watcher.best_step()
            >>> 200 < lower <= median <= upper < 600
            True
        """
        if not is_share(level):
            raise ValueError(f"`level` must lie inside (0, 1): got {level!r:.40}. Pass 0.9 for a 90 % interval.")
        self._target("val")
        view = self._view()
        steps = np.geomspace(max(_FIRST_BEST * view.end, 1.0), view.end, _BEST_STEPS)
        best = steps[np.argmin(view.draw(steps, _BEST_DRAWS, val=True), axis=1)]
        if view.behind and self._best_val is not None:  # with that probability the law no longer holds
            kept = np.linspace(0, _BEST_DRAWS - 1, round((1.0 - view.behind) * _BEST_DRAWS)).astype(np.intp)
            best = np.append(best[kept], np.full(_BEST_DRAWS - len(kept), float(self._best_val[0])))
        median, lower, upper = np.quantile(best, [0.5, 0.5 - 0.5 * level, 0.5 + 0.5 * level]).tolist()
        return median, lower, upper

    def bins(self, of: Target | None = None) -> Bins:
        """The series as it is kept, in log-spaced bins: what a plot draws, and what the fit sees."""
        return (self._val if self._target(of) == "val" else self._train).bins()

    def plot(self, **options: Any) -> Any:
        """Draw what was seen and what is expected: a plotly figure, which a notebook shows by itself.

        Args:
            **options: those of ``curvecast.plots.forecast_figure``: ``truth``, ``points``, ``log_x``, ...

        Example:
            >>> watcher = Watcher(horizon=200)
            >>> for step in range(1, 101):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> type(watcher.plot()).__name__
            'Figure'
        """
        plots = importlib.import_module("curvecast.plots")  # it stands above: known by name, loaded when asked for
        return plots.forecast_figure(self, **options)

    def state_dict(self) -> dict[str, Any]:
        """All that was learnt, as plain types, of bounded size."""
        return {
            "schema": SCHEMA,
            **{name: getattr(self, f"_{name}").state_dict() for name in _KEPT},
            "step": self.step,
            "val_name": self._val_name,
            "best_val": None if self._best_val is None else list(self._best_val),
            "tokens": self._tokens,
            "critical_batch": self._critical,
            "next": [self._next_train, self._next_val],
            "offered": list(self._offered),
            "jumped": self._jumped,
            "trade": None
            if self._trade is None or isinstance(self._trade, Untold)
            else [self._val.total, dump_trade(self._trade[0])],
            "verdict": dump_verdict(self.verdict),
            "cooling": self._cooling(),
        }

    def _cooling(self) -> dict[str, Any] | None:
        """The plan that `cool_down` made, or ``None``."""
        if self.turn is None:
            return None
        told = {name: getattr(self.turn, name) for name in ("step", "after_val", "total")}
        return {"schedule": self.turn.schedule.to_dict(), **told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` was taken; the settings stay this watcher's own.

        Raises:
            ValueError: if the state was written by a version with another schema.
        """
        check_schema(state)
        before = self.state_dict()
        try:
            self._load(state)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            self._load(before)
            raise ValueError(f"`state` must come from `state_dict`: got one that lacks or garbles {error}.") from error

    def _load(self, state: Mapping[str, Any]) -> None:
        for name in _KEPT:
            getattr(self, f"_{name}").load_state_dict(state[name])
        self.step, self._val_name, self._tokens = int(state["step"]), state["val_name"], _known(state["tokens"])
        if not 0 <= self.step < MOST_STEPS:
            raise ValueError(f"{self.step:.3g} for a step")
        self._best_val = None if state["best_val"] is None else (state["best_val"][0], state["best_val"][1])
        self._critical = _known(state.get("critical_batch"))
        self._next_train, self._next_val = map(int, state["next"])
        train, val = state["offered"]
        self._offered = [int(train), int(val)]
        self._jumped = _known(state.get("jumped"))  # older states lack this, and what stands below
        of_vals, told = state.get("trade") or (None, None)
        self._trade = (load_trade(told),) if of_vals == self._val.total else None  # some kept what was stale
        self.verdict = load_verdict(state["verdict"])
        self._cache = None
        if (cooling := state.get("cooling")) is not None:
            if not _known(cooling["total"]) > 0.0:
                raise ValueError(f"{cooling['total']} for the total of a schedule")
            schedule = Schedule.from_dict(cooling["schedule"])
            # Older states do not say where it began; the step where they were taken is not before it.
            began, after_val = int(cooling.get("step", max(self.step, 1))), bool(cooling.get("after_val", True))
            self._turn(Turn(began, after_val, *self._given, schedule, cooling["total"]))
        elif self.turn is not None:
            self._expected, self.turn = self._told, None
            self.horizon, self.schedule = self._given
            self._planned = None if self.schedule is None else Timeline(self.schedule, self._sized.annealing_shape)

    def _target(self, of: Target | None) -> Target:
        if of is None:
            return "val" if self._val.total else "train"
        if of not in ("val", "train"):
            raise ValueError(f"`of` must be 'val', 'train' or None: got {of!r}.")
        if not (self._val if of == "val" else self._train).total:
            raise ValueError(
                f"`of` must name a loss that was seen: got {of!r}, of which there is no sample. "
                f"Pass `{of}_loss` to `update`."
            )
        return of

    def _end(self) -> int:
        return self.step if self.horizon is None else max(self.horizon, self.step)

    def _posterior(self, of: Target) -> tuple[Posterior, Futures]:
        """The fit to all that was seen, under the likeliest future, and all of these; kept until a sample comes."""
        seen = self._train.total + self._val.total
        if seen < NEEDED:
            raise NotEnoughSamples(seen, NEEDED)
        key = self._key(of)
        if self._cache is None or self._cache[0] != key:
            job, futures = self._to_fit(of)
            posterior = fit(*job[:4], of_val=job.of_val, now=job.now)
            self._cache = (key, self._as_foretold(posterior), futures)
        return self._cache[1], self._cache[2]

    def _key(self, of: Target) -> tuple[object, ...]:
        """What a fit hangs on."""
        return (self._train.total + self._val.total, of, self.step, self._rates.last_step, self._tokens)

    def _to_fit(self, of: Target) -> tuple[Job, Futures]:
        """What there is to fit, and the futures that go with it."""
        futures = self._futures()
        now = float(max(self._train.last_step, self._val.last_step))
        bins = self._train.bins(), self._val.bins()
        return Job(*bins, futures[0][1], self._belief(), of == "val", now), futures

    def _as_foretold(self, posterior: Posterior) -> Posterior:
        """The fit with what a family's law says of the end beside what this run has shown."""
        self._kin = None
        if not (self.num_params and self.batch_tokens and self.horizon and self.horizon > posterior.now):
            return posterior
        told = self.law.foretold(
            num_params=self.num_params,
            num_tokens=self.batch_tokens * self.horizon,
            num_steps=self.horizon,
            unique_tokens=self.dataset_tokens or math.inf,
            schedule=self.schedule,
        )
        if told is None:
            return posterior
        val = told.of_val and self._val.total > 0
        posterior, self._kin = believed(posterior, self.horizon, told.loss, told.std, val=val)
        return posterior

    def _belief(self) -> Prior:
        """The prior of such a network, before its data repeat or after."""
        seen = self._tokens or (self.batch_tokens or math.inf) * self.step
        repeats = self.dataset_tokens is None or seen > self.dataset_tokens
        return self._sized if repeats else self._in_first_epoch

    def _futures(self) -> Futures:
        """The schedules that the run may follow, the likeliest first: the plan, or what the rates seen so far tell."""
        if self._planned is not None:
            return ((1.0, self._planned),)
        return futures_of(*self._rates.knots(), self.horizon, self.step, self._sized.annealing_shape)

    def _decide(self) -> None:
        """Decide anew, and say when next."""
        self._next_train, self._next_val = next_due(self._train.total), next_due(self._val.total)
        if not self._is_to_be_judged() or self._skims:
            return
        if self._put_off is None:
            self.verdict = self._judged(self.verdict.to_stop_for, self.verdict.forecast)
        else:
            self._put_off.append(self._twin())
            nothing = not_enough(self.step, NEEDED, self.horizon, SOON)
            self.verdict = self._judged(None, None) if self._blew_up else nothing

    @property
    def _blew_up(self) -> bool:
        """Whether the run has diverged, where that is judged."""
        return self._divergence is not None and self._alarm.diverged

    def _is_to_be_judged(self) -> bool:
        """Whether a verdict can be given, once one is due; arms the alarm."""
        if self._blew_up:
            return True
        samples = self._train.total + self._val.total
        if samples < NEEDED:
            return False
        self._arm(lenient=is_early(self.step, self.horizon, samples))  # a warm-up may well rise first
        # The first steps of a long run carry no forecast that anyone should act on.
        return self.horizon is None or self.step >= SOON * self.horizon

    def _arm(self, *, lenient: bool) -> None:
        watched, may_rise = (self._train, False) if self._train.total else (self._val, True)
        self._alarm.arm_above(watched.bins(), may_rise=may_rise, lenient=lenient)

    def _judged(self, standing: Reason | Untold | None, before: Forecast | None) -> Verdict:
        """The verdict, given the reason that the run was last told to stop for, and the forecast that it then had."""
        if self._divergence is not None and self._blew_up:
            return said(self._divergence.judge(self._alarm), self.step, before)
        view = self._view(standing)
        findings = [found for decision in self.decisions if (found := decision.decide(view)) is not None]
        verdict = judged(view, findings)
        if "trade" in view.__dict__:  # it was asked for; until the next validation nothing can change it much
            self._trade = (view.trade,)
        return verdict

    def _put_off_all(self, samples: Iterable[object]) -> list[Watcher]:
        """Draw all samples, which feed this watcher, and give no verdict; gives what each would be given on."""
        due: list[Watcher] = []
        self._put_off = due
        for _ in samples:
            pass
        self._put_off = None
        return due

    def _twin(self) -> Watcher:
        """A watcher that stands where this one does, and goes its own way."""
        twin = copy.copy(self)
        for name in _KEPT:
            part = getattr(self, f"_{name}")
            fresh = copy.copy(part)
            fresh.load_state_dict(part.state_dict())
            setattr(twin, f"_{name}", fresh)
        twin._offered, twin._put_off = list(self._offered), None
        return twin

    def _view(self, standing: Reason | Untold | None = None) -> View:
        of = self._target(None)
        posterior, futures = self._posterior(of)
        batch = self.batch_tokens if self._tokens is None else self._tokens / max(self.step, 1)
        train, val = self._train.bins(), self._val.bins()
        law = Kaplan() if self._kin is not None and self._kin.is_left_out else self.law
        if self._critical is not None:
            law = Measured.of(law, self._critical, max(float((val if of == "val" else train).mean[-1]), _LEAST_LOSS))
        return View(
            step=self.step,
            horizon=self.horizon,
            of=of,
            posterior=posterior,
            futures=futures,
            train=train,
            val=val,
            best_val=self._best_val,
            alarm=self._alarm,
            num_params=self.num_params,
            batch_tokens=batch,
            law=law,
            recent=self._validations.recent(),
            dataset_tokens=self.dataset_tokens,
            seconds=self._pace.seconds,
            standing=standing,
            held=self._trade,
            kin=self._kin,
        )


DEFAULT_DECISIONS: tuple[Decision, ...] = (Divergence(), Overfitting(), ComputeEfficiency(), Plateau())


def fit_together(watchers: Sequence[Watcher]) -> None:
    """Fit many watchers at once, for a small part of what each alone would take; every one keeps its posterior.

    Args:
        watchers: Each has seen enough for a fit.
    """
    targets = [watcher._target(None) for watcher in watchers]
    todo = [watcher._to_fit(of) for watcher, of in zip(watchers, targets, strict=True)]
    posteriors = fit_many([job for job, _ in todo])
    for watcher, of, posterior, (_, futures) in zip(watchers, targets, posteriors, todo, strict=True):
        watcher._cache = (watcher._key(of), watcher._as_foretold(posterior), futures)


def next_due(samples: int) -> int:
    """Samples of a series at which the next verdict is due."""
    return max(samples + 1, math.ceil(samples * REFIT_GROWTH))


def _whole_cooldown(name: str, steps: Any) -> int | None:
    """The steps of a cooldown; ``None`` where it is to be chosen."""
    if steps is None:
        return None
    length = number(steps)
    if not (1.0 <= length < MOST_STEPS and length.is_integer()):
        raise ValueError(
            f"`{name}` must be at least 1 step: got {steps!r:.40}. Pass a whole number, or None to have it chosen."
        )
    return int(length)


def _known(value: object) -> Any:
    """A number of a state, or ``None``."""
    if value is not None and not (isinstance(value, int | float) and abs(number(value)) < math.inf):
        raise ValueError(f"{value!r:.40} for a number")
    return value
