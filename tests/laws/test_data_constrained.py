from __future__ import annotations

import numpy as np
import pytest

from curvecast.laws.data_constrained import DataConstrained


@pytest.mark.parametrize(
    ("N", "D", "unique", "loss"),
    [(6.34e9, 242e9, 25e9, 2.2256440889984477), (8.67e9, 178e9, 25e9, 2.2269634075087867)],
)
def test_the_authors_reference_losses(N: float, D: float, unique: float, loss: float) -> None:
    assert DataConstrained().loss(N, D, unique) == pytest.approx(loss, rel=1e-14)


def test_without_repeats_it_is_the_law_of_fresh_data() -> None:
    law = DataConstrained()
    D = np.array([1e9, 1e11])
    N = law.fresh.best_tokens(1.0) * 0 + 1e7  # smaller than the best size for either
    assert law.loss(N, D, np.inf) == pytest.approx(law.fresh.loss(N, D))
    assert law.loss(N, D, 2 * D) == pytest.approx(law.fresh.loss(N, D))


def test_four_epochs_are_almost_as_good_as_fresh_and_forty_are_not() -> None:
    law, unique = DataConstrained(), 1e10
    worth = law.effective_tokens(unique * np.array([1.0, 4.0, 40.0, 4000.0]), unique) / unique
    assert worth[0] == 1.0
    assert 3.6 < worth[1] < 4.0
    assert worth[2] < 20
    assert worth[3] == pytest.approx(1 + law.R_D)
