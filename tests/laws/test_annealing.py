from __future__ import annotations

import numpy as np
import pytest

from curvecast.laws.annealing import Drops, annealing_gain
from curvecast.laws.multi_power import (
    MULTI_POWER_25M,
    MULTI_POWER_100M,
    MULTI_POWER_400M,
    MultiPower,
    loss_drop,
    multi_power_law,
)
from curvecast.schedule import Schedule

C, BETA, GAMMA = 0.112, 0.6, 0.64


def gain(schedule: Schedule, steps: object, *, C: float = C) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return annealing_gain(schedule, np.asarray(steps, dtype=float), beta=BETA, C=C, gamma=GAMMA)


PLANS = {
    "cosine": Schedule.cosine(24_000, floor=0.1),
    "cosine to zero": Schedule.cosine(24_000),
    "linear": Schedule.linear(24_000),
    "wsd": Schedule.wsd(24_000, decay=0.2),
    "wsd sqrt": Schedule.wsd(24_000, decay=0.2, shape="sqrt"),
    "wsd exponential": Schedule.wsd(24_000, decay=0.2, shape="exponential", floor=0.1),
    "steps": Schedule.from_array(np.repeat([1.0, 0.3, 0.1], 8000)),
    "cycles": Schedule.from_array(np.tile(np.repeat([1.0, 0.3], 3000), 4)),
    "short": Schedule.wsd(100, decay=0.3),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("rate", [0.001, C, 2.0])
def test_gain_on_knots_equals_the_sum_over_steps(name: str, rate: float) -> None:
    plan = PLANS[name]
    lr = plan.lr(np.arange(1, plan.horizon + 1))
    t = np.unique(np.linspace(1, plan.horizon, 60).astype(int))
    exact = loss_drop(lr, t, C=rate, beta=BETA, gamma=GAMMA)
    assert gain(plan, t, C=rate) == pytest.approx(exact, abs=0.01 * np.abs(exact).max())


@pytest.mark.parametrize("name", PLANS)
def test_several_shapes_at_once_are_each_alone(name: str) -> None:
    plan, shapes = PLANS[name], [(0.001, 1.0), (C, 1.0), (C, 0.5)]
    t = np.linspace(1.0, 1.5 * plan.horizon, 77)  # within pieces, at their ends, before the first and past the last
    together = Drops(plan, gamma=GAMMA, shapes=shapes).gain(t, beta=BETA)
    for (rate, power), own in zip(shapes, together, strict=True):
        alone = annealing_gain(plan, t, beta=BETA, C=rate, gamma=GAMMA, power=power)
        assert own == pytest.approx(alone, rel=1e-12, abs=1e-15)


def test_what_was_asked_before_changes_no_gain() -> None:
    plan, ends = PLANS["wsd"], ([5000.0, 24_000.0], [20_000.0, 24_000.0], [24_000.0], [23_000.0], [24_000.0])
    drops = Drops(plan, gamma=GAMMA, shapes=[(C, 1.0), (C, 0.5)])
    for steps in map(np.array, ends):
        fresh = Drops(plan, gamma=GAMMA, shapes=[(C, 1.0), (C, 0.5)]).gain(steps, beta=BETA)
        assert (drops.gain(steps, beta=BETA) == fresh).all()


def test_warmup_adds_nothing() -> None:
    plain, warmed = Schedule.cosine(10_001, floor=0.1), Schedule.cosine(10_500, warmup=500, floor=0.1)
    t = np.arange(1, 10_001, 100)
    assert gain(warmed, [1, 100, 499, 500]).tolist() == [0.0] * 4
    assert gain(warmed, t + 499) == pytest.approx(gain(plain, t), rel=1e-9)


def test_constant_gains_nothing() -> None:
    assert gain(Schedule.constant(1000, warmup=10), [1, 10, 500, 5000]).tolist() == [0.0] * 4
    assert gain(Schedule.constant(1), [1, 2]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["cosine", "cosine to zero", "linear", "wsd", "wsd sqrt", "wsd exponential", "steps"])
def test_gain_of_a_decay_never_falls_and_stays_below_the_drop(name: str) -> None:
    plan = PLANS[name]
    t = np.unique(np.linspace(1, 2 * plan.horizon, 3000).astype(int))
    z = gain(plan, t)
    assert np.all(np.diff(z) >= -1e-4)
    assert np.all((z >= 0) & (z <= 1 - plan.lr(t) + 1e-12))


def test_gain_goes_on_after_a_drop_and_nears_it() -> None:
    drop = Schedule.from_array([1.0] * 100 + [0.5] * 100)
    z = gain(drop, [100, 101, 200, 10**4, 10**9])
    assert np.all(np.diff(z) > 0)
    assert z[0] == 0
    assert z[-1] == pytest.approx(0.5, abs=1e-3)


def test_a_rise_takes_the_gain_back() -> None:
    bump = Schedule.from_array([1.0] * 100 + [0.5] * 1000 + [1.0] * 20_000)
    z = gain(bump, [1100, 21_100])
    assert z[1] < 0.1 * z[0]


def test_stretching_the_run_and_slowing_the_rate_changes_nothing() -> None:
    t = np.linspace(1000, 10_000, 20)
    short, long = Schedule.cosine(10_000, floor=0.1), Schedule.cosine(100_000, floor=0.1)
    assert gain(long, 10 * t, C=C / 10) == pytest.approx(gain(short, t), rel=2e-3)


def test_a_schedule_to_zero_is_finite() -> None:
    assert np.isfinite(gain(Schedule.linear(1000), [1, 999, 1000, 2000])).all()
    assert np.isfinite(gain(Schedule.from_array([1.0, 0.0, 0.0]), [1, 2, 3, 50])).all()


def test_large_requests_are_cut_into_equal_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    t = np.linspace(1, 24_000, 501)
    whole = gain(PLANS["cosine"], t)
    monkeypatch.setattr("curvecast.laws.annealing._CHUNK", 5000)
    assert gain(PLANS["cosine"], t) == pytest.approx(whole)


def test_rates_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"`beta`, `C` and `power` must be positive: got beta=0\.6, C=0\.0"):
        gain(PLANS["cosine"], [1], C=0.0)


@pytest.mark.parametrize(
    ("law", "annealing"), [(MULTI_POWER_25M, 0.11), (MULTI_POWER_100M, 0.13), (MULTI_POWER_400M, 0.16)]
)
def test_published_sets_in_relative_units(law: MultiPower, annealing: float) -> None:
    relative = law.rescaled(3e-4)
    assert pytest.approx(annealing, abs=0.005) == relative.B
    lr = Schedule.cosine(20_000, floor=0.1).lr(np.arange(1, 20_001))
    t = [1, 100, 10_000, 20_000]
    absolute = multi_power_law(law.theta, 3e-4 * lr, t, S_W=0.3)
    assert multi_power_law(relative.theta, lr, t, S_W=0.3 / 3e-4) == pytest.approx(absolute, rel=1e-12)


def test_multi_power_law_is_a_power_law_at_a_constant_rate() -> None:
    law = MULTI_POWER_100M
    t = np.array([10, 1000, 20_000])
    expected = law.L0 + law.A * (3e-4 * t) ** -law.alpha
    assert multi_power_law(law.theta, np.full(20_000, 3e-4), t) == pytest.approx(expected)


def test_loss_drop_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    lr = rng.random(50)
    t = 40
    expected = 0.0
    for k in range(2, t + 1):
        x = lr[k - 1] ** -GAMMA * lr[k - 1 : t].sum()
        expected += (lr[k - 2] - lr[k - 1]) * (1 - (1 + C * x) ** -BETA)
    assert loss_drop(lr, [t], C=C, beta=BETA, gamma=GAMMA) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("lr", "steps", "message"),
    [
        ([1.0, -1.0], [1], "`lr` must be one LR a step, none negative"),
        ([1.0, 1.0], [3], "`steps` must lie between 1 and 2: got 3"),
        ([1.0, 1.0], [0], "`steps` must lie between 1 and 2: got 0"),
    ],
)
def test_bad_input_says_what_got_do(lr: list[float], steps: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multi_power_law(MULTI_POWER_25M.theta, lr, steps)
    with pytest.raises(ValueError, match="`peak` must be positive: got 0"):
        MULTI_POWER_25M.rescaled(0)
