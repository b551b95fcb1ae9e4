from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from curvecast.decisions.base import Finding, Reason
from curvecast.decisions.view import View
from curvecast_lightning import CurveCast


class From:
    """Says 'plateau' from a step on."""

    def __init__(self, step: int) -> None:
        self.step = step

    def decide(self, view: View) -> Finding:
        return Finding(Reason.PLATEAU, 0.97, view.step >= self.step, f"step {view.step}: enough is enough")


def test_training_is_never_stopped_unasked(fit: Any) -> None:
    callback = CurveCast(decisions=[From(20)])
    trainer = fit(callback)
    assert callback.verdict is not None
    assert callback.verdict.should_stop
    assert trainer.global_step == 60


def test_a_reason_in_stop_on_stops(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = {"num_params": 1000, "batch_tokens": 100, "every_n_steps": 1}
    callback = CurveCast(decisions=[From(20)], stop_on={"plateau"}, **settings)
    trainer = fit(callback)
    assert trainer.global_step == 20
    assert trainer.should_stop
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("curvecast: stopped at step 20 of 60 (plateau); best val_loss 2.771 at step 20;")
    assert line.endswith(f"40 steps and {6 * 1000 * 100 * 40:.2g} FLOP saved")
    assert callback.verdict is not None
    assert callback.verdict.message == f"S{line.removeprefix('curvecast: s')}. Step 20: enough is enough"


def test_another_reason_does_not_stop(fit: Any) -> None:
    trainer = fit(CurveCast(decisions=[From(20)], stop_on={"overfitting", "diverged"}))
    assert trainer.global_step == 60


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"min_steps": 35}, 35), ({"min_epochs": 2, "max_epochs": 9}, 41), ({"min_steps": 500}, 60)],
)
def test_a_decision_is_held_until_the_minimum_is_met(fit: Any, limits: dict[str, Any], expected: int) -> None:
    callback = CurveCast(decisions=[From(20)], stop_on={"plateau"}, every_n_steps=1)
    trainer = fit(callback, batches=20, **limits)
    assert trainer.global_step == expected


def test_lightning_does_not_log_every_step_while_a_decision_is_held(fit: Any, memory: Any) -> None:
    callback = CurveCast(decisions=[From(20)], stop_on={"plateau"}, every_n_steps=1)
    fit(callback, logger=memory, log_every_n_steps=10, min_steps=50)
    assert list(memory.of("train_loss")) == [9, 19, 29, 39, 49]


def test_no_decisions_in_a_fast_dev_run(
    fit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = CurveCast(decisions=[From(1)], stop_on={"plateau"}, every_n_steps=1, milestones=(0.5,))
    trainer = fit(callback, fast_dev_run=40, logger=CSVLogger(str(tmp_path)))
    assert trainer.global_step == 40
    assert not callback.failed
    assert not [record for record in caplog.records if record.name == "curvecast"]
    assert "curvecast" not in capsys.readouterr().out
    assert not list(tmp_path.glob("**/curvecast.json"))


def test_overfitting_stops_the_run_and_every_logger_has_the_scalars(
    fit: Any, tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Overfitting(tiny):  # type: ignore[misc]
        def val_law(self, step: int) -> float:
            return float(super().val_law(step)) + 0.02 * max(0, step - 80)

    loggers = [CSVLogger(str(tmp_path), "csv"), TensorBoardLogger(str(tmp_path), "tb")]
    callback = CurveCast(stop_on={"overfitting"}, every_n_steps=2, horizon=400)
    trainer = fit(
        callback,
        module=Overfitting(),
        logger=loggers,
        max_steps=400,
        val_check_interval=4,
        log_every_n_steps=50,
    )
    assert 80 < trainer.global_step < 300
    assert callback.verdict is not None
    assert callback.verdict.reason == "overfitting"
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"stopped at step {trainer.global_step} of 400 (overfitting); best val_loss" in line
    assert int(line.split("at step ")[2].split(";")[0]) in range(72, 89)
    tags = {
        f"curvecast/{name}" for name in ("train_loss", "val_loss", "lr", "forecast", "lower", "upper", "probability")
    }
    assert tags <= set((tmp_path / "csv/version_0/metrics.csv").read_text().splitlines()[0].split(","))
    assert tags <= set(tensorboard_scalars(tmp_path / "tb/version_0"))


def tensorboard_scalars(folder: Path) -> list[str]:
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    assert "custom_scalars__config__" in events.Tags()["tensors"]
    return list(events.Tags()["scalars"])


def test_verdict_scalars_stand_at_the_step_of_the_verdict(fit: Any, memory: Any, verdicts: Any) -> None:
    callback = CurveCast()
    collected = verdicts(callback)
    fit(callback, collected, logger=memory)
    last = {verdict.step: verdict for verdict in collected.seen}
    assert memory.of("curvecast/forecast") == {s: v.forecast.median for s, v in last.items()}
    assert memory.of("curvecast/upper") == {s: v.forecast.interval(0.9).upper for s, v in last.items()}
    assert memory.of("curvecast/probability") == {s: v.probability for s, v in last.items()}


def test_a_change_of_reason_is_said_once(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    fit(CurveCast(decisions=[From(20)]))
    said = [record for record in caplog.records if "enough is enough" in record.message]
    assert [record.levelname for record in said] == ["WARNING"]


def test_a_reason_that_has_fallen_is_taken_back(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    class For(From):
        def decide(self, view: View) -> Finding:
            return replace(super().decide(view), fires=self.step <= view.step < 40)

    caplog.set_level("INFO", "curvecast")
    fit(CurveCast(decisions=[For(20)], every_n_steps=1))
    said = [record for record in caplog.records if "step " in record.message and record.name == "curvecast"]
    assert [record.levelname for record in said] == ["WARNING", "INFO"]
    assert said[1].message.startswith(
        "curvecast: plateau no longer holds; step 40/60: on track; val loss at step 60 is forecast at"
    )


def test_a_milestone_is_said_and_kept(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    callback = CurveCast(milestones=(0.5, 0.25))
    fit(callback, log_every_n_steps=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("curvecast at")]
    assert [told[:2] for told in callback.hindsight] == [(0.25, 15), (0.5, 30)]
    assert lines[1].startswith("curvecast at 50 % (step 30/60): val_loss is forecast to end at 2.")
    assert lines[1].endswith("]; on track")


def test_the_last_line_says_of_which_step_the_forecasts_were(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for horizon, what in ((60, ": 2."), (200, " for step 200, which was not reached: 2.")):
        fit(CurveCast(milestones=(0.25,), horizon=horizon, every_n_steps=1))
        last = capsys.readouterr().out.splitlines()[-1]
        assert f"; forecast on the way{what}" in last


def test_an_unspoken_callback_says_nothing(fit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    callback = CurveCast(verbose=False, decisions=[From(20)], every_n_steps=1)
    fit(callback)
    assert "curvecast" not in capsys.readouterr().out
    assert [told[0] for told in callback.hindsight] == [0.25, 0.5, 0.75]


def test_an_exception_in_training_still_gets_its_summary(
    fit: Any, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(tiny):  # type: ignore[misc]
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.trainer.global_step == 30:
                raise RuntimeError("out of luck")
            return super().training_step(batch, batch_idx)

    with pytest.raises(RuntimeError, match="out of luck"):
        fit(CurveCast(), module=Failing())
    assert "curvecast: ended at step 30 of 60; last val_loss 2.771, its best" in capsys.readouterr().out


def test_a_callback_of_ours_does_not_disturb_early_stopping(fit: Any) -> None:
    stopper = pl.callbacks.EarlyStopping("val_loss", stopping_threshold=2.6)
    trainer = fit(CurveCast(), stopper)
    assert trainer.global_step == 40
