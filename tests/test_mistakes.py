"""Mistakes that a first program makes: each is told what it must be, what was given, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import curvecast
from curvecast import Overfitting, Plateau, Schedule, Watcher

MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "a horizon as text": (lambda: Watcher(horizon="20000"), r"got '20000'\. Pass the planned optimizer steps"),  # type: ignore[arg-type]
    "rates as a list": (lambda: Watcher(schedule=[1e-3] * 9), r"got \[0.001.*\. Pass curvecast.Schedule.from_array"),  # type: ignore[arg-type]
    "rates as an array": (lambda: Watcher(schedule=np.ones(9)), r"got array.*\. Pass curvecast.Schedule.from_array"),  # type: ignore[arg-type]
    "a prior's path": (lambda: Watcher(prior="p.json"), r"got 'p.json'\. Pass curvecast.Prior.load\(path\)"),  # type: ignore[arg-type]
    "one decision": (lambda: Watcher(decisions=Plateau()), r"got Plateau.* alone\. Pass it in brackets"),  # type: ignore[arg-type]
    "a class of them": (lambda: Watcher(decisions=[Plateau]), r"got \[<class .*\. Pass e\.g\. \[Plateau\(\)\]"),  # type: ignore[list-item]
    "a size as text": (lambda: Watcher(num_params="124M"), r"got '124M'\. Pass the non-embedding parameters"),  # type: ignore[arg-type]
    "percent for a level": (lambda: Overfitting(level=95), r"got 95\. Pass 0\.95 to be 95 % sure"),
    "percent for a share": (lambda: Plateau(min_left=10), r"got 10\. Pass 0\.1 for a tenth"),
    "percent for a floor": (lambda: Schedule.cosine(100, floor=10), r"got 10\. Pass 0\.1 for a tenth"),
    "a warm-up beyond it": (lambda: Schedule.cosine(100, warmup=200), r"got 200\. Pass fewer steps of it"),
    "a rate below zero": (lambda: Schedule.from_array([1, -1]), r"got -1\.0 at step 2\. Pass the LR of each step"),
    "a cooldown of none": (lambda: Schedule.constant(9).cooldown(start=1, steps=0), r"got start=1, steps=0\. Pass"),
    "a path of runs": (lambda: curvecast.fit_family("runs"), r"got 'runs'\. Pass e\.g\. curvecast\.read\(path\)"),  # type: ignore[arg-type]
    "runs that are a path": (lambda: curvecast.learn_prior("runs"), r"got a str\. Pass what `curvecast\.read` gives"),  # type: ignore[arg-type]
    "no log": (lambda: curvecast.read("nowhere/"), r"'nowhere/'\. Pass a log file or a folder of runs"),
    "losses alone": (lambda: curvecast.watch([3, 2, 1]), r"got a list\. Pass a curvecast\.Run, a log file, or"),  # type: ignore[arg-type]
    "tags that are none": (lambda: curvecast.choose_tags(3), r"got 3\. Pass e\.g\. \{'loss': 100\}"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_what_it_got_and_what_to_do(mistake: str) -> None:
    make, told = MISTAKES[mistake]
    with pytest.raises((TypeError, ValueError, OSError), match=told):
        make()


@pytest.fixture
def watcher() -> Watcher:
    watcher = Watcher(horizon=1000)
    for step in range(1, 201):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    return watcher


@pytest.mark.parametrize("at", ["end", 0, 0.5, []])
def test_where_no_step_is_asked_for_the_horizon_is_named(watcher: Watcher, at: Any) -> None:
    with pytest.raises(ValueError, match=r"`at` must be a step .*\. Pass optimizer steps, or leave it out"):
        watcher.forecast(at=at)


def test_percent_and_words_are_no_probabilities_and_losses(watcher: Watcher) -> None:
    with pytest.raises(ValueError, match=r"got 90\. Pass 0\.9 for a 90 % interval"):
        watcher.forecast().interval(90)
    with pytest.raises(ValueError, match=r"got 50\. Pass 0\.5 for the median"):
        watcher.forecast().quantile(50)
    with pytest.raises(TypeError, match=r"got 'low'\. Pass the loss"):
        watcher.forecast().probability_below("low")
