"""What is believed of one run: the fit to all that it has shown, and what its family's law says beside that."""

from __future__ import annotations

import math

from curvecast.course import Course
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job
from curvecast.fit.fitting import NEEDED
from curvecast.fit.kinds import is_other
from curvecast.fit.kinship import Kin, believed, tells
from curvecast.fit.newest import Fitted, Todo, is_taught, todo
from curvecast.fit.past import Past, goes_on, milestone
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.stages import asks_of_decays, early_by_plan, in_first_steps, while_decaying
from curvecast.fit.teachers import are_on
from curvecast.fit.under_way import UnderWay
from curvecast.fit.units import go_together, has_stopped
from curvecast.forecast import Futures, NotEnoughSamples, Target
from curvecast.laws.base import FamilyLaw
from curvecast.laws.kaplan import Kaplan
from curvecast.laws.noise_scale import Measured
from curvecast.seen import Seen

# Shares of the plan before which it tells nothing, for it may be many times longer than the run will be, and from which
# on it tells all.
_PLAN_TELLS, _PLAN_TELLS_ALL = 0.025, 0.1
_IN_STEPS = 500  # a plan of fewer may be one of epochs
_LEAST_LOSS = 1e-3  # a critical batch is not taken to have been measured at a lower loss


class Belief:
    """The fit to what a run has shown; kept until it shows more.

    Args:
        prior: What past runs have taught.
        law: Law of the family.
        num_params: Non-embedding parameters, or ``None``.
        batch_tokens: Tokens an optimizer step, or ``None`` [tokens/step].
        dataset_tokens: Unique tokens, where data repeats [tokens].
        epoch_steps: Optimizer steps of one pass over the data, or ``None`` [steps].
        horizon: Last step of the plan, or ``None`` [steps].
    """

    def __init__(
        self,
        prior: Prior,
        law: FamilyLaw,
        num_params: float | None,
        batch_tokens: float | None,
        dataset_tokens: float | None,
        epoch_steps: float | None,
        horizon: int | None = None,
    ) -> None:
        self.epoch_steps = epoch_steps
        self.num_params, self.batch_tokens, self.dataset_tokens = num_params, batch_tokens, dataset_tokens
        # What finished runs have taught is said of networks of their sizes, and they know what their decays bring.
        passes = horizon / epoch_steps if horizon and epoch_steps else 0.0
        self.is_other = not prior.lessons and is_other(num_params, batch_tokens, passes)
        self.prior = prior.for_other() if self.is_other else prior.for_size(num_params, batch_tokens)
        self.kin: Kin | None = None  # what the family's law said at the last fit
        repeats = dataset_tokens is not None or epoch_steps is not None
        self._in_first_epoch = self.prior.in_first_epoch() if repeats else self.prior
        # Of each what is believed where no finished run is heard: made once, for every verdict asks for it.
        self._untaught = {True: self.prior.untaught, False: self._in_first_epoch.untaught}  # by whether data repeat
        self._law = law
        # Of each loss mostly the fit of when a verdict was due, which serves until the next is: some ask for both.
        self._first: dict[Target, Fitted] = {}
        self.fitted: Fitted | None = None  # the one that the posterior goes on from
        self._asked: tuple[tuple[object, ...], Todo, Futures] | None = None
        self._kept: tuple[tuple[object, ...], Posterior, Futures] | None = None
        self._past: tuple[tuple[object, ...], Past | None] = (), None
        self._under_way: tuple[tuple[object, ...], UnderWay | None] = (), None

    def posterior(self, of: Target, seen: Seen, course: Course) -> tuple[Posterior, Futures]:
        """The fit under the likeliest future, and all futures.

        Raises:
            NotEnoughSamples: before the first fit is possible.
        """
        if seen.total < NEEDED:
            raise NotEnoughSamples(seen.total, NEEDED)
        key = _key(of, seen)
        if self._kept is None or self._kept[0] != key:
            asked, futures = self.todo(of, seen, course)
            first = self._first.get(of)
            if first is None or first.job != asked.first:
                self.keep(first := Fitted.of(asked.first), of)
            self.fitted, posterior = first.then(asked)
            self._kept = (key, self._as_foretold(posterior, seen, course), futures)
        return self._kept[1], self._kept[2]

    def todo(self, of: Target, seen: Seen, course: Course) -> tuple[Todo, Futures]:
        """What there is to fit, the newest losses apart where they can be, and the futures that go with it."""
        key = _key(of, seen)
        if self._asked is None or self._asked[0] != key:
            self._asked = (key, *self._todo(of, seen, course))
        return self._asked[1:]

    def _todo(self, of: Target, seen: Seen, course: Course) -> tuple[Todo, Futures]:
        waits = not is_taught(self._prior_now(seen))  # else what was seen then is not even made ready
        then, due = seen.at_due() if waits else None, seen.due
        if due is not None and then is not None:
            futures = course.kept(seen.rates, seen.step, due.step, due.rate)
            if futures is not None:
                whole = self._job(futures, of, seen, course, due.now)
                first = whole._replace(train=then[0], val=then[1], now=due.now)
                asked = todo(whole, first, seen.since_due())
                if asked.newest:
                    return asked, futures
        whole, futures = self.to_fit(of, seen, course)
        return Todo(whole, (), whole), futures

    def to_fit(self, of: Target, seen: Seen, course: Course) -> tuple[Job, Futures]:
        """What there is to fit, and the futures that go with it."""
        futures = course.futures(seen.rates, seen.step)
        return self._job(futures, of, seen, course), futures

    def _job(self, futures: Futures, of: Target, seen: Seen, course: Course, due: float | None = None) -> Job:
        """All that was seen, under the likeliest future; a decay is believed as it was ``due``, if one was."""
        now = float(max(seen.train.last_step, seen.val.last_step))
        train, val = seen.bins()
        train_tells = has_stopped(train, val) and go_together(train, val)  # where the run stands
        timeline = futures[0][1]
        prior = self._prior_at(now, timeline, now if due is None else due, of, seen, course)
        return Job(train, val, timeline, prior, of == "val" and not train_tells, now)

    def past(self, of: Target, seen: Seen, course: Course) -> Past | None:
        """The run as it stood at its last milestone; ``None`` where that tells nothing of how it will go on."""
        if goes_on(self.prior) == 0.0:
            return None
        step = milestone(max(seen.train.last_step, seen.val.last_step))
        # Finished runs say themselves how far they are believed; what goes on is what the law misses by.
        prior = self._by_step(self._untaught[self._repeats(seen)], step, seen, course)
        late = (series.total for series in (seen.train, seen.val) if series.last_step < step)  # may still get some then
        timeline = course.futures(seen.rates, int(step))[0][1]  # as it was known then, so that one fit serves
        key = (of, step, timeline, prior, *late)
        if self._past[0] != key:
            past = Past(*seen.bins(step), timeline, prior, of_val=of == "val")
            self._past = key, past if past.is_told else None
        return self._past[1]

    def under_way(self, of: Target, seen: Seen, course: Course) -> UnderWay | None:
        """The run as if a decay were under way that nobody tells; ``None`` where none is, or a family's law tells.

        What came since a fit that was kept is heard under each decay as well.
        """
        asked, futures = self.todo(of, seen, course)
        if tells(self.kin) or len(futures) == 1:  # no plan is possible
            return None
        waits = asked.newest and self.fitted is not None and self.fitted.job == asked.first
        step = seen.due.step if waits and seen.due is not None else seen.step
        job = asked.first if waits else asked.whole
        if self._under_way[0] != (job, step):
            plans = course.falls(seen.rates, step)
            self._under_way = (job, step), None if plans is None else UnderWay(job, *plans)
        found = self._under_way[1]
        return found.then(asked.newest, asked.whole.now) if found is not None and waits else found

    def keep(self, fitted: Fitted, of: Target) -> None:
        """Take over the first fit of what there is to fit of a loss."""
        self._first = {**self._first, of: fitted}  # anew, for a copy of this has the same one

    def forget(self) -> None:
        """Fit anew when next asked: the plan has changed."""
        self._asked = self._kept = None
        self._past, self._under_way, self._first = ((), None), ((), None), {}

    def law(self, level: float, critical_batch: float | None) -> FamilyLaw:
        """The family's law, unless the run contradicts it, with the critical batch that was measured.

        Args:
            level: Where the loss stands [loss unit].
            critical_batch: As measured there, or ``None`` [tokens].
        """
        law = Kaplan() if self.kin is not None and self.kin.is_doubted else self._law
        return law if critical_batch is None else Measured.of(law, critical_batch, max(level, _LEAST_LOSS))

    def alone(self, of: Target, seen: Seen, course: Course) -> Job | None:
        """What the run is fitted to by itself; ``None`` where that is what finished runs' lessons are said of, too."""
        if not are_on(self._prior_now(seen), of == "val"):
            return None
        untaught = self._untaught[self._repeats(seen)]
        prior = self._by_step(untaught, max(seen.train.last_step, seen.val.last_step), seen, course)
        return None if prior == untaught else self.todo(of, seen, course)[0].whole._replace(prior=prior)

    def _prior_at(self, now: float, clock: Timeline, due: float, of: Target, seen: Seen, course: Course) -> Prior:
        """The prior of such a network now; what finished runs have taught is said of the law as it is later."""
        prior = self._prior_now(seen)
        if are_on(prior, of == "val"):  # they know what their decays brought, too
            return prior
        prior = self._by_step(prior, now, seen, course)
        return while_decaying(prior, clock.arrived(due)) if asks_of_decays(prior) else prior

    def _prior_now(self, seen: Seen) -> Prior:
        """The prior of such a network, before its data repeat or after."""
        return self.prior if self._repeats(seen) else self._in_first_epoch

    def _repeats(self, seen: Seen) -> bool:
        if self.epoch_steps is not None:
            return seen.step > self.epoch_steps
        tokens = seen.tokens or (self.batch_tokens or math.inf) * seen.step
        return self.dataset_tokens is None or tokens > self.dataset_tokens

    def _by_step(self, prior: Prior, step: float, seen: Seen, course: Course) -> Prior:
        """The prior of a run in its first steps, and of a clock that goes by its plan."""
        planned = course.given[0]  # as it was meant from the start, whatever has been changed since
        if planned is not None and seen.step > _PLAN_TELLS * planned:
            told = math.log(seen.step / planned / _PLAN_TELLS) / math.log(_PLAN_TELLS_ALL / _PLAN_TELLS)
            prior = early_by_plan(prior, step / planned, min(told, 1.0))
        # Steps that are whole epochs, or come after one, are no first steps; who plans but a few may count epochs.
        is_short = planned is None or planned < _IN_STEPS
        may_be_epochs = is_short if self.epoch_steps is None else self._repeats(seen)
        return prior if may_be_epochs else in_first_steps(prior, step)

    def _as_foretold(self, posterior: Posterior, seen: Seen, course: Course) -> Posterior:
        """The fit with what a family's law says of the end beside what this run has shown."""
        self.kin = None
        horizon = course.horizon
        if not (self.num_params and self.batch_tokens and horizon and horizon > posterior.now):
            return posterior
        told = self._law.foretold(
            num_params=self.num_params,
            num_tokens=self.batch_tokens * horizon,
            num_steps=horizon,
            unique_tokens=self.dataset_tokens or math.inf,
            schedule=course.schedule,
        )
        if told is None:
            return posterior
        val = told.of_val and seen.val.total > 0
        posterior, self.kin = believed(posterior, horizon, told.loss, told.std, val=val)
        return posterior


def _key(of: Target, seen: Seen) -> tuple[object, ...]:
    """What a fit depends on."""
    return (seen.total, of, seen.step, seen.rates.last_step, seen.tokens, seen.due)
