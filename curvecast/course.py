"""The plan that a run follows, and changes to it on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curvecast.curve import LearningRates
from curvecast.fit.basis import Timeline
from curvecast.forecast import Futures
from curvecast.forecast.futures import are_kept_to, falls_of, futures_of
from curvecast.forecast.since import round_steps, since
from curvecast.schedule import Schedule
from curvecast.state import known
from curvecast.turn import Turn


class Course:
    """Horizon and schedule of a run, as planned and as changed on the way.

    Args:
        horizon: Planned optimizer steps; ``None`` where unknown [steps].
        schedule: The learning rate over the plan; ``None`` to learn it from the rates seen.
        shape: How annealing arrives, as in the prior.
        lr_held: Whether nothing is known that would change the learning rate, where there is no schedule.
        decays: Probability that a rate of which nothing is ever told follows a plan (``decays_untold``).

    Example:
        >>> plan = Schedule.constant(100)
        >>> course = Course(100, plan, ((1.0, 0.5),))
        >>> course.turn_to(Turn(50, False, 100, plan, plan.cooldown(start=50, steps=10), 100.0))
        >>> course.given[0], course.horizon, course.end(70)
        (100, 60, 70)
    """

    def __init__(
        self,
        horizon: int | None,
        schedule: Schedule | None,
        shape: tuple[tuple[float, float], ...],
        *,
        lr_held: bool = False,
        decays: float = 0.0,
    ) -> None:
        self.given = (horizon, schedule)
        self.turn: Turn | None = None  # the change that was made
        self.told: Turn | None = None  # the last one that the run's log tells of
        self.expected: Turn | None = None  # the next one of those
        self.lr_held, self._shape, self._decays = lr_held, shape, decays
        self._as_given()

    def _as_given(self) -> None:
        self.horizon, self.schedule = self.given
        self._planned = None if self.schedule is None else Timeline(self.schedule, self._shape)

    def expect(self, turn: Turn | None) -> None:
        """Change the plan where the run did, as its log tells."""
        self.told, self.expected = turn, None if turn is None else turn.all[0]

    def turn_to(self, turn: Turn) -> None:
        """Change the plan."""
        self.turn = turn
        to_come = () if self.told is None else self.told.all
        self.expected = next((later for later in to_come if later.before == turn), None)
        self.horizon, self.schedule = turn.schedule.horizon, turn.schedule
        self._planned = Timeline(turn.schedule, self._shape, total=turn.total)

    def end(self, step: int) -> int:
        """The last step of the plan, or the one reached where that lies further or nothing is planned."""
        return step if self.horizon is None else max(self.horizon, step)

    def futures(self, rates: LearningRates, step: int) -> Futures:
        """The schedules that the run may follow, the likeliest first: the plan, or what the rates up to a step tell.

        What rates tell is inferred at a round step before and weighed by those since, as long as these are no news.
        """
        if self._planned is not None:
            return ((1.0, self._planned),)
        steps, lrs = rates.knots(step)
        if self.horizon is not None and step < self.horizon and max(lrs, default=0.0) > 0.0:
            for before in round_steps(steps[-1]):
                then = rates.knots(before)
                if max(then[1], default=0.0) > 0.0:
                    kept = since(self._inferred(*then, before), then, (steps, lrs))
                    if kept is not None:
                        return kept
        return self._inferred(steps, lrs, step)

    def _inferred(self, steps: list[int], lrs: list[float], now: int) -> Futures:
        return futures_of(steps, lrs, self.horizon, now, self._shape, held=self.lr_held, decays=self._decays)

    def kept(self, rates: LearningRates, step: int, due: int, last: tuple[int, float] | None) -> Futures | None:
        """The futures under which what was fitted when a verdict was due still holds; ``None`` where none may be.

        They are what the rates told then, as long as the rate keeps to each of them.

        Args:
            rates: The learning rates up to now.
            step: Now.
            due: The step at which the verdict was due.
            last: The last learning rate by then, and its step.
        """
        if self._planned is not None or not max(rates.knots(step)[1], default=0.0) > 0.0:
            return self.futures(rates, step)  # the likeliest is what it was: a plan, or that the rate stays as it is
        then = rates.when(last)
        futures = self.futures(then, due)
        return futures if are_kept_to(futures, max(then.knots()[1], default=0.0), rates.last) else None

    def falls(self, rates: LearningRates, step: int) -> tuple[Futures, Futures] | None:
        """Where no rate is told, the plans under which it has not fallen by a step, and those under which it has."""
        is_told = self._planned is not None or self.lr_held or max(rates.knots(step)[1], default=0.0) > 0.0
        return None if is_told else falls_of(self.horizon, step, self._shape, self._decays)

    def state_dict(self) -> dict[str, Any] | None:
        """The change of plan as plain types; ``None`` where there was none."""
        return None if self.turn is None else _told(self.turn)

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            ValueError: if it is garbled.
        """
        if state is not None:
            self.turn_to(self._turn_of(state))
        elif self.turn is not None:
            self.turn = None
            self.expect(self.told)
            self._as_given()

    def _turn_of(self, state: Mapping[str, Any]) -> Turn:
        if not known(state["total"]) > 0.0:
            raise ValueError(f"{state['total']} for the total of a schedule")
        before = None if state["before"] is None else self._turn_of(state["before"])
        earlier = self.given if before is None else (before.schedule.horizon, before.schedule)
        began, after_val = int(state["step"]), bool(state["after_val"])
        return Turn(began, after_val, *earlier, Schedule.from_dict(state["schedule"]), state["total"], before)


def _told(turn: Turn) -> dict[str, Any]:
    """A turn, and those before it, as plain types."""
    told = {name: getattr(turn, name) for name in ("step", "after_val", "total")}
    before = None if turn.before is None else _told(turn.before)
    return {"schedule": turn.schedule.to_dict(), **told, "before": before}
