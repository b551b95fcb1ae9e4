"""Forecasts of runs that were lately forecast too high or too low."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher, judge
from curvecast.fit import past
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many
from curvecast.fit.fitting import fit
from curvecast.fit.posterior import Posterior
from curvecast.forecast.hindsight import missed
from curvecast.judge import fit_together
from tests.conftest import power_run

HORIZON = 4000


def watcher_of(losses: list[float], num_params: float | None = 1e5) -> Watcher:
    watcher = Watcher(horizon=HORIZON, num_params=num_params)
    for step, loss in enumerate(losses, 1):
        watcher.update(step, train_loss=loss)
    return watcher


def straight(slope: float, steps: int = 1000) -> list[float]:
    """A loss that bends less and less, as no power law does, and then falls along a line."""
    return [loss - slope * max(step - 300, 0) for step, loss in enumerate(power_run(steps), 1)]


@pytest.mark.parametrize("slope", [4e-4, -4e-4])
def test_a_run_that_was_foretold_too_high_is_forecast_lower_than_its_law_says(slope: float) -> None:
    view = watcher_of(straight(slope)).judge.view()
    assert view.missed is not None
    moved = float(view.forecast(HORIZON).median) - float(view.by_law(HORIZON).median)
    assert np.sign(moved) == np.sign(view.missed) == -np.sign(slope)


def test_a_run_that_keeps_to_its_law_is_forecast_more_surely() -> None:
    view = watcher_of(power_run(1000)).judge.view()
    interval, by_law = view.forecast(HORIZON).interval(0.9), view.by_law(HORIZON).interval(0.9)
    assert interval.upper - interval.lower < 0.95 * (by_law.upper - by_law.lower)


def test_one_odd_batch_is_no_miss() -> None:
    """Newest losses count once they fill a bin as those before do; until then nothing is worked out anew, either."""
    losses = power_run(1000)
    before = watcher_of(losses).judge.view().missed
    assert before is not None
    assert abs(before) < 3.0  # not at a bound, where all misses are alike
    assert watcher_of([*losses, losses[-1] + 0.05]).judge.view().missed == before


def test_what_is_past_is_the_laws() -> None:
    view = watcher_of(straight(4e-4)).judge.view()
    moved = np.asarray(view.forecast([500, 999, 2000]).median) - np.asarray(view.by_law([500, 999, 2000]).median)
    assert np.abs(moved[:2]).max() < 1e-4 < 1e-2 < abs(moved[2])


def overfit(steps: int) -> Watcher:
    """A run of which validation turns at a third of the way."""
    watcher = Watcher(horizon=HORIZON, num_params=1e5)
    for step in range(40, steps + 1, 40):
        risen = 0.2 * max(3.0 * step / HORIZON - 1.0, 0.0)
        watcher.update(step, train_loss=3.0 * step**-0.2, val_loss=3.0 * step**-0.2 + risen)
    return watcher


def digits(steps: int) -> Watcher:
    """A run whose loss falls by decades, faster than a power of the steps."""
    watcher = Watcher(horizon=HORIZON, num_params=1e5)
    rng = np.random.default_rng(0)
    for step in range(10, steps + 1, 10):
        watcher.update(step, train_loss=2.0 * math.exp(-5.0 * (step / HORIZON) ** 0.8 + 0.1 * rng.standard_normal()))
    return watcher


@pytest.mark.parametrize("run", [overfit, digits])
def test_where_no_step_is_left_the_forecast_is_that_of_the_step_before(run: Callable[[int], Watcher]) -> None:
    """What is known of a run beside its law is known of its end, too: one sample more moves it by no more than that."""
    watcher = run(HORIZON - 1)
    before = watcher.forecast(watcher.step + 1).median
    assert run(HORIZON).forecast().median == pytest.approx(before, rel=0.01)


def test_large_networks_are_forecast_by_their_law() -> None:
    view = watcher_of(straight(4e-4), num_params=1e8).judge.view()
    assert view.past is None
    assert view.forecast(HORIZON).median == view.by_law(HORIZON).median


def test_asking_late_is_asking_early() -> None:
    """The fit to the past is kept, and what it says depends on the samples alone."""
    losses = straight(4e-4)
    asked, fresh = watcher_of(losses[:950]), Watcher(horizon=HORIZON, num_params=1e5)
    asked.forecast()
    fresh.load_state_dict(asked.state_dict())
    for step, loss in enumerate(losses[950:], 951):
        asked.update(step, train_loss=loss)
        fresh.update(step, train_loss=loss)
    assert asked.forecast().median == fresh.forecast().median


def test_a_validation_that_comes_late_belongs_to_the_past() -> None:
    """A checkpoint is often judged by a job of its own, while training goes on."""
    asked, fresh = Watcher(horizon=HORIZON, num_params=1e4), Watcher(horizon=HORIZON, num_params=1e4)
    losses = power_run(1289)
    for step, loss in enumerate(losses, 1):
        asked.update(step, train_loss=loss)
        if step > 350 and step % 50 == 0:
            asked.update(step - 350, val_loss=losses[step - 351] + 0.1 - 0.1 * math.log(step - 350))
    fresh.load_state_dict(asked.state_dict())
    assert asked.forecast().median == fresh.forecast().median


@pytest.mark.parametrize("shape", [lambda s: 0.5 + 0.5 * math.cos(math.pi * s), lambda s: 1.0 - s, lambda s: 1.0])
def test_one_fit_of_the_past_serves_as_long_as_the_rates_up_to_it_tell_the_same(
    shape: Callable[[float], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No schedule is known, so with every rate that falls another future is foreseen: of then it is the same one."""
    fitted: list[float] = []

    def counted(*args: Any, now: float, **options: Any) -> Posterior:
        fitted.append(now)
        return fit(*args, now=now, **options)

    monkeypatch.setattr(past, "fit", counted)
    watcher = Watcher(horizon=HORIZON, num_params=1e5)
    for step, loss in enumerate(power_run(1200), 1):
        watcher.update(step, train_loss=loss, lr=shape(step / HORIZON))
        if step > 1100:
            watcher.forecast()
    assert len([now for now in fitted if now == fitted[-1]]) <= 3


def test_what_the_learning_rate_has_done_since_is_no_miss() -> None:
    """A run keeps to its law while its rate falls: the fit of then knew of no decay, and is asked under that one."""
    prior = Prior().for_size(1e5)
    plan = Schedule.wsd(1100, decay=0.2)
    watcher = Watcher(horizon=1100, num_params=1e5)
    law = Timeline(plan, prior.annealing_shape)
    steps = np.arange(1.0, 1061.0)
    fallen = 0.3 * law.gain(steps)[0]
    for step, loss, lr in zip(steps.tolist(), power_run(1060), plan.lr(steps).tolist(), strict=True):
        watcher.update(int(step), train_loss=loss - fallen[int(step) - 1], lr=lr)
    view = watcher.judge.view()
    assert view.missed is not None
    assert view.past is not None
    then, came = view.past.posterior(), view.train
    blind = missed(then, then.timeline, came, view.past.seen, of="train", floor=0.0)
    assert blind is not None
    assert abs(view.missed) < 2.0 < -blind


def test_a_loss_that_fell_faster_than_foretold_is_not_forecast_below_zero() -> None:
    """Its law stays clear of zero; a miss that goes on is wider, and reaches it."""
    steps = np.arange(1.0, 1001.0)
    falling = 1.0 + 2.0 * steps**-0.5 - 5e-4 * np.maximum(steps - 600.0, 0.0)
    noisy = falling * (1.0 + 0.1 * np.random.default_rng(0).standard_normal(1000))
    view = watcher_of(noisy.tolist()).judge.view()
    assert view.by_law(1500).floor == -math.inf
    assert view.forecast(1500).probability_below(0.0) == 0.0


def test_fitted_together_is_fitted_alone() -> None:
    alone, together = (watcher_of(straight(4e-4), num_params=None) for _ in range(2))
    together.judge.belief.forget()
    fit_together([together.judge])
    assert together.forecast().median == pytest.approx(alone.forecast().median, rel=1e-6)


def test_pasts_are_fitted_together_that_of_a_run_which_may_have_turned_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not left to its rise is forecast as that of any other."""
    fitted: list[int] = []

    def counted(jobs: Sequence[Job]) -> list[Posterior]:
        fitted.append(sum(not job.timeline.has_decayed(job.now) for job in jobs))  # the others: decays under way
        return fit_many(jobs)

    monkeypatch.setattr(judge, "fit_many", counted)
    turned = Watcher(horizon=HORIZON)
    for step in range(1, 201):
        turned.update(step, val_loss=2.0 + 3.0 * step**-0.5 + 1e-2 * max(step - 50, 0))
    fit_together([watcher_of(straight(4e-4)).judge, turned.judge])
    assert fitted == [2, 2]
