"""From what a run has shown to the verdict that stands: when one is due, what is asked, and what is said."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

from curvecast.belief import Belief
from curvecast.course import Course
from curvecast.decisions.base import Decision, Finding, Reason, Untold, Verdict, is_early
from curvecast.decisions.choices import Choice, cooled
from curvecast.decisions.divergence import Divergence
from curvecast.decisions.saying import judged, not_enough, said
from curvecast.decisions.view import View
from curvecast.fit.batch import fit_many
from curvecast.fit.fitting import NEEDED
from curvecast.fit.kinship import tells
from curvecast.fit.newest import Fitted
from curvecast.fit.past import Past
from curvecast.fit.under_way import UnderWay
from curvecast.forecast import Forecast
from curvecast.seen import Seen
from curvecast.turn import Turn

SOON = 0.02  # share of the plan before which no verdict is given


class Judge:
    """Judges one run, and keeps the verdict.

    Args:
        decisions: What is judged, in order of precedence.
        seen: What the run has shown.
        course: The plan that it follows.
        belief: The fit, and what is known of the network.
    """

    def __init__(self, decisions: Sequence[Decision], seen: Seen, course: Course, belief: Belief) -> None:
        self.seen, self.course, self.belief = seen, course, belief
        self.verdict = not_enough(0, NEEDED, course.horizon, SOON)
        self.skims = False  # whether no verdicts are asked for
        self.is_first = False  # whether the verdict that is due is the first of the run
        self._decisions, self._divergence = decisions, divergence_of(decisions)
        self._put_off: list[Judge] | None = None  # where verdicts are put off: a judge for each

    @property
    def blew_up(self) -> bool:
        """Whether the run has diverged, where that is judged."""
        return self._divergence is not None and self.seen.alarm.diverged

    @property
    def has_just_diverged(self) -> bool:
        """Whether the run has diverged, and that has not been said yet."""
        return self.blew_up and self.verdict.reason is not Reason.DIVERGED

    def decide(self) -> None:
        """Decide anew, and say when next."""
        self.seen.wait()
        if not self._can_judge():
            return
        if self.skims:
            self._skim()
            return
        self.is_first = self._put_off is None and self.verdict.reason is Reason.NOT_ENOUGH_DATA
        if self._put_off is None:
            self.verdict = self.judged(self.verdict.to_stop_for, self.verdict.forecast)
        else:
            self._put_off.append(self._twin())
            nothing = not_enough(self.seen.step, NEEDED, self.course.horizon, SOON)
            self.verdict = self.judged(None, None) if self.blew_up else nothing

    def _skim(self) -> None:
        """Say no more than whether the run has diverged: as of a verdict, that is asked at every loss held back."""
        if self.blew_up:
            self.verdict = self.judged(None, self.verdict.forecast)
        elif self.verdict.reason is Reason.DIVERGED:
            self.verdict = not_enough(self.seen.step, NEEDED, self.course.horizon, SOON)

    def _can_judge(self) -> bool:
        """Whether a verdict can be given, once one is due; arms the alarm."""
        if self.blew_up:
            return True
        step, horizon, samples = self.seen.step, self.course.horizon, self.seen.total
        if samples < NEEDED:
            return False
        self.seen.arm(lenient=is_early(step, horizon, samples))  # a warm-up may well rise first
        # The first steps of a long run carry no forecast that anyone should act on.
        return horizon is None or step >= SOON * horizon

    def judged(self, standing: Reason | Untold | None, before: Forecast | None) -> Verdict:
        """The verdict, given the reason that the run was last told to stop for, and the forecast that it then had."""
        if self._divergence is not None and self.blew_up:
            return said(self._divergence.judge(self.seen.alarm), self.seen.step, before)
        view = self.view(standing, is_first=self.is_first)
        findings: list[Finding] = []
        for decision in self._decisions:
            if (found := decision.decide(view)) is not None:
                findings.append(found)
                if found.fires:  # decisions after it are not asked
                    break
        verdict = judged(view, findings)
        if "trade" in view.__dict__:  # it was asked for, and is kept until the next validation
            self.seen.trade = (view.trade,)
        return verdict

    def view(self, standing: Reason | Untold | None = None, *, is_first: bool = False) -> View:
        """What decisions see of the run.

        Args:
            standing: The reason that it was last told to stop for.
            is_first: Whether a verdict is given, and none was before.

        Raises:
            NotEnoughSamples: before the first fit is possible.
        """
        seen, belief, of = self.seen, self.belief, self.seen.target()
        posterior, futures = belief.posterior(of, seen, self.course)
        train, val = seen.bins()
        level = float((val if of == "val" else train).mean[-1])
        return View(
            step=seen.step,
            horizon=self.course.horizon,
            of=of,
            posterior=posterior,
            futures=futures,
            train=train,
            val=val,
            best_val=seen.best_val,
            alarm=copy.copy(seen.alarm),  # as it is now: the run goes on, and a sentence may be asked for later
            num_params=belief.num_params,
            batch_tokens=belief.batch_tokens if seen.tokens is None else seen.tokens / max(seen.step, 1),
            law=belief.law(level, seen.critical_batch),
            recent=seen.validations.recent(),
            dataset_tokens=belief.dataset_tokens,
            epoch_steps=belief.epoch_steps,
            seconds=seen.pace.seconds,
            standing=standing,
            held=seen.trade,
            kin=belief.kin,
            is_first=is_first,
            past=belief.past(of, seen, self.course),
            under_way=belief.under_way(of, seen, self.course),
            alone=belief.alone(of, seen, self.course),
            fitted=belief.fitted,
        )

    def cooldown(self, steps: int | None) -> tuple[Choice, Turn] | None:
        """A cooldown from here: what it is expected to end at, and the change of plan that it is.

        Args:
            steps: Its length; ``None`` for as many as are worth it.

        Returns:
            ``None`` where no learning rate is known, it is low already, or no step is left.

        Raises:
            NotEnoughSamples: before the first fit is possible.
        """
        view, course, now = self.view(), self.course, self.seen.step
        left = now if course.horizon is None else view.steps_left
        choice = cooled(view.posterior, view.forecast, now=now, left=left, of=view.of, cost=view.cost, steps=steps)
        if choice is None:
            return None
        planned = view.posterior.timeline
        assert planned.schedule is not None  # else there would have been no choice
        schedule = planned.schedule.cooldown(start=now, steps=choice.steps)
        total = planned.under(schedule, view.posterior.now).total
        after_val = self.seen.offered[1] == now
        return choice, Turn(now, after_val, course.horizon, course.schedule, schedule, total, course.turn)

    def turn_to(self, turn: Turn) -> None:
        """Change the plan, and forget what was believed of the earlier one."""
        self.course.turn_to(turn)
        self.belief.forget()
        self.seen.trade = None  # it was worked out for the end of the earlier plan

    def put_off(self, samples: Iterable[object]) -> list[Judge]:
        """Draw all samples, which the run shows; a judge for each verdict that was due, and no verdict yet."""
        due: list[Judge] = []
        self._put_off = due
        for _ in samples:
            pass
        self._put_off = None
        return due

    def newest(self) -> Judge | None:
        """A judge for a verdict at the last loss; ``None`` where the standing verdict was given there, or none can be.

        The rate of exchange is asked for anew, on all that was seen.
        """
        if self.seen.is_judged:
            return None
        twin = self._twin()
        twin.seen.trade = None
        return twin if twin._can_judge() else None

    def _twin(self) -> Judge:
        """An independent copy."""
        twin = copy.copy(self)
        twin.seen, twin.course, twin.belief = self.seen.copy(), copy.copy(self.course), copy.copy(self.belief)
        twin._put_off = None
        return twin


def divergence_of(decisions: Sequence[Decision]) -> Divergence | None:
    """The decision on divergence, which is asked first and at every sample; ``None`` where it is not judged."""
    return next((each for each in decisions if isinstance(each, Divergence)), None)


def fit_together(judges: Sequence[Judge]) -> None:
    """Fit many runs at once, for a small part of what each alone would take; every one keeps its posterior.

    Args:
        judges: Each of a run that has shown enough for a fit.
    """
    targets = [judge.seen.target() for judge in judges]
    jobs = [each.belief.todo(of, each.seen, each.course)[0].first for each, of in zip(judges, targets, strict=True)]
    pasts: list[Past] = []
    decays: list[UnderWay] = []
    for each, of, job, posterior in zip(judges, targets, jobs, fit_many(jobs), strict=True):
        belief = each.belief
        belief.keep(Fitted(job, posterior), of)
        belief.posterior(of, each.seen, each.course)
        if not tells(belief.kin) and (past := belief.past(of, each.seen, each.course)) is not None:
            pasts.append(past)
        if (under_way := belief.under_way(of, each.seen, each.course)) is not None:
            decays.append(under_way)
    plans = [under_way.jobs() for under_way in decays]
    fitted = iter(fit_many([*(past.job() for past in pasts), *(job for jobs in plans for job in jobs)]))
    for past in pasts:
        past.keep(next(fitted))
    for under_way, jobs in zip(decays, plans, strict=True):
        under_way.keep([next(fitted) for _ in jobs])
