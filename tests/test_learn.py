from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher, learn_prior
from curvecast.curve import FloatArray
from curvecast.fit import believable
from curvecast.fit.lessons import Lesson, lessons_on
from curvecast.learn import Backtest, Forecaster, backtests

STEPS = np.arange(1, 3001)


def finished(seed: int, *, alpha: float, decay: float, schedule: Schedule) -> SimpleNamespace:
    """A run whose decay brings ``decay`` of the dropped rate."""
    rng = np.random.default_rng(seed)
    lr = schedule.lr(STEPS)
    drop: FloatArray = decay * (1.0 - lr) * (STEPS > 100)
    loss = 2.0 + 3.0 * schedule.summed(STEPS) ** -alpha - drop + 0.01 * rng.standard_normal(len(STEPS))
    meta = {"schedule": schedule.to_dict()}
    nothing = np.full(len(STEPS), np.nan)
    return SimpleNamespace(steps=STEPS, train_loss=loss, val_loss=nothing, lr=nothing, meta=meta)


def cosine() -> Schedule:
    return Schedule.cosine(3000, warmup=50)


def score(test: Backtest, prior: Prior) -> float:
    """Log-density of the truth under a forecast, read off a small interval around it."""
    ahead, _ = Forecaster().forecast(test, prior)
    edges = [float(ahead.probability_below(test.truth * (1.0 + d))) for d in (-1e-4, 1e-4)]
    return math.log(max(edges[1] - edges[0], 1e-12) / 2e-4)


@pytest.mark.parametrize("alpha", [0.2, 1.1])
def test_a_teams_next_run_is_foreseen_more_sharply(alpha: float) -> None:
    runs = [finished(seed, alpha=alpha, decay=0.1, schedule=cosine()) for seed in range(4)]
    tests = backtests(finished(9, alpha=alpha, decay=0.1, schedule=cosine()))
    learnt = learn_prior(runs)
    gain = [score(test, learnt) - score(test, Prior()) for test in tests]
    assert len(gain) == 9
    assert np.mean(gain) > 0.3


@pytest.mark.parametrize("decay", [0.3, 0.5])
def test_what_a_decay_brings_is_learnt(decay: float) -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=decay, schedule=cosine()) for seed in range(4)])
    halfway = backtests(finished(9, alpha=0.5, decay=decay, schedule=cosine()))[5]
    before, after = (float(Forecaster().forecast(halfway, prior)[0].median) for prior in (Prior(), learnt))
    assert abs(after - halfway.truth) < 0.7 * abs(before - halfway.truth)


def test_a_run_that_resembles_none_is_forecast_as_before() -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)])
    other = finished(9, alpha=0.5, decay=0.0, schedule=Schedule.constant(3000))
    other.meta["num_params"] = 1e12
    early = backtests(other)[0]
    before, after = (Forecaster().forecast(early, prior)[0] for prior in (Prior(), learnt))
    assert after.median == pytest.approx(before.median, rel=0.01)
    assert after.std == pytest.approx(before.std, rel=0.1)


def test_lessons_on_one_loss_say_nothing_of_the_other() -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)])
    watcher, taught = Watcher(schedule=cosine()), Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        for each in (watcher, taught):
            each.update(step, float(loss), val_loss=float(loss) + 0.1 if step % 50 == 0 else None)
    assert taught.forecast(of="val").median == watcher.forecast(of="val").median
    assert taught.forecast(of="train").median != watcher.forecast(of="train").median


def test_what_has_been_seen_is_not_moved() -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)])
    watcher, taught = Watcher(schedule=cosine()), Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        watcher.update(step, float(loss))
        taught.update(step, float(loss))
    steps = np.array([700, 1500, 3000])
    before, after = (np.asarray(each.forecast(at=steps).median) for each in (watcher, taught))
    assert np.equal(before, after).tolist() == [True, True, False]


def test_runs_that_share_nothing_teach_nothing() -> None:
    table = np.random.default_rng(0).choice([-4.0, 4.0], 12)
    place = {"of_val": 1.0, "progress": -0.7, "time": 0.7, "gained": 0.0, "ahead": 0.5, "size": 14.0}
    apart = tuple(Lesson(run=float(k), miss=float(miss), **place) for k, miss in enumerate(table))
    alike = tuple(Lesson(run=float(k), miss=2.0 + 0.1 * k, **place) for k in range(4))
    assert lessons_on(Prior(lessons=apart), of_val=True) is None
    assert lessons_on(Prior(lessons=alike), of_val=True) is not None
    assert lessons_on(Prior(lessons=alike), of_val=False) is None


def test_learning_on_adds_to_what_was_learnt() -> None:
    runs = [finished(seed, alpha=0.5, decay=0.2, schedule=cosine()) for seed in range(4)]
    stepwise = learn_prior(runs[2:], start=learn_prior(runs[:2]))
    assert sorted({lesson[0] for lesson in stepwise.lessons}) == [0.0, 1.0, 2.0, 3.0]
    assert sorted(lesson[1:] for lesson in stepwise.lessons) == sorted(
        lesson[1:] for lesson in learn_prior(runs).lessons
    )


def test_the_next_run_is_forecast_more_narrowly_and_rightly() -> None:
    runs = [finished(seed, alpha=0.5, decay=0.25, schedule=cosine()) for seed in range(4)]
    fifth = finished(9, alpha=0.5, decay=0.25, schedule=cosine())
    truth = 2.0 + 3.0 * float(cosine().summed(3000)) ** -0.5 - 0.25
    intervals = []
    for prior in (Prior(), learn_prior(runs)):
        watcher = Watcher(schedule=cosine(), prior=prior)
        for step, loss in zip(range(1, 1201), fifth.train_loss, strict=False):
            watcher.update(step, float(loss))
        intervals.append(watcher.forecast().interval(0.9))
    assert intervals[1].width < 0.7 * intervals[0].width
    assert truth in intervals[1]


def test_one_run_teaches_less_than_many() -> None:
    runs = [finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(6)]
    tests = backtests(finished(9, alpha=0.5, decay=0.4, schedule=cosine()))
    priors = Prior(), learn_prior(runs[:1]), learn_prior(runs)
    none, one, many = (np.mean([score(test, prior) for test in tests]) for prior in priors)
    assert none < one < many
    assert priors[2].source.endswith("then learnt from 6 finished runs")


def test_progress_ends_at_one() -> None:
    done: list[float] = []
    learn_prior([finished(0, alpha=0.5, decay=0.1, schedule=cosine())], progress=done.append)
    assert done == sorted(done)
    assert done[-1] == 1.0


def test_no_run_that_teaches_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match="`runs` must hold a finished run with at least 12 losses in its first nine tenths: got no run",
    ):
        learn_prior([])


def test_the_shipped_prior_is_the_one_that_was_fitted() -> None:
    fitted = Path(__file__).parents[1] / "benchmarks" / "priors" / "shipped.json"
    assert Prior() == Prior.load(fitted)


def test_a_small_network_has_its_own_prior_and_what_lies_between_is_blended() -> None:
    large, small = Prior(sudden=0.0, drift=(0.001, 0.01)), Prior(sudden=0.6, drift=(0.004, 0.04))
    prior = large.with_small(small)
    assert prior.for_size(1e8) == replace(prior, small=(), size=1e8)
    assert prior.for_size(1e4).drift == pytest.approx(small.drift)
    assert prior.for_size(1e6).drift == pytest.approx((0.002, 0.02))
    assert prior.for_size(1e6).sudden == pytest.approx(0.3)
    assert prior.for_size(None) == replace(prior.for_size(1e6), size=None)


def test_a_prior_with_small_networks_survives_its_file(tmp_path: Path) -> None:
    shapes = tuple((2.0 * time, power) for time, power in Prior().annealing_shape)
    prior = Prior().with_small(Prior(drift=(0.004, 0.04), annealing_shape=shapes))
    prior.save(tmp_path / "prior.json")
    assert Prior.load(tmp_path / "prior.json") == prior


def test_what_was_learnt_survives_its_file(tmp_path: Path) -> None:
    learnt = learn_prior([finished(0, alpha=0.5, decay=0.1, schedule=cosine())])
    learnt.save(tmp_path / "prior.json")
    assert Prior.load(tmp_path / "prior.json") == learnt


def test_a_file_that_is_no_prior_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prior.json").write_text("alpha: 3", encoding="utf-8")
    with pytest.raises(ValueError, match="must be the JSON that `save` wrote"):
        Prior.load(tmp_path / "prior.json")


def test_a_run_that_cannot_be_read_does_not_spoil_the_lesson() -> None:
    sound = [finished(seed, alpha=0.5, decay=0.2, schedule=cosine()) for seed in range(2)]
    odd = finished(5, alpha=0.5, decay=0.2, schedule=cosine())
    odd.meta = {"schedule": {"x": 1}}
    huge = finished(6, alpha=0.5, decay=0.2, schedule=cosine())
    huge.train_loss = np.where(STEPS == 1000, 1e200, huge.train_loss)
    far = finished(7, alpha=0.5, decay=0.2, schedule=cosine())
    far.steps, far.meta, far.lr = STEPS * 10**9, {}, cosine().lr(STEPS)
    assert learn_prior([*sound, odd, huge, far]).source.endswith("then learnt from 4 finished runs")


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": ()},
        {"annealing_shape": (0.01, 0.1)},
        {"growth": 1.0},
        {"sudden_until": 0.0},
        {"annealing_log_mean": 0.5},
        {"drift": 0.1},
        {"converged": "high"},
        {"reducible": float("nan")},
        {"lessons": ((1.0, 2.0),)},
        {"lessons": 5},
        {"lessons": (("a",) * 8,)},
        {"lessons": ((10**400,) * 8,)},
        {"lessons": ((1.0,) * 8,) * 2_000},
        {"alpha": (0.5, "a")},
        {"alpha": (1e300, 1e-300)},
        {"alpha_log_mean": 3.0, "alpha_log_sd": 0.01},
        {"window": (5.0, 6.0, 7.0)},
        {"onset": (0.0,)},
        {"annealing_shape": ((0.1, "a"),)},
        {"annealing_log_sd": 1e300},
        {"sudden_size": 1e300},
        {"size": "large"},
        {"source": 5},
        {"small": "x"},
        {"small": (("growth", 0.5),)},
        {"small": ((1, 2),)},
        {"small": (("drift", (0.1,)),)},
        {"small": (("drop_error", 0.0),)},
    ],
)
def test_a_prior_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|cannot"):
        Prior(**change)


@pytest.mark.parametrize("seed", range(8))
def test_a_prior_within_its_ranges_forecasts_something_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {name: float(rng.choice(ends)) for name, ends in believable._NUMBERS.items()}
    made |= {"annealing_log_mean": -3.0, "annealing_log_sd": 0.3, "alpha_log_sd": 1.0, "alpha_log_mean": -1.0}
    made |= {name: tuple(rng.choice(ends, 2).tolist()) for name, ends in believable._GRIDS.items()}
    shapes = tuple(tuple(rng.choice(believable._SHAPE, 2).tolist()) for _ in range(2))
    watcher = Watcher(prior=Prior(small=(), annealing_shape=shapes, **made), schedule=cosine())
    for step in range(1, 200):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.3, val_loss=None if step % 10 else 2.1 + 3.0 * step**-0.3)
    ends = watcher.forecast().interval(0.9)
    # One that puts all of the loss below zero leaves the floor alone.
    assert -math.inf < ends.lower <= ends.upper < math.inf


def test_a_file_nested_too_deep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prior.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ValueError, match="must be the JSON that `save` wrote"):
        Prior.load(tmp_path / "prior.json")


@pytest.mark.parametrize("runs", ["runs/d12", 5, None, ["runs/d12"], [None], [{"steps": [1]}]])
def test_what_is_no_list_of_runs_is_refused(runs: Any) -> None:
    with pytest.raises(TypeError, match=r"`runs` must .*Pass what `curvecast.read` gives"):
        learn_prior(runs)


def test_a_path_is_no_prior_to_start_from() -> None:
    with pytest.raises(TypeError, match=r"`start` must be a curvecast.Prior"):
        learn_prior([finished(0, alpha=0.5, decay=0.1, schedule=cosine())], start="prior.json")  # type: ignore[arg-type]
