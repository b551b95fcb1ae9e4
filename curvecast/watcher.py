"""The one staircase: samples in, verdicts out; live runs and old logs walk up the same steps."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from curvecast._settings import at_least_a_batch, listed, number, of_kinds, positive, whole_horizon
from curvecast.curve import Bins, LearningRates, Series
from curvecast.decisions import ComputeEfficiency, Divergence, Overfitting, Plateau
from curvecast.decisions.alarm import HUGE
from curvecast.decisions.base import Decision, Reason, Verdict
from curvecast.decisions.choices import Choice, Pace
from curvecast.decisions.exchange import Trade
from curvecast.decisions.saying import judged, not_enough, said
from curvecast.decisions.validations import Validations
from curvecast.decisions.view import View
from curvecast.fit.basis import Timeline
from curvecast.fit.posterior import Posterior, fit
from curvecast.fit.prior import Prior
from curvecast.forecast import Forecast, Futures, NotEnoughSamples, Target, floor_of, futures_of, over
from curvecast.laws.base import FamilyLaw
from curvecast.laws.kaplan import Kaplan
from curvecast.schedule import Schedule
from curvecast.state import SCHEMA, check_schema, dump_trade, dump_verdict, load_trade, load_verdict

_KEPT = ("train", "val", "validations", "rates", "alarm", "pace")  # what keeps a state of its own
_MOST_STEPS = 2**53  # beyond it a float no longer counts
NEEDED = 12  # samples before the first fit: fewer cannot tell a law from a line
REFIT_GROWTH = 1.04  # a refit is due after 4 % more samples: on a log clock, evenly spaced
_JUMP, _USUAL = 100, 10_000  # times the steps done and planned, of at least so many: no run goes so far at once
_SOON = 0.02  # share of the plan before which there is no verdict


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
        of_kinds(("schedule", schedule, Schedule), ("prior", prior, Prior), ("law", law, FamilyLaw))
        if horizon is None and schedule is not None:
            horizon = schedule.horizon
        self.horizon = whole_horizon(horizon)
        self.schedule = schedule
        self.num_params = positive("num_params", num_params, "the non-embedding parameters")
        self.batch_tokens = positive("batch_tokens", batch_tokens, "the tokens of one optimizer step")
        self.dataset_tokens = positive("dataset_tokens", dataset_tokens, "the unique tokens of the data")
        at_least_a_batch(self.dataset_tokens, self.batch_tokens)
        self.prior = prior or Prior()
        self._sized = self.prior.for_size(self.num_params)
        self.law = law or Kaplan()
        self.decisions = DEFAULT_DECISIONS if decisions is None else listed(decisions)
        self._divergence = next((d for d in self.decisions if isinstance(d, Divergence)), None)
        self._planned = None if schedule is None else Timeline(schedule, self._sized.annealing_shape)
        self._train, self._val, self._rates = Series(), Series(), LearningRates()
        self._alarm = (self._divergence or Divergence()).alarm()
        self._val_name: str | None = None
        self._best_val: tuple[int, float] | None = None
        self._validations = Validations()
        self._tokens: float | None = None
        self._pace = Pace()
        self._trade: tuple[int, Trade | None] | None = None  # validations seen, and what they told
        self._next_train, self._next_val = 1, 1
        self._offered = [0, 0]  # last step at which a train and a validation loss came, taken in or held back
        self._reach = max(self.horizon or 0, _USUAL)
        self._jumped: int | None = None
        self.step = 0
        self.verdict = not_enough(0, NEEDED, self.horizon, _SOON)
        self._cache: tuple[tuple[object, ...], Posterior, Futures] | None = None

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

        Returns:
            The standing verdict; ``verdict.step`` says when it was decided.
        """
        if type(step) is not int:
            step = number(step)  # type: ignore[assignment]
        if not 1 <= step < _MOST_STEPS:
            return self.verdict
        step = int(step)
        if step > self.step:
            if step > _JUMP * (self.step + self._reach) and self._strays(step):
                return self.verdict
            self.step = step
        if lr is not None and self.schedule is None and 0.0 <= (rate := number(lr)) < HUGE:
            self._rates.add(step, rate)
        if tokens is not None and step == self.step and 0.0 < (seen := number(tokens)) < HUGE:
            self._tokens = seen
        if seconds is not None and step == self.step:
            self._pace.add(step, number(seconds))
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
        return self.verdict

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
        if cooldown is not None and not 1.0 <= number(cooldown) < _MOST_STEPS:
            raise ValueError(f"`cooldown` must be at least 1 step: got {cooldown}. Pass None to have it chosen.")
        return self._view().offered(cooldown)

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
            "next": [self._next_train, self._next_val],
            "offered": list(self._offered),
            "jumped": self._jumped,
            "trade": None if self._trade is None else [self._trade[0], dump_trade(self._trade[1])],
            "verdict": dump_verdict(self.verdict),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` was taken; the settings stay this watcher's own.

        Raises:
            ValueError: if the state was written by a version with another schema.
        """
        check_schema(state)
        before = self.state_dict()
        try:
            self._load(state)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self._load(before)
            raise ValueError(f"`state` must come from `state_dict`: got one that lacks or garbles {error}.") from error

    def _load(self, state: Mapping[str, Any]) -> None:
        for name in _KEPT:
            getattr(self, f"_{name}").load_state_dict(state[name])
        self.step, self._val_name, self._tokens = state["step"], state["val_name"], state["tokens"]
        self._best_val = None if state["best_val"] is None else (state["best_val"][0], state["best_val"][1])
        self._next_train, self._next_val = state["next"]
        self._offered = list(state["offered"])
        self._jumped = state["jumped"]
        self._trade = None if state["trade"] is None else (state["trade"][0], load_trade(state["trade"][1]))
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
        """The prior of such a network, before its data repeat or after."""
        seen = self._tokens or (self.batch_tokens or math.inf) * self.step
        repeats = self.dataset_tokens is None or seen > self.dataset_tokens
        return self._sized if repeats else self._sized.in_first_epoch()

    def _futures(self) -> Futures:
        """The schedules that the run may follow, the likeliest first: the plan, or what the rates seen so far tell."""
        if self._planned is not None:
            return ((1.0, self._planned),)
        return futures_of(*self._rates.knots(), self.horizon, self.step, self._sized.annealing_shape)

    def _decide(self) -> None:
        """Decide anew, and say when next."""
        self._next_train = max(self._train.total + 1, math.ceil(self._train.total * REFIT_GROWTH))
        self._next_val = max(self._val.total + 1, math.ceil(self._val.total * REFIT_GROWTH))
        if self._divergence is not None and self._alarm.diverged:
            self.verdict = said(self._divergence.judge(self._alarm), self.step, self.verdict.forecast)
            return
        if self._train.total + self._val.total < NEEDED:
            return
        view = self._view()
        watched, may_rise = (self._train, False) if self._train.total else (self._val, True)
        self._alarm.arm_above(watched.bins(), may_rise=may_rise, lenient=view.is_early)
        if self.horizon is not None and self.step < _SOON * self.horizon:
            return  # the first steps of a long run carry no forecast that anyone should act on
        findings = [found for decision in self.decisions if (found := decision.decide(view)) is not None]
        if "trade" in view.__dict__:  # it was asked for; until the next validation nothing can change it much
            self._trade = (self._val.total, view.trade)
        self.verdict = judged(view, findings)

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
            held=None if self._trade is None or self._trade[0] != self._val.total else (self._trade[1],),
        )


DEFAULT_DECISIONS: tuple[Decision, ...] = (Divergence(), Overfitting(), ComputeEfficiency(), Plateau())
