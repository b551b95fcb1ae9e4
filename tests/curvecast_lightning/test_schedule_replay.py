"""The replayed learning rates against those that a real Trainer used."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.optim import lr_scheduler

from curvecast_lightning import CurveCast
from curvecast_lightning.schedule import lr_steps
from tests.test_schedule_torch import MAKERS

STEPS, BATCHES = 60, 10

SCHEDULERS: dict[str, Any] = {
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.7),
    "CosineAnnealingLR": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=40),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=STEPS + 1),
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / 10) * 0.97**n),
}


class UsedRates(pl.Callback):
    """The LR of every optimizer step."""

    def __init__(self) -> None:
        self.lrs: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.lrs.append(optimizer.param_groups[0]["lr"])


def scheduled(tiny: Any, scheduler: str, **config: Any) -> Any:
    class Scheduled(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.9)  # CyclicLR moves it, too
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": (SCHEDULERS | ALL)[scheduler](optimizer), **config},
            }

    return Scheduled()


@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler")
@pytest.mark.parametrize(
    ("interval", "frequency", "accumulate", "scheduler"),
    list(itertools.product(["step", "epoch"], [1, 2, 3], [1, 3], SCHEDULERS)),
)
def test_plan_holds_the_rates_that_training_used(
    fit: Any, tiny: Any, interval: str, frequency: int, accumulate: int, scheduler: str
) -> None:
    steps = STEPS if accumulate == 1 else 40  # a step of three batches, and one of the last of the ten
    module = scheduled(tiny, scheduler, interval=interval, frequency=frequency)
    callback, used = CurveCast(every_n_steps=steps), UsedRates()
    fit(
        callback,
        used,
        module=module,
        batches=BATCHES,
        max_steps=steps,
        accumulate_grad_batches=accumulate,
        limit_val_batches=0,
        val_check_interval=None,
    )
    assert callback.watcher is not None
    schedule = callback.watcher.schedule
    assert schedule is not None
    planned = schedule.lr(np.arange(1, steps + 1))
    np.testing.assert_allclose(planned, np.array(used.lrs) / max(used.lrs), atol=1.01e-4)


HUGGING_FACE: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("cosine", {}),
    ("cosine_with_restarts", {"num_cycles": 2}),
    ("polynomial", {"power": 2.0}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("inverse_sqrt", {}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
    ("warmup_stable_decay", {"num_stable_steps": 20, "num_decay_steps": 30}),
]


def hugging_face(kind: str, options: dict[str, Any]) -> Any:
    """What makes one of their schedules."""

    def make(optimizer: Any) -> Any:
        transformers = pytest.importorskip("transformers", reason="its schedules need transformers")
        decays = kind not in {"constant", "constant_with_warmup", "inverse_sqrt", "warmup_stable_decay"}
        total = {"num_training_steps": STEPS} if decays else {}
        warmup = {} if kind == "constant" else {"num_warmup_steps": 10}
        return transformers.get_scheduler(kind, optimizer, **warmup, **total, scheduler_specific_kwargs=options)

    return make


ALL = MAKERS | {f"Hugging Face {kind}": hugging_face(kind, options) for kind, options in HUGGING_FACE}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.filterwarnings("ignore:To get the last learning rate")
@pytest.mark.filterwarnings("ignore:The epoch parameter in")
@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler")
@pytest.mark.parametrize("scheduler", ALL)
def test_every_scheduler_is_foreseen(fit: Any, tiny: Any, scheduler: str) -> None:
    module = scheduled(tiny, scheduler, interval="step", frequency=1)
    callback, used = CurveCast(every_n_steps=STEPS), UsedRates()
    steps = STEPS - 1  # Lightning steps OneCycleLR after the last step too, beyond its end
    fit(callback, used, module=module, max_steps=steps, limit_val_batches=0, val_check_interval=None)
    assert callback.watcher is not None
    schedule = callback.watcher.schedule
    assert schedule is not None
    planned = schedule.lr(np.arange(1, steps + 1))
    np.testing.assert_allclose(planned, np.array(used.lrs) / max(used.lrs), atol=3e-4)
    assert not callback.failed


def test_resumed_run_remembers_the_rates_it_cannot_replay(fit: Any, tiny: Any, tmp_path: Any) -> None:
    config = {"interval": "epoch", "frequency": 1}
    whole = CurveCast(every_n_steps=STEPS)
    fit(whole, module=scheduled(tiny, "CosineAnnealingLR", **config), batches=BATCHES, max_steps=STEPS)
    saver = pl.callbacks.ModelCheckpoint(str(tmp_path), every_n_train_steps=25, save_top_k=-1)
    first = CurveCast(every_n_steps=STEPS, horizon=STEPS)
    module = scheduled(tiny, "CosineAnnealingLR", **config)
    fit(first, saver, module=module, batches=BATCHES, max_steps=25, enable_checkpointing=True)
    second = CurveCast(every_n_steps=STEPS)
    module = scheduled(tiny, "CosineAnnealingLR", **config)
    path = saver.best_model_path
    fit(second, module=module, batches=BATCHES, max_steps=STEPS, ckpt_path=path)
    assert whole.watcher is not None
    assert second.watcher is not None
    assert second.watcher.schedule == whole.watcher.schedule


def test_longer_run_joins_the_remembered_past_and_the_replayed_future(fit: Any, tiny: Any, tmp_path: Any) -> None:
    config = {"interval": "step", "frequency": 1}
    saver = pl.callbacks.ModelCheckpoint(str(tmp_path), every_n_train_steps=40, save_top_k=-1)
    module = scheduled(tiny, "LambdaLR", **config)
    fit(CurveCast(), saver, module=module, max_steps=40, enable_checkpointing=True)
    callback, used = CurveCast(), UsedRates()
    module = scheduled(tiny, "LambdaLR", **config)
    fit(callback, used, module=module, max_steps=80, ckpt_path=saver.best_model_path)
    assert callback.watcher is not None
    assert callback.watcher.schedule is not None
    module = scheduled(tiny, "LambdaLR", **config)
    whole = UsedRates()
    fit(whole, module=module, max_steps=80)
    assert used.lrs == whole.lrs[40:]
    planned = callback.watcher.schedule.lr(np.arange(1, 81))
    np.testing.assert_allclose(planned, np.array(whole.lrs) / max(whole.lrs), atol=3e-4)


@pytest.mark.parametrize("batches", [8, 15])
@pytest.mark.parametrize(
    ("saved", "when"), [(25, {"every_n_train_steps": 25}), (30, {"every_n_epochs": 1, "save_on_train_epoch_end": True})]
)
def test_a_run_that_goes_on_with_epochs_of_another_length_knows_its_end_and_rates(
    fit: Any, tiny: Any, tmp_path: Any, batches: int, saved: int, when: dict[str, Any]
) -> None:
    # As on another number of processes.
    limits: dict[str, Any] = {"max_epochs": 6, "max_steps": -1, "limit_val_batches": 0, "val_check_interval": None}
    saver = pl.callbacks.ModelCheckpoint(str(tmp_path), **when, save_top_k=-1)
    module = scheduled(tiny, "StepLR", interval="epoch", frequency=1)
    fit(CurveCast(), saver, module=module, batches=BATCHES, enable_checkpointing=True, **limits)
    callback, used = CurveCast(), UsedRates()
    module = scheduled(tiny, "StepLR", interval="epoch", frequency=1)
    path = next(iter(tmp_path.glob(f"*step={saved}.ckpt")))
    trainer = fit(callback, used, module=module, batches=batches, ckpt_path=str(path), **limits)
    assert callback.watcher is not None
    assert callback.watcher.horizon == trainer.global_step != 6 * BATCHES
    assert callback.watcher.schedule is not None
    planned = callback.watcher.schedule.lr(np.arange(saved + 1, trainer.global_step + 1)) * 0.5
    np.testing.assert_allclose(planned, used.lrs, atol=1e-4)


@pytest.mark.parametrize("accumulate", [1, 3, 7, 20])
def test_an_epoch_scheduler_steps_once_an_epoch(accumulate: int) -> None:
    arguments: dict[str, Any] = {"batches": 20, "accumulation": lambda _: accumulate, "frequency": 1}
    steps = -(-20 // accumulate)
    calls = lr_steps(6 * steps, interval="epoch", **arguments)
    assert np.flatnonzero(calls).tolist() == [steps * epoch - 1 for epoch in range(1, 7)]


def test_accumulation_may_change_between_epochs() -> None:
    calls = lr_steps(9, batches=4, accumulation=lambda epoch: 1 if epoch < 2 else 4, interval="epoch", frequency=1)
    assert calls.tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 1]


class Iterated(lr_scheduler.LRScheduler):
    """Takes its rates from a generator, which nobody can copy."""

    def __init__(self, optimizer: Any) -> None:
        self.factors = (0.9**step for step in itertools.count())
        super().__init__(optimizer)

    def get_lr(self) -> list[float | torch.Tensor]:
        factor = next(self.factors)
        return [rate * factor for rate in self.base_lrs]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("own_step", "lr_scheduler_step"),
        ("of_trainer", "a function of LambdaLR reads the Trainer's own count"),
        ("of_trainer_later", "a function of SequentialLR reads the Trainer's own count"),
        ("uncopyable", "Iterated cannot be run ahead: cannot pickle 'generator' object"),
        ("raises", "LambdaLR cannot be run ahead: list index out of range"),
    ],
)
def test_rates_that_cannot_be_foreseen_are_asked_for(
    fit: Any, tiny: Any, caplog: pytest.LogCaptureFixture, change: str, why: str
) -> None:
    class Odd(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
            scheduler: Any = lr_scheduler.StepLR(optimizer, 5)
            if change.startswith("of_trainer"):
                scheduler = lr_scheduler.LambdaLR(optimizer, lambda _: 1 / (1 + self.trainer.global_step))
            if change == "of_trainer_later":
                scheduler = lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(optimizer, 5), scheduler], [5])
            if change == "uncopyable":
                scheduler = Iterated(optimizer)
            if change == "raises":
                scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: ([1.0] * 11)[step])
            config = {"scheduler": scheduler, "interval": "step", "monitor": "train_loss"}
            return {"optimizer": optimizer, "lr_scheduler": config}

    if change == "own_step":
        Odd.lr_scheduler_step = lambda self, scheduler, metric: self.losses.append(scheduler.step())
    callback = CurveCast(horizon=20)
    fit(callback, module=Odd(), max_steps=10)
    assert not callback.failed
    asked = [record.message for record in caplog.records if "could not find out" in record.message]
    assert len(asked) == 1
    assert why in asked[0]
    assert callback.watcher is not None
    assert callback.watcher.schedule is None


def planned_and_used(fit: Any, module: Any, **arguments: Any) -> tuple[Any, list[float]]:
    """The callback after a fit, and the rates that the optimizer had."""
    callback, used = CurveCast(every_n_steps=STEPS), UsedRates()
    limits = {"batches": BATCHES, "max_steps": STEPS, "limit_val_batches": 0, "val_check_interval": None}
    fit(callback, used, module=module, **limits | arguments)
    assert not callback.failed
    return callback, used.lrs


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(("warm_up", "decay"), [("step", "epoch"), ("epoch", "step"), ("step", "step")])
def test_two_schedulers_of_one_optimizer_are_run_ahead_together(
    fit: Any, tiny: Any, accumulate: int, warm_up: str, decay: str
) -> None:
    class Both(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
            rises = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4)
            falls = lr_scheduler.ExponentialLR(optimizer, 0.9)
            configs = [{"scheduler": rises, "interval": warm_up}, {"scheduler": falls, "interval": decay}]
            return [optimizer], configs

    steps = STEPS if accumulate == 1 else 24
    callback, used = planned_and_used(fit, Both(), max_steps=steps, accumulate_grad_batches=accumulate)
    planned = callback.watcher.schedule.lr(np.arange(1, steps + 1))
    np.testing.assert_allclose(planned, np.array(used) / max(used), atol=3e-4)


class ToldTheCount:
    """A scheduler that must be told the epoch, or the updates, as timm's are."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def step(self, epoch: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = 0.5 * 0.8**epoch

    def step_update(self, num_updates: int) -> None:
        self.step(num_updates)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None:
        pass


def by_epoch(self: Any, scheduler: Any, metric: Any) -> None:
    scheduler.step(epoch=self.current_epoch)


def by_next_epoch(self: Any, scheduler: Any, metric: Any) -> None:
    scheduler.step(self.trainer.current_epoch + 1)


def by_update(self: Any, scheduler: Any, metric: Any) -> None:
    scheduler.step_update(num_updates=self.global_step)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("interval", "hook"), [("epoch", by_epoch), ("epoch", by_next_epoch), ("step", by_update), ("step", by_epoch)]
)
def test_a_scheduler_that_the_module_tells_the_count_is_run_ahead(
    fit: Any, tiny: Any, accumulate: int, interval: str, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Told(tiny):  # type: ignore[misc]
        lr_scheduler_step = hook

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
            return [optimizer], [{"scheduler": ToldTheCount(optimizer), "interval": interval}]

    steps = STEPS if accumulate == 1 else 24
    callback, used = planned_and_used(fit, Told(), max_steps=steps, accumulate_grad_batches=accumulate)
    planned = callback.watcher.schedule.lr(np.arange(1, steps + 1))
    np.testing.assert_allclose(planned, np.array(used) / max(used), atol=3e-4)
    assert "could not find out" not in caplog.text


@pytest.mark.parametrize("warms_up", [False, True])
def test_a_schedule_that_nobody_can_know_is_not_asked_for(
    fit: Any, tiny: Any, caplog: pytest.LogCaptureFixture, warms_up: bool
) -> None:
    class OnPlateau(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
            waits = {"scheduler": lr_scheduler.ReduceLROnPlateau(optimizer), "monitor": "train_loss"}
            warm_up = {"scheduler": lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3), "interval": "step"}
            return [optimizer], [warm_up, waits] if warms_up else [waits]

    callback = CurveCast()
    fit(callback, module=OnPlateau(), max_steps=10)
    assert not [record.message for record in caplog.records if "could not find out" in record.message]
    assert callback.watcher is not None
    assert callback.watcher.schedule is None
    assert not callback.watcher.course.lr_held


def test_without_a_scheduler_the_rates_are_followed_and_nothing_is_asked(
    fit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    callback = CurveCast()
    fit(callback, max_steps=20)
    assert callback.watcher is not None
    assert callback.watcher.schedule is None
    assert callback.watcher.course.lr_held
    assert not [record for record in caplog.records if "could not find out" in record.message]


def test_a_rate_that_is_set_by_hand_is_followed(fit: Any, tiny: Any) -> None:
    class ByHand(tiny):  # type: ignore[misc]
        def on_train_batch_start(self, *_: Any) -> None:
            for group in self.optimizers().param_groups:
                group["lr"] = 1e-3 * (1.0 - self.trainer.global_step / 400)

    callback = CurveCast(horizon=400, every_n_steps=2)
    fit(callback, module=ByHand(), max_steps=200)
    assert callback.watcher is not None
    ahead = callback.watcher.likely_schedule
    assert ahead is not None
    assert ahead.lr([200, 300, 399]).tolist() == pytest.approx([0.5, 0.25, 0.0], abs=0.01)
