"""What each route answers, over both of TensorBoard's servers, against what the command line says of the same logs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from click.testing import CliRunner

import curvecast
from curvecast.cli import main
from curvecast.options import schedule_of
from tests.curvecast_tensorboard.boards import BASE, Board, fast, slow
from tests.curvecast_tensorboard.browser.demo import plan
from tests.curvecast_tensorboard.browser.logs import power_law, small_run, write


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    names = sorted(path.stem for path in (Path(__file__).parents[2] / "benchmarks" / "small_runs").glob("*.csv"))
    for name in names[::20]:
        write(folder / name, small_run(name))
    write(folder / "power", power_law(300))
    return folder


@pytest.fixture(scope="module", params=[slow, fast], ids=["load_fast=false", "load_fast=true"])
def board(request: pytest.FixtureRequest, logs: Path) -> Iterator[Board]:
    found = request.param(logs)
    yield found
    found.close()


def analyzed(logs: Path, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["analyze", str(logs), "--format", "json", *options])
    return {run["name"]: run for run in json.loads(result.stdout)["runs"]}


def numbers(packed: Any) -> Any:
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])


def alike(told: Any) -> Any:
    """The same but for rounding: runs are fitted together, by the command line in other handfuls than by the tab."""
    if isinstance(told, dict):
        return {key: alike(value) for key, value in told.items()}
    return pytest.approx(told, rel=1e-6) if isinstance(told, float) else told


def checked(figure: Any) -> go.Figure:
    """The figure, if plotly's own checks let every property of it pass."""
    return go.Figure(figure)


@pytest.mark.parametrize("options", [{}, {"horizon": "2000", "num_params": "1M", "batch_tokens": "1000"}])
def test_the_table_says_what_analyze_says(board: Board, logs: Path, options: dict[str, Any]) -> None:
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    told, rows = analyzed(logs, *flags), board.table(**options)
    assert set(rows) == set(told)
    for name, run in told.items():
        row = rows[name]
        assert row["points"] == run["points"] | {"sampled": False}
        assert (row["step"], row["horizon"]) == (run["step"], run["horizon"])
        assert alike(row["verdict"]) == {key: run["verdict"][key] for key in row["verdict"]}
        assert row["tags"] == {role: run[f"{role}_tag"] for role in ("train", "val", "lr")}
        if run["forecast"] is None:
            assert row["forecast"] is None
        else:
            assert alike(row["forecast"]) == {key: run["forecast"][key] for key in row["forecast"]}
        assert alike(row["compute_excess"]) == run["verdict"]["details"].get("compute_excess")


def test_only_what_has_changed_comes_again(board: Board) -> None:
    board.table()
    first = board.ask("runs")
    assert len(first["rows"]) == first["total"] > 2
    again = board.ask("runs", cursor=first["cursor"])
    assert (again["rows"], again["gone"], again["pending"]) == ([], [], 0)


def test_a_pattern_picks_runs(board: Board) -> None:
    assert set(board.table(q="^pow")) == {"power"}


def test_the_curve_is_one_that_plotly_takes(board: Board) -> None:
    told = board.ask("curve", run="power", horizon=600, theme="dark")
    figure = checked(told["figure"])
    median = next(trace for trace in told["figure"]["data"] if trace.get("name") == "median")
    assert numbers(median["x"])[-1] == 600
    assert numbers(median["y"])[-1] == pytest.approx(told["row"]["forecast"]["median"], rel=0.01)
    assert figure.layout.width is None
    assert {choice["name"] for choice in told["choices"]} >= {"stop", "go_on"}


def test_every_axis_that_can_be_had_is_drawn_and_the_others_say_what_they_need(board: Board) -> None:
    known: dict[str, Any] = {"run": "power", "horizon": 600, "batch_tokens": 1000, "num_params": 10**6}
    ends = {}
    for unit in ("step", "token", "flop", "time"):
        told = board.ask("curve", x=unit, log_x=1, log_y=1, **known)
        assert told["x"] == unit
        checked(told["figure"])
        ends[unit] = 10 ** told["figure"]["layout"]["xaxis"]["range"][1]
    assert ends["token"] == pytest.approx(1000 * ends["step"])
    assert ends["flop"] == pytest.approx(6e9 * ends["step"])
    assert ends["time"] == pytest.approx(0.05 * ends["step"], rel=0.02)
    bare = board.ask("curve", run="power", x="flop")
    assert bare["x"] == "step"
    assert "batch_tokens" in bare["axes"]["flop"]


def test_hindsight_says_what_the_run_would_have_said_then(board: Board, logs: Path) -> None:
    told = board.ask("hindsight", run="power", step=150, horizon=600)
    early = analyzed(logs, "--horizon", "600", "--until", "150")["power"]
    assert told["step"] == 150
    assert told["verdict"]["message"] == early["verdict"]["message"]
    assert told["then"]["step"] == told["last_step"] == 300
    assert told["came"]["off"] == pytest.approx(told["then"]["median"] / told["came"]["value"] - 1)
    assert told["then"]["lower"] < told["then"]["median"] < told["then"]["upper"]
    assert "what came" in {trace.get("name") for trace in checked(told["figure"]).to_plotly_json()["data"]}


def test_a_forecast_narrows(board: Board) -> None:
    told = board.ask("narrowing", run="power", horizon=600)
    widths = [row["upper"] - row["lower"] for row in told["rows"]]
    assert told["end"] == 600
    assert len(widths) > 5
    assert widths[-1] < 0.5 * widths[0]
    checked(told["figure"])


def test_a_longer_run_ends_lower(board: Board) -> None:
    told = board.ask("whatif", run="power", horizon=600, new_horizon=3000)
    assert told["forecast"]["step"] == 3000
    assert told["change"] == pytest.approx(told["forecast"]["median"] - told["base"]["median"])
    assert told["change"] < 0
    checked(told["figure"])


def test_a_cooldown_ends_where_it_is_over_and_its_shape_counts(board: Board) -> None:
    known: dict[str, Any] = {"run": "power", "horizon": 600, "schedule": "constant", "cooldown_steps": 60}
    straight = board.ask("whatif", **known)
    bent = board.ask("whatif", **known, cooldown_shape="sqrt")
    assert straight["forecast"]["step"] == 360
    assert straight["ended"]["cooldown_steps"] == 60
    assert straight["forecast"]["median"] != bent["forecast"]["median"]


def test_another_size_moves_the_loss_and_the_best_is_best(board: Board) -> None:
    known: dict[str, Any] = {"run": "power", "horizon": 600, "num_params": 10**6, "batch_tokens": 1000}
    sizes = [board.ask("whatif", **known, new_params=int(n))["size"] for n in (5e5, 1e6, 4e6)]
    assert sizes[1]["loss"] == pytest.approx(sizes[1]["base_loss"])
    assert all(size["best_loss"] <= size["loss"] + 1e-9 for size in sizes)
    assert len({size["loss"] for size in sizes}) == 3


def test_runs_compare_by_the_probability_that_one_ends_lower(board: Board) -> None:
    names = sorted(board.table())[:3]
    told = board.ask("compare", run=[*names, "not there"], horizon=5000)
    assert [run["state"] for run in told["left_out"]] == ["gone"]
    assert set(told["colors"]) == set(names)
    fewer = board.ask("compare", run=names[1:], horizon=5000)["colors"]
    assert fewer == {name: told["colors"][name] for name in names[1:]}  # a run keeps its colour
    pairs = {(pair["a"], pair["b"]): pair for pair in told["below"]}
    assert len(pairs) == 3
    turned = board.ask("compare", run=names[::-1], horizon=5000)["below"]
    for pair in turned:
        other = pairs[pair["b"], pair["a"]]
        if pair["probability"] is None:
            assert other["missing"]
        else:
            assert pair["probability"] + other["probability"] == pytest.approx(1.0, abs=0.02)
    checked(told["figure"])


def test_an_answer_is_the_same_in_both_ways_of_asking(board: Board) -> None:
    posted = board.client.post(f"{BASE}compare", json={"run": ["power"], "horizon": 600, "own": {}})
    assert posted.status_code == 200
    assert posted.get_json()["rows"] == board.ask("compare", run="power", horizon=600)["rows"]


def test_settings_of_one_run_stand_before_the_common_ones(board: Board) -> None:
    posted = board.client.post(f"{BASE}runs", json={"horizon": 600, "own": {"power": {"horizon": 900}}}).get_json()
    while posted["pending"]:
        posted = board.client.post(f"{BASE}runs", json={"horizon": 600, "own": {"power": {"horizon": 900}}}).get_json()
    horizons = {row["run"]: row["horizon"] for row in posted["rows"]}
    assert horizons.pop("power") == 900
    assert set(horizons.values()) == {600}


def test_the_picker_lists_tags_and_says_what_is_guessed(board: Board) -> None:
    told = board.ask("tags", run="power")
    assert told["guess"]["train"] == {"tag": "train/loss", "why": "a usual name for the training loss"}
    assert [tag["looks_like"] for tag in told["tags"]] == ["train"]
    assert board.ask("tags", run="power", q="nothing like it")["tags"] == []


@pytest.mark.parametrize(
    ("route", "parameters", "status", "what"),
    [
        ("curve", {"run": "power", "horizon": "-3"}, 400, "`horizon`"),
        ("curve", {"run": "power", "schedule": "cosine"}, 400, "`schedule`"),
        ("curve", {"run": "power", "schedule": "wsd:decay=1e400", "horizon": "1000"}, 400, "`schedule`"),
        ("curve", {"run": "power", "x": "parsec"}, 400, "`x`"),
        ("curve", {}, 400, "`run`"),
        ("curve", {"run": "nobody"}, 404, "`run`"),
        ("runs", {"q": "("}, 400, "`q`"),
        ("runs", {"horizon": "many"}, 400, "`horizon`"),
        ("compare", {"run": [str(k) for k in range(13)]}, 400, "`run`"),
        ("curve", {"run": "r" * 5000}, 400, "`run`"),
    ],
)
def test_what_cannot_be_answered_says_what_it_got_and_what_to_do(
    board: Board, route: str, parameters: dict[str, Any], status: int, what: str
) -> None:
    error = board.ask(route, status=status, **parameters)["error"]
    assert error["what"].startswith(what)
    assert error["got"]
    assert error["do"]


def test_a_horizon_that_cannot_be_counted_to_is_a_bad_setting(board: Board) -> None:
    for route in ("curve", "hindsight", "narrowing", "whatif"):
        told = board.ask(route, run="power", horizon="1e308")
        assert told["state"] == "bad_settings"
        assert told["missing"]["what"].startswith("`horizon` must be below")


def test_half_a_surrogate_pair_is_a_name_as_any_other(board: Board) -> None:
    response = board.client.post(f"{BASE}compare", data=rb'{"run": ["\ud800"]}')
    assert response.status_code == 200
    assert response.get_json()["left_out"][0]["state"] == "gone"


def test_other_methods_bodies_and_paths_are_refused(board: Board) -> None:
    assert board.client.post(f"{BASE}curve").status_code == 405
    assert board.client.put(f"{BASE}runs").status_code == 405
    assert board.client.post(f"{BASE}runs", data=b"[1]").status_code == 400
    assert board.client.post(f"{BASE}runs", data=b"x" * 1_100_000).status_code == 413
    for path in ("../plugin.py", "..%2fplugin.py", "/etc/passwd", ".hidden.js", "", "a\\b.js"):
        assert board.client.get(f"{BASE}static/{path}").status_code == 404


def test_plotlys_script_comes_out_of_the_wheel_and_is_kept(board: Board) -> None:
    response = board.client.get(f"{BASE}plotly.min.js", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    tag = response.headers["ETag"]
    assert board.client.get(f"{BASE}plotly.min.js", headers={"If-None-Match": tag}).status_code == 304


def test_too_few_sizes_say_so(board: Board) -> None:
    told = board.ask("family", run="power")
    assert told["state"] == "few_points"
    assert "4 runs" in told["missing"]["what"]


@pytest.mark.parametrize("law", ["best", "chinchilla", "coupled"])
def test_the_family_view_tells_the_law_that_fit_family_finds(tmp_path: Path, law: str) -> None:
    names = [f"gpt-w{width}-b6-cosine" for width in (32, 48, 64, 88)] + ["gpt-w32-b16-wsd"]
    for name in names:
        write(tmp_path / name, small_run(name))
    own = {name: plan(name) for name in names}
    board = slow(tmp_path)
    asked = {"law": law, "own": own, "flops": 1e15 if law == "chinchilla" else 1e300}
    told = board.client.post(f"{BASE}family", json=asked).get_json()
    assert told["state"] == "ok"
    runs = [with_plan(run, own[run.name]) for run in curvecast.read(tmp_path)]
    family = curvecast.fit_family(runs, law=law)
    assert {each["name"]: each["value"] for each in told["law"]["parameters"]} == pytest.approx(family.parameters)
    assert {each["run"]: each["residual"] for each in told["runs"]} == pytest.approx(family.residuals)
    assert {each["run"] for each in told["runs"] if each["far_off"]} == set(family.outliers)
    sizes = [trace["name"] for trace in told["figure"]["data"] if trace.get("name")]
    assert sizes == ["24.9k parameters", "55.8k parameters", "98.9k parameters", "187k parameters"]
    if law != "chinchilla":  # of that much compute it names no size, and stands all the same
        assert told["next"] is told["isoflop"] is None
        assert told["no_next"]["do"]
        return
    following = told["next"]
    assert following["flops"] == 1e15 == pytest.approx(6.0 * following["num_params"] * following["num_tokens"])
    assert following["loss"] == pytest.approx(float(family.loss(following["num_params"], following["num_tokens"])))
    assert following["lower"] < following["loss"] < following["upper"]


def with_plan(run: curvecast.Run, known: dict[str, str]) -> curvecast.Run:
    """The same run, with what the log does not tell."""
    schedule = schedule_of(known["schedule"], int(known["horizon"]))
    sizes = {name: float(known[name]) for name in ("num_params", "batch_tokens")}
    return replace(run, meta={**run.meta, **sizes, "horizon": int(known["horizon"]), "schedule": schedule.to_dict()})
