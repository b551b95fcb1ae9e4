"""Validation that goes its own way, losses that fall by decades, and losses without a zero."""

from __future__ import annotations

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher
from curvecast.curve import FloatArray
from curvecast.fit.lessons import Lesson
from curvecast.fit.teachers import UNKNOWN_BATCH

HORIZON, SEEN, EVERY = 2000, 800, 40
STEPS = np.arange(5, SEEN + 1, 5)


def noise(sd: float, seed: int) -> FloatArray:
    return sd * np.random.default_rng(seed).standard_normal(len(STEPS))


def watched(
    train: FloatArray | None, val: FloatArray | None, prior: Prior | None = None, horizon: int = HORIZON
) -> Watcher:
    """A small network's run under a constant rate, usually seen up to two fifths; validation every 40 steps."""
    watcher = Watcher(schedule=Schedule.constant(horizon), num_params=1e5, prior=prior)
    for k, step in enumerate(STEPS.tolist()):
        asked = val is not None and step % EVERY == 0
        watcher.update(step, None if train is None else train[k], val[k] if val is not None and asked else None)
    return watcher


TRAIN = 0.6 + 6.0 * STEPS**-0.35


def test_validation_that_has_levelled_off_is_not_taken_down_by_train() -> None:
    val = 1.6 + 4.0 * STEPS**-0.9
    watcher = watched(TRAIN + noise(0.01, 0), val + noise(0.003, 1))
    own = watcher.judge.view().apart
    assert own is not None
    assert own.probability > 0.9
    truth = 1.6 + 4.0 * HORIZON**-0.9
    assert watcher.forecast().median == pytest.approx(truth, rel=0.02)
    assert truth in watcher.forecast().interval(0.9)


@pytest.mark.parametrize(("size", "of_val", "counts"), [(1e5, 1.0, True), (1e10, 1.0, False), (1e5, 0.0, False)])
def test_runs_that_teach_of_such_a_loss_stand_beside_a_law_of_its_own(size: float, of_val: float, counts: bool) -> None:
    row = Lesson(
        run=0.0, of_val=of_val, progress=-0.7, time=0.7, gained=0.0, ahead=0.0, size=np.log(size), batch=UNKNOWN_BATCH,
        clock=6.7, level=0.5, change=-0.05, sd=0.02, came=-0.03, noise=0.001, score=0.01,
    )  # fmt: skip
    val = 1.6 + 4.0 * STEPS**-0.9 + noise(0.003, 1)
    late = 1200  # past half-way: before, the plan tells how early a clock starts, but not beside what runs teach
    alone = watched(TRAIN + noise(0.01, 0), val, horizon=late)
    taught = watched(TRAIN + noise(0.01, 0), val, Prior(lessons=(tuple(map(float, row)),)), late)
    assert alone.judge.view().apart is not None
    own, told = alone.forecast(), taught.forecast()
    assert (told.median == own.median) is not counts
    if counts:
        share = 1.0 - told.weight[:4].sum()  # the first four are what the run teaches
        np.testing.assert_allclose(told.means[4:], own.means)
        np.testing.assert_allclose(told.weight[4:], share * own.weight)


def test_a_law_of_validation_alone_has_no_growth_where_its_rise_is_told_beside_train() -> None:
    val = 1.6 + 4.0 * STEPS**-0.9 + 0.1 * np.maximum(np.log(STEPS / 500), 0.0)
    view = watched(TRAIN + noise(0.01, 0), val + noise(0.003, 1)).judge.view()
    assert view.apart is not None
    assert view.apart.posterior.turned
    assert not view.apart.posterior.grows


def test_validation_that_goes_with_train_keeps_its_law() -> None:
    assert watched(TRAIN + noise(0.01, 0), TRAIN + 0.1 + noise(0.003, 1)).judge.view().apart is None


def test_a_loss_that_has_dropped_by_decades_is_forecast_from_where_it_stands() -> None:
    dropped = 0.02 + 2.4 / (1.0 + np.exp((STEPS - 650) / 30.0))
    watcher = watched(None, dropped * (1.0 + noise(0.05, 2)))
    assert watcher.forecast(at=SEEN).median < 3.0 * dropped[-1]  # the mean of the newest three is 5 times that


def test_a_constant_added_to_a_loss_without_a_zero_drops_out() -> None:
    likelihood = -1.5 + 6.0 * STEPS**-0.4 + noise(0.05, 3)
    one, other = (watched(likelihood - shift, likelihood + 0.1 - shift) for shift in (0.0, 7.0))
    for of in ("train", "val"):
        a, b = one.forecast(of=of), other.forecast(of=of)
        assert a.median - 7.0 == pytest.approx(b.median, abs=1e-6)
        assert a.interval(0.9).width == pytest.approx(b.interval(0.9).width, rel=1e-6)


@pytest.mark.parametrize("up", [0.9, 1.0, 1.04, 1.07])
def test_a_loss_that_goes_through_zero_is_forecast_as_elsewhere(up: float) -> None:
    """Train has passed zero, validation has not, or has just: neither by how far they stand from it, nor apart."""
    likelihood = -1.5 + 6.0 * STEPS**-0.4 + noise(0.05, 3)
    one, other = (watched(likelihood + shift, likelihood + 0.1 + shift) for shift in (0.0, up))
    for of in ("train", "val"):
        a, b = one.forecast(of=of), other.forecast(of=of)
        # Not to the last digit: of validation alone, which is positive all along, the noise is taken to fall with it,
        # and the interval holds that noise.
        assert a.median + up == pytest.approx(b.median, abs=0.005)
        rel = 0.05 if of == "train" else 0.08
        assert a.interval(0.9).width == pytest.approx(b.interval(0.9).width, rel=rel)
