from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from curvecast.readers import Run
from curvecast.replay import watch
from curvecast.sinks.summary import summarise
from curvecast.sinks.table import line, render, render_summaries
from curvecast.watcher import Watcher


def make_pair(name: str, count: int = 200, *, bend: float = 0.0, **meta: object) -> tuple[Run, Watcher]:
    steps = np.arange(1, count + 1)
    losses = 2.0 + 3.0 / np.sqrt(steps)
    nothing = np.full(count, math.nan)
    val = np.where(steps % 20 == 0, losses + 0.25 + bend * np.maximum(steps - 60, 0), math.nan)
    run = Run(name, steps, losses, val, nothing, dict(meta))
    return run, watch(run)


def printed(*pairs: tuple[Run, Watcher], width: int) -> str:
    page = io.StringIO()
    Console(file=page, width=width).print(render(pairs, width=width))
    return page.getvalue()


def test_a_wide_page_has_a_line_a_run() -> None:
    text = printed(make_pair("d12", horizon=1000), make_pair("d24", horizon=2000), width=160)
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["run", "points", "step"]
    assert "forecast [90% interval]" in lines[0]
    assert lines[1].split()[:9] == ["d12", "200", "train", "+", "10", "val", "200/1,000", "val", "2.462"]
    assert "at 1,000" in lines[1]
    assert "at 2,000" in lines[2]


def test_a_narrow_page_has_a_block_a_run() -> None:
    text = printed(make_pair("d12", horizon=1000), width=60)
    assert text.startswith("d12\n  step 200/1,000, 200 train + 10 val points, val 2.462 now\n  forecast val 2.")
    assert max(map(len, text.splitlines())) <= 60
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_several_runs_have_a_line_each_on_a_usual_terminal() -> None:
    pairs = [make_pair("d12", horizon=1000), make_pair("a-run-with-a-long-name/version_0", horizon=200)]
    lines = printed(*pairs, width=80).splitlines()
    assert lines[0].split() == ["run", "step", "now", "forecast", "[90%]", "verdict"]
    assert lines[1].split()[:3] == ["d12", "200/1,000", "2.462"]
    assert max(map(len, lines)) <= 80


def test_on_a_narrow_page_a_long_name_loses_folders_and_no_two_runs_become_alike() -> None:
    names = [
        "lab/a-folder-of-some-length/d12/version_0",
        "lab/a-folder-of-some-length/d12/version_1",
        "lab/d24/version_0",
    ]
    pairs = [make_pair(name, horizon=1000) for name in names]
    lines = printed(*pairs, width=80).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["d12/version_0", "version_1", "d24/version_0"]
    assert names[2] in printed(*pairs, width=160)


@pytest.mark.parametrize("steps", [200, 143_254, 2_048_000])
def test_many_runs_have_a_line_each_on_a_usual_terminal_however_long_a_verdict_a_loss_and_a_run(steps: int) -> None:
    runs = [summarise(*make_pair(f"a-run-of-the-sweep-{number}", horizon=1000)) for number in range(12)]
    ahead = runs[0].forecast
    assert ahead is not None
    tiny = replace(ahead, median=1.326e-7, lower=1.319e-7, upper=1.334e-7)
    runs[3] = replace(runs[3], reason="compute_efficient_point_passed", should_stop=True, forecast=tiny)
    runs[5] = replace(runs[5], val_loss=1.114e-5, step=steps, horizon=None)
    page = io.StringIO()
    Console(file=page, width=80).print(render_summaries(runs, width=80))
    lines = page.getvalue().splitlines()
    assert lines[0].split() == ["run", "step", "now", "forecast", "[90%]", "verdict"]
    assert max(map(len, lines)) <= 80
    assert f"{steps:,}/?" in page.getvalue()
    assert "1.326e-07" in page.getvalue(), page.getvalue()


def test_of_many_reasons_to_stop_those_that_save_most_are_told_and_the_rest_counted() -> None:
    run, watcher = make_pair("d12", 400, bend=0.01, horizon=1000)
    stopping = summarise(run, watcher)
    assert stopping.should_stop
    runs = [replace(stopping, name=f"d{number}", horizon=400 + 100 * number) for number in range(12)]
    for width in (60, 160):
        page = io.StringIO()
        Console(file=page, width=width).print(render_summaries(runs, width=width))
        table, told = page.getvalue().rsplit("\n\n", 1)
        assert all(f"d{number}" in table for number in range(12))
        named = [line.split(":")[0] for line in told.splitlines() if line.startswith("d")]
        assert named == [f"d{number}" for number in range(11, 1, -1)]
        assert "2 more runs to stop: curvecast analyze --verbose" in " ".join(told.split())
        page = io.StringIO()
        Console(file=page, width=width).print(render_summaries(runs, width=width, sentences=None))
        assert page.getvalue().count("lies behind") == 12


def test_what_most_runs_have_does_not_hide_the_one_that_diverged() -> None:
    run, watcher = make_pair("d12", 400, bend=0.01, horizon=1000)
    turned = summarise(run, watcher)
    runs = [replace(turned, name=f"d{number}") for number in range(12)]
    runs.append(replace(turned, name="lost", reason="diverged", message="diverged.", step=1000))
    page = io.StringIO()
    Console(file=page, width=160).print(render_summaries(runs, width=160))
    told = page.getvalue().rsplit("\n\n", 1)[1]
    named = [line.split(":")[0] for line in told.splitlines() if line.startswith(("d", "lost: "))]
    assert named == ["d0", "lost", *(f"d{number}" for number in range(1, 9))]


def test_losses_of_now_have_four_digits_each() -> None:
    for loss, text in ((1.65, "1.650"), (12030.0, "12030"), (3.1e-5, "3.100e-05"), (1234.0, "1234")):
        run, watcher = make_pair("d12", horizon=1000)
        run.val_loss[run.val_loss == run.val_loss] = loss
        assert summarise(run, watcher).now == text


def test_a_run_on_track_whose_plan_is_over_is_finished() -> None:
    for horizon, words in ((200, "finished"), (1000, "on track")):
        run, watcher = make_pair("d12", horizon=horizon)
        assert str(watcher.verdict.reason) == "on_track"
        assert words in printed((run, watcher), width=160).splitlines()[1]


@pytest.mark.parametrize(("horizon", "words"), [(880, "finished"), (900, "on track")])
def test_a_run_that_will_log_no_loss_within_its_plan_is_finished(horizon: int, words: str) -> None:
    """As Lightning's, whose last window of steps is not full; one that is to come is waited for."""
    steps = np.arange(30, 871, 30)
    missing, loss = np.full(len(steps), math.nan), np.asarray(2.0 + 3.0 * steps**-0.5, dtype=np.float64)
    run = Run("d12", steps, loss, missing, missing, {"horizon": horizon})
    assert summarise(run, watch(run)).words == words


def test_a_run_that_diverged_has_no_forecast() -> None:
    run, _ = make_pair("d12")
    losses = np.where(run.steps > 150, math.inf, run.train_loss)
    broken = Run("d12", run.steps, losses, run.val_loss, run.lr, {"horizon": 1000})
    watcher = watch(broken)
    assert str(watcher.verdict.reason) == "diverged"
    assert "train not finite" in printed((Run("d12", run.steps, losses, run.lr, run.lr), watcher), width=160)
    assert printed((broken, watcher), width=160).splitlines()[1].split()[-4:] == ["-", "stop:", "diverged", "1.00"]
    assert not any(trace.name == "median" for trace in watcher.plot().data)


@pytest.mark.parametrize("width", [60, 160])
def test_all_that_matters_is_told_at_any_width(width: int) -> None:
    run, watcher = make_pair("d12", horizon=1000)
    text = " ".join(printed((run, watcher), width=width).split())
    forecast = watcher.verdict.forecast
    assert forecast is not None
    assert f"{float(np.asarray(forecast.median)):.2f}" in text
    for part in ("d12", "200/1,000", "at 1,000", str(watcher.verdict.reason).replace("_", " ")):
        assert part in text


@pytest.mark.parametrize("width", [60, 160])
def test_a_reason_to_stop_comes_with_its_sentence(width: int) -> None:
    run, watcher = make_pair("d12", 400, bend=0.01, horizon=1000)
    assert watcher.verdict.should_stop
    text = " ".join(printed((run, watcher), width=width).split())
    assert "stop: overfitting" in text
    assert " ".join(watcher.verdict.message.split()) in text


@pytest.mark.parametrize("width", [60, 160])
def test_too_little_data_is_said_not_shown(width: int) -> None:
    text = printed(make_pair("d12", 3), width=width)
    assert "not enough data" in text
    assert "3/?" in text


@pytest.mark.parametrize("width", [60, 160])
def test_names_are_not_taken_for_markup(width: int) -> None:
    assert "[red]d12[/red]" in printed(make_pair("[red]d12[/red]", 3), width=width)


def test_an_empty_run_has_no_loss() -> None:
    nothing = np.zeros(0)
    run = Run("empty", np.zeros(0, np.int64), nothing, nothing, nothing)
    assert "0/?, no points, - now" in printed((run, watch(run)), width=60)


@pytest.mark.parametrize("width", [60, 160])
def test_of_one_run_alone_it_is_said_what_can_be_done_now(width: int) -> None:
    run, watcher = make_pair("d12", horizon=1000)
    page = io.StringIO()
    Console(file=page, width=width).print(render_summaries([summarise(run, watcher, alone=True)], width=width))
    text = " ".join(page.getvalue().split())
    assert watcher.verdict.message in text
    assert "What can be done now, and the val loss at its end: - stop here: 2." in text
    assert all(f"- {choice}" in text for choice in watcher.verdict.choices)
    assert "- go on to 1,000: " in text
    assert "What can be done" not in printed((run, watcher), make_pair("d24", horizon=1000), width=width)


def test_the_probability_of_a_reason_to_stop_is_told_and_of_a_run_on_track_none() -> None:
    on_track, rising = (summarise(*make_pair("d12", 400, bend=bend, horizon=1000)) for bend in (0.0, 0.01))
    assert line(on_track).endswith(", on track")
    assert line(rising).endswith(f", stop: overfitting ({rising.probability:.2f})")
    for summary, said in ((on_track, False), (rising, True)):
        page = io.StringIO()
        Console(file=page, width=60).print(render_summaries([summary], width=60))
        assert (f"probability {summary.probability:.2f}\n" in page.getvalue()) is said


def test_in_a_pipe_a_run_that_is_too_young_is_told_from_when_on_it_is_judged() -> None:
    young = summarise(*make_pair("d12", 60, horizon=20_000))
    assert line(young).endswith(f"now, not enough data: {young.message}")
    assert "step 400" in young.message
