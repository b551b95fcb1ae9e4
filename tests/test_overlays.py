from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.colors import hex_to_rgb, sample_colorscale

from curvecast import Forecast, Schedule, Watcher, isoflop
from curvecast.overlays import COLOURS, Shown, comparison, narrowing, whatif
from curvecast.plots import STEPS, Drawing, axis, forecast_figure, forecast_sheet


def watched(steps: int = 300, horizon: int = 600, level: float = 2.0, schedule: Schedule | None = None) -> Watcher:
    watcher = Watcher(horizon=horizon, schedule=schedule, num_params=1e6, batch_tokens=1e3)
    for step in range(1, steps + 1):
        watcher.update(step, train_loss=level + 3.0 * step**-0.5 + 0.01 * np.sin(37.0 * step))
    return watcher


def test_a_sheet_is_the_figure() -> None:
    watcher = watched(schedule=Schedule.cosine(600))
    sheet = forecast_sheet(watcher, Drawing(points=7, theme="dark"))
    figure = forecast_figure(watcher, points=7, theme="dark")
    assert go.Figure(sheet.to_json()).to_plotly_json() == figure.to_plotly_json()


@pytest.mark.parametrize(("unit", "per_step"), [("token", 1e3), ("flop", 6e9)])
def test_an_axis_counts_what_steps_stand_for(unit: str, per_step: float) -> None:
    watcher = watched()
    along = axis("token" if unit == "token" else "flop", batch_tokens=1e3, num_params=1e6)
    steps, counted = (forecast_figure(watcher, axis=each, points=5) for each in (STEPS, along))
    assert np.array(counted.data[0].x) == pytest.approx(per_step * np.array(steps.data[0].x))
    assert counted.layout.xaxis.range[1] == pytest.approx(per_step * 600)


def test_time_goes_on_at_the_pace_so_far() -> None:
    along = axis("time", seconds=(np.array([100.0, 300.0]), np.array([10.0, 30.0])))
    assert along.at(np.array([0.0, 200.0, 600.0])).tolist() == pytest.approx([0.0, 20.0, 60.0])


def test_each_run_has_its_colour_and_names_are_text() -> None:
    runs = {"<i>a": Shown(watched(), STEPS, COLOURS[0]), "b": Shown(watched(level=2.5), STEPS, COLOURS[1])}
    figure = comparison(runs).figure()
    assert [trace.name for trace in figure.data if trace.name] == ["&lt;i&gt;a", "b"]
    assert {trace.line.color for trace in figure.data if trace.mode == "lines"} == set(COLOURS[:2])


def test_of_two_runs_the_lower_one_ends_lower() -> None:
    low, high = watched(level=2.0).forecast(), watched(level=2.5).forecast()
    assert low.probability_less(high) > 0.99
    assert low.probability_less(low) == pytest.approx(0.5, abs=0.01)


def test_a_probability_is_none_below_0_and_none_above_1() -> None:
    weight = np.full((21, 1), 1.0 / 21)  # of which the sum is above 1, by rounding
    assert weight.sum(axis=0)[0] > 1.0
    low, high = (Forecast(10.0, "val", weight, np.full((21, 1), mean), np.full((21, 1), 0.01)) for mean in (1.0, 5.0))
    assert high.probability_less(low) == 0.0
    assert low.probability_less(high) == 1.0


def test_a_pair_of_forecasts_agrees_with_draws() -> None:
    rng = np.random.default_rng(0)
    first, second = watched(100).forecast(), watched(90, level=2.02).forecast()

    def drawn(forecast: object) -> object:
        weight, means, stds = (getattr(forecast, name)[:, 0] for name in ("weight", "means", "stds"))
        picked = rng.choice(len(weight), 40_000, p=weight / weight.sum())
        return rng.normal(means[picked], stds[picked])

    assert first.probability_less(second) == pytest.approx(np.mean(drawn(first) < drawn(second)), abs=0.02)  # type: ignore[operator]


def test_a_narrowing_shows_each_moment_and_what_came() -> None:
    told = [(step, watched(step).forecast()) for step in (50, 100, 200)]
    figure = narrowing(told, came=2.1).figure()
    assert figure.data[-1].x.tolist() == [50, 100, 200]
    assert figure.layout.shapes[0].y0 == 2.1


@pytest.mark.parametrize("ground", ["#ffffff", "#1e2126"], ids=["light", "dark"])
def test_the_colours_of_sizes_and_runs_are_seen_in_both_themes(ground: str) -> None:
    shades = sample_colorscale(isoflop._SIZES, np.linspace(0.0, 1.0, 9).tolist(), colortype="tuple")
    lines = [*(tuple(hex_to_rgb(colour)) for colour in (*COLOURS, *isoflop._COLOURS))]
    shown = [*(tuple(255.0 * part for part in shade) for shade in shades), *lines]
    below = [colour for colour in shown if contrast(colour, hex_to_rgb(ground)) < 3.0]
    assert not below, [round(contrast(colour, hex_to_rgb(ground)), 2) for colour in below]


def contrast(first: Sequence[float], second: Sequence[float]) -> float:
    """As the Web Content Accessibility Guidelines reckon it; they ask 3 of what is no text."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: Sequence[float]) -> float:
    share = np.asarray(colour) / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def test_what_if_shows_both_plans() -> None:
    figure = whatif(watched(), end=1200.0).figure()
    ends = {trace.name: trace.x[-1] for trace in figure.data if trace.name in ("median", "as planned")}
    assert ends == {"median": 1200.0, "as planned": 600.0}


def test_a_stretched_plan_keeps_its_past_and_its_shape() -> None:
    plan = Schedule.cosine(1000, warmup=100)
    longer = plan.stretched(start=400, end=1600)
    before = np.arange(1, 401)
    assert longer.lr(before) == pytest.approx(plan.lr(before), abs=1e-3)
    assert longer.lr([700, 1000, 1600]) == pytest.approx(plan.lr([550, 700, 1000]), abs=1e-3)
    with pytest.raises(ValueError, match="before the horizon"):
        plan.stretched(start=1000, end=1600)


def test_another_size_is_worth_most_at_the_best_one() -> None:
    watcher = watched()
    best = watcher.resized()
    losses = [watcher.resized(best.size * 1e6 * factor).loss for factor in (0.5, 1.0, 2.0)]
    assert losses[1] == pytest.approx(best.loss, rel=1e-3)
    assert losses[1] <= min(losses) + 1e-9
    with pytest.raises(ValueError, match="num_params"):
        Watcher(horizon=10).resized()
