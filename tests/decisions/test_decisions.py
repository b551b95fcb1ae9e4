from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from curvecast import (
    ComputeEfficiency,
    Decision,
    Divergence,
    Kaplan,
    Never,
    Overfitting,
    Plateau,
    Reason,
    Schedule,
    TargetOutOfReach,
    Verdict,
    Watcher,
)
from tests.conftest import power_run

Curve = Callable[[int], float]


def falling(step: int) -> float:
    return 2.0 + 3.0 * math.exp(-0.4 * math.log(step))


def settled(step: int) -> float:
    return 2.0 + 3.0 * math.exp(-1.5 * math.log(step))


def memorising(step: int) -> float:
    """A validation loss that turns up at step 300."""
    return 2.0 + 3.0 / math.sqrt(step) + 0.4 * max(0.0, math.log2(step / 300))


def watch(curve: Curve, steps: int, watcher: Watcher, *, val: bool = False, noise: float = 0.01) -> list[Verdict]:
    rng = np.random.default_rng(0)
    verdicts = []
    for step in range(1, steps + 1):
        verdicts.append(watcher.update(step, train_loss=falling(step) + noise * float(rng.standard_normal())))
        if val and step % 25 == 0:
            verdicts.append(watcher.update(step, val_loss=curve(step) + 0.2 * noise * float(rng.standard_normal())))
    return verdicts


def reasons(verdicts: list[Verdict]) -> set[str]:
    return {str(verdict.reason) for verdict in verdicts}


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (falling, "on_track"),
        (lambda step: falling(step) + 0.3, "on_track"),  # a gap alone is no overfitting
        (lambda step: 1.1 * falling(step), "on_track"),
        (memorising, "overfitting"),
    ],
    ids=["same", "gap", "factor", "memorising"],
)
def test_overfitting_is_said_of_losses_that_turn_up(curve: Curve, expected: str) -> None:
    watcher = Watcher(horizon=3000, decisions=[Overfitting()])
    verdicts = watch(curve, 1500, watcher, val=True)
    assert watcher.verdict.reason == expected
    if expected == "on_track":
        assert "overfitting" not in reasons(verdicts)


def test_overfitting_names_the_best_step_and_what_is_saved() -> None:
    watcher = Watcher(horizon=3000, decisions=[Overfitting()], num_params=1e6, batch_tokens=1000)
    first = next(v for v in watch(memorising, 3000, watcher, val=True) if v.reason is Reason.OVERFITTING)
    assert first.should_stop
    assert 200 <= first.details["best_step"] <= first.step < 900
    assert first.details["best_loss"] == pytest.approx(memorising(int(first.details["best_step"])), abs=0.02)
    assert first.details["steps_saved"] == 3000 - first.step
    assert first.details["flops_saved"] == 6e9 * (3000 - first.step)
    assert "the best validation loss" in first.message


def test_validation_alone_shows_overfitting() -> None:
    watcher = Watcher(horizon=3000, decisions=[Overfitting()])
    rng = np.random.default_rng(1)
    for step in range(25, 1501, 25):
        watcher.update(step, val_loss=memorising(step) + 0.002 * float(rng.standard_normal()))
    assert watcher.verdict.reason is Reason.OVERFITTING


@pytest.mark.parametrize("horizon", [None, 3000])
def test_a_finished_run_that_overfitted_says_so(horizon: int | None) -> None:
    """Twenty validations, the plan done or unknown: the reason stands, with nothing left to save."""
    watcher = Watcher(horizon=horizon)
    rng = np.random.default_rng(5)
    for step in range(1, 3001):
        watcher.update(step, train_loss=falling(step) + 0.01 * float(rng.standard_normal()))
        if step % 150 == 0:
            watcher.update(step, val_loss=memorising(step) + 0.002 * float(rng.standard_normal()))
    assert watcher.verdict.reason is Reason.OVERFITTING
    assert "steps_saved" not in watcher.verdict.details


def test_a_verdict_offers_the_cooldown() -> None:
    watcher = Watcher(schedule=Schedule.constant(4000), decisions=[TargetOutOfReach(1.0)])
    for step, loss in enumerate(power_run(2000), 1):
        watcher.update(step, train_loss=loss)
    details = watcher.verdict.details
    assert details["cooldown_loss"] < float(watcher.forecast(at=watcher.verdict.step).median)
    assert f"cool down over {details['cooldown_steps']:.0f} steps from here" in watcher.verdict.message


def test_compute_efficiency_compares_the_two_terms() -> None:
    """Past the point exactly where the S-term, ``(s/50)^-0.5``, is below a tenth of the N-term, 2."""
    passed_at = 50.0 * (1.0 / 0.2) ** 2
    watcher = Watcher(horizon=4000, num_params=1e6, decisions=[ComputeEfficiency()])
    rng = np.random.default_rng(2)
    first = None
    for step in range(1, 4001):
        loss = 2.0 + (step / 50.0) ** -0.5 + 0.005 * float(rng.standard_normal())
        verdict = watcher.update(step, train_loss=loss)
        if first is None and verdict.reason is Reason.COMPUTE_EFFICIENT_POINT_PASSED:
            first = verdict
    assert first is not None
    assert first.step > passed_at
    details = watcher.verdict.details
    assert details["efficient_step_lower"] < passed_at < details["efficient_step_upper"]
    assert "10% above what this model converges to" in first.message


def test_compute_excess_is_one_at_the_point_and_grows_past_it() -> None:
    law = Kaplan()
    excess = [float(law.compute_excess(2.0, 2.0 * share)) for share in (0.1, 0.05, 0.02)]
    assert excess[0] == pytest.approx(1.0)
    assert excess[0] < excess[1] < excess[2]


def test_without_a_size_there_is_no_compute_verdict() -> None:
    watcher = Watcher(horizon=2000)
    watch(settled, 1000, watcher)
    assert "efficient_step_median" not in watcher.verdict.details


@pytest.mark.parametrize(("curve", "expected"), [(falling, "on_track"), (settled, "plateau")])
def test_plateau_is_said_where_nothing_is_left_to_gain(curve: Curve, expected: str) -> None:
    watcher = Watcher(schedule=Schedule.constant(2000), decisions=[Plateau(min_gain=0.01)])
    rng = np.random.default_rng(3)
    for step in range(1, 1001):
        watcher.update(step, train_loss=curve(step) + 0.003 * float(rng.standard_normal()))
    assert watcher.verdict.reason == expected


def test_no_plateau_before_the_decay() -> None:
    """The loss is flat, but the decay is still to come."""
    watcher = Watcher(schedule=Schedule.wsd(2000, decay=0.4), decisions=[Plateau(min_gain=0.01)])
    rng = np.random.default_rng(3)
    for step in range(1, 1001):
        watcher.update(step, train_loss=2.0 + 2.0 * step**-0.6 + 0.003 * float(rng.standard_normal()))
    assert watcher.verdict.reason is Reason.ON_TRACK


@pytest.mark.parametrize(("target", "expected"), [(2.3, "on_track"), (1.9, "target_out_of_reach")])
def test_a_target_is_held_against_the_forecast(target: float, expected: str) -> None:
    watcher = Watcher(horizon=2000, decisions=[TargetOutOfReach(target)])
    for step, loss in enumerate(power_run(1000), 1):
        watcher.update(step, train_loss=loss)
    assert watcher.verdict.reason == expected


@pytest.mark.parametrize(("spike", "expected"), [(0, "on_track"), (5, "on_track"), (12, "on_track"), (400, "diverged")])
def test_a_spike_that_comes_back_is_no_divergence(spike: int, expected: str) -> None:
    watcher = Watcher(horizon=2000)
    seen = set()
    for step, loss in enumerate(power_run(1400), 1):
        high = 1000 <= step < 1000 + spike
        seen.add(str(watcher.update(step, train_loss=loss + 3.0 * high).reason))
    assert ("diverged" in seen) == (expected == "diverged")
    if spike == 5:
        assert 2.0 + 3.0 * 2000**-0.4 in watcher.forecast().interval(0.95)  # and leaves no mark on the fit


def test_a_run_that_comes_back_after_all_is_no_longer_diverged() -> None:
    watcher = Watcher(horizon=4000)
    for step, loss in enumerate(power_run(2500), 1):
        watcher.update(step, train_loss=loss + 3.0 * (1000 <= step < 1200))
    assert watcher.verdict.reason is not Reason.DIVERGED


def test_divergence_can_be_left_out() -> None:
    watcher = Watcher(horizon=2000, decisions=[Never()])
    for step, loss in enumerate(power_run(1400), 1):
        watcher.update(step, train_loss=loss + 3.0 * (step >= 1000))
    assert watcher.verdict.reason is Reason.ON_TRACK


def test_precedence_is_the_order_of_the_list() -> None:
    both: list[Decision] = [TargetOutOfReach(0.5), Plateau(min_gain=10.0)]
    for decisions in (both, both[::-1]):
        watcher = Watcher(horizon=2000, decisions=decisions)
        for step, loss in enumerate(power_run(1000), 1):
            watcher.update(step, train_loss=loss)
        first = "target_out_of_reach" if decisions[0] is both[0] else "plateau"
        assert watcher.verdict.reason == first


def test_early_phases_make_no_verdict() -> None:
    """A first level that is left by a sudden drop looks like an end, and is none."""
    watcher = Watcher(horizon=5000, num_params=1e5)
    rng = np.random.default_rng(4)
    said = set()
    for step in range(1, 450):
        loss = 3.3 + 2.2 * math.exp(-step / 15) - 1.2 / (1 + math.exp(-(step - 300) / 20))
        said.add(str(watcher.update(step, train_loss=loss + 0.02 * float(rng.standard_normal())).reason))
    assert said <= {"not_enough_data", "on_track"}


@pytest.mark.parametrize("rule", [ComputeEfficiency, Overfitting, Plateau, lambda level: TargetOutOfReach(1.0, level)])
@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_is_a_probability(rule: Callable[..., object], level: float) -> None:
    with pytest.raises(ValueError, match=r"`level` must lie inside \(0, 1\): got"):
        rule(level=level)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="`min_gain` must be positive: got -1"):
        Plateau(min_gain=-1)
    with pytest.raises(ValueError, match="`target` must be a finite loss: got nan"):
        TargetOutOfReach(math.nan)
    with pytest.raises(ValueError, match="`patience` and `samples` must be at least 1: got 0 and 8"):
        Divergence(patience=0)
