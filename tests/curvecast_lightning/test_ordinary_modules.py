"""Modules as people write them: whatever they log, and however, the losses that are fed are the true ones."""

from __future__ import annotations

import copy
import os
import pickle
import random
import signal
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from curvecast import Watcher
from curvecast_lightning import CurveCast
from tests.curvecast_lightning.conftest import TinyModule


class Quiet(TinyModule):
    """Its losses follow the law without noise; what is logged is left to others."""

    def loss(self, batch: Any) -> Any:
        return self.linear(self.embedding(batch[0])).mean() * 0 + self.law(self.trainer.global_step + 1)

    def val_loss(self) -> torch.Tensor:
        return torch.tensor(self.val_law(self.trainer.global_step))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.val_loss())


class OneName(Quiet):
    """Training and validation log under one name."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("loss", self.val_loss())


class StepsAndEpochs(Quiet):
    """Logs both on steps and on epochs, and returns more than the loss."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return {"loss": loss, "logits": torch.zeros(2, 3), "note": "text"}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.val_loss(), on_step=True, on_epoch=True)


class Slashes(Quiet):
    """Names in groups, beside metrics that are no losses."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(batch)
        self.log_dict({"train/loss/total": loss, "train/acc": 0.5})
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log_dict({"val/acc": 0.5, "val/loss/total": self.val_loss()})


class AtTheEnd(Quiet):
    """Gathers what validation brings, and logs it at its end, as older code does."""

    def on_validation_epoch_start(self) -> None:
        self.gathered: list[torch.Tensor] = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.gathered.append(self.val_loss())

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", torch.stack(self.gathered).mean())


class Perplexity(Quiet):
    """Logs a perplexity beside the loss that it is made of."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_perplexity", self.val_loss().exp())
        self.log("val_nll", self.val_loss())


class Plain(Quiet):
    """The optimizer alone, as a list of one."""

    def configure_optimizers(self) -> Any:
        return [super().configure_optimizers()]


class Gan(Quiet):
    """Two optimizers that it steps by itself, two losses, none of them returned."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for name, optimizer in zip(("g_loss", "d_loss"), self.optimizers(), strict=True):
            loss = self.loss(batch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log(name, loss, prog_bar=True)

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=1e-3) for _ in range(2)], []


def single(loss: float) -> float:
    return float(np.float32(loss))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (OneName, {}),
        (StepsAndEpochs, {}),
        (Slashes, {}),
        (Slashes, {"monitor": "val/loss/total"}),
        (AtTheEnd, {}),
        (Perplexity, {}),
        (Plain, {}),
    ],
)
def test_the_losses_that_are_fed_are_the_true_ones(
    fit: Any, memory: Any, kind: type[Quiet], settings: dict[str, Any]
) -> None:
    module, callback = kind(), CurveCast(every_n_steps=1, **settings)
    fit(callback, module=module, logger=memory)
    train, val = memory.of("curvecast/train_loss"), memory.of("curvecast/val_loss")
    assert train == {step: single(module.law(step)) for step in range(1, 61)}
    assert val == {step: single(module.val_law(step)) for step in (20, 40, 60)}
    assert not callback.failed


def test_of_two_adversaries_losses_one_is_asked_for_and_then_taken(
    fit: Any, memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fit(CurveCast(every_n_steps=2), module=Gan(), logger=memory)
    assert not memory.of("curvecast/train_loss")
    assert "did not find the training loss. Logged so far: 'g_loss', 'd_loss'." in caplog.text
    callback = CurveCast(every_n_steps=2, train_metric="g_loss")
    fit(callback, module=Gan(), logger=memory)
    assert list(memory.of("curvecast/train_loss")) == list(range(2, 61, 2))
    assert callback.verdict is not None
    assert callback.verdict.forecast is not None


def test_what_is_listed_as_logged_is_the_users_own(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Accuracy(Quiet):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_acc", 0.5)

    fit(CurveCast(every_n_steps=1), module=Accuracy())
    (asked,) = (record.message for record in caplog.records if "validation loss" in record.message)
    assert "Validation logged: 'val_acc'. If one of these is it" in asked


@pytest.mark.parametrize(
    ("steps", "usual", "every"), [(60, 50, 2), (10, 50, 1), (60, 1, 1), (900, 50, 30), (1500, 50, 50)]
)
def test_a_short_run_is_sampled_more_often_than_it_logs(
    fit: Any, memory: Any, steps: int, usual: int, every: int
) -> None:
    limit = min(steps, 120)
    callback = CurveCast(horizon=steps)
    fit(callback, module=Quiet(), logger=memory, batches=200, max_steps=limit, log_every_n_steps=usual)
    assert list(memory.of("curvecast/train_loss")) == list(range(every, limit + 1, every))


@pytest.mark.parametrize(("steps", "said"), [(6, "; no forecast: a verdict needs at least"), (40, "; forecast")])
def test_the_end_of_a_run_says_what_came_and_what_was_forecast_or_why_nothing_was(
    fit: Any, capsys: pytest.CaptureFixture[str], steps: int, said: str
) -> None:
    module = Quiet()
    fit(CurveCast(), module=module, max_steps=steps, val_check_interval=None, check_val_every_n_epoch=100)
    late = np.mean([module.law(step) for step in range(1, steps + 1) if step > 0.95 * steps])
    assert (
        f"curvecast: finished at step {steps}; train loss {late:.4g} over its last steps{said}"
        in capsys.readouterr().out
    )


def test_a_run_that_ended_before_a_forecast_is_told_how_the_next_one_gets_one(
    fit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Early(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.global_step == 120

    fit(CurveCast(), Early(), batches=200, max_steps=3000, val_check_interval=100, log_every_n_steps=50)
    said = capsys.readouterr().out
    needs = "at least 12 samples of the loss and 2% of the 3,000 planned steps, which is step 60. "
    assert f"no forecast: a verdict needs {needs}" in said
    assert "CurveCast(every_n_steps=4) would see enough of so short a run\n" in said


def test_no_share_of_a_plan_is_asked_for_that_is_shorter_than_the_samples() -> None:
    assert str(Watcher(horizon=8).verdict) == "A verdict needs at least 12 samples of the loss."
    assert str(Watcher(horizon=8000).verdict).endswith(
        "of the loss and 2% of the 8,000 planned steps, which is step 160."
    )


def test_the_end_of_a_run_says_its_last_validation_beside_its_best(
    fit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Rising(Quiet):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", 2.0 + self.trainer.global_step / 100)

    callback = CurveCast()
    fit(callback, module=Rising())
    told = "inished at step 60; last val_loss 2.6, best 2.2 at step 20; forecast on the way: "
    assert f"curvecast: f{told}" in capsys.readouterr().out
    assert callback.verdict is not None  # where a notebook's user looks for it
    assert callback.verdict.message.startswith(f"F{told}")
    assert callback.verdict.step == 60
    assert callback.watcher is not None
    assert told not in callback.watcher.verdict.message  # it goes on from there as if it had never ended


def test_without_a_validation_loss_it_is_said_what_is_forecast_then(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Squared(Quiet):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_mse", 0.5)

    callback = CurveCast()
    fit(callback, module=Squared())
    assert "If one of these is it, pass CurveCast(monitor=...); without it the train loss is forecast." in caplog.text
    assert callback.verdict is not None
    assert callback.verdict.forecast is not None
    assert callback.verdict.forecast.of == "train"


def test_a_validation_that_logs_nothing_is_told_what_to_log(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Silent(Quiet):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self.loss(batch)
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            pass

    fit(CurveCast(), module=Silent())
    assert "Validation logged: nothing. Log it in validation_step, as self.log('val_loss', loss); wit" in caplog.text


def test_ctrl_c_ends_a_run_with_its_last_words(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    class Impatient(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 41:
                os.kill(os.getpid(), signal.SIGINT)

    callback = CurveCast()
    # A job started in the background, as this suite may be, hands down a SIGINT that is ignored.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit):
            fit(callback, Impatient(), module=Quiet())
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert not callback.failed
    said = capsys.readouterr().out
    assert "curvecast: ended at step 4" in said
    assert callback.watcher is not None
    last = callback.watcher.verdict
    assert " for step 60, which was not reached: " in said
    assert said.rstrip().endswith(f", {last.forecast} at step {last.step}")


def test_a_run_that_ended_before_its_first_milestone_tells_its_last_forecast(
    fit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Early(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.global_step == 50

    callback = CurveCast(milestones=(0.5,), every_n_steps=2)
    fit(callback, Early(), module=Quiet(), batches=200, max_steps=1000)
    assert callback.watcher is not None
    last = callback.watcher.verdict
    said = f"forecast on the way for step 1,000, which was not reached: {last.forecast} at step {last.step}\n"
    assert said in capsys.readouterr().out


def test_a_callback_serves_one_trainer_after_another_and_may_be_copied(fit: Any) -> None:
    callback = CurveCast()
    for steps in (60, 30):
        fit(callback, module=Quiet(), max_steps=steps)
        assert callback.watcher is not None
        assert (callback.watcher.step, callback.watcher.horizon) == (steps, steps)
        for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
            assert twin.verdict is not None
            assert twin.verdict.message == callback.verdict.message  # type: ignore[union-attr]


def test_what_is_asked_is_asked_once_however_often_the_callback_is_used(
    fit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Quiet):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 5)]

        def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
            self.losses.append(scheduler.step())  # which is more than to step

    callback = CurveCast(monitor="val_acc")
    for _ in range(3):  # as the folds of a cross-validation do
        fit(callback, module=Odd())
    told = [record.message for record in caplog.records if record.name == "curvecast" and record.levelname == "WARNING"]
    assert len(told) == len(set(told)) == 3


class Dropping(TinyModule):
    """Draws random numbers in its loss."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        hidden = torch.nn.functional.dropout(self.linear(self.embedding(batch[0])), 0.3)
        loss = (hidden - batch[1][:, None, None] % 3).pow(2).mean()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)]


def test_a_training_is_the_same_to_the_last_bit_with_and_without_the_callback(fit: Any, loader: Any) -> None:
    def trained(*callbacks: Any) -> tuple[list[torch.Tensor], float, float, float]:
        pl.seed_everything(7, verbose=False)
        module = Dropping()
        shuffled = torch.utils.data.DataLoader(loader(40).dataset, batch_size=4, shuffle=True)
        fit(*callbacks, module=module, train=shuffled, accumulate_grad_batches=2)
        drawn = float(torch.rand(())), float(np.random.rand()), random.random()
        return [weight.detach() for weight in module.parameters()], *drawn

    ours, *drawn = trained(CurveCast(noise_scale=True))
    plain, *drawn_without = trained()
    assert drawn == drawn_without
    assert all(map(torch.equal, ours, plain))


def test_validating_and_testing_afterwards_changes_nothing(fit: Any, loader: Any) -> None:
    class Tested(Quiet):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", torch.tensor(9.0))

    callback, module = CurveCast(), Tested()
    trainer = fit(callback, module=module)
    assert callback.watcher is not None
    before = callback.watcher.state_dict()
    trainer.validate(module, loader(1), verbose=False)
    trainer.test(module, loader(1), verbose=False)
    assert callback.watcher.state_dict() == before
