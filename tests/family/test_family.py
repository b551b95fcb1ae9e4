from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curvecast import Schedule
from curvecast.family import Family, fit_family, fitting
from curvecast.laws import kaplan
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH
from curvecast.laws.data_constrained import DataConstrained
from curvecast.notation import amount
from tests.family.runs import SIZES, SMALL, TOKENS, constant_run, grid, some_runs


def test_a_law_without_noise_is_found_exactly() -> None:
    family = fit_family(**grid(0.0), bootstraps=20)
    found = family.parameters
    assert found["alpha_N"] == pytest.approx(EPOCH.alpha_N, rel=1e-3)
    assert found["alpha_D"] == pytest.approx(EPOCH.alpha_S, rel=1e-3)
    assert found["irreducible_loss"] == pytest.approx(EPOCH.irreducible_loss, rel=1e-3)
    assert family.outliers == {}
    assert family.predict(num_params=7e10, num_tokens=1.4e12).median == pytest.approx(
        EPOCH.loss(7e10, 1.4e12), rel=1e-3
    )


def test_a_family_prints_in_a_line() -> None:
    family = fit_family(**some_runs(), **SMALL)
    assert repr(family).startswith(f"Family(chinchilla: irreducible_loss={family.parameters['irreducible_loss']:.4g}, ")
    assert len(repr(family)) < 200


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = {"irreducible_loss": 1.8169, "alpha_N": EPOCH.alpha_N, "alpha_D": EPOCH.alpha_S}
    inside = []
    for seed in range(16):
        family = fit_family(**grid(0.003, seed), starts=40, bootstraps=100)
        inside += [value in family.interval(name, 0.9) for name, value in truth.items()]
    assert 0.78 < np.mean(inside) <= 0.98


def test_an_interval_reaches_to_its_estimate_where_all_draws_lie_to_one_side() -> None:
    family = fit_family(**grid(0.003), starts=40, bootstraps=20)
    for shift in (-1.0, 1.0):
        beside = replace(family, draws=family.best + shift * np.abs(family.draws - family.best))
        assert all(value in beside.interval(name, 0.5) for name, value in beside.parameters.items())


def test_forecasts_of_larger_runs_hold_the_truth() -> None:
    inside = []
    for seed in range(12):
        family = fit_family(**grid(0.003, seed), starts=40, bootstraps=60)
        ahead = family.predict(num_params=[5e9, 5e9], num_tokens=[2e10, 2e11])
        interval = ahead.interval(0.9)
        inside += (
            (interval.lower < EPOCH.loss(5e9, [2e10, 2e11])) & (EPOCH.loss(5e9, [2e10, 2e11]) < interval.upper)
        ).tolist()
    assert np.mean(inside) > 0.8


def test_the_largest_runs_are_held_out_and_an_outlier_is_named() -> None:
    data = grid()
    data["loss"][3] *= 1.1
    family = fit_family(**data, names=[f"run{k}" for k in range(24)], bootstraps=50)
    assert list(family.outliers) == ["run3"]
    assert family.held_out is not None
    assert family.held_out.runs == 4
    assert family.held_out.trained_up_to == 8e8
    assert family.held_out.error < 0.01
    assert "run3" in family.summary()


@pytest.mark.parametrize("law", ["chinchilla", "coupled", "kaplan_nd"])
def test_a_saved_family_forecasts_the_same(law: str, tmp_path: Path) -> None:
    family = fit_family(**grid(), law=law, bootstraps=30)
    family.save(tmp_path / "family.json")
    again = Family.load(tmp_path / "family.json")
    ask: dict[str, Any] = {"num_params": 3e9, "num_tokens": 1e11}
    assert again.predict(**ask).interval(0.9).lower == pytest.approx(
        family.predict(**ask).interval(0.9).lower, rel=1e-5
    )
    assert again.parameters == family.parameters
    assert again.held_out == family.held_out
    state = json.loads((tmp_path / "family.json").read_text())
    assert state["units"]["loss"] == "nats/token"
    assert state["provenance"]["runs"] == 24


def test_kaplans_law_of_steps_is_found() -> None:
    t = kaplan.TABLE_3
    N, S = (a.ravel() for a in np.meshgrid([1e6, 1e7, 1e8, 1e9], np.geomspace(3e3, 3e5, 6)))
    family = fit_family(num_params=N, steps=S, loss=kaplan.loss_of_size_and_steps(N, S), law="kaplan_ns", bootstraps=10)
    for name in ("N_c", "alpha_N", "S_c", "alpha_S"):
        assert family.parameters[name] == pytest.approx(getattr(t, name), rel=0.02)
    assert "not as S_min" in family.notes[0]


def test_kaplans_steps_are_corrected_for_the_batch() -> None:
    t, B = kaplan.TABLE_3, 2.0**19
    N, S_min = (a.ravel() for a in np.meshgrid([1e6, 1e7, 1e8, 1e9], np.geomspace(3e3, 3e5, 6)))
    L = kaplan.loss_of_size_and_steps(N, S_min)
    S = S_min * (1 + kaplan.critical_batch(L) / B)
    ways = [{"steps": S, "batch_tokens": B}, {"steps": S, "num_tokens": S * B}]
    for way in ways:
        family = fit_family(num_params=N, loss=L, law="kaplan_ns", bootstraps=0, **way)  # type: ignore[arg-type]
        assert family.parameters["S_c"] == pytest.approx(t.S_c, rel=0.02)
        assert not any("S_min" in note for note in family.notes)


def test_runs_of_unknown_learning_rate_give_their_end_and_a_note() -> None:
    runs = [constant_run(N, steps=steps, seed=k) for k, N in enumerate(SIZES) for steps in (1000, 4000)]
    for k, run in enumerate(runs):
        del run.meta["schedule"]
        run.meta["group"] = str(k)
    family = fit_family(runs, bootstraps=0)
    assert family.provenance["losses"] == 12
    assert "learning rate not known of" in family.notes[0]


def test_kaplans_law_of_data_is_found() -> None:
    t = kaplan.TABLE_2
    N, D = (a.ravel() for a in np.meshgrid([1e6, 1e7, 1e8, 1e9], np.geomspace(2e7, 2e10, 5)))
    family = fit_family(
        num_params=N, num_tokens=D, loss=kaplan.loss_of_size_and_data(N, D), law="kaplan_nd", bootstraps=10
    )
    for name in ("N_c", "alpha_N", "D_c", "alpha_D"):
        assert family.parameters[name] == pytest.approx(getattr(t, name), rel=0.02)


def test_the_law_of_compute_is_found() -> None:
    C = np.geomspace(1e17, 1e22, 8)
    N, D = EPOCH.best(C)
    family = fit_family(num_params=N, num_tokens=D, loss=EPOCH.loss(N, D), law="compute", bootstraps=10)
    both = EPOCH.alpha_N * EPOCH.alpha_S / (EPOCH.alpha_N + EPOCH.alpha_S)
    assert family.parameters["alpha_C"] == pytest.approx(both, rel=0.01)
    ahead = EPOCH.best(1e24)
    assert family.predict(num_params=ahead[0], num_tokens=ahead[1]).median == pytest.approx(
        EPOCH.loss(*ahead), rel=2e-3
    )


def test_repeats_are_found_to_count_less() -> None:
    law = DataConstrained(R_N=1e9)
    N, D = (a.ravel() for a in np.meshgrid([1e7, 1e8, 4e8, 1e9], np.geomspace(1e9, 3e11, 8)))
    unique = np.full(N.shape, 1e10)
    small = law.fresh.best(6 * 1e10 * 1e10)[0]
    assert N.max() < small * 10
    losses = law.E + law.A_N * N**-law.alpha_N + law.A_D * law.effective_tokens(D, unique) ** -law.alpha_D
    family = fit_family(
        num_params=N, num_tokens=D, loss=losses, unique_tokens=unique, law="data_constrained", bootstraps=10
    )
    assert family.parameters["R_D"] == pytest.approx(law.R_D, rel=0.03)
    ask = family.loss(1e9, 4e11, unique_tokens=1e10)
    assert ask > family.loss(1e9, 4e11)


def test_five_runs_at_a_constant_learning_rate_teach_what_many_would() -> None:
    runs = [constant_run(N, seed=k) for k, N in enumerate(SIZES[:5])]
    family = fit_family(runs, bootstraps=50)
    assert family.provenance["losses"] == 5 * 16
    batch = float(runs[0].meta["batch_tokens"])  # type: ignore[arg-type]
    assert family.provenance["batch_tokens"] == pytest.approx([batch, batch])
    assert f"the runs' steps are of {amount(batch)} tokens" in family.summary()
    truth = EPOCH.loss(3.2e9, 2e11)
    assert family.predict(num_params=3.2e9, num_tokens=2e11).median == pytest.approx(truth, rel=0.01)


def test_what_a_decay_brings_is_a_parameter_of_its_own() -> None:
    runs = [constant_run(N, seed=k) for k, N in enumerate(SIZES)]
    runs += [constant_run(N, seed=9 + k, cooled=True) for k, N in enumerate(SIZES)]
    family = fit_family(runs, bootstraps=30)
    assert family.parameters["annealing_gain"] == pytest.approx(0.03, rel=0.1)
    ends = []
    for cooled in (False, True):
        run = constant_run(1e9, cooled=cooled)
        plan = Schedule.wsd(4000, warmup=0, decay=0.2) if cooled else Schedule.constant(4000)
        ask: dict[str, Any] = {"num_params": 1e9, "num_tokens": 4000 * 2.0**20}
        ahead = family.predict(**ask, schedule=plan)
        assert ahead.median == pytest.approx(run.train_loss[-1], rel=0.005)
        ends.append(ahead.median)
    assert ends[1] < ends[0]


def test_two_sizes_are_fitted_with_what_other_families_teach() -> None:
    family = fit_family(**grid(sizes=SIZES[2:4]), bootstraps=60)
    assert "believed" in family.notes[0]
    assert family.held_out is None
    four, many = (f.predict(num_params=1.6e9, num_tokens=6e10).interval(0.9) for f in (family, fit_family(**grid())))
    assert float(EPOCH.loss(1.6e9, 6e10)) in four
    assert four.width > 2 * many.width


def test_many_shapes_of_nearly_one_size_are_fitted_with_what_other_families_teach() -> None:
    sizes = np.geomspace(5e7, 1.2e8, 8)
    family = fit_family(**grid(0.004, sizes=sizes), bootstraps=60)
    assert "8 sizes, all but two within a factor of 1.9, tell little" in " ".join(family.notes)
    ahead = family.predict(num_params=2e9, num_tokens=6e10)
    assert ahead.median == pytest.approx(float(EPOCH.loss(2e9, 6e10)), rel=0.03)
    assert not any("believed" in note for note in fit_family(**grid(), bootstraps=0).notes)


def test_a_law_that_the_longest_runs_contradict_is_not_sure_of_longer_ones() -> None:
    def truth(N: FloatArray | float, D: FloatArray | float) -> FloatArray:
        return np.asarray(EPOCH.loss(N, D) * (1 + 0.1 * (np.asarray(D) / 1e9) ** -1.0))  # what fades after the start

    N, D = (a.ravel() for a in np.meshgrid(SIZES, np.geomspace(1e9, 1e10, 6)))
    family = fit_family(num_params=N, num_tokens=D, loss=truth(N, D), starts=40, bootstraps=60)
    assert float(truth(1.6e9, 3e11)) in family.predict(num_params=1.6e9, num_tokens=3e11).interval(0.9)


def test_a_check_at_hand_of_the_fit_makes_no_law_sure() -> None:
    near = fit_family(**grid(0.002, sizes=np.array([5e7, 1e8, 2e8, 4e8, 4.5e8])), starts=40, bootstraps=60)
    far = fit_family(**grid(0.002, sizes=np.array([5e7, 1e8, 2e8, 4e8, 4e9])), starts=40, bootstraps=60)
    assert near.drift[0] > 0.005 > far.drift[0] > 0.0


def test_large_sizes_near_one_another_are_foretold_by_the_smaller_half() -> None:
    """The largest by all others would tell nothing: it lies at hand of the next."""
    sizes = np.array([1e7, 2e7, 4e7, 8e7, 1.1e9, 1.3e9, 1.5e9])
    assert fit_family(**grid(0.001, sizes=sizes), law="chinchilla", starts=40, bootstraps=60).drift[0] < 0.005


@pytest.mark.parametrize(("sizes", "fits"), [([1e8, 4e8, 1.6e9], 3), ([1e8, 4e8, 6e8, 1.6e9], 4)])
def test_one_back_test_is_fitted_where_the_larger_half_is_the_largest_alone(
    sizes: list[float], fits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the fit itself and the back-test of the longest runs."""
    seen, fit = list[int](), fitting._fit

    def counted(*given: Any, **settings: Any) -> Family:
        seen.append(1)
        return fit(*given, **settings)

    monkeypatch.setattr(fitting, "_fit", counted)
    fit_family(**grid(0.002, sizes=np.array(sizes)), law="chinchilla", starts=10, bootstraps=10)
    assert len(seen) == fits


def test_what_is_doubted_in_size_is_not_doubted_in_data() -> None:
    family = replace(fit_family(**grid(), starts=40, bootstraps=60), drift=(0.05, 0.002))
    asked = {"num_params": SIZES[-1] * np.array([1.0, 10.0]), "num_tokens": TOKENS[-1] * np.array([10.0, 1.0])}
    ahead = family.predict(**asked)
    longer, larger = np.divide(ahead.std, ahead.mean).tolist()
    assert longer < 0.02 < 0.1 < larger


def test_a_first_loss_that_may_be_the_mean_of_the_start_is_left_out() -> None:
    columns = ("steps", "train_loss", "val_loss", "lr")
    runs = [constant_run(N) for N in SIZES]
    seldom = [replace(run, **{name: getattr(run, name)[15::16] for name in columns}) for run in runs]
    high = [replace(run, train_loss=run.train_loss + 0.5 * (run.steps == run.steps[0])) for run in seldom]
    assert fit_family(high, **SMALL).parameters == fit_family(seldom, **SMALL).parameters


def test_one_size_gives_what_it_can_and_says_what_it_cannot() -> None:
    family = fit_family(**grid(0.001, sizes=SIZES[:1]), bootstraps=30)
    assert set(family.parameters) == {"converged_loss", "A_D", "alpha_D"}
    assert "cannot be told apart" in family.notes[0]
    assert family.predict(num_params=5e7, num_tokens=2e11).median == pytest.approx(EPOCH.loss(5e7, 2e11), rel=0.02)
    with pytest.raises(ValueError, match=r"one size, 5e\+07 parameters, and cannot tell of others"):
        family.predict(num_params=1e9, num_tokens=2e11)


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.004])
@pytest.mark.parametrize(("truth", "taken"), [(EPOCH.loss, "chinchilla"), (kaplan.loss_of_size_and_data, "coupled")])
def test_the_law_is_chinchillas_where_the_runs_cannot_tell_it_from_that(
    truth: Callable[..., FloatArray], taken: str, noise: float
) -> None:
    N, D = (a.ravel() for a in np.meshgrid(SIZES, TOKENS))
    losses = truth(N, D) * np.exp(noise * np.random.default_rng(2).standard_normal(N.size))
    family = fit_family(num_params=N, num_tokens=D, loss=losses, bootstraps=0)
    assert family.law == taken
    assert "kappa, which joins size and data, is" in family.notes[-1]
    assert family.held_out is not None
    assert family.held_out.error < 0.01


def test_runs_that_join_size_and_data_as_no_known_law_are_fitted_with_chinchillas() -> None:
    N, D = (a.ravel() for a in np.meshgrid(SIZES, TOKENS))
    losses = 1.7 + 0.2 * ((400.0 / N**0.35) ** 0.25 + (400.0 / D**0.3) ** 0.25) ** 4.0  # kappa is 4
    family = fit_family(num_params=N, num_tokens=D, loss=losses, bootstraps=0)
    assert family.law == "chinchilla"
    assert family.notes[-1].startswith("kappa, which joins size and data, is 4")


def test_too_few_sizes_to_choose_a_law_are_fitted_with_chinchillas() -> None:
    family = fit_family(**grid(0.001, sizes=SIZES[:2]), bootstraps=30, law="best")
    assert family.law == "chinchilla"
    assert "too few sizes to choose the law by" in " ".join(family.notes)


@pytest.mark.parametrize("truth", [EPOCH.loss, kaplan.loss_of_size_and_data], ids=["Chinchilla's", "Kaplan's"])
def test_coupled_foretells_under_either_law(truth: Callable[..., FloatArray]) -> None:
    N, D = (a.ravel() for a in np.meshgrid([5e7, 1e8, 2e8, 4e8, 8e8], np.geomspace(2e9, 2e10, 8)))
    noise = np.exp(0.001 * np.random.default_rng(0).standard_normal(N.size))
    family = fit_family(num_params=N, num_tokens=D, loss=truth(N, D) * noise, law="coupled", starts=60, bootstraps=60)
    ahead = family.predict(num_params=4e9, num_tokens=1e11)
    assert ahead.median == pytest.approx(float(truth(4e9, 1e11)), rel=0.02)
    assert float(truth(4e9, 1e11)) in ahead.interval(0.9)


def test_losses_that_share_one_name_have_a_law_unchecked() -> None:
    assert fit_family(**some_runs(), **SMALL, names=["a"] * 12).held_out is None
