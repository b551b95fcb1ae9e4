"""Runs whose learning rate nobody tells: decays may be to come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curvecast import Prior, Run, Sample, Schedule, Watcher, learn_prior
from curvecast.curve import LearningRates
from curvecast.fit.under_way import UnderWay
from curvecast.forecast.futures import futures_of
from curvecast.infer.untold import under_way, untold, yet_to_fall
from curvecast.judge import fit_together
from curvecast.testing import simulate

HORIZON = 1000


def watcher_of(seen: int = 500, **settings: object) -> Watcher:
    """A watcher of half a power law's way, without a rate."""
    watcher = Watcher(**{"horizon": HORIZON, "num_params": 124e6} | settings)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for step in range(1, seen + 1):
        watcher.update(step, 2.5 + 6.0 * step**-0.5 + 0.02 * rng.standard_normal())
    return watcher


def test_the_forecast_of_a_large_network_allows_for_a_decay() -> None:
    """It holds both what comes at a constant rate and what a decay would bring."""
    watcher = watcher_of()
    interval = watcher.forecast().interval(0.9)
    held = float(watcher.forecast(schedule=Schedule.constant(HORIZON)).median)
    decayed = float(watcher.forecast(schedule=Schedule.wsd(HORIZON, decay=0.2)).median)
    assert decayed < 0.98 * held
    assert interval.lower < decayed < held < interval.upper


def test_of_many_steps_each_is_forecast_as_it_is_alone() -> None:
    """Though plans that say the same of a step are asked together, and what is known of one is not asked further."""
    for settings in ({"num_params": 124e6}, {"num_params": None}):
        watcher, steps = watcher_of(**settings), np.linspace(500, HORIZON, 21)
        together = watcher.forecast(at=steps)
        parts = np.count_nonzero(together.weight, axis=0)
        assert parts[0] < parts[10] < parts[-1]
        for level in (0.9, 0.5):
            ends = [watcher.forecast(at=step).interval(level) for step in steps]
            assert np.asarray(together.interval(level).lower) == pytest.approx([end.lower for end in ends], rel=1e-12)
            assert np.asarray(together.interval(level).upper) == pytest.approx([end.upper for end in ends], rel=1e-12)


def test_a_rate_that_is_held_is_known_to_bring_no_decay() -> None:
    untold_, held = watcher_of(), watcher_of(lr_held=True)
    assert held.forecast().quantile(0.05) > untold_.forecast().quantile(0.05)


def test_a_decay_is_less_likely_where_nothing_is_known_of_a_network() -> None:
    """So the lower end of its interval moves, and its middle hardly does."""
    any_network, held = watcher_of(num_params=None), watcher_of(num_params=None, lr_held=True)
    moved = [float(held.forecast().quantile(q)) - float(any_network.forecast().quantile(q)) for q in (0.05, 0.5)]
    assert moved[0] > 2.0 * moved[1] >= 0.0


def test_once_a_rate_is_told_it_counts() -> None:
    """And what was only possible before does not."""
    watcher = watcher_of()
    assert not watcher.is_rate_known
    assert watcher.likely_schedule is None
    watcher.update(501, 2.77, lr=3e-4)
    assert watcher.is_rate_known
    assert watcher.likely_schedule is not None
    (likeliest, *others), ahead = Schedule.infer([3e-4], HORIZON, [501]), np.arange(501, HORIZON)
    assert len(others) > 1
    assert watcher.likely_schedule.lr(ahead) == pytest.approx(likeliest.schedule.lr(ahead))


def test_at_the_end_nothing_is_to_come() -> None:
    ended, held = watcher_of(HORIZON), watcher_of(HORIZON, lr_held=True)
    assert ended.forecast().median == held.forecast().median


@pytest.mark.parametrize("now", [1, 2, 500, 998, 999])
@pytest.mark.parametrize("horizon", [1000, 10**7])
def test_the_plans_share_their_past_and_sum_to_one(horizon: int, now: int) -> None:
    plans = list(untold(horizon, now, 1.0))
    assert sum(chance for chance, _ in plans) == pytest.approx(1.0)
    steps = np.unique(np.geomspace(1, horizon, 50).astype(int))
    for _, plan in plans:
        rates = plan.lr(steps)
        assert (rates[steps <= now] == 1.0).all()
        assert (np.diff(rates) <= 1e-12).all()
        assert 0.0 <= rates[-1] <= 1.0


@pytest.mark.parametrize("now", [1, 2, 500, 998, 999])
@pytest.mark.parametrize("horizon", [1000, 10**7])
def test_what_may_have_fallen_and_what_has_not_sum_to_one(horizon: int, now: int) -> None:
    stays, falls = list(yet_to_fall(horizon, now, 1.0)), list(under_way(horizon, now, 1.0))
    assert sum(chance for chance, _ in (*stays, *falls)) == pytest.approx(1.0)
    assert all(float(plan.lr(now)) == 1.0 for _, plan in stays)
    assert all(float(plan.lr(min(2 * now, horizon))) < 1.0 for _, plan in falls)


def fits_of(watcher: Watcher) -> tuple[UnderWay, list[float]]:
    """The fits under decays, and how probable it is that none is under way, and that each is."""
    view = watcher.judge.view()
    assert view.under_way is not None
    fits = view.under_way.weighed(view.posterior)
    return view.under_way, [sum(chance for chance, _ in plans) for _, plans in fits]


def simulated(plan: Schedule, seed: int, **settings: object) -> tuple[Watcher, float]:
    """A watcher of four fifths of a large network's way whose rates nobody tells, and the loss at its end."""
    prior = Prior().for_size(124e6)
    run = simulate(seed, now=2400, horizon=3000, schedule=plan, noise=0.002, prior=prior)
    watcher = Watcher(horizon=3000, num_params=124e6, **settings)  # type: ignore[arg-type]
    watcher.skim(Sample(int(step), float(loss)) for step, loss in zip(run.steps, run.train_loss, strict=True))
    return watcher, run.final_train


def test_losses_tell_a_decay_under_way() -> None:
    """Under a WSD that has decayed for half of its time it is believed the more, under a constant rate the less."""
    falls, stays = (
        [fits_of(simulated(plan, seed)[0])[1][0] for seed in range(16)]
        for plan in (Schedule.wsd(3000, decay=0.4), Schedule.constant(3000))
    )
    assert np.mean(falls) + 0.1 < np.mean(stays)


def test_a_decay_under_way_is_forecast_to_its_end() -> None:
    """Nearly as well as if it were told: a rate that is held is not what these losses show."""
    plan = Schedule.wsd(3000, decay=0.4)
    off: dict[str, list[float]] = {"told": [], "untold": [], "held": []}
    for seed in range(16):
        for name, settings in (("told", {"schedule": plan}), ("untold", {}), ("held", {"lr_held": True})):
            watcher, end = simulated(plan, seed, **settings)
            off[name].append(abs(float(watcher.forecast().median) / end - 1.0))
    told, untold_, held = (float(np.median(each)) for each in off.values())
    assert told < untold_ < 0.7 * held


def test_what_came_since_is_heard_once_under_decays() -> None:
    watcher = watcher_of(900)
    found = [watcher.judge.view().under_way for _ in range(2)]
    watcher.update(901, 2.7)
    found += [watcher.judge.view().under_way for _ in range(2)]
    assert found[0] is found[1] is not found[2] is found[3]


def test_many_fits_at_once_tell_what_each_alone_does() -> None:
    together, alone = watcher_of(850), watcher_of(850)
    fit_together([together.judge, watcher_of(500).judge])
    assert together.forecast().median == pytest.approx(alone.forecast().median, rel=1e-9)


def test_all_plans_together_are_one_forecast() -> None:
    watcher = watcher_of(850)
    assert sum(fits_of(watcher)[1]) == pytest.approx(1.0)
    ahead = watcher.forecast(at=[850, 900, HORIZON])
    assert np.allclose(ahead.weight.sum(axis=0), 1.0)


def test_fits_to_other_losses_are_not_held_against_each_other() -> None:
    """Where one is of a single loss, for the law of both stood off it, its evidence is that of fewer losses."""
    view = watcher_of(850).judge.view()
    assert view.under_way is not None
    other = replace(view.posterior, alone=True, evidence=view.posterior.evidence + 1e3)
    fits = view.under_way.weighed(other)
    assert sum(chance for chance, _ in fits[0][1]) == pytest.approx(0.25 + 0.0625)  # as beforehand


def test_where_rates_are_told_or_held_nothing_is_asked() -> None:
    rated = watcher_of()
    rated.update(501, 2.77, lr=3e-4)
    for watcher in (rated, watcher_of(lr_held=True), watcher_of(HORIZON), watcher_of(horizon=None)):
        assert watcher.judge.view().under_way is None


def test_a_change_of_plan_leaves_no_decay_of_which_nobody_told() -> None:
    """Nor does a state of another run that is as far."""
    watcher, other = watcher_of(850), watcher_of(850, horizon=2000)
    assert watcher.judge.view().under_way is not None
    state = other.state_dict()
    assert watcher.cool_down(50) is not None
    assert watcher.judge.view().under_way is None
    watcher.load_state_dict(state)
    assert watcher.forecast(at=HORIZON).median == watcher_of(850).forecast().median


def test_finished_runs_of_such_a_network_have_shown_what_decays_bring() -> None:
    """Others have not: their lessons are not heard either."""
    steps = np.arange(1, 301)
    losses, nothing = np.asarray(2.5 + 6.0 * steps**-0.5, np.float64), np.full(len(steps), np.nan)

    def taught(size: float) -> Prior:
        run = Run("a", steps, losses, nothing, nothing, {"horizon": 300, "num_params": size})
        return learn_prior([run])

    assert len(watcher_of(prior=taught(124e6)).course.futures(LearningRates(), 500)) == 1
    assert len(watcher_of(prior=taught(1e4)).course.futures(LearningRates(), 500)) > 1


def test_a_plan_stays_what_it_is_until_its_decay_begins() -> None:
    """What is worked out of it for one forecast serves the next."""
    shape = Prior().annealing_shape
    before, after = (futures_of([], [], HORIZON, now, shape, decays=1.0) for now in (501, 502))
    kept = [one is other for (_, one), (_, other) in zip(before, after, strict=True)]
    begun = [plan.lr(503) < 1.0 for _, plan in untold(HORIZON, 502, 1.0)]
    assert kept == [not fell for fell in begun]
    assert True in kept
    assert False in kept
