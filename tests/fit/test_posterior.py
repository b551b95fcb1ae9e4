"""Bayes' rule for a loss ahead, against the textbook."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from curvecast.curve import FloatArray
from curvecast.fit.posterior import Posterior, weighed


def covariance(of: Posterior) -> FloatArray:
    return np.asarray(np.einsum("pqk,rqk->prk", of.root, of.root))


def test_it_is_the_conditional_gaussian_of_each_shape(posterior: Posterior) -> None:
    told = posterior.given(4000.0, 2.05, 0.01, val=False)
    column = posterior.columns(np.array([4000.0]), val=False)[:, 1]
    mean, variance = (part[0] for part in posterior.moments(np.array([4000.0]), val=False))
    before, after = covariance(posterior), covariance(told)
    total = variance / posterior.scale**2 + (0.01 / posterior.scale) ** 2
    for k in range(0, len(mean), 5):
        gain = before[:, :, k] @ column[:, k] / total[k]
        expected = before[:, :, k] - np.outer(gain, column[:, k] @ before[:, :, k])
        np.testing.assert_allclose(after[:, :, k], expected, rtol=1e-7, atol=1e-12)
        miss = (2.05 - mean[k]) / posterior.scale
        np.testing.assert_allclose(told.theta[:, k], posterior.theta[:, k] + gain * miss, rtol=1e-9, atol=1e-12)
    density = np.exp(-0.5 * ((2.05 - mean) / posterior.scale) ** 2 / total) / np.sqrt(total)
    np.testing.assert_allclose(told.weight, posterior.weight * density / (posterior.weight @ density), rtol=1e-9)


def test_the_loss_told_of_is_known_as_well_as_both_say(posterior: Posterior) -> None:
    """At that step each shape has the product of two Gaussians: what it said itself, and what it was told."""
    at = np.array([4000.0])
    mean, variance = (part[0] for part in posterior.moments(at, val=False))
    told = posterior.given(4000.0, 2.05, 0.01, val=False)
    after = [part[0] for part in told.moments(at, val=False)]
    expected = 1.0 / (1.0 / variance + 1.0 / 0.01**2)
    np.testing.assert_allclose(after[0], expected * (mean / variance + 2.05 / 0.01**2), rtol=2e-3)
    off = np.abs(after[1] / expected - 1.0)  # what fails to come is a share of the change, which has changed
    assert float(np.median(off)) < 0.01
    assert float(off.max()) < 0.2


def test_drawn_curves_end_where_the_loss_was_told(posterior: Posterior) -> None:
    steps = np.array([1000.0, 1500.0, 4000.0, 6000.0])
    told = posterior.given(4000.0, 2.05, 0.01, val=False)
    drawn = told.draw(steps, 20_000, val=False)
    means, variances = told.moments(steps, val=False)
    mean = (means @ told.weight).ravel()
    second = ((variances + means**2) @ told.weight).ravel() - mean**2
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.1 * np.sqrt(second).max())
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(second), rtol=0.15)


def test_a_run_that_is_no_outlier_can_be_told_a_loss_ahead(posterior: Posterior) -> None:
    """Told and then taken for lawful it is what it is the other way round."""
    ahead = 4000.0, 2.05, 0.01
    one, other = posterior.given(*ahead, val=False).lawful, posterior.lawful.given(*ahead, val=False)
    assert len(one.weight) < len(posterior.weight)
    np.testing.assert_allclose(one.weight, other.weight, rtol=1e-9)
    steps = np.array([1500.0, 4000.0, 6000.0])
    for ours, theirs in zip(one.moments(steps, val=False), other.moments(steps, val=False), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_array_equal(one.draw(steps, 8, val=False), other.draw(steps, 8, val=False))


def test_the_evidence_of_two_priors_is_the_mean_of_both_however_far_apart(posterior: Posterior) -> None:
    for evidence, of_both in ((0.0, 0.0), (-2000.0, -math.log(2.0)), (2000.0, 2000.0 - math.log(2.0))):
        other = replace(posterior, evidence=evidence)
        assert weighed(replace(posterior, evidence=0.0), other).evidence == pytest.approx(of_both)


def test_what_nobody_knows_teaches_nothing(posterior: Posterior) -> None:
    told = posterior.given(4000.0, 9.0, 1e6, val=False)
    np.testing.assert_allclose(told.theta, posterior.theta, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(told.weight, posterior.weight, rtol=1e-6)


def test_a_loss_ahead_draws_the_forecast_to_it(posterior: Posterior) -> None:
    at = np.array([4000.0])
    own = float((posterior.moments(at, val=False)[0] @ posterior.weight)[0])
    told = posterior.given(4000.0, own - 0.05, 0.005, val=False)
    drawn = float((told.moments(at, val=False)[0] @ told.weight)[0])
    assert own - 0.05 <= drawn < own - 0.02
