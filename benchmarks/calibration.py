"""Do the intervals hold the truth as often as they say? On 400 curves drawn from the model itself.

Such curves cannot show that the model is right, only that the inference is: what real runs make of it is
measured by the other benchmarks.

    python benchmarks/calibration.py
"""

from __future__ import annotations

import click
import numpy as np
from _record import write
from rich.console import Console
from rich.progress import track
from rich.table import Table

from curvecast import Prior
from curvecast.curve import Series
from curvecast.fit.basis import Timeline
from curvecast.fit.fitting import fit
from curvecast.forecast import Forecast, forecast
from curvecast.testing import SimulatedRun, simulate

LEVELS = (0.5, 0.8, 0.9)


def of_run(run: SimulatedRun, losses: str) -> tuple[Forecast, float]:
    """The forecast at the horizon from what was seen, and the truth."""
    train, val = Series(), Series()
    for step, t, v in zip(run.steps.astype(int).tolist(), run.train_loss, run.val_loss, strict=True):
        if "train" in losses:
            train.add(step, float(t))
        if "val" in losses and np.isfinite(v):
            val.add(step, float(v))
    of_val = "val" in losses
    timeline = Timeline(run.schedule, Prior().annealing_shape)
    posterior = fit(train.bins(), val.bins(), timeline, Prior(), of_val=of_val)
    ahead = forecast(posterior, run.schedule.horizon, of="val" if of_val else "train")
    return ahead, run.final_val if of_val else run.final_train


def coverage(losses: str, now: int, runs: int) -> dict[str, float]:
    inside = dict.fromkeys(LEVELS, 0)
    widths, errors = [], []
    for seed in track(range(runs), f"{losses}, {now} of 3000 steps seen", transient=True):
        ahead, truth = of_run(simulate(seed, now=now), losses)
        for level in LEVELS:
            inside[level] += truth in ahead.interval(level)
        widths.append(float(ahead.interval(0.9).width) / truth)
        errors.append(abs(float(ahead.median) / truth - 1.0))
    found = {f"coverage of {level:.0%}": count / runs for level, count in inside.items()}
    return found | {
        "median width of 90%, %": 100 * float(np.median(widths)),
        "median error, %": 100 * float(np.median(errors)),
    }


@click.command()
@click.option("--runs", default=400, show_default=True)
def main(runs: int) -> None:
    cases = [("train and val", 800), ("train", 800), ("val", 800), ("train and val", 300), ("train and val", 1500)]
    figures = {f"{losses}, {now}/3000": coverage(losses, now, runs) for losses, now in cases}
    table = Table("seen", *next(iter(figures.values())), title=f"{runs} simulated runs, seeds 0 to {runs - 1}")
    for case, values in figures.items():
        table.add_row(case, *(f"{value:.3f}" for value in values.values()))
    Console().print(table)
    source = f"{runs} curves drawn from the shipped prior by curvecast.testing.simulate, seeds 0 to {runs - 1}"
    print("written:", write("calibration", figures, source=source))


if __name__ == "__main__":
    main()
