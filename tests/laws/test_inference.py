from __future__ import annotations

import numpy as np
import pytest

from curvecast.laws.chinchilla import EPOCH, HOFFMANN
from curvecast.laws.inference import best_lifetime, lifetime, tokens_for


def test_a_model_of_7b_replaces_one_of_13b_that_will_read_two_trillion_tokens() -> None:
    # Published: 7B instead of 13B saves 1.7e22 FLOP, 17 %.
    loss = float(HOFFMANN.loss(13e9, HOFFMANN.best_tokens(13e9)))
    usual, seven = (lifetime(HOFFMANN, N, loss, 2e12) for N in (13e9, 7e9))
    assert best_lifetime(HOFFMANN, loss, 2e12).num_params == pytest.approx(7e9, rel=0.05)
    assert 1 - seven.flops / usual.flops == pytest.approx(0.17, abs=0.015)


def test_without_use_it_is_the_best_size_to_train() -> None:
    loss = float(EPOCH.loss(*EPOCH.best(1e22)))
    best = best_lifetime(EPOCH, loss, 0.0)
    assert best.num_params == pytest.approx(float(EPOCH.best(1e22)[0]), rel=1e-3)
    assert best.training_flops == pytest.approx(1e22, rel=1e-6)


@pytest.mark.parametrize("inference", [1e10, 1e12, 1e14])
def test_the_multiplier_of_the_two_costs_holds_at_the_optimum(inference: float) -> None:
    loss = float(HOFFMANN.loss(*HOFFMANN.best(1e22)))
    best = best_lifetime(HOFFMANN, loss, inference)
    N, D = best.num_params, best.num_tokens
    assert HOFFMANN.loss(N, D) == pytest.approx(loss)
    costs = (6 * D + 2 * inference) / (6 * N)
    slopes = HOFFMANN.alpha_N * HOFFMANN.A_N * N ** (-HOFFMANN.alpha_N - 1)
    slopes /= HOFFMANN.alpha_S * HOFFMANN.A_D * D ** (-HOFFMANN.alpha_S - 1)
    assert costs == pytest.approx(slopes, rel=1e-3)


def test_more_use_makes_the_best_model_smaller() -> None:
    sizes = [best_lifetime(EPOCH, 2.2, tokens).num_params for tokens in (0.0, 1e11, 1e12, 1e13)]
    assert sizes == sorted(sizes, reverse=True)
    assert np.isinf(tokens_for(EPOCH, 1e6, 2.2))


def test_a_loss_that_no_model_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie above the irreducible loss"):
        best_lifetime(EPOCH, 1.5, 1e12)
    with pytest.raises(ValueError, match="`inference_tokens` must not be negative"):
        best_lifetime(EPOCH, 2.5, -1.0)
