"""What a decision sees: a run at one moment, what it forecasts, and what can be done now."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from curvecast.curve import NO_BINS, Bins, FloatArray
from curvecast.decisions.base import Finding, Reason, Rest, TradeNeeded, Untold
from curvecast.decisions.choices import Choice, back_to, choices
from curvecast.decisions.details import Details, Once
from curvecast.decisions.exchange import Ahead, Trade, trade
from curvecast.decisions.moment import Moment
from curvecast.decisions.repeats import TurnAhead, by_heart, turn_ahead, turning
from curvecast.decisions.rise import Rise, rise
from curvecast.fit.apart import Apart, apart
from curvecast.fit.basis import power_term
from curvecast.fit.decades import UNIT, ByLogs, by_logs
from curvecast.fit.gap import lead_of_train, with_noise_of_few, with_noise_of_few_trains
from curvecast.fit.kinship import Kin
from curvecast.fit.posterior import Posterior
from curvecast.fit.tables import A, B
from curvecast.forecast import Forecast, Futures, draw, over
from curvecast.forecast.exponential import exponential, mixed
from curvecast.forecast.futures import floor_of
from curvecast.forecast.hindsight import come, going_on, missed
from curvecast.forecast.logged import as_logged
from curvecast.forecast.taught import lessons_for
from curvecast.laws.kaplan_overfitting import overfitting
from curvecast.schedule import Schedule

LEAST_VALIDATIONS = 6  # before so many were seen, the best is not said to lie behind
_DRAWS, _POINTS = 128, 24
_STALE = 0.9  # a train loss that ended before this share of the steps done says nothing about now
_TRAINS = 6  # so many bins of train loss tell how it fell
_FIRST_EPOCH_ODDS = 0.02  # factor on the odds before data repeats: little is learnt by heart (Muennighoff et al. 2023)
_COOLDOWN = 0.1  # length of a usual cooldown, as a share of the steps done
_NOTHING = 1e-5  # any two runs differ by more than this share of the loss
_PLANNED = 0.1  # share of a full decay's gain: a plan that brings less has none

Plans = list[tuple[float, FloatArray, FloatArray]]  # probability, clock and gain, now and at steps ahead


@dataclass(frozen=True, eq=False)  # no slots: what is worked out is kept
class View(Moment):
    """What a decision sees: a run at one moment, and what follows from it.

    What is costly is worked out once, when it is first asked for. It is made of what a ``Moment`` is made of.
    """

    @cached_property
    def outlook(self) -> Forecast:
        """The loss that decides, at the end of the plan."""
        return self.forecast(self.end)

    def forecast(self, at: ArrayLike, schedule: Schedule | None = None) -> Forecast:
        """The loss that decides, at a step or several, as the log will show it.

        Where validation has turned: the law's with the probability that it may still fall below its best, and else
        that of a rise that goes on (``decisions.rise``). What finished runs have taught stands beside both: they may
        have risen too.

        Where it has not, what finished runs have taught as far as they are believed, and else what the run tells by
        itself: its law; a law of validation's own, where it may have parted from train; a law of the loss's logarithm,
        where it has fallen by decades; and of a small network, or one of unknown size, a part that is moved, for a run
        that was lately forecast too high or too low may go on so (``forecast.hindsight``). Where data are seen again
        and again, a part of all this turns at a step ahead (``decisions.repeats``).

        Args:
            at: A step or ``(m,)`` steps, >= 1 [steps].
            schedule: Another future.
        """
        if not self.behind or (upward := self.rise) is None:
            return self._unturned(at, schedule)
        step = np.atleast_1d(np.asarray(at, dtype=np.float64))
        ahead = self.by_law(at, schedule, self.behind * (step >= self.step))
        weight = upward.weight[:, None] * (1.0 - np.add.reduce(ahead.weight))
        risen = as_logged(
            Forecast(ahead.step, self.of, weight, *upward.moments(step), self.floor), self._decides, self.floor
        )
        return mixed((1.0, ahead), (1.0, risen)).above(self.floor)

    def _unturned(self, at: ArrayLike, schedule: Schedule | None) -> Forecast:
        """The same of a loss that has not turned: by finished runs and, as far as they are not believed, by itself."""
        if lessons_for(self.posterior, self.of) is not None:
            told, alone = self._by_lessons(at, schedule), self._without_lessons._unturned(at, schedule)
            return mixed((1.0, told), (1.0 - np.add.reduce(told.weight), alone)).above(self.floor)
        ahead = self._by_itself(at, schedule)
        if (turn := self.turn_ahead) is None:
            return ahead
        return turning(ahead, self._by_itself(turn.onset, schedule), turn).above(self.floor)

    def _by_lessons(self, at: ArrayLike, schedule: Schedule | None = None) -> Forecast:
        """What finished runs have taught alone, its weights summing to the probability that it holds."""
        futures = self._futures_under(schedule)
        return over(futures, self.posterior, at, of=self.of, floor=self.floor, logged=self._decides, lessons_only=True)

    @cached_property
    def teachers(self) -> tuple[int, float]:
        """How many finished runs of about this size tell of the loss that decides, and how far they are believed."""
        lessons = lessons_for(self.posterior, self.of)
        if lessons is None:
            return 0, 0.0
        return lessons.runs, float(np.add.reduce(self._by_lessons(self.end).weight, axis=None))

    def _by_itself(self, at: ArrayLike, schedule: Schedule | None) -> Forecast:
        """A forecast by what the run has shown: its law, and what may be another law or a miss that goes on."""
        ahead = self.by_law(at, schedule)
        if self.apart is not None:
            ahead = self._or_alone(self.apart, ahead, schedule)
        if self.logs is not None:
            ahead = self._or_by_logs(self.logs, ahead, schedule)
        if self.past is None or self.missed is None:
            return ahead
        return going_on(ahead, self.missed, self.past.goes_on, self.posterior.now).above(self.floor)

    @cached_property
    def _without_lessons(self) -> View:
        """The same run as if no finished run had been learnt from; kept, as what it works out is."""
        return replace(self, posterior=replace(self.posterior, prior=self.posterior.prior.untaught))

    @cached_property
    def turn_ahead(self) -> TurnAhead | None:
        """The turn of validation yet to come, where data repeat; finished runs know of it themselves."""
        if self.epoch is None or not self.of_val or self.floor < 0.0 or not self.steps_left:
            return None
        if self.kin is not None or lessons_for(self.posterior, self.of) is not None:
            return None
        return turn_ahead(self.step, self.end, self.epoch, self._by_heart())

    def _by_heart(self) -> float:
        """Probability that the data are learnt by heart, if they are seen often enough."""
        tokens, penalty = self.dataset_tokens, None
        if tokens is None and self.epoch is not None and self.batch_tokens is not None:
            tokens = self.epoch * self.batch_tokens
        if self.num_params is not None and tokens is not None:
            penalty = float(overfitting(self.num_params, tokens))
        return by_heart(lead_of_train(self.train, self.val), penalty)

    @cached_property
    def _decides(self) -> Bins:
        """The series that decides, with the noise of one of its losses."""
        return with_noise_of_few(self.val, self.train) if self.of_val else with_noise_of_few_trains(self.train)

    def by_law(
        self, at: ArrayLike, schedule: Schedule | None = None, turned: ArrayLike = 0.0, *, is_logged: bool = True
    ) -> Forecast:
        """The same by law (validation turns up as its growth term says) and by what runs have taught, without a rise.

        Args:
            at: A step or ``(m,)`` steps, >= 1 [steps].
            schedule: Another future.
            turned: What is left to a rise (``forecast.forecast``).
            is_logged: Whether the noise of what will be logged counts.
        """
        futures, logged = self._futures_under(schedule), self._decides if is_logged else NO_BINS
        return over(
            futures,
            self.posterior,
            at,
            of=self.of,
            floor=self.floor,
            turned=turned,
            logged=logged,
            may_turn=self.turn_ahead is None,  # else it is foretold, and would count twice
        )

    def _futures_under(self, schedule: Schedule | None) -> Futures:
        """What may come, or another future."""
        if schedule is None:
            return self.futures
        return ((1.0, self.posterior.timeline.under(schedule, self.posterior.now)),)

    def _or_alone(self, own: Apart, ahead: Forecast, schedule: Schedule | None) -> Forecast:
        """A forecast by the law for both losses beside that of validation's own, as probable as each is."""
        alone = over(
            self._futures_under(schedule),
            own.posterior,
            ahead.step,
            of=self.of,
            floor=self.floor,
            logged=self._decides,
            may_turn=self.turn_ahead is None,
        )
        return mixed((1.0 - own.probability, ahead), (own.probability, alone)).above(self.floor)

    def _or_by_logs(self, logs: ByLogs, ahead: Forecast, schedule: Schedule | None) -> Forecast:
        """A forecast beside that of the law of the loss's logarithm, as probable as each is."""
        other = over(self._futures_under(schedule), logs.posterior, ahead.step, of=self.of)
        other = as_logged(
            exponential(other, UNIT, logs.level, logs.highest).above(self.floor), self._decides, self.floor
        )
        return mixed((1.0 - logs.probability, ahead), (logs.probability, other)).above(self.floor)

    @cached_property
    def _goes_by_its_law(self) -> bool:
        """Whether nothing but the run's own law tells of it."""
        return goes_by_its_law(self.posterior, self.kin)

    @cached_property
    def apart(self) -> Apart | None:
        """Validation by a law of its own, where it has not turned but may have parted from train."""
        if not self.of_val or not self._goes_by_its_law:
            return None
        return apart(self.train, self.val, self.posterior)

    @cached_property
    def missed(self) -> float | None:
        """How far off the newest losses were foretold at the last milestone, in standard deviations.

        ``None`` of losses that were negative: they are measured by their spread, and back then they may not have been.
        """
        if self.past is None or self.floor < 0.0 or not self._goes_by_its_law:
            return None
        past, timeline, came = self.past, self.posterior.timeline, come(self.deciding)
        return past.once(
            (timeline, len(came), float(came.count[-1])),
            lambda: missed(past.posterior(), timeline, came, past.seen, of=self.of, floor=self.floor),
        )

    @cached_property
    def logs(self) -> ByLogs | None:
        """The law of the loss's logarithm, where it has fallen by decades."""
        if not self._goes_by_its_law:
            return None
        post = self.posterior
        return by_logs(self.deciding, post.timeline, post.prior, of_val=self.of_val, now=post.now)

    @cached_property
    def trade(self) -> Trade | None:
        """What the rate of exchange of both losses says; ``None`` where there is no train loss to speak of.

        Raises:
            TradeNeeded: where it was asked before, and what it said is not known yet.
        """
        if isinstance(self.held, Untold):
            raise TradeNeeded
        if self.held is not None:
            return self.held[0]
        train, val = self.train, self.val
        if not len(val) or len(train) < _TRAINS or train.step[-1] < _STALE * val.step[-1]:
            return None
        return trade(val, train.settled(), self._train_fall(), newest=float(self.recent.val[-1]))

    @cached_property
    def decayed(self) -> FloatArray | None:
        """``(K,)`` share of a full decay's gain that a decay brings; ``None`` where no learning rate is known.

        That of the plan by its end; of a cooldown over a tenth of the steps done, from here, where none is planned.
        """
        post, step = self.posterior, self.step
        if (schedule := post.timeline.schedule) is None:
            return None
        _, _, gain = self._plans[0]  # the likeliest is the posterior's own
        gain = gain[:, -1]
        if float(gain.max()) < _PLANNED:
            length = max(round(_COOLDOWN * step), 1)
            future = post.timeline.under(schedule.cooldown(start=step, steps=length), post.now)
            gain = future.gain(np.array([float(step + length)]))[:, 0]
        return np.asarray(gain.take(post.rate))

    def _train_fall(self) -> Ahead:
        """What the posterior expects of the train loss half-way to the end and there, over all futures."""
        post = self.posterior
        # Losses that leap may give either the wrong sign: a rise of train would be traded for a fall of validation.
        by_annealing, by_power = (np.maximum(post.theta[k], 0.0) * post.weight for k in (B, A))
        changes = (
            self.train_ahead if self._may_have_turned else self._changes(self._under_plans(self._half_way_and_end))
        )
        decay = np.zeros(2)
        for probability, annealed, _ in changes:
            decay += probability * (annealed @ by_annealing)
        fall = decay.copy()
        for probability, _, power in changes:
            fall += probability * (power @ by_power)
        # Nor does a train loss fall below its floor, as it would where validation leapt by many times of it.
        lowest = floor_of(self.train) - float(self.train.mean[-1])
        return Ahead(
            self._half_way_and_end, np.maximum(fall * post.scale, lowest), np.maximum(decay * post.scale, lowest)
        )

    def _drawn_behind(self, min_rise: float) -> float:
        """The share of curves drawn from the posterior whose lowest point up to now is not undercut, but left."""
        seen = self.val.step
        path = self.draw(np.append(seen, self.ahead(_POINTS)), _DRAWS, val=True)
        past, ahead = path[:, : len(seen)].min(axis=1), path[:, len(seen) :]
        return float(np.mean((ahead.min(axis=1) > past) & (ahead[:, -1] > (1.0 + min_rise) * past)))

    def turned(self, min_rise: float) -> float:
        """Probability that the best validation loss lies behind, and that the plan ends ``min_rise`` above it."""
        if self.best_val is None or self.stands_at_best:
            return 0.0
        if min_rise not in self._turned:
            found, above = self.trade, (1.0 + min_rise) * self.best_val[1]
            turned = self._drawn_behind(min_rise) if found is None else min(found.behind, found.above(above))
            self._turned[min_rise] = self._doubted(turned)
        return self._turned[min_rise]

    @cached_property
    def spared(self) -> float:
        """Probability that no validation ahead undercuts the best by mere noise, if they go on coming as often.

        1 where that is not known: of a validation without a train loss, or one whose noise does not tell.
        """
        found, noise = self.trade, self._decides.noise
        if found is None or not found.now or self.best_val is None or not noise > 0.0:
            return 1.0
        to_come = self.validations * self.steps_left / self.step
        return found.spared(self.best_val[1], math.sqrt(noise), to_come)

    @cached_property
    def _turned(self) -> dict[float, float]:
        """What was asked before."""
        return {}

    def _doubted(self, probability: float) -> float:
        """The probability of a turn where data has not been seen twice yet: of hardly any odds."""
        if not self.in_first_epoch:
            return probability
        odds = _FIRST_EPOCH_ODDS * probability
        return odds / (odds + 1.0 - probability)

    @cached_property
    def behind(self) -> float:
        """Probability that the best validation loss lies behind, for good; 0 where nothing tells of a turn."""
        asked = self.of_val and self.has_validated(LEAST_VALIDATIONS)
        if not (asked and self._may_have_turned):
            return 0.0
        found = self.trade
        return self._doubted(self._drawn_behind(0.0) if found is None else found.behind)

    @cached_property
    def rise(self) -> Rise | None:
        """Where validation goes if it has turned."""
        return rise(self.val)

    @cached_property
    def train_ahead(self) -> list[tuple[float, FloatArray, FloatArray]]:
        """How the law's annealing and power-law columns change from now to the end of the plan.

        Each ``(m, K)``, of the train loss, relative; one pair for each future, with its probability. The end is the
        last row; before it stands half-way where the rate of exchange is likely to ask for it.
        """
        return self._changes(self._plans)

    def _changes(self, plans: Plans) -> list[tuple[float, FloatArray, FloatArray]]:
        post, changes = self.posterior, []
        for probability, clock, gain in plans:
            annealed = (gain[:, :1] - gain[:, 1:]).T.take(post.rate, axis=1)
            power = power_term(clock[1:, None] / clock[0], post.alpha, post.offset, post.floor)
            changes.append((probability, annealed, power - 1.0))
        return changes

    @cached_property
    def _plans(self) -> Plans:
        """Of the end alone it costs next to nothing: the outlook asks for it, too."""
        return self._under_plans(self._half_way_and_end if self._may_have_turned else np.array([float(self.end)]))

    def _under_plans(self, step: FloatArray) -> Plans:
        step = np.concatenate([[self.posterior.now], step])
        return [(probability, *timeline.at(step)) for probability, timeline in self.futures]

    @cached_property
    def _half_way_and_end(self) -> FloatArray:
        """``(2,)`` of what is left of the plan [steps]."""
        return np.array([0.5 * (self.step + self.end), self.end])

    @property
    def _may_have_turned(self) -> bool:
        """Whether the rate of exchange is worth asking: validation stands above its lowest, as far as noise tells."""
        return self.posterior.turned and not self.stands_at_best

    def draw(self, step: FloatArray, count: int, *, val: bool) -> FloatArray:
        """``(count, m)`` curves at ``(m,)`` steps, of every future as many as its probability says [loss unit]."""
        until = np.cumsum([0.0, *(probability for probability, _ in self.futures)])
        shares = np.diff(np.round(count * until / until[-1])).astype(int).tolist()
        drawn = [
            draw(self.posterior, step, share, of="val" if val else "train", timeline=timeline)
            for share, (_, timeline) in zip(shares, self.futures, strict=True)
            if share
        ]
        return np.concatenate(drawn)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Stop here, cool down from here, go on: what each ends at and takes; empty where no step is left."""
        return self.offered()

    def offered(self, cooldown: int | None = None) -> tuple[Choice, ...]:
        """The choices, with a cooldown over so many steps, or over as many as are worth it."""
        now, end = self.step, self.end
        return choices(self.posterior, self.forecast, now=now, end=end, of=self.of, cost=self.cost, cooldown=cooldown)

    def stop(
        self,
        reason: Reason,
        probability: float,
        says: Callable[[], str],
        *details: Mapping[str, float] | Callable[[], Mapping[str, float]],
        back: bool = False,
    ) -> Finding:
        """A finding that fires: its sentence, then what can be done now; worked out when it is asked for.

        Args:
            reason: What is found.
            probability: Of it.
            says: What gives the sentence.
            *details: Named numbers, or what gives them.
            back: As in ``rest``.
        """
        rest = Once(lambda: self.rest(back=back))
        message = Once(lambda: says() + rest().words)
        numbers, choices = Details(*details, lambda: rest().details), Once(lambda: rest().choices)
        return Finding(reason, probability, True, message, numbers, choices)

    def rest(self, *, back: bool = False) -> Rest:
        """What can be done now, and what stopping saves, as words and as numbers.

        Args:
            back: Whether the best lies behind: then going back to it stands first, and no cooldown is offered.
        """
        best = (back_to(*self.best_val),) if back and self.best_val is not None else ()
        if not self.steps_left:
            return Rest("".join(f" {_sentence(str(choice))}." for choice in best), choices=best)
        words, details = self.savings()
        offered = self.choices
        if back:
            offered = (*best, *(choice for choice in offered if choice.name == "go_on"))
        for choice in offered:
            if choice.name == "cool_down":
                details |= {"cooldown_steps": float(choice.steps), "cooldown_loss": choice.loss}
        what = "; ".join(map(str, offered))
        if self.is_decaying and not back:
            brought = details["rest_of_decay"] = offered[0].loss - offered[-1].loss
            much = f"{brought:.3g}" if brought > _NOTHING * abs(self.level) else "nothing to speak of"
            words = f"the rest of the decay still brings {much}; {words}"
        return Rest(f" {_sentence(what)}; {words}.", details, offered)


def goes_by_its_law(posterior: Posterior, kin: Kin | None) -> bool:
    """Whether the run itself shows nothing but its law: a turn of validation tells more, as does a family's law."""
    return not (posterior.turned or kin is not None)


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]
