"""Scalars and plans out of TensorBoard, through its data provider alone: the same for both of its servers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.data.provider import RunTagFilter
from tensorboard.plugins.scalar import metadata as scalar_metadata

from curvecast.readers.base import Series
from curvecast.readers.trainer_args import ARGS

PLAN = "curvecast/plan"  # of the text summary in which the callback notes what `curvecast.json` holds
KEPT = 1_000  # points that TensorBoard keeps of a scalar tag, unless it is told otherwise
MOST_POINTS = 1_000_000  # of a tag that are ever asked for
_TEXT = "text"
_MICROSECONDS = 1e6

Stamp = tuple[int, float]
Index = dict[str, dict[str, Stamp]]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """A tag as TensorBoard holds it.

    Args:
        rows: its rows, in the order in which they were written.
        walls: ``(n,)`` when each was written [s since 1970].
    """

    rows: Series
    walls: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


class Scalars:
    """One experiment's scalars.

    Args:
        provider: TensorBoard's.
        ctx: of the request.
        experiment: the experiment's id.
    """

    def __init__(self, provider: Any, ctx: Any, experiment: str) -> None:
        self._provider, self._ctx, self.experiment = provider, ctx, experiment

    def runs(self) -> list[str]:
        """Every run that TensorBoard knows, with scalars or without, in its own order: that in which they began."""
        runs = self._provider.list_runs(self._ctx, experiment_id=self.experiment)
        began = [(math.inf if run.start_time is None else run.start_time, run.run_name) for run in runs]
        return [name for _, name in sorted(began)]

    def index(self) -> Index:
        """The tags of each run that has any, with the last step and wall time of each: what changes as a run grows."""
        listed = self._provider.list_scalars(
            self._ctx, experiment_id=self.experiment, plugin_name=scalar_metadata.PLUGIN_NAME
        )
        return {
            run: {tag: (series.max_step, series.max_wall_time) for tag, series in tags.items()}
            for run, tags in listed.items()
        }

    def read(self, runs: Iterable[str], tags: Iterable[str]) -> dict[str, dict[str, Points]]:
        """The points of some tags of some runs."""
        read = self._provider.read_scalars(
            self._ctx,
            experiment_id=self.experiment,
            plugin_name=scalar_metadata.PLUGIN_NAME,
            downsample=MOST_POINTS,
            run_tag_filter=RunTagFilter(runs=list(runs), tags=list(tags)),
        )
        return {run: {tag: _points(data) for tag, data in found.items()} for run, found in read.items()}

    def plans(self) -> dict[str, str]:
        """What was noted of each run's plan, as JSON: by the callback, else the arguments of Hugging Face's Trainer."""
        tags = [PLAN, f"{PLAN}/text_summary", ARGS]  # torch adds the second part
        read = self._provider.read_tensors(
            self._ctx,
            experiment_id=self.experiment,
            plugin_name=_TEXT,
            downsample=1,
            run_tag_filter=RunTagFilter(tags=tags),
        )
        ordered = {run: [found[tag] for tag in tags if tag in found] for run, found in read.items()}
        return {run: text for run, found in ordered.items() if (text := _last_text(found)) is not None}


def _points(data: Sequence[Any]) -> Points:
    steps = np.array([each.step for each in data], np.int64)
    values = np.array([each.value for each in data], np.float64)
    walls = np.array([each.wall_time for each in data], np.float64)
    return Points(Series(steps, values, (walls * _MICROSECONDS).astype(np.int64)), walls)


def _last_text(found: Sequence[Sequence[Any]]) -> str | None:
    """The JSON within the last summary of the first tag that has one."""
    for data in found:
        if data:
            value = np.ravel(data[-1].numpy)[:1].tolist()
            text = value[0].decode(errors="replace") if value and isinstance(value[0], bytes) else str(*value)
            start, end = text.find("{"), text.rfind("}")
            return text[start : end + 1] if 0 <= start < end else None
    return None
