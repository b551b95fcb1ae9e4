from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curvecast.laws.chinchilla import EPOCH
from curvecast.readers import Run
from curvecast.replay import watch
from curvecast.schedule import Schedule
from curvecast.sinks.report import _cells, hindsight, page_of
from curvecast.sinks.summary import summarise, summarise_forecast
from curvecast.turn import Turn


@pytest.mark.parametrize("size", [None, 4e8])
def test_hindsight_is_what_a_watcher_that_was_told_as_much_would_have_said(size: float | None) -> None:
    steps = np.arange(40, 8001, 40)
    nothing = np.full(len(steps), np.nan)
    run = Run("d24", steps, EPOCH.loss(4e8, 5e5 * steps), nothing, nothing, {"horizon": 8000})
    batch = None if size is None else 5e5
    found = hindsight(run, watch(run, num_params=size, batch_tokens=batch))
    (told,) = (row["texts"] for row in found if row["share"] == 0.25)
    assert isinstance(told, list)
    then = watch(run.until(2000), num_params=size, batch_tokens=batch).forecast(at=8000)
    assert told[:2] == _cells(summarise_forecast(then))


@pytest.mark.parametrize("told", [{"epoch_steps": 40.0}, {"dataset_tokens": 2e7, "batch_tokens": 5e5}])
def test_hindsight_knows_how_often_the_data_are_seen(told: dict[str, Any]) -> None:
    steps = np.arange(20, 4001, 20)
    train, val = (np.asarray(3.0 * steps**-alpha, dtype=np.float64) for alpha in (0.3, 0.25))
    run = Run("d24", steps, train, val, np.full(len(steps), np.nan), {"horizon": 4000})
    (words, *_) = (row["texts"] for row in hindsight(run, watch(run, **told)))
    assert isinstance(words, list)
    then = watch(run.until(400), **told).forecast(at=4000)
    assert words[:2] == _cells(summarise_forecast(then)) != _cells(summarise_forecast(watch(run.until(400)).forecast()))


def test_hindsight_of_a_run_that_turned_off_its_plan_knows_the_plan_of_then() -> None:
    steps = np.arange(10, 501, 10)
    nothing = np.full(len(steps), np.nan)
    plan = Schedule.constant(1000)
    turn = Turn(400, False, 1000, plan, plan.cooldown(start=400, steps=100), 1000.0)
    losses = np.asarray(2.0 + 3.0 * steps**-0.5, dtype=np.float64)
    run = Run("cooled", steps, losses, nothing, nothing, turn.to_plan())
    (told, *_) = (row["texts"] for row in hindsight(run, watch(run)) if row["share"] == 0.5)
    assert isinstance(told, list)
    then = watch(run.until(250), schedule=plan).forecast(at=500)
    assert told[:2] == _cells(summarise_forecast(then))


@pytest.mark.parametrize("horizon", [8000, 8039, 9000])
def test_a_verdict_has_the_words_of_the_table(horizon: int) -> None:
    steps = np.arange(40, 8001, 40)
    nothing = np.full(len(steps), np.nan)
    run = Run("d24", steps, EPOCH.loss(4e8, 5e5 * steps), nothing, nothing, {"horizon": horizon})
    watcher = watch(run)
    words = page_of(run, run, watcher)["words"]
    assert words == summarise(run, watcher).words == ("on track" if horizon == 9000 else "finished")
