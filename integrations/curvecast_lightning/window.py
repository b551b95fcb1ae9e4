"""The mean training loss of the optimizer steps between two readings, kept where the losses live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

MOST = 64  # losses kept one by one; more are summed, so that a long window stays small
_TOO_MANY = 1 << 53  # losses; beyond it not every number is a float


class _Losses:
    """A sum, most of which is put off: keeping a tensor costs a tenth of adding one up."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Tensor] = []
        self._sum: Tensor | None = None

    def add(self, loss: Tensor) -> None:
        self._kept.append(loss)
        self.count += 1
        if len(self._kept) == MOST:
            self._sum, self._kept = self.total(), []

    def clear(self) -> None:
        self._kept.clear()
        self._sum, self.count = None, 0

    def last(self) -> Tensor:
        return self._kept[-1]

    def total(self) -> Tensor:
        kept = _stacked(self._kept).sum() if self._kept else torch.zeros(())
        return kept if self._sum is None else self._sum.to(kept.device) + kept

    def state_dict(self) -> dict[str, Any]:
        kept = [float(loss) for loss in self._kept]
        return {"sum": None if self._sum is None else float(self._sum), "kept": kept, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        summed, kept, count = state["sum"], state["kept"], int(state["count"])
        if not len(kept) <= count < _TOO_MANY:
            raise ValueError(f"{count} losses, of which {len(kept)} are kept")
        self._sum = None if summed is None else _number(summed)
        self._kept = [_number(loss) for loss in kept]
        self.count = count


def _number(loss: Any) -> Tensor:
    """A loss of a checkpoint.

    Raises:
        TypeError, ValueError: if it is none.
    """
    if isinstance(loss, Tensor) and loss.numel() != 1:  # torch's own error may stand for anything
        raise ValueError(f"a tensor of {loss.numel()} numbers where one loss should be")
    return torch.tensor(float(loss))


class LossWindow:
    """Losses of a window, on the device that computed them: nothing is read back until `take`.

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
        self._closed = _Losses()
        self._open = _Losses()  # the step whose gradient is being gathered

    def add(self, loss: Tensor) -> None:
        """Add the loss of one micro-batch, unscaled [loss unit].

        Args:
            loss: of one element, without a graph; it is kept, so nobody may write to it any more.
        """
        self._open.add(loss)

    def close_step(self) -> None:
        """An optimizer step was taken: what was added since the last one is its loss."""
        count = self._open.count
        if count:
            self._closed.add(self._open.last() if count == 1 else self._open.total() / count)
            self._open.clear()

    def take(self, device: torch.device) -> Tensor:
        """Empty the window.

        Args:
            device: where to leave the result.

        Returns:
            ``(2,)`` float32: sum over the steps, and their number; summed over ranks it still gives the mean.
        """
        pair = torch.zeros(2, device=device)
        if self._closed.count:
            pair[0], pair[1] = self._closed.total(), self._closed.count
        self._closed.clear()
        return pair

    def state_dict(self) -> dict[str, Any]:
        """Floats and ints, bounded; a float32 is a float exactly."""
        return {"closed": self._closed.state_dict(), "open": self._open.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._closed.load_state_dict(state["closed"])
        self._open.load_state_dict(state["open"])


def _stacked(losses: Sequence[Tensor]) -> Tensor:
    """``(n,)`` float32, on the last one's device: a resumed run's first losses come from a file."""
    last = losses[-1]
    if all(loss.dtype is last.dtype and loss.device == last.device and not loss.ndim for loss in losses):
        return torch.stack(list(losses)).float()
    return torch.stack([loss.float().reshape(()).to(last.device) for loss in losses])
