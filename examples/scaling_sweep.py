"""Four small GPTs teach a law; it foretells a fifth, larger one, which is then trained: the forecast against what came.

They learn Python from the standard library with Lightning on a CPU, at a learning rate that is held and decays at the
end, so that a run gives losses on its way, too. The logs are read back as any others would be.
"""

from __future__ import annotations

from pathlib import Path

import click
import pytorch_lightning as pl
import torch
from lightning_gpt import CONTEXT, GPT, ROWS, LitGPT, Sources, quiet
from pytorch_lightning.loggers import CSVLogger
from rich.console import Console
from rich.table import Table

import curvecast
from curvecast_lightning import CurveCast, count_parameters

WIDTHS, LARGER = (16, 24, 32, 48), 80
WARMUP, DECAY = 0.03, 0.2  # shares of a run
VALIDATIONS = 40

console = Console(highlight=False)


class Sized(LitGPT):
    """The demo's GPT at another width, with a held learning rate that decays linearly at the end."""

    def __init__(self, *, width: int, steps: int) -> None:
        super().__init__(steps=steps)
        self.model = GPT(width=width)

    def relative_lr(self, done: int) -> float:
        """The learning rate after ``done`` steps, as a share of the peak."""
        left = (self.steps - done) / (DECAY * self.steps)
        return min(1.0, (done + 1) / (WARMUP * self.steps), max(left, 0.0))


def train(width: int, *, steps: int, seed: int, folder: Path, val_batches: int) -> None:
    """Train a model of this width and leave its log, with what the callback notes of it, in the folder."""
    pl.seed_everything(seed, verbose=False)
    every = max(1, steps // VALIDATIONS)
    data = Sources(steps=steps // every * every, seed=seed, train_bytes=None, val_batches=val_batches)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        val_check_interval=every,
        gradient_clip_val=1.0,
        callbacks=[CurveCast(milestones=())],
        logger=CSVLogger(folder, name=f"width-{width}", version=0),
        log_every_n_steps=max(1, steps // 200),
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(Sized(width=width, steps=data.steps), data)


def size(width: int) -> int:
    """Parameters without embeddings, Kaplan's N."""
    count = count_parameters(GPT(width=width))
    assert count is not None
    return count.non_embedding


def last(run: curvecast.Run) -> float:
    """The last validation loss [nats/byte]."""
    return float(run.val_loss[~torch.tensor(run.val_loss).isnan().numpy()][-1])


@click.command(help=__doc__)
@click.option("--steps", default=480, show_default=True, help="Of each run; with 3000 it takes some six minutes.")
@click.option("--seed", default=0, show_default=True)
@click.option("--runs", default="runs/sweep", show_default=True, type=click.Path(path_type=Path), help="Log folder.")
@click.option("--law", default="best", show_default=True, help="See curvecast.fit_family.")
@click.option("--quick", is_flag=True, help="A few seconds of each run, to see that everything works.")
def main(steps: int, seed: int, runs: Path, law: str, quick: bool) -> None:
    quiet()
    torch.set_num_threads(1)
    steps, val_batches = (120, 2) if quick else (steps // VALIDATIONS * VALIDATIONS, 24)
    for width in WIDTHS:
        console.print(f"training width {width}: {size(width):,} parameters, {steps:,} steps")
        train(width, steps=steps, seed=seed, folder=runs, val_batches=val_batches)
    small = curvecast.read(runs)
    family = curvecast.fit_family(small, law=law, unit="nats/byte", counts="without embeddings")
    family.save(runs / "family.json")
    console.print(family.summary())

    plan = curvecast.Schedule.from_dict(small[0].meta["schedule"])  # type: ignore[arg-type]
    tokens = steps * ROWS * CONTEXT
    ahead = family.predict(num_params=size(LARGER), num_tokens=tokens, schedule=plan)
    console.print(f"\nforecast for width {LARGER}, {size(LARGER):,} parameters: {ahead} nats/byte; now it is trained")
    train(LARGER, steps=steps, seed=seed, folder=runs, val_batches=val_batches)

    table = Table("width", "parameters", "last loss", "law", "error", title=r"The law and the runs \[nats/byte]")
    for run in sorted(curvecast.read(runs), key=lambda run: int(run.meta["num_params"])):  # type: ignore[call-overload]
        N: int = run.meta["num_params"]  # type: ignore[assignment]
        fitted = float(family.predict(num_params=N, num_tokens=tokens, schedule=plan).median)
        mark = " (foretold)" if size(LARGER) == N else ""
        name = run.name.split("width-")[-1].split("/")[0]
        table.add_row(name + mark, f"{N:,}", f"{last(run):.3f}", f"{fitted:.3f}", f"{fitted / last(run) - 1:+.1%}")
        if mark:
            inside = "inside" if last(run) in ahead.interval(0.9) else "outside"
            table.caption = f"what came lies {inside} the 90 % interval of the forecast"
    console.print(table)


if __name__ == "__main__":
    main()
