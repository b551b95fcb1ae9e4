from __future__ import annotations

import numpy as np

from curvecast.fit.whiten import inner_products


def test_products_equal_the_dense_gaussian() -> None:
    rng = np.random.default_rng(0)
    n, W, Q = 20, 2, 3
    walk = rng.uniform(1e-6, 0.3, (W, Q, n))
    noise = rng.uniform(1e-4, 0.5, n)
    fixed, shapes = rng.standard_normal((4, n)), rng.standard_normal((W, 5, n))
    products, xx, logdet = inner_products(fixed, shapes, walk, noise)
    for w in range(W):
        for q in range(Q):
            clock = np.cumsum(walk[w, q])
            covariance = np.minimum.outer(clock, clock) + np.diag(noise)
            solved = np.linalg.solve(covariance, np.concatenate([fixed, shapes[w]]).T)
            c = w * Q + q
            columns = np.concatenate([fixed, shapes[w]])
            np.testing.assert_allclose(products[c], columns @ solved[:, :4], rtol=1e-10, atol=1e-11)
            np.testing.assert_allclose(xx[c], np.diag(shapes[w] @ solved[:, 4:]), rtol=1e-10)
            np.testing.assert_allclose(logdet[c], np.linalg.slogdet(covariance)[1], rtol=1e-10)


def test_two_losses_of_one_step_share_the_walk() -> None:
    """No elapsed time between two observations: their difference is noise alone."""
    walk, noise = np.full((1, 1, 2), 0.2), np.array([0.1, 0.3])
    walk[..., 1] = 0.0
    products, _, _ = inner_products(np.array([[1.0, -1.0]]), np.zeros((1, 1, 2)), walk, noise)
    covariance = np.array([[0.3, 0.2], [0.2, 0.5]])
    expected = np.array([1.0, -1.0]) @ np.linalg.solve(covariance, np.array([1.0, -1.0]))
    np.testing.assert_allclose(products[0, 0, 0], expected, rtol=1e-6)
