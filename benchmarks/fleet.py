"""From the disk to the forecast of many runs: CPU time a run, against tbparse and ``curve_fit``.

The runs have five tags of 2,000 steps each; they are copies of one event file that torch wrote, each read on its own.
And fits alone: one by one, many at once, and ``curve_fit`` on the same bins.

    python benchmarks/fleet.py --runs 200
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
from _log_files import event_file
from _record import table_of_costs, write
from read_logs import seconds
from rich.console import Console
from scipy.optimize import curve_fit

from curvecast.curve import FloatArray, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many
from curvecast.fit.fitting import fit
from curvecast.fit.prior import Prior
from curvecast.fleet import Settings, each
from curvecast.readers import Run, find
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

STEPS, TAGS = 2_000, 5
ROUNDS = 3  # each of both, in turns: medians
TURNS = 9  # of the fits


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


def many_runs(count: int, *, val: bool) -> list[Job]:
    """Noisy power laws of 2,000 steps, each with its own exponent, on a cosine of twice the length."""
    rng = np.random.default_rng(0)
    prior, steps = Prior().for_size(None), np.arange(1, STEPS + 1)
    clock = Timeline(Schedule.cosine(2 * STEPS, warmup=50), prior.annealing_shape)
    jobs = []
    for _ in range(count):
        losses = 2.0 + 3.0 * steps ** -rng.uniform(0.2, 0.6) + 0.02 * rng.standard_normal(STEPS)
        train, of_val = Series(), Series()
        train.extend(steps, losses)
        if val:
            of_val.extend(steps[39::40], losses[39::40] + 0.05)
        jobs.append(Job(train.bins(), of_val.bins(), clock, prior, val, float(STEPS)))
    return jobs


def curve_fits(jobs: Sequence[Job]) -> None:
    for bins in (job.train for job in jobs):
        curve_fit(power, bins.step, bins.mean, p0=(0.8 * bins.mean[-1], bins.mean[0], 0.5), maxfev=10_000)


def batched(count: int, *, val: bool) -> dict[str, float]:
    """Microseconds of a fit, in the middle one of some turns: a single one takes a tenth of a second, and swings."""
    jobs = many_runs(count, val=val)
    turns = sorted((turn(jobs) for _ in range(TURNS)), key=lambda figures: figures["curve_fit_over_together"])
    return turns[TURNS // 2]


def turn(jobs: Sequence[Job]) -> dict[str, float]:
    """Alone, side by side with others, and as ``curve_fit`` does it on the same bins."""
    count = len(jobs)
    alone = seconds(lambda: [fit(*job[:4], of_val=job.of_val, now=job.now) for job in jobs]) / count
    together, peer = seconds(lambda: fit_many(jobs)) / count, seconds(lambda: curve_fits(jobs)) / count
    return {
        "runs": float(count),
        "us_alone": 1e6 * alone,
        "us_together": 1e6 * together,
        "us_curve_fit": 1e6 * peer,
        "curve_fit_over_together": peer / together,
    }


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
    folders = [folder / f"run_{number}" for number in range(peers)]
    ours(folder)  # imports, tables
    theirs(folders[:1])
    found = np.array([(reading(folder), ours(folder), theirs(folders)) for _ in range(ROUNDS)])
    medians = 1e3 * np.median(found, axis=0)
    figures: dict[str, dict[str, float]] = {
        "a run": {
            **dict(zip(("ms_reading", "ms_ours", "ms_tbparse_and_curve_fit"), medians.tolist(), strict=True)),
            "peer_over_ours": float(np.median(found[:, 2] / found[:, 1])),
            "peer_over_ours_least": float(np.min(found[:, 2] / found[:, 1])),
        }
    }
    figures["fits, train"], figures["fits, train and val"] = batched(256, val=False), batched(256, val=True)
    Console().print(table_of_costs(figures, f"{runs} runs of {TAGS} tags x {STEPS} steps"))
    print("written:", write("fleet", figures, source="files written by torch"))


if __name__ == "__main__":
    main()
