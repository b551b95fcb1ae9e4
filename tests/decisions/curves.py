from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from curvecast import (
    Verdict,
    Watcher,
)

Curve = Callable[[int], float]


def falling(step: int) -> float:
    return 2.0 + 3.0 * math.exp(-0.4 * math.log(step))


def settled(step: int) -> float:
    return 2.0 + 3.0 * math.exp(-1.5 * math.log(step))


def memorising(step: int) -> float:
    """A validation loss that turns up at step 300."""
    return 2.0 + 3.0 / math.sqrt(step) + 0.4 * max(0.0, math.log2(step / 300))


def watch(curve: Curve, steps: int, watcher: Watcher, *, val: bool = False, noise: float = 0.01) -> list[Verdict]:
    rng = np.random.default_rng(0)
    verdicts = []
    for step in range(1, steps + 1):
        verdicts.append(watcher.update(step, train_loss=falling(step) + noise * float(rng.standard_normal())))
        if val and step % 25 == 0:
            verdicts.append(watcher.update(step, val_loss=curve(step) + 0.2 * noise * float(rng.standard_normal())))
    return verdicts


def reasons(verdicts: list[Verdict]) -> set[str]:
    return {str(verdict.reason) for verdict in verdicts}
