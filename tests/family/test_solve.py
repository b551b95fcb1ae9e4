from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from curvecast.family.forms import FORMS, Inputs
from curvecast.family.solve import Ridge, solve
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH


def a_family(count: int = 80, seed: int = 0) -> tuple[Inputs, FloatArray]:
    """Losses of Epoch's law with heavy-tailed noise, and where they were taken."""
    rng = np.random.default_rng(seed)
    n, d = rng.uniform(np.log(4e7), np.log(1.6e10), count), rng.uniform(np.log(1e9), np.log(3e11), count)
    y = np.log(EPOCH.loss(np.exp(n), np.exp(d))) + 0.004 * rng.standard_t(3, count)
    x = Inputs(n - n.mean(), d - d.mean(), np.zeros(count), np.zeros(count), n.mean(), d.mean())
    return x, y


def huber(phi: FloatArray, x: Inputs, y: FloatArray, delta: float) -> float:
    size = np.abs(y - FORMS["chinchilla"](phi[None], x)[0][0])
    return float(np.where(size < delta, 0.5 * size**2, delta * (size - 0.5 * delta)).sum())


@pytest.mark.parametrize("delta", [1e-3, 1.0])
def test_the_minimum_is_that_of_scipy(delta: float) -> None:
    x, y = a_family()
    form = FORMS["chinchilla"]
    found, score = solve(lambda phi: form(phi, x), y, form.starts(x, y, 50), delta=delta)
    best = found[np.argmin(score)]
    assert score.min() == pytest.approx(huber(best, x, y, delta))
    peer = minimize(
        huber,
        best + 0.02,
        args=(x, y, delta),
        method="Nelder-Mead",
        options={"maxiter": 8000, "xatol": 1e-9, "fatol": 1e-14},
    )
    assert score.min() <= peer.fun * (1 + 1e-6)


def test_nearly_every_start_finds_the_same_minimum() -> None:
    x, y = a_family()
    form = FORMS["chinchilla"]
    _, score = solve(lambda phi: form(phi, x), y, form.starts(x, y, 100))
    assert np.mean(score < score.min() * (1 + 1e-3)) > 0.8


def test_a_batch_gives_what_its_fits_give_alone() -> None:
    x, y = a_family()
    form = FORMS["chinchilla"]
    start = form.starts(x, y, 8)
    weight = np.random.default_rng(1).standard_exponential((8, len(y)))
    together, _ = solve(lambda phi: form(phi, x), y, start, weight=weight)
    for k in (0, 5):
        alone, _ = solve(lambda phi: form(phi, x), y, start[k : k + 1], weight=weight[k])
        assert together[k] == pytest.approx(alone[0], rel=1e-4)


def test_a_strong_belief_holds() -> None:
    x, y = a_family()
    form = FORMS["chinchilla"]
    k = form.columns()["alpha"]
    ridge = Ridge(np.full(5, np.log(0.2)), np.where(np.arange(5) == k, 1e6, 0.0))
    found, score = solve(lambda phi: form(phi, x), y, form.starts(x, y, 20), ridge=ridge)
    assert np.exp(found[np.argmin(score), k]) == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("law", FORMS)
@pytest.mark.parametrize("gain", [0, 1, 3])
def test_derivatives_are_finite_differences(law: str, gain: int) -> None:
    from dataclasses import replace

    rng = np.random.default_rng(2)
    x, y = a_family(30)
    x = replace(x, z=rng.uniform(0, 1, 30), repeats=rng.uniform(0, 20, 30))
    form = replace(FORMS[law], gain=gain)
    phi = form.starts(x, y, 3)
    _, slopes = form(phi, x)
    for k in range(phi.shape[1]):
        step = np.zeros(phi.shape[1])
        step[k] = 1e-6
        change = (form(phi + step, x)[0] - form(phi - step, x)[0]) / 2e-6
        assert slopes[:, k] == pytest.approx(change, abs=1e-7)
