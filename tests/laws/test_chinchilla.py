from __future__ import annotations

import numpy as np
import pytest

from curvecast.laws.chinchilla import EPOCH, EPOCH_INTERVALS, HOFFMANN, HOFFMANN_ROUNDED, Chinchilla

COMPUTE = 5.76e23  # of Chinchilla itself [FLOP]


@pytest.mark.parametrize(
    ("law", "N", "D"),
    [(EPOCH, 7.2e10, 1.33e12), (HOFFMANN, 4.0e10, 2.4e12), (HOFFMANN_ROUNDED, 3.2e10, 3.0e12)],
    ids=["Epoch", "unrounded", "rounded"],
)
def test_each_set_of_constants_gives_its_published_optimum(law: Chinchilla, N: float, D: float) -> None:
    found = law.best(COMPUTE)
    assert found[0] == pytest.approx(N, rel=0.02)
    assert found[1] == pytest.approx(D, rel=0.02)


def test_the_refit_splits_compute_in_nearly_equal_parts() -> None:
    assert EPOCH.alpha_S / (EPOCH.alpha_N + EPOCH.alpha_S) == pytest.approx(0.513, abs=5e-4)


def test_the_refit_lies_in_its_intervals_and_the_printed_exponent_of_data_does_not() -> None:
    for name, (lower, upper) in EPOCH_INTERVALS.items():
        assert lower < getattr(EPOCH, name) < upper
    assert not EPOCH_INTERVALS["alpha_S"][0] < HOFFMANN_ROUNDED.alpha_S


@pytest.mark.parametrize("law", [EPOCH, HOFFMANN, HOFFMANN_ROUNDED])
@pytest.mark.parametrize("C", [1e19, 1e22, 1e25])
def test_the_optimum_is_the_least_loss_at_its_compute(law: Chinchilla, C: float) -> None:
    N, D = law.best(C)
    assert pytest.approx(C) == 6 * N * D
    other = N * np.geomspace(0.5, 2.0, 101)
    losses = law.loss(other, C / (6 * other))
    assert np.argmin(losses) == 50
    assert law.best_tokens(N) == pytest.approx(D)
    assert law.compute_for(law.loss(N, D)) == pytest.approx(C)


def test_a_loss_below_the_floor_has_no_price() -> None:
    assert EPOCH.compute_for([1.8, 2.0]).tolist()[0] == np.inf


def test_at_the_optimum_a_run_falls_as_fast_as_the_frontier() -> None:
    N, D = EPOCH.best(1e21)
    own = EPOCH.alpha_S * EPOCH.A_D * D**-EPOCH.alpha_S
    both = EPOCH.alpha_N * EPOCH.alpha_S / (EPOCH.alpha_N + EPOCH.alpha_S)
    assert own == pytest.approx(both * (EPOCH.loss(N, D) - EPOCH.irreducible_loss))
