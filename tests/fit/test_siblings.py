from __future__ import annotations

import gc
import math

import numpy as np
import pytest

from curvecast.curve import NO_BINS, Bins, FloatArray, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.paths import End, Path, Point, path_of, places_at, points_of
from curvecast.fit.siblings import USUAL, Siblings
from curvecast.schedule import Schedule

SHAPE = ((0.01, 0.6), (0.0035, 0.8), (0.01, 0.8), (0.03, 0.8), (0.01, 1.0))
PLAN = Schedule.cosine(2000, warmup=50)
TIMELINE = Timeline(PLAN, SHAPE)
STEPS = np.arange(20, 2001, 20)
RECIPE = 11.0, 7.0  # logarithms of size and batch


def losses(times: float) -> FloatArray:
    """A curve of no law's shape, and one that stands above it throughout."""
    fall = 1.0 / (1.0 + np.exp((np.log(STEPS) - 5.0) / 0.4))
    return np.asarray(times * (2.0 + fall + 2.0 * np.asarray(PLAN.summed(STEPS)) ** -0.4))


def bins(loss: FloatArray, upto: int = 2000) -> Bins:
    series = Series()
    series.extend(STEPS[upto >= STEPS], loss[upto >= STEPS])
    return series.bins()


def curve(run: int, times: float) -> list[Point]:
    loss = losses(times)
    known = End(2000.0, float(loss[-1]), 0.0, *RECIPE)
    return [Point(*row) for row in points_of(run, True, bins(loss), TIMELINE, known)]


def team(*times: float) -> Siblings:
    return Siblings([point for run, each in enumerate(times) for point in curve(run, each)])


def ahead(step: float) -> FloatArray:
    return places_at(*TIMELINE.at(np.array([step])), SHAPE, *RECIPE)


def way(times: float, upto: int) -> Path:
    path = path_of(bins(losses(times), upto), TIMELINE, float(upto), *RECIPE)
    assert path is not None
    return path


@pytest.mark.parametrize("upto", [400, 1000, 1600])
def test_a_run_that_kept_above_its_siblings_is_foretold_to_end_there(upto: int) -> None:
    mean, sd = team(1.0, 1.01, 0.99, 1.02).expected(way(1.05, upto), ahead(2000.0))
    assert math.exp(mean[0]) == pytest.approx(float(losses(1.05)[-1]), rel=0.01)
    assert 0.0 < sd[0] < 0.05


def test_the_more_was_seen_the_surer_it_is() -> None:
    siblings = team(1.0, 1.01, 0.99, 1.02)
    doubts = [siblings.expected(way(1.0, upto), ahead(2000.0))[1][0] for upto in (100, 400, 1600)]
    assert doubts == sorted(doubts, reverse=True)


def test_what_is_foretold_is_what_will_be_logged_with_its_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Siblings, "_learnt", lambda _: USUAL)  # these curves have no noise, as they would show
    clear, noisy = ([p._replace(noise=sd) for run in range(4) for p in curve(run, 1.0)] for sd in (0.0, 0.05))
    doubts = [float(Siblings(points).expected(way(1.0, 1600), ahead(2000.0))[1][0]) for points in (clear, noisy)]
    assert doubts[0] < 0.01
    assert doubts[1] > 0.02


def test_a_run_is_foretold_by_the_others_and_by_its_own_past() -> None:
    mean, sd = team(1.0, 1.01, 0.99, 1.04).left_out(3.0, math.log(0.5))
    by_three, _ = team(1.0, 1.01, 0.99).expected(way(1.04, 1000), ahead(2000.0))
    assert mean == pytest.approx(float(by_three[0]), abs=0.003)
    assert sd > 0.0


def test_nothing_after_a_place_is_known_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Siblings, "_learnt", lambda _: USUAL)  # all losses tell of the sizes, and of nothing else
    kept = curve(3, 1.04)
    spoilt = [p._replace(loss=p.loss + 0.5) if math.log(0.6) < p.progress < 0.0 else p for p in kept]
    others = [*curve(0, 1.0), *curve(1, 1.01), *curve(2, 0.99)]
    before, after = (Siblings([*others, *each]).left_out(3.0, math.log(0.5))[0] for each in (kept, spoilt))
    assert after == pytest.approx(before, abs=1e-3)


def test_a_place_is_foretold_the_same_alone_and_among_others() -> None:
    """What is left of the doubt is a millionth of what is taken away: rounding must not show in it."""
    siblings = team(1.0, 1.0, 1.0)  # three alike: their habits are small, and all hangs on the runs' own noise
    elsewhere = way(1.0, 400)
    elsewhere.at[:, 0] += 20.0  # as of steps that count tokens
    places = np.repeat(ahead(2000.0), 7, axis=0)
    places[:, 0] += np.linspace(19.0, 21.0, 7)
    together = siblings.expected(elsewhere, places)
    for k in range(7):
        alone = siblings.expected(elsewhere, places[k : k + 1])
        assert [float(each[0]) for each in alone] == pytest.approx([float(each[k]) for each in together], rel=1e-7)


def test_many_runs_have_fewer_points_each_and_keep_their_ends() -> None:
    siblings = team(*np.linspace(0.98, 1.02, 42))  # every fourth point of a run, counted from its end
    assert 150 <= len(siblings.run) <= 300
    assert (siblings.progress == 0.0).sum() == 42


def test_a_loss_that_is_not_positive_has_no_way() -> None:
    assert path_of(NO_BINS, TIMELINE, 100.0, *RECIPE) is None
    assert path_of(bins(losses(1.0) - 3.0), TIMELINE, 2000.0, *RECIPE) is None
    assert points_of(0, True, bins(losses(1.0) - 3.0), TIMELINE, End(2000.0, -0.5, 0.0, *RECIPE)) == []


def test_a_forecast_leaves_nothing_that_only_a_search_for_garbage_frees() -> None:
    siblings, seen, end = team(1.0, 1.01), way(1.0, 1000), ahead(2000.0)
    gc.collect()
    gc.disable()
    try:
        siblings.expected(seen, end)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_of_pairs_of_points_nothing_is_kept_but_the_inverse_and_the_root() -> None:
    siblings = team(*np.linspace(0.98, 1.02, 12))
    kept = sum(value.nbytes for value in vars(siblings).values() if isinstance(value, np.ndarray))
    assert kept < 2.5 * siblings.inverse.nbytes
    assert not hasattr(siblings, "_kernel")


def test_a_loss_next_to_nothing_among_noisy_ones_leaves_the_others_way() -> None:
    loss = losses(1.0) + 0.05 * np.random.default_rng(0).standard_normal(len(STEPS))
    loss[1] = 1e-320
    path = path_of(bins(loss, 1000), TIMELINE, 1000.0, *RECIPE)
    assert path is not None
    mean, sd = team(1.0, 1.01, 0.99).expected(path, ahead(2000.0))
    assert math.exp(mean[0]) == pytest.approx(float(losses(1.0)[-1]), rel=0.1)
    assert 0.0 < sd[0] < 0.1
