"""Many runs at once get what each gets alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curvecast.curve import NO_BINS, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many, fit_under
from curvecast.fit.fitting import fit
from curvecast.fit.grid import Grid
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.forecast import forecast
from curvecast.schedule import Schedule

SHAPE = ("alpha", "offset", "floor", "rate", "onset", "drift")


def job(rng: np.random.Generator, *, fall: float = 0.0, shift: float = 0.0) -> Job:
    """A run that may be short, noisy, of one loss or two in one unit or several, turned up, on a schedule or none.

    Args:
        rng: what draws it.
        fall: e-folds by which it falls besides.
        shift: what is taken off its losses.
    """
    count = int(rng.choice([13, 100, 2000]))
    steps = np.arange(1, count + 1) * int(rng.choice([1, 10]))
    losses = 2.0 + 3.0 * steps ** -rng.uniform(0.1, 0.8) + rng.choice([0.0, 0.01, 0.2]) * rng.standard_normal(count)
    losses = losses * np.exp(-fall * steps / steps[-1]) - shift
    train, val, kind = Series(), Series(), int(rng.integers(4))
    if kind < 3:
        train.extend(steps, losses)
    if kind:
        every = max(count // int(rng.choice([3, 20])), 1)
        rise = rng.choice([0.0, 0.4]) * np.maximum(np.log2(4.0 * steps / steps[-1]), 0.0)
        val.extend(steps[::every], (rng.choice([1.0, 1.0, 5.0]) * (losses + 0.1 + rise))[::every])
    prior = (Prior(), *map(Prior().for_size, (None, 1e4, 1e8)))[int(rng.integers(4))]
    end = int(steps[-1])
    plans = (None, Schedule.cosine(2 * end, warmup=5), Schedule.wsd(int(1.2 * end), decay=0.5))
    clock = Timeline(plans[int(rng.integers(3))], prior.annealing_shape, lasting=bool(rng.random() < 0.5))
    return Job(train.bins(), val.bins(), clock, prior, bool(val.total), float(max(train.last_step, val.last_step)))


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    rng = np.random.default_rng(0)
    kinds = {"fall": 6.0}, {"shift": 4.0}, {"fall": 25.0}
    falling, negative, vanishing = ([job(rng, **kind) for _ in range(20)] for kind in kinds)
    return [*(job(rng) for _ in range(150)), *falling, *negative, *vanishing]


def test_many_runs_at_once_get_what_each_gets_alone(jobs: list[Job]) -> None:
    for asked, found in zip(jobs, fit_many(jobs), strict=True):
        alone = fit(*asked[:4], of_val=asked.of_val, now=asked.now)
        for name in SHAPE:
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
        assert (found.scale, found.now, found.turned) == (alone.scale, alone.now, alone.turned)
        assert found.evidence == pytest.approx(alone.evidence, abs=1e-6)
        at = asked.now * np.array([1.0, 2.0, 8.0])
        for of in ("train", "val"):
            ours, theirs = (forecast(posterior, at, of=of) for posterior in (found, alone))
            for q in (0.05, 0.5, 0.95):
                # Their last turn ends by a threshold, so that rounding may cost one more.
                np.testing.assert_allclose(ours.quantile(q), theirs.quantile(q), rtol=2e-6)
            np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-9)
            np.testing.assert_allclose(ours.std, theirs.std, rtol=1e-8)


def under(asked: Job, prior: Prior) -> Posterior:
    return fit(asked.train, asked.val, asked.timeline, prior, of_val=asked.of_val, now=asked.now)


def test_two_priors_at_once_say_what_two_fits_say(jobs: list[Job]) -> None:
    """The same evidence; the same mixture, but for which of all shapes were drawn to stand for it."""
    sizes, at, off = set(), np.array([1.0, 3.0]), []
    for asked in jobs:
        prior, beside = asked.prior, asked.prior.beside
        if beside is None:
            continue
        sizes.add(prior.size)
        both, *alone = (under(asked, each) for each in (prior, replace(prior, beside=None), beside))
        log = np.array([each.evidence for each in alone]) + np.log([1.0 - prior.unlike, prior.unlike])
        assert both.evidence == pytest.approx(np.logaddexp.reduce(log), abs=1e-7)
        assert len(both.weight) <= max(len(each.weight) for each in alone) + 24  # flat shapes of a second prior
        share, means, squares = np.exp(log - np.logaddexp.reduce(log)), [], []
        for each in (both, *alone):
            mean, variance = each.moments(asked.now * at, val=asked.of_val)
            means.append(mean @ each.weight)
            squares.append((variance + mean * mean) @ each.weight)
        mean = share @ means[1:]
        off += ((means[0] - mean) / np.sqrt(share @ squares[1:] - mean * mean)).tolist()
    assert sizes == {None, 1e8}
    assert (np.quantile(np.abs(off), [0.5, 0.9, 1.0]) < [0.02, 0.1, 0.5]).all()


def test_the_company_of_a_run_changes_nothing_but_rounding(jobs: list[Job]) -> None:
    together = fit_many(jobs[:70])
    for k in (0, 13, 69):
        (alone,) = fit_many([jobs[k]])
        np.testing.assert_array_equal(alone.alpha, together[k].alpha)
        np.testing.assert_allclose(alone.weight, together[k].weight, rtol=1e-9)


def test_a_run_before_its_decay_pays_for_no_annealing_shapes_beside_one_within(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, grids = np.arange(1, 1001), []

    def watched(*args: Any, **settings: Any) -> Grid:
        grids.append(Grid(*args, **settings))
        return grids[-1]

    train = Series()
    train.extend(steps, np.asarray(2.0 + 3.0 * steps**-0.5, dtype=np.float64))
    plans = Schedule.cosine(2000), Schedule.wsd(2000), Schedule.constant(2000)
    clocks = [Timeline(plan, Prior().annealing_shape) for plan in plans]
    monkeypatch.setattr("curvecast.fit.batch.Grid", watched)
    fit_many([Job(train.bins(), NO_BINS, clock, Prior(), False, 1000.0) for clock in clocks])
    assert {(grid.runs, len(grid.zz)) for grid in grids} == {(1, 5), (2, 1)}


def test_a_level_run_beside_one_that_turns_up_gets_what_it_gets_alone() -> None:
    """Onsets are asked for in both, but in the level one none is drawn."""
    rng, steps = np.random.default_rng(2), np.arange(1, 2001)
    clock, prior, jobs = Timeline(None, Prior().annealing_shape), Prior().for_size(1e5), []
    for rise in (0.0, 0.4):
        train, val = Series(), Series()
        train.extend(steps[:1500], (1.5 + 0.02 * rng.standard_normal(2000))[:1500])  # too old to tell of the rise
        turn = rise * np.abs(np.log(steps[49::50] / 700))
        val.extend(steps[49::50], 1.5 + turn + 0.005 * rng.standard_normal(40))
        jobs.append(Job(train.bins(), val.bins(), clock, prior, True, 2000.0))
    level, rising = fit_many(jobs)
    assert (level.turned, level.grows, rising.turned, rising.grows) == (True, False, True, True)
    alone = fit(*jobs[0][:4], of_val=True, now=2000.0)
    for name in ("weight", "theta", "root", "evidence"):
        np.testing.assert_allclose(getattr(level, name), getattr(alone, name), rtol=1e-9, atol=1e-12)


def test_the_runs_cover_what_a_fit_tells_apart(jobs: list[Job]) -> None:
    grown = [posterior.grows for posterior in fit_many(jobs)]
    assert 10 < sum(grown) < 140
    assert {len(each.train) > 0 for each in jobs} == {len(each.val) > 0 for each in jobs} == {True, False}


def test_no_runs_have_no_posteriors() -> None:
    assert fit_many([]) == []


def test_a_validation_that_stopped_long_ago_is_fitted_alike() -> None:
    step = np.arange(1, 401)
    train, val = Series(), Series()
    train.extend(step, np.asarray(3.0 + 8.0 * step**-0.5, dtype=np.float64))
    val.extend(step[:1], np.array([11.0]))
    prior = Prior().for_size(None)
    asked = Job(train.bins(), val.bins(), Timeline(None, prior.annealing_shape), prior, False, 400.0)
    (found,), alone = fit_many([asked]), fit(*asked[:4], of_val=False, now=400.0)
    np.testing.assert_allclose(found.theta, alone.theta, rtol=1e-9, atol=1e-12)
    assert found.evidence == pytest.approx(alone.evidence, abs=1e-6)


def test_growth_is_asked_for_where_nothing_else_tells_of_a_rise() -> None:
    """A rate of exchange, and the rise itself, say more of a validation beside a train loss."""
    steps, clock, prior = np.arange(1, 2001), Timeline(None, Prior().annealing_shape), Prior().for_size(1e5)
    train, val = Series(), Series()
    train.extend(steps, np.full(2000, 1.5))  # too near for the gap to have opened
    val.extend(steps[49::50], 1.5 + 0.02 * np.abs(np.log(steps[49::50] / 700)))
    jobs = [Job(each, val.bins(), clock, prior, True, 2000.0) for each in (train.bins(), NO_BINS)]
    for found in (fit_many(jobs), [fit(*job[:4], of_val=True, now=2000.0) for job in jobs]):
        assert [(each.turned, each.grows) for each in found] == [(True, False), (True, True)]


def test_a_run_under_several_plans_gets_what_it_gets_under_each(jobs: list[Job]) -> None:
    for asked in jobs[::3]:
        end = int(1.2 * asked.now)
        plans = Schedule.cosine(end), Schedule.linear(end), Schedule.wsd(end, decay=0.5)
        clocks = [Timeline(plan, asked.prior.annealing_shape, lasting=False) for plan in plans]
        for clock, found in zip(clocks, fit_under(asked, clocks), strict=True):
            alone = fit(asked.train, asked.val, clock, asked.prior, of_val=asked.of_val, now=asked.now)
            assert found.evidence == pytest.approx(alone.evidence, abs=1e-6)
            assert (found.turned, found.grows, found.alone) == (alone.turned, alone.grows, alone.alone)
            np.testing.assert_allclose(found.weight, alone.weight, rtol=1e-6, atol=1e-9)


def test_where_growth_may_not_be_it_is_not_asked_of_one_loss_alone_either(jobs: list[Job]) -> None:
    """As is fitted where the law of both stands off it."""
    found = [fit(*asked[:4], of_val=asked.of_val, now=asked.now, may_grow=False) for asked in jobs]
    assert any(each.alone and each.turned for each in found)
    assert not any(each.grows for each in found)
