from __future__ import annotations

import numpy as np
import pytest

from curvecast.family import approaches
from curvecast.laws.chinchilla import EPOCH

SHARE = EPOCH.alpha_S / (EPOCH.alpha_N + EPOCH.alpha_S)


def test_the_three_agree_on_losses_of_one_law() -> None:
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e10, 16), np.geomspace(1e8, 1e12, 60)))
    three = approaches(
        num_params=N, num_tokens=D, loss=EPOCH.loss(N, D), flops=1e22, names=[f"{size:.3e}" for size in N]
    )
    best = float(EPOCH.best(1e22)[0])
    envelope, isoflop, parametric = three
    assert envelope.exponent == pytest.approx(SHARE, abs=0.05)
    assert parametric.exponent == pytest.approx(SHARE, abs=0.005)
    assert envelope.num_params == pytest.approx(best, rel=0.3)
    assert parametric.num_params == pytest.approx(best, rel=0.02)
    assert isoflop.exponent == pytest.approx(SHARE, abs=0.02)
    few = approaches(num_params=N[::7], num_tokens=D[::7], loss=EPOCH.loss(N, D)[::7], flops=1e22)
    assert np.isnan(few[0].exponent)
    assert "no run has losses on the way" in few[0].note


def test_parabolas_find_the_exponent() -> None:
    C, N = (a.ravel() for a in np.meshgrid(np.geomspace(1e18, 1e21, 6), np.geomspace(3e7, 3e10, 25)))
    D = C / (6 * N)
    _, isoflop, _ = approaches(num_params=N, num_tokens=D, loss=EPOCH.loss(N, D), flops=1e22)
    assert isoflop.exponent == pytest.approx(SHARE, abs=0.01)
    assert isoflop.num_params == pytest.approx(float(EPOCH.best(1e22)[0]), rel=0.05)
    assert isoflop.used == 6


def test_one_size_has_no_best_size() -> None:
    D = np.geomspace(1e9, 1e11, 12)
    with pytest.raises(ValueError, match="needs runs of several sizes: got 1"):
        approaches(num_params=1e8, num_tokens=D, loss=EPOCH.loss(1e8, D), flops=1e22)


def test_an_envelope_of_one_size_is_none() -> None:
    N, D = (a.ravel() for a in np.meshgrid([1e8, 2e8, 4e8], np.geomspace(1e9, 1e11, 40)))
    envelope, _, parametric = approaches(
        num_params=N, num_tokens=D, loss=EPOCH.loss(N, D), flops=1e22, names=[f"{size:.0e}" for size in N]
    )
    assert np.isnan(envelope.exponent)
    assert "fewer than 3 sizes" in envelope.note
    assert parametric.exponent == pytest.approx(SHARE, abs=0.02)
