"""docs/maths.md gives the numbers that the code has: a reader who checks one must not find another."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import curvecast
from curvecast import Prior, Schedule, Watcher
from curvecast.curve import BINS_PER_DECADE
from curvecast.decisions import repeats, rise
from curvecast.fit import likeness, siblings
from curvecast.fit.grid import KEPT
from curvecast.fit.tables import L_N, A, B

PAGE = (Path(__file__).parents[1] / "docs" / "maths.md").read_text(encoding="utf-8")
LARGE, SMALL = Prior(), Prior().of_small()

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e\d+)?")


def cells(first: str, section: str) -> list[str]:
    """What stands in the table's row that begins so, within the section of that heading."""
    _, text = PAGE.split(f"\n{section}\n", 1)
    row = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def told(value: float, text: str) -> bool:
    """Whether a text gives a value, to as many digits as it gives."""
    return any(f"{value:.{len(given.partition('.')[2])}f}" == given for given in _NUMBER.findall(text))


def test_a_number_is_told_to_the_digits_that_are_given() -> None:
    assert told(0.9352, "N(0.94, 0.16)")
    assert not told(0.9352, "N(0.93, 0.16)")


BELIEVED: dict[str, Callable[[Prior], list[float]]] = {
    "`alpha`": lambda prior: [math.exp(prior.alpha_log_mean), prior.alpha_log_sd],
    "`c`": lambda prior: list(prior.offset),
    "`w`": lambda prior: list(prior.window),
    "`wander`": lambda prior: [*(100.0 * each for each in prior.drift), prior.drift_growth],
    "`kappa`": lambda prior: (100.0 * prior.annealing_shares()).tolist(),
    "`v`, `b`": lambda prior: [prior.annealing_speed, 100.0 * prior.annealing_sd],
    "`L_N`": lambda prior: [prior.converged, prior.converged_sd],
    "`A`": lambda prior: [prior.reducible, prior.reducible_sd],
    "drop error": lambda prior: [prior.drop_error],
    "that of lessons": lambda prior: [prior.lesson_error],
}


@pytest.mark.parametrize("name", BELIEVED)
def test_the_table_of_priors_has_the_numbers_that_ship(name: str) -> None:
    for prior, cell in zip((LARGE, SMALL), cells(name, "## 6. Every prior"), strict=False):
        assert [value for value in BELIEVED[name](prior) if not told(value, cell)] == []


def test_what_large_and_small_networks_share_is_as_the_page_has_it() -> None:
    gap, flat, growth, sudden, shape, turn = (
        " ".join(cells(name, "## 6. Every prior"))
        for name in ("`gap`", "flat", "growth", "sudden drop", "half-time, power", "turn ahead")
    )
    assert told(LARGE.gap_sd, gap)
    assert told(100.0 * LARGE.flat, flat)
    assert told(100.0 * (1.0 - LARGE.growth), growth)
    assert told(100.0 * LARGE.growth_sd, growth)
    assert [each for each in (SMALL.sudden, 100.0 * SMALL.sudden_size) if not told(each, sudden)] == []
    assert all(told(100.0 * half, shape) and told(power, shape) for half, power in LARGE.annealing_shape)
    assert [
        each for each in (repeats._ONSET, repeats._SPREAD, repeats._STEEPNESS[1, 0, 0]) if not told(each, turn)
    ] == []
    assert pytest.approx(1.0 / 4.0) == repeats._ODDS


@pytest.mark.parametrize(
    ("name", "prior"),
    [("large networks", LARGE), ("small ones", SMALL), ("of unknown size (section 6)", Prior().of_any())],
)
def test_outliers_are_as_often_and_as_far_off_as_the_page_has_it(name: str, prior: Prior) -> None:
    given = [float(cell) for cell in cells(name, "## 4. The forecast")]
    assert given == [round(prior.drop_error, 3), prior.outlier, prior.outlier_error]


def test_a_rise_has_the_walks_of_the_page() -> None:
    section = "### Where validation has turned"
    assert [float(cell) for cell in cells("odds beforehand", section)] == np.exp(rise._LOG_ODDS).round(9).tolist()
    _, text = PAGE.split(f"\n{section}\n", 1)
    of_slope = next(line for line in text.splitlines() if line.startswith("| walk of the slope |"))
    assert [float(each) for each in _NUMBER.findall(of_slope)] == rise._WALKS.reshape(-1).tolist()
    jumps = [0.0 if cell == "none" else float(cell) for cell in cells("walk of the level", section)]
    assert jumps == rise._JUMPS.reshape(-1).tolist()


def test_the_grid_is_as_large_as_the_page_has_it() -> None:
    sizes = (len(LARGE.alpha), len(LARGE.offset), len(LARGE.window), len(LARGE.drift), 3, len(LARGE.annealing_shape))
    names = ("alpha", "c", "w", "wander", "kappa", "annealing")
    assert " x ".join(f"{size} {name}" for size, name in zip(sizes, names, strict=True)) in PAGE
    assert f"each of the {math.prod(sizes):,} shapes" in PAGE
    assert f"{KEPT} shapes are drawn" in PAGE
    assert f"log-spaced bins, {BINS_PER_DECADE} a decade" in PAGE


def test_shapes_have_the_values_of_the_page() -> None:
    alpha, onset = (" ".join(cells(name, "### The grid")) for name in ("`alpha`", "the onset, if it is asked for"))
    apart = np.diff(np.log(LARGE.alpha))
    assert f"from {LARGE.alpha[0]} to {LARGE.alpha[-1]}" in alpha
    assert told(math.exp(float(apart.mean())), alpha)
    assert np.ptp(apart) < 0.005
    assert [each for each in LARGE.onset if not told(each, onset)] == []
    assert told(LARGE.growth, onset)
    kappa = [float(each) for each in _NUMBER.findall(cells("`kappa`", "### The grid")[1])]
    assert kappa == pytest.approx(LARGE.share_weights().tolist())


def test_what_teams_usually_share_is_as_the_page_has_it() -> None:
    misses, curves = likeness.USUAL, siblings.USUAL
    assert f"(usually {misses.law}, {misses.own_law}, {misses.nugget})" in PAGE
    assert f"`own_place` ({misses.place}, {misses.own_place}), `change` ({misses.change})" in PAGE
    shared = (curves.shared, curves.recipe, curves.trend, curves.decay, curves.of_recipe, curves.shape, curves.arrival)
    assert f"(usually {', '.join(map(str, shared))} for what is shared" in PAGE
    assert f"{curves.bend}, {curves.level}, {curves.own_decay} for a run's own" in PAGE


def test_the_example_comes_out_as_the_page_has_it() -> None:
    _, text = PAGE.split("\n### An example, from losses to a forecast\n", 1)
    _, code, said = re.split(r"```(?:python)?\n", text.split("\n### ", 1)[0])
    names: dict[str, Any] = {"curvecast": curvecast}
    exec(code, names)
    watcher: Watcher = names["watcher"]
    fit = watcher.judge.view().posterior
    found = {"L_N": fit.theta[L_N], "A": fit.theta[A], "B": fit.theta[B]}
    assert f"lie at {fit.scale:.2f}," in said
    assert all(f"{value @ fit.weight:.3f}" in said for value in found.values())
    assert f"`alpha` = {fit.alpha @ fit.weight:.2f}" in said
    assert f"{2.5 / fit.scale:.3f}, {6.0 * 2000**-0.5 / fit.scale:.3f} and 0.5" in said
    assert f"would be {watcher.forecast(schedule=Schedule.constant(4000))} ({2.5 + 6.0 * 4000**-0.5:.3f} came" in said
    assert f"the forecast is {watcher.forecast()}" in said
