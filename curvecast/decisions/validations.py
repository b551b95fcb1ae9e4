"""The last validation losses one by one: what rules that count them look at."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    __slots__ = ("_count", "_lowest_before", "_recent", "_rows", "_sum")

    def __init__(self) -> None:
        self._rows: deque[tuple[float, float]] = deque()
        self._lowest_before = math.inf
        self._sum, self._count = 0.0, 0
        self._recent: Recent | None = None

    def trained(self, loss: float) -> None:
        """Add a finite train loss."""
        self._sum += loss
        self._count += 1

    def add(self, loss: float) -> None:
        """Add a finite validation loss; the train losses since the last one are its own."""
        self._rows.append((loss, self._sum / self._count if self._count else math.nan))
        self._sum, self._count = 0.0, 0
        self._recent = None
        if len(self._rows) > KEPT:
            self._lowest_before = min(self._lowest_before, self._rows.popleft()[0])

    def extend(self, val: FloatArray, train: FloatArray, before: NDArray[np.int64]) -> None:
        """Add finite losses at once, to the last bit as one after another.

        Args:
            val: ``(n,)`` validation losses.
            train: ``(m,)`` train losses.
            before: ``(m,)`` how many of ``val`` came before each of them, not falling.
        """
        of_val = np.concatenate([[0], before])
        sums = np.bincount(of_val, np.concatenate([[self._sum], train]), len(val) + 1).tolist()
        counts = np.bincount(of_val, minlength=len(val) + 1).tolist()
        counts[0] += self._count - 1
        for loss, total, count in zip(val.tolist(), sums, counts, strict=False):
            self._sum, self._count = total, count
            self.add(loss)
        self._sum, self._count = sums[-1], counts[-1]

    def recent(self) -> Recent:
        """What is kept, as arrays."""
        if self._recent is None:  # it is asked for at every forecast, and changes with a validation alone
            val, train = np.array(self._rows, dtype=np.float64).reshape(-1, 2).T
            self._recent = Recent(val, train, self._lowest_before)
        return self._recent

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and floats."""
        return {
            "rows": [list(row) for row in self._rows],
            "lowest_before": self._lowest_before,
            "open": [self._sum, self._count],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; what is garbled raises."""
        self._recent = None
        self._rows = deque((float(row[0]), float(row[1])) for row in state["rows"])
        self._lowest_before = float(state["lowest_before"])
        self._sum, self._count = float(state["open"][0]), int(state["open"][1])
        if not (
            float(self._count) >= 0.0 and math.isfinite(self._sum) and all(math.isfinite(val) for val, _ in self._rows)
        ):
            raise ValueError(f"{state['open']!r:.40} for the train losses since a validation")
