from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar, TQDMProgressBar

from curvecast import Watcher
from curvecast_lightning import CurveCast, bar


class Shows:
    """What the bar shows, batch by batch."""

    shown: list[dict[str, Any]]

    def get_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_metrics(*args, **kwargs), "of the bar": 1}  # type: ignore[misc]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any, **kwargs: Any) -> None:
        super().on_train_batch_end(trainer, pl_module, *args, **kwargs)  # type: ignore[misc]
        self.shown.append(self.get_metrics(trainer, pl_module))


class ShowsTqdm(Shows, TQDMProgressBar):
    pass


class ShowsRich(Shows, RichProgressBar):
    pass


@pytest.fixture(params=[ShowsTqdm, ShowsRich])
def shows(request: pytest.FixtureRequest) -> Any:
    instance = request.param()
    instance.shown = []
    return instance


def test_bar_shows_forecast_and_interval(fit: Any, shows: Any) -> None:
    fit(CurveCast(), shows, enable_progress_bar=True)
    last = shows.shown[-1]
    assert last["of the bar"] == 1
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", last["forecast"])  # and no word of a run on track: room is short
    assert "forecast" not in shows.shown[0]


def test_the_bar_is_as_it_was_afterwards(fit: Any, shows: Any) -> None:
    fit(CurveCast(), shows, enable_progress_bar=True)
    assert "get_metrics" not in vars(shows)


def test_a_trainer_is_saved_with_its_bar_in_the_middle_of_a_run(fit: Any) -> None:
    saved = []

    class Saves(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 50:
                saved.append(pickle.loads(pickle.dumps(trainer.progress_bar_callback.get_metrics.texts)))

    fit(CurveCast(), TQDMProgressBar(), Saves(), enable_progress_bar=True)
    ((name, text),) = saved[0].items()
    assert name == "forecast"
    assert text().endswith("]")


def test_lines_are_printed_while_the_bar_is_drawn(fit: Any, shows: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fit(CurveCast(), shows, enable_progress_bar=True)
    out = capsys.readouterr().out
    assert "curvecast at 50 % (step 30/60): val_loss is forecast to end at" in out
    assert "curvecast: finished at step 60" in out


def test_two_callbacks_share_a_bar_and_leave_in_any_order(fit: Any, tiny: Any, shows: Any) -> None:
    class TwoLosses(tiny):  # type: ignore[misc]
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            super().validation_step(batch, batch_idx)
            self.log("val_b", torch.tensor(self.val_law(self.trainer.global_step) + 1.0))

    fit(CurveCast(), CurveCast(monitor="val_b"), shows, module=TwoLosses(), enable_progress_bar=True)
    assert {"forecast", "forecast/val_b"} <= shows.shown[-1].keys()
    assert "get_metrics" not in vars(shows)


def test_the_bar_may_be_left_alone(fit: Any, shows: Any) -> None:
    fit(CurveCast(progress_bar=False), shows, enable_progress_bar=True)
    assert not any("forecast" in metrics for metrics in shows.shown)


def test_a_failure_of_ours_does_not_reach_the_bar(fit: Any, shows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("curvecast_lightning.wording.bar_text", broken)
    callback = CurveCast()
    trainer = fit(callback, shows, enable_progress_bar=True)
    assert trainer.global_step == 60
    assert callback.failed


def test_the_bar_is_given_back_after_a_failure(fit: Any, shows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Watcher, "update", broken)
    fit(CurveCast(), shows, enable_progress_bar=True)
    assert "get_metrics" not in vars(shows)


def test_somebody_elses_replacement_is_put_back() -> None:
    class Bar:
        def get_metrics(self) -> dict[str, Any]:
            return {}

    def theirs() -> dict[str, Any]:
        return {"theirs": 1}

    host: Any = Bar()
    host.get_metrics = theirs
    bar.attach(host, "forecast", lambda: "1.4")
    assert host.get_metrics() == {"theirs": 1, "forecast": "1.4"}
    bar.detach(host, "forecast")
    assert host.get_metrics is theirs
