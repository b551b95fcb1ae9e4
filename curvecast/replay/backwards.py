"""A logged run's last verdict, worked out first: earlier ones only as far as it depends on them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from curvecast.decisions.base import UNTOLD, Decision, Reason, StandingNeeded, TradeNeeded, Verdict
from curvecast.forecast import Forecast
from curvecast.judge import Judge
from curvecast.readers import Run
from curvecast.replay.feed import Feed, NotPlain
from curvecast.seen import Seen
from curvecast.watcher import Watcher


def verdicts(watcher: Watcher, run: Run) -> Iterator[Verdict]:
    """The verdict that stands after each sample."""
    for sample in run.samples():
        yield watcher.take(sample)


def keeps_nothing(decision: Decision) -> bool:
    """Whether a decision need not be asked at every verdict: it is frozen, and what it wraps too, so none remembers."""
    if not (is_dataclass(decision) and decision.__dataclass_params__.frozen):
        return False
    parts = (getattr(decision, part.name) for part in fields(decision))
    return all(keeps_nothing(part) for part in parts if hasattr(part, "decide"))


class Replay:
    """A logged run on its way through a watcher, for its last verdict alone.

    A verdict depends on earlier ones only through what stands: a reason that was said is held on to. So the last
    verdict is worked out first, and earlier ones only as far back as it depends on them.

    Args:
        watcher: a watcher that has seen nothing yet; it is fed, to its end or up to where the last verdict is due.
        run: the run.
        to_end: whether the last verdict is on the whole log, also where the run was last judged some losses before its
            end, as a run is judged anew only after 5 % more losses.
    """

    def __init__(self, watcher: Watcher, run: Run, *, to_end: bool = False) -> None:
        self._watcher, self._feed, self._last = watcher, None, None
        self._ends_apart = False  # whether the last verdict is one on the whole log, which was not due there
        self._due: list[Judge] = []
        try:
            self._feed = Feed(run, watcher, to_end=to_end)
        except NotPlain:
            self._due = watcher.judge.put_off(verdicts(watcher, run))
            if to_end and (newest := watcher.judge.newest()) is not None:
                self._due.append(newest)
                self._ends_apart = True
            return
        self._ends_apart = self._feed.ends_apart
        self._places = self._feed.dues.worth_judging()
        if len(self._feed.dues):
            self._last = self._feed.dues[-1]
            self._feed.give(watcher, None, self._last)
            self._feed.arm(watcher, self._last)

    @property
    def unfitted(self) -> Judge | None:
        """Who fits for the last verdict; ``None`` where nothing is fitted."""
        last = self._at(self._verdicts - 1) if self._verdicts else None
        return None if last is None or last.blew_up else last

    def finish(self) -> Watcher:
        """Give the verdict, and feed what came after it."""
        watcher = self._watcher
        if self._verdicts:
            watcher.judge.verdict, last = self._verdict(self._verdicts - 1)
            if _same_trade(last, watcher.judge):
                watcher.seen.trade = last.seen.trade
        if self._feed is not None:
            self._feed.give(watcher, self._last, self._feed.end)
        return watcher

    @property
    def _verdicts(self) -> int:
        return len(self._due) if self._feed is None else len(self._places)

    def _at(self, k: int) -> Judge:
        """Who gives the ``k``-th verdict, and has seen what it is given on."""
        judge = self._due[k] if self._feed is None else self._fed(self._feed, k)
        judge.is_first = k == 0
        return judge

    def _fed(self, feed: Feed, k: int) -> Judge:
        """As `_at`, of a run that is fed by the column."""
        if k == len(self._places) - 1:
            return self._watcher.judge
        earlier = self._watcher.fresh()
        feed.give(earlier, None, self._places[k])
        feed.arm(earlier, self._places[k])
        return earlier.judge

    def _verdict(self, k: int) -> tuple[Verdict, Judge]:
        """The ``k``-th verdict, and who gave it; as many before it are given as that takes."""
        try:
            verdict, judge = self._judged_back(k, traded=False)
        except TradeNeeded:
            return self._judged_back(k, traded=True)
        if judge.seen.trade is not UNTOLD:
            return verdict, judge
        if _stands_at_best(judge.seen):
            judge.seen.trade = None  # then nobody asked
            return verdict, judge
        return self._judged_back(k, traded=True)

    def _judged_back(self, k: int, *, traded: bool) -> tuple[Verdict, Judge]:
        """The ``k``-th verdict and its judge, with as many before it as it depends on.

        Args:
            k: Its place.
            traded: Whether verdicts back to the newest validation are given too, since the rate of exchange that one of
                them asked for is kept.
        """
        waiting, given = self._back_to_sure(k, traded=traded)
        for at, judge in reversed(waiting):
            judge.seen.trade = given[1].seen.trade if given is not None and self._follows(at) else None
            standing = None if given is None else given[0].to_stop_for  # no verdict stood before the first
            given = judge.judged(standing, self._before(at) if judge.blew_up else None), judge
        assert given is not None
        return given

    def _back_to_sure(self, k: int, *, traded: bool) -> tuple[list[tuple[int, Judge]], tuple[Verdict, Judge] | None]:
        """Back from the ``k``-th verdict to one that can be given without knowing any before it.

        Args:
            k: As in ``_judged_back``.
            traded: Likewise.

        Returns:
            Place and judge of those after it, which wait for what it says, the newest first; and that verdict with its
            judge, ``None`` where all wait: then nothing stood before the first.
        """
        waiting: list[tuple[int, Judge]] = []
        for at in range(k, -1, -1):
            judge, follows = self._at(at), self._follows(at)
            judge.seen.trade = UNTOLD if follows else None
            try:
                verdict = judge.judged(UNTOLD, self._before(at) if judge.blew_up else None)
            except StandingNeeded as needed:
                traded = traded or isinstance(needed, TradeNeeded)
            else:
                if not (traded and follows):
                    return waiting, (verdict, judge)
            waiting.append((at, judge))
        return waiting, None

    def _follows(self, k: int) -> bool:
        """Whether no validation has come since the verdict before the ``k``-th, and the plan is the same.

        A verdict on the whole log follows none: what the newest validation tells is asked on all that was seen.
        """
        if k == 0 or (self._ends_apart and k == self._verdicts - 1):
            return False
        if self._feed is None:
            return _same_trade(self._due[k - 1], self._due[k])
        return self._places[k - 1].vals == self._places[k].vals

    def _before(self, k: int) -> Forecast | None:
        """The forecast of the last verdict before the ``k``-th that the run had not yet blown up at."""
        earlier = next((at for at in range(k - 1, -1, -1) if not self._at(at).blew_up), None)
        return None if earlier is None else self._verdict(earlier)[0].forecast


def judged_to_end(watcher: Watcher) -> Watcher:
    """A watcher that has seen the same, with a verdict on all of it though none is due; this one stays as it is.

    Example:
        >>> watcher = Watcher(horizon=1000)
        >>> for step in range(1, 104):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        >>> verdict.step, judged_to_end(watcher).verdict.step, watcher.verdict.step
        (102, 103, 102)
    """
    if (judge := watcher.judge.newest()) is None:
        return watcher
    judge.is_first = judge.verdict.reason is Reason.NOT_ENOUGH_DATA
    judge.verdict = judge.judged(judge.verdict.to_stop_for, judge.verdict.forecast)
    judged = copy.copy(watcher)
    judged.judge, judged.seen, judged.course = judge, judge.seen, judge.course
    return judged


def _same_trade(one: Judge, other: Judge) -> bool:
    """Whether the rate of exchange that was asked by the one is that of the other: nothing new is asked."""
    return one.seen.val.total == other.seen.val.total and one.course.turn is other.course.turn


def _stands_at_best(seen: Seen) -> bool:
    """Whether the newest validation is the lowest, or none came: then no verdict asks for the rate of exchange."""
    return seen.best_val is None or float(seen.validations.recent().val[-1]) <= seen.best_val[1]
