from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from curvecast.laws.power import power_law, power_law_gradient


def test_ends_at_the_converged_loss() -> None:
    assert power_law([2.5, 4.0, 0.5], [1.0, 1e300]).tolist() == [6.5, 2.5]


def test_many_thetas_give_a_row_each() -> None:
    thetas = np.array([[2.0, 3.0, 0.5], [1.0, 2.0, 0.3]])
    S = np.array([1.0, 10.0, 100.0, 1000.0])
    assert power_law(thetas, S).shape == (2, 4)
    assert power_law_gradient(thetas, S).shape == (2, 4, 3)
    for row, gradient, theta in zip(power_law(thetas, S), power_law_gradient(thetas, S), thetas, strict=True):
        assert row == pytest.approx(power_law(theta, S))
        assert gradient == pytest.approx(power_law_gradient(theta, S))


@pytest.mark.parametrize("law", [power_law, power_law_gradient])
def test_bad_input_says_what_got_do(law: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"`S` must be at least 1: got 0\.5"):
        law([1.0, 2.0, 0.5], [0.5, 2.0])
    with pytest.raises(ValueError, match=r"`theta` must hold L_N, A, alpha .*: got shape \(2,\)"):
        law([1.0, 2.0], [2.0])
