"""Instead of stopping at once: the learning rate goes to zero first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint

from curvecast.decisions.base import Finding, Reason
from curvecast.decisions.view import View
from curvecast_lightning import CurveCast

BEGIN, STEPS = 20, 10


class From:
    """Gives a reason from a step on."""

    def __init__(self, step: int, reason: Reason = Reason.PLATEAU) -> None:
        self.step, self.reason = step, reason

    def decide(self, view: View) -> Finding:
        return Finding(self.reason, 0.97, view.step >= self.step, f"step {view.step}: enough is enough")


def recording(tiny: Any, scheduler: str = "none") -> Any:
    """A module whose optimizer keeps the rates that its steps used."""

    class Recording(torch.optim.SGD):
        used: list[list[float]]

        def step(self, closure: Any = None) -> Any:
            loss = super().step(closure)
            self.used.append([float(group["lr"]) for group in self.param_groups])
            return loss

    class Module(tiny):  # type: ignore[misc]
        def configure_optimizers(self) -> Any:
            groups = [
                {"params": self.embedding.parameters(), "lr": 0.4},
                {"params": self.linear.parameters(), "lr": 0.2},
            ]
            self.optimizer = Recording(groups)
            self.optimizer.used = []
            if scheduler == "none":
                return self.optimizer
            if scheduler == "plateau":
                plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=10)
                config = {"scheduler": plateau, "interval": "step", "monitor": "train_loss"}
            else:
                step = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda n: 0.999**n)
                config = {"scheduler": step, "interval": "step"}
            return {"optimizer": self.optimizer, "lr_scheduler": config}

    return Module()


def cooling(**settings: Any) -> CurveCast:
    defaults: dict[str, Any] = {"decisions": [From(BEGIN)], "stop_on": {"plateau"}, "on_stop": "cooldown"}
    return CurveCast(**{**defaults, "cooldown": STEPS, "every_n_steps": 1, **settings})


@pytest.mark.parametrize("scheduler", ["none", "lambda", "plateau"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_rate_goes_to_zero_in_a_straight_line_and_there_the_run_stops(
    fit: Any, tiny: Any, scheduler: str, accumulate: int
) -> None:
    module, callback = recording(tiny, scheduler), cooling()
    trainer = fit(callback, module=module, batches=200, accumulate_grad_batches=accumulate)
    assert trainer.global_step == BEGIN + STEPS
    for group, peak in ((0, 0.4), (1, 0.2)):
        used = [rates[group] for rates in module.optimizer.used]
        top = peak * 0.999**BEGIN if scheduler == "lambda" else peak
        assert used[BEGIN:] == pytest.approx([top * (1 - j / STEPS) for j in range(1, STEPS + 1)])
        assert min(used[:BEGIN]) >= top


def test_the_plan_and_the_forecast_are_those_of_the_cooldown(
    fit: Any, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = cooling()
    fit(callback, module=recording(tiny))
    assert callback.watcher is not None
    assert callback.cooldown is not None
    assert (callback.watcher.horizon, callback.cooldown.step) == (BEGIN + STEPS, BEGIN + STEPS)
    assert callback.watcher.schedule is not None
    assert callback.watcher.schedule.lr([BEGIN, BEGIN + STEPS / 2, BEGIN + STEPS]).tolist() == [1.0, 0.5, 0.0]
    assert callback.cooldown.lower < callback.cooldown.loss < callback.cooldown.upper
    assert "curvecast: cooling down from step 20 to 30; val_loss is forecast to end at 2." in capsys.readouterr().out


def test_its_length_may_be_left_to_the_law(fit: Any, tiny: Any) -> None:
    callback = cooling(cooldown=None)
    trainer = fit(callback, module=recording(tiny), max_steps=100)
    assert callback.cooldown is not None
    assert 1 <= callback.cooldown.steps <= 0.2 * BEGIN
    assert trainer.global_step == BEGIN + callback.cooldown.steps


@pytest.mark.parametrize("reason", [Reason.OVERFITTING, Reason.DIVERGED])
def test_where_the_best_lies_behind_it_stops_at_once(fit: Any, tiny: Any, tmp_path: Path, reason: Reason) -> None:
    callback = cooling(decisions=[From(BEGIN, reason)], stop_on={reason}, save_on_stop=True)
    trainer = fit(callback, module=recording(tiny))
    assert trainer.global_step == BEGIN
    assert callback.cooldown is None
    assert callback.checkpoints == [str(tmp_path / f"curvecast-stop-step={BEGIN}.ckpt")]  # no second one, just like it


def test_a_run_that_comes_to_overfit_on_its_way_down_stops_at_once(fit: Any, tiny: Any) -> None:
    callback = cooling(decisions=[From(BEGIN + 5, Reason.OVERFITTING), From(BEGIN)], stop_on={"plateau", "overfitting"})
    trainer = fit(callback, module=recording(tiny))
    assert trainer.global_step == BEGIN + 5


def test_it_never_leads_beyond_the_plan(fit: Any, tiny: Any) -> None:
    callback = cooling(cooldown=500)
    trainer = fit(callback, module=recording(tiny))
    assert trainer.global_step == 60
    assert callback.cooldown is not None
    assert callback.cooldown.steps == 40


def test_it_waits_for_the_minimum_of_steps(fit: Any, tiny: Any) -> None:
    trainer = fit(cooling(), module=recording(tiny), batches=20, min_steps=35)
    assert trainer.global_step == 45


def test_a_checkpoint_on_the_way_down_goes_on_down(fit: Any, tiny: Any, tmp_path: Path) -> None:
    whole = recording(tiny, "lambda")
    fit(cooling(), module=whole)
    saver = ModelCheckpoint(str(tmp_path), every_n_train_steps=BEGIN + 4, save_top_k=-1)
    fit(cooling(horizon=60), saver, module=recording(tiny, "lambda"), max_steps=BEGIN + 4, enable_checkpointing=True)
    rest, callback = recording(tiny, "lambda"), cooling()
    trainer = fit(callback, module=rest, ckpt_path=saver.best_model_path)
    assert trainer.global_step == BEGIN + STEPS
    assert rest.optimizer.used == whole.optimizer.used[BEGIN + 4 :]
    assert callback.watcher is not None
    assert callback.watcher.horizon == BEGIN + STEPS


def test_a_checkpoint_on_the_way_down_loads_without_us(fit: Any, tiny: Any, tmp_path: Path) -> None:
    saver = ModelCheckpoint(str(tmp_path), every_n_train_steps=BEGIN + 4, save_top_k=-1)
    fit(cooling(horizon=60), saver, module=recording(tiny, "lambda"), max_steps=BEGIN + 4, enable_checkpointing=True)
    module = recording(tiny, "lambda")
    trainer = fit(module=module, ckpt_path=saver.best_model_path)
    assert trainer.global_step == 60
    assert module.optimizer.used[1][0] == pytest.approx(0.4 * 0.999 ** (BEGIN + 1))  # where its scheduler was held


def test_checkpoints_are_written_where_it_begins_and_where_it_stops(fit: Any, tiny: Any, tmp_path: Path) -> None:
    callback = cooling(save_on_stop=True)
    fit(callback, module=recording(tiny))
    names = [f"curvecast-before-cooldown-step={BEGIN}.ckpt", f"curvecast-stop-step={BEGIN + STEPS}.ckpt"]
    assert callback.checkpoints == [str(tmp_path / name) for name in names]
    before, after = (torch.load(path, weights_only=True) for path in callback.checkpoints)
    assert [saved["global_step"] for saved in (before, after)] == [BEGIN, BEGIN + STEPS]
    going_on = CurveCast()
    trainer = fit(going_on, module=recording(tiny), ckpt_path=callback.checkpoints[0])
    assert trainer.global_step == 60
    assert going_on.watcher is not None
    assert going_on.watcher.horizon == 60


def test_what_stands_at_the_end_of_its_cooldown_trains_no_further(fit: Any, tiny: Any, caplog: Any) -> None:
    callback = cooling(save_on_stop=True)
    fit(callback, module=recording(tiny))
    trainer = fit(cooling(), module=recording(tiny), ckpt_path=callback.checkpoints[-1])
    assert trainer.global_step == BEGIN + STEPS
    assert "at the end of its cooldown" in caplog.text


@pytest.mark.parametrize("own", [True, False])
def test_a_stop_at_once_saves_too(fit: Any, tmp_path: Path, own: bool) -> None:
    saver = [ModelCheckpoint(str(tmp_path / "own"), every_n_train_steps=1000)] if own else []
    callback = CurveCast(decisions=[From(BEGIN)], stop_on={"plateau"}, every_n_steps=1, save_on_stop=True)
    fit(callback, *saver, enable_checkpointing=own)
    folder = tmp_path / "own" if own else tmp_path
    assert callback.checkpoints == [str(folder / "curvecast-stop-step=20.ckpt")]
    assert torch.load(callback.checkpoints[0], weights_only=True)["global_step"] == BEGIN


def test_manual_optimization_cools_every_optimizer(fit: Any, tiny: Any) -> None:
    class Manual(tiny):  # type: ignore[misc]
        rates: list[list[float]]

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            for optimizer in self.optimizers():
                optimizer.step()
            self.lr_schedulers().step()
            self.rates.append([optimizer.param_groups[0]["lr"] for optimizer in self.optimizers()])
            return loss

        def configure_optimizers(self) -> Any:
            optimizers = [torch.optim.SGD(self.parameters(), lr=lr) for lr in (0.1, 0.2)]
            return optimizers, [torch.optim.lr_scheduler.StepLR(optimizers[0], 1000)]

    module = Manual()
    module.automatic_optimization, module.rates = False, []
    trainer = fit(cooling(), module=module)
    begin = 24  # twelve samples, one every two steps
    assert trainer.global_step == begin + STEPS
    assert module.rates[begin // 2] == pytest.approx([0.08, 0.16])
    assert module.rates[-1] == [0.0, 0.0]


def test_the_learning_rate_monitor_sees_the_rates_that_are_used(fit: Any, tiny: Any, memory: Any) -> None:
    module = recording(tiny, "lambda")
    fit(LearningRateMonitor("step"), cooling(), module=module, logger=memory, log_every_n_steps=1)
    logged = [row["lr-Recording/pg1"] for _, row in memory.rows if "lr-Recording/pg1" in row]
    assert logged == pytest.approx([rates[0] for rates in module.optimizer.used])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="`on_stop` must be 'stop' or 'cooldown': got 'now'"):
        CurveCast(on_stop="now")
    for wrong in ({"cooldown": 0, "on_stop": "cooldown"}, {"cooldown": 10}):
        with pytest.raises(ValueError, match="`cooldown` must be at least 1 step, with on_stop='cooldown'"):
            CurveCast(**wrong)


@pytest.mark.parametrize(
    "settings",
    [
        {"cooldown": 1.5},
        {"cooldown": "5"},
        {"cooldown": float("nan")},
        {"every_n_steps": 1.5},
        {"every_n_steps": "5"},
        {"milestones": 0.5},
        {"milestones": ["a"]},
        {"stop_on": None},
    ],
    ids=str,
)
def test_settings_of_another_kind_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(settings))}` must .*: got .* Pass"):
        cooling(**settings)


def test_a_group_that_is_unfrozen_during_the_cooldown_cools_too(fit: Any, tiny: Any) -> None:
    class Unfreezing(type(recording(tiny))):  # type: ignore[misc]
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if self.trainer.global_step == BEGIN + 4:
                self.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.5})

    callback, module = cooling(), Unfreezing()
    fit(callback, module=module)
    assert not callback.failed
    assert len(module.optimizer.used) == BEGIN + STEPS
    assert module.optimizer.used[-1] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), AttributeError("Can't pickle a lambda")])
@pytest.mark.parametrize("on_stop", ["stop", "cooldown"])
def test_a_checkpoint_that_cannot_be_written_keeps_no_run_from_its_end(
    fit: Any, on_stop: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(pl.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            def save(path: str) -> None:
                raise error

            trainer.save_checkpoint = save

    callback = cooling(save_on_stop=True, on_stop=on_stop, cooldown=STEPS if on_stop == "cooldown" else None)
    trainer = fit(callback, Full())
    assert trainer.global_step == BEGIN + (STEPS if on_stop == "cooldown" else 0)
    assert not callback.failed
    assert callback.checkpoints == []
    assert "could not write" in caplog.text


def test_a_run_that_goes_on_from_its_stop_is_told_why_it_stops_again(fit: Any, tiny: Any, caplog: Any) -> None:
    callback = cooling(on_stop="stop", cooldown=None, save_on_stop=True)
    fit(callback, module=recording(tiny))
    assert "leave 'plateau' out of stop_on" not in caplog.text
    again = cooling(on_stop="stop", cooldown=None)
    trainer = fit(again, module=recording(tiny), ckpt_path=callback.checkpoints[0])
    assert BEGIN < trainer.global_step < BEGIN + 3
    assert caplog.text.count("leave 'plateau' out of stop_on") == 1
