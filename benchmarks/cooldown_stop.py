"""The demo's GPT, stopped on its way: at once, or after a cooldown, whose forecast is held against what came.

Each run is stopped at a quarter or at the half of its plan, with `on_stop="cooldown"` and the length that the law
gives. The checkpoint from before the cooldown is measured as it is (stopping at once), and trained on for as many steps
at the rates of the plan (the same compute without a cooldown). Twelve runs, a quarter of an hour on two cores.

    python benchmarks/cooldown_stop.py
"""

from __future__ import annotations

import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytorch_lightning as pl
import torch
from _record import write
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import lightning_gpt as demo

from curvecast import Finding, Reason, View
from curvecast_lightning import CurveCast

SHARES = (0.25, 0.5)
WAYS = ("stopped at once", "as many steps without cooldown")  # that a cooldown is held against
COLUMNS = ("schedule, stopped at, seed", "cooldown", "at once", "cooled down", "no cooldown", "forecast", "inside")


class Constant(demo.LitGPT):
    """The demo's model with its rate held after the warm-up."""

    def relative_lr(self, done: int) -> float:
        """After ``done`` steps, as a share of the peak."""
        return min(1.0, (done + 1) / self.warmup)


MODELS: dict[str, type[demo.LitGPT]] = {"constant": Constant, "cosine": demo.LitGPT}


class At:
    """Says 'plateau' from a step on: when to stop is not what is measured here."""

    def __init__(self, step: int) -> None:
        self.step = step

    def decide(self, view: View) -> Finding:
        """Compare the steps."""
        return Finding(Reason.PLATEAU, 1.0, view.step >= self.step, f"step {view.step}: the benchmark stops here")


def trainer(folder: Path, *callbacks: pl.Callback, **limits: Any) -> pl.Trainer:
    """As in the demo, without its bar and its logs."""
    return pl.Trainer(
        accelerator="cpu",
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
        logger=False,
        default_root_dir=folder,
        log_every_n_steps=4,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **limits,
    )


def loss_of(host: pl.Trainer) -> float:
    """The last validation loss [nats/byte]."""
    return float(host.callback_metrics["val_loss"])


def one(model: type[demo.LitGPT], steps: int, share: float, seed: int, folder: Path) -> dict[str, Any]:
    """Stop a run with a cooldown, and hold it against the two other ways from where it began."""
    pl.seed_everything(seed, verbose=False)
    data = demo.Sources(steps=steps, seed=seed, train_bytes=None, val_batches=43)
    callback = CurveCast(
        decisions=[At(round(share * steps))], stop_on={"plateau"}, on_stop="cooldown", save_on_stop=True, verbose=False
    )
    host = trainer(folder, callback, max_epochs=1, val_check_interval=steps // 50)
    host.fit(model(steps=steps), data)
    told = callback.cooldown
    assert told is not None
    cooled, before = loss_of(host), callback.checkpoints[0]
    again = trainer(folder)
    again.validate(model(steps=steps), data, ckpt_path=before, verbose=False)
    on = trainer(folder, max_epochs=1, max_steps=told.step, limit_val_batches=0)
    fresh = demo.Sources(steps=steps, seed=seed + 1000, train_bytes=None, val_batches=43)  # text not yet seen
    module = model(steps=steps)
    on.fit(module, fresh, ckpt_path=before)
    after = trainer(folder)
    after.validate(module, fresh, verbose=False)
    return {
        "began at step": told.step - told.steps,
        "steps": told.steps,
        "ended at step": host.global_step,
        "forecast": {"median": told.loss, "lower": told.lower, "upper": told.upper},
        "stopped at once": loss_of(again),
        "cooled down": cooled,
        "as many steps without cooldown": loss_of(after),
        "inside": told.lower <= cooled <= told.upper,
    }


@click.command()
@click.option("--seeds", default=3, show_default=True)
@click.option("--steps", default=5000, show_default=True)
def main(seeds: int, steps: int) -> None:
    demo.quiet()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    table = Table(*COLUMNS, title=r"Validation loss \[nats/byte]")
    for (name, model), share, seed in product(MODELS.items(), SHARES, range(seeds)):
        with tempfile.TemporaryDirectory() as folder:
            run = one(model, steps, share, seed, Path(folder))
        figures[f"{name}, {share:.0%}, seed {seed}"] = run
        table.add_row(f"{name}, {share:.0%}, {seed}", *cells(run))
    figures["summary"] = summed_up(list(figures.values()))
    Console(width=140).print(table)
    Console().print(figures["summary"])
    source = f"examples/lightning_gpt.py, {steps} steps planned, seeds 0 to {seeds - 1}, trained by this benchmark"
    print("written:", write("cooldown_stop", figures, source=source))


def cells(run: dict[str, Any]) -> list[str]:
    """A run's row of the table, beside its name."""
    ahead = run["forecast"]
    return [
        f"{run['began at step']} + {run['steps']}",
        f"{run['stopped at once']:.4f}",
        f"{run['cooled down']:.4f}",
        f"{run['as many steps without cooldown']:.4f}",
        f"{ahead['median']:.4f} [{ahead['lower']:.4f}, {ahead['upper']:.4f}]",
        "yes" if run["inside"] else "no",
    ]


def summed_up(runs: list[dict[str, Any]]) -> dict[str, float]:
    """How often, and by how much, the cooldown ended below the two other ways, and how good its forecast was."""
    summary: dict[str, float] = {"runs": len(runs)}
    gains = {way: [run[way] - run["cooled down"] for run in runs] for way in WAYS}
    for way in WAYS:
        summary[f"below: {way}"] = sum(gain > 0.0 for gain in gains[way])
    for way in WAYS:
        summary[f"median gain over: {way}"] = float(np.median(gains[way]))
    summary["inside the 90 % interval"] = sum(run["inside"] for run in runs)
    errors = [abs(100 * (run["forecast"]["median"] / run["cooled down"] - 1)) for run in runs]
    summary["median |error| of the forecast, %"] = float(np.median(errors))
    return summary


if __name__ == "__main__":
    main()
