"""A plan that looks like a mistake is told of before the run has paid for it; one that is sound is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch.optim import Optimizer
from torch.optim import lr_scheduler as of_torch

from curvecast_lightning import CurveCast

Make = Callable[[Optimizer], Any]


def scheduled(tiny: Any, make: Make, interval: str) -> Any:
    class Scheduled(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer), "interval": interval}}

    return Scheduled()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("make", "interval", "said"),
    [
        (lambda o: of_torch.LambdaLR(o, lambda k: max(0.0, 1 - k / 20)), "step", "zero from step 21 of 60 on"),
        (lambda o: of_torch.LambdaLR(o, lambda k: 0.0), "step", "zero at each of 60 steps."),
        (lambda o: of_torch.LambdaLR(o, lambda k: k // 3), "epoch", "at each of 60 steps. It is stepped once an epoch"),
        (lambda o: of_torch.OneCycleLR(o, 1e-3, total_steps=20), "step", "OneCycleLR(total_steps=20)"),
        (lambda o: of_torch.CosineAnnealingLR(o, 20), "step", "CosineAnnealingLR(T_max=20) is going to be stepped 60"),
        (lambda o: of_torch.LambdaLR(o, lambda k: min(1, (k + 1) / 500)), "step", "rises until step 60 of 60. Is its"),
        (lambda o: of_torch.LambdaLR(o, lambda k: min(1, (k + 1) / 500)), "epoch", "'interval': 'step'"),
        (
            lambda o: of_torch.CosineAnnealingLR(o, 60),
            "epoch",
            "falls by less than 2% over the run. It is stepped once",
        ),
        (lambda o: of_torch.CosineAnnealingLR(o, 900), "step", "falls by less than 2% over the run. Was the scheduler"),
    ],
)
def test_a_scheduler_made_for_another_run_is_told_of(
    fit: Any, tiny: Any, caplog: pytest.LogCaptureFixture, make: Make, interval: str, said: str
) -> None:
    try:
        fit(CurveCast(), module=scheduled(tiny, make, interval), batches=20, max_steps=60)
    except ValueError as error:
        assert "Tried to step" in str(error)  # noqa: PT017 - OneCycleLR's own, as foretold
    told = [message for message in warnings_of(caplog) if message.startswith("curvecast: ")]
    assert len(told) == 1
    assert said in told[0]


@pytest.mark.parametrize(
    ("make", "interval"),
    [
        (lambda o: of_torch.OneCycleLR(o, 1e-3, total_steps=60), "step"),
        (lambda o: of_torch.CosineAnnealingLR(o, 60), "step"),
        (lambda o: of_torch.CosineAnnealingLR(o, 59), "step"),  # the rate that comes after the last step is none of it
        (lambda o: of_torch.CosineAnnealingLR(o, 3), "epoch"),
        (lambda o: of_torch.CosineAnnealingWarmRestarts(o, 20), "step"),
        (lambda o: of_torch.CosineAnnealingWarmRestarts(o, 29), "step"),  # ends just after a restart, or at one
        (lambda o: of_torch.CosineAnnealingWarmRestarts(o, 59), "step"),
        (lambda o: of_torch.LinearLR(o, 0.1, total_iters=10), "step"),
        (lambda o: of_torch.StepLR(o, 30), "epoch"),
        (lambda o: of_torch.ConstantLR(o, 1.0), "epoch"),
    ],
)
def test_nothing_is_said_of_a_sound_plan(
    fit: Any, tiny: Any, caplog: pytest.LogCaptureFixture, make: Make, interval: str
) -> None:
    fit(CurveCast(decisions=[]), module=scheduled(tiny, make, interval), batches=20, max_steps=60)
    assert not [message for message in warnings_of(caplog) if message.startswith("curvecast: ")]


def test_a_horizon_in_epochs_is_told_of(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    fit(CurveCast(horizon=3))
    assert any("A horizon counts optimizer steps, not epochs" in message for message in warnings_of(caplog))


def test_a_metric_that_is_no_loss_is_told_of(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    fit(CurveCast(monitor="val_acc"))
    assert any("'val_acc' does not sound like a loss" in message for message in warnings_of(caplog))
