"""A run that turned off its plan: whoever follows its log turns where it turned."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from curvecast import Run, Schedule, Watcher, watch
from curvecast.cli.watch import _Desk
from curvecast.fleet import Settings
from curvecast.replay import judged_to_end
from curvecast.turn import Turn

PLAN = Schedule.constant(1000)
STEPS = np.arange(1, 501)
LOSSES = 2.0 + 3.0 * STEPS**-0.5 + 0.01 * np.sin(37.0 * STEPS)


ONCE = {400: 100}
TWICE = {400: 100, 430: 40}


def live(steps: int, turns: dict[int, int] = ONCE) -> Watcher:
    """A watcher of a run that is cooled down on its way: at which steps, and over how many. No test changes it."""
    return _live(steps, tuple(turns.items()))


@cache
def _live(steps: int, turns: tuple[tuple[int, int], ...]) -> Watcher:
    watcher = Watcher(schedule=PLAN)
    for step in range(1, steps + 1):
        watcher.update(step, train_loss=float(LOSSES[step - 1]))
        if step in dict(turns):
            assert watcher.cool_down(dict(turns)[step]) is not None
    return watcher


def logged(steps: int, plan: dict[str, Any]) -> Run:
    """Its log up to a step, with the plan as it then stood."""
    nothing = np.full(steps, np.nan)
    return Run("run", STEPS[:steps], LOSSES[:steps], nothing, nothing, plan)


def turned(turns: dict[int, int] = ONCE) -> dict[str, Any]:
    turn = live(max(turns), turns).turn
    assert turn is not None
    return turn.to_plan()


@pytest.mark.parametrize("turns", [ONCE, TWICE, {400: 100, 401: 40, 410: 30}], ids=len)
@pytest.mark.parametrize("steps", [300, 400, 401, 420, 430, 431, 460, 500])
def test_a_replay_stands_where_the_run_stood(steps: int, turns: dict[int, int]) -> None:
    run, watcher = logged(steps, turned(turns)), live(steps, turns)
    replayed = watch(run)
    assert replayed.verdict.message == watcher.verdict.message
    assert replayed.forecast().median == watcher.forecast().median
    assert repr(replayed.state_dict()) == repr(watcher.state_dict())


@pytest.mark.parametrize("turns", [ONCE, TWICE], ids=len)
def test_its_state_and_what_was_told_go_on_together(turns: dict[int, int]) -> None:
    whole, run = live(500, turns), logged(500, turned(turns))
    for at in (350, 400, 420, 430, 450):
        early, late = watch(run.until(at)), watch(run.until(1))
        late.load_state_dict(early.state_dict())
        for sample in run.after(at).samples():
            late.update(sample.step, sample.train_loss)
        assert late.verdict.message == whole.verdict.message
        assert (late.horizon, late.schedule) == (whole.horizon, whole.schedule)


def test_what_a_run_tells_of_two_turns_survives_its_file() -> None:
    plan = turned(TWICE)
    turn = Turn.of(json.loads(json.dumps(plan)))
    assert turn is not None
    assert [(each.step, each.horizon, each.schedule.horizon) for each in turn.all] == [
        (400, 1000, 500),
        (430, 500, 470),
    ]
    assert turn.to_plan() == plan


def test_one_that_is_told_the_same_has_seen_nothing_and_turns_too() -> None:
    run = logged(450, turned())
    first = watch(run)
    fresh = first.fresh()
    assert (fresh.step, fresh.horizon) == (0, 1000)
    assert watch(run, like=first).verdict.message == first.verdict.message
    assert (first.horizon, first.fresh().horizon) == (500, 1000)


def test_the_rate_of_exchange_is_asked_anew_where_the_plan_changes() -> None:
    """Of a run that learns by heart and is cooled down between two validations."""
    steps = np.arange(10, 1901, 10)
    rng = np.random.default_rng(1)
    losses = 3.0 * steps**-0.3 + 0.002 * rng.standard_normal(len(steps))
    vals = 3.0 * steps**-0.3 + 0.12 * np.maximum(0.0, np.log2(steps / 900))
    vals[steps % 100 != 0] = np.nan
    watcher = Watcher(schedule=Schedule.constant(6000))
    for step, loss, val in zip(steps.tolist(), losses.tolist(), vals.tolist(), strict=True):
        watcher.update(step, loss, None if np.isnan(val) else val)
        if step == 1450:
            before = watcher.judge.view()
            assert before.held is not None
            assert watcher.cool_down(1000) is not None
            after = watcher.judge.view()
            assert after.held is None
            assert after.behind != before.behind
    assert watcher.turn is not None
    run = Run("run", steps, losses, vals, np.full(len(steps), np.nan), watcher.turn.to_plan())
    assert repr(watch(run).state_dict()) == repr(watcher.state_dict())
    assert repr(watch(run, on_verdict=lambda verdict: None).state_dict()) == repr(watcher.state_dict())


def test_a_plan_that_is_given_stands_before_that_of_the_log() -> None:
    run = logged(450, turned())
    assert watch(run, horizon=2000).horizon == 2000
    other = watch(run, horizon=800, schedule=Schedule.cosine(800))
    assert (other.horizon, other.schedule) == (800, Schedule.cosine(800))


def test_who_watches_a_log_grow_turns_when_it_says_so() -> None:
    desk = _Desk(Settings())
    for steps, plan in ((400, {"horizon": 1000, "schedule": PLAN.to_dict()}), (450, turned()), (480, turned())):
        desk.take([logged(steps, plan)])
        assert desk.summaries["run"].horizon == (1000 if steps == 400 else 500)
    assert desk.summaries["run"].message == judged_to_end(live(480)).verdict.message


@pytest.mark.parametrize("spoilt", [{"total": 0.0}, {"step": 0}, {"step": None}, {"schedule": {"steps": [1]}}])
def test_what_is_no_turn_is_refused(spoilt: dict[str, Any]) -> None:
    plan = turned()
    with pytest.raises(ValueError, match=r"`earlier` must|A schedule's dict"):
        Turn.of({**plan, "earlier": {**plan["earlier"], **spoilt}})
