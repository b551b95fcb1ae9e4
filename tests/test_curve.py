from __future__ import annotations

import numpy as np
import pytest

from curvecast.curve import BINS_PER_DECADE, LearningRates, Series
from curvecast.decisions.validations import Validations
from curvecast.schedule import Schedule


def test_bins_hold_every_sample_once() -> None:
    rng = np.random.default_rng(0)
    losses = rng.uniform(1.0, 3.0, 5000)
    series = Series()
    for step, loss in enumerate(losses.tolist(), 1):
        series.add(step, loss)
    bins = series.bins()
    assert bins.count.sum() == 5000
    assert bins.count @ bins.mean == pytest.approx(losses.sum())
    assert np.all(np.diff(bins.step) > 0)


def test_bins_hang_on_no_question_asked_before() -> None:
    asked, unasked = Series(), Series()
    for step in range(1, 400):
        loss = 2.0 + step**-0.5 + 0.1 * (-1.0) ** step
        asked.add(step, loss)
        unasked.add(step, loss)
        asked.bins()
    for name in ("step", "mean", "count", "noise"):
        np.testing.assert_array_equal(getattr(asked.bins(), name), getattr(unasked.bins(), name))


def test_bins_are_bounded_in_number() -> None:
    series = Series()
    for step in range(1, 200_001):
        series.add(step, 1.0)
    before = len(series.bins())
    for step in range(200_001, 400_001):
        series.add(step, 1.0)
    assert before < 260
    assert len(series.bins()) - before < 20  # a doubling is 14.4 bins


@pytest.mark.parametrize("every", [1, 50])
def test_noise_is_read_under_a_trend(every: int) -> None:
    rng = np.random.default_rng(1)
    series = Series()
    for step in range(every, 20_001 * max(every // 10, 1), every):
        series.add(step, 2.0 + 3.0 * step**-0.4 + 0.05 * float(rng.standard_normal()))
    assert series.bins().noise ** 0.5 == pytest.approx(0.05, rel=0.15)


def test_a_spike_does_not_change_the_noise() -> None:
    rng = np.random.default_rng(2)
    series = Series()
    for step in range(1, 5001):
        spike = 5.0 if 2000 <= step < 2020 else 0.0
        series.add(step, 2.0 + spike + 0.05 * float(rng.standard_normal()))
    assert series.bins().noise ** 0.5 == pytest.approx(0.05, rel=0.15)


def test_a_bin_that_has_only_begun_is_joined_to_the_one_before() -> None:
    series, joined = Series(), 0
    for step in range(1, 3001):
        series.add(step, 2.0 + 3.0 * step**-0.4)
        bins = series.bins()
        settled = bins.settled()
        assert settled.count.sum() == step  # nothing is lost
        assert settled.count @ settled.mean == pytest.approx(bins.count @ bins.mean)
        assert settled.count @ settled.step == pytest.approx(bins.count @ bins.step)
        joined += len(settled) < len(bins)
        assert len(settled) == 1 or settled.count[-1] >= 0.5 * settled.count[-2]
    assert joined > 500


def test_series_goes_on_from_its_state() -> None:
    whole, first = Series(), Series()
    losses = np.random.default_rng(3).uniform(1.0, 2.0, 300).tolist()
    for step, loss in enumerate(losses, 1):
        whole.add(step, loss)
        if step <= 137:
            first.add(step, loss)
    second = Series()
    second.load_state_dict(first.state_dict())
    for step, loss in enumerate(losses[137:], 138):
        second.add(step, loss)
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule.constant(20_000, warmup=100),
        Schedule.cosine(20_000, warmup=500, floor=0.1),
        Schedule.wsd(20_000, warmup=500, decay=0.2),
        Schedule([1, 5000, 5001, 10_000, 10_001, 20_000], [1.0, 1.0, 0.3, 0.3, 0.1, 0.1]),
    ],
    ids=["constant", "cosine", "wsd", "steps"],
)
def test_learning_rates_are_kept_within_their_tolerance(schedule: Schedule) -> None:
    rates = LearningRates()
    steps = np.arange(1, 20_001)
    for step, lr in zip(steps.tolist(), (3e-4 * schedule.lr(steps)).tolist(), strict=True):
        rates.add(step, lr)
    knots = rates.knots()
    assert len(knots[0]) < 200
    np.testing.assert_allclose(np.interp(steps, *knots), 3e-4 * schedule.lr(steps), atol=3.1e-7)


def test_jittery_learning_rates_stay_bounded() -> None:
    rates = LearningRates()
    for step, lr in enumerate(np.random.default_rng(4).uniform(0.5, 1.0, 20_000).tolist(), 1):
        rates.add(step, lr)
    assert len(rates.knots()[0]) <= LearningRates.MAX_KNOTS + 1


def test_learning_rates_are_told_as_they_were_at_any_sample() -> None:
    rates, then = LearningRates(), {}
    for step in range(1, 200):
        rates.add(step, 3e-4 * Schedule.cosine(200, warmup=10).lr(step))
        if step >= 10 or step == 1:  # knots are told as finely as the peak so far asks for
            then[rates.last] = rates.knots(), rates.knots(step // 2)
    told = {last: (rates.when(last), (last or (0,))[0] // 2) for last in then}
    assert {last: (was.knots(), was.knots(half)) for last, (was, half) in told.items()} == then
    assert rates.when(None).knots() == ([], [])


def test_learning_rates_go_on_from_their_state() -> None:
    whole, first = LearningRates(), LearningRates()
    lrs = Schedule.cosine(2000, warmup=50).lr(np.arange(1, 2001)).tolist()
    for step, lr in enumerate(lrs, 1):
        whole.add(step, lr)
        if step <= 777:
            first.add(step, lr)
    second = LearningRates()
    second.load_state_dict(first.state_dict())
    for step, lr in enumerate(lrs[777:], 778):
        second.add(step, lr)
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize("kind", ["constant", "cosine", "jittery", "falling", "jumps"])
@pytest.mark.parametrize("count", [1, 40, 2500])
def test_many_at_once_are_to_the_last_bit_what_one_after_another_are(kind: str, count: int) -> None:
    rng = np.random.default_rng(count)
    steps = np.cumsum(rng.integers(1, 30, count))
    lrs = {
        "constant": np.full(count, 3e-4),
        "cosine": 3e-4 * (1.0 + np.cos(np.pi * steps / steps[-1])),
        "jittery": rng.random(count),
        "falling": steps**-0.3,
        "jumps": np.where(rng.random(count) < 0.02, rng.random(count), 0.5),
    }[kind]
    losses = rng.standard_normal(count)
    is_val = rng.random(count) < 0.1
    series, rates, validations = Series(), LearningRates(), Validations()
    for step, loss, lr, of_val in zip(steps.tolist(), losses.tolist(), lrs.tolist(), is_val.tolist(), strict=True):
        series.add(step, loss)
        rates.add(step, lr)
        (validations.add if of_val else validations.trained)(loss)
    many_series, many_rates, many_validations = Series(), LearningRates(), Validations()
    for part in np.array_split(np.arange(count), 3):
        many_series.extend(steps[part], losses[part])
        many_rates.extend(steps[part], lrs[part])
        chosen = is_val[part]
        many_validations.extend(
            losses[part][chosen], losses[part][~chosen], np.cumsum(chosen.astype(np.int64))[~chosen]
        )
    for one, many in ((series, many_series), (rates, many_rates), (validations, many_validations)):
        assert repr(many.state_dict()) == repr(one.state_dict())
    assert many_series.bins().noise == series.bins().noise or count == 1


def test_steps_on_the_edges_of_bins_fall_as_one_by_one() -> None:
    edges = 10.0 ** (np.arange(0, 12 * BINS_PER_DECADE) / BINS_PER_DECADE)
    steps = np.unique(np.concatenate([np.floor(edges) - 1, np.floor(edges), np.ceil(edges)]).astype(np.int64))
    steps = steps[steps >= 1]
    one, many = Series(), Series()
    for step in steps.tolist():
        one.add(step, 1.0 / step)
    many.extend(steps, 1.0 / steps)
    assert many.state_dict() == one.state_dict()


@pytest.mark.parametrize("count", [20, 21, 400])
def test_the_noise_is_the_median_of_what_late_bins_tell(count: int) -> None:
    losses = np.random.default_rng(count).standard_normal(count)
    series = Series()
    series.extend(np.arange(1, count + 1), losses)
    rows = np.array(series.state_dict()["rows"])[-BINS_PER_DECADE:]
    per_bin = rows[:, 3] / (6.0 * rows[:, 0])
    median, freedom = np.median(per_bin[per_bin > 0.0]), np.median(rows[:, 0])
    expected = median / (1.0 - 2.0 / (9.0 * freedom)) ** 3 * (1.0 + 10.0 / rows[:, 0].sum())
    assert series.bins().noise == pytest.approx(expected, rel=1e-12)


def test_bins_are_the_same_until_a_sample_comes() -> None:
    series = Series()
    for step in range(1, 50):
        series.add(step, 2.0)
    before = series.bins()
    assert series.bins() is before
    series.add(50, 2.0)
    assert series.bins().count.sum() == 50
    series.load_state_dict(Series().state_dict())
    assert len(series.bins()) == 0


def test_a_loss_that_has_calmed_down_has_the_noise_of_its_newest_part() -> None:
    """It swings from 40,000 down to 4,000 and then falls smoothly: what bent up there is no noise here."""
    steps = np.arange(1, 201)
    swinging = 2800.0 + 4e6 * steps**-2.0 * (1.1 + np.sin(steps / 2.0)) * np.exp(-steps / 30.0)
    calm, steady = Series(), Series()
    rng = np.random.default_rng(0)
    calm.extend(steps, swinging + rng.standard_normal(200))
    steady.extend(steps, 2800.0 + 100.0 * rng.standard_normal(200))
    assert 0.5 < calm.bins().noise ** 0.5 < 3.0
    assert 80.0 < steady.bins().noise ** 0.5 < 140.0
