"""What the tab's routes take, against that of TensorBoard's own scalars dashboard for the same runs, in one process.

Both of TensorBoard's servers are asked, holding every point of 200 runs of 2,000 losses. CPU time of this process; the
data server of ``--load_fast=true`` is another one, so what it takes to read is no part of it.

    python benchmarks/tensorboard_routes.py --runs 200
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import numpy as np
from _record import write
from rich.console import Console
from rich.table import Table

STEPS, EVERY = 2_000, 50
TAG = "train/loss"
_BASE = "/data/plugin/curvecast/"
_START = """
from tensorboard import default, program
plugins = default.get_static_plugins()
if {ours}:
    from curvecast_tensorboard.loader import CurvecastLoader
    plugins.append(CurvecastLoader)
board = program.TensorBoard(plugins)
board.configure(argv=["", "--logdir", {logdir!r}, "--port", "0", "--load_fast=false"])
board._make_server()
"""


def write_runs(folder: Path, runs: int) -> None:
    """Event files as TensorBoard's own writer makes them, once."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    rng = np.random.default_rng(0)
    steps = np.arange(1, STEPS + 1)
    for number in range(runs):
        target = folder / f"run_{number:03d}"
        if target.exists():
            continue
        writer = EventFileWriter(str(target))
        law = 2.0 + rng.random() + 3.0 * steps ** -(0.3 + 0.3 * rng.random())
        for step, loss in zip(steps.tolist(), (law + 0.02 * rng.standard_normal(STEPS)).tolist(), strict=True):
            values = [Summary.Value(tag=TAG, simple_value=loss)]
            if step % EVERY == 0:
                values.append(Summary.Value(tag="val/loss", simple_value=float(law[step - 1]) + 0.02))
            writer.add_event(Event(wall_time=1e9 + 0.1 * step, step=step, summary=Summary(value=values)))
        writer.close()


class Asked:
    """Routes of one board, timed."""

    def __init__(self, board: Any, runs: int) -> None:
        self.board, self.runs = board, runs
        self.names = [f"run_{number:03d}" for number in range(runs)]

    def ours(self, route: str, **parameters: object) -> Any:
        """One of the tab's routes."""
        response = self.board.client.get(f"{_BASE}{route}?{urlencode(parameters, doseq=True)}")
        assert response.status_code == 200, response.get_data(as_text=True)[:500]
        return response.get_json() if route == "runs" else response

    def theirs(self, run: str) -> int:
        """The route of the scalars dashboard; gives the answer's length."""
        response = self.board.client.get(f"/data/plugin/scalars/scalars?{urlencode({'run': run, 'tag': TAG})}")
        assert response.status_code == 200
        return len(response.data)

    def table(self) -> int:
        """Ask until every run has its row; gives the number of requests."""
        cursor, requests = "", 0
        while True:
            told = self.ours("runs", cursor=cursor, horizon=2 * STEPS)
            cursor, requests = told["cursor"], requests + 1
            if not told["pending"]:
                return requests


def is_loaded(board: Any, runs: int) -> bool:
    """Whether TensorBoard has read all of the files."""
    from tensorboard.context import RequestContext

    index = board.plugin.desk.look(RequestContext(), "").index
    return len(index) == runs and all(tags.get(TAG, (0,))[0] == STEPS for tags in index.values())


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall time [s]."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def each(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """Medians over a number of calls, and the slowest by CPU time [ms]."""
    found = [timed(lambda at=at: work(at))[0] for at in range(count)]  # type: ignore[misc]
    return 1e3 * statistics.median(found), 1e3 * max(found)


def measure(board: Any, runs: int, count: int) -> dict[str, float]:
    """The figures of one server."""
    asked = Asked(board, runs)
    asked.ours("about")
    asked.ours("curve", run=asked.names[0], horizon=STEPS + 1)  # imports
    theirs_all, _ = timed(lambda: [asked.theirs(run) for run in asked.names])
    cpu, wall = timed(asked.table)
    known = {"horizon": 2 * STEPS}
    cursor = asked.ours("runs", **known)["cursor"]
    figures = {
        "s_table": cpu,
        "s_table_wall": wall,
        "s_scalars_route_for_all_runs": theirs_all,
        "table_over_scalars_route": cpu / theirs_all,
        "ms_poll_without_news": each(lambda _: asked.ours("runs", cursor=cursor, **known), count)[0],
    }
    peer, _ = each(lambda at: asked.theirs(asked.names[at]), count)
    figures["ms_scalars_route"] = peer
    steps = [int(step) for step in np.linspace(2 * STEPS, 4 * STEPS, count)]
    views: dict[str, Callable[[int], object]] = {
        "curve": lambda at: asked.ours("curve", run=asked.names[at], **known),
        "slider_horizon": lambda at: asked.ours("whatif", run=asked.names[0], new_horizon=steps[at], **known),
        "slider_cooldown": lambda at: asked.ours("whatif", run=asked.names[0], cooldown_steps=50 + at, **known),
        "slider_hindsight": lambda at: asked.ours("hindsight", run=asked.names[0], step=500 + 20 * at, **known),
        "compare_two": lambda at: asked.ours("compare", run=asked.names[at : at + 2], **known),
        "narrowing": lambda at: asked.ours("narrowing", run=asked.names[at], **known),
    }
    for name, view in views.items():
        middle, slowest = each(view, count)
        figures |= {f"ms_{name}": middle, f"ms_{name}_slowest": slowest, f"{name}_over_scalars_route": middle / peer}
    return figures


def start_up(rounds: int) -> dict[str, float]:
    """CPU time of starting TensorBoard, with the tab and without, in turns; heavy modules must stay out."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as logdir:
        for at in range(2 * rounds):
            ours = at % 2 == 0
            script = _START.format(ours=ours, logdir=logdir)
            before = os.times()
            subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, capture_output=True)
            after = os.times()
            spent = after.children_user + after.children_system - before.children_user - before.children_system
            taken[ours].append(spent)
    with_it, without = (statistics.median(taken[ours]) for ours in (True, False))
    return {"s_start_with_the_tab": with_it, "s_start_without": without, "s_more": with_it - without}


@click.command(help=__doc__)
@click.option("--runs", default=200, show_default=True)
@click.option("--count", default=20, show_default=True, help="Calls of each route.")
@click.option("--rounds", default=7, show_default=True, help="Starts, with the tab and without.")
@click.option("--data", type=click.Path(path_type=Path), default="/tmp/curvecast_routes", show_default=True)
def main(runs: int, count: int, rounds: int, data: Path) -> None:
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.curvecast_tensorboard.boards import fast, slow

    folder = data / f"runs_{runs}"
    write_runs(folder, runs)
    figures: dict[str, dict[str, float]] = {}
    for name, make in (("load_fast=true", fast), ("load_fast=false", slow)):
        board = make(folder)
        while not is_loaded(board, runs):
            board.reload()
        figures[name] = measure(board, runs, count)
        board.close()
    figures["start"] = start_up(rounds)
    for name, told in figures.items():
        shown = Table("figure", "value", title=f"{name}: {runs} runs of {STEPS} points (CPU time)")
        for figure, value in told.items():
            shown.add_row(figure, f"{value:,.3f}")
        Console().print(shown)
    print("written:", write("tensorboard_routes", figures, source=f"{runs} runs drawn from power laws, seed 0"))


if __name__ == "__main__":
    main()
