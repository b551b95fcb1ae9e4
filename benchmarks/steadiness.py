"""How steady is a forecast while a run is watched? The forecasts of one end, asked again and again along the way.

Of each curve the loss at its end is forecast at up to 60 log-spaced steps, from the first that has 12 losses to 95 % of
the way, and each forecast is held against the one before:

- the *move* of the median, over half the width of the earlier 90 % interval;
- whether the later median *leaves* the earlier 50 % or 90 % interval;
- *movement*: the squared moves of a run, summed, over the uncertainty that it lost on the way (variances read off the
  90 % intervals). Forecasts of one who is right wander as a martingale, for which that is 1 in the mean: more is news
  that is taken back, less is news that comes too slowly (Augenblick and Rabin 2021);
- *taken back*: runs on which a reason to stop was given, and later no more; in the last tenth there is little to stop.

    python benchmarks/steadiness.py
    python benchmarks/steadiness.py --sets small_runs --no-record --rows moves.jsonl
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from _curve import Curve
from _curves import PUBLIC, SEALED, SETS
from _processes import spread
from _record import write
from _sample import PRIORS, drawn, gather, prior_of
from rich.console import Console
from rich.table import Table

from curvecast import NotEnoughSamples, Prior, Watcher

_ASKED, _NEEDED, _LAST, _JUDGED = 60, 12, 0.95, 0.9
_LEVELS = (0.5, 0.9)
_LEAST = 1e-12
_SD_OF_90 = 1.6449  # half the width of a Gaussian's 90 % interval, in standard deviations
_OPEN = tuple(name for name in SETS if name not in SEALED)


@dataclass(frozen=True, slots=True)
class Said:
    """One forecast of the end of a run.

    Args:
        step: When it was made [steps].
        median: Its median [loss unit].
        ends: Of the 50 % and of the 90 % interval [loss unit].
        reason: The verdict that stood.
        should_stop: Whether it advised to stop.
    """

    step: int
    median: float
    ends: tuple[tuple[float, float], ...]
    reason: str
    should_stop: bool

    @property
    def half_width(self) -> float:
        """Half the width of the 90 % interval; of a loss that has come to nought there is none."""
        lower, upper = self.ends[-1]
        return max(0.5 * (upper - lower), _LEAST)


@dataclass(frozen=True, slots=True)
class Watched:
    """All forecasts of one run, in their order, and the loss that came."""

    set: str
    curve: str
    truth: float
    horizon: int
    said: tuple[Said, ...]

    @property
    def pairs(self) -> Iterable[tuple[Said, Said]]:
        """Each forecast with the one before it."""
        return zip(self.said, self.said[1:], strict=False)

    @property
    def moves(self) -> list[float]:
        """How far each median lies from the one before, in half-widths of that one's 90 % interval."""
        return [abs(later.median - earlier.median) / earlier.half_width for earlier, later in self.pairs]

    def left(self, k: int) -> list[bool]:
        """Whether each median leaves the interval of the one before."""
        return [not earlier.ends[k][0] <= later.median <= earlier.ends[k][1] for earlier, later in self.pairs]

    @property
    def movement(self) -> float:
        """The squared moves over the uncertainty that was lost; NaN where none was."""
        moved = sum((later.median - earlier.median) ** 2 for earlier, later in self.pairs)
        first, last = ((self.said[k].half_width / _SD_OF_90) ** 2 for k in (0, -1))
        return moved / (first - last) if first > last else float("nan")

    @property
    def takes_back(self) -> bool:
        """Whether a reason to stop was given, and later no more, while there is still something to stop."""
        judged = [pair for pair in self.pairs if pair[1].step <= _JUDGED * self.horizon]
        return any(earlier.should_stop and not later.should_stop for earlier, later in judged)


def watch(task: tuple[Curve, Prior]) -> Watched:
    """Ask for the end of a run along its way."""
    curve, prior = task
    watcher = curve.watcher(prior)
    stops, said = asked_at(curve), []
    for sample in curve.finished().samples():
        verdict = watcher.update(sample.step, sample.train_loss, sample.val_loss, sample.lr)
        if sample.step in stops and (made := forecast(curve, watcher)) is not None:
            median, ends = made
            said.append(Said(sample.step, median, ends, verdict.reason.value, verdict.should_stop))
    return Watched(curve.set, curve.name, curve.truth, curve.horizon, tuple(said))


def asked_at(curve: Curve) -> set[int]:
    """The steps after which a forecast is asked for: those of losses, about evenly spaced on the logarithm."""
    known = np.isfinite(curve.train_loss).astype(int) + np.isfinite(curve.val_loss)
    steps = curve.steps[(np.cumsum(known) >= _NEEDED) & (curve.steps <= _LAST * curve.horizon) & (known > 0)]
    if not len(steps):
        return set()
    wanted = np.geomspace(steps[0], steps[-1], _ASKED)
    return set(steps[steps.searchsorted(wanted * (1.0 + 1e-9), side="right") - 1].tolist())


def forecast(curve: Curve, watcher: Watcher) -> tuple[float, tuple[tuple[float, float], ...]] | None:
    """The median and the ends of the intervals; none while its loss has not been seen."""
    try:
        watcher.bins(curve.of)
        ahead = watcher.forecast(at=curve.horizon, of=curve.of, schedule=curve.future(watcher))
    except (ValueError, NotEnoughSamples):
        return None
    intervals = [ahead.interval(level) for level in _LEVELS]
    return float(ahead.median), tuple((float(each.lower), float(each.upper)) for each in intervals)


def figures_of(runs: Sequence[Watched]) -> dict[str, Any]:
    """What is told of the runs of a set."""
    moves = np.array([move for run in runs for move in run.moves])
    left = [[out for run in runs for out in run.left(k)] for k in range(len(_LEVELS))]
    movement = np.array([run.movement for run in runs])
    worst = max(runs, key=lambda run: max(run.moves))
    at = int(np.argmax(worst.moves))
    return {
        "runs": len(runs),
        "moves": len(moves),
        "median move": float(np.median(moves)),
        "95th percentile of moves": float(np.quantile(moves, 0.95)),
        "worst move": float(moves.max()),
        **{
            f"left the {level:.0%} interval, %": 100.0 * float(np.mean(out))
            for level, out in zip(_LEVELS, left, strict=True)
        },
        "movement, median": float(np.nanmedian(movement)),
        "movement, mean": float(np.nanmean(movement)),
        "taken back": sum(run.takes_back for run in runs),
        "worst": {"curve": worst.curve, "from": worst.said[at].step, "to": worst.said[at + 1].step},
    }


def table_of(figures: dict[str, dict[str, Any]]) -> Table:
    """The figures, a set a row."""
    table = Table(
        "set", "runs", "move: median", "95 %", "worst", "left 50 %", "90 %", "movement: median", "mean", "taken back"
    )
    for name, row in figures.items():
        numbers = [f"{value:.3g}" for value in list(row.values())[2:9]]
        table.add_row(name, str(row["runs"]), *numbers, str(row["taken back"]))
    return table


@click.command(help=__doc__)
@click.option("--curves", "folder", default=PUBLIC, show_default=False, type=click.Path(path_type=Path))
@click.option("--sets", multiple=True, type=click.Choice(_OPEN), help="Only these sets.")
@click.option("--limit", default=32, show_default=True, type=click.IntRange(1), help="Curves a set, drawn by a seed.")
@click.option("--taskset", default=8, show_default=True, help="Runs of each of taskset's six tasks, drawn by a seed.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1))
@click.option("--rows", type=click.Path(path_type=Path), help="Write every forecast here, a run a line.")
@click.option("--record/--no-record", default=True, help="Whether to write results/.")
def main(
    folder: Path, sets: tuple[str, ...], limit: int, taskset: int, jobs: int, rows: Path | None, record: bool
) -> None:
    began = time.perf_counter()
    console = Console(width=max(Console().width, 120))
    found = gather(sets or _OPEN, folder, taskset, console)
    tasks = [(c, prior_of(name, None, PRIORS)[0]) for name, curves in found.items() for c in drawn(curves, limit)]
    watched = sorted(spread(watch, tasks, jobs), key=lambda run: run.curve)
    if rows is not None:
        rows.write_text("".join(json.dumps(asdict(run)) + "\n" for run in watched), encoding="utf-8")
    of_set: dict[str, list[Watched]] = defaultdict(list)
    for run in watched:
        if len(run.said) > 1:
            of_set[run.set].append(run)
    figures = {name: figures_of(of_set[name]) for name in found if name in of_set}
    console.print(table_of(figures), f"{time.perf_counter() - began:.0f} s on {jobs} processes.")
    if record:
        print("written:", write("steadiness", figures, source=f"up to {limit} runs a set, drawn by seed 0"))


if __name__ == "__main__":
    main()
