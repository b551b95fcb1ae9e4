"""No later validation will be better: said of losses that turn or level off, and of no other."""

from __future__ import annotations

import math
from collections.abc import Callable

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
    quiet, noisy = (watched(level, 2400, noise).verdict for noise in (0.0005, 0.03))  # 80 are still to come
    assert quiet.should_stop
    assert noisy.probability < quiet.probability


def test_a_decay_to_come_may_bring_it() -> None:
    flat = watched(level, 3000, schedule=Schedule.wsd(4000, decay=0.2))
    assert not flat.verdict.should_stop


def test_it_waits_for_so_many_validations() -> None:
    watcher = watched(turned, 3000)
    view = watcher.judge.view()
    waits = watcher.verdict.details["checks_without_improvement"]
    assert waits > 2
    found = NoImprovement(checks=int(waits) + 1).decide(view)
    assert found is not None
    assert found.probability == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 1.0}, r"`level` must lie inside \(0, 1\): got 1"),
        ({"min_gain": -0.1}, "`min_gain` must not be negative: got -0.1"),
        ({"doubt": 1.0}, "`doubt` must not be negative and below 1: got 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoImprovement(**settings)  # type: ignore[arg-type]
