from __future__ import annotations

import numpy as np
import pytest

from curvecast.capability import fit_pass_rate, minus_log_pass, minus_log_pass_rate


def counts(seed: int, *, samples: int = 200, problems: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Models on a law, each problem harder or easier by a factor of its own."""
    rng = np.random.default_rng(seed)
    C = np.array([1e-6, 1e-5, 1e-4, 1e-3])
    hard = rng.gamma(6.0, 1 / 6.0, problems)
    p = np.exp(-np.outer(minus_log_pass_rate((0.3, 0.15), C), hard))
    return C, rng.binomial(samples, p)


def test_the_estimate_of_the_log_is_without_bias_and_finite() -> None:
    rng = np.random.default_rng(0)
    p, n = 0.2, 50
    passed = rng.binomial(n, p, 100_000)
    assert minus_log_pass(n, passed).mean() == pytest.approx(-np.log(p), abs=0.005)
    assert np.isfinite(minus_log_pass(n, 0))
    some = passed[passed > 0]
    assert abs(-np.log(some / n).mean() + np.log(p)) > 0.02


def test_the_law_is_found_and_foretells_a_thousandfold_compute() -> None:
    inside = []
    for seed in range(40):
        C, passed = counts(seed)
        law = fit_pass_rate(C, passed, 200, bootstraps=200)
        assert law.k == pytest.approx(0.15, abs=0.04)
        rng = np.random.default_rng(seed)
        truth = 0.3 * rng.gamma(6.0, 1 / 6.0, 60).mean()
        inside.append(truth in law.predict(1.0).interval(0.9))
    assert np.mean(inside) > 0.7


@pytest.mark.parametrize("models", [3, 4, 6])
def test_models_that_scatter_about_the_law_make_it_less_sure_of_a_larger_one(models: int) -> None:
    C, inside = np.geomspace(1e-6, 1e-3, models), []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        level = minus_log_pass_rate((0.5, 0.12), np.append(C, 1.0)) * np.exp(0.1 * rng.standard_normal(models + 1))
        hard = np.exp(0.5 * rng.standard_normal(60))
        passed = rng.binomial(200, np.exp(-np.outer(level[:-1], hard)))
        law = fit_pass_rate(C, passed, 200, bootstraps=200)
        inside.append(level[-1] * hard[(passed > 0).all(axis=0)].mean() in law.predict(1.0).interval(0.9))
    assert np.mean(inside) > 0.83


def test_problems_that_a_model_never_solved_are_left_out() -> None:
    C, passed = counts(0)
    passed[0, :5] = 0
    law = fit_pass_rate(C, passed, 200)
    assert (law.problems, law.left_out) == (55, 5)
    interval = law.pass_rate(1.0)
    assert 0 < interval.lower < interval.upper < 1


def test_what_cannot_be_fitted_is_told() -> None:
    C, passed = counts(0)
    with pytest.raises(ValueError, match="at least three computes"):
        fit_pass_rate(C[:2], passed[:2], 200)
    with pytest.raises(ValueError, match="No problem was solved by every model"):
        fit_pass_rate(C, passed * 0, 200)
    with pytest.raises(ValueError, match="Every sample of a model passed"):
        fit_pass_rate(C, passed * 0 + 200, 200)
    with pytest.raises(ValueError, match="`flops` must be positive"):
        fit_pass_rate(C, passed, 200).predict(0.0)
    with pytest.raises(ValueError, match="`c` must lie between"):
        minus_log_pass(3, 4)
