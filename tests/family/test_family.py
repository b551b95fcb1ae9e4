from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curvecast import Run, Schedule, Watcher
from curvecast.family import Family, fit_family
from curvecast.laws import kaplan
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH
from curvecast.laws.data_constrained import DataConstrained

SIZES = np.array([5e7, 1e8, 2e8, 4e8, 8e8, 1.6e9])
TOKENS = np.array([2e9, 6e9, 2e10, 6e10])


def grid(noise: float = 0.002, seed: int = 0, sizes: FloatArray = SIZES) -> dict[str, Any]:
    """A family on Epoch's law with noise."""
    N, D = (a.ravel() for a in np.meshgrid(sizes, TOKENS))
    losses = EPOCH.loss(N, D) * np.exp(noise * np.random.default_rng(seed).standard_normal(N.size))
    return {"num_params": N, "num_tokens": D, "loss": losses}


def constant_run(N: float, *, steps: int = 4000, batch: float = 2**20, cooled: bool = False, seed: int = 0) -> Run:
    """A run on Epoch's law at a constant learning rate; a decay takes 3 % off."""
    at = np.arange(50, steps + 1, 50)
    plan = Schedule.constant(steps) if not cooled else Schedule.wsd(steps, warmup=0, decay=0.2)
    tokens = batch * plan.summed(at)
    from curvecast.family.points import ANNEALING
    from curvecast.laws.annealing import annealing_gain

    gain = np.exp(-0.03 * annealing_gain(plan, at, **ANNEALING))
    noise = np.exp(0.001 * np.random.default_rng(seed).standard_normal(len(at)))
    nan = np.full(len(at), np.nan)
    meta = {"num_params": N, "batch_tokens": batch, "schedule": plan.to_dict()}
    return Run(f"{N:.0e}-{seed}", at, EPOCH.loss(N, tokens) * gain * noise, nan, nan, meta)


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


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = {"irreducible_loss": 1.8169, "alpha_N": EPOCH.alpha_N, "alpha_D": EPOCH.alpha_S}
    inside = []
    for seed in range(16):
        family = fit_family(**grid(0.003, seed), starts=40, bootstraps=100)
        inside += [value in family.interval(name, 0.9) for name, value in truth.items()]
    assert 0.78 < np.mean(inside) <= 0.98


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


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "no family of schema"), ("[]", "holds no family"), ("x", "is not JSON"), ("[" * 100_000, "is not JSON")],
)
def test_a_file_without_a_family_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "family.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Family.load(tmp_path / "family.json")


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


def test_one_size_gives_what_it_can_and_says_what_it_cannot() -> None:
    family = fit_family(**grid(0.001, sizes=SIZES[:1]), bootstraps=30)
    assert set(family.parameters) == {"converged_loss", "A_D", "alpha_D"}
    assert "cannot be told apart" in family.notes[0]
    assert family.predict(num_params=5e7, num_tokens=2e11).median == pytest.approx(EPOCH.loss(5e7, 2e11), rel=0.02)
    with pytest.raises(ValueError, match=r"one size, 5e\+07 parameters, and cannot tell of others"):
        family.predict(num_params=1e9, num_tokens=2e11)


def test_a_family_serves_as_the_law_of_a_watcher() -> None:
    family = fit_family(**grid(), bootstraps=10)
    watcher = Watcher(horizon=1000, num_params=1e8, law=family)
    assert watcher.law.efficient_ratio == pytest.approx(EPOCH.alpha_N / EPOCH.alpha_S, rel=0.2)
    assert watcher.law.irreducible_loss == family.parameters["irreducible_loss"]


@pytest.mark.parametrize("law", ["coupled", "kaplan_nd", "chinchilla"])
def test_a_familys_frontier_is_where_its_own_loss_gains_as_much_by_size_as_by_data(law: str) -> None:
    """At the same compute no other size is better there: of the family's own loss, not of a sum's."""
    N, D = np.meshgrid(SIZES, [2e9, 1e10, 5e10, 2e11])
    joined = 0.3 if law == "coupled" else 0.1
    E = 0.0 if law == "kaplan_nd" else 1.5
    loss = E + ((N / 2e10) ** (-0.08 / joined) + (D / 4e11) ** (-0.1 / joined)) ** joined
    family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=loss.ravel(), law=law, bootstraps=0)
    size = 1e8
    tokens = np.geomspace(1e8, 1e12, 2001)
    sizes = size * np.array([0.98, 1.02])[:, None]
    smaller, larger = family.loss(sizes, size * tokens / sizes)
    efficient = tokens[np.argmin(np.abs(np.log(smaller / larger)))]
    converged = float(family.loss(size, 1e60))
    S_term = float(family.loss(size, efficient)) - converged
    assert S_term == pytest.approx(family.efficient_ratio * (converged - family.irreducible_loss), rel=0.01)


def test_a_watcher_that_knows_the_family_forecasts_its_next_size_better() -> None:
    """From a tenth of the way of a size that the family has not seen; the truth is the law's."""
    family = fit_family([constant_run(N, seed=k) for k, N in enumerate(SIZES[:4])], bootstraps=20)
    run, truth = constant_run(8e8, seed=9), float(EPOCH.loss(8e8, 4000 * 2**20))
    settings: dict[str, Any] = {"schedule": Schedule.constant(4000), "num_params": 8e8, "batch_tokens": 2**20}
    watchers = Watcher(**settings), Watcher(**settings, law=family)
    for step, loss in zip(run.steps[:16].tolist(), run.train_loss[:16].tolist(), strict=True):
        for watcher in watchers:
            watcher.update(step, loss)
    alone, told = (watcher.forecast() for watcher in watchers)
    lengths = [float(ahead.interval(0.9).upper) - float(ahead.interval(0.9).lower) for ahead in (told, alone)]
    assert lengths[0] < 0.5 * lengths[1]
    assert truth in told.interval(0.9)
    assert told.median == pytest.approx(truth, rel=0.015)


@pytest.mark.parametrize(("unit", "left_out"), [(1.0, False), (1 / math.log(2.0), True), (0.35, True)])
def test_a_family_in_another_unit_moves_no_forecast(unit: float, left_out: bool) -> None:
    """Bits a token, and bits a byte: the run's own forecast stands, and the verdict says why."""
    family = fit_family([constant_run(N, seed=k) for k, N in enumerate(SIZES[:4])], bootstraps=20)
    run = constant_run(8e8, seed=9)
    settings: dict[str, Any] = {"schedule": Schedule.constant(4000), "num_params": 8e8, "batch_tokens": 2**20}
    watchers = Watcher(**settings), Watcher(**settings, law=family)
    for step, loss in zip(run.steps[:30].tolist(), run.train_loss[:30].tolist(), strict=True):
        verdicts = [watcher.update(step, unit * loss) for watcher in watchers]
    alone, told = (watcher.forecast() for watcher in watchers)
    assert (alone.median == told.median) is left_out
    assert ("The law of the family is left out: it foretells" in verdicts[1].message) is left_out
    assert verdicts[1].details["efficient_step_median"] > 0.0


def test_a_family_that_is_doubted_is_said_to_count_for_as_much_as_it_does() -> None:
    family = fit_family([constant_run(N, seed=k) for k, N in enumerate(SIZES[:4])], bootstraps=20)
    run = constant_run(8e8, seed=9)
    said = []
    for unit in np.linspace(1.0, 1.06, 31):
        watcher = Watcher(schedule=Schedule.constant(4000), num_params=8e8, batch_tokens=2**20, law=family)
        for step, loss in zip(run.steps[:30].tolist(), run.train_loss[:30].tolist(), strict=True):
            verdict = watcher.update(step, float(unit) * loss)
        kin = watcher.judge.view().kin
        assert kin is not None
        counts = f"The law of the family counts for {kin.probability:.0%} of the forecast" in verdict.message
        assert counts == (0.01 <= kin.probability < 0.5)
        said.append(counts)
    assert any(said)
    assert not all(said)


def test_an_irreducible_loss_above_the_runs_own_is_no_law_for_it() -> None:
    watcher = Watcher(horizon=1000, num_params=1e8, law=fit_family(**grid(), bootstraps=0))
    for step in range(1, 501):
        verdict = watcher.update(step, 0.5 + step**-0.5)
    assert "lies above this run's" in verdict.message


def test_a_family_of_one_size_says_nothing_of_another() -> None:
    family = fit_family(**grid(0.001, sizes=SIZES[:1]), bootstraps=30)
    watchers = [Watcher(horizon=4000, num_params=1e9, batch_tokens=2**20, law=law) for law in (None, family)]
    for step in range(1, 201):
        for watcher in watchers:
            watcher.update(step, 2.0 + 3.0 * step**-0.5)
    assert watchers[0].forecast().median == watchers[1].forecast().median


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


def test_runs_without_a_size_or_a_batch_are_all_named() -> None:
    good, bad, worse = constant_run(1e8), constant_run(2e8, seed=1), constant_run(4e8, seed=2)
    del bad.meta["num_params"], worse.meta["num_params"], worse.meta["batch_tokens"]
    with pytest.raises(ValueError, match=r"num_params of 2e\+08-1, 4e\+08-2; batch_tokens of 4e\+08-2"):
        fit_family([good, bad, worse])


def test_units_that_differ_are_refused() -> None:
    runs = [constant_run(N) for N in SIZES]
    runs[0].meta["unit"], runs[1].meta["unit"] = "nats/token", "bits/byte"
    with pytest.raises(ValueError, match="must have one unit: got bits/byte"):
        fit_family(runs)
    data = grid()
    data["loss"][::7] /= np.log(2)
    with pytest.raises(ValueError, match="mixed units: those of"):
        fit_family(**data, bootstraps=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"law": "hoffman"}, "`law` must be one of best, chinchilla"),
        ({"loss": None}, "got no loss"),
        ({"num_tokens": 1e9}, "every run has the same tokens"),
        ({"num_params": -1.0}, "`num_params` must be positive and finite: got -1.0"),
        ({"law": "data_constrained"}, "needs runs that repeat"),
        ({"law": "kaplan_ns"}, "needs the steps"),
        ({"names": ["a"]}, "`names` must name every row"),
    ],
)
def test_bad_input_is_told_what_and_what_to_do(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_family(**{**grid(), **change})


def test_too_few_losses_are_refused_and_runs_and_arrays_do_not_mix() -> None:
    data = {name: values[::5] for name, values in grid().items()}
    with pytest.raises(ValueError, match="has 5 parameters: got 5 losses"):
        fit_family(**data)
    with pytest.raises(ValueError, match="not both: got runs and num_params"):
        fit_family([constant_run(1e8)], num_params=1e8)
    with pytest.raises(ValueError, match="at least one run"):
        fit_family([])
    with pytest.raises(KeyError, match="is not a parameter of 'chinchilla'"):
        fit_family(**grid(), bootstraps=0).interval("beta")
    with pytest.raises(ValueError, match="no intervals without bootstraps"):
        fit_family(**grid(), bootstraps=0).interval("alpha_N")


@pytest.mark.parametrize("truth", [EPOCH.loss, kaplan.loss_of_size_and_data], ids=["Chinchilla's", "Kaplan's"])
def test_coupled_foretells_under_either_law(truth: Callable[..., FloatArray]) -> None:
    N, D = (a.ravel() for a in np.meshgrid([5e7, 1e8, 2e8, 4e8, 8e8], np.geomspace(2e9, 2e10, 8)))
    noise = np.exp(0.001 * np.random.default_rng(0).standard_normal(N.size))
    family = fit_family(num_params=N, num_tokens=D, loss=truth(N, D) * noise, law="coupled", starts=60, bootstraps=60)
    ahead = family.predict(num_params=4e9, num_tokens=1e11)
    assert ahead.median == pytest.approx(float(truth(4e9, 1e11)), rel=0.02)
    assert float(truth(4e9, 1e11)) in ahead.interval(0.9)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([1e8, 1e9], [1e9, 1e9, 1e9], [3.0, 2.0]), r"equally long.*num_params \(2,\), num_tokens \(3,\), loss \(2,\)"),
        (([], [], []), r"must be flat, with a value for each run: got num_params \(0,\)"),
        ((np.ones((2, 2)), 1e9, np.ones((2, 2))), "must be flat"),
        ((["small", "large"], [1e9, 1e9], [3.0, 2.0]), "`num_params` must hold numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_told(arrays: tuple[Any, Any, Any], message: str) -> None:
    num_params, num_tokens, loss = arrays
    with pytest.raises(ValueError, match=message):
        fit_family(num_params=num_params, num_tokens=num_tokens, loss=loss)


@pytest.mark.parametrize("runs", ["runs/", [1, 2]])
def test_what_is_no_run_is_told(runs: Any) -> None:
    with pytest.raises(TypeError, match=r"`runs` must hold runs: got .* Pass e\.g\. curvecast"):
        fit_family(runs)


@pytest.mark.parametrize("name", ["bootstraps", "seed"])
def test_a_negative_count_is_told(name: str) -> None:
    options: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 0: got -1"):
        fit_family(num_params=[1e8], num_tokens=[1e9], loss=[3.0], **options)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"starts": 0}, "`starts` must be a whole number of at least 1: got 0"),
        ({"bootstraps": 1.5}, "`bootstraps` must be a whole number of at least 0: got 1.5"),
        ({"delta": float("nan")}, "`delta` must be positive: got nan"),
        ({"of": "test"}, "`of` must be 'train', 'val' or None: got 'test'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_family(num_params=[1e8, 1e9], num_tokens=[1e9, 1e10], loss=[3.0, 2.5], **setting)


SMALL: dict[str, Any] = {"starts": 20, "bootstraps": 5, "law": "chinchilla"}


def some_runs() -> dict[str, Any]:
    N, D = (each.ravel() for each in np.meshgrid([1e8, 3e8, 1e9, 3e9], [3e9, 1e10, 5e10]))
    return {"num_params": N, "num_tokens": D, "loss": EPOCH.loss(N, D)}


@pytest.mark.parametrize(
    ("name", "garbled"),
    [
        ("form", {}),
        ("units", None),
        ("best", [1.0]),
        ("middle", []),
        ("scatter", None),
        ("drift", math.nan),
        ("seen", 5),
    ],
)
def test_a_family_that_was_garbled_is_told(tmp_path: Path, name: str, garbled: object) -> None:
    whole = fit_family(**some_runs(), **SMALL).to_dict()
    for state in (whole | {name: garbled}, {key: value for key, value in whole.items() if key != name}):
        (tmp_path / "family.json").write_text(json.dumps(state))
        with pytest.raises(ValueError, match="This is no whole family: got one that lacks or garbles"):
            Family.load(tmp_path / "family.json")


def test_losses_that_share_one_name_have_a_law_unchecked() -> None:
    assert fit_family(**some_runs(), **SMALL, names=["a"] * 12).held_out is None


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_losses_of_no_unit_are_told(unit: float) -> None:
    runs = some_runs()
    with pytest.raises(ValueError, match="The law cannot be fitted to these losses"):
        fit_family(**runs | {"loss": unit * runs["loss"]}, **SMALL)


def test_tokens_without_end_are_not_foretold() -> None:
    with pytest.raises(ValueError, match="`num_tokens` must be finite: got inf"):
        fit_family(**some_runs(), **SMALL).predict(num_params=1e9, num_tokens=math.inf)
