from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher, learn_prior
from curvecast.backtests import Backtest, Forecaster, backtests
from curvecast.curve import FinishedRun, FloatArray
from curvecast.decisions.plateau import Plateau
from curvecast.fit.lessons import Lesson
from curvecast.learn import foretold

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


@cache
def from_four() -> Prior:
    """Learnt from four runs whose decay brings much."""
    return learn_prior([finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)])


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
    assert len(gain) == 20
    assert np.mean(gain) > 0.3


@pytest.mark.parametrize("decay", [0.3, 0.5])
def test_what_a_decay_brings_is_learnt(decay: float) -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=decay, schedule=cosine()) for seed in range(4)])
    halfway = backtests(finished(9, alpha=0.5, decay=decay, schedule=cosine()))[5]
    before, after = (float(Forecaster().forecast(halfway, prior)[0].median) for prior in (Prior(), learnt))
    assert abs(after - halfway.truth) < 0.7 * abs(before - halfway.truth)


def test_a_run_that_resembles_none_is_forecast_as_before() -> None:
    learnt = from_four()
    other = finished(9, alpha=0.5, decay=0.0, schedule=Schedule.constant(3000))
    other.meta["num_params"] = 1e12
    other.train_loss = 50.0 * other.train_loss  # in another unit
    tests = backtests(other)
    assert len(tests) > 5
    for test in tests:
        before, after = (Forecaster().forecast(test, prior)[0] for prior in (Prior(), learnt))
        assert after.median == pytest.approx(before.median, rel=1e-3)
        was, now = before.interval(0.9), after.interval(0.9)
        room = 0.05 * (float(was.upper) - float(was.lower))  # a few per cent may go to the lessons
        assert (now.lower, now.upper) == pytest.approx((was.lower, was.upper), abs=room)


def test_lessons_on_one_loss_say_nothing_of_the_other() -> None:
    learnt = from_four()
    watcher, taught = Watcher(schedule=cosine()), Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        for each in (watcher, taught):
            each.update(step, float(loss), val_loss=float(loss) + 0.1 if step % 50 == 0 else None)
    assert taught.forecast(of="val").median == watcher.forecast(of="val").median
    assert taught.forecast(of="train").median != watcher.forecast(of="train").median


def test_both_losses_of_a_run_teach() -> None:
    learnt = learn_prior([stalling(seed, validated=True) for seed in range(3)])
    assert [sum(row[1] == of_val for row in learnt.lessons) for of_val in (1.0, 0.0)] == [30, 30]
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


def test_a_law_that_is_surer_neither_teaches_nor_is_taught_otherwise() -> None:
    """One that doubts itself less was believed more than what siblings taught (docs/log.md)."""
    runs = [finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(5)]
    for run in runs:
        run.meta["num_params"] = 1e8
    widths, lessons, taught = [], [], []
    for drop_error in (0.2, 0.02):
        prior = Prior(small=(), wide=(), drop_error=drop_error, lesson_error=0.2)
        learnt = learn_prior(runs[:4], start=prior)
        law, told = (Watcher(schedule=cosine(), num_params=1e8, prior=each) for each in (prior, learnt))
        for step, loss in enumerate(runs[4].train_loss[:300], 1):
            law.update(step, float(loss))
            told.update(step, float(loss))
        ahead, drawn = law.forecast(), told.forecast()
        widths.append(float(ahead.interval(0.5).upper - ahead.interval(0.5).lower))
        lessons.append(learnt.lessons)
        taught.append((drawn.weight[:4, 0], drawn.means[:4, 0], drawn.stds[:4, 0]))  # the four that lessons give
    assert widths[1] < 0.7 * widths[0]
    assert lessons[1] == lessons[0]
    assert taught[0][0].sum() > 0.5
    np.testing.assert_allclose(taught[1], taught[0], rtol=1e-9)


@pytest.fixture
def at_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """All losses are fitted, as where a verdict is due: between two only runs that were taught are fitted to all."""
    monkeypatch.setattr("curvecast.fit.newest._MANY", math.inf)


@pytest.mark.usefixtures("at_a_verdict")
def test_what_has_been_seen_or_is_next_is_not_moved() -> None:
    learnt = from_four()
    watcher, taught = Watcher(schedule=cosine()), Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        watcher.update(step, float(loss))
        taught.update(step, float(loss))
    steps = np.array([700, 1500, 1540, 3000])
    before, after = (np.asarray(each.forecast(at=steps).median) for each in (watcher, taught))
    assert np.isclose(before, after, rtol=1e-9).tolist() == [True, True, True, False]


def diving(seed: int, *, every: int = 1) -> SimpleNamespace:
    """A run that falls by a hundredth in its last fortieth, as no plan tells."""
    run = finished(seed, alpha=0.5, decay=0.0, schedule=Schedule.constant(3000))
    run.train_loss = run.train_loss - 0.02 * np.clip((STEPS - 2925.0) / 25.0, 0.0, 1.0)
    run.train_loss[STEPS % every != 0] = np.nan
    return run


def without_the_last(prior: Prior) -> Prior:
    """What a file of before knew, which has no lessons of the end."""
    return replace(prior, lessons=tuple(row for row in prior.lessons if not Lesson(*row).is_late))


def test_what_comes_in_the_last_steps_is_learnt_there() -> None:
    learnt, run = learn_prior([diving(seed) for seed in range(4)]), diving(9)
    told = [Watcher(schedule=Schedule.constant(3000), prior=prior) for prior in (learnt, without_the_last(learnt))]
    end, off = 2.0 + 3.0 * 3000**-0.5 - 0.02, []
    for step, loss in zip(range(1, 2911), run.train_loss, strict=False):
        for each in told:
            each.update(step, float(loss))
        if step in (1500, 2700, 2910):
            off.append([float(each.forecast().median) - end for each in told])
    assert off[0][0] == off[0][1]
    assert off[1][0] == off[1][1]
    assert abs(off[2][0]) < 0.3 * abs(off[2][1])


def test_a_run_that_is_logged_no_more_near_its_end_teaches_nothing_of_it() -> None:
    shares = [[test.now / test.end for test in backtests(diving(0, every=every))] for every in (1, 100, 200)]
    assert [sum(share >= 0.95 for share in each) for each in shares] == [1, 1, 0]
    assert [max(each) for each in shares] == pytest.approx([0.97, 29 / 30, 26 / 30])


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
    learnt = from_four()
    watcher = Watcher(schedule=cosine(), prior=learnt)
    for step, loss in enumerate(finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500], 1):
        watcher.update(step, float(loss))
    steps = np.array([1500.0, 2000.0, 3000.0])
    view = watcher.judge.view()
    ahead, drawn = view.by_law(steps, is_logged=False), view.draw(steps, 20_000, val=False)  # one in fifty is wide
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


@cache
def from_overfitting() -> Prior:
    return learn_prior([overfitting(seed) for seed in range(4)])


def test_a_rise_is_foreseen_as_it_went_in_other_runs() -> None:
    ahead = []
    for prior in (Prior(), from_overfitting()):
        watcher, run = Watcher(schedule=Schedule.constant(3000), prior=prior), overfitting(9)
        for step, train, val in zip(range(1, 1501), run.train_loss, run.val_loss, strict=False):
            watcher.update(step, float(train), val_loss=None if math.isnan(val) else float(val))
        assert watcher.judge.view().behind > 0.5
        ahead.append(watcher.forecast())
    before, after = (abs(float(each.mean) - run.val_loss[-1]) for each in ahead)
    assert after < 0.6 * before
    assert [float(each.weight.sum()) for each in ahead] == pytest.approx([1.0, 1.0])


def test_lessons_give_way_to_a_rise_the_more_of_it_was_seen() -> None:
    run, kept = overfitting(9), []
    watcher = Watcher(schedule=Schedule.constant(3000), prior=from_overfitting())
    for step, train, val in zip(STEPS.tolist(), run.train_loss, run.val_loss, strict=True):
        watcher.update(step, float(train), val_loss=None if math.isnan(val) else float(val))
        if step in (1500, 2700):
            view = watcher.judge.view()
            told, left = view.by_law(3000), view.by_law(3000, turned=1.0)
            kept.append(float(left.weight.sum() / told.weight[:5].sum()))
    assert kept == pytest.approx([0.5, 0.1])


def follow(prior: Prior, num_params: float, *, shift: float = 0.0) -> Watcher:
    """A run that falls faster and faster, as no law has it, seen up to its middle."""
    watcher = Watcher(schedule=cosine(), num_params=num_params, prior=prior)
    losses = finished(9, alpha=0.5, decay=0.4, schedule=cosine()).train_loss[:1500]
    for step, loss in enumerate(losses - 4e-4 * np.maximum(STEPS[:1500] - 500, 0) + shift, 1):
        watcher.update(step, float(loss))
    return watcher


@cache
def from_four_of_size(num_params: float) -> Prior:
    runs = [finished(seed, alpha=0.5, decay=0.4, schedule=cosine()) for seed in range(4)]
    for run in runs:
        run.meta["num_params"] = num_params
    return learn_prior(runs)


@pytest.mark.usefixtures("at_a_verdict")
def test_a_small_run_that_resembles_none_is_forecast_from_its_own_past_all_the_same() -> None:
    learnt = from_four_of_size(1e5)
    untaught, taught = (follow(prior, 1e5, shift=5000.0) for prior in (Prior(), learnt))
    view = untaught.judge.view()
    assert view.missed is not None
    assert view.by_law(3000).median != pytest.approx(float(view.forecast(3000).median), rel=1e-7)
    assert taught.forecast().median == pytest.approx(float(untaught.forecast().median), rel=1e-8)


def test_a_run_that_no_law_can_be_of_is_forecast_all_the_same() -> None:
    watcher = Watcher(schedule=cosine(), num_params=1e8, prior=from_four_of_size(1e8))
    for step in range(1, 31):
        watcher.update(step, 1e20 if step == 2 else 5.0 - 0.01 * step)
    ends = watcher.forecast().interval(0.9)
    assert 0.0 < ends.lower <= ends.upper < math.inf


@pytest.mark.parametrize(
    ("size", "shift", "says"),
    [
        (1e5, 0.0, "It goes by 4 finished runs of about this size for "),
        (1e5, 5000.0, "It owes nothing to 4 finished runs of about this size, for none is like it."),
        (1e10, 0.0, "No finished run that was learnt from is about as large and logged this loss: none counts."),
    ],
)
def test_it_is_said_how_far_a_forecast_goes_by_finished_runs(size: float, shift: float, says: str) -> None:
    learnt = from_four_of_size(1e5)
    assert says in follow(learnt, size, shift=shift).verdict.message
    assert "finished run" not in follow(Prior(), size, shift=shift).verdict.message


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


def test_it_is_told_how_far_runs_foretell_one_another() -> None:
    alike = [finished(seed, alpha=0.5, decay=0.5, schedule=cosine()) for seed in range(4)]
    rng = np.random.default_rng(0)
    apart = [finished(seed, alpha=0.5, decay=rng.uniform(-0.6, 0.6), schedule=cosine()) for seed in range(4)]
    (shared,), (own,) = (foretold(learn_prior(runs)) for runs in (alike, apart))
    assert (shared.of, shared.runs) == ("train", 4)
    assert shared.taught < 0.3 * shared.untaught
    assert own.taught > 0.6 * own.untaught
    assert foretold(learn_prior(alike[:1])) == []


def test_it_is_told_of_each_loss_how_far_runs_foretell_it() -> None:
    """Of these, validation turns, as none would foretell who knows none of the others."""
    val, train = foretold(from_overfitting())
    assert (val.of, val.runs, train.of, train.runs) == ("val", 4, "train", 4)
    assert val.taught < 0.1 * val.untaught
    assert train.untaught < 0.1 > train.taught  # there is nothing to be taught


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


def test_what_was_learnt_survives_its_file(tmp_path: Path) -> None:
    learnt = learn_prior([finished(0, alpha=0.5, decay=0.1, schedule=cosine())])
    learnt.save(tmp_path / "prior.json")
    assert Prior.load(tmp_path / "prior.json") == learnt
    assert len(repr(learnt)) < 2 * len(repr(learnt.untaught))  # it is printed without its thousands of numbers


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


@pytest.mark.parametrize("runs", ["runs/d12", 5, None, ["runs/d12"], [None], [{"steps": [1]}]])
def test_what_is_no_list_of_runs_is_refused(runs: Any) -> None:
    with pytest.raises(TypeError, match=r"`runs` must .*Pass what `curvecast.read` gives"):
        learn_prior(runs)


def test_a_path_is_no_prior_to_start_from() -> None:
    with pytest.raises(TypeError, match=r"`start` must be a curvecast.Prior"):
        learn_prior([finished(0, alpha=0.5, decay=0.1, schedule=cosine())], start="prior.json")  # type: ignore[arg-type]


def test_whole_curves_are_learnt_and_kept_in_a_priors_file(tmp_path: Path) -> None:
    learnt = learn_prior([finished(seed, alpha=0.5, decay=0.1, schedule=cosine()) for seed in range(3)])
    assert {row[0] for row in learnt.curves} == {0.0, 1.0, 2.0}
    assert sum(row[2] == 0.0 for row in learnt.curves) == 3  # their ends
    learnt.save(tmp_path / "prior.json")
    assert Prior.load(tmp_path / "prior.json").curves == learnt.curves
    assert learnt.untaught.curves == ()


@pytest.mark.parametrize("strange", [(0.0, 1.0), (0.0,) * 10 + ("a",), (0.0,) * 10 + (math.nan,), 5.0])
def test_a_point_of_a_curve_that_is_none_is_refused_and_shown(strange: Any) -> None:
    told = f"`curves` must hold rows of 11 numbers within 1000: got {strange!r} as row 2. Learn the prior anew"
    with pytest.raises(ValueError, match=re.escape(told)):
        Prior(curves=((0.0,) * 11, strange))


def test_of_more_than_32_runs_the_oldest_ones_lessons_and_curves_go() -> None:
    run = finished(0, alpha=0.5, decay=0.1, schedule=cosine())
    one = learn_prior([run])
    lessons, curves = (
        tuple((float(k), *row[1:]) for k in range(32) for row in rows) for rows in (one.lessons, one.curves)
    )
    learnt = learn_prior([run], start=replace(one, lessons=lessons, curves=curves))
    for rows in (learnt.lessons, learnt.curves):
        assert {row[0] for row in rows} == {float(k) for k in range(1, 33)}
