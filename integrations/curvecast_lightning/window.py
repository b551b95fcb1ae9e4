"""The mean training loss of the optimizer steps between two drains, summed where the losses live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class LossWindow:
    """Running sums of a loss, on the device that computes it: nothing is read back until `take`.

    A step's loss is the mean over its micro-batches, a window's the mean over its steps.

    Example:
        >>> window = LossWindow()
        >>> for loss in (1.0, 3.0):
        ...     window.add(torch.tensor(loss))
        >>> window.close_step()
        >>> window.add(torch.tensor(4.0))
        >>> window.close_step()
        >>> total, steps = window.take(torch.device("cpu")).tolist()
        >>> total / steps
        3.0
    """

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._steps = 0
        self._open: Tensor | None = None  # the step whose gradient is being gathered
        self._batches = 0

    def add(self, loss: Tensor) -> None:
        """Add the loss of one micro-batch, unscaled [loss unit]."""
        value = loss.detach().float().reshape(())
        self._open = value if self._open is None else self._open.to(value.device) + value
        self._batches += 1

    def close_step(self) -> None:
        """An optimizer step was taken: what was added since the last one is its loss."""
        if self._open is None:
            return
        step = self._open / self._batches if self._batches > 1 else self._open
        self._sum = step if self._sum is None else self._sum.to(step.device) + step
        self._steps += 1
        self._open, self._batches = None, 0

    def take(self, device: torch.device) -> Tensor:
        """Empty the window.

        Args:
            device: where to leave the result.

        Returns:
            ``(2,)`` float32: sum over the steps, and their number; summed over ranks it still gives the mean.
        """
        pair = torch.zeros(2, device=device)
        if self._sum is not None:
            pair[0], pair[1] = self._sum, self._steps
        self._sum, self._steps = None, 0
        return pair

    def state_dict(self) -> dict[str, Any]:
        """Floats and ints; a float32 is a float exactly."""
        return {
            "sum": None if self._sum is None else float(self._sum),
            "steps": self._steps,
            "open": None if self._open is None else float(self._open),
            "batches": self._batches,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._sum = None if state["sum"] is None else torch.tensor(state["sum"])
        self._open = None if state["open"] is None else torch.tensor(state["open"])
        self._steps, self._batches = int(state["steps"]), int(state["batches"])
