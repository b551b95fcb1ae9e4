from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from curvecast import (
    ComputeEfficiency,
    FamilyLaw,
    Kaplan,
    Reason,
    Run,
    Watcher,
)
from curvecast import watch as watch_log
from curvecast.notation import amount
from tests.decisions.curves import Curve, falling, settled, watch


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


@pytest.mark.parametrize(
    ("settings", "decision", "needed"),
    [
        ({}, ComputeEfficiency(), "needs `num_params`"),
        ({"num_params": 1e6}, ComputeEfficiency(inference_tokens=1e9), "with inference needs `batch_tokens`"),
    ],
)
def test_a_compute_verdict_says_once_what_it_needs(
    settings: dict[str, float], decision: ComputeEfficiency, needed: str
) -> None:
    watcher = Watcher(horizon=2000, decisions=[decision], **settings)  # type: ignore[arg-type]
    said = dict.fromkeys(watcher.update(step, train_loss=falling(step)).message for step in range(1, 501))
    assert [needed in message for message in said] == [False, True, *[False] * (len(said) - 2)]
    assert len(said) > 10


@pytest.mark.parametrize(("steps", "told"), [(41, True), (400, False)])
@pytest.mark.parametrize("plain", [True, False])
def test_what_is_needed_is_said_of_a_log_as_it_is_live(steps: int, told: bool, plain: bool) -> None:
    losses = [falling(step) for step in range(1, steps + 1)]
    if not plain:
        losses[3] = math.nan
    live, none = Watcher(horizon=2000), np.full(steps, np.nan)
    for step, loss in enumerate(losses, 1):
        live.update(step, train_loss=loss)
    run = Run("d12", np.arange(1, steps + 1), np.array(losses), none, none, {})
    replayed = watch_log(run, horizon=2000)
    assert replayed.verdict.message == live.verdict.message
    assert ("needs `num_params`" in replayed.verdict.message) is told


def test_no_size_or_step_hangs_on_the_unit_of_the_loss() -> None:
    """Where the law has no irreducible loss, which is in nats a token."""
    told = []
    for unit in (1.0, 0.1):
        watcher = Watcher(horizon=2000, num_params=1e6)
        for step in range(1, 501):
            watcher.update(step, train_loss=unit * (2.0 + 3.0 * step**-0.5))
        details = watcher.verdict.details
        sizes = [each for name, each in details.items() if "loss" not in name] + [details["best_params_for_loss"]]
        best, other = watcher.resized(), watcher.resized(4e6)
        told.append([*sizes, details["best_loss_for_compute"] / unit, best.size, best.loss / unit, other.loss / unit])
    assert told[0] == pytest.approx(told[1], rel=1e-6)


def test_the_use_of_a_model_makes_the_best_one_smaller() -> None:
    """As far as it is known how many tokens it was trained on."""
    sizes = []
    for tokens in (0.0, 1e11):
        rule = ComputeEfficiency(inference_tokens=tokens)
        watcher = Watcher(horizon=2000, num_params=1e6, batch_tokens=1e4, decisions=[rule])
        for step in range(1, 501):
            watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        sizes.append([watcher.verdict.details[name] for name in ("best_params_for_loss", "best_params")])
    assert sizes[1][0] < 0.5 * sizes[0][0]
    assert sizes[1][1] < 0.8 * sizes[0][1]


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
    assert f"{amount(details['best_params'])} parameters reach" in verdict.message


@pytest.mark.parametrize("metric", [lambda step: 0.9 - 0.8 * step**-0.3, lambda step: 3.3 + 0.01 * step**-0.5])
def test_what_has_not_fallen_has_no_compute_verdict(metric: Curve) -> None:
    """An accuracy, and a network that does not learn: the prior alone would name a step, and a size without end."""
    watcher = Watcher(horizon=2000, num_params=1e6, decisions=[ComputeEfficiency()])
    rng = np.random.default_rng(0)
    said = {watcher.update(s, train_loss=metric(s) + 0.01 * rng.standard_normal()).reason for s in range(1, 1001)}
    assert said == {Reason.NOT_ENOUGH_DATA, Reason.ON_TRACK}
    assert "A verdict on compute needs a loss that has fallen by 5%." in watcher.verdict.message


def test_where_the_terms_cannot_tell_no_size_is_named() -> None:
    """This run will converge below what the law calls irreducible: nothing is left for its size to explain."""
    law = FamilyLaw(alpha_N=0.076, alpha_S=0.76, irreducible_loss=2.05)
    watcher = Watcher(horizon=2000, num_params=1e6, law=law, decisions=[ComputeEfficiency()])
    for step in range(1, 501):
        verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    assert "efficient_step_median" in verdict.details
    assert not {"compute_excess", "best_params_for_loss"} & set(verdict.details)


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


def test_a_step_beyond_all_that_was_looked_at_is_no_infinity_to_people() -> None:
    """A verdict of the usual level stands down to 0.83, and may then have such an upper end."""
    watcher = Watcher(horizon=3000, num_params=1e6, decisions=[ComputeEfficiency(level=0.5)])
    for step in range(1, 1501):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.4)
        if watcher.verdict.should_stop:
            break
    assert watcher.verdict.details["efficient_step_upper"] == math.inf
    assert f", >{100 * watcher.step:,}], where" in watcher.verdict.message


@pytest.mark.parametrize(
    ("told", "is_asked"),
    [
        ({"num_params": 1e5}, False),
        ({"num_params": 1e5, "batch_tokens": 512}, True),
        ({"num_params": 1e5, "law": FamilyLaw(alpha_N=0.3, alpha_S=0.5)}, True),
        ({"num_params": 1.1e5}, True),
    ],
)
def test_kaplans_law_is_not_held_against_a_small_network_of_another_kind(told: dict[str, Any], is_asked: bool) -> None:
    watcher = Watcher(horizon=4000, decisions=[ComputeEfficiency()], **told)
    for step in range(1, 1501):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    assert ("efficient_step_median" in watcher.verdict.details) == is_asked
