from __future__ import annotations

import math

import numpy as np
import pytest

from curvecast.laws.base import FamilyLaw
from curvecast.laws.frontier import at_size, inference_load, is_past, same_compute, same_loss
from curvecast.laws.kaplan import PF_DAY, Kaplan, critical_batch
from curvecast.laws.kaplan_frontier import Frontier
from curvecast.laws.noise_scale import Measured
from curvecast.laws.repeated import effective_tokens

# Chinchilla's parametric fit as refitted by Besiroglu et al. 2024, arXiv:2404.10102.
E, A, B, ALPHA, BETA = 1.8169, 482.01, 2085.43, 0.3478, 0.3658
CHINCHILLA = FamilyLaw(alpha_N=ALPHA, alpha_S=BETA, irreducible_loss=E)
G = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))


def chinchilla(N: float, D: float) -> float:
    return float(E + A / N**ALPHA + B / D**BETA)


def terms(N: float, D: float) -> tuple[float, float]:
    return A / N**ALPHA, B / D**BETA


@pytest.mark.parametrize("C", [1e19, 1e22, 5.76e23])
@pytest.mark.parametrize("off", [0.1, 0.7, 1.0, 5.0])
def test_same_compute_is_chinchillas_optimum(C: float, off: float) -> None:
    """``N_opt = G (C/6)^(b/(a+b))``, ``D_opt = (C/6)^(a/(a+b)) / G`` (Hoffmann et al. 2022, eq. 4)."""
    N_opt, D_opt = G * (C / 6) ** (BETA / (ALPHA + BETA)), (C / 6) ** (ALPHA / (ALPHA + BETA)) / G
    N = off * N_opt
    D = C / 6 / N
    way = same_compute(CHINCHILLA, *terms(N, D))
    assert way.size * N == pytest.approx(N_opt, rel=1e-12)
    assert way.tokens * D == pytest.approx(D_opt, rel=1e-12)
    assert way.loss == pytest.approx(chinchilla(N_opt, D_opt), rel=1e-12)


@pytest.mark.parametrize("ratio", [0.25, 0.99, 1.01, 4.0])
def test_past_the_point_exactly_beyond_the_best_data(ratio: float) -> None:
    """``beta D_term < alpha N_term`` if and only if ``D > D_opt(N)``, and if and only if the frontier falls faster."""
    N = 1e9
    D = ratio * (BETA * B / (ALPHA * A / N**ALPHA)) ** (1 / BETA)
    n, s = terms(N, D)
    assert is_past(CHINCHILLA, n, s) == (ratio > 1)
    frontier = ALPHA * BETA / (ALPHA + BETA) * (same_compute(CHINCHILLA, n, s).loss - E)
    assert (BETA * s < frontier) == (ratio > 1)


def test_kaplans_ten_per_cent_against_two() -> None:
    """B.12 to B.14: 2.7 times the parameters, 0.13 times the steps, 0.35 (0.359 unrounded) of the compute."""
    way = same_loss(Kaplan(), 1.0, 0.02)
    shares = Frontier().trained_to(0.02)
    assert (way.size, way.tokens, way.compute) == pytest.approx(tuple(shares), rel=1e-12)
    assert (round(way.size, 1), round(way.tokens, 2)) == (2.7, 0.13)


KAPPA = 0.35
JOINED = FamilyLaw(alpha_N=0.15, alpha_S=0.25, irreducible_loss=1.4, kappa=KAPPA)


def joined(size: np.ndarray, tokens: np.ndarray, falling: float) -> np.ndarray:
    """A law whose terms join by a power, its N-term 1 where the run stands."""
    both = size ** (-JOINED.alpha_N / KAPPA) + falling * tokens ** (-JOINED.alpha_S / KAPPA)
    return np.asarray(JOINED.irreducible_loss + both**KAPPA)


@pytest.mark.parametrize("falling", [0.1, 0.6, 5.0])
@pytest.mark.parametrize("load", [0.0, 0.5])
def test_where_terms_join_by_a_power_no_other_size_does_better(falling: float, load: float) -> None:
    """Every size is tried, at the run's compute and at its loss, with a served share and without."""
    S_term = (1.0 + falling) ** KAPPA - 1.0
    size = np.geomspace(1e-3, 1e3, 200_001)
    tokens = (1.0 + load) / size - load
    size, tokens = size[tokens > 0.0], tokens[tokens > 0.0]
    losses = joined(size, tokens, falling)
    way = same_compute(JOINED, 1.0, S_term, load)
    assert (way.size, way.loss) == pytest.approx((size[losses.argmin()], losses.min()), rel=1e-3)
    size = np.geomspace((1.0 + falling) ** (-KAPPA / JOINED.alpha_N) * 1.0001, 1e3, 200_001)
    left = 1.0 + falling - size ** (-JOINED.alpha_N / KAPPA)
    compute = size * ((left / falling) ** (-KAPPA / JOINED.alpha_S) + load) / (1.0 + load)
    cheapest = same_loss(JOINED, 1.0, S_term, load)
    assert (cheapest.size, cheapest.compute) == pytest.approx((size[compute.argmin()], compute.min()), rel=1e-3)
    if load == 0.0:
        assert 1.0 / JOINED.compute_excess(1.0, S_term) == pytest.approx(cheapest.compute, rel=1e-9)
        assert JOINED.best_size(1.0, S_term)[0] == pytest.approx(cheapest.size, rel=1e-9)
    assert is_past(JOINED, 1.0, S_term, load) == (cheapest.size > 1.0)


def test_a_law_that_joins_falls_as_it_says_at_another_size() -> None:
    S_term = 1.6**KAPPA - 1.0
    for size in (0.3, 1.0, 4.0):
        loss = at_size(JOINED, 1.0, S_term, size).loss
        assert loss == pytest.approx(float(joined(np.array(size), np.array(1.0 / size), 0.6)))


def test_a_measured_critical_batch_leaves_the_law_as_it_is() -> None:
    law = Measured.of(JOINED, critical_batch=1e5, at_loss=2.0)
    assert law.efficient_ratio == JOINED.efficient_ratio
    assert law.irreducible_loss == JOINED.irreducible_loss
    assert {law.step_factor(loss, 1e5) for loss in (1.9, 2.0, 4.0)} == {2.0}  # this law knows none of its own


@pytest.mark.parametrize("ratio", [0.6, 1.0, 2.2])
def test_excess_is_kaplans_b16(ratio: float) -> None:
    best = Frontier()
    N, L = ratio * 1e9, float(best.stop_loss(1e9))
    n = (best.N_c / N) ** best.alpha_N
    assert 1 / same_loss(Kaplan(), n, L - n).compute == pytest.approx(float(best.compute_ratio(ratio)), rel=1e-9)


@pytest.mark.parametrize("ratio", [0.3, 3.0])
def test_same_compute_far_below_the_critical_batch_is_kaplans_frontier(ratio: float) -> None:
    """B.6 and B.9: a run off the best size, at a batch so small that only ``E_min`` counts."""
    best = Frontier()
    N = ratio * float(best.size(PF_DAY))
    n = (best.N_c / N) ** best.alpha_N
    losses = n + np.geomspace(1e-4, 10.0, 200_001)
    L = float(losses[np.argmin(np.abs(np.log(best.compute(N, losses) / PF_DAY)))])  # what 1 PF-day takes it to
    way = same_compute(Kaplan(), n, L - n, batch=1e-3)
    assert way.loss == pytest.approx(float(best.loss(PF_DAY)), rel=1e-4)
    assert way.size * N == pytest.approx(float(best.size(PF_DAY)), rel=1e-3)


def test_a_batch_far_above_critical_changes_nothing() -> None:
    plain, large = (same_compute(Kaplan(), 2.5, 0.05, batch=batch) for batch in (None, 1e15))
    assert large == pytest.approx(plain, rel=1e-6)


def test_step_factor_is_two_at_the_critical_batch() -> None:
    assert Kaplan().step_factor(2.5, float(critical_batch(2.5))) == pytest.approx(2.0)
    assert CHINCHILLA.step_factor(2.5, 1e6) == 1.0


@pytest.mark.parametrize("load", [0.01, 0.3, 5.0])
def test_inference_moves_the_optimum_to_smaller_models(load: float) -> None:
    """No nearby split of the same total compute does better, and the condition of Lagrange holds."""
    n, s = terms(7e9, 1.4e11)
    way, plain = same_compute(CHINCHILLA, n, s, load), same_compute(CHINCHILLA, n, s)
    assert way.size < plain.size
    for factor in (0.98, 1.02):
        size = way.size * factor
        tokens = (1 + load) / size - load
        assert E + n * size**-ALPHA + s * tokens**-BETA > way.loss
    cheapest = same_loss(CHINCHILLA, n, s, load)
    left, right = ALPHA * n * cheapest.size**-ALPHA, BETA * s * cheapest.tokens**-BETA
    assert left == pytest.approx(right * (1 + load / cheapest.tokens), rel=1e-6)
    assert cheapest.compute <= 1.0


def test_inference_moves_the_stopping_point_back() -> None:
    n, s = terms(1e9, 5e10)
    assert is_past(CHINCHILLA, n, s)
    assert not is_past(CHINCHILLA, n, s, inference_load(1e12, 5e10))


def test_effective_tokens_of_the_reference() -> None:
    """The data part of datablations' own example, L(6.34e9, 242e9, 25e9)."""
    U, D = 25e9, 242e9
    expected = U + U * 15.387756 * (1 - np.exp(-(D / U - 1) / 15.387756))
    assert effective_tokens(D, U) == pytest.approx(expected, rel=1e-12)
    assert effective_tokens([1e9, 25e9], U).tolist() == [1e9, 25e9]


@pytest.mark.parametrize(("alpha_N", "alpha_S"), [(1e-9, 1e-9), (0.01, 0.01), (1e-6, 30.0), (30.0, 1e-6)])
@pytest.mark.parametrize(("N_term", "S_term"), [(1e-9, 1.0), (1.0, 1e-9), (1e50, 1e-40), (1e-40, 1e50)])
@pytest.mark.parametrize("load", [0.0, 1e-20, 1.0, 1e12])
@pytest.mark.parametrize("kappa", [1.0, 0.1, 3.0])
def test_ways_are_finite_under_exponents_that_a_flat_family_has(
    alpha_N: float, alpha_S: float, N_term: float, S_term: float, load: float, kappa: float
) -> None:
    law = FamilyLaw(alpha_N, alpha_S, kappa=kappa)
    ways = [same_loss(law, N_term, S_term, load), same_compute(law, N_term, S_term, load)]
    for way in [*ways, at_size(law, N_term, S_term, 1e-290), at_size(law, N_term, S_term, 1e290)]:
        assert all(0.0 < part < math.inf for part in way)


@pytest.mark.parametrize("loss", [1e-300, 1e-80, 1e80, 1e300])
def test_a_step_factor_is_a_number_in_any_unit(loss: float) -> None:
    assert 1.0 <= Kaplan().step_factor(loss, 1e5) < math.inf


@pytest.mark.parametrize("strange", [{"alpha_N": "a"}, {"alpha_S": None}, {"irreducible_loss": "1.8"}, {"kappa": "1"}])
def test_a_law_of_no_numbers_is_told(strange: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=f"`{next(iter(strange))}` must be a number: got"):
        FamilyLaw(**{"alpha_N": 0.3, "alpha_S": 0.3} | strange)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("alpha_N", math.inf), ("alpha_S", math.nan), ("irreducible_loss", math.nan), ("kappa", 0.0), ("kappa", math.inf)]
    + [(name, value) for name in ("alpha_N", "alpha_S", "kappa") for value in (1e-300, 1e300)],
)
def test_a_law_without_bounds_is_told(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        FamilyLaw(**{"alpha_N": 0.3, "alpha_S": 0.3, name: value})
