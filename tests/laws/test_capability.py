from __future__ import annotations

from math import comb

import numpy as np
import pytest

from curvecast.laws.capability import pass_at_k


@pytest.mark.parametrize(("n", "k"), [(5, 1), (5, 3), (20, 20), (200, 100)])
def test_pass_at_k_counts_the_samples_that_miss(n: int, k: int) -> None:
    exact = [1 - comb(n - c, k) / comb(n, k) for c in range(n + 1)]
    assert pass_at_k(n, np.arange(n + 1), k) == pytest.approx(exact, abs=1e-12)


def test_pass_at_k_keeps_its_digits_where_chances_are_small() -> None:
    assert pass_at_k(10**9, 1, 1) == pytest.approx(1e-9, rel=1e-6)
    assert pass_at_k(10**6, 10**6, 1) == 1.0


def test_pass_at_k_is_without_bias() -> None:
    rng = np.random.default_rng(0)
    p, n, k = 0.03, 20, 10
    passed = rng.binomial(n, p, 200_000)
    truth = 1 - (1 - p) ** k
    assert pass_at_k(n, passed, k).mean() == pytest.approx(truth, abs=0.002)
    naive = (1 - (1 - passed / n) ** k).mean()
    assert abs(naive - truth) > 0.01


@pytest.mark.parametrize(
    ("n", "c", "k", "word"), [(5, 6, 1, "`c`"), (5, -1, 1, "`c`"), (5, 1, 6, "`k`"), (5, 1, 0, "`k`")]
)
def test_pass_at_k_says_what_is_out_of_range(n: int, c: int, k: int, word: str) -> None:
    with pytest.raises(ValueError, match=f"{word} must lie between"):
        pass_at_k(n, c, k)
