"""What a verdict says, where other callbacks look for what they monitor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

SAID = ("forecast", "lower", "upper", "probability")


def publish(trainer: Any, prefix: str, said: Mapping[str, float]) -> None:
    """Put a verdict's numbers among the Trainer's ``callback_metrics``, on every rank where one of them is monitored.

    A ModelCheckpoint fails where its metric is missing, so what is monitored and not yet known is NaN, which it takes
    for the worst.

    Args:
        trainer: the Trainer.
        prefix: of our tags.
        said: the last verdict's numbers, on rank 0.
    """
    wanted = {f"{prefix}/{name}" for name in SAID}
    monitored = wanted.intersection(str(getattr(callback, "monitor", None)) for callback in trainer.callbacks)
    if monitored and trainer.world_size > 1:
        said = trainer.strategy.broadcast(dict(said), 0)
    numbers = dict.fromkeys(monitored, math.nan) | {f"{prefix}/{name}": value for name, value in said.items()}
    trainer.callback_metrics.update({name: torch.tensor(value) for name, value in numbers.items()})
