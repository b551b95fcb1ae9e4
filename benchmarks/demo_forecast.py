"""The demo's own run over five seeds: each forecast of its last validation loss against what came.

The prior was not fitted on these runs. Five runs of a hundred seconds each on two cores.

    python benchmarks/demo_forecast.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from _accuracy import fill
from _record import write
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import lightning_gpt as demo
import torch

from curvecast_lightning import CurveCast

SHARES = (0.1, 0.25, 0.5, 0.75)


def one(seed: int, steps: int) -> dict[str, Any]:
    """Train the demo's first run, and hold each milestone's forecast against its last validation loss."""
    callback = CurveCast(milestones=SHARES, progress_bar=False)
    data = demo.Sources(steps=steps, seed=seed, train_bytes=None, val_batches=43)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        truth = demo.train("demo", callback, data, validations=50, folder=Path(folder))
    rows = {}
    for share, step, ahead in callback.hindsight:
        interval = ahead.interval(0.9)
        rows[f"{share:.0%}"] = {
            "step": step,
            "median": float(ahead.median),
            "lower": float(interval.lower),
            "upper": float(interval.upper),
            "error, %": 100 * (float(ahead.median) / truth - 1.0),
            "inside": truth in interval,
        }
    details = dict(callback.verdict.details) if callback.verdict else {}
    return {"truth": truth, "seconds": time.perf_counter() - started, "forecasts": rows, "details": details}


@click.command()
@click.option("--seeds", default=5, show_default=True)
@click.option("--steps", default=5000, show_default=True)
def main(seeds: int, steps: int) -> None:
    demo.quiet()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {f"seed {seed}": one(seed, steps) for seed in range(seeds)}
    table = Table("observed", *figures, "inside the 90 %", "median |error|, %", title="Error of the forecast, %")
    for share in (f"{share:.0%}" for share in SHARES):
        rows = [run["forecasts"][share] for run in figures.values()]
        errors = [f"{row['error, %']:+.2f}{'' if row['inside'] else ' *'}" for row in rows]
        inside = sum(row["inside"] for row in rows)
        table.add_row(share, *errors, f"{inside}/{seeds}", f"{np.median([abs(row['error, %']) for row in rows]):.2f}")
    Console().print(table)
    source = f"examples/lightning_gpt.py, first run, {steps} steps, seeds 0 to {seeds - 1}, trained by this benchmark"
    print("written:", write("demo_forecast", figures, source=source))
    fill()


if __name__ == "__main__":
    main()
