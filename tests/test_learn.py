from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher, learn_prior
from curvecast.curve import FinishedRun, FloatArray
from curvecast.decisions.plateau import Plateau
from curvecast.fit import believable
from curvecast.fit.lessons import Lesson, lessons_on
from curvecast.fit.likeness import Places
from curvecast.learn import Backtest, Forecaster, backtests

STEPS = np.arange(1, 3001)
PLACE = (0.7, 0.0, 0.5, 14.0, 9.0, 7.0, 1.0)  # of a forecast half-way


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


def score(test: Backtest, prior: Prior, truth: float | None = None) -> float:
    """Log-density of the truth under a forecast, read off a small interval around it."""
    ahead, _ = Forecaster().forecast(test, prior)
    edges = [float(ahead.probability_below((truth or test.truth) * (1.0 + d))) for d in (-1e-4, 1e-4)]
    return math.log(max(edges[1] - edges[0], 1e-12) / 2e-4)


@pytest.mark.parametrize("alpha", [0.2, 1.1])
def test_a_teams_next_run_is_foreseen_more_sharply(alpha: float) -> None:
    free_of_noise = 2.0 + 3.0 * float(cosine().summed(3000)) ** -alpha - 0.1
    gain = []
    for first in (0, 20):  # two teams: the ends of one may all be noisy the same way
        runs = [finished(first + k, alpha=alpha, decay=0.1, schedule=cosine()) for k in range(4)]
        tests = backtests(finished(first + 9, alpha=alpha, decay=0.1, schedule=cosine()))
        learnt = learn_prior(runs)
        gain += [score(test, learnt, free_of_noise) - score(test, Prior(), free_of_noise) for test in tests]
    assert len(gain) == 18
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
    other.train_loss = 50.0 * other.train_loss  # in another unit
    for test in backtests(other):
        before, after = (Forecaster().forecast(test, prior)[0] for prior in (Prior(), learnt))
        assert after.median == pytest.approx(before.median, rel=1e-3)
        was, now = before.interval(0.9), after.interval(0.9)
        room = 0.05 * (float(was.upper) - float(was.lower))  # a few per cent may go to the lessons
        assert (now.lower, now.upper) == pytest.approx((was.lower, was.upper), abs=room)


def test_lessons_on_one_loss_say_nothing_of_the_other() -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)])
    watcher, taught = Watcher(schedule=cosine()), Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        for each in (watcher, taught):
            each.update(step, float(loss), val_loss=float(loss) + 0.1 if step % 50 == 0 else None)
    assert taught.forecast(of="val").median == watcher.forecast(of="val").median
    assert taught.forecast(of="train").median != watcher.forecast(of="train").median


def test_both_losses_of_a_run_teach() -> None:
    learnt = learn_prior([stalling(seed, validated=True) for seed in range(3)])
    assert [sum(row[1] == of_val for row in learnt.lessons) for of_val in (1.0, 0.0)] == [27, 27]
    watchers = [Watcher(schedule=Schedule.constant(3000), prior=prior) for prior in (Prior(), learnt)]
    run = stalling(9, validated=True)
    for step, train, val in zip(range(1, 1201), run.train_loss, run.val_loss, strict=False):
        for each in watchers:
            each.update(step, float(train), None if np.isnan(val) else float(val))
    before, after = (abs(float(each.forecast(of="train").median) - 1.6) for each in watchers)
    assert after < 0.25 * before


def test_a_run_that_ends_at_exactly_zero_teaches_that() -> None:
    learnt_by_heart = finished(0, alpha=0.5, decay=0.0, schedule=Schedule.constant(3000))
    learnt_by_heart.train_loss = np.maximum(2.0 - STEPS / 1450.0, 0.0)
    said: list[str] = []
    lessons = learn_prior([learnt_by_heart], left_out=lambda _, why: said.append(why)).lessons
    assert said == []
    assert {Lesson(*row).came for row in lessons} == {-1.0}


def test_what_has_been_seen_is_not_moved() -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)])
    watcher, taught = Watcher(schedule=cosine()), Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        watcher.update(step, float(loss))
        taught.update(step, float(loss))
    steps = np.array([700, 1500, 3000])
    before, after = (np.asarray(each.forecast(at=steps).median) for each in (watcher, taught))
    assert np.isclose(before, after, rtol=1e-9).tolist() == [True, True, False]


def lesson(run: float, came: float, at: tuple[float, ...] = PLACE, *, sd: float = 0.01, noise: float = 0.0) -> Lesson:
    """A lesson of a forecast half-way, which foresaw a change of -0.1."""
    z = (came + 0.1) / sd
    density = -0.5 * z * z - math.log(sd * math.sqrt(2.0 * math.pi))
    return Lesson(*(run, 1.0, -0.7, *at, -0.1, sd, came, noise, density))


def places(*at: tuple[float, ...], sd: float = 0.01) -> Places:
    return Places(np.array(at), np.full(len(at), -0.1), np.full(len(at), sd))


def expected(rows: Iterable[Lesson], of: Places) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What such lessons foresee: the change, its standard deviation, and the probability that they hold."""
    lessons = lessons_on(tuple(rows), True, *of.at[0, 3:5])
    assert lessons is not None
    return lessons.expected(of)


def test_runs_that_share_nothing_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    apart = tuple(lesson(k, came) for k, came in enumerate([*(-0.1 + 0.002 * rng.standard_normal(12)), 0.8, -0.9, 0.8]))
    alike = tuple(lesson(k, -0.08 + 0.001 * k) for k in range(4))
    for rows, holds in ((apart, False), (alike, True)):
        lessons = lessons_on(rows, of_val=True, size=PLACE[3], batch=PLACE[4])
        assert lessons is not None
        _, _, held = lessons.expected(places(PLACE))
        assert bool(held[0] > 0.85) is holds
        assert lessons_on(rows, of_val=False) is None


def test_lessons_hold_where_a_forecast_stands_alike() -> None:
    lessons = lessons_on(tuple(lesson(k, -0.08) for k in range(4)), of_val=True, size=PLACE[3], batch=PLACE[4])
    assert lessons is not None
    later, lower = (*PLACE[:5], PLACE[5] + 8.0, PLACE[6]), (*PLACE[:6], PLACE[6] - 3.0)
    change, sd, held = lessons.expected(places(PLACE, later, lower))
    assert change[0] == pytest.approx(-0.08, abs=0.005)
    assert sd[0] < 0.01
    assert held[0] > 0.9
    assert held[1:].max() < 0.5


def of_size(size: float) -> tuple[float, ...]:
    return (*PLACE[:3], size, *PLACE[4:])


def of_batch(batch: float) -> tuple[float, ...]:
    return (*PLACE[:4], batch, *PLACE[5:])


def test_a_trend_in_the_size_is_carried_on() -> None:
    rows = [lesson(k, -0.1 + 0.01 * k, of_size(14.0 + 1.4 * k)) for k in range(3)]
    change, sd, _ = expected(rows, places(of_size(16.8), of_size(18.2)))
    assert change[0] == pytest.approx(-0.08, abs=0.005)
    assert change[1] > change[0] + 0.002
    assert sd[1] > sd[0]


def test_runs_of_a_batch_teach_those_of_the_same_batch_most() -> None:
    rows = [lesson(k, -0.1 + (0.01 if k % 2 else -0.01), of_batch(12.0 if k % 2 else 9.0)) for k in range(6)]
    change, _, _ = expected(rows, places(of_batch(9.0), of_batch(12.0)))
    assert change[0] < -0.103
    assert change[1] > -0.097


def test_where_the_law_was_the_better_one_lessons_hold_less() -> None:
    rng = np.random.default_rng(0)
    learners = [lesson(k, -0.02 + 0.1 * rng.standard_normal(), sd=0.05) for k in range(4)]
    flat = [lesson(4 + k, -0.1 + 1e-4 * rng.standard_normal(), sd=1e-4) for k in range(4)]
    _, _, held = expected([*learners, *flat], places(PLACE, sd=1e-4))
    _, _, elsewhere = expected([*learners, *flat], places(PLACE, sd=0.05))
    assert held[0] < 0.5 < elsewhere[0]


def test_the_noise_of_an_end_is_in_the_interval_of_the_next() -> None:
    (_, sure, _), (_, unsure, _) = (
        expected([lesson(k, -0.08, noise=noise) for k in range(4)], places(PLACE)) for noise in (0.0, 0.05)
    )
    assert unsure[0] > 1.4 * sure[0]


def noisy_team(seed: int, *, runs: int) -> list[Lesson]:
    """Runs whose ends the law foresees as well as it says, and that are known to within their noise."""
    rng, rows = np.random.default_rng(seed), []
    for run in range(runs):
        end = 0.006 * rng.standard_normal()
        for share in (0.05, 0.1, 0.16, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9):
            left, sd = -math.log(share), 0.1 * (1.0 - share) ** 1.5 + 0.001
            at = (left, share, 1.0 - share, 14.0, 9.0, 8.0 + math.log(share), 1.0)
            change = -0.1 * left
            came = change + sd * rng.standard_normal() + end
            density = -0.5 * ((came - change) / sd) ** 2 - math.log(sd * math.sqrt(2.0 * math.pi))
            rows.append(Lesson(run, 1.0, -left, *at, change, sd, came, 0.006, density))
    return rows


def test_runs_that_the_law_foresees_rightly_do_not_spoil_it() -> None:
    taught, untaught = [], []
    for seed in range(12):
        *rows, new = np.split(np.array(noisy_team(seed, runs=9)), 9)
        change, sd, came = new[:, 10], new[:, 11], new[:, 12]
        learnt = lessons_on(tuple(map(tuple, np.concatenate(rows).tolist())), True, 14.0, 9.0)
        assert learnt is not None
        told, _, held = learnt.expected(Places(new[:, 3:10], change, sd))
        taught.append(np.abs(change + held * (told - change) - came) / np.hypot(sd, 0.006))
        untaught.append(np.abs(change - came) / np.hypot(sd, 0.006))
    assert np.mean(taught) < 1.03 * np.mean(untaught)


def test_strangers_in_the_folder_teach_nothing() -> None:
    rows = [lesson(k, -0.08 + 0.001 * k) for k in range(4)]
    strangers = [lesson(4 + k, 0.1 * k, (*PLACE[:3], 6.0, 3.0, *PLACE[5:])) for k in range(4)]
    alone, together = (lessons_on(tuple(of), True, PLACE[3], PLACE[4]) for of in (rows, [*rows, *strangers]))
    assert alone is not None
    assert together is not None
    assert together.habits == alone.habits
    assert lessons_on(tuple(strangers), True, PLACE[3], PLACE[4]) is None


def test_one_run_that_went_astray_does_not_teach_all() -> None:
    rows = [lesson(k, -0.08) for k in range(6)]
    astray = [lesson(6, 0.2)]
    (change, _, _), (spoilt, _, _) = expected(rows, places(PLACE)), expected([*rows, *astray], places(PLACE))
    assert spoilt[0] == pytest.approx(change[0], abs=0.006)


def dropping(seed: int) -> SimpleNamespace:
    """A run that falls by a fifth at step 1000, as small networks do, and has not shown it before."""
    run = finished(seed, alpha=0.5, decay=0.0, schedule=Schedule.constant(3000))
    run.train_loss = (1.0 - 0.2 / (1.0 + np.exp((1000.0 - STEPS) / 30.0))) * run.train_loss + 0.01 * seed
    return run


def test_a_drop_at_the_same_step_in_all_runs_is_foreseen() -> None:
    quarter = backtests(dropping(9))[3]
    learnt = learn_prior([dropping(seed) for seed in range(4)])
    before, after = (Forecaster().forecast(quarter, prior)[0] for prior in (Prior(), learnt))
    assert abs(float(after.median) - quarter.truth) < 0.25 * abs(float(before.median) - quarter.truth)
    assert quarter.truth in after.interval(0.9)


def test_curves_are_drawn_from_what_is_forecast() -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)])
    watcher = Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        watcher.update(step, float(loss))
    steps = np.array([1500.0, 2000.0, 3000.0])
    ahead, drawn = watcher.forecast(at=steps), watcher.judge.view().draw(steps, 2000, val=False)
    assert drawn.mean(axis=0) == pytest.approx(np.asarray(ahead.mean), rel=2e-3)
    assert drawn.std(axis=0) == pytest.approx(np.asarray(ahead.std), rel=0.15)


def stalling(seed: int, *, validated: bool = False) -> SimpleNamespace:
    """A run that stands still until it falls by a fifth at step 1500."""
    run = finished(seed, alpha=0.5, decay=0.0, schedule=Schedule.constant(3000))
    noise = 0.01 * np.random.default_rng(seed).standard_normal(len(STEPS))
    run.train_loss = 2.0 - 0.4 / (1.0 + np.exp((1500.0 - STEPS) / 30.0)) + noise
    if validated:
        run.val_loss = np.where(STEPS % 30 == 0, run.train_loss + 0.05, np.nan)
    return run


@pytest.mark.parametrize("validated", [False, True])
def test_a_plateau_that_all_runs_have_left_is_none(validated: bool) -> None:
    found = []
    for prior in (Prior(), learn_prior([stalling(seed, validated=validated) for seed in range(4)])):
        watcher = Watcher(schedule=Schedule.constant(3000), prior=prior)
        run = stalling(9, validated=validated)
        for step, train, val in zip(range(1, 1201), run.train_loss, run.val_loss, strict=False):
            watcher.update(step, float(train), None if np.isnan(val) else float(val))
        finding = Plateau().decide(watcher.judge.view())
        assert finding is not None
        found.append((finding.probability, finding.details["expected_gain"]))
    (before, _), (after, gain) = found
    assert before > 0.75
    assert after < 0.1
    assert gain == pytest.approx(0.4, abs=0.1 if validated else 0.05)  # one validation tells less of an end


def overfitting(seed: int) -> SimpleNamespace:
    """A run whose validation loss turns at step 900 and levels off high."""
    run = finished(seed, alpha=0.5, decay=0.0, schedule=Schedule.constant(3000))
    rng = np.random.default_rng(seed)
    rise = 0.5 * (1.0 - np.exp(-np.maximum(STEPS - 900.0, 0.0) / 400.0))
    val = 2.0 + 3.0 * STEPS**-0.5 + rise + 0.005 * rng.standard_normal(len(STEPS))
    run.val_loss = np.where(STEPS % 30 == 0, val, np.nan)
    return run


def test_a_rise_is_foreseen_as_it_went_in_other_runs() -> None:
    ahead = []
    for prior in (Prior(), learn_prior([overfitting(seed) for seed in range(4)])):
        watcher, run = Watcher(schedule=Schedule.constant(3000), prior=prior), overfitting(9)
        for step, train, val in zip(range(1, 1501), run.train_loss, run.val_loss, strict=False):
            watcher.update(step, float(train), val_loss=None if math.isnan(val) else float(val))
        assert watcher.judge.view().behind > 0.5
        ahead.append(watcher.forecast())
    before, after = (abs(float(each.mean) - run.val_loss[-1]) for each in ahead)
    assert after < 0.6 * before
    assert [float(each.weight.sum()) for each in ahead] == pytest.approx([1.0, 1.0])


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
    assert intervals[1].width < 0.75 * intervals[0].width
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


def test_a_prior_of_before_is_refused(tmp_path: Path) -> None:
    Prior().save(tmp_path / "prior.json")
    state = json.loads((tmp_path / "prior.json").read_text(encoding="utf-8")) | {"schema": 3}
    with pytest.raises(ValueError, match=r"must be 5: got 3. Learn it anew, from the same runs"):
        Prior.from_dict(state)


def test_a_prior_of_before_that_was_taught_nothing_still_holds(tmp_path: Path) -> None:
    Prior().save(tmp_path / "prior.json")
    state = json.loads((tmp_path / "prior.json").read_text(encoding="utf-8")) | {"schema": 4}
    assert Prior.from_dict(state) == Prior()
    with pytest.raises(ValueError, match=r"must be 5: got 4. Learn it anew, from the same runs"):
        Prior.from_dict(state | {"lessons": [[0.0] * 14]})


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


def blown_up(end: float) -> SimpleNamespace:
    """A run whose loss from two thirds on is so much higher, or no number."""
    run = finished(8, alpha=0.5, decay=0.2, schedule=cosine())
    run.train_loss = run.train_loss + np.where(STEPS > 2000, end, 0.0)
    return run


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (3.0, "it ended at .*, far above the .* that it had reached"),
        (math.inf, "no loss is known after step 2000 of 3000"),
        (math.nan, "no loss is known after step 2000 of 3000"),
    ],
)
def test_a_run_that_diverged_is_left_out_and_it_is_said(end: float, why: str) -> None:
    sound = [finished(seed, alpha=0.5, decay=0.2, schedule=cosine()) for seed in range(2)]
    said: list[tuple[FinishedRun, str]] = []
    diverged = blown_up(end)
    learnt = learn_prior([*sound, diverged], left_out=lambda run, told: said.append((run, told)))
    assert len({row[0] for row in learnt.lessons}) == 2
    ((run, told),) = said
    assert run is diverged
    assert re.fullmatch(f"it diverged: {why}", told)


def test_runs_that_overfit_or_stand_still_have_not_diverged() -> None:
    overfit, still = (finished(seed, alpha=0.5, decay=0.2, schedule=cosine()) for seed in range(2))
    overfit.val_loss = np.where(STEPS % 50 == 0, 2.0 + 1.5 * STEPS / 3000.0, np.nan)
    still.train_loss = 2.0 + 0.1 * np.random.default_rng(0).standard_normal(len(STEPS))
    said: list[str] = []
    learn_prior([overfit, still], left_out=lambda _, why: said.append(why))
    assert said == []


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
        {"lessons": (("a",) * 15,)},
        {"lessons": ((10**400,) * 15,)},
        {"lessons": ((1.0, *(1e6,) * 14),)},
        {"lessons": ((1.0,) * 15,) * 2_000},
        {"alpha": (0.5, "a")},
        {"alpha": (1e300, 1e-300)},
        {"alpha_log_mean": 3.0, "alpha_log_sd": 0.01},
        {"window": (5.0, 6.0, 7.0)},
        {"onset": (0.0,)},
        {"annealing_shape": ((0.1, "a"),)},
        {"annealing_log_sd": 1e300},
        {"sudden_size": 1e300},
        {"size": "large"},
        {"batch": 0.0},
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


@pytest.mark.parametrize("seed", range(6))
def test_whatever_lessons_a_file_may_hold_the_forecast_is_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.choice([-1e3, -1.0, -1e-3, 0.0, 1e-3, 1.0, 1e3], (60, 15))
    rows[:, 0], rows[:, 1] = rng.integers(0, 1 + 20 * (seed % 3), 60), 0.0
    watcher = Watcher(prior=Prior(lessons=tuple(map(tuple, rows.tolist()))), schedule=cosine())
    for step in range(1, 200):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.3)
    ends = watcher.forecast().interval(0.9)
    assert -math.inf < ends.lower < ends.upper < math.inf


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
