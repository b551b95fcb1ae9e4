"""A log is caught up with: only the last verdict is decided, and nothing else may differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curvecast import Sample, Watcher, read, watch
from curvecast.readers import Run

STEPS = np.arange(1, 601)
FALLING = 2.0 + 3.0 * STEPS.astype(np.float64) ** -0.5
NOTHING = np.full(600, np.nan)


def state(watcher: Watcher) -> str:
    return json.dumps(watcher.state_dict(), sort_keys=True)


def same(run: Run) -> bool:
    """Whether a run caught up with leaves what its updates one by one do, every verdict decided."""
    return state(watch(run)) == state(watch(run, on_verdict=lambda verdict: None))


def made(kind: str) -> Run:
    rng = np.random.default_rng(0)
    train, val, meta = FALLING.copy(), NOTHING.copy(), {"horizon": 900}
    if kind == "noisy":
        train += 0.3 * rng.standard_normal(600)
    elif kind == "spike":
        train[300:305] = 9.0
    elif kind == "diverged":
        train[400:] = 9.0
    elif kind == "not finite":
        train[400:] = np.inf
    elif kind == "flat":
        train[:] = 2.0
    elif kind == "overfitting":
        val[9::10] = (FALLING + 0.3 * (STEPS / 300.0) ** 2)[9::10]
    elif kind == "short":
        train[10:] = np.nan
    elif kind == "open":
        meta = {}
    return Run(kind, STEPS, train, val, NOTHING, dict(meta))


@pytest.mark.parametrize(
    "kind", ["smooth", "noisy", "spike", "diverged", "not finite", "flat", "overfitting", "short", "open"]
)
def test_catching_up_leaves_what_updates_leave(kind: str) -> None:
    assert same(made(kind))


def test_so_does_it_on_real_runs() -> None:
    runs = read(Path(__file__).parent.parent / "benchmarks" / "small_runs")
    for run in runs[::12]:
        assert same(run), run.name


def test_a_watcher_with_a_past_goes_on_from_it() -> None:
    samples = [Sample(int(step), train_loss=float(loss)) for step, loss in zip(STEPS, FALLING, strict=True)]
    apart, whole = Watcher(horizon=900), Watcher(horizon=900)
    apart.catch_up(samples[:200])
    apart.catch_up(samples[200:])
    for sample in samples:
        whole.update(sample.step, sample.train_loss)
    assert state(apart) == state(whole)
