from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from curvecast import (
    ComputeEfficiency,
    Decision,
    Divergence,
    FamilyLaw,
    Finding,
    GeneralizationLoss,
    Never,
    NoImprovement,
    Overfitting,
    Patience,
    Plateau,
    Reason,
    Schedule,
    SuccessiveRises,
    TargetOutOfReach,
    View,
    Watcher,
)
from curvecast.decisions.saying import judged, said
from tests.conftest import power_run
from tests.decisions.curves import Curve, falling, memorising, settled, watch


def test_a_verdict_offers_the_cooldown() -> None:
    watcher = Watcher(schedule=Schedule.constant(4000), decisions=[TargetOutOfReach(1.0)])
    for step, loss in enumerate(power_run(2000), 1):
        watcher.update(step, train_loss=loss)
    details = watcher.verdict.details
    assert details["cooldown_loss"] < float(watcher.forecast(at=watcher.verdict.step).median)
    assert f"cool down over {details['cooldown_steps']:.0f} steps from here" in watcher.verdict.message


@pytest.mark.parametrize(("curve", "expected"), [(falling, "on_track"), (settled, "plateau")])
def test_plateau_is_said_where_nothing_is_left_to_gain(curve: Curve, expected: str) -> None:
    watcher = Watcher(schedule=Schedule.constant(2000), decisions=[Plateau(min_gain=0.01)])
    rng = np.random.default_rng(3)
    for step in range(1, 1001):
        watcher.update(step, train_loss=curve(step) + 0.003 * float(rng.standard_normal()))
    assert watcher.verdict.reason == expected


def test_a_plateau_names_the_gain_that_is_too_small() -> None:
    """Of a run that falls by 0.00006 from here to its end; what is worth the steps is a thousandth of the loss."""
    watcher = Watcher(schedule=Schedule.constant(2000), decisions=[Plateau(level=0.5)])
    rng = np.random.default_rng(3)
    for step in range(1, 1001):
        watcher.update(step, train_loss=settled(step) + 0.003 * float(rng.standard_normal()))
    verdict = watcher.verdict
    assert verdict.reason is Reason.PLATEAU
    said = re.search(r"gain still to come is (\S+) \[(\S+), (\S+)\], below 0\.002 with probability", verdict.message)
    assert said
    median, lower, upper = map(float, said.groups())
    assert lower < settled(verdict.step) - settled(2000) < upper < 0.01
    assert verdict.details["expected_gain"] == pytest.approx(median, abs=1e-4)


@pytest.mark.parametrize(("min_left", "expected"), [(0.1, "on_track"), (0.0, "plateau")])
def test_near_its_end_no_run_is_told_that_little_is_left_to_gain(min_left: float, expected: str) -> None:
    watcher = Watcher(schedule=Schedule.constant(1000), decisions=[Plateau(min_gain=0.1, min_left=min_left)])
    for step in range(1, 981):
        watcher.update(step, train_loss=settled(step))
    assert watcher.verdict.reason == expected


def test_no_plateau_before_the_decay() -> None:
    """The loss is flat, but the decay is still to come."""
    watcher = Watcher(schedule=Schedule.wsd(2000, decay=0.4), decisions=[Plateau(min_gain=0.01)])
    rng = np.random.default_rng(3)
    for step in range(1, 1001):
        watcher.update(step, train_loss=2.0 + 2.0 * step**-0.6 + 0.003 * float(rng.standard_normal()))
    assert watcher.verdict.reason is Reason.ON_TRACK


@pytest.mark.parametrize(("target", "expected"), [(2.15, "on_track"), (1.9, "target_out_of_reach")])
def test_a_target_is_held_against_the_forecast(target: float, expected: str) -> None:
    """Of a run that stands at 2.19, and ends at 2.143."""
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


def test_a_target_that_is_reached_says_so() -> None:
    watcher = Watcher(horizon=2000, decisions=[TargetOutOfReach(4.0)])
    for step, loss in enumerate(power_run(1000), 1):
        watcher.update(step, train_loss=loss)
    assert watcher.verdict.reason is Reason.ON_TRACK
    assert "The target 4 is reached" in watcher.verdict.message


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


def test_a_run_that_is_over_is_told_of_no_reason_to_stop() -> None:
    watcher = Watcher(horizon=1000)
    for step in range(1, 1001):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.8)
    told = judged(watcher.judge.view(), [Finding(Reason.PLATEAU, 0.9, fires=False)]).message
    assert told.startswith("step 1,000/1,000: finished; ")
    assert "to stop" not in told


@pytest.mark.parametrize(("sum_of_weights", "said_as"), [(1.0 + 3e-16, 1.0), (-3e-16, 0.0)])
def test_a_rounding_beyond_certainty_is_not_said(sum_of_weights: float, said_as: float) -> None:
    assert said(Finding(Reason.PLATEAU, sum_of_weights, True), 5, None).probability == said_as


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
