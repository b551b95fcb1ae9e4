from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curvecast import Schedule, Watcher
from curvecast.plots import forecast_figure
from curvecast.testing import SimulatedRun
from tests.conftest import feed


@pytest.fixture
def watcher(followed: Watcher) -> Watcher:
    """800 of 3000 steps seen, train and validation loss."""
    return followed


def named(figure: Any, name: str) -> Any:
    """The trace of that name."""
    return next(trace for trace in figure.data if trace.name == name)


def names(figure: Any) -> set[str]:
    """What stands in the legend."""
    return {trace.name for trace in figure.data if trace.showlegend is not False}


def words(figure: Any) -> str:
    """Everything that is written into the picture."""
    return "\n".join(annotation.text for annotation in figure.layout.annotations)


def test_the_fan_reaches_from_the_last_step_to_the_horizon(watcher: Watcher) -> None:
    median = named(forecast_figure(watcher, points=7), "median")
    assert np.array(median.x) == pytest.approx(np.linspace(800, 3000, 7))
    assert median.y[-1] == pytest.approx(watcher.forecast().median, rel=1e-6)


def test_the_bands_are_nested_around_the_median(watcher: Watcher) -> None:
    figure = forecast_figure(watcher, points=9)
    bands = [np.array(t.y).reshape(2, 9) for t in figure.data if t.fill == "toself"]
    median = np.array(named(figure, "median").y)
    assert len(bands) == 3
    upper, lower = (np.array([band[k] for band in bands]) for k in (0, 1))
    assert np.all(np.diff(upper, axis=0) < 0)
    assert np.all(upper[-1] > median)
    assert np.all(np.diff(lower, axis=0) > 0)
    assert np.all(lower[-1, ::-1] < median)


def test_drawing_changes_nothing(watcher: Watcher) -> None:
    before = watcher.state_dict()
    forecast_figure(watcher)
    assert watcher.state_dict() == before


def test_what_was_seen_is_drawn_as_the_watcher_keeps_it(watcher: Watcher) -> None:
    figure = forecast_figure(watcher)
    for of, name in (("train", "training loss"), ("val", "validation loss")):
        bins = watcher.bins(of)  # type: ignore[arg-type]
        assert np.array_equal(named(figure, name).x, bins.step)
        assert np.array_equal(named(figure, name).y, bins.mean)


def test_other_bins_can_be_drawn(watcher: Watcher) -> None:
    bins = replace(watcher.bins("train"), mean=np.full(len(watcher.bins("train")), 9.0))
    assert set(named(forecast_figure(watcher, train=bins), "training loss").y) == {9.0}


def test_hindsight_is_drawn_from_where_the_seen_curve_ends(watcher: Watcher) -> None:
    steps = np.arange(100, 3001, 100)
    losses = np.where(steps == 1000, np.nan, 2.0)
    figure = forecast_figure(watcher, truth=(steps, losses))
    assert named(figure, "what came").x.tolist() == [800, 900, *range(1100, 3001, 100)]
    assert "came" in figure.layout.title.text


@pytest.mark.parametrize("truth", [None, ([], []), ([100, 800], [3.0, 2.9])])
def test_there_is_no_hindsight_before_anything_came(watcher: Watcher, truth: Any) -> None:
    figure = forecast_figure(watcher, truth=truth)
    assert "what came" not in names(figure)
    assert "came" not in figure.layout.title.text


def test_axes_say_what_they_measure(watcher: Watcher) -> None:
    layout = forecast_figure(watcher).layout
    assert (layout.xaxis2.title.text, layout.yaxis.title.text) == ("optimizer steps", "loss")
    assert "learning rate" in layout.yaxis2.title.text


def test_the_plan_is_drawn_where_it_is_known(watcher: Watcher) -> None:
    rate = [trace for trace in forecast_figure(watcher).data if trace.name == "learning rate"]
    assert [trace.x[-1] for trace in rate] == [800, 3000]
    unplanned = Watcher(horizon=100)
    for step in range(1, 51):
        unplanned.update(step, train_loss=2.0 + step**-0.5)
    assert "learning rate" not in {trace.name for trace in forecast_figure(unplanned).data}


@pytest.mark.parametrize("seen", [0, 1, 11])
def test_before_a_forecast_is_possible_the_curve_stands_alone(seen: int) -> None:
    watcher = Watcher(schedule=Schedule.constant(100))
    for step in range(1, seen + 1):
        watcher.update(step, train_loss=3.0)
    for log_x in (False, True):
        figure = forecast_figure(watcher, log_x=log_x)
        assert names(figure) == ({"training loss"} if seen else set())
        assert np.all(np.isfinite(figure.layout.yaxis.range))
        assert np.all(np.isfinite(figure.layout.xaxis.range))


def test_a_picture_of_few_losses_shows_them_all_and_says_that_they_are_few() -> None:
    watcher = Watcher(horizon=1000)
    empty = forecast_figure(watcher)
    assert (empty.layout.title.text, words(empty)) == ("No loss seen yet", "")
    for step in range(5, 45, 5):
        watcher.update(step, train_loss=5.0 - 0.02 * step)
    figure = forecast_figure(watcher)
    assert figure.layout.title.text == "Training loss up to step 40: too few losses for a forecast"
    low, high = figure.layout.yaxis.range
    assert low < 4.2
    assert high > 4.9


def test_a_finished_run_has_no_fan(run: SimulatedRun) -> None:
    watcher = Watcher(horizon=800)
    list(feed(watcher, run))
    assert names(forecast_figure(watcher)) == {"training loss", "validation loss"}


def test_without_a_horizon_the_fan_reaches_twice_as_far(run: SimulatedRun) -> None:
    watcher = Watcher()
    list(feed(watcher, run))
    assert named(forecast_figure(watcher), "median").x[-1] == pytest.approx(1600)


@pytest.mark.parametrize("log_x", [False, True])
def test_the_picture_is_high_enough_for_the_whole_fan(watcher: Watcher, log_x: bool) -> None:
    figure = forecast_figure(watcher, log_x=log_x)
    low, high = figure.layout.yaxis.range
    bands = np.concatenate([trace.y for trace in figure.data if trace.fill == "toself"])
    assert low < bands.min()
    assert bands.max() < high


def test_a_logarithmic_axis_ends_at_the_horizon(watcher: Watcher) -> None:
    axis = forecast_figure(watcher, log_x=True).layout.xaxis
    assert axis.type == "log"
    assert axis.range[1] == pytest.approx(np.log10(3000))
    assert {10, 20, 50, 1000} <= set(axis.tickvals)


def test_the_verdict_s_steps_are_marked(watcher: Watcher) -> None:
    details = {"efficient_step_median": 2400.0, "best_step": 300.0, "best_loss": 3.1}
    watcher.judge.verdict = replace(watcher.verdict, details=details)
    figure = forecast_figure(watcher)
    assert "compute-efficient: step 2,400" in words(figure)
    best = named(figure, "best validation loss")
    assert (best.x, best.y, best.text) == ((300.0,), (3.1,), "best: step 300")
    assert best.textposition == "top right"  # above its middle it would be cut off by the axis


def test_the_best_step_is_named_above_its_mark_where_there_is_room(watcher: Watcher) -> None:
    details = {"best_step": 0.8 * watcher.step, "best_loss": 3.1}
    watcher.judge.verdict = replace(watcher.verdict, details=details)
    assert named(forecast_figure(watcher), "best validation loss").textposition == "top center"


@pytest.mark.parametrize("efficient", [float("inf"), 3001.0])
def test_what_lies_outside_or_is_no_news_is_not_marked(watcher: Watcher, efficient: float) -> None:
    details = {"efficient_step_median": efficient, "best_step": 790.0, "best_loss": 3.1}
    watcher.judge.verdict = replace(watcher.verdict, details=details)
    figure = forecast_figure(watcher)
    assert words(figure) == "seen up to step 800"
    assert "best validation loss" not in {trace.name for trace in figure.data}


def test_too_coarse_a_fan_is_refused(watcher: Watcher) -> None:
    with pytest.raises(ValueError, match="`points` must be at least 2: got 1"):
        forecast_figure(watcher, points=1)


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"theme": "pink"}, ValueError, "`theme` must be one of light, dark, or None: got 'pink'"),
        ({"logx": True}, TypeError, "unexpected keyword argument 'logx'"),
        ({"axis": "token"}, TypeError, "`axis` must be what curvecast.plots.axis gives: got 'token'"),
    ],
)
def test_what_no_figure_has_is_refused(
    watcher: Watcher, asked: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        watcher.plot(**asked)


def test_a_truth_that_does_not_align_is_refused(watcher: Watcher) -> None:
    with pytest.raises(ValueError, match=r"`truth` must be steps and losses of one length: got shapes \(2,\)"):
        forecast_figure(watcher, truth=([1, 2], [3.0]))


def test_plotly_is_loaded_by_the_plots_alone() -> None:
    code = "import curvecast.cli, curvecast.watcher, curvecast.replay, sys; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_watcher_hands_on_what_it_is_asked_for(watcher: Watcher) -> None:
    asked: dict[str, Any] = {"truth": ([3000], [2.0]), "points": 9, "log_x": True, "log_y": True, "end": 2000.0}
    assert watcher.plot(**asked, theme="dark") == forecast_figure(watcher, **asked, theme="dark")
