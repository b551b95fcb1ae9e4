"""Nothing of ours may end a training run."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from curvecast import Watcher
from curvecast.fit import newest
from curvecast_lightning import CurveCast, panels, plan
from curvecast_lightning.readings import Readings
from curvecast_lightning.trouble import SLOW


def broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("a bug of ours")


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "curvecast"]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (Watcher, "update"),
        (Watcher, "load_state_dict"),
        (Watcher, "state_dict"),
        (plan, "planned_steps"),
        (plan, "planned_rates"),
        (plan, "count_parameters"),
        (plan, "batch_tokens"),
        (panels, "write_sidecar"),
    ],
)
def test_a_failure_is_logged_once_and_training_goes_on(
    fit: Any,
    memory: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: Any,
    name: str,
) -> None:
    healthy = CurveCast()
    fit(healthy, max_steps=20)
    state = healthy.state_dict()
    monkeypatch.setattr(where, name, broken)
    callback = CurveCast(stop_on={"overfitting"})
    callback.load_state_dict(state)
    trainer = fit(callback, logger=memory)
    callback.state_dict()
    assert trainer.global_step == 60
    assert callback.failed
    failures = [record for record in ours(caplog) if "switched off" in record.message]
    assert len(failures) == 1
    assert failures[0].exc_info is not None
    assert str(failures[0].exc_info[1]) == "a bug of ours"


def test_a_failure_before_the_first_step_is_logged_once_too(
    fit: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Readings, "before_validation", broken)  # Lightning validates once before it trains
    callback = CurveCast()
    assert fit(callback, num_sanity_val_steps=1).global_step == 60
    assert callback.failed
    assert len([record for record in ours(caplog) if "switched off" in record.message]) == 1


def test_nothing_is_fed_after_a_failure(fit: Any, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    update, calls = Watcher.update, []

    def fails_at_ten(self: Watcher, step: int, **sample: Any) -> Any:
        calls.append(step)
        if step == 10:
            raise RuntimeError("a bug of ours")
        return update(self, step, **sample)

    monkeypatch.setattr(Watcher, "update", fails_at_ten)
    callback = CurveCast(every_n_steps=1)
    fit(callback, logger=memory)
    assert calls == list(range(1, 11))
    assert callback.state_dict() == {}


def test_a_logger_that_fails_is_given_up_and_nothing_else(
    fit: Any, memory: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log_metrics = memory.log_metrics

    def picky(metrics: Any, step: int | None = None) -> None:
        if any(name.startswith("curvecast/") for name in metrics):
            raise ConnectionError("no route to the tracker")
        log_metrics(metrics, step)

    memory.log_metrics = picky
    callback, healthy = CurveCast(verbose=False), CurveCast(verbose=False)
    trainer = fit(callback, logger=[memory, CSVLogger(str(tmp_path))])
    fit(healthy)
    assert trainer.global_step == 60
    assert memory.of("train_loss")
    assert "curvecast/forecast" in (tmp_path / "lightning_logs/version_0/metrics.csv").read_text()
    assert said_of(callback) == said_of(healthy)
    (line,) = warnings_of(caplog)
    assert line == (
        "curvecast logs nothing more to Memory, which failed: ConnectionError: no route to the tracker. "
        "Training goes on."
    )


def said_of(callback: CurveCast) -> Any:
    assert not callback.failed
    assert callback.verdict is not None
    return callback.verdict.step, callback.verdict.message


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in ours(caplog) if record.levelno >= logging.WARNING]


def weights(trainer: Any) -> list[Any]:
    return [parameter.tolist() for parameter in trainer.lightning_module.parameters()]


class Learning:
    """A module whose weights depend on every step, so that a training of another course ends elsewhere."""

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        return self.linear(self.embedding(batch[0])).square().mean() + 1.0


@pytest.fixture
def ends(fit: Any, tiny: Any) -> Any:
    """Fit a module that learns; the step and the weights that it ends with."""

    def run(*callbacks: Any, **arguments: Any) -> Any:
        torch.manual_seed(0)
        trainer = fit(*callbacks, module=type("Module", (Learning, tiny), {})(lr=0.1), **arguments)
        return trainer.global_step, weights(trainer)

    return run


def raising(*args: Any, **kwargs: Any) -> Any:
    raise np.linalg.LinAlgError("singular matrix")


def giving_nothing(*args: Any, **kwargs: Any) -> Any:
    found = fit_of_ours(*args, **kwargs)
    return replace(found, theta=found.theta * np.nan)


class TakingLong:
    """Two fits do, of which one is told."""

    def __init__(self) -> None:
        self.left = 2

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        end = time.thread_time() + 1.2 * SLOW
        while self.left and time.thread_time() < end:
            pass
        self.left -= self.left > 0
        return fit_of_ours(*args, **kwargs)


fit_of_ours = vars(newest)["fit"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning:curvecast")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (raising, "switched off; training goes on. LinAlgError: singular matrix"),
        (giving_nothing, "switched off; training goes on. FloatingPointError: the forecast made at step"),
        (TakingLong(), "curvecast is slow: a forecast took 0."),
    ],
)
def test_a_training_ends_as_without_us_whatever_our_fit_does(
    ends: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Any, words: str
) -> None:
    alone = ends(max_steps=30)
    caplog.clear()
    monkeypatch.setattr(newest, "fit", fault)
    callback = CurveCast(stop_on={"overfitting", "diverged"}, verbose=False)
    assert ends(callback, max_steps=30) == alone
    (line,) = warnings_of(caplog)
    assert words in line
    is_slow = isinstance(fault, TakingLong)
    assert callback.failed is not is_slow
    assert not is_slow or fault.left == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_training_ends_as_without_us_on_a_full_disk(ends: Any, tmp_path: Path, caplog: Any) -> None:
    """The kernel refuses every file beyond 16 bytes: enough for all that Lightning writes here of itself."""
    resource = pytest.importorskip("resource")

    def report(*callbacks: Any) -> Any:
        logger = CSVLogger(str(tmp_path), flush_logs_every_n_steps=1)
        end, words = os.pipe()
        child = os.fork()
        if not child:
            resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            caplog.clear()
            try:
                content = [*ends(*callbacks, logger=logger, limit_val_batches=0), warnings_of(caplog)]
            except BaseException as error:
                content = [repr(error), None, None]
            with os.fdopen(words, "w") as pipe:
                json.dump(content, pipe)
            os._exit(0)
        os.close(words)
        with os.fdopen(end) as pipe:
            content = json.load(pipe)
        os.waitpid(child, 0)
        return content

    *alone, silence = report()
    *watched, said = report(CurveCast(verbose=False, every_n_steps=1))
    assert alone[0] == 60
    assert silence == []
    assert watched == alone
    assert len(said) == 1, said
    (line,) = said
    assert "curvecast could not write its plan beside the log" in line
    assert "File too large" in line


def test_collectives_go_on_after_a_failure(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.strategies import SingleDeviceStrategy

    votes: list[bool] = []

    def vote(self: Any, decision: bool, all: bool = True) -> bool:  # noqa: A002
        votes.append(decision)
        return decision

    monkeypatch.setattr(SingleDeviceStrategy, "reduce_boolean_decision", vote)
    monkeypatch.setattr(Watcher, "update", broken)
    fit(CurveCast(stop_on={"overfitting"}, every_n_steps=5))
    assert votes == [False] * (60 // 5 + 60 // 20)


def test_ctrl_c_is_not_ours_to_catch(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "update", interrupted)
    with pytest.raises(SystemExit):
        fit(CurveCast())
