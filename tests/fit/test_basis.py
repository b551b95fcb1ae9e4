"""The law's clock, and what annealing is counted in."""

from __future__ import annotations

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher
from curvecast.curve import Bins, FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.observed import observe
from curvecast.fit.units import in_one_unit, of_late, unit_of

SHAPES = ((0.02, 0.5), (0.005, 0.8), (0.02, 0.8), (0.06, 0.8), (0.02, 1.2))
MIDDLE = 2


@pytest.mark.parametrize("steps", [500, 20_000])
def test_a_usual_decay_is_worth_the_same_however_it_arrives(steps: int) -> None:
    gain = Timeline(Schedule.wsd(steps, decay=0.2), SHAPES).gain(np.array([0.9 * steps, steps]))
    assert gain[:, 1] == pytest.approx(np.full(len(SHAPES), gain[MIDDLE, 1]), rel=0.02)
    by_the_root, _, middle, _, evenly = gain[:, 0].tolist()
    assert by_the_root < middle < evenly


def test_a_longer_decay_is_worth_more_where_the_gain_arrives_later() -> None:
    _, sooner, middle, later, _ = Timeline(Schedule.linear(5000), SHAPES).gain(np.array([5000.0]))[:, 0].tolist()
    assert sooner < middle < later


def test_the_middle_shape_counts_its_own_gain() -> None:
    """At most the drop of the rate, so that the share of a loss that a full decay takes means what it says."""
    timeline = Timeline(Schedule.linear(5000), SHAPES)
    assert 0.7 < float(timeline.gain(np.array([5000.0]))[MIDDLE, 0]) < 1.0


def test_a_shape_that_brings_next_to_nothing_has_a_unit_all_the_same() -> None:
    timeline = Timeline(Schedule.wsd(1000, decay=0.2), ((100.0, 1e-6), *Prior().annealing_shape))
    assert np.isfinite(timeline.gain(np.array([900.0, 1000.0, 2000.0]))).all()


@pytest.mark.parametrize("shift", [0.0, 1.0, 5.0, 100.0])
@pytest.mark.parametrize(("losses", "kept"), [([3.0, 0.95, 0.92, 0.9], 4), ([3.0, 2.0, 1.2, 0.9], 1)])
def test_where_a_loss_without_a_zero_stands_depends_on_no_constant(
    losses: list[float], kept: int, shift: float
) -> None:
    step = np.array([1.0, 10.0, 50.0, 100.0])
    assert len(of_late(np.array(losses) - shift, step, low=-0.1 - shift)) == kept


def test_what_is_kept_of_a_plan_may_be_cleared_while_it_is_asked_for() -> None:
    """Runs of several threads share the clock of their plan: one may clear what another has just put there."""

    class Cleared(dict[bytes, tuple[FloatArray, FloatArray]]):
        def __setitem__(self, key: bytes, value: tuple[FloatArray, FloatArray]) -> None:
            self.clear()

    timeline = Timeline(Schedule.linear(500), SHAPES, lasting=False)
    expected = timeline.gain(np.array([400.0]))
    timeline._kept = Cleared()
    assert np.array_equal(timeline.gain(np.array([400.0])), expected)


def test_a_first_loss_that_is_a_mean_over_the_start_moves_no_forecast() -> None:
    """As of a trainer that logs the mean over its logging steps; the second such loss counts."""
    ends = []
    for odd in (None, 100, 200):
        watcher = Watcher(horizon=6000)
        for step in range(100, 2001, 100):
            watcher.update(step, train_loss=2.0 + 3.0 * step**-0.4 + 0.2 * (step == odd))
        ends.append(float(watcher.forecast().median))
    assert ends[0] == ends[1] != ends[2]


def test_a_single_loss_below_zero_has_a_unit_of_its_own_size() -> None:
    """It shows no spread, and a forecast of it would have no width."""
    assert unit_of(-0.5, np.array([-0.5]), low=-0.5) == pytest.approx((0.125, 5.0))


def test_a_single_validation_below_zero_is_measured_by_the_spread_of_the_train_loss_beside_it() -> None:
    step, ones = np.arange(1.0, 101.0), np.ones(100)
    train = Bins(step, 3.0 - 0.66 * np.log(step), ones, 1e-4)
    val = Bins(step[-1:], train.mean[-1:] + 0.01, ones[:1], np.nan)
    assert observe(train, val, of_val=True).scale == pytest.approx(0.75, rel=0.1)


def test_where_a_loss_was_negative_few_others_are_in_its_unit_if_it_has_moved_by_more_than_lies_between() -> None:
    """They show no move of their own."""
    likelihood = np.array([5.0, 1.0, -0.01, -0.01, -0.01])
    assert in_one_unit(likelihood, np.array([0.09]))
    assert not in_one_unit(likelihood[-1:], np.array([0.09]))
