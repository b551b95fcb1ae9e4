"""Training runs of recipes that had no part in curvecast: other networks, losses, optimizers, schedules, logs.

No prior was fitted and nothing was chosen on them. A coin that was tossed for each recipe puts half of them under
*open*: their curves may be looked at, and what is wrong may be learnt from. The others are *sealed*: they are
scored, and no more.

It writes ``stranger_runs/NAME.csv`` (``step,train_loss,val_loss,lr``) and ``stranger_runs/meta.json``. All of it
takes about ten minutes on one core. A run is the same each time, but for the versions of Python (whose manual and
sources are the text), PyTorch and scikit-learn, and the rounding of the processor.

    python benchmarks/stranger_runs.py
    python benchmarks/stranger_runs.py --only 'lstm-*'
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import torch
from _made import Row, as_csv, write_meta
from rich.progress import track
from strangers import Recipe, recipes
from strangers.nets import adapted
from strangers.tasks import Task
from torch import Generator, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from curvecast_lightning import count_parameters

FOLDER = Path(__file__).parent / "stranger_runs"
_BLOWN_UP = 1e30  # a loss from which on nothing is worth logging

ABOUT = {
    "made_by": "benchmarks/stranger_runs.py; benchmarks/strangers says what each run is",
    "data": "Python's manual as pydoc has it, and its standard library's sources, as bytes; scikit-learn's digits, "
    "photographs, breast cancer, wine and diabetes tables; the rest is made",
    "licence": "Apache-2.0, as curvecast itself",
    "columns": {
        "step": "completed optimizer steps, from 1",
        "train_loss": "before the step: of its batch, or the mean over the steps since the one logged before",
        "val_loss": "after the step, on the same held-out data throughout",
        "lr": "of that step",
    },
    "part": "open: may be looked at and learnt from; sealed: is only scored. By a coin tossed with the recipe's name, "
    "before any forecast of them was made",
}


def prepared(recipe: Recipe) -> tuple[nn.Module, Task]:
    """The network as its run begins, and what it is to learn."""
    torch.manual_seed(recipe.seed)
    model, task = recipe.model(), recipe.task()
    if recipe.first is not None:
        before, steps = recipe.first
        fit = before()
        optimizer, generator = torch.optim.Adam(model.parameters(), 2e-3), Generator().manual_seed(recipe.seed)
        for _ in range(steps):
            optimizer.zero_grad()
            fit.loss(model, fit.draw(32, generator)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return (adapted(model) if recipe.low_rank else model), task


def validate(model: nn.Module, task: Task) -> float:
    """Loss on the held-out data."""
    model.eval()
    with torch.no_grad():
        loss = float(task.loss(model, task.held_out))
    model.train()
    return loss


def rows_at(recipe: Recipe, step: int) -> int:
    """Rows of a step's batch: where there are several sizes, each for its share of the run."""
    sizes = (recipe.batch,) if isinstance(recipe.batch, int) else recipe.batch
    return sizes[min((step - 1) * len(sizes) // recipe.steps, len(sizes) - 1)]


def train(recipe: Recipe) -> Iterator[Row]:
    """Train a network, a row of its log for every step; it ends early where the loss is no number any more."""
    model, task = prepared(recipe)
    generator = Generator().manual_seed(recipe.seed + 1)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = recipe.optimizer(learning)
    plan = recipe.plan(optimizer, recipe.steps // recipe.plan_every) if recipe.plan else None
    average = (
        AveragedModel(model, avg_fn=lambda held, new, _: held.lerp(new, 1.0 - recipe.average))
        if recipe.average
        else None
    )
    since: list[float] = []
    for step in range(1, recipe.steps + 1):
        lr = float(optimizer.param_groups[0]["lr"])
        loss = task.loss(model, task.draw(rows_at(recipe, step), generator))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip:
            nn.utils.clip_grad_norm_(learning, recipe.clip)
        optimizer.step()
        if average is not None:
            average.update_parameters(model)
        since.append(loss.item())
        shown = val = None
        if recipe.train_every and step % recipe.train_every == 0:
            shown = sum(since) / len(since) if recipe.means else since[-1]
            since = []
        if recipe.val_every and step % recipe.val_every == 0:
            val = validate(average or model, task)
        yield step, shown, val, lr
        if not abs(loss.item()) < _BLOWN_UP:
            return
        if plan is not None and step % recipe.plan_every == 0:
            plan.step(*([val] if isinstance(plan, ReduceLROnPlateau) else []))
        if recipe.lost is not None and step == round(recipe.lost[1] * recipe.steps):
            optimizer.state.clear()


def kept(rows: Iterable[Row], recipe: Recipe) -> list[Row]:
    """The rows that were not lost."""
    first, last = (round(share * recipe.steps) for share in recipe.lost or (0.0, 0.0))
    return [row for row in rows if not first < row[0] <= last]


def described(recipe: Recipe) -> dict[str, Any]:
    """What ``meta.json`` says of a run."""
    count = count_parameters(recipe.model())
    return {
        "part": recipe.part,
        "num_params": count.non_embedding if count else None,
        "horizon": recipe.steps,
        "batch": recipe.batch,
        "unit": recipe.task().unit,
        "train_loss": ("mean over" if recipe.means else "every") + f" {recipe.train_every} steps",
        "val_loss": f"every {recipe.val_every} steps" if recipe.val_every else "none",
        "seed": recipe.seed,
    }


@click.command(help=__doc__.partition("\n    python")[0])
@click.option("--only", multiple=True, metavar="PATTERN", help="Names of the runs to make, as of files in a shell.")
@click.option("--anew", is_flag=True, help="Make those again that are there.")
@click.option("--folder", default=FOLDER, type=click.Path(path_type=Path), help="Where they go.")
def main(only: tuple[str, ...], anew: bool, folder: Path) -> None:
    torch.set_num_threads(1)  # the sums keep their order
    folder.mkdir(exist_ok=True)
    chosen = [r for r in recipes() if not only or any(fnmatch(r.name, pattern) for pattern in only)]
    for recipe in track([r for r in chosen if anew or not (folder / f"{r.name}.csv").exists()], "runs"):
        began = time.process_time()
        rows = list(train(recipe))
        (folder / f"{recipe.name}.csv").write_text(as_csv(kept(rows, recipe)), encoding="utf-8")
        print(f"{recipe.name}: {len(rows)} steps, {time.process_time() - began:.0f} s")
    there = {r.name: described(r) for r in recipes() if (folder / f"{r.name}.csv").exists()}
    write_meta(folder, ABOUT, there)


if __name__ == "__main__":
    main()
