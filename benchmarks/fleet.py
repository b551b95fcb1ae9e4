"""From the disk to the forecast of many runs: CPU time a run, against tbparse and ``curve_fit``.

The runs have five tags of 2,000 steps each; they are copies of one event file that torch wrote, each read on its own.

    python benchmarks/fleet.py --runs 200
"""

from __future__ import annotations

import shutil
import time
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
from _record import write
from read_logs import event_file
from rich.console import Console
from rich.table import Table
from scipy.optimize import curve_fit

from curvecast.curve import FloatArray, Series
from curvecast.fleet import Settings, each
from curvecast.readers import Run, find
from curvecast.watcher import Watcher

STEPS, TAGS = 2_000, 5


def power(s: FloatArray, level: float, drop: float, alpha: float) -> FloatArray:
    return np.asarray(level + drop * s**-alpha)


def median(run: Run, seen: Run, watcher: Watcher) -> float:
    """The forecast of a run: what a fleet's table needs at least."""
    forecast = watcher.verdict.forecast
    return float("nan") if forecast is None else float(np.ravel(forecast.median)[-1])


def ours(folder: Path) -> float:
    start = time.process_time()
    outcomes = list(each(find(folder), Settings(horizon=2 * STEPS), median))
    assert all(np.isfinite(outcome.digests[0]) for outcome in outcomes)
    return (time.process_time() - start) / len(outcomes)


def reading(folder: Path) -> float:
    """Finding and reading alone."""
    from curvecast.readers import read_source

    start = time.process_time()
    count = sum(len(read_source(source)) for source in find(folder))
    return (time.process_time() - start) / count


def theirs(folders: list[Path]) -> float:
    """tbparse, and ``curve_fit`` of ``L + A s^-alpha`` on the log-spaced bins of the training loss."""
    start = time.process_time()
    for folder in folders:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: Any = import_module("tbparse")
            table = module.SummaryReader(str(folder)).scalars
        loss = table[table["tag"] == "train/loss"]
        series = Series()
        for step, value in zip(loss["step"], loss["value"], strict=True):
            series.add(int(step), float(value))
        bins = series.bins()
        curve_fit(power, bins.step, bins.mean, p0=(0.8 * bins.mean[-1], bins.mean[0], 0.5), maxfev=10_000)
    return (time.process_time() - start) / len(folders)


@click.command(help=__doc__)
@click.option("--runs", default=200, show_default=True)
@click.option("--peers", default=10, show_default=True, help="Runs that the peer reads.")
@click.option("--data", type=click.Path(path_type=Path), default="/tmp/curvecast_fleet", show_default=True)
def main(runs: int, peers: int, data: Path) -> None:
    if find_spec("tbparse") is None:
        raise click.ClickException("the peers are not installed. Run `pip install 'curvecast[bench]'`.")
    data.mkdir(exist_ok=True)
    file = event_file(data / "one", STEPS * TAGS)
    folder = data / f"runs_{runs}"
    for number in range(runs):
        target = folder / f"run_{number}"
        if not target.exists():
            target.mkdir(parents=True)
            shutil.copy(file, target)
    ours(folder)  # imports, tables
    peer = theirs([folder / f"run_{number}" for number in range(peers)])
    figures: dict[str, dict[str, float]] = {
        "a run": {
            "ms_reading": 1e3 * reading(folder),
            "ms_quick": 1e3 * ours(folder),
            "ms_all_verdicts": 1e3 * ours(folder),
            "ms_tbparse_and_curve_fit": 1e3 * peer,
        }
    }
    of_run = figures["a run"]
    for name in ("ms_quick", "ms_all_verdicts"):
        of_run[f"peer_over_{name[3:]}"] = of_run["ms_tbparse_and_curve_fit"] / of_run[name]
    table = Table("figure", "value", title=f"{runs} runs of {TAGS} tags x {STEPS} steps (CPU time)")
    for figure, value in of_run.items():
        table.add_row(figure, f"{value:,.3f}")
    Console().print(table)
    print("written:", write("fleet", figures, source="files written by torch"))


if __name__ == "__main__":
    main()
