from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from curvecast.laws.base import FamilyLaw
from curvecast.laws.kaplan import (
    PF_DAY,
    TABLE_2,
    TABLE_3,
    TABLE_5,
    Kaplan,
    critical_batch,
    loss_of_compute,
    loss_of_data,
    loss_of_min_compute,
    loss_of_size,
    loss_of_size_and_data,
    loss_of_size_and_steps,
    min_compute,
    min_steps,
)
from curvecast.laws.kaplan_frontier import Frontier, table_6, tokens_at_critical_batch
from curvecast.laws.kaplan_overfitting import first_stop_step, overfitting, tokens_needed

N = np.geomspace(1e5, 1e12, 15)
C = np.geomspace(1e14, 1e26, 13)


def test_each_law_is_one_at_its_constant() -> None:
    assert loss_of_size(TABLE_5.N_c) == pytest.approx(1)
    assert loss_of_data(TABLE_5.D_c) == pytest.approx(1)
    assert loss_of_compute(1.6e7 * PF_DAY) == pytest.approx(1)
    assert loss_of_min_compute(3.1e8 * PF_DAY) == pytest.approx(1)
    assert critical_batch(1.0) == pytest.approx(2.1e8)


@pytest.mark.parametrize(
    ("law", "alpha"),
    [
        (loss_of_size, 0.076),
        (loss_of_data, 0.095),
        (loss_of_compute, 0.057),
        (loss_of_min_compute, 0.050),
        (critical_batch, 1 / 0.21),
    ],
)
def test_ten_times_more_divides_by_ten_to_the_exponent(law: Callable[[float], float], alpha: float) -> None:
    assert law(1e9) / law(1e10) == pytest.approx(10**alpha)


def test_the_tables_are_kept_apart_and_cannot_be_changed() -> None:
    assert (TABLE_2.N_c, TABLE_3.N_c, TABLE_5.N_c) == (6.4e13, 6.5e13, 8.8e13)
    assert (TABLE_2.alpha_D, TABLE_5.alpha_D) == (0.103, 0.095)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'N_c'"):
        TABLE_2.N_c = 1.0  # type: ignore[misc]


def test_joint_laws_reach_their_limits() -> None:
    assert loss_of_size_and_data(N, np.inf) == pytest.approx((6.4e13 / N) ** 0.076)
    assert loss_of_size_and_data(np.inf, N) == pytest.approx((1.8e13 / N) ** 0.103)
    assert loss_of_size_and_steps(N, np.inf) == pytest.approx((6.5e13 / N) ** 0.077)
    assert np.all(np.diff(loss_of_size_and_steps(1e8, np.geomspace(10, 1e6, 20))) < 0)


def test_at_the_critical_batch_steps_and_compute_are_twice_their_least() -> None:
    L = np.array([4.0, 3.0, 2.0])
    assert min_steps(2e4, critical_batch(L), L) == pytest.approx(1e4)
    assert min_compute(2e20, critical_batch(L), L) == pytest.approx(1e20)


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0, 50.0])
def test_fewer_steps_cost_more_data(share: float) -> None:
    S, L = 5000.0, 2.8
    B = share * critical_batch(L)
    S_min, E_min = min_steps(S, B, L), min_compute(1.0, B, L) * B * S
    assert (S / S_min - 1) * (B * S / E_min - 1) == pytest.approx(1)  # eq. 5.1
    assert E_min / S_min == pytest.approx(critical_batch(L))  # eq. 5.2


def test_frontier_spends_its_compute() -> None:
    best = Frontier()
    assert 6 * best.size(C) * best.batch(C) * best.steps(C) == pytest.approx(C)


def test_frontier_at_one_petaflop_day() -> None:
    best = Frontier()
    assert best.size(PF_DAY) == pytest.approx(6.0e8, rel=0.01)
    assert best.steps(PF_DAY) == pytest.approx(1.3e4, rel=0.1)
    assert best.batch(PF_DAY) == pytest.approx(1.8e6, rel=0.02)
    assert best.alpha_C == pytest.approx(0.052, abs=5e-4)


def test_frontier_lies_on_the_law_of_size_and_steps() -> None:
    best = Frontier()
    size, S = best.size(C), best.steps(C)
    N_term, S_term = (best.N_c / size) ** best.alpha_N, (best.S_c / S) ** best.alpha_S
    assert N_term + S_term == pytest.approx(best.loss(C))
    assert best.alpha_N * N_term == pytest.approx(best.alpha_S * S_term)  # eq. B.4


def test_efficient_stop_is_a_tenth_above_the_converged_loss() -> None:
    best = Frontier()
    assert best.stop_loss(N) == pytest.approx(1.1 * loss_of_size(N))
    reached = loss_of_size(N) + (best.S_c / best.stop_step(N)) ** best.alpha_S
    assert reached == pytest.approx(best.stop_loss(N))
    assert best.stop_step(best.size(C)) == pytest.approx(best.steps(C))
    assert best.stop_loss(best.size(C)) == pytest.approx(best.loss(C))


def test_no_other_size_reaches_the_frontiers_loss_for_less() -> None:
    best = Frontier()
    L = best.loss(1e20)
    sizes = best.size(1e20) * np.geomspace(0.3, 30, 4001)
    needed = best.compute(sizes, L)
    assert needed.min() == pytest.approx(1e20, rel=1e-6)
    assert sizes[np.argmin(needed)] == pytest.approx(best.size(1e20), rel=2e-3)
    assert needed / 1e20 == pytest.approx(best.compute_ratio(sizes / best.size(1e20)))  # B.15 and B.16


def test_sizes_from_0_6_to_2_2_cost_at_most_a_fifth_more() -> None:
    ratio = Frontier().compute_ratio(np.geomspace(0.6, 2.2, 200))
    assert 1 <= ratio.min() < 1.001
    assert ratio.max() <= 1.205


def test_a_size_that_cannot_reach_the_loss_needs_compute_without_end() -> None:
    assert Frontier().compute(1e6, 2.0) == np.inf
    assert Frontier().compute_ratio(0.01) == np.inf


def test_efficient_training_against_two_percent_from_convergence() -> None:
    shares = Frontier().trained_to(0.02)
    assert shares.size == pytest.approx(2.7, abs=0.05)
    assert shares.steps == pytest.approx(0.13, abs=0.005)
    assert shares.compute == pytest.approx(0.35, abs=0.01)  # the paper multiplies the rounded 2.7 and 0.13
    assert Frontier().trained_to(0.1) == pytest.approx((1, 1, 1))


def test_table_6_and_the_doubled_tokens() -> None:
    assert table_6(PF_DAY) == pytest.approx((1.3e9, 2.0e6, 5.4e3, 2e10))
    assert pytest.approx(1.3e9 * 1e3**0.73) == table_6(1e3 * PF_DAY).N
    assert tokens_at_critical_batch(PF_DAY) == pytest.approx(4e10)
    assert pytest.approx(tokens_at_critical_batch(PF_DAY)) == 2 * table_6(PF_DAY).D


def test_overfitting_is_the_loss_over_that_of_endless_data() -> None:
    D = 1e9
    ratio = loss_of_size_and_data(N, D) / loss_of_size_and_data(N, np.inf)
    assert overfitting(N, D) == pytest.approx(ratio - 1)


def test_tokens_needed_for_two_percent() -> None:
    needed = tokens_needed(N)
    assert overfitting(N, needed) == pytest.approx(0.02)
    assert needed == pytest.approx(5.5e3 * N**0.738, rel=0.02)
    assert np.polyfit(np.log(N), np.log(needed), 1)[0] == pytest.approx(0.738, abs=5e-4)
    assert tokens_needed(1e9, 0.1) < tokens_needed(1e9, 0.02)


def test_early_stopping_is_not_due_before_the_law_of_steps_has_closed_the_gap() -> None:
    D = 1e9
    gap = loss_of_size_and_data(N, D) - loss_of_size_and_data(N, np.inf)
    assert (2.1e3 / first_stop_step(N, D)) ** 0.76 == pytest.approx(gap)
    assert first_stop_step(1e8, 1e10) > first_stop_step(1e8, 1e9)
    assert first_stop_step(1e8, np.inf) == np.inf


def test_kaplans_ratio_and_no_floor() -> None:
    law = Kaplan()
    assert law.efficient_ratio == pytest.approx(0.1)
    assert law.irreducible_loss == 0.0
    assert isinstance(law, FamilyLaw)
    assert pickle.loads(pickle.dumps(law)) == law
    assert "2001.08361" in law.source


def test_compute_excess_is_one_on_the_frontier_and_more_off_it() -> None:
    law = Kaplan()
    S_term = np.geomspace(1e-4, 10, 81)
    excess = law.compute_excess(1.0, S_term)
    assert law.compute_excess(1.0, 0.1) == pytest.approx(1)
    assert excess.min() >= 1
    assert np.all(np.diff(excess[S_term < 0.1]) < 0)
    assert np.all(np.diff(excess[S_term > 0.1]) > 0)


def test_compute_excess_is_the_ratio_of_b16() -> None:
    best, law = Frontier(), Kaplan()
    L = best.loss(1e21)
    sizes = best.size(1e21) * np.geomspace(0.4, 20, 40)
    N_term = loss_of_size(sizes)
    assert law.compute_excess(N_term, L - N_term) == pytest.approx(best.compute_ratio(sizes / best.size(1e21)))
    best_size = law.best_size(N_term, L - N_term)[0] * sizes
    assert best_size == pytest.approx(np.full(40, best.size(1e21)))


def test_compute_excess_gives_b12_to_b14() -> None:
    size, steps = Kaplan().best_size(2.5, 0.02 * 2.5)
    assert (size, steps, size * steps) == pytest.approx(Frontier().trained_to(0.02))
    assert Kaplan().compute_excess(2.5, 0.05) == pytest.approx(1 / Frontier().trained_to(0.02).compute)


def test_terms_that_are_not_positive_have_no_excess() -> None:
    assert np.isnan(Kaplan().compute_excess([1.0, 0.0, -1.0], [0.0, 1.0, 1.0])).all()


def test_exponents_must_be_positive() -> None:
    with pytest.raises(
        ValueError, match=r"`alpha_N` and `alpha_S` must be positive, from 1e-09 to 1000: got -0\.1, 0\.76"
    ):
        Kaplan(alpha_N=-0.1)
    with pytest.raises(ValueError, match="`excess` must be positive: got 0"):
        tokens_needed(1e9, 0)
