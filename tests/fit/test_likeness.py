from __future__ import annotations

import numpy as np
import pytest

from curvecast.curve import FloatArray
from curvecast.fit.likeness import USUAL, Habits, Places, Team

MIDDLE = 14.0  # size of all of them


def team(runs: int, each: int = 6, noise: float = 0.0) -> Team:
    """Forecasts of ``runs`` runs of one recipe, ``each`` on its way."""
    rng = np.random.default_rng(0)
    share = np.tile(np.linspace(0.1, 0.9, each), runs)
    level = np.repeat(0.1 * rng.standard_normal(runs), each)
    known = np.ones_like(share)
    at = np.stack(
        [-np.log(share), 0.0 * share, 0.8 * (1 - share), 14.0 * known, 9.0 * known, 7 + np.log(share), level], axis=1
    )
    places = Places(at, change=-0.05 * (1.0 - share), sd=0.05 * (1.0 - share))
    return Team(places, np.repeat(np.arange(float(runs)), each), np.log(share), np.full(len(share), noise))


def drawn(siblings: Team, habits: Habits) -> FloatArray:
    """Misses as these habits have them."""
    root = np.linalg.cholesky(siblings.covariance(habits))
    return np.asarray(root @ np.random.default_rng(1).standard_normal(len(root)))


def test_the_variance_of_a_new_run_is_that_of_the_learnt_ones() -> None:
    siblings = team(3)
    assert np.diag(siblings.covariance(USUAL)) == pytest.approx(siblings.places.variance(USUAL, siblings.middle))


def test_the_noise_of_a_truth_is_shared_along_its_run_alone_and_that_of_what_was_seen_is_not() -> None:
    more = team(2, noise=0.01).covariance(USUAL) - team(2).covariance(USUAL)
    assert more[:6, :6] == pytest.approx(more[0, 1] * (1.0 + np.eye(6)))
    assert more[0, 1] > 0.0
    assert not more[:6, 6:].any()


def test_the_odd_run_counts_less_than_the_others() -> None:
    siblings = team(6)
    miss = drawn(siblings, USUAL)
    before = np.diag(siblings.covariance(USUAL)).copy()
    miss[:6] += 0.05 * (-1.0) ** np.arange(6)
    siblings.loosen(USUAL, miss)
    more = np.diag(siblings.covariance(USUAL)) / before
    assert more[:6].min() > 2.0 * more[6:].max()
    assert more.min() >= 1.0


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_one_run_tells_how_large_misses_are_and_not_what_is_shared(scale: float) -> None:
    alone = team(1)
    found = alone.habits(scale * drawn(alone, USUAL))
    assert found.law / found.own_law == pytest.approx(USUAL.law / USUAL.own_law)
    assert found.place / found.own_place == pytest.approx(USUAL.place / USUAL.own_place)
    more = np.log(alone.places.variance(found, MIDDLE) / alone.places.variance(USUAL, MIDDLE)).mean()
    assert np.sign(more) == np.sign(np.log(scale))


def test_forecasts_at_one_place_can_be_solved_for() -> None:
    siblings = team(2)
    twice = Team(siblings.places, np.zeros(12), np.zeros(12), np.zeros(12))
    assert np.linalg.eigvalsh(twice.covariance(USUAL)).min() > 0.0


@pytest.mark.parametrize("seed", range(5))
def test_misses_at_any_places_have_a_covariance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = rng.standard_normal((40, 7)) * np.array([1.0, 0.5, 0.5, 4.0, 3.0, 2.0, 1.0])
    places = Places(at, change=-0.1 * rng.random(40), sd=0.05 * rng.random(40))
    habits = Habits(*(size * factor for size, factor in zip(USUAL, 2.0 ** rng.integers(-3, 4, 9), strict=True)))
    covariance = Team(places, rng.integers(0, 5, 40).astype(float), -rng.random(40), np.zeros(40)).covariance(habits)
    assert covariance == pytest.approx(covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0.0


def left(siblings: Team, habits: Habits) -> FloatArray:
    """Logarithm of the variances of what the other runs leave of each miss."""
    inverse: FloatArray = np.asarray(np.linalg.inv(siblings.covariance(habits)), dtype=np.float64)
    kept = [np.diagonal(each, axis1=1, axis2=2) for *_, each in siblings.without_its_run(inverse, np.zeros(48))]
    return np.log(np.concatenate(kept))


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_habits_move_toward_those_that_the_misses_have(factor: float) -> None:
    siblings = team(8)
    made = Habits(*(factor * size for size in USUAL[:6]))
    found = siblings.habits(drawn(siblings, made))
    off, usual = ((left(siblings, habits) - left(siblings, made)).mean() for habits in (found, USUAL))
    assert abs(off) < 0.3 * abs(usual)


def test_usual_misses_leave_the_habits_near_the_usual_ones() -> None:
    siblings = team(8)
    found = siblings.habits(drawn(siblings, USUAL))
    assert np.abs(np.log2(np.array(found) / np.array(USUAL))).mean() <= 1.0
