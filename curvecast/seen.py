"""What a run has shown, in bounded memory: its losses, its learning rates, and what was told beside them."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast._settings import is_no_number, number
from curvecast.curve import Bins, LearningRates, Mark, Series, Since, as_fitted
from curvecast.decisions.alarm import HUGE, Alarm
from curvecast.decisions.base import Untold
from curvecast.decisions.exchange import Trade
from curvecast.decisions.pace import Pace
from curvecast.decisions.validations import Validations
from curvecast.fit.fitting import NEEDED as NEEDED  # also for hosts, which ask no fit
from curvecast.forecast import Target
from curvecast.schedule.checks import MOST_STEPS
from curvecast.state import dump_trade, known, load_trade

# A refit is due after 5 % more train losses, evenly spaced on a log clock, or 4 % more validations: each of these tells
# much, and up to the 25th none waits for the next.
REFIT_GROWTH, REFIT_GROWTH_OF_VAL = 1.05, 1.04
# A step this many times as far as the steps done and planned together (of which there are at least so many) is held
# for a mistake.
JUMP, _USUAL = 100, 10_000
NO_END = 1 << 62  # the last step where none is planned: beyond all that there are
_OUT_OF_ORDER = 100  # after so many losses out of order, if these are most of all, a warning is given
_PARTS = ("train", "val", "validations", "rates", "alarm", "pace")  # attributes with a state of their own

log = logging.getLogger("curvecast")


class Due(NamedTuple):
    """Where a run stood when a verdict was due.

    Args:
        train, val: Of each loss.
        step: The last step of which anything was told.
        rate: Step and value of the last learning rate, if any.
    """

    train: Mark
    val: Mark
    step: int
    rate: tuple[int, float] | None

    @property
    def now(self) -> float:
        """Last step of which a loss was told."""
        return float(max(self.train.last_step, self.val.last_step))

    def dumped(self) -> list[Any]:
        """As plain types."""
        marks = [[mark.rows, list(mark.opened), *mark[2:]] for mark in (self.train, self.val)]
        return [*marks, self.step, None if self.rate is None else list(self.rate)]


class Seen:
    """All that is kept of a run's samples, and when the next verdict on them is due.

    Bad data never raises: what cannot be is left out.

    Args:
        horizon: Planned steps, without which no step lies too far ahead; ``None`` where unknown [steps].
        alarm: What a loss must pass before it joins the curve.

    Example:
        >>> seen = Seen(None, Alarm())
        >>> for step in (1, 2, 2, 3, -1, 4):
        ...     if at := seen.goes_to(step):
        ...         due = seen.trained(at, 3.0)
        >>> seen.step, seen.total, seen.target()
        (4, 4, 'train')
    """

    def __init__(self, horizon: int | None, alarm: Alarm) -> None:
        self.train, self.val, self.rates = Series(), Series(), LearningRates()
        self.validations, self.alarm, self.pace = Validations(), alarm, Pace()
        self.step = 0
        self.val_name: str | None = None  # the validation set that decides, where there are several
        self.best_val: tuple[int, float] | None = None
        self.tokens: float | None = None
        self.critical_batch: float | None = None
        self.trade: tuple[Trade | None] | Untold | None = None  # asked for since the newest validation, if ever
        self.offered = [0, 0]  # last step at which a train and a validation loss came, taken in or held back
        self.held_back = False  # whether the alarm held the last loss back
        self.next_train, self.next_val = 1, 1  # numbers of samples at which the next verdict is due
        self.due: Due | None = None  # where the run stood when the last one was
        self._at_due: tuple[Bins, Bins] | None = None
        self._reach = max(horizon or 0, _USUAL)
        self._jumped: int | None = None
        self._out_of_order = 0
        self._is_warned = False  # of what is no number

    @property
    def total(self) -> int:
        """Losses of either kind that joined the curve."""
        return self.train.total + self.val.total

    def bins(self, until: float | None = None) -> tuple[Bins, Bins]:
        """Train and validation losses as fits and verdicts see them; ``until`` as in ``curve.as_fitted``."""
        return as_fitted(self.train, self.val, until)

    def goes_to(self, step: float) -> int:
        """The step at which something is told, as a number; 0 where it is none, or is held for a mistake."""
        self.held_back = False
        if type(step) is not int:
            step = self._numbered("step", step)
        if not 1 <= step < MOST_STEPS:
            return 0
        step = int(step)
        if step > self.step:
            if step > JUMP * (self.step + self._reach) and self._strays(step):
                return 0
            self.step = step
        return step

    def _strays(self, step: int) -> bool:
        """Whether a step so far ahead is held for a mistake: it is believed once a later one goes on from there."""
        goes_on = self._jumped is not None and step > self._jumped
        self._jumped = None if goes_on else step
        return not goes_on

    def strays(self, steps: NDArray[np.int64]) -> bool:
        """Whether any of ``(n,)`` steps lies so far beyond the one before it that it would be held for a mistake."""
        before = np.concatenate([[self.step], steps[:-1]])
        return bool((steps > JUMP * (before + self._reach)).any())

    def rated(self, step: int, lr: float) -> None:
        """Take in a learning rate."""
        if 0.0 <= (rate := number(lr)) < HUGE:
            self.rates.add(step, rate)

    def told(self, step: int, tokens: float | None, seconds: float | None, critical_batch: float | None) -> None:
        """Take in what is told beside the losses, unless a later step was told before."""
        if step != self.step:
            return
        if tokens is not None and 0.0 < (seen := number(tokens)) < HUGE:
            self.tokens = seen
        if seconds is not None:
            self.pace.add(step, number(seconds))
        if critical_batch is not None and 0.0 < (batch := number(critical_batch)) < HUGE:
            self.critical_batch = batch

    def trained(self, step: int, loss: float, horizon: int = NO_END) -> bool:
        """Take in a train loss; whether a verdict is due, as it is at the last one of the plan."""
        if step <= self.offered[0]:
            self._leave_out()
            return False
        self.offered[0] = step
        loss = self._numbered("train_loss", loss)
        if not self.alarm.admits(step, loss):
            self.held_back = True
            return False
        before = self.train.last_step
        self.train.add(step, loss)
        self.validations.trained(loss)
        # The last within the plan: as far on again as from the one before lies beyond it. (`replay.feed` has it too.)
        due = self.train.total >= self.next_train or 2 * step - before > horizon > before
        return due and self.total >= NEEDED

    def _numbered(self, name: str, value: Any) -> float:
        """A number; of the first thing that is none the caller is warned, who would wait for a verdict in vain."""
        found = number(value)
        if found != found and not self._is_warned and is_no_number(value):
            self._is_warned = True
            log.warning(
                "curvecast: `%s` must be one number a call: got %.80r. It counts as none. Call `update` once a step; "
                "`curvecast.watch` takes a whole log, or a table.",
                name,
                value,
            )
        return found

    def _leave_out(self) -> None:
        """Count a train loss whose step is not later than the last; where most are so, the caller counts wrongly."""
        self._out_of_order += 1
        if self._out_of_order == max(_OUT_OF_ORDER, self.train.total):
            log.warning(
                "curvecast: %d losses were left out, for their steps are not later than step %d. Pass every optimizer "
                "step once, and count on from epoch to epoch.",
                self._out_of_order,
                self.offered[0],
            )

    def validated(self, step: int, loss: float | Mapping[str, float], horizon: int = NO_END) -> bool:
        """Take in a validation loss, or one of several; whether a verdict is due, as in ``trained``."""
        if isinstance(loss, Mapping):
            if self.val_name is None:
                self.val_name = next(iter(loss), None)
            if self.val_name is None or self.val_name not in loss:
                return False
            loss = loss[self.val_name]
        if step <= self.offered[1]:
            return False
        self.offered[1] = step
        loss = self._numbered("val_loss", loss)
        if self.train.total == 0 and not self.alarm.admits(step, loss):  # no train loss that could raise the alarm
            self.held_back = True
            return False
        if not abs(loss) < HUGE:
            return False
        before = self.val.last_step
        self.val.add(step, loss)
        self.validations.add(loss)
        self.trade = None
        if self.best_val is None or loss < self.best_val[1]:
            self.best_val = (step, loss)
        due = self.val.total >= self.next_val or 2 * step - before > horizon > before
        return due and self.total >= NEEDED

    def wait(self) -> None:
        """No further verdict is due before some more samples have come."""
        self.next_train, self.next_val = next_due(self.train.total), next_due(self.val.total, of_val=True)
        self.due, self._at_due = Due(self.train.mark(), self.val.mark(), self.step, self.rates.last), None

    def at_due(self) -> tuple[Bins, Bins] | None:
        """Both losses as fits saw them when a verdict was last due; ``None`` where none was, or one is astray now.

        They are kept, so that what was worked out of them can be told by them.
        """
        if self.due is None or self.bins()[1] is not self.val.bins():
            return None
        if self._at_due is None or self.is_judged:
            self._at_due = _at(self.train, self.due.train), _at(self.val, self.due.val).sound()
        return self._at_due

    def since_due(self) -> tuple[Since, Since]:
        """What has come of both since then."""
        assert self.due is not None
        return self.train.since(self.due.train), self.val.since(self.due.val)

    @property
    def is_judged(self) -> bool:
        """Whether no loss has joined since a verdict was last due."""
        return (self.next_train, self.next_val) == (next_due(self.train.total), next_due(self.val.total, of_val=True))

    def arm(self, *, lenient: bool) -> None:
        """Hang the alarm above the level that was reached; a lenient one lets the loss rise first."""
        watched, may_rise = (self.train, False) if self.train.total else (self.val, True)
        self.alarm.arm_above(watched.bins(), may_rise=may_rise, lenient=lenient)

    def target(self, of: Target | None = None) -> Target:
        """The loss that is meant; by itself validation, if any was seen.

        Raises:
            ValueError: if it was never seen, or is none.
        """
        if of is None:
            return "val" if self.val.total else "train"
        if not isinstance(of, str) or of not in ("val", "train"):
            raise ValueError(f"`of` must be 'val', 'train' or None: got {of!r}.")
        if not (self.val if of == "val" else self.train).total:
            raise ValueError(
                f"`of` must name a loss that was seen: got {of!r}, of which there is no sample. "
                f"Pass `{of}_loss` to `update`."
            )
        return of

    def copy(self) -> Seen:
        """An independent copy."""
        twin = copy.copy(self)
        for name in _PARTS:
            part = getattr(self, name)
            fresh = copy.copy(part)
            fresh.load_state_dict(part.state_dict())
            setattr(twin, name, fresh)
        twin.offered = list(self.offered)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Plain types, of bounded size."""
        return {
            **{name: getattr(self, name).state_dict() for name in _PARTS},
            "step": self.step,
            "val_name": self.val_name,
            "best_val": None if self.best_val is None else list(self.best_val),
            "tokens": self.tokens,
            "critical_batch": self.critical_batch,
            "next": [self.next_train, self.next_val],
            "due": None if self.due is None else self.due.dumped(),
            "offered": list(self.offered),
            "jumped": self._jumped,
            "trade": None if self.trade is None or isinstance(self.trade, Untold) else [dump_trade(self.trade[0])],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; what is garbled raises, and may leave a part of it behind."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.step, self.val_name, self.tokens = int(state["step"]), state["val_name"], known(state["tokens"])
        for step in (self.step, self.train.last_step, self.val.last_step):
            if not 0 <= step < MOST_STEPS:
                raise ValueError(f"{step:.3g} for a step")
        self.best_val = None if state["best_val"] is None else (int(state["best_val"][0]), float(state["best_val"][1]))
        self.critical_batch = known(state["critical_batch"])
        self.next_train, self.next_val = map(int, state["next"])
        self.due, self._at_due = self._load_due(state["due"]), None
        train, val = state["offered"]
        self.offered = [int(train), int(val)]
        self._jumped = known(state["jumped"])
        self.trade = None if state["trade"] is None else (load_trade(*state["trade"]),)

    def _load_due(self, state: Any) -> Due | None:
        """What ``Due.dumped`` gave; what is garbled raises."""
        if state is None:
            return None
        train, val, step, rate = state
        if rate is not None:
            rate = int(rate[0]), float(rate[1])
        due = Due(self.train.marked(train), self.val.marked(val), int(step), rate)
        rated, lr = rate or (0, 0.0)
        if not (0 <= due.step <= self.step and 0 <= rated <= self.rates.last_step and 0.0 <= lr < HUGE):
            raise ValueError(f"{state!r:.80} for where the run stood")
        return due


def _at(series: Series, mark: Mark) -> Bins:
    """A series as it was at a mark; itself where nothing came since."""
    return series.bins() if series.total == mark.total else series.at(mark)


def next_due(samples: int, *, of_val: bool = False) -> int:
    """Samples of a series at which the next verdict is due."""
    return max(samples + 1, math.ceil(samples * (REFIT_GROWTH_OF_VAL if of_val else REFIT_GROWTH)))
