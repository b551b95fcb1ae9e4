from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from curvecast_lightning import CurveCast
from curvecast_lightning.metrics import validation_loss_name


def test_validation_is_logged_at_completed_steps(fit: Any, tiny: Any, memory: Any) -> None:
    module = tiny()
    fit(CurveCast(), module=module, logger=memory)
    expected = {step: float(np.float32(module.val_law(step))) for step in (20, 40, 60)}
    assert memory.of("curvecast/val_loss") == expected


def test_sanity_validation_is_ignored(fit: Any, memory: Any) -> None:
    fit(CurveCast(), logger=memory, num_sanity_val_steps=2, max_steps=19)
    assert not memory.of("curvecast/val_loss")


def test_a_validation_between_two_steps_counts_once(fit: Any, memory: Any) -> None:
    # Every second batch at accumulation 4: two validations a step, the first before step 1 is complete.
    fit(CurveCast(), logger=memory, accumulate_grad_batches=4, val_check_interval=2, max_steps=5, batches=100)
    values = [metrics for _, metrics in memory.rows if "curvecast/val_loss" in metrics]
    assert len(values) == 5
    assert list(memory.of("curvecast/val_loss")) == [1, 2, 3, 4, 5]


def test_no_validation_at_all(fit: Any, memory: Any) -> None:
    callback = CurveCast()
    fit(callback, logger=memory, limit_val_batches=0, val_check_interval=None)
    assert callback.verdict is not None
    assert callback.verdict.forecast is not None
    assert callback.verdict.forecast.of == "train"


def test_validation_outside_fit_is_ignored(fit: Any, tiny: Any, loader: Any, memory: Any) -> None:
    module, callback = tiny(), CurveCast()
    trainer = fit(callback, module=module, logger=memory, max_steps=30)
    before = memory.of("curvecast/val_loss")
    trainer.validate(module, loader(1), verbose=False)
    assert memory.of("curvecast/val_loss") == before


def test_a_monitor_that_never_appears_is_asked_for_once_and_the_others_listed(
    fit: Any, tiny: Any, caplog: pytest.LogCaptureFixture
) -> None:
    callback = CurveCast(monitor="val_nll")
    trainer = fit(callback, module=tiny())
    asked = [record.message for record in caplog.records if "did not find" in record.message]
    assert len(asked) == 1
    assert "'train_loss'" in asked[0]
    assert "monitor=" in asked[0]
    assert trainer.global_step == 60


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train_loss", "val_acc", "val_loss"], "val_loss"),
        (["valid/loss"], "valid/loss"),
        (["train_val_gap_loss", "loss_valid_de"], "loss_valid_de"),
        (["val_loss/dataloader_idx_0", "val_loss/dataloader_idx_1"], "val_loss/dataloader_idx_0"),
        (["train_loss", "acc"], None),
        (["val/generator_loss", "val/discriminator_loss"], None),
        (["val_loss_g", "val_loss_d"], None),
        (["val/loss_gen", "val/loss_disc", "val/loss"], "val/loss"),
        (["val_disc_loss", "val_acc"], "val_disc_loss"),
        ([], None),
    ],
)
def test_the_validation_loss_is_known_by_its_name(names: list[str], expected: str | None) -> None:
    assert validation_loss_name(names) == expected


def test_two_callbacks_watch_two_metrics_under_their_own_tags(fit: Any, tiny: Any, memory: Any) -> None:
    class TwoLosses(tiny):  # type: ignore[misc]
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            super().validation_step(batch, batch_idx)
            self.log("val_b", torch.tensor(self.val_law(self.trainer.global_step) + 1.0))

    first, second = CurveCast(), CurveCast(monitor="val_b")
    module = TwoLosses()
    fit(first, second, module=module, logger=memory, max_steps=40)
    a, b = memory.of("curvecast/val_loss"), memory.of("curvecast/val_b/val_loss")
    assert list(a) == list(b) == [20, 40]
    np.testing.assert_allclose(np.subtract(list(b.values()), list(a.values())), 1.0, rtol=1e-6)
    assert first.state_key != second.state_key
    assert first.watcher is not second.watcher


def test_a_validation_that_logs_nothing_feeds_nothing_old(fit: Any, tiny: Any, memory: Any) -> None:
    class Forgetful(tiny):  # type: ignore[misc]
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            if self.trainer.global_step < 30:
                super().validation_step(batch, batch_idx)

    fit(CurveCast(), module=Forgetful(), logger=memory, val_check_interval=5)
    assert max(memory.of("curvecast/val_loss")) == 25
