"""Squared norms of gradients over a micro-batch and over the whole step, kept where the gradients live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from curvecast_lightning.horizon import accumulation_by_epoch, replicas

Norms = tuple[float, float, float, int]


class GradientNorms:
    """What the gradient noise scale is measured from: by accumulation, or else by the processes of DDP.

    With accumulation the first micro-batch of a step is the small batch, on rank 0. Without, the small batch is that
    of one process, whose gradients a communication hook sees before they are averaged. The big batch is the step's.

    Nothing is read back from the device until `take`.
    """

    def __init__(self) -> None:
        self._small: Tensor | None = None
        self._sums: Tensor | None = None  # of squared norms: small, big; and the number of steps
        self._share = 1.0  # of the step's batch that the small one is
        self._hooked = False

    def begin(self, trainer: Any) -> str:
        """Get ready, on every rank.

        Returns:
            Why nothing can be measured; empty where it can.
        """
        self._small = self._sums = None
        if _is_sharded(trainer):
            return "the gradients are sharded"
        if accumulation_by_epoch(trainer)(trainer.current_epoch) > 1:
            return ""
        if replicas(trainer) == 1:
            return "there is neither accumulation nor a second process"
        return self._hook(trainer)

    def _hook(self, trainer: Any) -> str:
        """Let the processes' own gradients be seen on their way to the mean."""
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        scaler = _scaler(trainer)

        def seen(bucket: Any) -> Any:
            square = bucket.buffer().float().square().sum() / _scale(scaler) ** 2
            self._small = square if self._small is None else self._small + square
            return allreduce_hook(None, bucket)  # type: ignore[arg-type]  # of all processes

        try:  # torch checks a hook's annotations, as they are written, so ours has none
            trainer.strategy.model.register_comm_hook(None, lambda _, bucket: seen(bucket))
        except (AttributeError, RuntimeError) as error:  # no DDP, or it has a hook of the user's
            return f"DDP takes no hook of ours ({error})"
        self._hooked = True
        return ""

    def after_backward(self, trainer: Any, module: Any) -> None:
        """A micro-batch's gradient has been added."""
        every = accumulation_by_epoch(trainer)(trainer.current_epoch)
        if self._hooked or every == 1 or trainer.fit_loop.epoch_loop.batch_idx % every:
            return
        self._share = 1.0 / (every * replicas(trainer))
        scale = every / _scale(_scaler(trainer))
        self._small = _square(parameter.grad for parameter in module.parameters()) * scale**2

    def before_step(self, trainer: Any, optimizer: Optimizer) -> None:
        """The step's gradient stands complete, unscaled and not yet clipped."""
        small, self._small = self._small, None
        if small is None:
            return
        if self._hooked:
            self._share = 1.0 / replicas(trainer)
        big = _square(parameter.grad for group in optimizer.param_groups for parameter in group["params"])
        row = torch.stack([small, big, torch.ones_like(big)])
        self._sums = row if self._sums is None else self._sums + row

    def take(self, batch: float) -> Norms | None:
        """Means since the last time.

        Args:
            batch: of a step, over all processes [tokens].

        Returns:
            Squared norm over the small batch and over the big one, the small batch [tokens], and the steps.
        """
        sums, self._sums = self._sums, None
        if sums is None:
            return None
        small, big, steps = sums.tolist()
        return small / steps, big / steps, batch * self._share, int(steps)


def _square(gradients: Iterable[Tensor | None]) -> Tensor:
    norms = torch._foreach_norm([gradient.detach().float() for gradient in gradients if gradient is not None])
    return torch.stack(list(norms)).square().sum()


def _scaler(trainer: Any) -> Any:
    """What keeps half-precision gradients from vanishing, or None."""
    return getattr(trainer.precision_plugin, "scaler", None)


def _scale(scaler: Any) -> Any:
    """What the gradients of a backward pass are multiplied by; a tensor where it changes, left on its device."""
    return 1.0 if scaler is None or scaler._scale is None else scaler._scale


def _is_sharded(trainer: Any) -> bool:
    return type(trainer.strategy).__name__.startswith(("FSDP", "ModelParallel", "DeepSpeed"))
