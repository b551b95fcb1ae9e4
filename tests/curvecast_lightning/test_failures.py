"""Nothing of ours may end a training run."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from curvecast import Watcher
from curvecast_lightning import CurveCast, panels, plan


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


def test_a_logger_that_fails_does_not_end_training(fit: Any, memory: Any) -> None:
    log_metrics = memory.log_metrics

    def picky(metrics: Any, step: int | None = None) -> None:
        if any(name.startswith("curvecast/") for name in metrics):
            raise ConnectionError("no route to the tracker")
        log_metrics(metrics, step)

    memory.log_metrics = picky
    callback = CurveCast()
    trainer = fit(callback, logger=memory)
    assert trainer.global_step == 60
    assert callback.failed


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
