from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import curvecast
from curvecast import (
    Overfitting,
    Reason,
    Schedule,
    Watcher,
)
from curvecast.laws.kaplan_overfitting import first_stop_step, overfitting, tokens_needed
from curvecast.laws.repeated import effective_tokens
from tests.decisions.curves import Curve, falling, memorising, reasons, watch

SMALL_RUNS = Path(__file__).parents[2] / "benchmarks" / "small_runs"


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


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_turned_and_stands_above_its_best_is_told_so_once(seed: int) -> None:
    """As under ``ReduceLROnPlateau``: the rate falls to nothing, and validation stands still 9 % above its lowest."""
    rng = np.random.default_rng(seed)
    watcher = Watcher(horizon=3000)
    rate, stood = 0.05, []
    for step in range(1, 3001):
        rate *= 0.3 if step in (250, 310, 370, 430, 490) else 1.0
        train = (0.18 + 0.5 * math.exp(-step / 150)) * (1.0 + 0.3 * float(rng.standard_normal()))
        verdict = watcher.update(step, train_loss=train, lr=rate)
        if step % 10 == 0:
            rise = 0.09 * (1.0 - math.exp(-max(step - 200, 0) / 120))
            noise = 0.004 * min(rate / 0.01, 1.0)
            val = 0.4 * (1.0 + rise) + 1.2 * math.exp(-step / 35)
            verdict = watcher.update(step, val_loss=val * (1.0 + noise * float(rng.standard_normal())))
        if step >= 700:
            stood.append(verdict.reason)
    assert set(stood) == {Reason.OVERFITTING}


@pytest.mark.parametrize("plan", [Schedule.cosine(1500, warmup=37, floor=0.1), None], ids=["planned", "seen"])
def test_a_leap_of_validation_does_not_take_overfitting_back(plan: Schedule | None) -> None:
    """By law the train loss would then rise, and validation fall at the rate at which it rose while train fell."""
    (run,) = curvecast.read(SMALL_RUNS / "digits-mlp-w128-few-cosine.csv")
    said: list[Reason] = []
    curvecast.watch(run, horizon=1500, schedule=plan, on_verdict=lambda verdict: said.append(verdict.reason))
    first = said.index(Reason.OVERFITTING)
    assert len(said) > first + 40
    assert set(said[first:]) == {Reason.OVERFITTING}


def test_a_train_loss_learnt_by_heart_has_nothing_left_to_trade() -> None:
    """Validation leapt by a thousand times what train stands at: by law a decay would take train far below zero."""
    (run,) = curvecast.read(SMALL_RUNS / "digits-mlp-w128-few-constant.csv")
    watcher = Watcher(horizon=1500)
    for step, train, val, lr in zip(run.steps.tolist(), run.train_loss, run.val_loss, run.lr, strict=True):
        if step <= 750:
            train_loss, val_loss = (None if math.isnan(loss) else float(loss) for loss in (train, val))
            watcher.update(step, train_loss=train_loss, val_loss=val_loss, lr=float(lr))
    assert watcher.judge.view().behind > 0.99
    assert float(watcher.forecast().median) < 5.0  # it ends at 2.3


def test_a_few_high_losses_at_the_edge_of_a_bin_are_no_rise_of_train() -> None:
    rng = np.random.default_rng(11)
    watcher = Watcher(horizon=3000)

    def show(step: int, above: float) -> None:
        law = 0.2 + 3.0 / math.sqrt(step)
        rise = 0.2 * max(0.0, math.log2(step / 200))
        val = {"val_loss": law + rise + 0.002 * float(rng.standard_normal())} if step % 10 == 0 else {}
        watcher.update(step, train_loss=law + above, **val)

    step = 0
    while step < 1500 or watcher.seen.train.bins().count[-1] > 1.0:
        step += 1
        show(step, 0.1 * float(rng.standard_normal()))
    before = watcher.judge.view().behind
    while step % 10 or watcher.seen.train.bins().count[-1] < 3.0:
        step += 1
        show(step, 0.15)
    assert before > 0.99
    assert watcher.judge.view().behind > 0.99


def test_a_decay_to_come_does_not_save_a_run_that_learns_by_heart() -> None:
    """Train falls by the decay as it did before; validation has turned, and is traded at the same rate."""
    plan = Schedule.cosine(4000, floor=0.1)
    watcher = Watcher(schedule=plan, decisions=[Overfitting()])
    rng = np.random.default_rng(6)
    first = None
    for step in range(1, 2001):
        train = 1.0 + 3.0 * step**-0.35
        verdict = watcher.update(step, train_loss=train + 0.01 * float(rng.standard_normal()))
        if step % 100 == 0:
            rise = 0.25 * max(0.0, math.log2(step / 800))
            verdict = watcher.update(step, val_loss=train + rise + 0.004 * float(rng.standard_normal()))
        if first is None and verdict.should_stop:
            first = verdict
    assert first is not None
    assert first.step <= 1500
    assert 600 <= first.details["best_step"] <= 1000


def test_where_both_losses_rise_it_is_no_overfitting() -> None:
    watcher = Watcher(horizon=3000, decisions=[Overfitting()])
    rng = np.random.default_rng(7)
    said = set()
    for step in range(25, 2001, 25):
        loss = 2.0 + 3.0 / math.sqrt(step) + 0.15 * max(0.0, math.log2(step / 500))
        watcher.update(step, train_loss=loss + 0.005 * float(rng.standard_normal()))
        said.add(str(watcher.update(step, val_loss=loss + 0.1 + 0.005 * float(rng.standard_normal())).reason))
    assert "overfitting" not in said


def test_one_validation_gone_astray_is_no_turn() -> None:
    watcher = Watcher(horizon=3000, decisions=[Overfitting()])
    rng = np.random.default_rng(8)
    said = set()
    for step in range(25, 1501, 25):
        train = 2.0 + 3.0 / math.sqrt(step) + 0.003 * float(rng.standard_normal())
        watcher.update(step, train_loss=train)
        said.add(str(watcher.update(step, val_loss=train + 0.05 + 0.3 * (step in (500, 1000))).reason))
    assert "overfitting" not in said


def test_a_rise_that_does_not_count_is_none() -> None:
    """Validation ends 1.5 % above its lowest: no overfitting at 2 %, but at any rise."""
    said = {}
    for least in (0.0, 0.02):
        watcher = Watcher(horizon=2000, decisions=[Overfitting(min_rise=least)])
        for step in range(20, 2001, 20):
            train = 2.0 - 0.2 * math.log10(step / 20)
            watcher.update(step, train_loss=train)
            watcher.update(
                step, val_loss=2.0 - 0.2 * min(math.log10(step / 20), 1.6) + 0.025 * max(0.0, step - 800) / 1200
            )
        said[least] = str(watcher.verdict.reason)
    assert said == {0.0: "overfitting", 0.02: "on_track"}


def test_the_size_of_the_data_is_told() -> None:
    watcher = Watcher(horizon=3000, num_params=1e6, batch_tokens=1000, dataset_tokens=5e5, decisions=[Overfitting()])
    watch(memorising, 1500, watcher, val=True)
    details = watcher.verdict.details
    assert details["overfitting_penalty"] == pytest.approx(float(overfitting(1e6, 5e5)))
    assert details["tokens_needed"] == pytest.approx(float(tokens_needed(1e6)))
    assert details["effective_tokens"] == pytest.approx(float(effective_tokens(1000 * watcher.verdict.step, 5e5)))
    assert details["first_stop_step"] > float(first_stop_step(1e6, 5e5))


def test_before_data_repeats_a_turn_must_be_surer() -> None:
    firsts = []
    for tokens in (1e5, 1e9):
        watcher = Watcher(horizon=3000, batch_tokens=1000, dataset_tokens=tokens, decisions=[Overfitting()])
        verdicts = watch(memorising, 1500, watcher, val=True)
        firsts.append(next(v.step for v in verdicts if v.reason is Reason.OVERFITTING))
    assert firsts[0] <= firsts[1]


@pytest.mark.parametrize(("name", "horizon"), [("ariadne-seg", 12_054), ("microgpt-raza", 1485)])
def test_a_noisy_validation_that_may_yet_be_undercut_is_not_called_past(name: str, horizon: int) -> None:
    """Real logs whose validation is level and noisy: a lower one came later."""
    said: list[str] = []
    log = SMALL_RUNS.parent / "public_logs" / f"{name}.csv"
    curvecast.watch(log, horizon=horizon, decisions=[Overfitting()], on_verdict=lambda v: said.append(str(v.reason)))
    assert len(said) > 5
    assert "overfitting" not in said
