"""The rate of exchange, against the same Gaussian conditioned without shortcuts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from curvecast import Overfitting, Watcher
from curvecast.decisions import exchange


def test_ways_are_those_of_plain_conditioning() -> None:
    rng = np.random.default_rng(0)
    n, clock = 12, np.log(np.arange(1.0, 15.0))
    t = 1.5 - 0.2 * clock
    y = t[:n] / t[0] + 0.01 * rng.standard_normal(n)
    noise, expected = np.full(n, 1e-4), y[0] + (t - t[0])
    prior = exchange._prior(t, np.array([-0.01, -0.02]), clock)
    ways = exchange._conditioned(prior, y, expected, noise)
    assert ways is not None
    logs = []
    for k in range(2 * len(exchange._NOISES)):
        own = exchange._NOISES[k % 3] * noise + exchange._LEAST_NOISE**2
        own[1:-1] += exchange.astray(y) ** 2
        own[-1] *= exchange._OUTLIER if k >= 3 else 1.0
        seen = prior[:n, :n] + np.diag(own)
        gain = np.linalg.solve(seen, prior[:n]).T
        mean, cov = expected + gain @ (y - expected[:n]), prior - gain @ prior[:n]
        low = int(mean[:n].argmin())
        rises = [
            (mean[j] - mean[low]) / np.sqrt(max(cov[j, j] + cov[low, low] - 2 * cov[low, j], 1e-12))
            for j in (n - 1, n, n + 1)
        ]
        assert ways.low[k] == low
        assert norm.cdf(ways.rises[k]) == pytest.approx(norm.cdf(min(rises)), abs=1e-6)
        assert (ways.end[k], ways.end_var[k]) == pytest.approx((mean[-1], cov[-1, -1]), rel=1e-6)
        log = multivariate_normal(expected[:n], seen).logpdf(y)
        logs.append(log + np.log(exchange._IS_OUTLIER if k >= 3 else 1.0 - exchange._IS_OUTLIER))
    weight = np.exp(np.array(logs) - max(logs))
    assert ways.weight == pytest.approx(weight / weight.sum(), rel=1e-6)


def test_a_validation_within_noise_of_the_lowest_asks_for_no_rate() -> None:
    """What is dearest of a verdict is asked only where something tells of a turn; there it is, whatever comes of it."""
    asked = []
    for rise in (0.0, 0.2):
        watcher = Watcher(horizon=4000, decisions=[Overfitting()])
        rng = np.random.default_rng(0)
        for step in range(10, 2001, 10):
            train = 2.0 + 3.0 * step**-0.5
            noisy = train + 0.01 * float(rng.standard_normal())
            watcher.update(step, train_loss=train, val_loss=noisy + rise * max(0.0, math.log2(step / 1000)))
        view = replace(watcher.judge.view(), held=None)
        assert not view.stands_at_best
        Overfitting().decide(view)
        asked.append("trade" in view.__dict__)
    assert asked == [False, True]
