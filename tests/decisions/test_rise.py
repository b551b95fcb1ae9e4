"""Where a validation loss goes that has turned, and that all who speak of it agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curvecast import Overfitting, Schedule, Watcher
from curvecast.curve import Bins
from curvecast.decisions import rise
from curvecast.decisions.exchange import thinned


def test_it_is_plain_conditioning() -> None:
    """The same Gaussian written out: value at the points, value ahead, one walk after the other."""
    rng = np.random.default_rng(0)
    step = np.arange(10.0, 26.0) * 100.0
    loss = 2.0 + 0.3 * np.log(step / 1000.0) + 0.01 * rng.standard_normal(len(step))
    val = Bins(step, loss, np.ones(len(step)), 1e-4)
    found = rise.rise(val)
    assert found is not None
    ahead = 6000.0
    means, stds = found.moments(np.array([ahead]))
    step, loss, count = thinned(val)
    first = rise._turn(loss)
    u = rise.clock(np.append(step[first:], ahead) / step[-1])
    x, y = u - u[0], loss[first:] / loss[-1]
    noise = (1e-4 / loss[-1] ** 2 / count[first:]) + 0.003**2
    logs = []
    pairs = ((0.05, 0.0), (0.15, 0.0), (0.5, 0.0), (0.05, 0.1), (0.05, 0.5))
    for k, (walk, jumps) in enumerate(pairs):
        low, high = np.minimum.outer(x, x), np.maximum.outer(x, x)
        prior = 1.0 + 0.3**2 * np.outer(x, x) + walk**2 * low**2 * (3.0 * high - low) / 6.0 + jumps**2 * low
        seen = prior[:-1, :-1] + np.diag(noise)
        gain = np.linalg.solve(seen, prior[:-1, -1])
        mean = y[0] + gain @ (y - y[0])
        var = prior[-1, -1] - gain @ prior[:-1, -1] + 0.003**2
        assert means[k, 0] == pytest.approx(mean * loss[-1], rel=1e-9)
        assert stds[k, 0] == pytest.approx(math.sqrt(var) * loss[-1], rel=1e-6)
        misfit = np.linalg.slogdet(seen)[1] + (y - y[0]) @ np.linalg.solve(seen, y - y[0])
        logs.append(math.log((8.0, 8.0, 4.0, 2.0, 1.0)[k]) - 0.5 * misfit)
    weight = np.exp(np.array(logs) - max(logs))
    assert found.weight == pytest.approx(weight / weight.sum(), rel=1e-6)


def test_a_jump_says_little_of_the_slope() -> None:
    """A validation that doubles at once and stays there is not forecast to go on at that pace."""
    step = np.arange(10.0, 30.0) * 100.0
    loss = 2.0 + 0.2 * np.log(step / 1000.0) + 1.5 * (step > 2600.0)
    found = rise.rise(Bins(step, loss, np.ones(len(step)), 1e-4))
    assert found is not None
    means, stds = found.moments(np.array([2.0 * step[-1]]))
    mean = float(found.weight @ means[:, 0])
    assert mean < 1.4 * loss[-1]
    assert float(found.weight @ stds[:, 0]) > 0.2 * loss[-1]  # but another jump may come


def test_a_level_loss_is_not_expected_to_jump() -> None:
    """Wherever among its noise the lowest lies: here it is the last but two."""
    step = np.arange(1.0, 41.0) * 100.0
    loss = 0.7 + 0.0005 * np.random.default_rng(2).standard_normal(40)
    loss[-3] = 0.6985
    found = rise.rise(Bins(step, loss, np.ones(40), 0.0005**2))
    assert found is not None
    _, stds = found.moments(np.array([1.25 * step[-1]]))
    assert float(found.weight @ stds[:, 0]) < 0.02 * loss[-1]


def test_losses_that_are_not_positive_have_none() -> None:
    step = np.arange(1.0, 9.0) * 100.0
    assert rise.rise(Bins(step, np.linspace(1.0, -1.0, 8), np.ones(8), 1e-6)) is None
    assert rise.rise(Bins(step[:2], np.ones(2), np.ones(2), 1e-6)) is None


def memorising() -> tuple[Watcher, float]:
    """Train goes to zero, validation has turned and rises; the law expects a decay's gain."""
    watcher = Watcher(schedule=Schedule.cosine(4000, floor=0.1), decisions=[Overfitting()])
    rng = np.random.default_rng(1)

    def val(step: int) -> float:
        return 1.5 + 2.0 * math.exp(-step / 150) + 0.35 * max(0.0, math.log(step / 500))

    for step in range(10, 2001, 10):
        watcher.update(step, train_loss=2.0 * math.exp(-step / 600) + 0.01 * float(rng.random()))
        if step % 50 == 0:
            watcher.update(step, val_loss=val(step) + 0.01 * float(rng.standard_normal()))
    return watcher, val(4000)


def test_a_rise_goes_on_and_all_agree() -> None:
    watcher, truth = memorising()
    verdict = watcher.verdict
    assert verdict.reason == "overfitting"
    assert verdict.forecast is not None
    assert truth in verdict.forecast.interval(0.9)
    assert verdict.forecast.interval(0.9).lower > verdict.details["best_loss"]
    going_on = next(choice for choice in verdict.choices if choice.name == "go_on")
    assert going_on.loss == pytest.approx(float(verdict.forecast.median), rel=1e-6)
    later = next(choice for choice in watcher.choices() if choice.name == "go_on")
    assert later.loss == pytest.approx(float(watcher.forecast().median), rel=1e-6)


def test_a_step_that_is_passed_is_the_law_s() -> None:
    watcher, _ = memorising()
    both = watcher.forecast(at=[1000, 3000])
    law = watcher.judge.view().by_law([1000.0, 3000.0])
    assert np.asarray(both.median)[0] == pytest.approx(np.asarray(law.median)[0], rel=1e-6)
    assert np.asarray(both.median)[1] != pytest.approx(np.asarray(law.median)[1], rel=1e-3)


def test_nothing_is_left_to_a_rise_at_a_step_that_is_passed() -> None:
    """Nor a debt of a rounding, which 1e10 squared would make the whole variance of."""
    watcher = Watcher(horizon=26, num_params=3.7e3)
    losses = [4.48, 4.26, 3.98, 3.66, 3.64, 3.65, 3.59, 3.71, 3.49, 3.51, 8.7e9, 3.36, 4.99]
    for step, loss in enumerate(losses, 1):
        watcher.update(step, val_loss=loss, lr=1e-3 * (1.0 + math.cos(math.pi * step / 26)))
    at = [1, 2, 3, 5, 6, 9, 12, 13, 26]
    assert watcher.forecast(at).weight.min() >= 0.0
    assert np.isfinite(watcher.forecast(at).std).all()


def test_asking_for_a_forecast_changes_no_later_verdict() -> None:
    asked, quiet = Watcher(horizon=3000), Watcher(horizon=3000)
    for step in range(25, 1501, 25):
        for watcher in (asked, quiet):
            train = 3.0 * step**-0.3
            watcher.update(step, train_loss=train)
            watcher.update(step, val_loss=train + 0.1 * max(0.0, (step / 500) ** 0.5 - 1.0))
        if step > 500:
            asked.forecast()
            asked.choices()
        assert asked.verdict.probability == quiet.verdict.probability


def test_what_a_validation_told_outlives_a_resume() -> None:
    first, _ = memorising()
    second = Watcher(schedule=Schedule.cosine(4000, floor=0.1), decisions=[Overfitting()])
    second.load_state_dict(first.state_dict())
    for step in range(2010, 2200, 10):
        one, other = (watcher.update(step, train_loss=0.07) for watcher in (first, second))
        assert one.probability == other.probability


def test_what_a_turn_leaves_is_forecast_as_if_nothing_had_turned() -> None:
    """By the run's past, too, and not by its law alone."""
    watcher, rng = Watcher(horizon=2000, num_params=1e5), np.random.default_rng(0)
    for step in range(1, 801):
        loss = 2.0 + 3.0 * step**-0.5 + 0.01 * float(rng.standard_normal())
        val = 2.05 + 3.0 * step**-0.5 + (0.02 if step == 800 else 0.0) if step % 40 == 0 else None
        watcher.update(step, loss, val)
    view = watcher.judge.view()
    still, ahead = view._unturned(2000, None), view.forecast(2000)
    count = len(still.weight)
    assert 0.0 < view.behind < 1.0
    assert count > len(view.by_law(2000).weight)
    np.testing.assert_allclose(ahead.weight[:count], (1.0 - view.behind) * still.weight)
    np.testing.assert_allclose(ahead.means[:count], still.means)
