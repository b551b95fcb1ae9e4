"""How much of the error on per-step train losses is what the last batches happened to hold?

The truth of such a run is the mean of its train losses over the last 1 % of the steps. Its batches are harder or
easier than others, which no method can know. modded_nanogpt's runs tell by how much: they were validated on the way,
on the same tokens each time. Train less validation loss, each over 1 % of the steps, is steady in the second half of a
run; by how much it departs from its median at the end, the truth is off. Only the train losses are forecast from, so
that a method is told nothing of this. Each error is given as it was, and against the truth less what it is off.

    python benchmarks/last_batches.py
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from _curve import FRACTIONS, Curve
from _curves import PUBLIC, load
from _error_figures import CURVE_FIT, CURVECAST
from _record import write
from _sample import PRIORS, prior_of
from forecast_error import asked, scores, states_of, stop
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

METHODS = (CURVECAST, CURVE_FIT, "last value")
_SET = "modded_nanogpt steps"
_TAIL = 0.01  # of the steps: what the truth is the mean of
_LATER = 0.5  # of the run: where the gap between the losses is steady
_ENOUGH = 5  # validations there, beside the last

Errors = dict[float, dict[str, tuple[float, float]]]  # share seen -> method -> as it was, and without the batches


def luck(train: Curve, val: Curve) -> float:
    """Percent of the loss by which the last batches were harder than others; NaN with too few validations."""
    validated = np.isfinite(val.val_loss) & (val.steps >= _LATER * val.horizon)
    steps, losses = val.steps[validated], val.val_loss[validated]
    if len(steps) <= _ENOUGH or steps[-1] < (1.0 - _TAIL) * train.horizon:
        return float("nan")
    before = [(train.steps > step - _TAIL * train.horizon) & (train.steps <= step) for step in steps]
    gaps = np.array([np.nanmean(train.train_loss[window]) for window in before]) - losses
    return float(100.0 * (gaps[-1] - np.median(gaps[:-1])) / train.truth)


def errors_of(curve: Curve, off: float) -> Errors:
    """Signed percent of the truth, by share of the steps seen and by method."""
    prior, states = prior_of(_SET, None, PRIORS)[0], states_of([curve])
    found: Errors = {}
    for fraction in asked(curve):
        scored = scores(curve, fraction, states[stop(curve, fraction)], prior, None, METHODS)
        found[fraction] = {name: (score.error, score.error + off) for name, score in scored.items()}
    return found


def figures_of(errors: list[Errors], lucks: list[float]) -> dict[str, Any]:
    """What is put on record."""
    cells: dict[str, dict[str, list[tuple[float, float]]]] = {
        f"{fraction:.0%}": defaultdict(list) for fraction in FRACTIONS
    }
    for each in errors:
        for fraction, of in each.items():
            for name, pair in of.items():
                cells[f"{fraction:.0%}"][name].append(pair)
    medians = {
        share: {name: dict(zip(("as it was", "without"), _medians(pairs), strict=True)) for name, pairs in of.items()}
        for share, of in cells.items()
    }
    sizes = np.abs(lucks)
    about = {"runs": len(lucks), "median |off|": float(np.median(sizes)), "largest": float(sizes.max())}
    return {"last batches, % of the loss": about, "median |error|, %": medians}


def _medians(pairs: list[tuple[float, float]]) -> list[float]:
    return [float(value) for value in np.median(np.abs(pairs), axis=0)]


def table_of(figures: dict[str, Any]) -> Table:
    """Methods down, shares of the steps across: as it was, and without the batches."""
    medians = figures["median |error|, %"]
    table = Table(title="median |error| in %: as it was, without the luck of the last batches", box=SIMPLE_HEAD)
    for header in ("method", *medians):
        table.add_column(header)
    for name in METHODS:
        cells = (f"{of[name]['as it was']:.2f}, {of[name]['without']:.2f}" for of in medians.values())
        table.add_row(name, *cells)
    return table


@click.command(help=__doc__)
@click.option("--record/--no-record", default=True, help="Whether to write results/.")
def main(record: bool) -> None:
    console = Console(width=max(Console().width, 100))
    trains: list[Curve] = load(_SET, Path(PUBLIC))
    if not trains:
        raise click.ClickException(f"{PUBLIC.name} is not there: this needs the public curves of modded_nanogpt.")
    vals = {curve.name: curve for curve in load("modded_nanogpt", Path(PUBLIC))}
    lucks = {curve.name: luck(curve, vals[curve.name]) for curve in trains if curve.name in vals}
    asked_of = [curve for curve in trains if np.isfinite(lucks.get(curve.name, np.nan))]
    errors = [errors_of(curve, lucks[curve.name]) for curve in asked_of]
    figures = figures_of(errors, [lucks[curve.name] for curve in asked_of])
    console.print(figures["last batches, % of the loss"])
    console.print(table_of(figures))
    if record:
        print("written:", write("last_batches", figures, source=f"{_SET}: all that were validated"))


if __name__ == "__main__":
    main()
