"""What stands in event files without the tab: read back by TensorBoard's own accumulator and dashboards."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend import application
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins import base_plugin
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin
from tensorboard.plugins.text.text_plugin import TextPlugin
from werkzeug.test import Client

from curvecast import Schedule, Watcher
from curvecast_tensorboard.panels import Panels
from tests.curvecast_tensorboard.boards import slow

HORIZON, SEEN = 400, 320
LAYOUT = "/data/plugin/custom_scalars/layout"


def make_writer(module: str, folder: Path) -> Any:
    if module == "tensorboardX":
        pytest.importorskip("tensorboardX", reason="not installed; torch's own writer is tested")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the hosts' own, at import
        return importlib.import_module(module).SummaryWriter(str(folder))


@pytest.fixture(scope="module", params=["torch.utils.tensorboard", "tensorboardX"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was watched with panels, three quarters of its way."""
    folder = tmp_path_factory.mktemp("panels")
    writer = make_writer(request.param, folder / "run")
    watcher = Watcher(schedule=Schedule.cosine(HORIZON, warmup=10), num_params=1e6, batch_tokens=1e3)
    panels = Panels(writer, watcher, hparams={"width": 64})
    for step in range(1, SEEN + 1):
        loss = 2.0 + 3.0 * step**-0.5
        panels.write(watcher.update(step, train_loss=loss), train_loss=loss)
    writer.close()
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Client:
    multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"scalars": 0, "text": 10})
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    plugins: dict[str, Any] = {}
    context = base_plugin.TBContext(data_provider=provider, plugin_name_to_instance=plugins, sampling_hints={})
    kinds = (ScalarsPlugin, CustomScalarsPlugin, TextPlugin, HParamsPlugin)
    plugins |= {kind.plugin_name: kind(context) for kind in kinds}
    return Client(application.TensorBoardWSGI(list(plugins.values()), data_provider=provider))


@pytest.fixture(scope="module")
def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "run"), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def series(client: Client) -> dict[str, list[dict[str, str]]]:
    (category,) = client.get(LAYOUT).get_json()["category"]
    assert category["title"] == "curvecast"
    return {chart["title"]: chart["margin"]["series"] for chart in category["chart"]}


def test_the_margin_charts_name_tags_that_are_there(client: Client, events: EventAccumulator) -> None:
    tags = set(events.Tags()["scalars"])
    charts = series(client)
    ends = charts["loss and forecast of the end"]
    assert ends[0]["value"] == "curvecast/train_loss"
    assert ends[-1] == {"value": "curvecast/forecast", "lower": "curvecast/lower", "upper": "curvecast/upper"}
    assert set(ends[-1].values()) | {ends[0]["value"]} <= tags
    drawn = [one["value"] for one in charts["loss and fans"] if one["value"] in tags]
    assert drawn == ["curvecast/train_loss", *(f"curvecast/as_of_{s}/median" for s in ("0.1", "0.25", "0.5", "0.75"))]


def test_what_is_forecast_anew_lies_over_nothing_older(events: EventAccumulator) -> None:
    for tag in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(tag)]
        assert steps == sorted(set(steps)), tag


def test_a_fan_reaches_from_its_moment_to_the_horizon_and_holds_the_later_one(events: EventAccumulator) -> None:
    ends = {}
    for share in (0.25, 0.5):
        fan = {tag: events.Scalars(f"curvecast/as_of_{share}/{tag}") for tag in ("lower", "median", "upper")}
        assert share * HORIZON <= fan["median"][0].step < (share + 0.1) * HORIZON
        assert fan["median"][-1].step == HORIZON
        lower, median, upper = ([event.value for event in fan[tag]] for tag in ("lower", "median", "upper"))
        assert np.all(np.array(lower) <= median)
        assert np.all(np.array(median) <= upper)
        ends[share] = upper[-1] - lower[-1]
    assert ends[0.5] < ends[0.25]


def test_the_verdict_is_told_as_text(client: Client) -> None:
    told = client.get("/data/plugin/text/text?run=run&tag=curvecast/verdict/text_summary").get_json()
    assert "not enough data" in told[0]["text"]
    assert "on track" in told[-1]["text"]
    assert "what now" in told[-1]["text"]


def test_the_forecast_is_a_metric_among_hyper_parameters(client: Client) -> None:
    response = client.post("/data/plugin/hparams/experiment", json={"experiment_name": "0"})
    told = response.get_json()
    names = {metric["name"]["tag"] for metric in told["metricInfos"]}
    assert {"curvecast/forecast", "curvecast/train_loss"} <= names
    assert [hparam["name"] for hparam in told["hparamInfos"]] == ["width"]


def test_the_plan_travels_with_the_event_file_to_the_tab(folder: Path) -> None:
    row = slow(folder).table()["run"]
    assert (row["horizon"], row["num_params"], row["batch_tokens"]) == (HORIZON, 1e6, 1e3)
    assert row["points"]["train"] == row["step"] == SEEN
    assert row["tags"]["train"] == "curvecast/train_loss"


@pytest.mark.parametrize("name", ["log_dir", "logdir"])
def test_charts_that_were_laid_out_before_stay(name: str, tmp_path: Path) -> None:
    writer = make_writer("torch.utils.tensorboard", tmp_path)
    writer.add_custom_scalars({"mine": {"both": ["Multiline", ["a", "b"]]}})
    vars(writer)[name] = vars(writer).pop("log_dir")  # tensorboardX calls it `logdir`
    Panels(writer, Watcher(horizon=HORIZON))
    writer.close()
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    *_, last = accumulator.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(last.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["mine", "curvecast"]
