from __future__ import annotations

import numpy as np
import pytest

from curvecast.curve import FloatArray
from curvecast.fit.whiten import inner_products


def check(products: FloatArray, own: FloatArray, logdet: FloatArray, walk: FloatArray, *data: FloatArray) -> None:
    """The products of one walk against dense ones."""
    noise, fixed, shapes = data
    clock = np.cumsum(walk)
    covariance = np.minimum.outer(clock, clock) + np.diag(noise)
    columns, F = np.concatenate([fixed, shapes]), len(fixed)
    solved = np.linalg.solve(covariance, columns.T)
    np.testing.assert_allclose(products, fixed @ solved, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(own, np.diag(shapes @ solved[:, F:]), rtol=1e-10)
    np.testing.assert_allclose(logdet, np.linalg.slogdet(covariance)[1], rtol=1e-10)


@pytest.mark.parametrize("at_once", [True, False])
def test_products_of_many_runs_and_priors_equal_the_dense_gaussian(at_once: bool) -> None:
    rng = np.random.default_rng(0)
    n, W, Q, P, runs, F = 20, 2, 3, 2, 5, 4
    walk, noise = rng.uniform(1e-6, 0.3, (W, Q, runs, n)), rng.uniform(1e-4, 0.5, (runs, n))
    columns = rng.standard_normal((W, P, runs, F + 5, n))
    products, own, logdet = inner_products(columns, F, walk, noise, at_once=at_once)
    for w, q, p, r in np.ndindex(W, Q, P, runs):
        fixed, shapes = columns[w, p, r, :F], columns[w, p, r, F:]
        check(products[w, q, p, r], own[w, q, p, r], logdet[w, q, r], walk[w, q, r], noise[r], fixed, shapes)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_an_early_wander_hides_is_still_a_number(at_once: bool) -> None:
    """Fifty observations of little noise, each a large walk from the next: products of a thousandth of a thousandth."""
    walk, noise = np.full((1, 1, 1, 50), 0.1), np.full((1, 50), 1e-7)
    columns = np.tile(np.linspace(1.0, 2.0, 50), (1, 1, 1, 2, 1))
    products, _, logdet = inner_products(columns, 1, walk, noise, at_once=at_once)
    clock = np.cumsum(walk)
    covariance = np.minimum.outer(clock, clock) + np.diag(noise[0])
    expected = columns[0, 0, 0, 0] @ np.linalg.solve(covariance, columns[0, 0, 0, 0])
    np.testing.assert_allclose(products[0, 0, 0, 0], np.full((1, 2), expected), rtol=1e-9)
    np.testing.assert_allclose(logdet[0, 0, 0], np.linalg.slogdet(covariance)[1], rtol=1e-9)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("runs", [1, 3])
def test_two_losses_of_one_step_share_the_walk(runs: int, at_once: bool) -> None:
    """No elapsed time between two observations: their difference is noise alone."""
    walk, noise = np.full((1, 1, runs, 2), 0.2), np.tile([0.1, 0.3], (runs, 1))
    walk[..., 1] = 0.0
    columns = np.tile([1.0, -1.0], (1, 1, runs, 2, 1))
    products, _, _ = inner_products(columns, 1, walk, noise, at_once=at_once)
    covariance = np.array([[0.3, 0.2], [0.2, 0.5]])
    expected = np.array([1.0, -1.0]) @ np.linalg.solve(covariance, np.array([1.0, -1.0]))
    np.testing.assert_allclose(products, expected, rtol=1e-6)
