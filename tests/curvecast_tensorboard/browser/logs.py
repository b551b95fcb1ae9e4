"""Event files as a training run writes them, through TensorBoard's own writer."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

SMALL_RUNS = Path(__file__).parents[3] / "benchmarks" / "small_runs"
BEGIN = 1_760_000_000.0  # seconds since 1970: any day will do
STEP_SECONDS = 0.05
TAGS = {"train_loss": "train/loss", "val_loss": "val/loss", "lr": "lr-AdamW"}

Row = tuple[int, dict[str, float]]


class Writer:
    """A run that is being logged: one event file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = EventFileWriter(str(folder))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars of one step, by tag."""
        found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._file.add_event(Event(wall_time=BEGIN + STEP_SECONDS * step, step=step, summary=Summary(value=found)))

    def extend(self, rows: Iterable[Row]) -> Writer:
        """Many steps, and all of them on the disk."""
        for step, values in rows:
            self.add(step, values)
        self._file.flush()
        return self

    def close(self) -> None:
        self._file.close()


def small_run(name: str, *, first: float = 0.0, last: float = 1.0) -> list[Row]:
    """A run of ``benchmarks/small_runs`` by tag, from one share of its steps to another."""
    with (SMALL_RUNS / f"{name}.csv").open() as file:
        lines = list(csv.DictReader(file))
    end = int(lines[-1]["step"])
    return [
        (int(line["step"]), {TAGS[key]: float(line[key]) for key in TAGS if line[key]})
        for line in lines
        if first * end < int(line["step"]) <= last * end
    ]


def power_law(steps: int, *, tag: str = "train/loss", alpha: float = 0.4) -> list[Row]:
    """``2 + 3 s^-alpha`` and a ripple in place of noise."""
    return [(s, {tag: 2.0 + 3.0 * s**-alpha + 0.01 * math.sin(37.0 * s)}) for s in range(1, steps + 1)]


def write(folder: Path, rows: Iterable[Row]) -> None:
    """A whole run."""
    Writer(folder).extend(rows).close()
