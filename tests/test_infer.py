from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curvecast.course import Course
from curvecast.curve import FloatArray, LearningRates
from curvecast.fit.basis import Timeline
from curvecast.forecast import Futures
from curvecast.forecast.futures import _futures_of
from curvecast.forecast.since import since
from curvecast.infer import MAX_POSSIBLE, PossibleSchedule
from curvecast.infer.logged import read
from curvecast.schedule import DecayShape, Schedule

Floats = NDArray[np.float64]
Possible = tuple[PossibleSchedule, ...]
N = 5000
CLOSE = 0.05
SHAPE = ((0.02, 0.8),)
CURVES = Path(__file__).parents[2] / "shared" / "curves"


def infer(truth: Schedule, share: float, *, every: int = 1, jitter: float = 0.0, horizon: int | None = N) -> Possible:
    """What is made of the first part of a schedule, logged at every so many steps."""
    steps = np.arange(every, round(share * N) + 1, every)
    lr = 3e-4 * truth.lr(steps) * (1 + jitter * np.random.default_rng(0).standard_normal(len(steps)))
    return Schedule.infer(lr, horizon, steps)


def test_a_rate_that_nothing_changes_is_held() -> None:
    held, unknown = (Schedule.infer([3e-4] * 500, N, held=held) for held in (True, False))
    assert [(each.kind, each.probability, each.schedule.lr(N)) for each in held] == [("constant", 1.0, 1.0)]
    assert unknown[0].probability < 0.5


def at_peak(now: int, warmup: int = 0) -> LearningRates:
    """A rate that has stood at its peak since the end of its warm-up."""
    return logged(Schedule.constant(N, warmup=warmup), now)


def logged(plan: Schedule, now: int, *, onto: LearningRates | None = None) -> LearningRates:
    """What a watcher keeps of a rate up to a step."""
    rates = LearningRates() if onto is None else onto
    for step in range(rates.last_step + 1, now + 1):
        rates.add(step, 3e-4 * plan.lr(step))
    return rates


def futures_of(rates: LearningRates, now: int | None = None) -> Futures:
    """What a run of ``N`` steps has to expect by them."""
    return Course(N, None, SHAPE).futures(rates, rates.last_step if now is None else now)


def futures_at(now: int, warmup: int = 0) -> Futures:
    return futures_of(at_peak(now, warmup))


def scheduled(futures: Futures) -> list[tuple[float, Schedule]]:
    return [(probability, timeline.schedule or Schedule([1], [1])) for probability, timeline in futures]


def expected(rates: list[tuple[float, Schedule]]) -> FloatArray:
    """The learning rate of every step to come, over all futures."""
    steps = np.arange(1, N + 1)
    return np.asarray(sum(probability * schedule.lr(steps) for probability, schedule in rates))


@pytest.mark.parametrize("warmup", [0, 50])
def test_what_a_level_rate_tells_is_kept_until_a_future_has_parted_from_it(warmup: int) -> None:
    for now in np.unique(np.geomspace(0.02 * N, 0.99 * N, 40).astype(int)).tolist():
        kept, told = scheduled(futures_at(now, warmup)), anew(at_peak(now, warmup))
        assert np.abs(expected(kept) - expected(told)).max() < 0.01, now


def test_a_level_rate_is_inferred_anew_only_where_it_tells_more() -> None:
    assert futures_at(1100) is futures_at(2000)
    assert futures_at(2400) is not futures_at(2600)  # by then the rate has not dropped at the half, as some do
    assert futures_at(2600) is futures_at(2900)


@pytest.mark.parametrize("plan", [Schedule.constant(N), Schedule.cosine(N, warmup=50)], ids=["level", "cosine"])
def test_what_a_rate_tells_hangs_on_no_question_asked_before(plan: Schedule) -> None:
    rates = logged(plan, N - 7)
    asked = [futures_of(rates, now) for now in range(100, N, 7)][-1]
    _futures_of.cache_clear()
    told = futures_of(rates, range(100, N, 7)[-1])
    assert told[0][1] is not asked[0][1]
    assert scheduled(told) == scheduled(asked)


FALLS = {
    "cosine": Schedule.cosine(N, warmup=100),
    "linear": Schedule.linear(N, warmup=100),
    "decay": Schedule.wsd(N, warmup=100, decay=2 * N // 5),
    "exponential": Schedule.from_array(0.1 ** (np.arange(N) / N)),
}


@pytest.mark.parametrize("name", FALLS)
def test_what_a_falling_rate_tells_is_inferred_seldom_and_near_what_would_be_inferred_anew(name: str) -> None:
    asked = np.unique(np.geomspace(0.6 * N, 0.98 * N, 40).astype(int)).tolist()
    rates, inferred = LearningRates(), 0
    for now in asked:
        logged(FALLS[name], now, onto=rates)
        before = _futures_of.cache_info().misses
        kept = expected(scheduled(futures_of(rates)))
        inferred += _futures_of.cache_info().misses - before
        assert np.abs(kept - expected(anew(rates)))[now:].max() < 0.08, now
    assert inferred < len(asked) / 3


def anew(rates: LearningRates) -> list[tuple[float, Schedule]]:
    """What all of the rates tell."""
    steps, lr = rates.knots()
    return [(each.probability, each.schedule) for each in Schedule.infer(lr, N, steps)]


PLANS = {"level": Schedule.constant(N), "cosine": Schedule.cosine(N), "linear": Schedule.linear(N, warmup=50)}
CHANGES: dict[str, Callable[[float, int], float]] = {
    "a drop": lambda lr, k: 0.5 * lr,
    "a tenth, as of ReduceLROnPlateau": lambda lr, k: 0.1 * lr,
    "a restart": lambda lr, k: 1.2,
    "a warm-up again": lambda lr, k: k / 200,
    "held": lambda lr, k: lr,
    "a cooldown": lambda lr, k: lr * (1 - k / 200),
    "nothing": lambda lr, k: 0.0,
}


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name in PLANS for change in CHANGES if (name, change) != ("level", "held")]
)
def test_a_rate_that_leaves_its_futures_is_inferred_anew_at_once(name: str, change: str) -> None:
    begin, plan = 1900, PLANS[name]  # long after the last round step
    rates = logged(plan, begin)
    assert scheduled(futures_of(rates)) != anew(rates)
    for k in range(1, 100):
        lr = CHANGES[change](plan.lr(begin), k)
        rates.add(begin + k, 3e-4 * lr)
        if abs(lr - plan.lr(begin + k)) > 0.004:
            break
    assert scheduled(futures_of(rates)) == anew(rates)


def test_a_future_counts_by_how_well_it_foretold_the_rates_since() -> None:
    near, far = (Timeline(Schedule([1, 3000, N], [1.0, 0.4 - miss, 0.0]), SHAPE) for miss in (0.0, 0.002))
    kept = since([(0.4, far), (0.6, near)], ([1, 2000], [3e-4, 1.8e-4]), ([1, 2000, 3000], [3e-4, 1.8e-4, 1.2e-4]))
    # A third of the log came since, of sixteen samples that count; of a miss that has grown along a line a third does.
    odds = math.exp(-16 * (1000 / 2999) / 3 / 2) * 0.4 / 0.6
    assert kept is not None
    assert [timeline for _, timeline in kept] == [near, far]
    assert [chance for chance, _ in kept] == pytest.approx([1 / (1 + odds), odds / (1 + odds)])


def test_a_rate_that_left_its_futures_and_came_back_is_inferred_anew_until_a_round_step_has_seen_it() -> None:
    rates = logged(PLANS["cosine"], 1900)
    rates.add(1901, 1e-4)
    logged(PLANS["cosine"], 1915, onto=rates)
    assert scheduled(futures_of(rates)) == anew(rates)
    logged(PLANS["cosine"], 1925, onto=rates)
    assert scheduled(futures_of(rates)) != anew(rates)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_fall_is_believed_where_nothing_was_known_to_change_the_rate(kind: str) -> None:
    seen = getattr(Schedule, kind)(N, warmup=100).lr(range(1, N // 3))
    first, *_ = found = Schedule.infer(seen, N, held=True)
    assert first.kind == kind
    assert sum(each.probability for each in found if each.kind == "constant") < 0.01


def infer_knots(truth: Schedule, share: float) -> Possible:
    """The same from the knots that a watcher keeps."""
    rates = LearningRates()
    for step in range(1, round(share * N) + 1):
        rates.add(step, 3e-4 * truth.lr(step))
    steps, lr = rates.knots()
    return Schedule.infer(lr, N, steps)


def miss(possible: PossibleSchedule, truth: Schedule, after: float, until: int = N) -> float:
    """Largest error of the future; jumps may come up to 25 steps off, half of a sparse log's interval."""
    steps = np.arange(round(after * N), until + 1)
    lr = possible.schedule.lr(steps)
    return float(np.min([np.abs(lr - truth.lr(steps + shift)) for shift in (-25, -1, 0, 1, 25)], axis=0).max())


def probability(found: Possible, truth: Schedule, after: float) -> float:
    """Of all candidates whose future is the true one."""
    return sum(possible.probability for possible in found if miss(possible, truth, after) < CLOSE)


def then_held(schedule: Schedule, until: int) -> Schedule:
    return Schedule(np.append(schedule.knots[0], until), np.append(schedule.knots[1], schedule.knots[1][-1]))


DECAYS = {
    "cosine": Schedule.cosine(N, warmup=100),
    "cosine to a tenth": Schedule.cosine(N, warmup=100, floor=0.1),
    "cosine without warm-up": Schedule.cosine(N),
    "linear": Schedule.linear(N, warmup=100),
    "linear to a tenth": Schedule.linear(N, warmup=100, floor=0.1),
    "linear to a third": Schedule.linear(N, warmup=100, floor=0.33),
}
LOGS: dict[str, Callable[[Schedule, float], Possible]] = {
    "every step": infer,
    "every 10th": lambda truth, share: infer(truth, share, every=10),
    "every 50th": lambda truth, share: infer(truth, share, every=50),
    "jitter": lambda truth, share: infer(truth, share, jitter=1e-3),
    "knots": infer_knots,
}


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", DECAYS)
def test_a_visible_decay_is_recognised_however_it_is_logged(name: str, log: str) -> None:
    for share in (0.1, 0.25, 0.5, 0.75):
        found = LOGS[log](DECAYS[name], share)
        assert probability(found, DECAYS[name], share) >= 0.05, share
        if share >= 0.25:
            assert found[0].kind == name.split()[0], share
            assert miss(found[0], DECAYS[name], share) < CLOSE, share


@pytest.mark.parametrize("name", DECAYS)
def test_a_clean_decay_is_known_from_a_tenth_on(name: str) -> None:
    found = infer(DECAYS[name], 0.1)
    assert found[0].kind == name.split()[0]
    assert miss(found[0], DECAYS[name], 0.1) < CLOSE
    assert found[0].probability > 0.3 if name == "linear to a third" else found[0].probability > 0.75


@pytest.mark.parametrize("shape", ["linear", "cosine", "sqrt", "exponential"])
@pytest.mark.parametrize(("decay", "floor"), [(0.2, 0.1), (0.35, 0.1), (0.7, 0.1), (0.35, 0.0), (0.1, 0.02)])
def test_a_wsd_is_recognised_once_its_decay_has_begun(shape: DecayShape, decay: float, floor: float) -> None:
    truth = Schedule.wsd(N, warmup=100, decay=decay, shape=shape, floor=max(floor, 0.01))
    for part in (0.25, 0.5, 0.9):
        share = 1 - decay + part * decay
        for found in (infer(truth, share), infer_knots(truth, share)):
            assert found[0].kind == "wsd"
            assert miss(found[0], truth, share) < CLOSE


def test_a_constant_lr_may_be_held_or_decay_and_time_tells() -> None:
    truth = Schedule.constant(N, warmup=100)
    found = {share: infer(truth, share) for share in (0.3, 0.55, 0.65, 0.75, 0.85, 0.95)}
    kinds = {share: [possible.kind for possible in f] for share, f in found.items()}
    assert [k.count("wsd") for k in kinds.values()] == [4, 4, 3, 2, 1, 0]
    assert "step" in kinds[0.3]
    assert "step" not in kinds[0.55]
    held = [f[kinds[share].index("constant")].probability for share, f in found.items()]
    assert held == sorted(held)
    assert 0.3 < held[0] < 0.4
    assert held[-1] == 1
    # What is left keeps its odds: nothing but the passing of a start is learnt.
    early, late = (
        {round(possible.schedule.lr(0.95 * N), 2): possible.probability for possible in found[share]}
        for share in (0.3, 0.75)
    )
    assert early[0.25] / early[0.5] == pytest.approx(late[0.25] / late[0.5])


def test_the_flat_top_of_a_cosine_could_be_anything_at_first() -> None:
    truth = Schedule.cosine(N)
    early, late = infer(truth, 0.02), infer(truth, 0.2)
    assert {"cosine", "constant", "wsd"} <= {possible.kind for possible in early}
    assert probability(early, truth, 0.02) >= 0.05
    assert late[0].kind == "cosine"
    assert late[0].probability > 0.9


def test_without_a_horizon_a_constant_lr_is_held_and_ends_now() -> None:
    (only,) = Schedule.infer([1e-3] * 300)
    assert (only.kind, only.probability, only.schedule) == ("constant", 1.0, Schedule.constant(300))


@pytest.mark.parametrize("name", DECAYS)
def test_without_a_horizon_the_decay_tells_where_it_ends(name: str) -> None:
    found = infer(DECAYS[name], 0.5, horizon=None)
    if name == "linear to a third":  # on its way down a line may go to any floor: 0 and a tenth are offered
        assert [possible.schedule.knot_lrs[-1] for possible in found] == pytest.approx([0.0, 0.1], abs=1e-3)
        return
    assert probability(found, DECAYS[name], 0.5) >= 0.3
    ends = [possible.schedule.horizon for possible in found if miss(possible, DECAYS[name], 0.5) < CLOSE]
    assert min(abs(end - N) for end in ends) < 0.05 * N


def test_a_cosine_that_ends_before_the_run_then_holds_its_floor() -> None:
    truth = then_held(Schedule.cosine(4000, warmup=100, floor=0.1), N)
    for share in (0.25, 0.5, 0.75, 0.9):
        found = infer(truth, share)
        assert probability(found, truth, share) >= 0.2, share
        assert share < 0.5 or miss(found[0], truth, share) < 0.02


def test_a_decay_that_is_over_is_named_and_stays_where_it_is() -> None:
    for truth in (Schedule.linear(3000, warmup=100, floor=0.3), Schedule.wsd(3000, decay=0.4, floor=0.2)):
        possible = infer(then_held(truth, N), 0.8)[0]
        assert possible.kind == ("linear" if truth.lr(1000) < 1 else "wsd")
        assert miss(possible, then_held(truth, N), 0.8) < 0.01


def test_a_decay_of_no_known_shape_goes_on_falling() -> None:
    """The plans that come nearest count, though all of them miss by more than the log's error."""
    for power in (1.5, 2):
        truth = Schedule.from_array((1 - np.arange(N) / N) ** power)
        for share in (0.1, 0.25, 0.5):
            possible = infer(truth, share)[0]
            assert possible.schedule.lr(N) < 0.5 * truth.lr(share * N)


@pytest.mark.parametrize("factor", [0.1, 0.3, 0.6])
def test_two_stages_are_held_or_go_on_falling(factor: float) -> None:
    truth = Schedule([1, 2000, 2001, N], [1, 1, factor, factor])
    found = infer(truth, 0.6)
    assert {possible.kind for possible in found} == {"step"}
    assert miss(found[0], truth, 0.6) < 0.01
    assert min(possible.schedule.lr(N) for possible in found) == pytest.approx(factor**2, abs=0.01)  # again at 4000


def test_a_warmup_that_is_not_over_tells_nothing_of_the_rest() -> None:
    truth = Schedule.cosine(N, warmup=500)
    found = infer(truth, 0.04)
    assert {"cosine", "linear", "constant", "wsd"} <= {possible.kind for possible in found}
    assert max(possible.probability for possible in found) < 0.5
    for possible in found:
        assert possible.schedule.lr(200) == pytest.approx(0.5, abs=0.01)  # as much is to come as has passed
        assert possible.schedule.lr(1) == pytest.approx(possible.schedule.lr(200) / 200, rel=0.05)
        assert max(possible.schedule.knot_lrs) == 1
    (unplanned,) = infer(truth, 0.04, horizon=None)
    assert unplanned.schedule.horizon == 200


def test_an_lr_that_rises_again_is_held_as_logged() -> None:
    restarts = [0.5 * (1 + math.cos(math.pi * (step % 1000) / 1000)) for step in range(1600)]
    (only,) = Schedule.infer(restarts, N)
    assert only.kind == "as logged"
    assert only.schedule.lr([1600, N]) == pytest.approx(restarts[-1], abs=0.01)


@pytest.mark.parametrize("epochs", [8, 10, 20, 30])
def test_a_cosine_followed_once_an_epoch_is_seen_through(epochs: int) -> None:
    """Its few treads are no step schedule, and its future runs through the middle of those to come."""
    truth = Schedule.from_array([0.5 * (1 + math.cos(math.pi * (s * epochs // N) / epochs)) for s in range(N)])
    for share in (0.4, 0.6, 0.75):
        possible = infer(truth, share)[0]
        future = range(round(share * N), N + 1)
        assert possible.kind == "cosine"
        assert possible.probability > 0.9
        assert abs(np.mean(possible.schedule.lr(future) - truth.lr(future))) < 0.006  # half of a tread is 0.06 to 0.02


@pytest.mark.parametrize("share", [0.4, 0.6, 0.75])
def test_a_plan_that_is_written_with_few_digits_is_seen_through(share: float) -> None:
    """It drops when its next digit does, and runs through the middle of its treads."""
    truth, seen = Schedule.cosine(N), np.arange(1, round(share * N) + 1)
    possible = Schedule.infer(np.round(3e-4 * truth.lr(seen), 5), N, seen)[0]
    assert possible.kind == "cosine"
    future = np.arange(seen[-1], N + 1)
    assert abs(np.mean(possible.schedule.lr(future) - truth.lr(future))) < 0.002  # half of a tread is 0.017


def test_one_small_drop_is_that_of_any_plan_followed_once_an_epoch() -> None:
    found = Schedule.infer([1.0] * 500 + [0.5 * (1 + math.cos(math.pi / 10))] * 250, N)
    assert found[0].kind == "cosine"
    assert len({possible.kind for possible in found}) >= 3


def test_the_first_sample_of_a_tread_does_not_hide_the_stairs() -> None:
    truth = Schedule.from_array([0.8 ** (step // 300) for step in range(N)])
    (only,) = infer(truth, 0.25, every=50)  # the drop after step 1200 is seen at 1250
    assert only.kind == "step"
    assert miss(only, truth, 0.25) < 0.01


def test_jitter_does_not_raise_the_peak() -> None:
    lr = 1 + 1e-3 * np.random.default_rng(0).standard_normal(3000)
    assert np.median(read(np.arange(1.0, 3001), lr, None).lr) == pytest.approx(1, abs=1e-3)


def test_the_unit_of_the_lr_does_not_matter() -> None:
    seen = Schedule.cosine(1000, warmup=50).lr(range(1, 301))
    for unit in (1e-300, 3e-4, 1e5, 1e300):
        assert Schedule.infer(unit * seen, 1000)[0].schedule.lr(700) == pytest.approx(
            Schedule.infer(seen, 1000)[0].schedule.lr(700)
        )


def test_steps_that_name_every_step_change_nothing() -> None:
    seen = Schedule.linear(1000, warmup=50).lr(range(1, 301))
    assert Schedule.infer(seen, 1000, range(1, 301)) == Schedule.infer(seen, 1000)


def test_it_neither_writes_to_its_input_nor_remembers() -> None:
    seen = DECAYS["cosine"].lr(range(1, 1001))
    before = seen.copy()
    assert Schedule.infer(seen, N) == Schedule.infer(seen, N)
    assert np.array_equal(seen, before)


def odd_logs() -> Iterator[tuple[Floats, int | None, Any]]:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5, 30, 300, 1000):
        s = np.arange(1.0, n + 1)
        shapes: list[Floats] = [s / n, 1 / s, 1 - (s - 1) / n, rng.random(n), np.exp(-s), np.cos(s / 9) ** 2, s % 7]
        for lr in shapes:
            for scale in (1e-300, 1e-3, 1e300):
                yield scale * lr, None, None
                yield scale * lr, 10 * n, None
                yield scale * lr, max(n // 2, 1), None
                yield scale * lr, 3 * 10**9, np.sort(rng.choice(10**6, n, replace=False)) + 1


def test_whatever_was_logged_the_candidates_are_whole() -> None:
    """Every candidate is a schedule up to the horizon, with the past as logged, and they are ranked and share 1."""
    for lr, horizon, steps in odd_logs():
        found = Schedule.infer(lr, horizon, steps)
        t = np.arange(1.0, len(lr) + 1) if steps is None else steps
        shares = [possible.probability for possible in found]
        assert 1 <= len(found) <= MAX_POSSIBLE
        assert sum(shares) == pytest.approx(1)
        assert shares == sorted(shares, reverse=True)
        for possible in found:
            past = possible.schedule.lr(t)
            assert possible.schedule.horizon >= t[-1]
            assert horizon is None or possible.schedule.horizon == max(horizon, t[-1])
            if len(lr) < 256:
                assert past == pytest.approx(lr / lr.max() * past.max(), abs=0.005)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-4])
def test_values_that_are_no_lr_are_left_out(bad: float) -> None:
    seen = Schedule.linear(1000).lr(range(1, 301))
    seen[[0, 100, 299]] = bad
    found = Schedule.infer(seen, 1000)
    assert found[0].kind == "linear"
    assert miss(found[0], Schedule.linear(1000), 0.06, until=1000) < CLOSE


@pytest.mark.parametrize(("lr", "held"), [([], 1.0), ([math.nan] * 3, 1.0), ([0.0] * 3, 0.0)])
def test_no_lr_at_all_is_held_as_logged(lr: list[float], held: float) -> None:
    for horizon in (None, 100):
        (only,) = Schedule.infer(lr, horizon)
        assert (only.kind, only.probability) == ("as logged", 1.0)
        assert only.schedule.horizon == (100 if horizon else max(held == 0 and 3, 1))
        assert only.schedule.lr([1, 50]).tolist() == [held, held]


def test_a_run_beyond_its_horizon_has_no_future_left() -> None:
    for truth in (Schedule.constant(1000), Schedule.cosine(1000)):
        (only,) = Schedule.infer(truth.lr(range(1, 1001)), 800)
        assert only.schedule.horizon == 1000


def test_a_long_log_is_thinned_and_keeps_its_jump() -> None:
    lr = np.where(np.arange(200_000) < 123_456, 3e-4, 3e-5)
    schedule = Schedule.infer(lr, 400_000)[0].schedule
    assert schedule.lr([123_456, 123_457]).tolist() == pytest.approx([1.0, 0.1])
    jittery = lr * (1 + 1e-3 * np.random.default_rng(0).standard_normal(len(lr)))
    assert all(len(possible.schedule.knot_steps) < 500 for possible in Schedule.infer(jittery, 400_000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 0), "`horizon` must be at least 1 step: got 0. Pass the planned steps, or None."),
        (([1.0], 10.5), "`horizon` must be at least 1 step: got 10.5"),
        (([1.0], math.nan), "`horizon` must be at least 1 step: got nan"),
        (([[1.0]],), r"`lr_so_far` and `steps` must be of one length: got shapes \(1, 1\), \(1,\)"),
        (([1.0, 1.0], None, [1]), r"must be of one length: got shapes \(2,\), \(1,\). Pass"),
        (([1.0, 1.0], None, [0, 1]), "`steps` must be whole numbers that increase strictly .*: got 0 to 1. Sort"),
        (([1.0, 1.0], None, [2, 2]), "increase strictly"),
        (([1.0, 1.0], None, [1, 2.5]), "whole numbers"),
    ],
)
def test_bad_configuration_says_what_got_do(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule.infer(*arguments)


def torch_schedules() -> dict[str, Callable[[Any, Any], Any]]:
    """How each is made, by the kind that it is to be recognised as."""
    return {
        "step: regular": lambda lrs, o: lrs.StepLR(o, 1500, 0.1),
        "step: regular, small": lambda lrs, o: lrs.StepLR(o, 1000, 0.5),
        "step: milestones": lambda lrs, o: lrs.MultiStepLR(o, [2500, 3750], 0.1),
        "exponential": lambda lrs, o: lrs.ExponentialLR(o, 0.9995),
        "cosine: annealing": lambda lrs, o: lrs.CosineAnnealingLR(o, N, 1e-5),
        "cosine: one cycle": lambda lrs, o: lrs.OneCycleLR(o, 1e-2, total_steps=N),
        "inverse sqrt: Noam": lambda lrs, o: lrs.LambdaLR(o, lambda e: min((e + 1) ** -0.5, (e + 1) * 400**-1.5)),
    }


@pytest.mark.parametrize("name", torch_schedules())
def test_schedulers_of_torch_are_recognised(name: str) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1e-3)
    truth = Schedule.from_torch(torch_schedules()[name](torch.optim.lr_scheduler, optimizer), steps=N)
    for share in (0.6, 0.7, 0.75):
        for found in (infer(truth, share), infer(truth, share, every=50), infer_knots(truth, share)):
            assert found[0].kind == name.split(":")[0]
            assert probability(found, truth, share) >= 0.15


def real_logs() -> list[Path]:
    return sorted([*CURVES.glob("multipowerlaw/*.csv"), *CURVES.glob("modded_nanogpt/*.csv")])


@pytest.mark.skipif(not CURVES.is_dir(), reason="the collected curves (../shared) are not on this machine")
def test_decays_of_real_runs_are_recognised() -> None:
    hits = []
    for path in real_logs():
        with path.open() as file:
            rows = [(float(row["step"]), float(row["lr"])) for row in csv.DictReader(file) if row["lr"]]
        if not rows:
            continue
        steps, lr = np.array(rows).T
        steps = steps + (steps[0] == 0)
        for share in (0.1, 0.25, 0.5, 0.75):
            seen = steps <= max(share * steps[-1], steps[0])
            peak = int(lr[seen].argmax())
            if lr[seen][peak:].min() > 0.99 * lr.max():  # not begun
                continue
            found = Schedule.infer(lr[seen], int(steps[-1]), steps[seen])
            future = [np.abs(p.schedule.lr(steps[~seen]) - lr[~seen] / lr.max()).max() < CLOSE for p in found]
            hits.append(sum(p.probability for p, hit in zip(found, future, strict=True) if hit) >= 0.05)
    assert len(hits) > 200
    assert np.mean(hits) > 0.98
