"""The watcher of one run: samples in, verdicts and forecasts out; the same for live runs and for logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curvecast._settings import at_least_a_batch, listed, of_kinds, positive, whole_cooldown, whole_horizon
from curvecast.answers import Answers
from curvecast.belief import Belief
from curvecast.course import Course
from curvecast.curve import Sample
from curvecast.decisions import ComputeEfficiency, Divergence, Overfitting, Plateau
from curvecast.decisions.base import Decision, Verdict
from curvecast.decisions.choices import Choice
from curvecast.fit.prior import Prior, shipped
from curvecast.fit.teachers import are_on
from curvecast.forecast.futures import decays_untold
from curvecast.judge import Judge, divergence_of
from curvecast.laws.base import FamilyLaw
from curvecast.laws.kaplan import Kaplan
from curvecast.schedule import Schedule
from curvecast.seen import NO_END, Seen
from curvecast.state import SCHEMA, check_schema, dump_verdict, load_verdict

DEFAULT_DECISIONS: tuple[Decision, ...] = (Divergence(), Overfitting(), ComputeEfficiency(), Plateau())


class Watcher(Answers):
    """Watches one run: keeps its posterior, forecasts its end, and judges it.

    One thread at a time: another may ask for a forecast, but a state taken while ``update`` runs may be of half a
    sample.

    Args:
        horizon: Planned optimizer steps; ``None`` where unknown.
        schedule: Relative LR at every step, past and planned; ``None`` to learn it from the ``lr`` passed to
            ``update``. What is to come is then inferred (see ``Schedule.infer``), and a forecast is a mixture over
            the plausible futures; without a horizon the last LR is held.
        num_params: Non-embedding parameters ``N`` of a network trained from scratch; from 1e5 on those of a language
            model, unless the plan passes 15 times or more over the data (``epoch_steps``) and ``batch_tokens`` is not
            told. ``None`` for no compute verdicts, and intervals that allow for any network.
        batch_tokens: Tokens an optimizer step ``B`` [tokens/step].
        dataset_tokens: Unique tokens, where data repeats [tokens].
        epoch_steps: Optimizer steps of one pass over the data; ``None`` where unknown, or where both numbers of tokens
            tell it. Where data are seen many times validation may turn up, which the forecast then foresees [steps].
        prior: What past runs have taught; ``None`` for the shipped prior.
        law: Law of the family, for the compute verdict; ``None`` for Kaplan's. One that `fit_family` found also says
            where such a run ends, which the forecast weighs with what this run has shown. Where they contradict each
            other, as in other units, the law is left out, and the verdict says so.
        decisions: What is judged, in order of precedence: once one speaks, those after it are not asked. ``None`` for
            divergence, overfitting, compute efficiency and plateau.
        lr_held: Whether nothing is known that would change the learning rate, as where a trainer has no scheduler:
            without a schedule, one that is constant so far is then taken to stay so. A fall that is seen is followed
            all the same.

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
        epoch_steps: float | None = None,
        prior: Prior | None = None,
        law: FamilyLaw | None = None,
        decisions: Sequence[Decision] | None = None,
        lr_held: bool = False,
    ) -> None:
        of_kinds(("schedule", schedule, Schedule), ("prior", prior, Prior), ("law", law, FamilyLaw))
        if horizon is None and schedule is not None:
            horizon = schedule.horizon
        horizon = whole_horizon(horizon)
        self.num_params = positive("num_params", num_params, "the non-embedding parameters")
        self.batch_tokens = positive("batch_tokens", batch_tokens, "the tokens of one optimizer step")
        self.dataset_tokens = positive("dataset_tokens", dataset_tokens, "the unique tokens of the data")
        self.epoch_steps = positive("epoch_steps", epoch_steps, "the optimizer steps of one pass over the data")
        at_least_a_batch(self.dataset_tokens, self.batch_tokens)
        self.prior = prior or shipped()
        self.law = law or Kaplan()
        self.decisions = DEFAULT_DECISIONS if decisions is None else listed(decisions)
        tokens = self.batch_tokens, self.dataset_tokens
        belief = Belief(self.prior, self.law, self.num_params, *tokens, self.epoch_steps, horizon)
        self.seen = Seen(horizon, (divergence_of(self.decisions) or Divergence()).alarm())
        # Finished runs whose rates nobody told either have shown what their decays bring.
        is_taught = are_on(belief.prior, True) or are_on(belief.prior, False)
        decays = 0.0 if is_taught else decays_untold(None if belief.is_other else self.num_params)
        self.course = Course(horizon, schedule, belief.prior.annealing_shape, lr_held=lr_held, decays=decays)
        self.judge = Judge(self.decisions, self.seen, self.course, belief)

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
        until a later one goes on from there. Of what is no number, such as a list, it warns once. The verdict is
        decided anew after every 5 % more train losses or 4 % more validations, at the last loss of either kind
        within the plan, and at once when the run diverges.

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

        Example:
            >>> watcher = Watcher(horizon=1000)
            >>> watcher.update(1, train_loss=5.0).reason.value
            'not_enough_data'
            >>> for step in range(2, 501):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> verdict.reason.value, verdict.should_stop
            ('on_track', False)
        """
        seen, course = self.seen, self.course
        if not (at := seen.goes_to(step)):
            return self.judge.verdict
        while course.expected is not None and at > course.expected.step:
            self.judge.turn_to(course.expected)
        if lr is not None and course.schedule is None:
            seen.rated(at, lr)
        if not (tokens is None and seconds is None and critical_batch is None):
            seen.told(at, tokens, seconds, critical_batch)
        due = train_loss is not None and seen.trained(at, train_loss, course.horizon or NO_END)
        due = (val_loss is not None and seen.validated(at, val_loss, course.horizon or NO_END)) or due
        if due or (seen.held_back and self.judge.has_just_diverged):
            self.judge.decide()
        while course.expected is not None and course.expected.has_come(at, of_val=val_loss is not None):
            self.judge.turn_to(course.expected)
        return self.judge.verdict

    def take(self, sample: Sample) -> Verdict:
        """Take a sample in, as ``update`` does, and give the verdict that stands."""
        return self.update(
            sample.step,
            sample.train_loss,
            sample.val_loss,
            sample.lr,
            sample.tokens,
            sample.seconds,
            sample.critical_batch,
        )

    def skim(self, samples: Iterable[Sample]) -> None:
        """Take samples in as ``update`` does, and decide nothing but whether the run has diverged: for forecasts alone.

        Args:
            samples: in order.

        Example:
            >>> watcher = Watcher(horizon=2000)
            >>> watcher.skim(Sample(step, train_loss=2.0 + 3.0 * step**-0.5) for step in range(1, 501))
            >>> watcher.verdict.reason.value, round(watcher.forecast().median, 1)
            ('not_enough_data', 2.1)
        """
        self.judge.skims = True
        try:
            for sample in samples:
                self.take(sample)
        finally:
            self.judge.skims = False

    def cool_down(self, steps: int | None = None) -> Choice | None:
        """Change the plan: from here on the learning rate falls in a straight line to zero, and there the run ends.

        The loop must lower the rate as ``watcher.schedule`` now says. Part of ``state_dict``, and of what a log can
        tell (``watcher.turn``), from then on.

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
        found = self.judge.cooldown(whole_cooldown("steps", steps))
        if found is None:
            return None
        choice, turn = found
        self.judge.turn_to(turn)
        return choice

    def fresh(self, *, decisions: Sequence[Decision] | None = None) -> Watcher:
        """A watcher that was told the same and has seen nothing yet; a run that turned off its plan will do so there.

        Args:
            decisions: what it judges; ``None`` for the same.

        Example:
            >>> watcher = Watcher(horizon=1000)
            >>> for step in range(1, 101):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> watcher.fresh().step, watcher.fresh().horizon
            (0, 1000)
        """
        horizon, schedule = self.course.given
        fresh = Watcher(
            horizon=horizon,
            schedule=schedule,
            num_params=self.num_params,
            batch_tokens=self.batch_tokens,
            dataset_tokens=self.dataset_tokens,
            epoch_steps=self.epoch_steps,
            prior=self.prior,
            law=self.law,
            decisions=self.decisions if decisions is None else decisions,
            lr_held=self.course.lr_held,
        )
        fresh.course.expect(self.course.told)
        return fresh

    def state_dict(self) -> dict[str, Any]:
        """All that was learnt, as plain types, of bounded size.

        Example:
            >>> watcher, resumed = Watcher(horizon=1000), Watcher(horizon=1000)
            >>> for step in range(1, 101):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> resumed.load_state_dict(watcher.state_dict())
            >>> resumed.step, resumed.forecast().median == watcher.forecast().median
            (100, True)
        """
        verdict, cooling = dump_verdict(self.verdict), self.course.state_dict()
        return {"schema": SCHEMA, **self.seen.state_dict(), "verdict": verdict, "cooling": cooling}

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
        self.seen.load_state_dict(state)
        self.judge.verdict = load_verdict(state["verdict"])
        self.course.load_state_dict(state["cooling"])
        self.judge.belief.forget()
