from __future__ import annotations

import numpy as np
import pytest

from curvecast.curve import FloatArray
from curvecast.fit.likeness import USUAL, Habits, Kin, Places


def kin(runs: int, each: int = 6, noise: float = 0.0) -> Kin:
    """Forecasts of ``runs`` runs of one recipe, ``each`` on its way."""
    rng = np.random.default_rng(0)
    share = np.tile(np.linspace(0.1, 0.9, each), runs)
    level = np.repeat(0.1 * rng.standard_normal(runs), each)
    at = np.stack(
        [-np.log(share), 0.0 * share, 0.8 * (1 - share), 14.0 + 0.0 * share, 7 + np.log(share), level], axis=1
    )
    places = Places(at, change=-0.2 * (1.0 - share), sd=0.05 * (1.0 - share))
    return Kin(places, np.repeat(np.arange(float(runs)), each), np.log(share), np.full(len(share), noise))


def drawn(family: Kin, habits: Habits) -> FloatArray:
    """Misses as these habits have them."""
    root = np.linalg.cholesky(family.covariance(habits))
    return np.asarray(root @ np.random.default_rng(1).standard_normal(len(root)))


def test_the_variance_of_a_new_run_is_that_of_the_learnt_ones() -> None:
    family = kin(3)
    assert np.diag(family.covariance(USUAL)) == pytest.approx(family.places.variance(USUAL))


def test_the_noise_of_a_truth_is_shared_along_its_run_alone() -> None:
    more = kin(2, noise=0.01).covariance(USUAL) - kin(2).covariance(USUAL)
    assert more[:6, :6] == pytest.approx(np.full((6, 6), more[0, 0]))
    assert more[0, 0] > 0.0
    assert not more[:6, 6:].any()


def test_forecasts_at_one_place_can_be_solved_for() -> None:
    family = kin(2)
    twice = Kin(family.places, np.zeros(12), np.zeros(12), np.zeros(12))
    assert np.linalg.eigvalsh(twice.covariance(USUAL)).min() > 0.0


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_habits_move_toward_those_that_the_misses_have(factor: float) -> None:
    family = kin(8)
    made = Habits(*(factor * size for size in USUAL[:6]))
    found = family.habits(drawn(family, made))
    left = np.log(family.places.variance(found) / family.places.variance(made)).mean()
    usual = np.log(family.places.variance(USUAL) / family.places.variance(made)).mean()
    assert abs(left) < 0.6 * abs(usual)


def test_usual_misses_leave_the_habits_near_the_usual_ones() -> None:
    family = kin(8)
    found = family.habits(drawn(family, USUAL))
    assert np.abs(np.log2(np.array(found) / np.array(USUAL))).mean() <= 1.0
