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


def test_products_equal_the_dense_gaussian() -> None:
    rng = np.random.default_rng(0)
    n, W, Q = 20, 2, 3
    walk, noise = rng.uniform(1e-6, 0.3, (W, Q, n)), rng.uniform(1e-4, 0.5, n)
    fixed, shapes = rng.standard_normal((4, n)), rng.standard_normal((W, 5, n))
    products, own, logdet = inner_products(fixed, shapes, walk, noise)
    for w, q in np.ndindex(W, Q):
        c = w * Q + q
        check(products[:, :, c], own[:, c], logdet[c], walk[w, q], noise, fixed, shapes[w])


def test_products_of_many_runs_equal_the_dense_gaussian() -> None:
    rng = np.random.default_rng(0)
    n, W, Q, runs = 20, 2, 3, 5
    walk, noise = rng.uniform(1e-6, 0.3, (W, Q, n, runs)), rng.uniform(1e-4, 0.5, (n, runs))
    fixed, shapes = rng.standard_normal((4, n, runs)), rng.standard_normal((W, 5, n, runs))
    products, own, logdet = inner_products(fixed, shapes, walk, noise)
    for w, q, r in np.ndindex(W, Q, runs):
        c, data = (w * Q + q) * runs + r, (walk[w, q, :, r], noise[:, r], fixed[..., r], shapes[w, ..., r])
        check(products[:, :, c], own[:, c], logdet[c], *data)


@pytest.mark.parametrize("runs", [(), (3,)])
def test_two_losses_of_one_step_share_the_walk(runs: tuple[int, ...]) -> None:
    """No elapsed time between two observations: their difference is noise alone."""
    walk, noise = np.full((1, 1, 2, *runs), 0.2), np.ones((2, *runs))
    walk[:, :, 1], noise[0], noise[1] = 0.0, 0.1, 0.3
    fixed = np.ones((1, 2, *runs))
    fixed[:, 1] = -1.0
    products, _, _ = inner_products(fixed, np.zeros((1, 1, 2, *runs)), walk, noise)
    covariance = np.array([[0.3, 0.2], [0.2, 0.5]])
    expected = np.array([1.0, -1.0]) @ np.linalg.solve(covariance, np.array([1.0, -1.0]))
    np.testing.assert_allclose(products[0, 0], expected, rtol=1e-6)
