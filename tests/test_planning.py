from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from curvecast.family import fit_family
from curvecast.laws import kaplan
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH
from curvecast.laws.inference import best_lifetime
from curvecast.laws.kaplan import PF_DAY
from curvecast.laws.kaplan_frontier import Frontier
from curvecast.planning import VALLEY, best_size, law_of, plan

CHINCHILLA = law_of("chinchilla")


@pytest.mark.parametrize(("law", "N"), [("chinchilla", 7.2e10), ("hoffmann", 4.0e10), ("hoffmann_rounded", 3.2e10)])
def test_the_best_size_is_the_published_one(law: str, N: float) -> None:
    assert best_size(law_of(law), 5.76e23) == pytest.approx(N, rel=0.02)


def test_kaplans_best_size_is_that_of_appendix_b() -> None:
    best = best_size(law_of("kaplan"), PF_DAY)
    frontier = Frontier()
    assert best == pytest.approx(float(frontier.size(PF_DAY)), rel=0.02)
    loss = law_of("kaplan").loss(best, PF_DAY / (6 * best), np.inf)
    assert loss == pytest.approx(float(frontier.loss(PF_DAY)), rel=1e-3)


@pytest.mark.parametrize(
    "given",
    [
        {"flops": 5.76e23},
        {"num_params": 7.2e10},
        {"num_tokens": 1.33e12},
        {"gpus": 512, "hours": 5.76e23 / (512 * 3600 * 0.4 * 989e12), "mfu": 0.4},
        {"num_params": 7.2e10, "num_tokens": 1.33e12},
        {"flops": 5.76e23, "num_params": 7.2e10},
    ],
)
def test_some_numbers_give_the_rest(given: dict[str, Any]) -> None:
    made = plan(CHINCHILLA, **given)
    assert made.num_params == pytest.approx(7.2e10, rel=0.02)
    assert made.num_tokens == pytest.approx(1.33e12, rel=0.03)
    assert made.flops == pytest.approx(6 * made.num_params * made.num_tokens)
    assert made.loss == pytest.approx(1.974, abs=1e-3)
    assert made.steps == pytest.approx(made.num_tokens / made.batch_tokens)


def test_machines_give_hours_and_hours_give_machines() -> None:
    made = plan(CHINCHILLA, flops=1e22, gpus=64, mfu=0.5)
    assert made.hours == pytest.approx(1e22 / (64 * 3600 * 0.5 * 989e12))
    assert plan(CHINCHILLA, flops=1e22, hours=made.hours, mfu=0.5).gpus == pytest.approx(64)
    assert plan(CHINCHILLA, flops=1e22, gpus=64, hours=made.hours).mfu == pytest.approx(0.5)
    assert any("0.4 of the a100's" in note for note in plan(CHINCHILLA, gpus=8, hours=10, gpu="a100").notes)


def test_the_valley_is_flat_and_has_its_floor_in_the_middle() -> None:
    valley = plan(CHINCHILLA, flops=1e21).valley
    assert [round(row.num_params / valley[3].num_params, 2) for row in valley] == [
        0.5,
        0.71,
        0.84,
        1.0,
        1.19,
        1.41,
        2.0,
    ]
    assert all(row.excess >= -1e-9 for row in valley)
    assert valley[3].excess == pytest.approx(0.0, abs=1e-9)
    assert 0.001 < valley[0].excess < 0.03


def test_the_two_laboratories_answer_side_by_side() -> None:
    made = plan(CHINCHILLA, flops=5.76e23)
    openai, deepmind = made.answers
    assert openai.num_params == pytest.approx(1.3e9 * (5.76e23 / PF_DAY) ** 0.73)
    assert deepmind.num_params == pytest.approx(float(EPOCH.best(5.76e23)[0]))
    assert openai.loss == pytest.approx(float(kaplan.loss_of_min_compute(5.76e23)))
    assert deepmind.loss == pytest.approx(made.loss)
    spent = [6 * each.num_params * each.num_tokens for each in made.answers]
    spent += [6 * each.num_params * each.num_tokens for each in made.valley]
    assert spent == pytest.approx([5.76e23] * len(spent))
    assert "embeddings" in made.why
    assert "schedule" in made.why


def test_repeats_make_the_best_model_train_less() -> None:
    free, short = plan(CHINCHILLA, flops=1e22), plan(CHINCHILLA, flops=1e22, unique_tokens=1e10)
    assert short.num_tokens < free.num_tokens
    assert short.loss > free.loss
    assert short.epochs == pytest.approx(short.num_tokens / 1e10)
    assert free.epochs is None
    assert any("over 10B unique tokens" in note and "take every token for a new one" in note for note in short.notes)


def test_use_makes_a_smaller_model_the_cheaper_one() -> None:
    made = plan(CHINCHILLA, flops=1e22, inference_tokens=2e12)
    assert made.in_use is not None
    exact = best_lifetime(EPOCH, made.loss, 2e12)
    assert made.in_use["num_params"] == pytest.approx(exact.num_params, rel=0.01)
    flops = made.in_use["training_flops"] + made.in_use["inference_flops"]
    assert made.in_use["saved"] == pytest.approx(1 - flops / (made.flops + 2 * made.num_params * 2e12))
    assert made.in_use["saved"] > 0


def test_a_family_gives_an_interval_and_its_file_the_same_plan(tmp_path: Any) -> None:
    N, D = (a.ravel() for a in np.meshgrid([1e8, 3e8, 1e9, 3e9], [2e9, 1e10, 5e10]))
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(N.size))
    family = fit_family(num_params=N, num_tokens=D, loss=EPOCH.loss(N, D) * noise, bootstraps=50)
    family.save(tmp_path / "family.json")
    made, again = (plan(law_of(law), flops=1e22) for law in (family, tmp_path / "family.json"))
    assert made.interval is not None
    assert made.interval[0] < made.loss < made.interval[1]
    assert made.num_params == again.num_params
    assert json.loads(json.dumps(made.to_dict()))["law"] == "family (chinchilla)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs a compute, a size or a number of tokens: got none"),
        ({"gpus": 8}, "got `gpus` without `hours`"),
        (
            {"flops": 1e22, "num_params": 1e9, "num_tokens": 1e9},
            "contradict each other: `flops` give 1e\\+22, 6 `num_params`",
        ),
        ({"flops": 1e22, "gpus": 8, "hours": 1, "mfu": 0.4}, "contradict each other"),
        ({"flops": 1e22, "gpus": 8, "hours": 1}, "at most 2.85e\\+19 FLOP at their peak"),
        ({"flops": -1.0}, "`flops` must be positive: got -1.0"),
        ({"flops": 1e22, "inference_tokens": 1e300}, "`inference_tokens` must be positive: got 1e\\+300"),
        ({"num_params": 10**400}, "`num_params` must be positive"),
        ({"num_params": 1, "num_tokens": 1}, "got one beyond, for 6 FLOP"),
        ({"num_params": 1e30, "num_tokens": 1e30}, "got one beyond, for 6e\\+60 FLOP"),
        ({"flops": 1e22, "mfu": 40}, "`mfu` is a share of the peak"),
        ({"flops": 1e22, "gpu": "abacus"}, "`gpu` must be one of a100"),
    ],
)
def test_too_few_or_contradicting_numbers_are_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(CHINCHILLA, **given)


@pytest.mark.parametrize("name", ["chinchila", "", ".", "a" * 5000, "a\0b"])
def test_an_unknown_law_is_told(name: str) -> None:
    with pytest.raises(ValueError, match="must be one of chinchilla"):
        law_of(name)


@pytest.mark.parametrize("name", [None, 5, b"chinchilla", ["chinchilla"]])
def test_what_names_no_law_is_told(name: object) -> None:
    with pytest.raises(TypeError, match="`law` must be a name, a path or a family: got"):
        law_of(name)  # type: ignore[arg-type]


def test_a_law_without_sizes_is_told() -> None:
    D = np.geomspace(1e9, 1e11, 8)
    one = fit_family(num_params=1e8, num_tokens=D, loss=EPOCH.loss(1e8, D), bootstraps=0)
    with pytest.raises(ValueError, match="needs a law of size and tokens"):
        law_of(one)


def test_a_size_far_from_the_best_says_what_it_costs() -> None:
    made = plan(CHINCHILLA, num_params=7e9, num_tokens=2e12)
    (note,) = [note for note in made.notes if "times the best for this compute" in note]
    least = made.valley[VALLEY.index(1.0)].loss
    assert f"the loss is {made.loss / least - 1:.2%} above the least" in note
    assert not any("times the best" in note for note in plan(CHINCHILLA, num_params=7e9).notes)


def test_a_batch_beyond_the_runs_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`batch_tokens` must be at most the run's tokens, 6e\+10: got 1e\+12\. Pass"):
        plan(CHINCHILLA, flops=1e21, batch_tokens=1e12)


def test_a_plan_with_no_law_or_no_number_is_told() -> None:
    with pytest.raises(TypeError, match="`law` must be what law_of gives: got a str"):
        plan("chinchilla", flops=1e21)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`flops` must be a number: got 'x'"):
        plan(law_of("chinchilla"), flops="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(("batches", "steps"), [(None, 100.0), ((2e5, 5e5), 200.0), ((2e5, 5e7), 100.0)])
def test_a_batch_leaves_steps_enough_for_a_run(batches: tuple[float, float] | None, steps: float) -> None:
    """In another unit of loss Kaplan's critical batch may be all tokens; the runs of its law tell a better one."""

    def in_bytes(N: ArrayLike, D: ArrayLike, unique: float) -> FloatArray:
        return CHINCHILLA.loss(N, D, unique) / 6.0

    made = plan(replace(CHINCHILLA, loss=in_bytes, batches=batches), num_params=1e7, num_tokens=1e8)
    assert made.steps == pytest.approx(steps)
    assert any("too few for a run" in note for note in made.notes)
