from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from curvecast import Decision, Never, Reason, Schedule, Watcher
from tests.conftest import power_run


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_non_finite_losses_become_divergence(loss: float) -> None:
    watcher = Watcher(horizon=1000)
    for step, finite in enumerate(power_run(300), 1):
        watcher.update(step, train_loss=finite)
    reasons = [watcher.update(300 + i, train_loss=loss).reason for i in range(1, 7)]
    assert reasons == [Reason.ON_TRACK] * 4 + [Reason.DIVERGED] * 2
    assert watcher.verdict.should_stop
    assert watcher.verdict.forecast is not None  # what was forecast before it blew up


def test_nan_from_the_first_step_is_divergence_too() -> None:
    watcher = Watcher(horizon=1000)
    for step in range(1, 7):
        watcher.update(step, train_loss=math.nan)
    assert watcher.verdict.reason is Reason.DIVERGED


@pytest.mark.parametrize("loss", [math.nan, math.inf, 1e155, -1e200, 1e308, 1e-310, -1e-310, 0.0])
@pytest.mark.parametrize("decisions", [None, [Never()], []])
@pytest.mark.parametrize("before", [0, 5, 300])
def test_no_loss_whatever_makes_update_raise(loss: float, decisions: list[Decision] | None, before: int) -> None:
    watcher = Watcher(horizon=1000, decisions=decisions)
    for step, finite in enumerate(power_run(before), 1):
        watcher.update(step, train_loss=finite)
    for step in range(before + 1, before + 30):
        watcher.update(step, train_loss=loss, val_loss=loss if step % 3 else 1.0)


@pytest.mark.parametrize(("spike", "height"), [(5, 50.0), (20, 10.0), (5, 1e4)])
def test_an_early_spike_leaves_no_mark(spike: int, height: float) -> None:
    spiked, smooth = Watcher(horizon=3000), Watcher(horizon=3000)
    for step, loss in enumerate(power_run(1000), 1):
        smooth.update(step, train_loss=loss)
        spiked.update(step, train_loss=loss + height * (250 <= step < 250 + spike))
    inside = smooth.forecast()
    assert spiked.forecast().median == pytest.approx(inside.median, abs=0.3 * float(inside.std))


def test_a_rise_early_in_the_run_is_no_divergence() -> None:
    """A fine-tuned model: the warm-up first spoils it."""
    watcher = Watcher(horizon=3000)
    reasons = set()
    for step in range(1, 1501):
        loss = 1.0 + 1.5 * min(step / 60, 1.0) * math.exp(-max(step - 60, 0) / 200) + 0.5 * step**-0.3
        reasons.add(str(watcher.update(step, train_loss=loss + 0.002 * math.sin(7 * step)).reason))
    assert "diverged" not in reasons
    assert watcher.bins().count.sum() > 1300


def test_another_set_of_validation_losses_is_no_divergence() -> None:
    watcher = Watcher(horizon=3000)
    for step in range(25, 2001, 25):
        losses = {"a": 2.0 + 3.0 * step**-0.4} if step % 150 == 25 else {"b": 9.0}
        assert watcher.update(step, val_loss=losses).reason is not Reason.DIVERGED
    assert watcher.bins("val").count.sum() == 14


@pytest.mark.parametrize("steps", [[], [1], [0, -3], [5, 5, 5, 4, 3]])
def test_too_few_or_useless_steps_are_not_enough_data(steps: list[int]) -> None:
    watcher = Watcher(horizon=100)
    for step in steps:
        watcher.update(step, train_loss=1.0)
    assert watcher.verdict.reason is Reason.NOT_ENOUGH_DATA
    assert not watcher.verdict.should_stop


def test_a_run_that_is_too_young_is_told_from_which_step_on_it_is_not() -> None:
    watcher = Watcher(horizon=60_001)
    for step in range(10, 1_201, 10):
        assert watcher.update(step, train_loss=2.0 + 3.0 * step**-0.4).reason is Reason.NOT_ENOUGH_DATA
    assert watcher.verdict.message.endswith("and 2% of the 60,001 planned steps, which is step 1,201.")
    for step in range(1_210, 1_300, 10):  # the next time that a verdict is due
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.4)
    assert watcher.verdict.reason is not Reason.NOT_ENOUGH_DATA


def test_steps_that_repeat_or_go_back_are_left_out() -> None:
    straight, jumpy = Watcher(horizon=2000), Watcher(horizon=2000)
    for step, loss in enumerate(power_run(400), 1):
        straight.update(step, train_loss=loss)
        jumpy.update(step, train_loss=loss)
        jumpy.update(step, train_loss=99.0)
        jumpy.update(max(step - 7, 1), train_loss=-99.0)
    assert straight.state_dict() == jumpy.state_dict()


def test_a_million_samples_in_one_bin_stay_one_bin() -> None:
    watcher = Watcher()
    for step in range(10**9, 10**9 + 10**5):
        watcher.update(step, train_loss=2.0)
    assert len(watcher.bins("train")) == 1
    assert watcher.forecast().median == pytest.approx(2.0, rel=0.01)


def test_zero_learning_rate_throughout_counts_steps() -> None:
    watcher = Watcher(horizon=1000)
    for step, loss in enumerate(power_run(300), 1):
        watcher.update(step, train_loss=loss, lr=0.0)
    assert math.isfinite(float(watcher.forecast().median))
    assert Watcher(schedule=Schedule([1, 100], [0.0, 0.0])).horizon == 100


def test_a_learning_rate_that_is_told_but_once_does_no_harm() -> None:
    watcher = Watcher(horizon=2000)
    for step, loss in enumerate(power_run(500), 1):
        watcher.update(step, train_loss=loss, lr=3e-4 if step == 1 else None)
        assert step < 490 or math.isfinite(float(watcher.forecast().median))


def test_whatever_a_loop_has_at_hand_is_a_number() -> None:
    import torch

    plain, odd = Watcher(horizon=1000), Watcher(horizon=1000)
    for step, loss in enumerate(power_run(200), 1):
        tensor = torch.tensor(loss, dtype=torch.float64, requires_grad=True)
        plain.update(step, train_loss=loss)
        odd.update(step, train_loss=(tensor, np.array([loss]), np.float64(loss))[step % 3])  # type: ignore[arg-type]
    assert plain.state_dict() == odd.state_dict()
    for strange in (None, "x", object(), np.zeros(3), 10**400):
        odd.update(201, val_loss={"a": strange})  # type: ignore[dict-item]
    odd.update(10**400, train_loss=1.0)
    assert odd.step == 201


@pytest.mark.parametrize("error", [AttributeError, ZeroDivisionError, AssertionError, MemoryError, LookupError])
@pytest.mark.parametrize("method", ["__float__", "item"])
def test_what_fails_to_become_a_number_ends_no_run(method: str, error: type[Exception]) -> None:
    def fails(_: object) -> float:
        raise error("not here")

    strange = type("Strange", (), {method: fails})()
    watcher = Watcher(horizon=1000)
    for step, loss in enumerate(power_run(100), 1):
        watcher.update(step, train_loss=loss, lr=strange, tokens=strange, seconds=strange, critical_batch=strange)
    watcher.update(strange, train_loss=1.0)
    verdict = watcher.update(101, train_loss=strange, val_loss={"a": strange})
    assert (watcher.step, verdict.reason) == (101, Reason.ON_TRACK)


@pytest.mark.parametrize("step", ["soon", None, float("nan"), [1, 2], {}])
def test_a_step_that_is_no_number_is_left_out(step: Any) -> None:
    watcher = Watcher(horizon=100)
    assert watcher.update(step, train_loss=2.0) == watcher.verdict
    assert watcher.step == 0


def test_a_step_far_ahead_is_held_for_a_mistake_until_it_goes_on() -> None:
    watcher, clean = Watcher(horizon=2000), Watcher(horizon=2000)
    for step, loss in enumerate(power_run(1000), 1):
        if step == 500:
            watcher.update(10**12, train_loss=loss, val_loss=loss)
        watcher.update(step, train_loss=loss)
        clean.update(step, train_loss=loss)
    assert watcher.step == 1000
    assert watcher.forecast().median == clean.forecast().median
    late = Watcher()
    for step in range(3_000_000, 3_000_100):  # a resumed run begins where it is
        late.update(step, train_loss=2.0)
    assert late.step == 3_000_099


def test_no_number_that_is_told_is_too_large_for_a_verdict() -> None:
    watcher = Watcher(horizon=200, num_params=1e6, batch_tokens=1e4)
    with warnings.catch_warnings(action="error"):
        for step in range(1, 101):
            lr = 1e-320 * min(step, 50)
            verdict = watcher.update(step, 2.0 + 3.0 * step**-0.5, lr=lr, seconds=4e306 * step, critical_batch=1e308)
    assert not any(math.isnan(value) for value in verdict.details.values())
    choices = watcher.choices()
    assert choices
    assert all(choice.seconds is None or math.isfinite(choice.seconds) for choice in choices)


def test_a_validation_at_the_first_step_alone_does_not_hold_the_forecast_up() -> None:
    watcher = Watcher(horizon=4000)
    watcher.update(1, train_loss=11.0, val_loss=11.0)
    for step in range(2, 401):
        watcher.update(step, train_loss=3.0 + 8.0 * step**-0.5)
    ahead, train = watcher.forecast(), watcher.forecast(of="train")
    assert ahead.of == "val"
    assert float(ahead.median) == pytest.approx(float(train.median), rel=0.2)
    assert 3.0 + 8.0 * 4000**-0.5 in ahead.interval(0.9)
    assert float(ahead.std) > float(train.std)  # nothing tells of the gap between both


@pytest.mark.parametrize("astray", [9, 20])
def test_a_single_validation_gone_astray_moves_no_forecast(astray: int) -> None:
    def watched(validation: float | None) -> Watcher:
        watcher = Watcher(schedule=Schedule.cosine(4000))
        for step in range(10, 2001, 10):
            loss, is_astray = 2.0 + 3.0 * step**-0.5, step == 100 * astray
            checked = None if step % 100 else validation if is_astray else loss + 0.02
            watcher.update(step, train_loss=loss + 0.01 * math.sin(step), val_loss=checked)
        return watcher

    without = watched(None)
    for validation in (10.0, 2.5) if astray == 20 else (10.0, 2.5, 0.5):  # the newest may have found a way down
        watcher = watched(validation)
        assert watcher.verdict.reason is without.verdict.reason
        assert abs(float(watcher.forecast().median) - float(without.forecast().median)) < 0.01


def test_a_validation_that_leaps_counts_once_the_next_one_is_as_high() -> None:
    watcher = Watcher(schedule=Schedule.cosine(4000))
    medians: list[float] = []
    for step in range(10, 2201, 10):
        loss = 2.0 + 3.0 * step**-0.5
        checked = None if step % 100 else 3.0 if step > 2000 else loss + 0.02
        watcher.update(step, train_loss=loss + 0.01 * math.sin(step), val_loss=checked)
        if step in (2000, 2100, 2200):
            medians.append(float(watcher.forecast().median))
    assert abs(medians[1] - medians[0]) < 0.01
    assert medians[2] > medians[0] + 0.3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("step", {"step": [1, 2, 3]}),
        ("train_loss", {"train_loss": np.ones(3)}),
        ("train_loss", {"train_loss": "loss"}),
        ("val_loss", {"val_loss": [2.0, 3.0]}),
    ],
)
def test_who_passes_no_number_is_warned_once(name: str, told: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    watcher = Watcher(horizon=1000)
    for step in range(1, 4):
        watcher.update(**{"step": step, **told})
    (warned,) = caplog.messages
    assert warned.startswith(f"curvecast: `{name}` must be one number a call: got ")


@pytest.mark.parametrize("loss", [math.nan, np.float32(math.inf), np.array([2.0]), "2.5", 3])
def test_what_a_number_can_be_made_of_is_no_reason_to_warn(loss: Any, caplog: pytest.LogCaptureFixture) -> None:
    watcher = Watcher(horizon=1000)
    for step in range(1, 4):
        watcher.update(step, train_loss=loss, val_loss=loss)
    assert caplog.messages == []
