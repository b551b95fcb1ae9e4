"""What a run shows of itself between two samples: its losses, and the learning rate of its last step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from curvecast_lightning.metrics import listed, training_loss, validation_loss
from curvecast_lightning.recorder import single
from curvecast_lightning.window import LossWindow


class Readings:
    """Gathers them on every rank; what cannot be found is asked for.

    Args:
        monitor: the metric that the user named for the validation loss; None: found by its name.
        train_metric: the metric to read instead of the training step's loss.
        ask: tells the user what could not be found.
    """

    def __init__(self, *, monitor: str | None, train_metric: str | None, ask: Callable[[str], None]) -> None:
        self.window = LossWindow()
        self.found: str | None = None  # the validation loss that was chosen, so that it stays the same one
        self._monitor, self._train_metric, self._ask = monitor, train_metric, ask
        self._rates: list[float | Tensor] = []
        self._older: dict[str, Any] = {}

    def begin(self) -> None:
        """A run starts from its first step: what was gathered is of another one."""
        self.window, self.found = LossWindow(), None

    def add(self, trainer: Any, outputs: Any, *, automatic: bool, steps: int) -> None:
        """Add the loss of one batch.

        Args:
            trainer: the Trainer.
            outputs: what ``on_train_batch_end`` got from the training step.
            automatic: whether Lightning steps the optimizer.
            steps: optimizer steps that were taken on the batch.
        """
        scale = trainer.accumulate_grad_batches if automatic else 1
        loss = training_loss(trainer, outputs, name=self._train_metric, scale=scale, automatic=automatic)
        if loss is not None:
            self.window.add(loss)
        if steps:
            self.window.close_step()

    def note_rates(self, optimizer: Optimizer) -> None:
        """Keep the learning rates that the step is about to be taken with."""
        rates = [group["lr"] for group in optimizer.param_groups]
        self._rates = [rate.detach().clone() if isinstance(rate, Tensor) else rate for rate in rates]

    @property
    def rates(self) -> list[float]:
        """Those that were noted last, one a parameter group."""
        return [single(float(rate)) for rate in self._rates]

    @property
    def lr(self) -> float | None:
        """The largest of the rates that were noted last; None before the first."""
        return max(self.rates, default=None)

    def before_validation(self, trainer: Any) -> None:
        """Note what is logged already: what the validation to come does not log is an older one's."""
        self._older = dict(trainer.callback_metrics)

    def validated(self, trainer: Any) -> Tensor | None:
        """``(2,)`` the validation loss and a count of 1, to be summed over ranks; None where it is not found."""
        logged = trainer.callback_metrics
        fresh = {key: value for key, value in logged.items() if self._older.get(key) is not value}
        name, loss = validation_loss(fresh, self._monitor or self.found)
        if loss is None:
            wanted = f"the metric {self._monitor!r}" if self._monitor else "a validation loss"
            # What training logs is not it; who named a metric may have taken one of those for it.
            heard = listed(logged) if self._monitor else listed(fresh, who="Validation logged")
            advice = "If one of these is it, pass CurveCast(monitor=...)"
            if heard.endswith(" nothing."):
                advice = "Log it in validation_step, as self.log('val_loss', loss)"
            self._ask(f"curvecast did not find {wanted}. {heard} {advice}; without it the train loss is forecast.")
            return None
        self.found = name
        pair = torch.ones(2, device=trainer.strategy.root_device)
        pair[0] = loss
        return pair

    def ask_for_train_loss(self, trainer: Any) -> None:
        """Tell that no batch of the window has shown a loss."""
        advice = "Return it from training_step, or log it and pass CurveCast(train_metric=...)."
        self._ask(f"curvecast did not find the training loss. {listed(trainer.callback_metrics)} {advice}")

    def state_dict(self) -> dict[str, Any]:
        """Plain types, bounded."""
        return {"window": self.window.state_dict(), "found": self.found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.window.load_state_dict(state["window"])
        self.found = state["found"]


def mean_over_ranks(trainer: Any, pair: Tensor | None) -> float | None:
    """Mean over all processes of a sum and a count, rounded to float32; None where nobody counted anything.

    All ranks meet here.

    Args:
        trainer: the Trainer.
        pair: ``(2,)`` sum and count of this process; None for nothing.
    """
    if pair is None:
        pair = torch.zeros(2, device=trainer.strategy.root_device)
    if trainer.world_size > 1:
        pair = trainer.strategy.reduce(pair, reduce_op="sum")
    total, count = pair.tolist()
    return single(total / count) if count else None
