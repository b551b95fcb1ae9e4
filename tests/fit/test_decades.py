"""Losses that fall by decades: when a law of the logarithm is believed, and what it forecasts."""

from __future__ import annotations

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher
from curvecast.curve import Bins, FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.decades import by_logs
from curvecast.forecast import Forecast
from curvecast.forecast.exponential import exponential
from curvecast.forecast.hindsight import going_on

HORIZON, SEEN = 2000, 800
STEPS = np.arange(4, SEEN + 1, 4)


def watched(loss: FloatArray, *, of: str = "val", num_params: float = 1e5) -> Watcher:
    """A run under a constant rate, seen up to two fifths."""
    watcher = Watcher(schedule=Schedule.constant(HORIZON), num_params=num_params)
    for step, each in zip(STEPS.tolist(), loss.tolist(), strict=True):
        watcher.update(step, val_loss=each) if of == "val" else watcher.update(step, train_loss=each)
    return watcher


def believed(watcher: Watcher) -> float:
    logs = watcher.judge.view().logs
    return 0.0 if logs is None else logs.probability


def noise(sd: float) -> FloatArray:
    return np.exp(sd * np.random.default_rng(0).standard_normal(len(STEPS)))


DECADES = 3.0 / (1.0 + STEPS / 100.0) ** 2
END = 3.0 / (1.0 + HORIZON / 100.0) ** 2


@pytest.mark.parametrize("of", ["train", "val"])
def test_a_loss_that_falls_by_decades_is_forecast_to_go_on(of: str) -> None:
    watcher = watched(DECADES * noise(0.03), of=of)
    ahead = watcher.forecast()
    assert believed(watcher) > 0.9
    assert ahead.median == pytest.approx(END, rel=0.35)
    assert END in ahead.interval(0.9)
    assert ahead.interval(0.9).width < watcher.judge.view().by_law(HORIZON).interval(0.9).width
    assert ahead.quantile(1e-4) > 0.0


def test_the_law_of_the_logarithm_has_no_growth_though_its_newest_loss_stands_above_its_lowest() -> None:
    """As it was weighed; and near 0 noise is no longer one of the logarithm, which so seems to turn."""
    loss = DECADES * noise(0.1)
    loss[-11:] *= 1.3
    logs = watched(loss).judge.view().logs
    assert logs is not None
    assert logs.posterior.turned
    assert not logs.posterior.grows


def test_a_loss_with_a_floor_keeps_its_law() -> None:
    watcher = watched((0.3 + DECADES) * noise(0.01))
    assert believed(watcher) < 0.2  # no more than beforehand
    view = watcher.judge.view()
    assert view.past is not None
    assert view.missed is not None
    moved = going_on(view.by_law(HORIZON), view.missed, view.past.goes_on, SEEN)
    assert watcher.forecast().median == pytest.approx(moved.median, rel=0.02)


@pytest.mark.parametrize(
    ("loss", "num_params"),
    [
        (DECADES, 1e7),  # a large network's
        (DECADES + 0.06, 1e5),  # one that falls by decades, too
        (DECADES - 0.05, 1e5),  # below zero
        (10.0 * STEPS**-0.1, 1e5),  # by less than a factor of two
    ],
)
def test_the_logarithm_is_asked_of_small_networks_and_positive_losses_that_fall(
    loss: FloatArray, num_params: float
) -> None:
    asked = watched(loss * noise(0.01), num_params=num_params).judge.view().logs is not None
    assert asked == (num_params < 1e7 and bool(loss.min() > 0.0 and loss.max() > 2.0 * loss[-1]))


def test_the_forecast_begins_where_the_loss_stands() -> None:
    loss = DECADES * noise(0.03)
    start = watched(loss).forecast(at=SEEN)
    assert start.median == pytest.approx(DECADES[-1], rel=0.05)
    assert watched(loss).forecast(at=HORIZON).quantile(0.9999) < 1.01 * loss.max()


def test_another_unit_of_the_loss_gives_the_same_forecast() -> None:
    loss = DECADES * noise(0.03)
    one, other = watched(loss), watched(1000.0 * loss)
    assert believed(other) == pytest.approx(believed(one), abs=1e-9)
    assert other.forecast().median == pytest.approx(1000.0 * one.forecast().median, rel=1e-6)


@pytest.mark.parametrize("sd", [0.01, 0.3, 1.0])
def test_the_exponential_of_a_gaussian_is_log_normal(sd: float) -> None:
    y = Forecast(1.0, "val", np.ones((1, 1)), np.array([[1.0]]), np.array([[sd / 10.0]]))
    loss = exponential(y, unit=10.0, level=2.0, highest=1e3)
    assert loss.mean == pytest.approx(2.0 * np.exp(0.5 * sd**2), rel=2e-3)
    for q, z in ((0.05, -1.645), (0.5, 0.0), (0.95, 1.645)):
        assert loss.quantile(q) == pytest.approx(2.0 * np.exp(z * sd), rel=0.03)


@pytest.mark.parametrize("sd", [0.5, 2.0, 20.0])
def test_the_exponential_of_a_doubtful_logarithm_stays_near_what_was_seen(sd: float) -> None:
    y = Forecast(1.0, "val", np.ones((1, 1)), np.array([[0.9]]), np.array([[sd]]))
    loss = exponential(y, unit=10.0, level=2.0, highest=5.0)
    assert loss.mean < 5.0
    assert loss.quantile(0.999) < 50.0


@pytest.mark.filterwarnings("error")
def test_a_loss_below_zero_before_all_that_a_fit_looks_at_changes_nothing() -> None:
    step = np.geomspace(1.0, 1200.0, 60)
    began = np.where(step < 3.0, -1.0, 50.0 / step)
    clock, prior = Timeline(None, Prior().annealing_shape), Prior().for_size(1e5)
    first, second = (
        by_logs(Bins(step, mean, np.ones(60), 1e-8), clock, prior, of_val=True, now=1200.0)
        for mean in (50.0 / step, began)
    )
    assert first is not None
    assert second is not None
    assert second.probability == first.probability > 0.0
