from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import curvecast
from curvecast import (
    ComputeEfficiency,
    Decision,
    Divergence,
    FamilyLaw,
    Finding,
    GeneralizationLoss,
    Kaplan,
    Never,
    NoImprovement,
    Overfitting,
    Patience,
    Plateau,
    Reason,
    Schedule,
    SuccessiveRises,
    TargetOutOfReach,
    Verdict,
    View,
    Watcher,
)
from curvecast.decisions.saying import said
from curvecast.laws.kaplan_overfitting import first_stop_step, overfitting, tokens_needed
from curvecast.laws.repeated import effective_tokens
from tests.conftest import power_run

Curve = Callable[[int], float]
SMALL_RUNS = Path(__file__).parents[2] / "benchmarks" / "small_runs"


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


class Wavering:
    """A probability that goes up and down about the level."""

    def __init__(self, *probabilities: float, level: float = 0.95) -> None:
        self.probabilities, self.level, self.asked = probabilities, level, 0

    def decide(self, view: View) -> Finding:
        probability = self.probabilities[min(self.asked, len(self.probabilities) - 1)]
        self.asked += 1
        return Finding(Reason.PLATEAU, probability, view.holds(Reason.PLATEAU, probability, self.level))


@pytest.mark.parametrize(
    ("probabilities", "stops"),
    [
        ((0.94, 0.96, 0.94, 0.9, 0.84, 0.96), (False, True, True, True, True, True)),  # down to 0.83 it stands
        ((0.96, 0.82, 0.9, 0.94), (True, False, False, False)),  # once fallen, it takes the level again
        ((0.9, 0.94, 0.9), (False, False, False)),
    ],
)
def test_a_verdict_does_not_flicker(probabilities: tuple[float, ...], stops: tuple[bool, ...]) -> None:
    rule = Wavering(*probabilities)
    watcher = Watcher(decisions=[rule])
    said: list[bool] = []
    for step, loss in enumerate(power_run(400), 1):
        before = rule.asked
        verdict = watcher.update(step, train_loss=loss)
        if rule.asked > before:
            said.append(verdict.should_stop)
    assert tuple(said[: len(stops)]) == stops


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


def test_what_is_held_is_held_after_a_resume_too() -> None:
    first, second = (Watcher(decisions=[Wavering(0.96, 0.9)]) for _ in range(2))
    losses = power_run(40)
    for step, loss in enumerate(losses[:12], 1):
        first.update(step, train_loss=loss)
    assert first.verdict.should_stop
    second.decisions[0].asked = 1  # type: ignore[attr-defined]
    second.load_state_dict(first.state_dict())
    for step, loss in enumerate(losses[12:], 13):
        assert second.update(step, train_loss=loss).should_stop


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


def test_a_target_that_is_reached_says_so() -> None:
    watcher = Watcher(horizon=2000, decisions=[TargetOutOfReach(4.0)])
    for step, loss in enumerate(power_run(1000), 1):
        watcher.update(step, train_loss=loss)
    assert watcher.verdict.reason is Reason.ON_TRACK
    assert "The target 4 is reached" in watcher.verdict.message


@pytest.mark.parametrize(
    ("settings", "decision", "needed"),
    [
        ({}, ComputeEfficiency(), "needs `num_params`"),
        ({"num_params": 1e6}, ComputeEfficiency(inference_tokens=1e9), "with inference needs `batch_tokens`"),
    ],
)
def test_a_compute_verdict_says_what_it_needs(
    settings: dict[str, float], decision: ComputeEfficiency, needed: str
) -> None:
    watcher = Watcher(horizon=2000, decisions=[decision], **settings)  # type: ignore[arg-type]
    watch(falling, 500, watcher)
    assert needed in watcher.verdict.message


def test_inference_moves_the_compute_verdict_later() -> None:
    steps = []
    for tokens in (0.0, 1e8):
        decision = ComputeEfficiency(inference_tokens=tokens)
        watcher = Watcher(horizon=4000, num_params=1e6, batch_tokens=1e4, decisions=[decision])
        for step in range(1, 3001):
            watcher.update(step, train_loss=2.0 + (step / 50.0) ** -0.5)
        steps.append(watcher.verdict.details["efficient_step_median"])
    assert steps[0] < steps[1]


@pytest.mark.parametrize("steps", [1000, 2000, 4000])
def test_a_curve_off_the_grid_is_covered(steps: int) -> None:
    """A small positive offset is in no shape of the prior; the interval says so. Truth: 0.76 * 4 x = 0.076 * 2."""
    truth = 20.0 * ((0.05) ** (-1 / 0.76) - 1.0)
    watcher = Watcher(horizon=2 * steps, num_params=1e6, decisions=[ComputeEfficiency()])
    rng = np.random.default_rng(0)
    for step in range(1, steps + 1):
        watcher.update(step, train_loss=2.0 + 4.0 * (1.0 + step / 20.0) ** -0.76 + 0.005 * float(rng.standard_normal()))
    details = watcher.verdict.details
    assert details["efficient_step_lower"] < truth < details["efficient_step_upper"]


def test_a_law_that_joins_size_and_data_names_its_own_step() -> None:
    """``alpha_N u = alpha_S v`` of the sum before its power: not where the exponents alone would put it."""
    law = FamilyLaw(alpha_N=0.15, alpha_S=0.25, irreducible_loss=1.4, kappa=0.35)
    truth = 1000.0 * (0.15 / 0.25) ** (-0.35 / 0.25)
    found = {}
    for kappa in (0.35, 1.0):
        asked = FamilyLaw(law.alpha_N, law.alpha_S, law.irreducible_loss, kappa=kappa)
        watcher = Watcher(horizon=64_000, num_params=1e8, law=asked, decisions=[ComputeEfficiency()])
        # Long enough to see the curve's bend, from an exponent of 0.25 to one of 0.7: large networks' hardly bend.
        for step in range(40, 32_001, 40):
            watcher.update(step, train_loss=1.4 + (1.0 + (step / 1000.0) ** (-0.25 / 0.35)) ** 0.35)
        found[kappa] = watcher.verdict.details
    joined, added = found[0.35], found[1.0]
    assert joined["efficient_step_lower"] < truth < joined["efficient_step_upper"]
    assert 0.4 < joined["efficient_step_median"] / truth < 2.5
    assert added["efficient_step_upper"] < truth


def test_the_model_that_compute_should_have_bought() -> None:
    """Of the law itself: twice past the point, a larger model, and a lower loss than this one's."""
    watcher = Watcher(horizon=8000, num_params=1e6, batch_tokens=1e4, decisions=[ComputeEfficiency()])
    for step in range(1, 6001):
        loss = 2.0 + 0.2 * (step / 1000.0) ** -0.76
        watcher.update(step, train_loss=loss)
    verdict = watcher.verdict
    details = verdict.details
    assert verdict.reason is Reason.COMPUTE_EFFICIENT_POINT_PASSED
    assert details["best_params"] > details["best_params_for_loss"] > 1e6
    assert details["compute_excess"] > 1.0
    assert details["best_loss_for_compute"] < 2.0 + 0.2 * (verdict.step / 1000.0) ** -0.76
    assert details["efficient_min_step"] < details["efficient_step_median"]
    assert f"{details['best_params']:.2g} parameters reach" in verdict.message


def test_data_smaller_than_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`dataset_tokens` must be at least `batch_tokens`: got 1e\+03 and 1e\+04"):
        Watcher(batch_tokens=1e4, dataset_tokens=1e3)
    with pytest.raises(ValueError, match="`inference_tokens` must not be negative: got -1"):
        ComputeEfficiency(inference_tokens=-1)


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
    for share in (-1.0, 5.0, math.nan):
        with pytest.raises(ValueError, match=f"`persistence` must be a share below 1: got {share}"):
            Divergence(persistence=share)
    with pytest.raises(ValueError, match="`min_points` must be at least 3: got nan"):
        Overfitting(min_points=math.nan)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`min_gain` must be positive: got inf"):
        Plateau(min_gain=math.inf)
    with pytest.raises(ValueError, match="`worth` must be positive: got nan"):
        NoImprovement(worth=math.nan)
    with pytest.raises(ValueError, match="one Divergence at most"):
        Watcher(decisions=[Divergence(), Divergence(patience=2)])
    with pytest.raises(TypeError, match="`decisions` must be a list: got 5"):
        Watcher(decisions=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`of` must be a decision or None"):
        Patience(3, of=Overfitting)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        lambda: Overfitting("x"),  # type: ignore[arg-type]
        lambda: Overfitting(min_rise=True),
        lambda: Patience("a"),  # type: ignore[arg-type]
        lambda: Plateau(min_gain="b"),  # type: ignore[arg-type]
        lambda: GeneralizationLoss(None),  # type: ignore[arg-type]
        lambda: SuccessiveRises("c"),  # type: ignore[arg-type]
        lambda: Divergence(patience="d"),  # type: ignore[arg-type]
        lambda: TargetOutOfReach("e"),  # type: ignore[arg-type]
        lambda: ComputeEfficiency(inference_tokens="f"),  # type: ignore[arg-type]
    ],
)
def test_a_setting_that_is_no_number_is_refused_in_words(made: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"`\w+` must be a number: got .* Pass one, or leave it out"):
        made()


def test_a_plan_without_a_decay_is_judged_by_a_cooldown() -> None:
    """A cooldown from here brings a part of a full decay, and so takes less off the converged loss."""
    shares = []
    for plan in (Schedule.constant(4000), Schedule.linear(4000)):
        watcher = Watcher(schedule=plan, num_params=1e6, decisions=[ComputeEfficiency()])
        for step in range(1, 2001):
            watcher.update(step, train_loss=2.0 + (step / 50) ** -0.5)
        decayed = watcher.judge.view().decayed
        assert decayed is not None
        shares.append(float(decayed.max()))
    assert 0.2 < shares[0] < shares[1] <= 1.05  # the unit is a decay over a fifth; so long a one may bring more


@pytest.mark.parametrize("metric", [lambda step: 0.9 - 0.8 * step**-0.3, lambda step: 3.3 + 0.01 * step**-0.5])
def test_what_has_not_fallen_has_no_compute_verdict(metric: Curve) -> None:
    """An accuracy, and a network that does not learn: the prior alone would name a step, and a size without end."""
    watcher = Watcher(horizon=2000, num_params=1e6, decisions=[ComputeEfficiency()])
    rng = np.random.default_rng(0)
    said = {watcher.update(s, train_loss=metric(s) + 0.01 * rng.standard_normal()).reason for s in range(1, 1001)}
    assert said == {Reason.NOT_ENOUGH_DATA, Reason.ON_TRACK}
    assert "A verdict on compute needs a loss that has fallen by 5%." in watcher.verdict.message


@pytest.mark.parametrize(("rises", "hinted"), [(True, True), (False, False)])
def test_an_accuracy_that_is_watched_as_a_loss_is_called_one(rises: bool, hinted: bool) -> None:
    watcher = Watcher(horizon=4000)
    for step in range(1, 1001):
        loss = 0.9 - 0.8 * step**-0.3 if rises else 2.0 + 3.0 * step**-0.5 + 5.0 * (step > 900)
        watcher.update(step, train_loss=loss)
    assert watcher.verdict.reason is Reason.DIVERGED
    assert ("more is better, such as accuracy, is no loss" in watcher.verdict.message) is hinted


def test_where_data_are_learnt_by_heart_it_is_not_the_size_that_is_short() -> None:
    """A validation loss that stands still before it rises looks like one that has converged."""
    said = []
    for rise in (0.0, 0.2):
        watcher = Watcher(horizon=3000, num_params=1e6, decisions=[ComputeEfficiency()])
        rng = np.random.default_rng(0)
        for step in range(1, 1501):
            loss = 2.0 + (step / 20) ** -0.8
            watcher.update(step, train_loss=loss + 0.01 * rng.standard_normal())
            if step % 25 == 0:
                watcher.update(step, val_loss=loss + rise * max(0.0, math.log2(step / 400)))
        said.append(str(watcher.verdict.reason))
    assert said == ["compute_efficient_point_passed", "on_track"]


@pytest.mark.parametrize(("probability", "near"), [(0.9, True), (0.2, False)])
def test_a_run_on_track_is_told_which_stop_is_near(probability: float, near: bool) -> None:
    """Its own probability is low then, and would puzzle without that."""

    class Hesitant:
        def decide(self, view: View) -> Finding:
            return Finding(Reason.PLATEAU, probability, fires=False)

    watcher = Watcher(horizon=4000, decisions=[Hesitant()])
    for step in range(1, 1001):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.8)
    assert watcher.verdict.reason is Reason.ON_TRACK
    assert ("Likeliest reason to stop: plateau, probability 0.90." in watcher.verdict.message) is near


@pytest.mark.parametrize(("sum_of_weights", "said_as"), [(1.0 + 3e-16, 1.0), (-3e-16, 0.0)])
def test_a_rounding_beyond_certainty_is_not_said(sum_of_weights: float, said_as: float) -> None:
    assert said(Finding(Reason.PLATEAU, sum_of_weights, True), 5, None).probability == said_as


def test_a_step_beyond_all_that_was_looked_at_is_no_infinity_to_people() -> None:
    """A verdict of the usual level stands down to 0.83, and may then have such an upper end."""
    watcher = Watcher(horizon=3000, num_params=1e6, decisions=[ComputeEfficiency(level=0.5)])
    for step in range(1, 1501):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.4)
        if watcher.verdict.should_stop:
            break
    assert watcher.verdict.details["efficient_step_upper"] == math.inf
    assert f", >{100 * watcher.step}], where" in watcher.verdict.message


def test_a_law_below_zero_has_a_verdict_all_the_same() -> None:
    """Losses that end at 0 above an irreducible loss of -3: no share of what they converge to can be named."""
    watcher = Watcher(num_params=1e6, law=FamilyLaw(1.06, 30.9, -3.0), decisions=[ComputeEfficiency()])
    for step in range(1, 201):
        watcher.update(step, train_loss=1.0 if step < 3 else 0.0)
    assert watcher.verdict.reason is Reason.COMPUTE_EFFICIENT_POINT_PASSED


def test_decisions_after_the_one_that_speaks_are_not_asked() -> None:
    """They have no say; before it speaks, each is asked every time."""

    class Listens:
        asked: list[int]

        def __init__(self) -> None:
            self.asked = []

        def decide(self, view: View) -> Finding | None:
            self.asked.append(view.step)
            return None

    before, after = Listens(), Listens()
    watcher = Watcher(horizon=3000, decisions=[before, Overfitting(), after])
    stops = {verdict.step for verdict in watch(memorising, 1500, watcher, val=True) if verdict.should_stop}
    assert 0 < len(stops) < len(before.asked)
    assert after.asked == [step for step in before.asked if step not in stops]
