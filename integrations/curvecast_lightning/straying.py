"""Whether the optimizer keeps to the learning rates that were planned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curvecast_lightning.plan import Plan

SAMPLES = 3  # in a row: one may be that of a trial of rates
BEGIN = 0.1  # of the plan: a warm-up by hand, as Lightning's pages show one, joins the plan by then
NEAR = 0.01  # of the plan, or two steps: a scheduler may be stepped a little early or late
RELATIVE, OF_PEAK = 0.05, 0.002  # what a rate may be off


class Straying:
    """Counts the samples whose rates are none of the plan's.

    Args:
        count: of samples in a row so far.
    """

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def note(self, plan: Plan, step: int, rates: Sequence[float]) -> float | None:
        """Hold the rates of a step, one a parameter group, against a plan.

        Returns:
            The LR that was planned for this step, where the plan no longer holds; else None.

        Example:
            >>> from curvecast import Schedule
            >>> plan, straying = Plan(100, Schedule.constant(100), 0.5), Straying()
            >>> [straying.note(plan, step, [rate]) for step, rate in ((20, 0.1), (30, 0.5), (40, 0.1), (50, 0.1))]
            [None, None, None, None]
            >>> straying.note(plan, 60, [0.1]), straying.note(plan, 60, [0.1, 0.5])
            (0.5, None)
        """
        self.count = self.count + 1 if _is_off(plan, step, rates) else 0
        if self.count < SAMPLES or plan.schedule is None or plan.peak_lr is None:
            return None
        return float(plan.peak_lr * plan.schedule.lr(step))


def _is_off(plan: Plan, step: int, rates: Sequence[float]) -> bool:
    if plan.schedule is None or plan.peak_lr is None or not rates:
        return False  # nothing was replayed: the user's own schedule is taken as it is
    horizon = plan.schedule.horizon
    if not BEGIN * horizon <= step <= horizon:
        return False
    here = plan.peak_lr * float(plan.schedule.lr(step))
    if any(abs(rate - here) <= max(RELATIVE * here, OF_PEAK * plan.peak_lr) for rate in rates):
        return False  # the usual case, told by one look
    around = max(2, int(NEAR * horizon))
    near = np.clip(step + np.array([-around, -2, -1, 0, 1, 2, around]), 1, horizon)
    planned = plan.peak_lr * plan.schedule.lr(near)
    slack = max(RELATIVE * planned.max(), OF_PEAK * plan.peak_lr)
    return not any(planned.min() - slack <= rate <= planned.max() + slack for rate in rates)
