"""What validation tells beside train loss: its noise where it comes seldom, and that data are being learnt by heart."""

from __future__ import annotations

import numpy as np
import pytest

from curvecast import Prior, Schedule
from curvecast.curve import NO_BINS, Bins, FloatArray, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many
from curvecast.fit.fitting import fit
from curvecast.fit.gap import has_moved, has_opened, lead_of_train, with_noise_of_few, with_noise_of_few_trains
from curvecast.fit.posterior import Posterior
from curvecast.forecast import forecast

EVERY = 125


def series(steps: FloatArray, losses: FloatArray) -> Bins:
    found = Series()
    found.extend(steps.astype(np.int64), losses)
    return found.bins()


def falling(step: FloatArray) -> FloatArray:
    """A steep start, as of a language model: 11 at the first step, 4 after 500."""
    return np.asarray(2.5 + 8.0 * step**-0.27)


def run(seed: int, steps: int, *, gap: float = 0.0, opens: float = 0.0, sd: float = 0.005) -> tuple[Bins, Bins]:
    """Train loss of every step, and validation that opens a gap by so much a fourth root of the steps."""
    rng = np.random.default_rng(seed)
    every, some = np.arange(1.0, steps + 1.0), np.arange(EVERY, steps + 1.0, EVERY)
    train = falling(every) + 0.1 * rng.standard_normal(steps)
    val = falling(some) + gap + opens * (some / EVERY) ** 0.25 + sd * rng.standard_normal(len(some))
    return series(every, train), series(some, val)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("count", [6, 12, 20])
def test_the_noise_of_few_validations_is_not_the_bend_of_their_fall(count: int, alone: bool) -> None:
    found, before = [], []
    for seed in range(40):
        train, val = run(seed, count * EVERY)
        before.append(val.noise**0.5)
        found.append(with_noise_of_few(val, NO_BINS if alone else train).noise ** 0.5)
    assert np.median(found) < 0.5 * np.median(before) or np.median(before) < 2.0 * 0.005
    assert 0.5 * 0.005 < np.median(found) < (6.0 if alone else 4.0) * 0.005


def test_many_validations_and_exact_ones_are_left_as_they_are() -> None:
    train, val = run(0, 40 * EVERY)
    assert with_noise_of_few(val, train) is val
    assert with_noise_of_few(NO_BINS, train) is NO_BINS
    exact = Bins(val.step[:8], val.mean[:8], val.count[:8], 1e-9)
    assert with_noise_of_few(exact, train) is exact
    same = Bins(val.step[:8], np.full(8, 3.0), val.count[:8], np.nan)
    assert with_noise_of_few(same, NO_BINS) is same


def test_few_train_losses_are_not_as_noisy_as_they_bend_and_the_run_stands_at_the_last() -> None:
    """As some scripts log: each of the first ten steps, then every fiftieth."""
    steps = np.array([*range(1, 11), 50, 100], dtype=np.float64)
    losses = np.array([7.06, 24.5, 14.8, 8.1, 6.36, 6.2, 6.11, 6.2, 6.22, 6.19, 4.32, 3.39])
    train = series(steps, losses)
    assert with_noise_of_few_trains(train).noise < 0.02 * train.noise
    prior = Prior().for_size(1.1e8)
    job = Job(train, NO_BINS, Timeline(None, prior.annealing_shape), prior, False, 100.0)
    for found in (fit(*job[:4], of_val=False, now=100.0), *fit_many([job])):
        assert found.scale == pytest.approx(3.39)
        now = forecast(found, 101.0, of="train")
        assert 3.39 in now.interval(0.9)
        assert now.median < 3.7


def test_next_to_nothing_is_no_unit() -> None:
    train, val = run(0, 8 * EVERY, opens=0.3)
    tiny = [Bins(bins.step, 1e-310 * bins.mean, bins.count, 0.0) for bins in (train, val)]
    assert with_noise_of_few(tiny[1], tiny[0]) is tiny[1]
    assert not has_opened(*tiny)


@pytest.mark.parametrize("count", [2, 3])
def test_the_first_validations_are_no_noisier_than_steps_of_training(count: int) -> None:
    train, val = run(0, count * EVERY)
    quiet = Bins(train.step, train.mean, train.count, 1e-8)
    sds = [with_noise_of_few(val, beside).noise ** 0.5 / val.mean[-1] for beside in (NO_BINS, train, quiet)]
    np.testing.assert_allclose(sds, [0.02, min(train.noise**0.5 / val.mean[-1], 0.02), 0.01])


@pytest.mark.parametrize("gap", [-0.03, 0.0, 0.5])
def test_a_level_gap_seldom_seems_to_open(gap: float) -> None:
    told = [
        has_opened(train, with_noise_of_few(val, train)) for train, val in (run(k, 2500, gap=gap) for k in range(80))
    ]
    assert sum(told) <= 4


def test_a_gap_that_opens_is_seen_before_validation_turns() -> None:
    told = []
    for seed in range(40):
        train, val = run(seed, 1250, gap=-0.2, opens=0.25)
        assert val.mean[-1] < val.mean[:-1].min() + 0.01
        told.append(has_opened(train, with_noise_of_few(val, train)))
    assert sum(told) >= 38


def test_losses_in_two_units_have_no_gap() -> None:
    train, val = run(0, 2500, opens=0.3)
    assert has_opened(train, val)
    perplexity = Bins(val.step, np.exp(val.mean), val.count, val.noise)
    assert not has_opened(train, perplexity)
    assert lead_of_train(train, perplexity) is None
    assert lead_of_train(train, val) is not None


def test_a_train_loss_far_below_validation_is_in_its_unit_where_it_was_in_the_beginning() -> None:
    step, ones = np.arange(1.0, 41.0) * 100, np.ones(40)
    by_heart = Bins(step, 3.0 * np.exp(-0.1 * np.arange(40)), ones, 1e-6)
    lead = lead_of_train(by_heart, Bins(step, 3.0 * ones, ones, 1e-6))
    assert lead is not None
    assert lead[0] == pytest.approx(1.0 - np.exp(-3.9), abs=0.01)


@pytest.mark.parametrize("loss", [0.0, 1e-310, 1e-160, -3.0])
def test_losses_that_are_all_the_same_have_a_gap_that_does_not_move(loss: float) -> None:
    step, ones = np.arange(1.0, 21.0) * 100, np.ones(20)
    same = Bins(step, loss * ones, ones, 0.0)
    assert not has_moved(same, same)
    assert not has_opened(same, same)


@pytest.mark.parametrize("count", [3, 8])
def test_a_constant_added_to_losses_below_zero_changes_neither_their_noise_nor_their_gap(count: int) -> None:
    train, val = run(1, count * EVERY, opens=0.3)
    likelihoods = [[Bins(b.step, b.mean - down, b.count, b.noise) for b in (train, val)] for down in (7.0, 100.0)]
    noises = [with_noise_of_few(val, NO_BINS).noise for _, val in likelihoods]
    np.testing.assert_allclose(noises[0], noises[1])
    assert len({has_opened(*both) for both in likelihoods}) == 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_validations_too_few_to_show_a_spread_are_as_noisy_as_their_unit_in_a_fit_says(count: int) -> None:
    """It is then the spread of both losses, to which a constant adds nothing."""
    train, val = run(1, count * EVERY)
    noises = []
    for down in (7.0, 100.0):
        both = [Bins(b.step, b.mean - down, b.count, b.noise) for b in (train, val)]
        noises.append(with_noise_of_few(both[1], both[0]).noise)
    np.testing.assert_allclose(noises[0], noises[1])


@pytest.mark.parametrize(("count", "most"), [(4, 0.02), (5, 0.02), (6, 0.2)])
def test_four_or_five_validations_beside_a_train_loss_are_no_noisier_than_three_may_be(count: int, most: float) -> None:
    """Their scatter says little: read off it, the gap was said to open, to be shut, and to open again."""
    fine, step = np.arange(1.0, 1000.0), EVERY * np.arange(1.0, count + 1.0)
    train = Bins(fine, falling(fine), np.ones(len(fine)), 0.01**2)
    val = Bins(step, falling(step) * (1.0 + 0.05 * (-1.0) ** np.arange(count)), np.ones(count), 0.5**2)
    noise = float(np.sqrt(with_noise_of_few(val, train).noise) / val.mean[-1])
    assert most / 2.0 <= noise <= most


def test_validation_that_stopped_decades_ago_has_no_gap() -> None:
    train, val = run(0, 2500, opens=0.3)
    far = np.geomspace(2.6e3, 2.5e7, 200)
    steps, losses = np.append(train.step, far), np.append(train.mean, np.full(200, train.mean[-1]))
    train = Bins(steps, losses, np.ones(len(steps)), train.noise)
    assert not has_opened(train, val)


def posterior(train: Bins, val: Bins, horizon: int, prior: Prior, *, of_val: bool = True) -> Posterior:
    return fit(train, val, Timeline(Schedule.constant(horizon), prior.annealing_shape), prior, of_val=of_val)


def test_validation_that_has_not_turned_may_end_higher() -> None:
    """Where the gap opens the forecast follows it; before data repeat, or for the train loss, hardly or not at all."""
    inside, horizon, prior = 0, 6000, Prior().for_size(1e7)
    for seed in range(20):
        train, val = run(seed, 1500, gap=-0.2, opens=0.3)
        found = posterior(train, val, horizon, prior)
        assert found.grows
        assert not found.turned
        ahead = forecast(found, horizon, of="val")
        truth = float(falling(np.array([horizon]))[0]) - 0.2 + 0.3 * (horizon / EVERY) ** 0.25
        inside += truth in ahead.interval(0.9)
        assert ahead.median > forecast(posterior(NO_BINS, val, horizon, prior), horizon, of="val").median
        assert not posterior(train, val, horizon, prior, of_val=False).grows
    assert inside >= 16


def test_a_train_loss_is_forecast_without_validation_that_falls_behind() -> None:
    prior, clock = Prior(), Timeline(Schedule.constant(10_000), Prior().annealing_shape)
    train, val = run(0, 2500, opens=0.6)
    for told, heeds in ((val, False), (run(0, 2500, gap=0.1)[1], True)):
        both, many = (
            fit(train, told, clock, prior, of_val=False, now=2500.0),
            fit_many([Job(train, told, clock, prior, False, 2500.0)]),
        )
        alone = fit(train, NO_BINS, clock, prior, of_val=False, now=2500.0)
        medians = [forecast(each, 10_000, of="train").median for each in (both, *many, alone)]
        assert medians[1] == pytest.approx(medians[0])
        assert (medians[0] != medians[2]) is heeds


def test_curves_are_drawn_as_wide_as_the_forecast_of_a_rise_is() -> None:
    found = posterior(*run(3, 1500, gap=-0.2, opens=0.3), 6000, Prior().for_size(1e7))
    steps = np.array([2000.0, 6000.0])
    drawn, ahead = found.draw(steps, 20_000, val=True), forecast(found, steps, of="val")
    np.testing.assert_allclose(drawn.mean(axis=0), ahead.mean, rtol=5e-3)
    np.testing.assert_allclose(drawn.std(axis=0), ahead.std, rtol=0.05)


def test_the_noise_of_few_validations_is_worked_out_once_a_pair() -> None:
    train, val = run(0, 2000)
    assert with_noise_of_few(val, train) is with_noise_of_few(val, train)
    assert with_noise_of_few(val, NO_BINS) is not with_noise_of_few(val, train)
