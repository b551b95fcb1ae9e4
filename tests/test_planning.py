from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
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
from tests.family.runs import SIZES, constant_run

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
    with pytest.raises(ValueError, match=r"must be one of chinchilla.* no such file"):
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


@pytest.fixture(scope="module")
def family() -> Any:
    N, D = (a.ravel() for a in np.meshgrid([1e8, 2e8, 4e8, 8e8, 1.6e9], [2e9, 1e10, 5e10]))
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(N.size))
    return fit_family(num_params=N, num_tokens=D, loss=EPOCH.loss(N, D) * noise, bootstraps=100)


def test_other_computes_are_held_against_the_plan() -> None:
    made = plan(CHINCHILLA, flops=5.76e23)
    assert [row.times for row in made.budgets] == [0.5, 2.0, 4.0, 10.0]
    for row in made.budgets:
        N, D = EPOCH.best(row.times * 5.76e23)
        assert row.num_params == pytest.approx(float(N), rel=0.01)
        assert row.change == pytest.approx(float(EPOCH.loss(N, D)) / made.loss - 1, abs=1e-4)
        assert row.interval is None
    assert json.loads(json.dumps(made.to_dict()))["budgets"][1]["change"] == made.budgets[1].change


def test_what_more_compute_brings_is_surer_than_the_loss_itself(family: Any) -> None:
    made = plan(law_of(family), flops=1e22)
    assert made.interval is not None
    for row in made.budgets:
        assert row.interval is not None
        now, then = EPOCH.loss(made.num_params, made.num_tokens), EPOCH.loss(row.num_params, row.num_tokens)
        assert row.interval[0] < float(then / now) - 1 < row.interval[1]
    twice = made.budgets[1].interval
    assert twice is not None
    assert twice[1] - twice[0] < 0.8 * (made.interval[1] - made.interval[0]) / made.loss


def test_a_family_says_how_sure_the_best_size_is(family: Any) -> None:
    made = plan(law_of(family), flops=1e22)
    assert made.size_interval is not None
    assert made.size_interval[0] < float(EPOCH.best(1e22)[0]) < made.size_interval[1]
    assert plan(CHINCHILLA, flops=1e22).size_interval is None


def test_a_trial_run_narrows_the_more_the_more_it_costs(family: Any) -> None:
    made = plan(law_of(family), flops=1e22)
    narrows = [trial.narrows for trial in made.trials]
    assert narrows == sorted(narrows, reverse=True)
    assert 0.2 < narrows[-1] < narrows[0] <= 1.0
    assert all(trial.flops == pytest.approx(6 * trial.num_params * trial.num_tokens) for trial in made.trials)
    assert plan(CHINCHILLA, flops=1e22).trials == ()


def test_a_trial_run_narrows_about_as_much_as_it_is_said_to(family: Any) -> None:
    made = plan(law_of(family), flops=1e22)
    trial = made.trials[-1]
    N, D = (a.ravel() for a in np.meshgrid([1e8, 2e8, 4e8, 8e8, 1.6e9], [2e9, 1e10, 5e10]))
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(N.size))
    losses = np.append(EPOCH.loss(N, D) * noise, EPOCH.loss(trial.num_params, trial.num_tokens))
    more = law_of(
        fit_family(num_params=np.append(N, trial.num_params), num_tokens=np.append(D, trial.num_tokens), loss=losses)
    )
    then = plan(more, num_params=made.num_params, num_tokens=made.num_tokens).interval
    assert made.interval is not None
    assert then is not None
    assert (then[1] - then[0]) / (made.interval[1] - made.interval[0]) == pytest.approx(trial.narrows, rel=0.5)


def test_losses_without_noise_leave_nothing_to_narrow() -> None:
    N, D = (a.ravel() for a in np.meshgrid([1e8, 2e8, 4e8], [2e9, 1e10]))
    exact = fit_family(num_params=N, num_tokens=D, loss=EPOCH.loss(N, D), bootstraps=3)
    certain = replace(exact, draws=np.repeat(exact.best[None], 3, axis=0), scatter=0.0)
    assert [trial.narrows for trial in plan(law_of(certain), flops=1e18).trials] == pytest.approx([1.0] * 4, abs=1e-6)


def test_a_batch_above_those_of_the_family_is_doubted() -> None:
    law = replace(CHINCHILLA, batches=(5e5, 1e6))
    notes = [" ".join(plan(law, flops=1e21, batch_tokens=batch).notes) for batch in (1.5e6, 8e6)]
    assert ["8 times the largest of the runs" in told for told in notes] == [False, True]


def test_repeats_are_held_against_new_tokens() -> None:
    short, free = plan(CHINCHILLA, flops=1e22, unique_tokens=1e10), plan(CHINCHILLA, flops=1e22)
    told = next(note for note in short.notes if "new tokens alone" in note)
    assert f"{free.loss:.3f}, {1 - free.loss / short.loss:.2%} less" in told
    assert not any("new tokens" in note for note in free.notes)


def test_the_critical_batch_is_said_to_cost_tokens() -> None:
    assert any("twice the tokens that small batches take" in note for note in plan(CHINCHILLA, flops=1e22).notes)


@pytest.mark.parametrize(("cooled", "words"), [(1, "never decays"), (6, "held, it would leave 1.")])
def test_a_plan_says_what_it_takes_for_granted_of_the_learning_rate(cooled: int, words: str) -> None:
    """The decay takes 3 % off, and a tenth of the learning rates, which would have taken 1 %."""
    runs = [constant_run(N, seed=k) for k, N in enumerate(SIZES[: 6 if cooled == 1 else 2])]
    runs += [constant_run(N, seed=9 + k, cooled=True) for k, N in enumerate(SIZES[:cooled])]
    law = law_of(fit_family(runs, bootstraps=0))
    for unique in (None, 1e9):  # repeats are worth less at any learning rate
        assert words in " ".join(plan(law, flops=1e21, unique_tokens=unique).notes)


@pytest.mark.parametrize("seed", [5, 6, 11, 19])
def test_the_loss_of_a_plan_lies_inside_its_interval_however_few_bootstraps_there_are(
    tmp_path: Path, seed: int
) -> None:
    N, D = np.repeat([1e9, 3e9], 4), np.tile([2e9, 1e10, 5e10, 2e11], 2)
    losses = EPOCH.loss(N, D) * np.exp(0.01 * np.random.default_rng(seed).standard_normal(8))
    family = fit_family(num_params=N, num_tokens=D, loss=losses, law="chinchilla", starts=20, bootstraps=1)
    family.save(tmp_path / "law.json")
    law = law_of(tmp_path / "law.json")
    assert law.interval is not None
    for size, tokens in ((1e8, 2e9), (1e9, 1e10), (1e9, 2e11), (3e9, 5e10), (1e10, 1e12)):
        lower, upper = law.interval(size, tokens, np.inf)
        assert lower <= float(np.ravel(law.loss(size, tokens, np.inf))[0]) <= upper
