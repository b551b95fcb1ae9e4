"""How few finished runs help the next one, and do strangers in the same folder harm? On real curves.

Each curve is forecast at 10, 25, 50 and 80 % of its steps by the law alone, by what one, two, three and eight siblings
have taught, and by what eight siblings and four runs of each of two other sets have: the sets, siblings and priors are
those of ``forecast_error.py``, and the fewer siblings are the first of the eight.

    python benchmarks/few_siblings.py
    python benchmarks/few_siblings.py --sets small_runs --no-record
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from _curve import Curve
from _curves import PUBLIC, SETS
from _processes import spread
from _record import write
from _sample import PRIORS, drawn, gather, prior_of, siblings_of
from _scores import Score, summarize
from forecast_error import asked, learn, of_watcher, states_of, stop, woken
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from curvecast import NotEnoughSamples, Prior, Run

COUNTS = (1, 2, 3, 8)
_STRANGERS = 4  # of each of two sets
_Rows = tuple[tuple[float, ...], ...]
_LEARNT: dict[tuple[str, str, bool], tuple[_Rows, _Rows]] = {}  # lessons and points of curves, by prior and run
_FIGURES = ("median |error|", "CRPS", "coverage 90%", "width 90%")


class Task(NamedTuple):
    """One curve, its prior, and what is learnt from, by name."""

    curve: Curve
    prior: Prior
    folders: dict[str, list[Run]]


Scores = dict[float, dict[str, Score]]  # by the share of the steps seen, and by what was learnt from


def run(task: Task) -> tuple[str, Scores]:
    """The set, and the scores of one curve where all that it is to learn from teaches something."""
    learnt = {name: taught(task.prior, runs) for name, runs in task.folders.items()}
    priors = {"none": task.prior} | {name: prior for name, prior in learnt.items() if prior.lessons}
    found: Scores = {}
    if len(priors) <= len(learnt):
        return task.curve.set, found
    states = states_of([task.curve])
    for fraction in asked(task.curve):
        state = states[stop(task.curve, fraction)]
        watchers = {name: woken(task.curve, state, prior, planned=True) for name, prior in priors.items()}
        try:
            watchers["none"].bins(task.curve.of)
            found[fraction] = {name: of_watcher(task.curve, watcher) for name, watcher in watchers.items()}
        except (NotEnoughSamples, ValueError):  # its loss has not been seen
            continue
    return task.curve.set, found


def taught(prior: Prior, runs: Sequence[Run]) -> Prior:
    """The prior that all these runs have taught: what one teaches depends on no other, so each is learnt from once."""
    each = [_learnt(prior, run) for run in runs]
    lessons, curves = (
        tuple((float(number), *row[1:]) for number, of_run in enumerate(each) for row in of_run[kind])
        for kind in (0, 1)
    )
    return replace(prior, lessons=lessons, curves=curves)


def _learnt(prior: Prior, run: Run) -> tuple[_Rows, _Rows]:
    """What one run teaches under a prior; nothing, where it is too short."""
    key = prior.source, run.name, bool(np.isfinite(run.val_loss).any())  # of some two sets differ in that alone
    if key not in _LEARNT:
        learnt = learn([run], prior)
        _LEARNT[key] = (learnt[0].lessons, learnt[0].curves) if learnt is not None else ((), ())
    return _LEARNT[key]


def tasks_of(found: Mapping[str, list[Curve]], limit: int | None, folder: Path) -> list[Task]:
    """A seeded sample of each set's curves, with siblings, and with strangers from the two sets after it."""
    tasks = []
    names = list(found)
    for k, name in enumerate(names):
        groups: dict[str, list[Curve]] = defaultdict(list)
        for curve in found[name]:
            groups[curve.group].append(curve)
        others = [names[(k + away) % len(names)] for away in (2, 3)]  # the one after it may hold the same runs
        strangers = [curve.finished() for other in others for curve in drawn(found[other], _STRANGERS)]
        for curve in drawn(found[name], limit):
            kin = {f"{count} siblings": siblings_of(curve, groups[curve.group], count) for count in COUNTS}
            both = {"8 siblings and strangers": kin["8 siblings"] + strangers}
            tasks.append(Task(curve, prior_of(name, None, folder)[0], kin | both))
    return tasks


def figures_of(scores: Sequence[Scores]) -> dict[str, dict[str, dict[str, float]]]:
    """Fraction -> what was learnt from -> figures."""
    cells: dict[float, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for one in scores:
        for fraction, of in one.items():
            for name, score in of.items():
                cells[fraction][name].append(score)
    return {
        f"{fraction:.0%}": {name: _told(summarize(each)) for name, each in of.items()}
        for fraction, of in sorted(cells.items())
    }


def _told(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: figures[name] for name in ("n", *_FIGURES)}


def table_of(name: str, figures: dict[str, dict[str, dict[str, float]]]) -> Table:
    """What was learnt from down, shares of the steps across: median error, and CRPS, in percent of the truth."""
    table = Table(title=f"{name}: median |error|, CRPS", box=SIMPLE_HEAD)
    table.add_column("learnt from")
    for fraction, of in figures.items():
        table.add_column(f"{fraction} ({of['none']['n']:.0f})", justify="right")
    for row in next(iter(figures.values())) if figures else ():
        table.add_row(row, *(f"{of[row]['median |error|']:.2f}, {of[row]['CRPS']:.2f}" for of in figures.values()))
    return table


@click.command(help=__doc__)
@click.option("--sets", multiple=True, type=click.Choice(list(SETS)), help="Only these sets are shown.")
@click.option("--limit", default=12, show_default=True, help="Curves a set, drawn by a seed.")
@click.option("--taskset", default=8, show_default=True, help="Runs of each of taskset's six tasks, drawn by a seed.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1))
@click.option("--record/--no-record", default=True, help="Whether to write results/.")
def main(sets: tuple[str, ...], limit: int, taskset: int, jobs: int, record: bool) -> None:
    console = Console(width=max(Console().width, 120))
    found = gather(tuple(SETS), PUBLIC, taskset, console)
    tasks = [task for task in tasks_of(found, limit, PRIORS) if not sets or task.curve.set in sets]
    scores: dict[str, list[Scores]] = defaultdict(list)
    for name, one in spread(run, tasks, jobs):
        scores[name].append(one)
    figures: dict[str, Any] = {name: figures_of(scores[name]) for name in found if name in scores}
    for name, of in figures.items():
        console.print(table_of(name, of))
    if record:
        source = f"{', '.join(figures)}: up to {limit} curves a set, drawn by seed 0; {taskset} runs a task of taskset"
        print("written:", write("few_siblings", figures, source=source))


if __name__ == "__main__":
    main()
