"""Panels in any TensorBoard, a hosted one too, without the tab: what is said becomes scalars, charts and text.

Each moment at which a fan is drawn has tags of its own: steps to come that were written into a tag that has them
already would lie over the older ones, out of order. The end's forecast is written at the step at which it was made.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from curvecast import Forecast, NotEnoughSamples, Verdict, Watcher

PLAN = "curvecast/plan"
MOMENTS = (0.1, 0.25, 0.5, 0.75)
"""Shares of the horizon at which a fan is drawn."""
LEVEL = 0.9
_FAN = 24  # points of a fan
_SCHEMA = 1
_TITLE = "curvecast"  # of our category of charts
_SMALL = 2**22  # bytes of a file in which a layout is looked for: it is written early, and ours is to begin at once


class Panels:
    """Writes what a watcher says into a ``SummaryWriter``, torch's or tensorboardX's.

    Args:
        writer: where to; the layout of the charts is written once, at once.
        watcher: what is watched; its plan is noted for the tab, and noted anew where ``cool_down`` has changed it.
        prefix: of every tag.
        moments: shares of the horizon at which a fan is drawn.
        hparams: hyper-parameters of the run, for the dashboard of that name; the forecast becomes one of its metrics.

    Example:
        >>> from unittest.mock import MagicMock
        >>> writer, watcher = MagicMock(), Watcher(horizon=200)
        >>> panels = Panels(writer, watcher)
        >>> for step in range(1, 101):
        ...     loss = 2.0 + 3.0 * step**-0.5
        ...     panels.write(watcher.update(step, train_loss=loss), train_loss=loss)
        >>> sorted({call.args[0] for call in writer.add_scalar.call_args_list})[:3]
        ['curvecast/as_of_0.1/lower', 'curvecast/as_of_0.1/median', 'curvecast/as_of_0.1/upper']
    """

    def __init__(
        self,
        writer: Any,
        watcher: Watcher,
        *,
        prefix: str = "curvecast",
        moments: Sequence[float] = MOMENTS,
        hparams: Mapping[str, bool | float | str] | None = None,
    ) -> None:
        self._writer, self._watcher, self._prefix = writer, watcher, prefix
        self._moments = sorted(moments)
        self._told: Verdict | None = None
        self._turn = watcher.turn
        add_layout(writer, [prefix], self._moments)
        add_plan(writer, plan_of(watcher))
        if hparams is not None:
            add_hparams(writer, hparams, prefix)

    def write(self, verdict: Verdict, *, train_loss: float | None = None, val_loss: float | None = None) -> None:
        """Write what a step brought: its losses, and, where the verdict is new, the verdict.

        Args:
            verdict: what ``Watcher.update`` gave.
            train_loss: as it was passed to ``update``.
            val_loss: likewise.
        """
        step = self._watcher.step
        for name, loss in (("train_loss", train_loss), ("val_loss", val_loss)):
            if loss is not None:
                self._writer.add_scalar(f"{self._prefix}/{name}", loss, step)
        if self._watcher.turn is not self._turn:
            self._turn = self._watcher.turn
            add_plan(self._writer, plan_of(self._watcher), step)
        before, self._told = self._told, verdict
        if before is verdict:
            return
        for name, value in scalars_of(verdict).items():
            self._writer.add_scalar(f"{self._prefix}/{name}", value, step)
        if before is None or before.reason != verdict.reason:
            self._writer.add_text(f"{self._prefix}/verdict", told(verdict), step)
        horizon = self._watcher.horizon
        if horizon is None or verdict.forecast is None:
            return
        passed = [moment for moment in self._moments if moment * horizon <= step]
        if passed:
            self._moments = [moment for moment in self._moments if moment not in passed]
            add_fan(self._writer, self._watcher, f"{self._prefix}/{moment_of(passed[-1])}")


def moment_of(share: float) -> str:
    """What the tags of a fan are called.

    Example:
        >>> moment_of(0.25)
        'as_of_0.25'
    """
    return f"as_of_{share:g}"


def scalars_of(verdict: Verdict) -> dict[str, float]:
    """What is logged of a verdict at the step at which it was reached."""
    found = {"probability": float(verdict.probability)}
    return found if verdict.forecast is None else found | _ends(verdict.forecast, "forecast")


def _ends(ahead: Forecast, name: str) -> dict[str, float]:
    interval = ahead.interval(LEVEL)
    values = {name: ahead.median, "lower": interval.lower, "upper": interval.upper}
    return {key: float(np.ravel(value)[-1]) for key, value in values.items()}


def told(verdict: Verdict) -> str:
    """A verdict as Markdown: the sentence, and what can be done now.

    Example:
        >>> print(told(Watcher(horizon=100).verdict))
        **not enough data**: A verdict needs at least 12 samples of the loss.
    """
    words = str(verdict.reason).replace("_", " ")
    lines = [f"**{'stop: ' if verdict.should_stop else ''}{words}**: {verdict.message}"]
    if verdict.choices:
        lines += ["", "| what now | ends at step | loss [90 % interval] |", "|---|---|---|"]
        for choice in verdict.choices:
            name = choice.name.replace("_", " ")
            lines.append(f"| {name} | {choice.step:,} | {choice.interval_text} |")
    return "\n".join(lines)


def plan_of(watcher: Watcher) -> dict[str, Any]:
    """What a watcher was told of its run, in the form of ``curvecast.json``."""
    known: dict[str, Any] = {
        "schema": _SCHEMA,
        "horizon": watcher.horizon,
        "num_params": watcher.num_params,
        "batch_tokens": watcher.batch_tokens,
        "dataset_tokens": watcher.dataset_tokens,
        "epoch_steps": watcher.epoch_steps,
        "schedule": None if watcher.schedule is None else watcher.schedule.to_dict(),
        "lr_held": watcher.course.lr_held or None,
    }
    known |= watcher.turn.to_plan() if watcher.turn else {}
    return {name: value for name, value in known.items() if value is not None}


def add_plan(writer: Any, plan: Mapping[str, Any], step: int = 0) -> None:
    """Note a plan as a text summary, where nothing but the event file travels; the last one noted holds."""
    writer.add_text(PLAN, f"```json\n{json.dumps(plan)}\n```", step)


def add_fan(writer: Any, watcher: Watcher, name: str) -> None:
    """The forecast from here to the horizon, at steps to come, under tags of its own."""
    now, end = watcher.step, watcher.horizon
    if end is None or end <= now:
        return
    steps = np.unique(np.linspace(now, end, _FAN).astype(np.int64))
    try:
        ahead = watcher.forecast(at=steps)
    except NotEnoughSamples:
        return
    interval = ahead.interval(LEVEL)
    for tag, values in (("median", ahead.median), ("lower", interval.lower), ("upper", interval.upper)):
        for step, value in zip(steps.tolist(), np.ravel(values).tolist(), strict=True):
            if math.isfinite(value):
                writer.add_scalar(f"{name}/{tag}", value, step)


def add_layout(writer: Any, prefixes: Sequence[str], moments: Sequence[float] = MOMENTS) -> None:
    """Lay the charts out on the dashboard 'custom scalars': once a writer, beside those that the user has laid out.

    For each prefix one margin chart of the loss and the end's forecast within its interval, and one of the loss and
    the fans of each moment.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    def chart(title: str, series: Sequence[tuple[str, str, str]]) -> Any:
        lines = [layout_pb2.MarginChartContent.Series(value=v, lower=low, upper=high) for v, low, high in series]
        return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=lines))

    charts = []
    for prefix in prefixes:
        losses = [(f"{prefix}/{loss}",) * 3 for loss in ("train_loss", "val_loss")]
        end = (f"{prefix}/forecast", f"{prefix}/lower", f"{prefix}/upper")
        at_moments = [f"{prefix}/{moment_of(share)}" for share in moments]
        fans = [(f"{moment}/median", f"{moment}/lower", f"{moment}/upper") for moment in at_moments]
        kind = prefix.partition("/")[2]
        charts.append(chart(f"loss and forecast of the end {kind}".strip(), [*losses, end]))
        charts.append(chart(f"loss and fans {kind}".strip(), [*losses, *fans]))
    layout = layout_pb2.Layout(category=[*_laid_out(writer), layout_pb2.Category(title=_TITLE, chart=charts)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()])
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME)
    described = SummaryMetadata(plugin_data=plugin)
    _add(writer, Summary(value=[Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, tensor=tensor, metadata=described)]))


def _laid_out(writer: Any) -> list[Any]:
    """Categories of charts that others have laid out in a run: TensorBoard shows the run's last layout alone."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    layout = layout_pb2.Layout()
    with suppress(Exception):  # then ours stands alone: a folder far away, a writer that is not there yet
        writer.flush()
        folder = writer.log_dir if hasattr(writer, "log_dir") else writer.logdir  # tensorboardX calls it so
        files = sorted(Path(folder).glob("*tfevents*"), key=lambda file: file.stat().st_mtime)
        loaders = (EventFileLoader(str(file)) for file in files if file.stat().st_size < _SMALL)
        events = chain.from_iterable(loader.Load() for loader in loaders)
        for value in chain.from_iterable(event.summary.value for event in events):
            if value.tag == metadata.CONFIG_SUMMARY_TAG:
                layout.ParseFromString(value.tensor.string_val[0])
    return [category for category in layout.category if category.title != _TITLE]


def add_hparams(writer: Any, hparams: Mapping[str, bool | float | str], prefix: str = "curvecast") -> None:
    """Have the forecast, its interval and the losses stand among the metrics of the dashboard 'hparams'."""
    from tensorboard.plugins.hparams import summary_v2 as api

    metrics = [
        api.Metric(f"{prefix}/{name}", display_name=f"{prefix} {name}")
        for name in ("forecast", "lower", "upper", "probability", "train_loss", "val_loss")
    ]
    plain = {name: value for name, value in hparams.items() if isinstance(value, bool | int | float | str)}
    _add(writer, api.hparams_config_pb([api.HParam(name) for name in plain], metrics))
    _add(writer, api.hparams_pb(plain))


def _add(writer: Any, summary: Any) -> None:
    """Write a whole summary: torch's writer takes TensorBoard's own messages, tensorboardX's takes its own."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(writer).__mro__}
    if "tensorboardX" in kinds:
        own = importlib.import_module("tensorboardX.proto.summary_pb2").Summary
        summary = own.FromString(summary.SerializeToString())
    writer._get_file_writer().add_summary(summary)
