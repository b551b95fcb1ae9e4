"""Henighan, GPT-4, transfer and power lines, against what is published of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curvecast.laws import gpt4, henighan, kaplan
from curvecast.laws.noise_scale import NoiseScale
from curvecast.laws.power_lines import CRITICAL_BATCH_EXPONENT, batch_for, best_timescale, best_weight_decay
from curvecast.laws.transfer import TEXT_AND_CODE_TO_PYTHON, TEXT_TO_PYTHON


def test_henighan_without_a_floor_is_kaplans_law() -> None:
    t, N = kaplan.TABLE_5, np.array([1e6, 1e9])
    assert henighan.over_floor((0.0, t.N_c, t.alpha_N), N) == pytest.approx(kaplan.loss_of_size(N))


def test_henighan_size_for_a_distance_from_the_entropy() -> None:
    theta = (3.1, 80.0, 0.24)
    N = henighan.size_for(theta, [0.5, 0.05])
    assert henighan.over_floor(theta, N) == pytest.approx([3.6, 3.15])


def test_gpt4_and_henighan_are_one_curve() -> None:
    C = np.array([1e-8, 1e-3, 1.0])
    assert gpt4.loss_of_compute((2.0, -0.1, 1.2), C) == pytest.approx(henighan.over_floor((1.2, 2.0**10, 0.1), C))


def test_ten_times_the_parameters_transfer_as_much_as_a_hundredfold_fine_tuning_set() -> None:
    # Hernandez et al. 2021: 0.38 and 0.18, so N counts about twice as much as the data in the exponent.
    by_size = TEXT_TO_PYTHON.transferred(1e5, 1e8) / TEXT_TO_PYTHON.transferred(1e5, 1e7)
    by_data = TEXT_TO_PYTHON.transferred(1e7, 1e7) / TEXT_TO_PYTHON.transferred(1e5, 1e7)
    assert by_size == pytest.approx(10**0.38)
    assert by_data == pytest.approx(100**0.18)
    assert by_size == pytest.approx(by_data, rel=0.06)


def test_code_among_the_text_transfers_more_where_data_is_short() -> None:
    D_F = np.array([1e5, 1e6])
    assert np.all(TEXT_AND_CODE_TO_PYTHON.transferred(D_F, 1e8) > TEXT_TO_PYTHON.transferred(D_F, 1e8))
    assert np.all(TEXT_TO_PYTHON.multiplier(D_F, 1e8) > 1)


def test_the_best_timescale_falls_with_tokens_per_parameter_alone() -> None:
    assert best_timescale(1e9, 2e10) == pytest.approx(1.084 * 20**-0.527)
    assert best_timescale(1e8, 2e9) == best_timescale(1e9, 2e10)


def test_the_best_weight_decay_has_the_best_timescale_and_grows_with_the_batch() -> None:
    N, D, B, eta = 1e9, 2e10, 2**20, 3e-3
    decay = best_weight_decay(N, D, batch_tokens=B, lr=eta)
    assert B / (eta * decay * D) == pytest.approx(best_timescale(N, D))
    assert best_weight_decay(N, D, batch_tokens=2 * B, lr=eta) == pytest.approx(2 * decay)
    with pytest.raises(ValueError, match="`lr` must be positive"):
        best_weight_decay(N, D, batch_tokens=B, lr=0.0)


def test_a_measured_batch_is_carried_to_more_data() -> None:
    assert batch_for(1e10, measured=5e5, at_tokens=1e10) == 5e5
    assert batch_for(1e12, measured=5e5, at_tokens=1e10, exponent=CRITICAL_BATCH_EXPONENT) == pytest.approx(
        5e5 * 100**0.47
    )


@pytest.mark.parametrize("odd", [(1.0, 1.0, 1.0, math.inf, 1), (2.0, 1.0, 1.0, 2.0, 0), (2.0, 1.0, 1.0, 2.0, math.nan)])
def test_a_noise_scale_refuses_what_would_spoil_its_means(odd: tuple[float, float, float, float, int]) -> None:
    scale = NoiseScale()
    with pytest.raises(ValueError, match=r"must be .*: got .* Pass"):
        scale.update(*odd)
    assert scale.state_dict() == {"noise": 0.0, "signal": 0.0}
