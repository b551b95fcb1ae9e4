"""A change of plan during a run: its learning rate was taken down earlier than planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curvecast.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a run changed its plan, and from which to which.

    Args:
        step: The last step under the earlier plan [steps].
        after_val: Whether the validation of that step, if there was one, came before.
        horizon: Planned until then; ``None`` where unknown [steps].
        earlier: The schedule until then; ``None`` where it was learnt from the rates.
        schedule: The one from then on, with the same past.
        total: Summed learning rate that the half-times of annealing stay shares of.
        before: The turn onto the earlier plan; ``None`` where that was the first.

    Example:
        >>> plan = Schedule.constant(100)
        >>> turn = Turn(50, False, 100, plan, plan.cooldown(start=50, steps=10), 100.0)
        >>> turn.to_plan()["horizon"], Turn.of(turn.to_plan()) == turn
        (60, True)
    """

    step: int
    after_val: bool
    horizon: int | None
    earlier: Schedule | None
    schedule: Schedule
    total: float
    before: Turn | None = None

    @property
    def all(self) -> tuple[Turn, ...]:
        """The turns up to this one, the first at the start."""
        return (self,) if self.before is None else (*self.before.all, self)

    def has_come(self, step: int, *, of_val: bool) -> bool:
        """Whether a sample at a step is the last one under the earlier plan, or comes after it."""
        return step > self.step or (step == self.step and (of_val or not self.after_val))

    def to_plan(self) -> dict[str, Any]:
        """The entries of a run's plan, as plain types: what is followed now, and what was until then."""
        earlier: dict[str, Any] = {
            "step": self.step,
            "after_val": self.after_val,
            "horizon": self.horizon,
            "schedule": None if self.earlier is None else self.earlier.to_dict(),
            "total": self.total,
        }
        if self.before is not None:
            earlier["earlier"] = self.before.to_plan()["earlier"]
        return {"horizon": self.schedule.horizon, "schedule": self.schedule.to_dict(), "earlier": earlier}

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> Turn | None:
        """What a run's plan tells, as `to_plan` gave it; ``None`` where it tells of no earlier one.

        Raises:
            ValueError: if one of both is no schedule, or a number is none.
        """
        told, followed = plan.get("earlier"), plan.get("schedule")
        if not (isinstance(told, Mapping) and isinstance(followed, Mapping)):
            return None
        try:
            earlier, horizon, total = told["schedule"], told["horizon"], float(told["total"])
            turn = cls(
                step=int(told["step"]),
                after_val=bool(told["after_val"]),
                horizon=None if horizon is None else int(horizon),
                earlier=None if earlier is None else Schedule.from_dict(earlier),
                schedule=Schedule.from_dict(followed),
                total=total,
                before=cls.of(told),
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"`earlier` must be what Turn.to_plan gives: got one that lacks {error}.") from error
        if not (turn.step >= 1 and 0.0 < total < float("inf")):
            raise ValueError(f"`earlier` must have a step and a positive total: got {turn.step} and {total}.")
        return turn
