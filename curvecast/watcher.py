"""The one staircase: samples in, verdicts out; live runs and old logs walk up the same steps."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from curvecast._leap import Losses, split, stays_low
from curvecast.curve import Bins, LearningRates, Sample, Series
from curvecast.decisions import ComputeEfficiency, Divergence, Overfitting, Plateau
from curvecast.decisions.alarm import HUGE
from curvecast.decisions.base import Decision, Finding, Reason, Verdict, View, is_early
from curvecast.decisions.choices import Choice, Pace
from curvecast.decisions.compute_efficiency import resized
from curvecast.decisions.details import Details
from curvecast.decisions.validations import Validations
from curvecast.fit.basis import Timeline
from curvecast.fit.posterior import Posterior, fit
from curvecast.fit.prior import Prior
from curvecast.forecast import Forecast, Futures, NotEnoughSamples, Target, over
from curvecast.laws.base import FamilyLaw
from curvecast.laws.frontier import Way
from curvecast.laws.kaplan import Kaplan
from curvecast.schedule import Schedule
from curvecast.state import SCHEMA, dump_verdict, load_verdict

_MOST_STEPS = 2**53  # beyond it a float no longer counts
NEEDED = 12  # samples before the first fit: fewer cannot tell a law from a line
REFIT_GROWTH = 1.04  # a refit is due after 4 % more samples: on a log clock, evenly spaced
_ALARM_NOISES = 8.0  # the alarm hangs this many standard deviations of one sample above the level,
_SOON = 0.02  # share of the plan before which there is no verdict
_GROWTH_IN_FIRST_EPOCH = 0.999
_FIRST_BEST, _BEST_STEPS, _BEST_DRAWS = 0.02, 120, 400  # where the best step is looked for, and how finely
_ALARM_SHARE = 0.1  # and at least this share of it


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
        law: Law of the family, for the compute verdict; ``None`` for Kaplan's.
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
        for name, value, kind in (("schedule", schedule, Schedule), ("prior", prior, Prior), ("law", law, FamilyLaw)):
            if not isinstance(value, kind | None):
                raise TypeError(f"`{name}` must be a curvecast.{kind.__name__} or None: got {value!r}.")
        if horizon is None and schedule is not None:
            horizon = schedule.horizon
        planned = _positive("horizon", horizon, "the planned optimizer steps")
        if planned is not None and planned != int(planned):
            raise ValueError(f"`horizon` must be a whole number of steps: got {horizon}. Pass Trainer.max_steps, say.")
        self.horizon = None if planned is None else int(planned)
        self.schedule = schedule
        self.num_params = _positive("num_params", num_params, "the non-embedding parameters")
        self.batch_tokens = _positive("batch_tokens", batch_tokens, "the tokens of one optimizer step")
        self.dataset_tokens = _positive("dataset_tokens", dataset_tokens, "the unique tokens of the data")
        if self.dataset_tokens and self.batch_tokens and self.dataset_tokens < self.batch_tokens:
            raise ValueError(
                f"`dataset_tokens` must be at least `batch_tokens`: got {self.dataset_tokens:.3g} and "
                f"{self.batch_tokens:.3g}. Pass the unique tokens of the whole data set."
            )
        self.prior = prior or Prior()
        self._sized = self.prior.for_size(self.num_params)
        self.law = law or Kaplan()
        if hasattr(decisions, "decide"):
            raise TypeError(f"`decisions` must be a list: got {decisions!r} alone. Pass it in brackets.")
        self.decisions = DEFAULT_DECISIONS if decisions is None else tuple(decisions)
        if strange := [each for each in self.decisions if isinstance(each, type) or not hasattr(each, "decide")]:
            raise TypeError(
                f"`decisions` must each be an object with a `decide` method: got {strange}. Pass e.g. [Plateau()]."
            )
        self._divergence = next((d for d in self.decisions if isinstance(d, Divergence)), None)
        self._planned = None if schedule is None else Timeline(schedule, self._sized.annealing_shape)
        self._train, self._val = Series(), Series()
        self._rates = LearningRates()
        self._alarm = (self._divergence or Divergence()).alarm()
        self._val_name: str | None = None
        self._best_val: tuple[int, float] | None = None
        self._validations = Validations()
        self._tokens: float | None = None
        self._pace = Pace()
        self._next_train, self._next_val = 1, 1
        self._offered = [0, 0]  # last step at which a train and a validation loss came, taken in or held back
        self.step = 0
        self.verdict = self._not_enough()
        self._cache: tuple[tuple[object, ...], Posterior, Futures] | None = None
        self._owes = False  # while it catches up: whether a verdict that falls due is put off
        self._is_sure = True  # whether a verdict that was put off can have no part in those after it

    def update(
        self,
        step: int,
        train_loss: float | None = None,
        val_loss: float | Mapping[str, float] | None = None,
        lr: float | None = None,
        tokens: float | None = None,
        seconds: float | None = None,
    ) -> Verdict:
        """Take in what was measured at a step, and give the verdict that stands.

        Never raises on bad data: losses that are not finite feed the divergence alarm; steps that repeat or
        go back, and a step below 1, are left out. The verdict is decided anew after every 4 % more samples,
        and at once when the run diverges.

        Args:
            step: Completed optimizer steps, from 1.
            train_loss: Train loss [any unit, the same throughout].
            val_loss: Validation loss, or ``{name: loss}``; the first name ever seen is the one that decides.
            lr: Learning rate of that step [any unit].
            tokens: Tokens seen so far, where the batch varies [tokens].
            seconds: Time on the run's clock, from any zero, for the time that choices take [s].

        Returns:
            The standing verdict; ``verdict.step`` says when it was decided.
        """
        if type(step) is not int:
            step = _number(step)  # type: ignore[assignment]
        if not 1 <= step < _MOST_STEPS:
            return self.verdict
        step = int(step)
        if step > self.step:
            self.step = step
        if lr is not None and self.schedule is None and 0.0 <= (rate := _number(lr)) < HUGE:
            self._rates.add(step, rate)
        if tokens is not None and step == self.step and 0.0 < (seen := _number(tokens)) < HUGE:
            self._tokens = seen
        if seconds is not None and step == self.step:
            self._pace.add(step, _number(seconds))
        due = False
        if train_loss is not None and step > self._offered[0]:
            self._offered[0] = step
            train_loss = _number(train_loss)
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
        return self.verdict

    def catch_up(self, samples: Iterable[Sample]) -> Verdict:
        """Take in what was measured before: as ``update`` of one after another, and some twenty times quicker.

        A watcher stands where the same updates would have left it. Of the verdicts that fall due on the way only the
        last is decided, for the others would be forgotten; all of them are where one may bear on the last: where a
        sample was held back, or a reason to stop is so likely that it stands or falls by what was said before.

        Args:
            samples: in order.

        Example:
            >>> watcher = Watcher(horizon=2000)
            >>> samples = [Sample(step, train_loss=2.0 + 3.0 * step**-0.5) for step in range(1, 501)]
            >>> verdict = watcher.catch_up(samples)
            >>> watcher.step, verdict.reason.value
            (500, 'on_track')
        """
        rows = list(samples)
        if self.step:  # it has a past of its own
            return self._take(rows)
        dues, expected = _dues(rows)
        if not dues:
            return self._take(rows)
        fresh = self.state_dict()
        for takes in (self._leaps, self._skims):
            if takes(rows, dues) and self._train.total + self._val.total == expected:
                return self.verdict
            self._load(fresh)
        return self._take(rows)

    def _leaps(self, samples: Sequence[Sample], dues: Sequence[int]) -> bool:
        """Take samples in many at once; whether nothing was met that the verdicts before the last bear on.

        An alarm hung as low as it may be is soon worked out; that no loss rises above it is all that is asked of it.
        """
        last = dues[-1]
        head = samples[: last + 1]
        found = split(head)
        if found is None:
            return False
        train, val = found
        due = np.array(dues[:-1], np.int64)
        seen = train.before(due) + val.before(due)
        starts = self._train.fill(train.steps, train.values), self._val.fill(val.steps, val.values)
        watched, series, first = (train, self._train, starts[0]) if len(train) else (val, self._val, starts[1])

        def height(k: int, level: float) -> float:
            lenient = is_early(samples[dues[k]].step, self.horizon, int(seen[k]))
            return max(self._share(lenient=lenient) * abs(level), 1e-12)

        def above_noise(bins: int) -> float:
            return _ALARM_NOISES * math.sqrt(series.noise_of(bins))

        if len(due) and not stays_low(watched, first, watched.before(due), height, above_noise):
            return False
        self._note_validations(train, val)
        self._alarm.step = int(watched.steps[-1])
        self._offered = [self._train.last_step, self._val.last_step]
        for sample in head:
            if sample.lr is not None and self.schedule is None and 0.0 <= (rate := _number(sample.lr)) < HUGE:
                self._rates.add(sample.step, rate)
            if sample.tokens is not None and 0.0 < (tokens := _number(sample.tokens)) < HUGE:
                self._tokens = tokens
        self.step = head[-1].step
        self._is_sure = True
        self._decide()
        return self._is_sure and self._skims(samples[last + 1 :], ())

    def _note_validations(self, train: Losses, val: Losses) -> None:
        """Each validation loss with the train losses that led to it, and the lowest."""
        stretch = np.searchsorted(val.at, train.at, side="left")  # a validation comes after its own sample's train loss
        sums = np.bincount(stretch, train.values, minlength=len(val) + 1).tolist()
        counts = np.bincount(stretch, minlength=len(val) + 1).tolist()
        for total, count, loss in zip(sums, counts, val.values.tolist(), strict=False):
            self._validations.trained_on(total, count)
            self._validations.add(loss)
        self._validations.trained_on(sums[-1], counts[-1])
        if len(val):
            best = int(np.argmin(val.values))
            self._best_val = int(val.steps[best]), float(val.values[best])

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
        self._owes = True
        for sample in samples:
            self.update(sample.step, sample.train_loss, sample.val_loss, sample.lr, sample.tokens)
        self._owes = False

    def _skims(self, samples: Sequence[Sample], dues: Sequence[int]) -> bool:
        """Take samples in, deciding at the last of some alone; whether no earlier verdict bears on it."""
        self._is_sure = True
        for at, sample in enumerate(samples):
            self._owes = not dues or at != dues[-1]
            self.update(sample.step, sample.train_loss, sample.val_loss, sample.lr, sample.tokens)
            if not self._is_sure:
                break
        self._owes = False
        return self._is_sure

    def _take(self, samples: Sequence[Sample]) -> Verdict:
        for sample in samples:
            self.update(sample.step, sample.train_loss, sample.val_loss, sample.lr, sample.tokens)
        return self.verdict

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
        loss = _number(loss)
        if self._train.total == 0 and not self._alarm.admits(step, loss):  # nothing else to raise the alarm
            return self._has_just_diverged()
        if not abs(loss) < HUGE:
            return False
        self._val.add(step, loss)
        self._validations.add(loss)
        if self._best_val is None or loss < self._best_val[1]:
            self._best_val = (step, loss)
        return self._val.total >= self._next_val and self._train.total + self._val.total >= NEEDED

    def _has_just_diverged(self) -> bool:
        is_judged = self._divergence is not None and self._alarm.diverged
        return is_judged and self.verdict.reason is not Reason.DIVERGED

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
        if not isinstance(schedule, Schedule | None):
            raise TypeError(f"`schedule` must be a curvecast.Schedule or None: got {schedule!r}.")
        target = self._target(of)
        posterior, futures = self._posterior(target)
        if schedule is not None:
            futures = ((1.0, posterior.timeline.under(schedule, posterior.now)),)
        return over(futures, posterior, self._end() if at is None else at, of=target)

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
        if cooldown is not None and not 1.0 <= _number(cooldown) < _MOST_STEPS:
            raise ValueError(f"`cooldown` must be at least 1 step: got {cooldown}. Pass None to have it chosen.")
        return self._view().offered(cooldown)

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
            >>> watcher.resized().size > 1, watcher.resized(1e6).loss == watcher.forecast().median
            (True, True)
        """
        if self.num_params is None:
            raise ValueError("`num_params` must be known for another size: got None. Pass it to the Watcher.")
        if num_params is not None:
            _positive("num_params", num_params, "the non-embedding parameters")
        return resized(self._view(), num_params)

    def best_step(self, level: float = 0.9) -> tuple[float, float, float]:
        """The step of the lowest validation loss, past or to come: median, and the interval's ends [steps].

        Args:
            level: Probability that the step lies inside.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if no validation loss was seen.

        Example:
            >>> watcher = Watcher(horizon=1000)
            >>> for step in range(20, 801, 20):
            ...     verdict = watcher.update(step, val_loss=2.0 + 3.0 * step**-0.5 + 1e-6 * max(step - 300, 0) ** 2)
            >>> median, lower, upper = watcher.best_step()
            >>> 200 < lower <= median <= upper < 600
            True
        """
        self._target("val")
        view = self._view()
        steps = np.geomspace(max(_FIRST_BEST * view.end, 1.0), view.end, _BEST_STEPS)
        best = steps[np.argmin(view.draw(steps, _BEST_DRAWS, val=True), axis=1)]
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
            "step": self.step,
            "train": self._train.state_dict(),
            "val": self._val.state_dict(),
            "val_name": self._val_name,
            "best_val": None if self._best_val is None else list(self._best_val),
            "validations": self._validations.state_dict(),
            "rates": self._rates.state_dict(),
            "alarm": self._alarm.state_dict(),
            "tokens": self._tokens,
            "pace": self._pace.state_dict(),
            "next": [self._next_train, self._next_val],
            "offered": list(self._offered),
            "verdict": dump_verdict(self.verdict),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` was taken; the settings stay this watcher's own.

        Raises:
            ValueError: if the state was written by a version with another schema.
        """
        if state.get("schema") != SCHEMA:
            raise ValueError(
                f"`state` must have schema {SCHEMA}: got {state.get('schema')!r}. "
                "Load it with the version of curvecast that wrote it, or replay the run's log."
            )
        before = self.state_dict()
        try:
            self._load(state)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self._load(before)
            raise ValueError(f"`state` must come from `state_dict`: got one that lacks or garbles {error}.") from error

    def _load(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self._train.load_state_dict(state["train"])
        self._val.load_state_dict(state["val"])
        self._val_name = state["val_name"]
        self._best_val = None if state["best_val"] is None else (state["best_val"][0], state["best_val"][1])
        self._validations.load_state_dict(state["validations"])
        self._rates.load_state_dict(state["rates"])
        self._alarm.load_state_dict(state["alarm"])
        self._tokens = state["tokens"]
        self._pace.load_state_dict(state["pace"])
        self._next_train, self._next_val = state["next"]
        self._offered = list(state["offered"])
        self.verdict = load_verdict(state["verdict"])
        self._cache = None

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
        key = (seen, of, self.step, self._rates.last_step, self._tokens)
        if self._cache is None or self._cache[0] != key:
            futures = self._futures()
            bins = self._train.bins(), self._val.bins()
            now = float(max(self._train.last_step, self._val.last_step))
            posterior = fit(*bins, futures[0][1], self._belief(), of_val=of == "val", now=now)
            self._cache = (key, posterior, futures)
        return self._cache[1], self._cache[2]

    def _belief(self) -> Prior:
        """The prior of such a network; its validation loss has no reason to turn up before data repeats.

        Source: Muennighoff et al. 2023.
        """
        seen = self._tokens or (self.batch_tokens or math.inf) * self.step
        if self.dataset_tokens is None or seen > self.dataset_tokens:
            return self._sized
        return replace(self._sized, growth=max(self._sized.growth, _GROWTH_IN_FIRST_EPOCH))

    def _futures(self) -> Futures:
        """The schedules that the run may follow, the likeliest first: the plan, or what the rates seen so far tell."""
        if self._planned is not None:
            return ((1.0, self._planned),)
        shape = self._sized.annealing_shape
        steps, rates = self._rates.knots()
        if max(rates, default=0.0) <= 0.0:  # no rate was told, or it was zero throughout: the clock counts steps
            return ((1.0, Timeline(None, shape)),)
        if self.horizon is None or self.horizon <= steps[-1]:
            return ((1.0, Timeline(Schedule.from_log(steps, rates), shape, lasting=False)),)
        first, *others = Schedule.infer(rates, self.horizon, steps=steps)
        likeliest = Timeline(first.schedule, shape, lasting=False)
        rest = ((one.probability, likeliest.under(one.schedule, float(self.step))) for one in others)
        return ((first.probability, likeliest), *rest)

    def _decide(self) -> None:
        """Decide anew, and say when next."""
        self._next_train, self._next_val = _next_due(self._train.total), _next_due(self._val.total)
        if self._owes:
            self._put_off()
            return
        if self._divergence is not None and self._alarm.diverged:
            held = self.verdict.forecast
            self.verdict = self._say(self._divergence.judge(self._alarm), held)
            return
        if self._train.total + self._val.total < NEEDED:
            return
        view = self._view()
        self._arm(lenient=view.is_early)  # a warm-up, or a fine-tuned start, may well rise first
        if self.horizon is not None and self.step < _SOON * self.horizon:
            return  # the first steps of a long run carry no forecast that anyone should act on
        findings = [found for decision in self.decisions if (found := decision.decide(view)) is not None]
        self._is_sure = self._is_sure and not view.is_close
        firing = next((found for found in findings if found.fires), None)
        self.verdict = self._say(firing or _on_track(view, findings), view.outlook)

    def _put_off(self) -> None:
        """Of a decision do what the samples after it need: hang the alarm."""
        seen = self._train.total + self._val.total
        self._is_sure = not self._alarm.diverged
        if seen >= NEEDED:
            self._arm(lenient=is_early(self.step, self.horizon, seen))

    def _view(self) -> View:
        of = self._target(None)
        posterior, futures = self._posterior(of)
        batch = self.batch_tokens if self._tokens is None else self._tokens / max(self.step, 1)
        return View(
            step=self.step,
            horizon=self.horizon,
            of=of,
            posterior=posterior,
            futures=futures,
            train=self._train.bins(),
            val=self._val.bins(),
            best_val=self._best_val,
            alarm=self._alarm,
            num_params=self.num_params,
            batch_tokens=batch,
            law=self.law,
            recent=self._validations.recent(),
            dataset_tokens=self.dataset_tokens,
            seconds=self._pace.seconds,
            standing=self.verdict.reason if self.verdict.should_stop else None,
        )

    def _arm(self, *, lenient: bool) -> None:
        """Hang the alarm above the best level that the series has reached for good."""
        bins = (self._train if self._train.total else self._val).bins()
        level = float(np.min(bins.mean[len(bins) // 2 :]))
        noise = 0.0 if math.isnan(bins.noise) else math.sqrt(bins.noise)
        spread = float(np.ptp(bins.mean))
        if spread > abs(level):  # else the level is the higher of both anyway, and quantiles take time
            spread = float(np.ptp(np.quantile(bins.mean, [0.1, 0.9])))
        height = max(_ALARM_NOISES * noise, self._share(lenient=lenient) * max(abs(level), spread), 1e-12)
        self._alarm.arm(level=level, height=height, lenient=lenient)

    def _share(self, *, lenient: bool) -> float:
        """Share of the level that the alarm hangs above it, at least."""
        if lenient:
            return 1.0
        return _ALARM_SHARE if self._train.total else 0.5  # a validation loss alone may rise by overfitting

    def _say(self, finding: Finding, ahead: Forecast | None) -> Verdict:
        return Verdict(
            should_stop=finding.fires,
            reason=finding.reason,
            message=finding.message,
            probability=finding.probability,
            step=self.step,
            forecast=ahead,
            details=finding.details,
            offer=finding.offer,
        )

    def _not_enough(self) -> Verdict:
        soon = "" if self.horizon is None else f", and {_SOON:.0%} of the {self.horizon} planned steps"
        message = f"A verdict needs at least {NEEDED} samples of the loss{soon}."
        return Verdict(False, Reason.NOT_ENOUGH_DATA, message, 1.0, self.step)


DEFAULT_DECISIONS: tuple[Decision, ...] = (Divergence(), Overfitting(), ComputeEfficiency(), Plateau())


def _on_track(view: View, findings: Sequence[Finding]) -> Finding:
    """Nothing speaks against going on; its probability is that of the likeliest reason's opposite."""
    worst = max((found.probability for found in findings), default=0.0)
    details = Details(*(found.details for found in findings))
    notes = "".join(f" {found.note[0].upper()}{found.note[1:]}" for found in findings if found.note)
    message = f"{view.where()}: on track, {view.of} loss at {view.end} forecast {view.outlook}.{notes}"
    return Finding(Reason.ON_TRACK, 1.0 - worst, False, message, details, view.offer)


def _dues(samples: Sequence[Sample]) -> tuple[list[int], int]:
    """At which of a new run's samples verdicts fall due, and the number of losses, if all of them are taken in."""
    train = val = 0
    next_train = next_val = 1
    found: list[int] = []
    for at, sample in enumerate(samples):
        is_due = False
        if sample.train_loss is not None:
            train += 1
            is_due = train >= next_train
        if sample.val_loss is not None:
            val += 1
            is_due = is_due or val >= next_val
        if is_due and train + val >= NEEDED:
            found.append(at)
            next_train, next_val = _next_due(train), _next_due(val)
    return found, train + val


def _next_due(total: int) -> int:
    """Samples at which the verdict after that of so many falls due."""
    return max(total + 1, math.ceil(total * REFIT_GROWTH))


def _positive(name: str, value: float | None, what: str) -> float | None:
    if value is not None and not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"`{name}` must be a number or None: got {value!r}. Pass {what}.")
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise ValueError(f"`{name}` must be positive: got {value}. Pass {what}, or None where unknown.")
    return value


def _number(value: Any) -> float:
    """A Python float of whatever a loop has at hand: a float, a numpy scalar, a tensor; NaN where it is no number."""
    if type(value) is float:
        return value
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan
