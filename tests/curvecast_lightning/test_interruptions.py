"""However a run was cut, and whatever its checkpoint holds: the verdicts are those of the run that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from curvecast_lightning import CurveCast

SETTINGS: dict[str, Any] = {"every_n_steps": 2, "horizon": 60, "milestones": (0.5,)}


@pytest.fixture
def whole(fit: Any, verdicts: Any, said: Any) -> dict[int, Any]:
    """What the run says when nothing cuts it, by step."""
    callback = CurveCast(**SETTINGS)
    uninterrupted = verdicts(callback)
    fit(callback, uninterrupted)
    assert len(uninterrupted.seen) > 10
    return {verdict.step: said(verdict) for verdict in uninterrupted.seen}


def heard(collected: Any, said: Any) -> dict[int, Any]:
    return {verdict.step: said(verdict) for verdict in collected.seen}


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("at", [33, 40], ids=["mid-epoch", "end of an epoch"])
def test_going_on_from_the_last_checkpoint(
    fit: Any, verdicts: Any, said: Any, whole: dict[int, Any], tmp_path: Path, at: int, weights_only: bool
) -> None:
    def saver() -> ModelCheckpoint:
        # Lightning does not make up for a validation due at the checkpoint's own step: 40 is saved after it.
        when: dict[str, Any] = {"save_on_train_epoch_end": False} if at == 40 else {"every_n_train_steps": at}
        return ModelCheckpoint(str(tmp_path), save_last=True, **when)

    first, second = CurveCast(**SETTINGS), CurveCast(**SETTINGS)
    before, after = verdicts(first), verdicts(second)
    fit(first, before, saver(), max_steps=at, enable_checkpointing=True)
    fit(second, after, saver(), ckpt_path="last", enable_checkpointing=True, weights_only=weights_only)
    assert min(heard(after, said)) >= at
    assert heard(before, said) | heard(after, said) == whole


class Diary:
    """Writes down what is said, so that it outlives the process."""

    def __init__(self, path: Path, collected: Any, said: Any) -> None:
        self.path, self.collected, self.said = path, collected, said

    def __call__(self) -> None:
        with self.path.open("a") as file:
            for verdict in self.collected.seen:
                file.write(json.dumps([verdict.step, repr(self.said(verdict))]) + "\n")
        self.collected.seen = self.collected.seen[-1:]

    @staticmethod
    def read(path: Path) -> Iterator[tuple[int, str]]:
        for line in path.read_text().splitlines(keepends=True) if path.exists() else []:
            if line.endswith("\n"):  # a kill may have torn the last one
                step, words = json.loads(line)
                yield step, words


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*no last checkpoint available.*")
def test_kills_at_random_moments(fit: Any, verdicts: Any, said: Any, whole: dict[int, Any], tmp_path: Path) -> None:
    def train(folder: Path) -> None:
        callback = CurveCast(**SETTINGS)
        collected = verdicts(callback)
        diary = Diary(folder / "diary.jsonl", collected, said)
        look = collected._look

        def look_and_write() -> None:
            look()
            diary()

        collected._look = look_and_write
        saver = ModelCheckpoint(str(folder), every_n_train_steps=7, save_last=True)
        fit(callback, collected, saver, ckpt_path="last", enable_checkpointing=True, logger=False)

    def lives(folder: Path, seconds: float) -> bool:
        """Whether a training of at most so many seconds came to its end."""
        child = os.fork()
        if not child:
            status = 1
            try:
                train(folder)
                status = 0
            finally:
                os._exit(status)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (done := os.waitpid(child, os.WNOHANG))[0]:
                assert os.waitstatus_to_exitcode(done[1]) == 0
                return True
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    moments = random.Random(0)
    began = time.monotonic()
    (tmp_path / "0").mkdir()
    assert lives(tmp_path / "0", 600.0)
    whole_seconds = time.monotonic() - began
    kills, runs = 0, 1
    while kills < 10:
        folder = tmp_path / str(runs)
        folder.mkdir()
        while not lives(folder, moments.uniform(0.0, whole_seconds) if kills < 10 else 600.0):
            kills += 1
        runs += 1
    for run in range(runs):
        told = dict(Diary.read(tmp_path / str(run) / "diary.jsonl"))
        assert told == {step: repr(words) for step, words in whole.items()}


def saved(fit: Any, tmp_path: Path, *callbacks: Any, at: int = 33, **arguments: Any) -> Path:
    """The checkpoint of a run that ended at a step."""
    saver = ModelCheckpoint(str(tmp_path / "saved"), every_n_train_steps=at)
    fit(*callbacks, saver, max_steps=at, enable_checkpointing=True, **arguments)
    return Path(saver.best_model_path)


def test_a_state_that_cannot_be_used_is_said_and_left(
    fit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = CurveCast(**SETTINGS)
    path = saved(fit, tmp_path, CurveCast(**SETTINGS))
    content = torch.load(path, weights_only=True)
    content["callbacks"][callback.state_key]["desk"]["recorder"]["watcher"]["schema"] = 0
    torch.save(content, path)
    fit(callback, ckpt_path=str(path))
    assert not callback.failed
    assert callback.verdict is not None
    assert callback.verdict.step == 60
    assert sum("starts afresh at step 33" in record.message for record in caplog.records) == 1


def test_a_callback_added_late_learns_the_past_from_the_logs(
    fit: Any, verdicts: Any, said: Any, whole: dict[int, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Logged by a callback whose state the checkpoint lost: the past is known exactly.
    early = CurveCast(**SETTINGS)
    path = saved(fit, tmp_path, early, logger=CSVLogger(str(tmp_path), "logs"), at=34)
    content = torch.load(path, weights_only=True)
    del content["callbacks"][early.state_key]
    torch.save(content, path)
    late = CurveCast(**SETTINGS, warm_start="logs")
    after = verdicts(late)
    with caplog.at_level("INFO", logger="curvecast"):
        fit(late, after, ckpt_path=str(path), logger=CSVLogger(str(tmp_path), "logs"))
    assert heard(after, said) == {step: words for step, words in whole.items() if step >= 34}
    (line,) = (record.message for record in caplog.records if "no state of it" in record.message)
    assert line.endswith(f"samples up to step 34 from {tmp_path / 'logs/version_0'}")
    assert late.hindsight[0][:2] == (0.5, 30)


def test_logs_of_the_modules_own_serve_too(fit: Any, tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path), "logs")
    path = saved(fit, tmp_path, LearningRateMonitor(), logger=logger, log_every_n_steps=1, at=30)
    late = CurveCast(warm_start="logs", horizon=60)
    fit(late, ckpt_path=str(path), max_steps=31, logger=CSVLogger(str(tmp_path), "logs"))
    assert late.watcher is not None
    assert late.watcher.bins("train").count.sum() == 30
    assert late.watcher.bins("val").count.sum() == 1


@pytest.mark.parametrize("warm_start", ["logs", None])
def test_without_logs_a_late_callback_starts_afresh_and_says_so(
    fit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, warm_start: str | None
) -> None:
    late = CurveCast(warm_start=warm_start)
    fit(late, ckpt_path=str(saved(fit, tmp_path)))
    assert late.verdict is not None
    assert late.verdict.step == 60
    (line,) = (record.message for record in caplog.records if "starts afresh" in record.message)
    assert line.startswith("curvecast starts afresh at step 33: the checkpoint has no state of it")
    assert ("no log of it was found" in line) == (warm_start == "logs")


def test_a_warm_start_from_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match='`warm_start` must be "logs" or None'):
        CurveCast(warm_start="tensorboard")
