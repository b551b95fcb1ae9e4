"""The learning rate on its way to zero: what a run is given instead of being stopped at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


class Cooldown:
    """Takes the learning rates of all optimizers to zero in a straight line.

    Args:
        start: the step whose rates it sets out from [optimizer steps].
        steps: its length [optimizer steps].
        tops: the rates it sets out from, by optimizer and parameter group.

    Example:
        >>> cooldown = Cooldown(start=100, steps=50, tops=[[3e-4]])
        >>> [cooldown.share(step) for step in (100, 125, 150, 151)], cooldown.end
        ([1.0, 0.5, 0.0, 0.0], 150)
    """

    def __init__(self, *, start: int, steps: int, tops: list[list[float]]) -> None:
        self.start, self.steps, self.tops = start, steps, tops

    @classmethod
    def of(cls, trainer: Any, steps: int) -> Cooldown:
        """From where a Trainer stands."""
        tops = [[float(group["lr"]) for group in optimizer.param_groups] for optimizer in trainer.optimizers]
        return cls(start=trainer.global_step, steps=steps, tops=tops)

    @property
    def end(self) -> int:
        """The last step."""
        return self.start + self.steps

    def share(self, step: int) -> float:
        """Of the rates it set out from, at a step."""
        return min(max((self.end - step) / self.steps, 0.0), 1.0)

    def hold(self, trainer: Any) -> None:
        """Keep the Trainer's schedulers from moving; their states stay in its checkpoints as they are now."""
        for config in trainer.lr_scheduler_configs:
            if not isinstance(config.scheduler, Held):
                config.scheduler = Held(config.scheduler)

    def set_rates(self, trainer: Any) -> None:
        """Give the next step its learning rates."""
        share = self.share(trainer.global_step + 1)
        for optimizer, tops in zip(trainer.optimizers, self.tops, strict=False):
            tops += [float(group["lr"]) for group in optimizer.param_groups[len(tops) :]]  # unfrozen since it began
            for group, top in zip(optimizer.param_groups, tops, strict=False):
                if isinstance(group["lr"], Tensor):  # a compiled or captured step reads this very tensor
                    group["lr"].fill_(share * top)
                else:
                    group["lr"] = share * top

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {"start": self.start, "steps": self.steps, "tops": self.tops}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Cooldown:
        """What `to_dict` gave."""
        tops = [[float(top) for top in groups] for groups in state["tops"]]
        return cls(start=int(state["start"]), steps=int(state["steps"]), tops=tops)


class Held:
    """A scheduler that no longer moves; for all else it is the one inside."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # a copy asks before it has one
            raise AttributeError(name)
        return getattr(self.inner, name)

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Stay."""

    def get_last_lr(self) -> list[Any]:
        """What the optimizer has now."""
        return [group["lr"] for group in self.inner.optimizer.param_groups]
