from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from curvecast import Schedule, Watcher
from curvecast.family import fit_family
from curvecast.laws.chinchilla import EPOCH
from tests.family.runs import SIZES, constant_run, grid


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


@pytest.mark.parametrize("is_planned", [True, False])
@pytest.mark.parametrize(("unit", "left_out"), [(1.0, False), (1 / math.log(2.0), True), (0.35, True)])
def test_a_family_in_another_unit_moves_no_forecast(unit: float, left_out: bool, is_planned: bool) -> None:
    """Bits a token, and bits a byte: the run's own forecast stands, and the verdict says why.

    So do the fits under decays that may be under way, where nobody tells of a plan.
    """
    family = fit_family([constant_run(N, seed=k) for k, N in enumerate(SIZES[:4])], bootstraps=20)
    run = constant_run(8e8, seed=9)
    settings: dict[str, Any] = {"horizon": 4000, "num_params": 8e8, "batch_tokens": 2**20}
    settings |= {"schedule": Schedule.constant(4000)} if is_planned else {}
    watchers = Watcher(**settings), Watcher(**settings, law=family)
    for step, loss in zip(run.steps[:30].tolist(), run.train_loss[:30].tolist(), strict=True):
        verdicts = [watcher.update(step, unit * loss) for watcher in watchers]
    alone, told = (watcher.forecast() for watcher in watchers)
    assert (alone.median == told.median) is left_out
    assert (watchers[1].judge.view().under_way is None) is (is_planned or not left_out)
    assert ("The law of the family is left out: it foretells" in verdicts[1].message) is left_out
    assert verdicts[1].details["efficient_step_median"] > 0.0


def test_a_family_that_is_doubted_is_said_to_count_for_as_much_as_it_does() -> None:
    family = fit_family([constant_run(N, seed=k) for k, N in enumerate(SIZES[:4])], bootstraps=20)
    run = constant_run(8e8, seed=9)
    said = []
    for unit in np.linspace(1.0, 1.06, 31):
        watcher = Watcher(schedule=Schedule.constant(4000), num_params=8e8, batch_tokens=2**20, law=family)
        for step, loss in zip(run.steps[:29].tolist(), run.train_loss[:29].tolist(), strict=True):
            verdict = watcher.update(step, float(unit) * loss)
        kin = watcher.judge.view().kin
        assert kin is not None
        assert verdict.step == run.steps[28]  # of these samples, not of some before
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
