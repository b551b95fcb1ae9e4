"""The learning rate of a run, past and planned, relative to its peak: the ways to make one, and to change it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from curvecast.schedule.checks import check_cooldown, check_plan, is_number, rates_of_every_step
from curvecast.schedule.knots import DecayShape, compress, decay_knots, one_a_step
from curvecast.schedule.polyline import Polyline
from curvecast.schedule.scheduler import has_stepped, replay_lrs

if TYPE_CHECKING:
    from curvecast.infer import PossibleSchedule


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Schedule(Polyline):
    """The relative learning rate (peak 1) at every optimizer step ``1..horizon``, linear between knots.

    A schedule is a value: it never changes, compares by its knots, and stays small however long the run is
    (129 knots for a cosine over 10^6 steps). Before step 1 it holds its first LR, after the horizon its last.

    Args:
        steps: ``(K,)`` knots [steps], strictly increasing; the first is 1, the last is the horizon.
        lr: ``(K,)`` LR at the knots over the run's peak LR, each in [0, 1].

    Raises:
        ValueError: if the knots break one of these rules.

    Example:
        >>> schedule = Schedule.cosine(10_000, warmup=100, floor=0.1)
        >>> schedule
        Schedule(horizon=10000, knots=130, lr=0.01..1..0.1)
        >>> schedule.lr([1, 100, 5050, 10_000]).round(4).tolist()
        [0.01, 1.0, 0.55, 0.1]
        >>> round(schedule.summed(10_000), 1)
        5495.0
    """

    def __repr__(self) -> str:
        first, peak, last = self.knot_lrs[0], max(self.knot_lrs), self.knot_lrs[-1]
        knots = len(self.knot_lrs)
        return f"Schedule(horizon={self.horizon}, knots={knots}, lr={first:.3g}..{peak:.3g}..{last:.3g})"

    @classmethod
    def constant(cls, n: int, *, warmup: int = 0) -> Schedule:
        """Peak LR throughout, after a linear warm-up.

        Args:
            n: horizon [steps], at least 1.
            warmup: steps of the warm-up, at most `n`: step ``s`` has LR ``s / warmup``.

        Raises:
            ValueError: if `n` or `warmup` is out of range.

        Example:
            >>> Schedule.constant(100, warmup=4).lr([1, 2, 3, 4, 100]).tolist()
            [0.25, 0.5, 0.75, 1.0, 1.0]
        """
        n, peak = check_plan(n, warmup, 0.0, room=0)
        return cls(*one_a_step([1.0, peak, n], [1 / max(warmup, 1), 1.0, 1.0]))

    @classmethod
    def cosine(cls, n: int, *, warmup: int = 0, floor: float = 0.0) -> Schedule:
        """Half a cosine from the peak, at the end of the warm-up, to `floor` at step `n`.

        Args:
            n: horizon [steps], at least 1.
            warmup: steps of the linear warm-up, less than `n`.
            floor: relative LR at step `n`, in [0, 1].

        Raises:
            ValueError: if an argument is out of range.

        Example:
            >>> Schedule.cosine(100, floor=0.1).lr([1, 100]).tolist()
            [1.0, 0.1]
        """
        return cls._decaying(n, warmup=warmup, decay=None, shape="cosine", floor=floor)

    @classmethod
    def linear(cls, n: int, *, warmup: int = 0, floor: float = 0.0) -> Schedule:
        """A straight line from the peak, at the end of the warm-up, to `floor` at step `n`.

        Args:
            n: horizon [steps], at least 1.
            warmup: steps of the linear warm-up, less than `n`.
            floor: relative LR at step `n`, in [0, 1].

        Raises:
            ValueError: if an argument is out of range.

        Example:
            >>> Schedule.linear(101, floor=0.5).lr([1, 51, 101]).tolist()
            [1.0, 0.75, 0.5]
        """
        return cls._decaying(n, warmup=warmup, decay=None, shape="linear", floor=floor)

    @classmethod
    def wsd(
        cls, n: int, *, warmup: int = 0, decay: float = 0.2, shape: DecayShape = "linear", floor: float = 0.0
    ) -> Schedule:
        """Warm-up, stable peak LR, then a decay to `floor` at step `n`.

        Args:
            n: horizon [steps], at least 1.
            warmup: steps of the linear warm-up.
            decay: length of the decay: a float of at most 1 is a fraction of `n` (1.0: all but the warm-up), anything
                else is steps.
            shape: "linear", "cosine", "sqrt" (``1 - sqrt(u)``) or "exponential" (needs a positive floor).
            floor: relative LR at step `n`, in [0, 1].

        Raises:
            ValueError: if an argument is out of range, or warm-up and decay do not fit in `n` steps.

        Example:
            >>> Schedule.wsd(1000, warmup=10, decay=0.2).lr([10, 800, 900, 1000]).tolist()
            [1.0, 1.0, 0.5, 0.0]
        """
        if not is_number(decay) or not 0 < decay < np.inf:
            raise ValueError(f"`decay` must be positive: got {decay}. Pass steps, or a fraction of the run.")
        steps = round(decay * n) if isinstance(decay, float | np.floating) and decay <= 1 else round(decay)
        if decay == 1 and isinstance(decay, float | np.floating):  # all of the run that is no warm-up
            return cls._decaying(n, warmup=warmup, decay=None, shape=shape, floor=floor)
        return cls._decaying(n, warmup=warmup, decay=max(steps, 1), shape=shape, floor=floor)

    @classmethod
    def _decaying(cls, n: int, *, warmup: int, decay: int | None, shape: DecayShape, floor: float) -> Schedule:
        """Warm-up, peak LR, and a decay over the last `decay` steps; ``None``: over all that is no warm-up."""
        n, peak = check_plan(n, warmup, floor, room=1)
        if n == 1:
            return cls([1.0], [1.0])
        length = n - peak if decay is None else decay
        if n - length < peak:
            raise ValueError(f"`warmup` and `decay` must fit in `n`: got n={n}, warmup={warmup}, decay={length} steps.")
        steps, lrs = decay_knots(n - length, length, top=1.0, floor=floor, shape=shape)
        return cls(*one_a_step([1.0, peak, *steps.tolist()], [1 / max(warmup, 1), 1.0, *lrs.tolist()]))

    @classmethod
    def from_array(
        cls, lr: ArrayLike, *, peak: float | None = None, tolerance: float = 1e-4, max_knots: int = 1024
    ) -> Schedule:
        """Knots for the LR of every step.

        Args:
            lr: ``(n,)``: LR of steps ``1..n``, in any unit; finite and not negative.
            peak: LR to divide by, at least the largest; None: the largest.
            tolerance: largest error of the knots' lines [of peak]; it doubles until `max_knots` are enough.
            max_knots: at least 3.

        Raises:
            ValueError: if `lr` is empty, not one-dimensional, negative or not finite.

        Example:
            >>> Schedule.from_array([3e-4] * 900 + [3e-5] * 100).knot_steps
            (1.0, 900.0, 901.0, 1000.0)
        """
        y = rates_of_every_step(lr)
        if max_knots < 3 or not tolerance >= 0:
            raise ValueError(
                f"`max_knots` must be at least 3 and `tolerance` not negative: got {max_knots}, {tolerance}."
            )
        top = float(y.max()) if peak is None else float(peak)
        if top < y.max():
            raise ValueError(f"`peak` must be at least the largest LR, {y.max()}: got {peak}.")
        y = y / top if top > 0 else y
        kept = compress(y, tolerance, max_knots)
        return cls(kept + 1.0, y[kept])

    @classmethod
    def from_log(cls, steps: ArrayLike, lr: ArrayLike) -> Schedule:
        """LRs that were logged at some steps: straight lines between them, held before the first.

        Args:
            steps: ``(k,)`` increasing, from 1 [steps].
            lr: ``(k,)`` in any unit, not negative, one of them positive.

        Raises:
            ValueError: if the steps do not increase, or no LR is positive.

        Example:
            >>> Schedule.from_log([10, 20], [3e-4, 1.5e-4]).lr([1, 10, 20]).tolist()
            [1.0, 1.0, 0.5]
        """
        s, y = np.asarray(steps, dtype=np.float64), np.asarray(lr, dtype=np.float64)
        if not (y.size and y.max() > 0.0):
            raise ValueError(f"`lr` must hold a positive LR: got {y.size} without one. Pass those that were used.")
        if s[0] > 1.0:
            s, y = np.append(1.0, s), np.append(y[0], y)
        return cls(s, y / y.max())

    @classmethod
    def from_torch(
        cls, scheduler: Any, *, steps: int, past: ArrayLike | None = None, share: Iterable[object] = ()
    ) -> Schedule:
        """Replay a torch scheduler that steps once after every optimizer step.

        A detached copy is stepped; the scheduler and its optimizer stay as they are. Any object with
        ``optimizer.param_groups`` and ``step()`` will do; torch is not imported. With several param groups
        the one with the largest peak LR counts. A scheduler that raises ValueError past its end (OneCycleLR)
        holds its last LR. The future of one that waits for a metric (ReduceLROnPlateau) is conditional on
        losses yet to come: the present LR is held; `is_conditional` tells.

        Args:
            scheduler: a fresh scheduler, or one that has stepped, with `past`.
            steps: horizon [optimizer steps], at least 1.
            past: ``(k,)``: the LRs used in steps ``1..k`` before the scheduler's present state; needed where
                it has stepped, as a scheduler cannot be run backwards.
            share: objects that the copy must not copy (module, trainer), where the scheduler refers to them.

        Raises:
            ValueError: if `steps` < 1, or the scheduler has stepped and `past` is None.
            TypeError: if the scheduler cannot be stepped or copied.

        Example:
            >>> from types import SimpleNamespace
            >>> class Halving:
            ...     optimizer = SimpleNamespace(param_groups=[{"params": [], "lr": 8e-4}])
            ...     def step(self):
            ...         self.optimizer.param_groups[0]["lr"] /= 2
            >>> Schedule.from_torch(Halving(), steps=4).knot_lrs
            (1.0, 0.5, 0.25, 0.125)
        """
        if steps < 1:
            raise ValueError(f"`steps` must be at least 1: got {steps}. Pass the planned optimizer steps.")
        if past is None and has_stepped(scheduler):
            raise ValueError(
                f"`scheduler` must be fresh, or `past` given: got a {type(scheduler).__name__} that has "
                "stepped. Pass past= the LRs used so far, or build the schedule before training."
            )
        used = np.asarray([] if past is None else past, dtype=np.float64)[:steps]
        return cls.from_array(np.append(used, replay_lrs(scheduler, steps - len(used), share=share)))

    @classmethod
    def infer(
        cls,
        lr_so_far: ArrayLike,
        horizon: float | None = None,
        steps: ArrayLike | None = None,
        *,
        held: bool = False,
    ) -> tuple[PossibleSchedule, ...]:
        """Schedules that a logged LR may belong to, past and future, the likeliest first.

        What the log does not tell apart stays side by side: a constant LR may be held or decay at the end, and
        a cosine is flat at its top. `docs/schedules.md` lists what is known and what is assumed.

        Args:
            lr_so_far: ``(k,)``: LR of steps ``1..k``, or of `steps`, in any unit; values that are negative or
                not finite are left out.
            horizon: planned steps; None where unknown: then a decay that can be seen tells where it ends, and
                an LR that is constant so far ends at the last step seen. The last step seen, if that is later.
            steps: ``(k,)``: completed steps of the log, increasing, from 1; None: every step. The LR between
                them is taken to be straight, before the first it is held.
            held: whether nothing is known that would change the LR, as where a trainer has no scheduler: then one
                that is constant so far is taken to stay so. A fall that is seen is explained all the same.

        Returns:
            Between 1 and 6 candidates, whose probabilities sum to 1. An LR of zeros, or none at all, gives one
            that holds it, "as logged".

        Raises:
            ValueError: if `horizon` is not a positive whole number, or `steps` do not increase or do not fit.

        Example:
            >>> seen = Schedule.cosine(1000, warmup=50).lr(range(1, 301))
            >>> [(possible.kind, possible.probability) for possible in Schedule.infer(seen, horizon=1000)]
            [('cosine', 1.0)]
            >>> for possible in Schedule.infer([3e-4] * 750, horizon=1000):
            ...     print(f"{possible.kind:8} {possible.probability:.2f} {possible.schedule}")
            constant 0.50 Schedule(horizon=1000, knots=3, lr=1..1..1)
            wsd      0.29 Schedule(horizon=1000, knots=4, lr=1..1..0)
            wsd      0.21 Schedule(horizon=1000, knots=4, lr=1..1..0)
        """
        from curvecast.infer import infer_schedule

        return infer_schedule(lr_so_far, horizon, steps, held=held)

    @classmethod
    def from_dict(cls, d: Mapping[str, Sequence[float]]) -> Schedule:
        """The schedule that `to_dict` wrote.

        Raises:
            ValueError: if a key is missing or the knots break a rule.
        """
        if not isinstance(d, Mapping):
            raise ValueError(f"A schedule's dict has the keys 'steps' and 'lr': got {d!r:.40}.")
        if not {"steps", "lr"} <= d.keys():
            raise ValueError(f"A schedule's dict has the keys 'steps' and 'lr': got {sorted(d)}.")
        return cls(d["steps"], d["lr"])

    def cooldown(self, *, start: int, steps: int, shape: DecayShape = "linear", floor: float = 0.0) -> Schedule:
        """The same past up to `start`, then a decay to `floor` at ``start + steps``.

        LRs stay relative to this schedule's peak, even where `start` comes before it.

        Args:
            start: step whose LR is the decay's top, at least 1; after the horizon the last LR is held.
            steps: length of the decay, at least 1.
            shape: as in `wsd`.
            floor: LR at the end, relative to the peak; the LR never rises to it.

        Raises:
            ValueError: if an argument is out of range.

        Example:
            >>> Schedule.constant(20_000).cooldown(start=5000, steps=1000).lr([5000, 5500, 6000]).tolist()
            [1.0, 0.5, 0.0]
        """
        start, steps = check_cooldown(start, steps, floor)
        top = self.lr(start)
        tail_steps, tail_lr = decay_knots(start, steps, top=top, floor=min(floor, top), shape=shape)
        past = self._steps < start
        return Schedule(np.append(self._steps[past], tail_steps), np.append(self._lrs[past], tail_lr))

    def stretched(self, *, start: int, end: int) -> Schedule:
        """The same past up to `start`, and what is left of the plan stretched, or pressed, to end at `end`.

        Raises:
            ValueError: if `start` does not lie before the horizon and before `end`.

        Example:
            >>> Schedule.linear(1000).stretched(start=500, end=1500).lr([500, 1000, 1500]).round(3).tolist()
            [0.501, 0.25, 0.0]
        """
        if not 1 <= start < min(self.horizon, end):
            raise ValueError(
                f"`start` must lie before the horizon and before `end`: got start={start}, horizon={self.horizon}, "
                f"end={end}."
            )
        rest = self._steps > start
        factor = (end - start) / (self.horizon - start)
        past = self._steps < start
        steps = np.append(self._steps[past], float(start)), start + factor * (self._steps[rest] - start)
        rates = np.append(self._lrs[past], self.lr(start)), self._lrs[rest]
        return Schedule(np.concatenate(steps), np.concatenate(rates))
