"""How often the callback waits for the device: reads of a tensor's value, and copies to another device, are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from _callback_runs import BLOCK, Small, fit
from torch.utils._python_dispatch import TorchDispatchMode

from curvecast_lightning import CurveCast


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what waits for a device: values read from a tensor, and tensors copied to another device."""

    NAMES = ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        copies = func.overloadpacket is torch.ops.aten._to_copy and (kwargs or {}).get("device") is not None
        self.count += func.overloadpacket is torch.ops.aten._local_scalar_dense or copies
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> Any:
        self.plain = {name: getattr(torch.Tensor, name) for name in self.NAMES}
        for name, method in self.plain.items():
            setattr(torch.Tensor, name, self._counting(method))
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for name, method in self.plain.items():
            setattr(torch.Tensor, name, method)

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def read(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return method(*args, **kwargs)

        return read


class Strict(CurveCast):
    """Counts the reads of its own hooks, in those steps that end a window and in all others."""

    reads: dict[bool, int]
    calls: dict[bool, int]

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        drains = (trainer.global_step + 1) % BLOCK == 0
        self._counted(drains, lambda: super(Strict, self).on_before_optimizer_step(trainer, pl_module, optimizer))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        drains = trainer.global_step % BLOCK == 0
        end = super().on_train_batch_end
        self._counted(drains, lambda: end(trainer, pl_module, outputs, batch, batch_idx))

    def _counted(self, drains: bool, hook: Callable[[], None]) -> None:
        if "reads" not in self.__dict__:
            self.reads, self.calls = {True: 0, False: 0}, {True: 0, False: 0}
        on_gpu = torch.cuda.is_available()
        if on_gpu and not drains:
            torch.cuda.set_sync_debug_mode("error")
        try:
            with Reads() as reads:
                hook()
        finally:
            if on_gpu:
                torch.cuda.set_sync_debug_mode("default")
        self.reads[drains] += reads.count
        self.calls[drains] += 1


def device_reads(steps: int, accelerator: str) -> dict[str, Any]:
    """Reads from the device in our hooks; on a GPU any wait between drains ends the run with an error."""
    ours = Strict(verbose=False, num_params=10**6, batch_tokens=2**14)
    fit(Small(steps), steps, ours, accelerator=accelerator)
    assert not ours.failed, "a read between drains was refused"
    return {
        "steps": steps,
        "reads between drains": ours.reads[False],
        "hooks between drains": ours.calls[False],
        "reads at drains": ours.reads[True],
        "drains": steps // BLOCK,
    }
