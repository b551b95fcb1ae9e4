"""No later validation will be better: said of losses that turn or level off, and of no other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from curvecast import NoImprovement, Schedule, Watcher

Curve = Callable[[int], float]


def level(step: int) -> float:
    return 2.0 + math.exp(-step / 40)


def falling(step: int) -> float:
    return float(1.2 + 2.0 * step**-0.4)


def turned(step: int) -> float:
    return falling(step) + 0.3 * max(0.0, math.log(step / 700))


def watched(curve: Curve, last: int, noise: float = 0.001, schedule: Schedule | None = None) -> Watcher:
    watcher = Watcher(horizon=4000, schedule=schedule, decisions=[NoImprovement(level=0.8)])
    rng = np.random.default_rng(2)
    for step in range(20, last + 1, 20):
        train = falling if curve is turned else curve
        watcher.update(step, train_loss=train(step) - 0.1)
        watcher.update(step, val_loss=curve(step) + noise * float(rng.standard_normal()))
    return watcher


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (turned, "no_improvement"),
        (level, "no_improvement"),
        (falling, "on_track"),
        (lambda step: 1.2 + 0.2 * math.log(4000 / step), "on_track"),
    ],
)
def test_it_is_said_of_losses_that_are_done(curve: Curve, expected: str) -> None:
    assert watched(curve, 3000).verdict.reason == expected


def test_a_better_one_may_come_by_luck_where_validations_are_noisy() -> None:
    view = watched(level, 2400).judge.view()
    gains = []
    for noise in (1e-8, 1e-5, 1e-3):
        found = NoImprovement(doubt=0.0).decide(replace(view, val=replace(view.val, noise=noise)))
        assert found is not None
        gains.append(found.details["gain_of_a_plan"])
    assert gains == sorted(gains)
    assert gains[-1] > 2.0 * gains[0]


def test_a_decay_to_come_may_bring_it() -> None:
    flat = watched(level, 3000, schedule=Schedule.wsd(4000, decay=0.2))
    assert not flat.verdict.should_stop


def test_what_is_worth_less_is_stopped_for_later() -> None:
    """The same gain is enough for who asks for less, and too little for who asks for more."""
    view = watched(level, 3000).judge.view()
    found = [NoImprovement(worth=worth).decide(view) for worth in (0.01, 0.1, 1.0)]
    probabilities = [each.probability for each in found if each is not None]
    assert probabilities == sorted(probabilities)
    assert len(set(probabilities)) == 3


def test_a_mistaken_model_is_doubted_the_less_the_longer_nothing_better_came() -> None:
    gains = []
    for last in (1400, 2000, 3200):
        found = NoImprovement(doubt=0.5).decide(watched(turned, last).judge.view())
        assert found is not None
        gains.append(found.details["gain_of_a_plan"])
    assert gains == sorted(gains, reverse=True)


@pytest.mark.parametrize("last", [1200, 3600])
def test_the_expected_gain_is_that_of_runs_drawn(last: int) -> None:
    """Against draws: levels of the law at the end, and the lowest of as many noisy validations about each."""
    watcher = watched(lambda step: 1.2 + 0.5 * step**-0.2, last, noise=0.004)
    view, rng = watcher.judge.view(), np.random.default_rng(0)
    assert view.best_val is not None
    best, count = view.best_val[1], view.steps_left * view.validations / view.step
    found = NoImprovement(doubt=0.0)._gain(view, best, np.array([float(view.steps_left)]), np.array([count]), 1)
    law = view.by_law(view.end, is_logged=False)
    of = rng.choice(len(law.weight), 20_000, p=law.weight[:, 0])
    ends = law.means[of, 0] + law.stds[of, 0] * rng.standard_normal(20_000)
    lowest = (math.sqrt(view.val.noise) * rng.standard_normal((20_000, round(count)))).min(axis=1)
    drawn = (1.0 - view.turned(0.0)) * np.maximum(best - ends - lowest, 0.0).mean()
    assert float(found[0]) == pytest.approx(drawn, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 1.0}, r"`level` must lie inside \(0, 1\): got 1"),
        ({"min_gain": -0.1}, "`min_gain` must not be negative: got -0.1"),
        ({"worth": 0.0}, "`worth` must be positive: got 0.0"),
        ({"doubt": 1.0}, "`doubt` must not be negative and below 1: got 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoImprovement(**settings)
