from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch

from curvecast_lightning import CurveCast
from curvecast_lightning.window import LossWindow


def true_means(module: Any, every: int) -> dict[int, float]:
    """Mean over each window of the mean over each step's batches."""
    steps = defaultdict(list)
    for step, loss in module.losses:
        steps[step].append(loss)
    means = {step: float(np.mean(losses)) for step, losses in steps.items()}
    ends = [step for step in means if step % every == 0]
    return {end: float(np.mean([means[s] for s in range(end - every + 1, end + 1)])) for end in ends}


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("every", [1, 5])
def test_logged_train_loss_is_the_true_mean_of_the_window(
    fit: Any, tiny: Any, memory: Any, accumulate: int, every: int
) -> None:
    module = tiny()
    callback = CurveCast(every_n_steps=every)
    # Ten batches an epoch: at accumulation 4 the last group of each epoch is short.
    fit(
        callback,
        module=module,
        logger=memory,
        batches=10,
        max_steps=30,
        accumulate_grad_batches=accumulate,
        val_check_interval=10,
    )
    logged = memory.of("curvecast/train_loss")
    expected = true_means(module, every)
    assert list(logged) == list(expected) == list(range(every, 31, every))
    np.testing.assert_allclose(list(logged.values()), list(expected.values()), rtol=1e-6)


def test_what_is_logged_is_what_a_float32_can_hold(fit: Any, memory: Any) -> None:
    fit(CurveCast(every_n_steps=3), logger=memory, max_steps=30)
    for tag in ("train_loss", "val_loss", "lr"):
        values = list(memory.of(f"curvecast/{tag}").values())
        assert values == [float(np.float32(value)) for value in values]


def test_a_sample_is_taken_at_the_loggers_cadence(fit: Any, memory: Any) -> None:
    fit(CurveCast(horizon=300), logger=memory, max_steps=30, log_every_n_steps=10)
    assert list(memory.of("curvecast/train_loss")) == [10, 20, 30]


def test_the_learning_rate_is_that_of_the_step(fit: Any, tiny: Any, memory: Any) -> None:
    class Halving(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    fit(CurveCast(every_n_steps=1), module=Halving(lr=1.0), logger=memory, max_steps=5)
    assert memory.of("curvecast/lr") == {1: 1.0, 2: 0.5, 3: 0.25, 4: 0.125, 5: 0.0625}


class Manual:
    """Steps its optimizers itself."""

    automatic_optimization = False
    optimizers_count = 1
    returned = False

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)  # type: ignore[misc]
        optimizers = self.optimizers()
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            optimizer.step()
        return loss if self.returned else None

    def configure_optimizers(self: Any) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(self.optimizers_count)]


@pytest.mark.parametrize("returned", [True, False])
@pytest.mark.parametrize("metric", [None, "train_loss"])
def test_under_manual_optimization_every_step_has_its_own_loss(
    fit: Any, tiny: Any, memory: Any, returned: bool, metric: str | None
) -> None:
    module = type("ManualModule", (Manual, tiny), {"returned": returned})()
    module.automatic_optimization = False
    callback = CurveCast(train_metric=metric, every_n_steps=1)
    fit(callback, module=module, logger=memory, max_steps=30)
    assert memory.of("curvecast/train_loss") == {step: float(np.float32(loss)) for step, loss in module.losses}
    assert callback.watcher is not None
    assert (callback.watcher.horizon, callback.watcher.batch_tokens) == (30, 16)


def test_two_manual_optimizers_count_two_steps_a_batch(fit: Any, tiny: Any, memory: Any) -> None:
    module = type("ManualModule", (Manual, tiny), {"optimizers_count": 2})()
    module.automatic_optimization = False
    fit(CurveCast(every_n_steps=3), module=module, logger=memory, max_steps=20)
    assert list(memory.of("curvecast/train_loss")) == [4, 6, 10, 12, 16, 18]


def test_a_loss_that_is_not_to_be_found_is_asked_for_once(
    fit: Any, tiny: Any, memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fit(CurveCast(train_metric="nll"), module=tiny(), logger=memory, max_steps=10)
    asked = [record.message for record in caplog.records if "training loss" in record.message]
    assert len(asked) == 1
    assert "'train_loss'" in asked[0]
    assert not memory.of("curvecast/train_loss")


def test_losses_that_are_not_finite_reach_the_watcher(fit: Any, tiny: Any, memory: Any) -> None:
    class Exploding(tiny):  # type: ignore[misc]
        def law(self, step: int) -> float:
            return float("nan") if step > 30 else float(super().law(step))

    callback = CurveCast()
    fit(callback, module=Exploding(), logger=memory, max_steps=45)
    assert callback.verdict is not None
    assert callback.verdict.reason == "diverged"


def test_a_skipped_batch_has_no_loss(fit: Any, tiny: Any, memory: Any) -> None:
    class Skipping(tiny):  # type: ignore[misc]
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            return None if batch_idx % 2 else loss

    module = Skipping()
    fit(CurveCast(every_n_steps=1), module=module, logger=memory, max_steps=6)
    seen = {step: float(np.float32(loss)) for step, loss in module.losses if step % 2}
    assert memory.of("curvecast/train_loss") == seen


def test_nothing_is_read_back_from_the_device_between_drains() -> None:
    window = LossWindow()
    for _ in range(3):
        window.add(torch.ones((), device="meta"))  # whose value cannot be read
        window.close_step()
    with pytest.raises(RuntimeError, match="meta"):
        window.state_dict()
