from __future__ import annotations

import copy
import io
import threading
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateFinder, ModelCheckpoint
from pytorch_lightning.tuner.tuning import Tuner

from curvecast import Watcher
from curvecast_lightning import CurveCast
from curvecast_lightning.window import LossWindow


def interrupted(
    fit: Any, verdicts: Any, folder: Path, at: int, **settings: Any
) -> tuple[CurveCast, list[Any], list[Any]]:
    """Train to step `at`, save, and go on in a new Trainer with a new callback."""
    first, second = CurveCast(**settings, horizon=60), CurveCast(**settings, horizon=60)
    before, after = verdicts(first), verdicts(second)
    # Lightning does not make up for a validation due at the checkpoint's own step: 20 is saved after it.
    when: dict[str, Any] = {"save_on_train_epoch_end": False} if at == 20 else {"every_n_train_steps": at}
    saver = ModelCheckpoint(str(folder), save_top_k=-1, **when)
    fit(first, before, saver, max_steps=at, enable_checkpointing=True)
    fit(second, after, ckpt_path=saver.best_model_path)
    return second, before.seen, after.seen


# Every second step is sampled, so 33 leaves a window open; 20 is a step with a validation.
@pytest.mark.parametrize("at", [33, 20, 3])
def test_a_resumed_run_says_what_the_uninterrupted_one_says(
    fit: Any, verdicts: Any, said: Any, tmp_path: Path, at: int
) -> None:
    whole = CurveCast(every_n_steps=2, horizon=60)
    uninterrupted = verdicts(whole)
    fit(whole, uninterrupted)
    resumed, before, after = interrupted(fit, verdicts, tmp_path, at, every_n_steps=2)
    together = {verdict.step: verdict for verdict in [*before, *after]}
    alone = {verdict.step: verdict for verdict in uninterrupted.seen}
    assert len(alone) > 10
    assert {step: said(v) for step, v in together.items()} == {step: said(v) for step, v in alone.items()}
    assert [told[:2] for told in resumed.hindsight] == [told[:2] for told in whole.hindsight]
    assert [told[2].median for told in resumed.hindsight] == [told[2].median for told in whole.hindsight]


def test_milestones_are_not_said_twice(
    fit: Any, verdicts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(fit, verdicts, tmp_path, 33, every_n_steps=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "forecast" in line and " at " in line]
    shares = [line.split(" %")[0].split()[-1] for line in lines if line.startswith("curvecast at")]
    assert shares == ["25", "50", "75"]  # the first forecast comes at 20 %, nearer to 25 than to 10


def test_state_is_of_plain_types_and_survives_a_weights_only_load(fit: Any) -> None:
    callback = CurveCast()
    fit(callback)
    buffer = io.BytesIO()
    torch.save(callback.state_dict(), buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == callback.state_dict()


def test_state_is_kept_until_the_plan_is_known(fit: Any) -> None:
    callback = CurveCast()
    fit(callback)
    state = callback.state_dict()
    other = CurveCast()
    other.load_state_dict(copy.deepcopy(state))
    assert other.state_dict() == state


def test_a_state_of_another_schema_is_left_alone(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    callback = CurveCast()
    callback.load_state_dict({"schema": 99})
    fit(callback, max_steps=31)
    assert [record for record in caplog.records if "starts afresh" in record.message]
    assert callback.verdict is not None
    assert callback.verdict.step == 31


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a checkpoint of step 30 is kept for all damages."""
    return tmp_path_factory.mktemp("saved")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("desk",), None),
        (("desk", "recorder"), {}),
        (("desk", "recorder", "watcher"), None),
        (("desk", "recorder", "best"), "low"),
        (("desk", "recorder", "hindsight"), 3),
        (("desk", "plan"), None),
        (("desk", "plan", "batch_tokens"), "many"),
        (("desk", "noise"), 1.0),
        (("window",), {}),
        (("window", "closed", "sum"), [1.0, 2.0]),
        (("window", "closed", "sum"), torch.zeros(2)),
        (("window", "closed", "count"), 10**30),
        (("window", "closed", "kept"), [[1.0]]),
        (("cooldown",), {"start": None}),
    ],
)
def test_a_damaged_state_costs_what_was_seen_and_nothing_more(
    fit: Any, saved: Path, caplog: pytest.LogCaptureFixture, place: tuple[str, ...], value: Any
) -> None:
    path = saved / "step=30.ckpt"
    if not path.exists():
        saver = ModelCheckpoint(str(saved), every_n_train_steps=30, save_top_k=-1, filename="{step}")
        fit(CurveCast(), saver, max_steps=30, enable_checkpointing=True)
    checkpoint = torch.load(path, weights_only=True)
    *outer, last = place
    part = checkpoint["callbacks"][CurveCast().state_key]
    for name in outer:
        part = part[name]
    assert last in part
    part[last] = value
    torch.save(checkpoint, saved / "damaged.ckpt")
    caplog.clear()
    callback = CurveCast()
    assert fit(callback, ckpt_path=str(saved / "damaged.ckpt")).global_step == 60
    assert not callback.failed
    (line,) = (r.getMessage() for r in caplog.records if r.name == "curvecast" and r.levelname == "WARNING")
    assert line.startswith("curvecast starts afresh at step 30: the checkpoint's state cannot be used (")
    assert callback.watcher is not None
    assert (callback.watcher.step, callback.watcher.bins("train").count.sum()) == (60, 15)
    assert callback.verdict is not None
    assert callback.verdict.forecast is not None


def test_a_state_that_another_thread_takes_is_of_before_a_sample_or_after_it(
    fit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, taken, early = Watcher.update, [], []

    def slowly(self: Watcher, step: int, **sample: Any) -> Any:
        if step == 30:
            other = threading.Thread(target=lambda: taken.append(copy.deepcopy(callback.state_dict())))
            other.start()
            other.join(timeout=0.5)
            early.extend(taken)
        return update(self, step, **sample)

    monkeypatch.setattr(Watcher, "update", slowly)
    callback = CurveCast(every_n_steps=2)
    fit(callback, limit_val_batches=0, val_check_interval=None)
    assert early == []
    (state,) = taken
    assert state["desk"]["recorder"]["watcher"] is not None
    other = CurveCast()
    other.load_state_dict(state)
    assert other.state_dict() == state


def test_a_checkpoint_without_our_state_starts_afresh(fit: Any, tmp_path: Path) -> None:
    saver = ModelCheckpoint(str(tmp_path), every_n_train_steps=30, save_top_k=-1)
    fit(saver, max_steps=30, enable_checkpointing=True)
    callback = CurveCast()
    fit(callback, ckpt_path=saver.best_model_path)
    assert callback.verdict is not None
    assert callback.verdict.step == 60


def test_the_same_callback_in_a_new_run_starts_afresh(fit: Any, memory: Any) -> None:
    callback = CurveCast(every_n_steps=4)
    fit(callback, max_steps=30)
    fit(callback, max_steps=20, logger=memory)
    assert callback.watcher is not None
    assert (callback.watcher.step, callback.watcher.horizon) == (20, 20)
    assert list(memory.of("curvecast/train_loss")) == [4, 8, 12, 16, 20]


def test_a_second_fit_of_the_same_trainer_goes_on(fit: Any, tiny: Any, loader: Any) -> None:
    module, callback = tiny(), CurveCast(every_n_steps=1)
    trainer = fit(callback, module=module, max_steps=30)
    trainer.fit_loop.epoch_loop.max_steps = 60
    trainer.fit(module, loader(40), loader(1))
    assert callback.watcher is not None
    assert (callback.watcher.step, callback.watcher.horizon) == (60, 60)
    told = [(fraction, step, forecast.step) for fraction, step, forecast in callback.hindsight]
    # The forecasts of step 30, where a verdict was due as the first plan ended, are none of step 60.
    assert told == [(0.5, 32, 60), (0.75, 45, 60)]


def test_learning_rate_finder_before_the_run(fit: Any, tiny: Any, verdicts: Any, said: Any) -> None:
    plain, found = CurveCast(), CurveCast()
    alone, after = verdicts(plain), verdicts(found)
    fit(plain, alone)
    finder = LearningRateFinder(num_training_steps=20, update_attr=False)
    fit(finder, found, after)
    assert [said(verdict) for verdict in after.seen] == [said(verdict) for verdict in alone.seen]


def test_learning_rate_finder_in_the_middle_of_a_run(fit: Any, tiny: Any, verdicts: Any, said: Any) -> None:
    class FindEachEpoch(LearningRateFinder):
        def on_fit_start(self, *_: Any) -> None:
            pass

        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch:
                self.lr_find(trainer, pl_module)

    callback = CurveCast(every_n_steps=3)
    collected = verdicts(callback)
    finder = FindEachEpoch(num_training_steps=5, update_attr=False)
    fit(finder, callback, collected, batches=20, max_epochs=3, max_steps=-1)
    alone = CurveCast(every_n_steps=3)
    uninterrupted = verdicts(alone)
    fit(alone, uninterrupted, batches=20, max_epochs=3, max_steps=-1)
    found = list(dict.fromkeys(said(verdict) for verdict in collected.seen))
    assert found == [said(verdict) for verdict in uninterrupted.seen]


def test_tuner_leaves_the_callback_ready(fit: Any, tiny: Any, loader: Any) -> None:
    module, callback = tiny(), CurveCast()
    trainer = pl.Trainer(
        max_steps=30,
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    Tuner(trainer).lr_find(module, loader(40), num_training=15)
    trainer.fit(module, loader(40))
    assert callback.watcher is not None
    assert callback.watcher.step == 30


def test_an_open_window_survives_exactly() -> None:
    window, other = LossWindow(), LossWindow()
    for loss in (0.1, 0.2, 0.3):
        window.add(torch.tensor(loss))
        window.close_step()
    window.add(torch.tensor(0.7))
    other.load_state_dict(window.state_dict())
    for each in (window, other):
        each.add(torch.tensor(0.9))
        each.close_step()
    assert window.take(torch.device("cpu")).tolist() == other.take(torch.device("cpu")).tolist()
