"""Optuna's trials, pruned where curvecast expects no better end: a slow starter is not taken for a bad one.

A small network learns scikit-learn's digits, on a CPU, in less than a minute. You need: pip install optuna scikit-learn
"""

from __future__ import annotations

from typing import Any

import click
import optuna
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import curvecast

EVERY = 10  # steps from validation to validation
HOPE = 0.05  # a trial that beats the best with less than this probability is pruned,
EARLIEST = 0.25  # but not before this share of its steps: the first ones of so small a network tell little of its end


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """``(1797, 64)`` pixels and ``(1797,)`` labels, shuffled."""
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return torch.tensor(pixels / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]


def train(trial: optuna.Trial, pixels: torch.Tensor, labels: torch.Tensor, steps: int) -> float:
    """The last validation loss of a network with the trial's learning rate and width."""
    torch.manual_seed(0)
    width = trial.suggest_int("width", 8, 128, log=True)
    model = nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.Linear(width, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.suggest_float("lr", 1e-4, 3e-1, log=True))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    watcher = curvecast.Watcher(schedule=curvecast.Schedule.from_torch(scheduler, steps=steps))

    val_loss = float("inf")
    for step in range(1, steps + 1):
        at = torch.randint(1400, (64,))
        loss = functional.cross_entropy(model(pixels[at]), labels[at])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()
        watcher.update(step, train_loss=loss.item())
        if step % EVERY == 0:
            with torch.no_grad():
                val_loss = functional.cross_entropy(model(pixels[1400:]), labels[1400:]).item()
            verdict = watcher.update(step, val_loss=val_loss)
            trial.report(val_loss, step)
            if is_hopeless(trial, verdict, share=step / steps):
                raise optuna.TrialPruned
    return val_loss


def is_hopeless(trial: optuna.Trial, verdict: curvecast.Verdict, *, share: float) -> bool:
    """Whether a trial has diverged, or will hardly end below the best of those that are done."""
    if verdict.reason == "diverged":
        return True
    done = trial.study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    if not done or verdict.forecast is None or share < EARLIEST:
        return False
    return float(verdict.forecast.probability_below(trial.study.best_value)) < HOPE


@click.command(help=__doc__)
@click.option("--trials", default=20, show_default=True)
@click.option("--steps", default=500, show_default=True, type=click.IntRange(min=100), help="Of each trial.")
def main(trials: int, steps: int) -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pixels, labels = digits()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        return train(trial, pixels, labels, steps)

    def say(study: optuna.Study, trial: Any) -> None:
        seen = max(trial.intermediate_values, default=0)
        print(f"trial {trial.number:2}: {trial.state.name.lower():8} at step {seen:3} of {steps}, {trial.params}")

    study.optimize(objective, n_trials=trials, callbacks=[say])
    taken = sum(max(trial.intermediate_values, default=0) for trial in study.trials)
    print(
        f"best: {study.best_value:.4f} with {study.best_params}; {taken / trials / steps:.0%} of all steps were taken"
    )


if __name__ == "__main__":
    main()
