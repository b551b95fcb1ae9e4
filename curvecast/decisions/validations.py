"""The last validation losses one by one: what rules that count them look at."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from curvecast.curve import FloatArray

KEPT = 256
"""Validation losses that are kept; of those before only the lowest is."""


@dataclass(frozen=True, slots=True)
class Recent:
    """The last validation losses, oldest first.

    Args:
        val: ``(n,)`` validation loss, n <= ``KEPT`` [loss unit].
        train: ``(n,)`` mean train loss since the validation before; NaN where there was none [loss unit].
        lowest_before: Lowest validation loss before these; inf where there was none.
    """

    val: FloatArray
    train: FloatArray
    lowest_before: float = math.inf

    def __len__(self) -> int:
        return len(self.val)


class Validations:
    """Keeps the last ``KEPT`` validation losses, each with the mean train loss that led to it.

    Example:
        >>> seen = Validations()
        >>> for train, val in ((3.0, 3.1), (2.0, 2.4), (1.0, 2.5)):
        ...     seen.trained(train)
        ...     seen.add(val)
        >>> seen.recent().val.tolist(), seen.recent().train.tolist()
        ([3.1, 2.4, 2.5], [3.0, 2.0, 1.0])
    """

    __slots__ = ("_count", "_lowest_before", "_rows", "_sum")

    def __init__(self) -> None:
        self._rows: deque[tuple[float, float]] = deque()
        self._lowest_before = math.inf
        self._sum, self._count = 0.0, 0

    def trained(self, loss: float) -> None:
        """Add a finite train loss."""
        self._sum += loss
        self._count += 1

    def trained_on(self, total: float, count: int) -> None:
        """As ``trained``, of so many at once since the last validation loss."""
        self._sum, self._count = total, count

    def add(self, loss: float) -> None:
        """Add a finite validation loss; the train losses since the last one are its own."""
        self._rows.append((loss, self._sum / self._count if self._count else math.nan))
        self._sum, self._count = 0.0, 0
        if len(self._rows) > KEPT:
            self._lowest_before = min(self._lowest_before, self._rows.popleft()[0])

    def recent(self) -> Recent:
        """What is kept, as arrays."""
        val, train = np.array(self._rows, dtype=np.float64).reshape(-1, 2).T
        return Recent(val, train, self._lowest_before)

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and floats."""
        return {
            "rows": [list(row) for row in self._rows],
            "lowest_before": self._lowest_before,
            "open": [self._sum, self._count],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self._rows = deque((row[0], row[1]) for row in state["rows"])
        self._lowest_before = state["lowest_before"]
        self._sum, self._count = state["open"]
