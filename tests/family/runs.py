from __future__ import annotations

from typing import Any

import numpy as np

from curvecast import Run, Schedule
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH

SIZES = np.array([5e7, 1e8, 2e8, 4e8, 8e8, 1.6e9])
TOKENS = np.array([2e9, 6e9, 2e10, 6e10])
SMALL: dict[str, Any] = {"starts": 20, "bootstraps": 5, "law": "chinchilla"}  # a fit that takes no time


def grid(noise: float = 0.002, seed: int = 0, sizes: FloatArray = SIZES) -> dict[str, Any]:
    """A family on Epoch's law with noise."""
    N, D = (a.ravel() for a in np.meshgrid(sizes, TOKENS))
    losses = EPOCH.loss(N, D) * np.exp(noise * np.random.default_rng(seed).standard_normal(N.size))
    return {"num_params": N, "num_tokens": D, "loss": losses}


def constant_run(N: float, *, steps: int = 4000, batch: float = 2**20, cooled: bool = False, seed: int = 0) -> Run:
    """A run on Epoch's law at a constant learning rate; a decay takes 3 % off."""
    at = np.arange(50, steps + 1, 50)
    plan = Schedule.constant(steps) if not cooled else Schedule.wsd(steps, warmup=0, decay=0.2)
    tokens = batch * plan.summed(at)
    from curvecast.family.points import ANNEALING
    from curvecast.laws.annealing import annealing_gain

    gain = np.exp(-0.03 * annealing_gain(plan, at, **ANNEALING))
    noise = np.exp(0.001 * np.random.default_rng(seed).standard_normal(len(at)))
    nan = np.full(len(at), np.nan)
    meta = {"num_params": N, "batch_tokens": batch, "schedule": plan.to_dict()}
    return Run(f"{N:.0e}-{seed}", at, EPOCH.loss(N, tokens) * gain * noise, nan, nan, meta)


def some_runs() -> dict[str, Any]:
    """A few runs on Epoch's law, without noise."""
    N, D = (each.ravel() for each in np.meshgrid([1e8, 3e8, 1e9, 3e9], [3e9, 1e10, 5e10]))
    return {"num_params": N, "num_tokens": D, "loss": EPOCH.loss(N, D)}
