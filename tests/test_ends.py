"""A verdict is due where the plan ends, alike for live runs, logs, states and fleets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curvecast.decisions.alarm import Alarm
from curvecast.readers import Run
from curvecast.replay import Replay, watch, watcher_for
from curvecast.seen import Seen
from curvecast.watcher import Watcher


def loss(step: int) -> float:
    return 2.0 + 3.0 / math.sqrt(step)


def run_of(every: int, horizon: int, *, val_every: int = 0, beyond: int = 0) -> Run:
    """A run that logs as often as it is told, up to its horizon or some steps further."""
    steps = np.arange(1, horizon + beyond + 1)
    train, val, nothing = np.full(len(steps), math.nan), np.full(len(steps), math.nan), np.full(len(steps), math.nan)
    train[every - 1 :: every] = (2.0 + 3.0 * steps**-0.5)[every - 1 :: every]
    if val_every:
        val[val_every - 1 :: val_every] = (2.1 + 3.0 * steps**-0.5)[val_every - 1 :: val_every]
    told = ~(np.isnan(train) & np.isnan(val))
    return Run("d12", steps[told], train[told], val[told], nothing[told], {"horizon": horizon})


@pytest.mark.parametrize("horizon", [970, 985, 1000, 1003])
def test_a_loop_ends_finished(horizon: int) -> None:
    watcher = Watcher(horizon=horizon)
    for step in range(1, horizon + 1):
        verdict = watcher.update(step, train_loss=loss(step))
    assert verdict is watcher.verdict
    assert (verdict.step, "finished" in verdict.message) == (horizon, True)


@pytest.mark.parametrize(
    ("every", "horizon", "last"), [(3, 1000, 999), (7, 1003, 1001), (4, 1003, 1000), (1, 999, 999)]
)
def test_the_last_verdict_is_at_the_last_loss_that_the_plan_has_room_for(every: int, horizon: int, last: int) -> None:
    assert watch(run_of(every, horizon)).verdict.step == last


def test_a_run_that_goes_on_beyond_its_plan_is_not_judged_at_every_loss() -> None:
    run, decided = run_of(1, 1000, beyond=40), list[int]()
    watch(run, on_verdict=lambda verdict: decided.append(verdict.step))
    assert [step for step in decided if step >= 1000] == [1000]


def test_both_losses_are_heard_at_the_end() -> None:
    """In a log the last validation comes after the last train loss, of the same step."""
    decided = list[tuple[int, int]]()
    run = run_of(1, 1000, val_every=4)
    watcher = watcher_for(run)
    before = watcher.verdict
    for sample in run.samples():
        if (verdict := watcher.take(sample)) is not before:
            decided.append((watcher.seen.train.total, watcher.seen.val.total))
            before = verdict
    assert decided[-2:] == [(1000, 249), (1000, 250)]


@pytest.mark.parametrize(("every", "val_every", "beyond"), [(1, 4, 0), (3, 0, 0), (3, 50, 30), (7, 4, 0), (1, 0, 30)])
def test_logs_and_states_agree_with_the_loop(every: int, val_every: int, beyond: int) -> None:
    run = run_of(every, 400, val_every=val_every, beyond=beyond)
    live, resumed = watcher_for(run), watcher_for(run)
    for sample in run.samples():
        live.take(sample)
        resumed.take(sample)
        if sample.step in (399, 400):
            state, resumed = resumed.state_dict(), watcher_for(run)
            resumed.load_state_dict(state)
    last = int(run.until(400).steps[-1])
    assert live.verdict.step >= last
    assert repr(live.state_dict()) == repr(watch(run).state_dict()) == repr(resumed.state_dict())
    if not beyond:
        assert repr(Replay(watcher_for(run), run, to_end=True).finish().state_dict()) == repr(live.state_dict())


def test_no_other_loss_is_the_last_of_its_plan() -> None:
    """At a steady pace one is, within the plan; else no more than it takes to halve what is left of it."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        horizon = int(rng.integers(10, 10_000))
        steady, odd = range(1, horizon + 1, int(rng.integers(1, 9))), np.unique(rng.integers(1, horizon + 1, 300))
        for steps, least, most in ((steady, 1, 1), (odd, 0, 2 + math.log2(horizon))):
            seen = Seen(None, Alarm())
            seen.val.extend(np.arange(1, 13), np.ones(12))  # enough for a fit
            seen.next_train = 1 << 62
            assert least <= sum(seen.trained(int(step), 1.0, horizon) for step in steps) <= most
