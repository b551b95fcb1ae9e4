"""Every way in which a Trainer goes through data: what is fed stands at the true step, and nothing else changes."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    StochasticWeightAveraging,
    Timer,
)
from pytorch_lightning.tuner.tuning import Tuner
from torch.utils.data import DataLoader, IterableDataset

from curvecast_lightning import CurveCast
from tests.curvecast_lightning.conftest import TinyModule, Tokens

EVERY = 2
LAW = TinyModule()


class Stream(IterableDataset[tuple[torch.Tensor, int]]):
    """Items without a length."""

    def __init__(self, items: int) -> None:
        self.items = items

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        return ((torch.full((8,), index % 7), index) for index in range(self.items))


def windows(module: Any) -> dict[int, float]:
    """Mean over each window of the mean over each step's batches, as a float32."""
    steps = defaultdict(list)
    for step, loss in module.losses:
        steps[step].append(loss)
    means = {step: float(np.mean(losses)) for step, losses in steps.items()}
    return {end: float(np.mean([means[end - 1], means[end]])) for end in means if end % EVERY == 0}


def agrees(memory: Any, module: Any) -> None:
    """All that was logged is true, at the step where it happened, and nothing is missing."""
    logged, expected = memory.of("curvecast/train_loss"), windows(module)
    assert list(logged) == list(expected)
    np.testing.assert_allclose(list(logged.values()), list(expected.values()), rtol=1e-6)
    validated = memory.of("curvecast/val_loss")
    assert validated == {step: float(np.float32(LAW.val_law(step))) for step in validated}


LOOPS: dict[str, tuple[dict[str, Any], int | None, list[int]]] = {
    # Trainer arguments, the horizon that must be found, and the steps of the validations.
    "accumulation": ({"accumulate_grad_batches": 4, "max_steps": 20, "val_check_interval": 20}, 20, [5, 10, 15, 20]),
    "accumulation over short epochs": (
        {"accumulate_grad_batches": 3, "max_steps": -1, "max_epochs": 5, "check_val_every_n_epoch": 1, "batches": 10,
         "val_check_interval": None},
        20,
        [4, 8, 12, 16, 20],
    ),
    "validation in steps": ({"val_check_interval": 7, "max_steps": 21}, 21, [7, 14, 21]),
    "validation across epochs": ({"val_check_interval": 15, "batches": 10, "max_steps": 30}, 30, [15, 30]),
    "validation in fractions": (
        {"val_check_interval": 0.25, "check_val_every_n_epoch": 1, "batches": 20, "max_steps": 40},
        40,
        [5, 10, 15, 20, 25, 30, 35, 40],
    ),
    "validation every second epoch": (
        {"val_check_interval": None, "check_val_every_n_epoch": 2, "batches": 10, "max_steps": 40},
        40,
        [20, 40],
    ),
    "overfit_batches": (
        {"overfit_batches": 2, "max_epochs": 10, "max_steps": -1, "val_check_interval": None,
         "check_val_every_n_epoch": 5},
        20,
        [10, 20],
    ),
    "limit_train_batches": (
        {"limit_train_batches": 5, "max_epochs": 4, "max_steps": -1, "val_check_interval": None,
         "check_val_every_n_epoch": 1},
        20,
        [5, 10, 15, 20],
    ),
    "limit_train_batches as a share": (
        {"limit_train_batches": 0.25, "max_epochs": 2, "max_steps": -1, "val_check_interval": None,
         "check_val_every_n_epoch": 1},
        20,
        [10, 20],
    ),
    "limit_val_batches": ({"limit_val_batches": 0, "max_steps": 20, "val_check_interval": None}, 20, []),
    "gradient clipping": ({"gradient_clip_val": 0.5, "max_steps": 20}, 20, [20]),
    "gradient clipping by value": (
        {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value", "max_steps": 20},
        20,
        [20],
    ),
    "bf16": ({"precision": "bf16-mixed", "max_steps": 20}, 20, [20]),
    "double": ({"precision": "64-true", "max_steps": 20}, 20, [20]),
    "loaders made anew": (
        {"reload_dataloaders_every_n_epochs": 1, "batches": 10, "max_epochs": 3, "max_steps": -1,
         "val_check_interval": None, "check_val_every_n_epoch": 1},
        30,
        [10, 20, 30],
    ),
    "no limit in steps": ({"max_steps": -1, "max_epochs": 2, "batches": 10, "val_check_interval": 10}, 20, [10, 20]),
    "anomaly detection": ({"detect_anomaly": True, "max_steps": 10, "val_check_interval": 10}, 10, [10]),
    "no checks in between": ({"barebones": False, "num_sanity_val_steps": 0, "max_steps": 10,
                              "val_check_interval": 10}, 10, [10]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_what_is_fed_stands_at_the_true_step(fit: Any, memory: Any, name: str) -> None:
    arguments, horizon, validated = LOOPS[name]
    module, callback = TinyModule(), CurveCast(every_n_steps=EVERY)
    fit(callback, module=module, logger=memory, **arguments)
    agrees(memory, module)
    assert list(memory.of("curvecast/val_loss")) == validated
    assert callback.watcher is not None
    assert callback.watcher.horizon == horizon
    assert not callback.failed


def test_accumulation_may_be_scheduled(fit: Any, memory: Any) -> None:
    module, callback = TinyModule(), CurveCast(every_n_steps=EVERY)
    scheduler = GradientAccumulationScheduler({0: 1, 2: 3})
    fit(callback, scheduler, module=module, logger=memory, batches=6, max_steps=-1, max_epochs=4, val_check_interval=6)
    agrees(memory, module)
    assert callback.watcher is not None
    assert callback.watcher.horizon == 6 + 6 + 2 + 2
    assert list(memory.of("curvecast/val_loss")) == [6, 12, 14, 16]


def test_several_validation_loaders_are_told_apart_and_the_first_decides(fit: Any, tiny: Any, memory: Any) -> None:
    class Two(tiny):  # type: ignore[misc]
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
            loss = torch.tensor(self.val_law(self.trainer.global_step) + dataloader_idx)
            self.log("val_loss", loss, add_dataloader_idx=True)

        def val_dataloader(self) -> Any:
            return [DataLoader(Tokens(2)), DataLoader(Tokens(2))]

    module = Two()
    callback, second = CurveCast(), CurveCast(monitor="val_loss/dataloader_idx_1")
    trainer = pl.Trainer(
        accelerator="cpu", callbacks=[callback, second], logger=memory, max_steps=20, val_check_interval=10,
        log_every_n_steps=2, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(Tokens(40), batch_size=2))
    law = {step: float(np.float32(module.val_law(step))) for step in (10, 20)}
    assert memory.of("curvecast/val_loss") == law
    other = memory.of("curvecast/val_loss/dataloader_idx_1/val_loss")
    assert other == {step: float(np.float32(module.val_law(step) + 1)) for step in (10, 20)}


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_several_training_loaders(tiny: Any, memory: Any, kind: str) -> None:
    class Joined(tiny):  # type: ignore[misc]
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch[0] if kind == "list" else batch["a"], batch_idx)

    loaders: Any = [DataLoader(Tokens(40), batch_size=2), DataLoader(Tokens(40), batch_size=2)]
    loaders = loaders if kind == "list" else dict(zip("ab", loaders, strict=True))
    module, callback = Joined(validates=False), CurveCast(every_n_steps=EVERY)
    trainer = pl.Trainer(
        accelerator="cpu", callbacks=[callback], logger=memory, max_epochs=1, limit_val_batches=0,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, loaders)
    agrees(memory, module)
    assert callback.watcher is not None
    assert callback.watcher.horizon == 20


@pytest.mark.parametrize(
    ("limits", "is_told"), [({"max_steps": 30}, True), ({"max_epochs": 3, "max_steps": -1}, False)]
)
def test_data_without_a_length(memory: Any, caplog: Any, limits: dict[str, Any], is_told: bool) -> None:
    module, callback = TinyModule(), CurveCast(every_n_steps=EVERY)
    trainer = pl.Trainer(
        accelerator="cpu", callbacks=[callback], logger=memory, val_check_interval=5, check_val_every_n_epoch=None,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False, **limits,
    )  # fmt: skip
    trainer.fit(module, DataLoader(Stream(20), batch_size=2), DataLoader(Tokens(2)))
    assert trainer.global_step == 30
    agrees(memory, module)
    assert callback.watcher is not None
    assert callback.watcher.horizon == 30
    assert ("`horizon` (the training data has no length)" in caplog.text) != is_told


@pytest.mark.parametrize("limit", [{"max_time": {"seconds": 1}}, {"timer": timedelta(seconds=1)}])
def test_a_limit_in_time_ends_the_run_before_its_horizon(
    fit: Any, tiny: Any, memory: Any, capsys: pytest.CaptureFixture[str], limit: dict[str, Any]
) -> None:
    timer = [Timer(limit.pop("timer"))] if "timer" in limit else []
    module, callback = tiny(), CurveCast(every_n_steps=EVERY)
    trainer = fit(
        callback, *timer, module=module, logger=memory, max_steps=1_000_000, batches=1_000_000, **copy.deepcopy(limit)
    )
    assert 2 < trainer.global_step < 1_000_000
    logged = memory.of("curvecast/train_loss")
    assert list(logged) == list(windows(module))
    assert f"curvecast: ended at step {trainer.global_step:,} of 1,000,000;" in capsys.readouterr().out


def test_a_fast_dev_run_writes_and_says_nothing(fit: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callback = CurveCast(every_n_steps=1)
    trainer = fit(callback, fast_dev_run=3, max_steps=-1, val_check_interval=None, check_val_every_n_epoch=1)
    assert trainer.global_step == 3
    assert not callback.failed
    assert "curvecast" not in capsys.readouterr().out
    assert not list(tmp_path.rglob("curvecast.json"))


def test_barebones_forbids_nothing_of_ours(tiny: Any) -> None:
    class Quiet(tiny):  # type: ignore[misc]
        def log(self, *args: Any, **kwargs: Any) -> None:
            """Barebones forbids it."""

    callback = CurveCast(every_n_steps=EVERY, progress_bar=False)
    trainer = pl.Trainer(accelerator="cpu", callbacks=[callback], barebones=True, max_steps=30)
    trainer.fit(Quiet(), DataLoader(Tokens(80), batch_size=2))
    assert callback.watcher is not None
    assert callback.watcher.step == 30
    assert not callback.failed


class Tunable(TinyModule):
    """With what the Tuner changes."""

    batch_size = 2

    def train_dataloader(self) -> Any:
        return DataLoader(Tokens(200), batch_size=self.batch_size)

    def val_dataloader(self) -> Any:
        return DataLoader(Tokens(2))


def tuned(tool: str, callback: CurveCast, memory: Any) -> tuple[pl.Trainer, Tunable]:
    """Let a tuner at the run first, then fit."""
    finders: dict[str, Any] = {
        "LearningRateFinder": lambda: LearningRateFinder(num_training_steps=20),
        "BatchSizeFinder": lambda: BatchSizeFinder(steps_per_trial=1, max_trials=2),
    }
    finder = [finders[tool]()] if tool in finders else []
    trainer = pl.Trainer(
        accelerator="cpu", callbacks=[*finder, callback], logger=memory, max_steps=20, val_check_interval=10,
        enable_progress_bar=False, enable_model_summary=False, check_val_every_n_epoch=None,
    )  # fmt: skip
    module = Tunable()
    if tool == "lr_find":
        Tuner(trainer).lr_find(module, num_training=20)
    elif tool == "scale_batch_size":
        Tuner(trainer).scale_batch_size(module, steps_per_trial=1, max_trials=2)
    module.losses.clear()
    memory.rows.clear()
    trainer.fit(module)
    return trainer, module


@pytest.mark.filterwarnings("ignore")  # torch's, of the finders' own schedulers
@pytest.mark.parametrize("tool", ["lr_find", "scale_batch_size", "LearningRateFinder", "BatchSizeFinder"])
def test_trials_of_a_tuner_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: Any, tool: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the tuners save their state here
    callback = CurveCast(every_n_steps=EVERY)
    trainer, module = tuned(tool, callback, memory)
    assert trainer.global_step == 20
    module.losses = module.losses[-20:]  # the finders that are callbacks train inside of fit
    agrees(memory, module)
    assert list(memory.of("curvecast/train_loss")) == list(range(EVERY, 21, EVERY))
    assert callback.watcher is not None
    assert callback.watcher.bins("train").count.sum() == 10
    assert callback.watcher.horizon == 20
    assert callback.watcher.batch_tokens == 8 * module.batch_size
    assert not callback.failed


def test_stochastic_weight_averaging(fit: Any, tiny: Any, memory: Any) -> None:
    module, callback = tiny(), CurveCast(every_n_steps=EVERY)
    averaging = StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=2, annealing_epochs=1)
    fit(
        callback, averaging, module=module, logger=memory, batches=10, max_steps=-1, max_epochs=4, val_check_interval=10
    )
    agrees(memory, module)
    assert not callback.failed


def test_an_exponential_moving_average_of_the_weights(fit: Any, tiny: Any, memory: Any) -> None:
    averages = pytest.importorskip("pytorch_lightning.callbacks.weight_averaging", reason="needs Lightning 2.6")
    module, callback = tiny(), CurveCast(every_n_steps=EVERY)
    fit(callback, averages.EMAWeightAveraging(decay=0.9), module=module, logger=memory, max_steps=20)
    agrees(memory, module)
    assert callback.watcher is not None
    assert callback.watcher.num_params == 20  # of the model, not of its average as well
    assert not callback.failed


class Outputs(pl.Callback):
    """The losses that the training steps returned, by optimizer step."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append((trainer.global_step, float(outputs["loss"])))


@pytest.mark.filterwarnings("ignore")  # torch's own, while it traces
@pytest.mark.parametrize("part", ["whole", "layer"])
def test_a_compiled_module(fit: Any, tiny: Any, memory: Any, part: str) -> None:
    class Plain(tiny):  # type: ignore[misc]
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.linear(self.embedding(batch[0])).square().mean()

    module, callback, outputs = Plain(), CurveCast(every_n_steps=EVERY), Outputs()
    if part == "layer":
        module.linear = torch.compile(module.linear, backend="eager")
    compiled = torch.compile(module, backend="eager") if part == "whole" else module
    fit(callback, outputs, module=compiled, logger=memory, max_steps=20, val_check_interval=10)
    agrees(memory, outputs)
    assert callback.watcher is not None
    assert callback.watcher.num_params == 20
    assert not callback.failed


def test_a_second_fit_of_the_same_trainer_goes_on(fit: Any, tiny: Any, memory: Any, loader: Any) -> None:
    module, callback = tiny(), CurveCast(every_n_steps=EVERY)
    trainer = fit(callback, module=module, logger=memory, max_steps=20)
    trainer.fit_loop.epoch_loop.max_steps = 40
    trainer.fit(module, loader(40), loader(1))
    agrees(memory, module)
    assert callback.watcher is not None
    assert (callback.watcher.step, callback.watcher.horizon) == (40, 40)
