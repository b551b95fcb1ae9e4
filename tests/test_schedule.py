from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

from curvecast.schedule import DecayShape, Schedule

SHAPES: tuple[DecayShape, ...] = ("linear", "cosine", "sqrt", "exponential")
FLOOR = 0.1


def every_kind(n: int) -> list[Schedule]:
    warmup = n // 10
    return [
        Schedule.cosine(n, warmup=warmup, floor=FLOOR),
        Schedule.linear(n, warmup=warmup, floor=FLOOR),
        *(Schedule.wsd(n, warmup=warmup, decay=0.25, shape=shape, floor=FLOOR) for shape in SHAPES),
    ]


@pytest.mark.parametrize("n", [2, 3, 17, 1000, 10**6])
def test_every_decay_peaks_at_one_and_ends_at_its_floor(n: int) -> None:
    for schedule in every_kind(n):
        steps, lrs = schedule.knots
        assert schedule.horizon == n
        assert lrs.max() == 1
        assert schedule.lr(n) == pytest.approx(FLOOR)
        assert len(steps) <= 131


@pytest.mark.parametrize("n", [1, 2, 100])
def test_constant_is_its_warmup_then_one(n: int) -> None:
    assert Schedule.constant(n).lr(range(n + 5)) == pytest.approx(1)
    assert Schedule.constant(n, warmup=n).lr(np.arange(1, n + 1)) == pytest.approx(np.arange(1, n + 1) / n)


def test_one_step_is_at_peak() -> None:
    for schedule in (Schedule.cosine(1), Schedule.linear(1), Schedule.wsd(1), Schedule.from_array([3e-4])):
        assert (schedule.horizon, schedule.lr(1), schedule.summed(1)) == (1, 1.0, 1.0)


def test_cosine_follows_its_formula() -> None:
    n, warmup = 200_000, 2000
    s = np.arange(1, n + 1)
    u = (s - warmup) / (n - warmup)
    exact = np.where(s < warmup, s / warmup, FLOOR + (1 - FLOOR) * (1 + np.cos(np.pi * u)) / 2)
    assert np.abs(Schedule.cosine(n, warmup=warmup, floor=FLOOR).lr(s) - exact).max() < 4e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_wsd_decays_in_its_shape(shape: DecayShape) -> None:
    n, floor = 40_000, 0.01
    u = np.arange(10_001) / 10_000
    fall = {
        "linear": 1 - u,
        "cosine": (1 + np.cos(np.pi * u)) / 2,
        "sqrt": 1 - np.sqrt(u),
        "exponential": (floor**u - floor) / (1 - floor),
    }[shape]
    schedule = Schedule.wsd(n, warmup=100, decay=10_000, shape=shape, floor=floor)
    assert np.all(schedule.lr(np.arange(100, 30_001)) == 1)
    assert np.abs(schedule.lr(np.arange(30_000, n + 1)) - floor - (1 - floor) * fall).max() < 1e-4


def test_a_float_decay_of_at_most_one_is_a_fraction() -> None:
    assert Schedule.wsd(1000, decay=0.1) == Schedule.wsd(1000, decay=100) == Schedule.wsd(1000, decay=100.0)
    assert Schedule.wsd(1000, decay=1).lr(999) == 1


def test_lr_holds_its_ends() -> None:
    schedule = Schedule.linear(101, warmup=10, floor=0.5)
    assert (schedule.lr(0), schedule.lr(-5)) == (0.1, 0.1)
    assert schedule.lr([101, 102, 10**9]).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("n", [50, 5000])
def test_summed_is_the_sum_of_the_lr_within_half_a_step(n: int) -> None:
    for schedule in every_kind(n):
        s = np.arange(1, n + 200)
        assert np.abs(schedule.summed(s) - np.cumsum(schedule.lr(s))).max() <= 0.5


def test_summed_never_falls_and_its_slope_is_the_lr() -> None:
    schedule = Schedule.wsd(1000, warmup=100, decay=0.3, shape="cosine", floor=FLOOR)
    s = np.linspace(0, 1200, 4801)
    total = schedule.summed(s)
    assert total[0] == 0
    assert np.all(np.diff(total) > 0)
    middle = (s[1:] + s[:-1]) / 2
    assert np.diff(total) / np.diff(s) == pytest.approx(schedule.lr(middle), abs=3e-3)


def test_a_scalar_gives_a_float_and_an_array_keeps_its_shape() -> None:
    schedule = Schedule.cosine(100)
    for method in (schedule.lr, schedule.summed, schedule):
        assert type(method(np.int64(5))) is float
        assert method(np.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_cooldown_keeps_the_past_and_ends_at_its_floor(shape: DecayShape) -> None:
    plan = Schedule.cosine(10_000, warmup=500)
    cooled = plan.cooldown(start=4000, steps=1000, shape=shape, floor=0.05)
    past = np.arange(1, 4001)
    assert cooled.horizon == 5000
    assert cooled.lr(5000) == pytest.approx(0.05)
    # Cutting a piece of the plan's line moves it by less than the line's own error.
    assert cooled.lr(past) == pytest.approx(plan.lr(past), abs=1e-4)
    assert np.all(np.diff(cooled.lr(np.arange(4000, 5001))) < 0)


def test_cooldown_beyond_the_horizon_holds_the_last_lr_until_it_starts() -> None:
    cooled = Schedule.linear(100, floor=0.5).cooldown(start=200, steps=10)
    assert cooled.lr([100, 150, 200, 205, 210]).tolist() == [0.5, 0.5, 0.5, 0.25, 0.0]


def test_from_the_first_step_or_from_a_bend_a_plan_is_stretched_as_from_any_other() -> None:
    plan = Schedule.wsd(1000, warmup=100, decay=0.5)
    assert plan.stretched(start=1, end=1999).lr([1, 199, 1499]) == pytest.approx(plan.lr([1, 100, 750]))
    assert plan.stretched(start=500, end=2000).lr([100, 500, 1250]) == pytest.approx(plan.lr([100, 500, 750]))


def test_cooldown_never_raises_the_lr() -> None:
    cooled = Schedule.linear(101).cooldown(start=91, steps=10, floor=0.5)
    assert cooled.lr([91, 101]).tolist() == pytest.approx([0.1, 0.1])


def test_cooldown_within_the_warmup_stays_relative_to_the_planned_peak() -> None:
    cooled = Schedule.constant(1000, warmup=100).cooldown(start=50, steps=50)
    assert cooled.lr([25, 50, 75, 100]).tolist() == pytest.approx([0.25, 0.5, 0.25, 0.0])


def test_from_array_stays_within_its_tolerance() -> None:
    s = np.arange(20_000)
    rng = np.random.default_rng(0)
    curves = [
        1 + np.cos(np.pi * s / 20_000),
        np.minimum(s / 300, 1.0) * 0.9997**s,
        np.where(s % 5000 < 2500, 1.0, 0.3),
        np.repeat(rng.random(20), 1000),
    ]
    for lr in curves:
        schedule = Schedule.from_array(3e-4 * lr)
        assert np.abs(schedule.lr(s + 1) - lr / lr.max()).max() < 1.01e-4
        assert schedule.knots[1].max() == 1
        assert len(schedule.knots[0]) < 150


def test_from_array_of_a_jagged_lr_is_bounded_and_keeps_its_peak() -> None:
    lr = np.random.default_rng(1).random(30_000)
    schedule = Schedule.from_array(lr, max_knots=64)
    assert len(schedule.knots[0]) <= 64
    assert schedule.lr(int(lr.argmax()) + 1) == 1


def test_from_array_of_few_values_is_exact() -> None:
    lr = np.array([0.0, 0.2, 1.0, 0.9, 0.1, 0.1])
    assert Schedule.from_array(lr).lr(np.arange(1, 7)) == pytest.approx(lr)
    assert Schedule.from_array([0.0, 0.0]).knot_lrs == (0.0, 0.0)


def test_from_array_divides_by_the_given_peak() -> None:
    assert Schedule.from_array([1e-4, 2e-4], peak=4e-4).knot_lrs == (0.25, 0.5)


def test_values_survive_dict_json_pickle_and_copy() -> None:
    for schedule in every_kind(12_345):
        assert Schedule.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule
        for twin in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
            assert twin == schedule
            assert hash(twin) == hash(schedule)
            assert twin.summed(777) == schedule.summed(777)
    assert Schedule.cosine(100) != Schedule.cosine(101)


def test_a_schedule_cannot_be_changed() -> None:
    schedule = Schedule.constant(5)
    with pytest.raises(AttributeError, match="knot_lrs"):
        schedule.knot_lrs = ()  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        schedule.knots[1][0] = 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule.constant(0), "`n` must be at least 1 step: got 0"),
        (lambda: Schedule.cosine(100, warmup=100), "`warmup` must lie between 0 and 99"),
        (lambda: Schedule.cosine(100, warmup=0.1), "`warmup` counts steps: got 0.1. Pass 10"),  # type: ignore[arg-type]
        (lambda: Schedule.constant(100, warmup=-1), "`warmup` must lie between 0 and 100"),
        (lambda: Schedule.linear(100, floor=1.5), "`floor` must lie between 0 and 1"),
        (lambda: Schedule.wsd(100, decay=0), "`decay` must be positive: got 0"),
        (lambda: Schedule.wsd(100, decay="x"), "`decay` must be positive: got x"),  # type: ignore[arg-type]
        (lambda: Schedule.constant(float("nan")), "`n` must be at least 1 step"),  # type: ignore[arg-type]
        (lambda: Schedule.cosine(10**400), "`n` must be at least 1 step"),
        (lambda: Schedule.cosine(None), "`n` must be at least 1 step"),  # type: ignore[arg-type]
        (lambda: Schedule.cosine(9, warmup="x"), "`warmup` must lie between"),  # type: ignore[arg-type]
        (lambda: Schedule.cosine(9, floor="x"), "`floor` must lie between"),  # type: ignore[arg-type]
        (lambda: Schedule.constant(9).cooldown(start=5, steps=1.5), "at least 1, and whole"),  # type: ignore[arg-type]
        (lambda: Schedule.wsd(100, warmup=50, decay=60), "must fit in `n`: got n=100, warmup=50, decay=60"),
        (lambda: Schedule.wsd(100, shape="cubic"), "`shape` must be one of linear, .*: got 'cubic'"),  # type: ignore[arg-type]
        (lambda: Schedule.wsd(100, shape="exponential"), "`floor` must be positive for an exponential"),
        (lambda: Schedule.from_array([]), "`lr` must hold one LR a step: got shape"),
        (lambda: Schedule.from_array([1, float("nan")]), "`lr` must be finite .*: got nan at step 2"),
        (lambda: Schedule.from_array([1, -1]), "got -1.0 at step 2"),
        (lambda: Schedule.from_array([1, 2], peak=1), "`peak` must be at least the largest LR"),
        (lambda: Schedule.from_array([1], max_knots=2), "`max_knots` must be at least 3"),
        (lambda: Schedule([2, 3], [1, 1]), "`steps` must start at 1"),
        (lambda: Schedule([1, 1], [1, 1]), "increase strictly"),
        (lambda: Schedule([1, 2.5], [1, 1]), "end on a whole step"),
        (lambda: Schedule([1, 2], [1, 2]), "`lr` must lie between 0 and the peak"),
        (lambda: Schedule([1, 2], [1, float("nan")]), "`lr` must lie between 0 and the peak"),
        (lambda: Schedule([1, 2], [1]), "same number of knots"),
        (lambda: Schedule.constant(9).cooldown(start=0, steps=5), "`start` and `steps` must be at least 1"),
        (lambda: Schedule.constant(9).cooldown(start=1, steps=5, floor=-1), "`floor` must lie"),
        (lambda: Schedule.from_dict({"steps": [1]}), "has the keys 'steps' and 'lr': got"),
    ],
)
def test_bad_input_says_what_got_do(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_decay_over_the_whole_run_is_all_but_the_warm_up() -> None:
    for warmup in (0, 100):
        all_of_it, linear = Schedule.wsd(2000, warmup=warmup, decay=1.0), Schedule.linear(2000, warmup=warmup)
        assert all_of_it.to_dict() == linear.to_dict()


@pytest.mark.parametrize("lr", ["x", {}, [10**400], [1 + 2j], object()])
def test_rates_that_are_no_numbers_are_told(lr: object) -> None:
    with pytest.raises(ValueError, match="`lr` must hold"):
        Schedule.from_array(lr)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [1, "x", [], None])
def test_a_schedule_is_made_of_a_dict(state: object) -> None:
    with pytest.raises(ValueError, match="has the keys 'steps' and 'lr'"):
        Schedule.from_dict(state)  # type: ignore[arg-type]


def test_just_before_a_rate_of_nought_it_is_not_negative() -> None:
    """Between knots it is rounded: steps of 1e13 leave no digits for the last one of a tiny rate."""
    schedule = Schedule([1.0, 3e13, 7e13], [1.0, 1.0 / 3.0 * 1e-296, 0.0])
    assert (schedule.lr(7e13 - np.arange(0.0, 4e13, 1e9)) >= 0.0).all()
