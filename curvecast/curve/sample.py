"""What is told of a run: one sample at a time, or as a whole once it is finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One observation of a run.

    Args:
        step: Completed optimizer steps, from 1 [steps].
        train_loss: Training loss at that step [nats/token, or any unit]; ``None`` where not measured.
        val_loss: Validation loss, or ``{name: loss}`` for several sets, the first being the one that decides.
        lr: Learning rate that the step used [any unit].
        tokens: Tokens seen so far [tokens], where the batch varies.
        seconds: Time on the run's clock [s].
        critical_batch: As measured from the gradients' noise [tokens].

    Example:
        >>> Sample(step=10, train_loss=2.5).val_loss is None
        True
    """

    step: int
    train_loss: float | None = None
    val_loss: float | Mapping[str, float] | None = None
    lr: float | None = None
    tokens: float | None = None
    seconds: float | None = None
    critical_batch: float | None = None


class FinishedRun(Protocol):
    """What is needed of a run; ``curvecast.Run`` has it."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """``(n,)`` completed optimizer steps."""

    @property
    def train_loss(self) -> FloatArray:
        """``(n,)`` train loss; NaN where none was logged."""

    @property
    def val_loss(self) -> FloatArray:
        """``(n,)`` validation loss; NaN where none was logged."""

    @property
    def lr(self) -> FloatArray:
        """``(n,)`` learning rate; NaN where none was logged."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """What is known beside them: ``num_params``, ``batch_tokens``, a ``schedule`` as ``to_dict`` gives it ..."""
