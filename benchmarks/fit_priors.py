"""Fit the numbers of the shipped prior on real curves, by the log-score of the forecasts that they lead to.

Numbers are moved one at a time, over many laboratories' runs: each data set has the same weight, and in it each recipe.
Large networks and small ones are fitted apart, for they have little in common. How far laboratories differ is set by
hand, for there are too few to tell: the grids of annealing shapes and of the wander, and the spreads of ``alpha`` and
of what a decay is worth. With ``--without SET`` a data set has no part in it: that is the prior which that set
is scored with. The prior fitted on all of them is the one that ``curvecast.Prior()`` is.

    python benchmarks/fit_priors.py                      # each data set left out in turn, and none: 4 minutes
    python benchmarks/fit_priors.py --without gemstones  # one of them
"""

from __future__ import annotations

import ast
import math
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from _climb import Scorer, climb_often
from _curve import Curve
from _curves import PUBLIC, ROOT, load
from _moves import MOVES
from rich.console import Console

from curvecast import Prior
from curvecast.backtests import Backtest
from curvecast.curve import Series
from curvecast.fit.fitting import NEEDED

HOME = ROOT / "curvecast" / "fit" / "prior.py"
PRIORS = ROOT / "benchmarks" / "priors"
# Curves of each data set; its name is the first word.
# Language models of the public logs have no part: fitted on them too, no set that is left out is forecast better.
LARGE = {"multipowerlaw": 27, "modded_nanogpt": 64, "gemstones": 40}
SMALL = {"small_runs": 48, "taskset train": 24, "taskset val": 24}
# How a decay's gain arrives: in the middle, and to its sides more with the last drops, sooner, later, more evenly.
_SHAPES = ((0.01, 0.6), (0.0035, 0.8), (0.01, 0.8), (0.03, 0.8), (0.01, 1.0))
# Where every fit begins: round numbers, wide, so that what was left out cannot come back through the start. What
# is 0 stays: a large network's power law begins with the run, or late; it has no sudden drop ahead, and of what its
# decay is worth two or three laboratories cannot tell a share of the loss from some e-folds of steps.
START = Prior(
    alpha_log_mean=-0.6,
    alpha_log_sd=0.25,
    offset=(-0.8, 0.0),
    window=(0.0, 0.02, 0.12),
    drift=(0.0012, 0.007),
    drift_growth=20.0,
    annealing_shape=_SHAPES,
    converged=0.9,
    converged_sd=0.2,
    reducible=0.2,
    reducible_sd=0.2,
    annealing_log_mean=-2.9,
    annealing_log_sd=0.16,
    annealing_speed=0.0,
    annealing_sd=0.02,
    drop_error=0.1,
    sudden=0.0,
    sudden_until=0.3,
    sudden_size=0.2,
    sudden_sd=0.1,
    small=(),
)
# Small ones are trained for a shorter time, at higher rates, and leave the level of their first statistics at once.
SMALL_START = replace(
    START,
    alpha_log_mean=-0.5,
    alpha_log_sd=0.5,
    offset=(-0.8, 0.4),
    drift=(0.0015, 0.012),
    converged=0.8,
    converged_sd=0.25,
    reducible=0.3,
    reducible_sd=0.3,
    annealing_log_mean=-2.7,
    annealing_log_sd=0.16,
    annealing_speed=0.4,
    annealing_sd=0.03,
    drop_error=0.15,
    sudden=0.5,
)
# How far laboratories differ in what a decay is worth; while the others are fitted it is as these laboratories have it,
# for a wide one would leave them where they begin. And large networks' exponent, in which they hardly differ: fitted
# beside the others it makes up for what they lack (docs/log.md). And how often, and by how much, a run keeps to no law:
# that was found on strangers' runs, for those here keep to it. Fitted without outliers, as here, small networks' drop
# error covers them as well: so it is that of lessons, which are counted in it, and a smaller one forecasts better.
_BETWEEN: dict[str, dict[str, Any]] = {
    "large": {"annealing_log_sd": 0.16, "annealing_sd": 0.014, "alpha_log_mean": -0.66, "alpha_log_sd": 0.15}
    | {"outlier": 0.05, "outlier_error": 0.3},
    "small": {"annealing_log_sd": 0.25, "annealing_sd": 0.04, "drop_error": 0.15}
    | {"outlier": 0.12, "outlier_error": 1.4},
}
_SWEEPS, _TIMES = 3, 5
_RISE = 2e-3
# Of moves, where evidence is a mean: with two or three laboratories much is left to the start. Of 0.001, 0.02 and 0.05
# this one forecasts the sets that were left out best.
_PENALTY = 0.02
KINDS = {"large": (LARGE, START), "small": (SMALL, SMALL_START)}


def backtests(curve: Curve) -> list[Backtest]:
    """A curve at each of its fractions, where there is enough to forecast from."""
    train, val, found, i = Series(), Series(), [], 0
    for fraction in curve.fractions:
        while i < len(curve.steps) and curve.steps[i] <= fraction * curve.horizon:
            for series, losses in ((train, curve.train_loss), (val, curve.val_loss)):
                if math.isfinite(losses[i]):
                    series.add(int(curve.steps[i]), float(losses[i]))
            i += 1
        seen = val if curve.of == "val" else train
        if train.total + val.total >= NEEDED and seen.total:
            now, plan = float(max(train.last_step, val.last_step)), curve.plan or curve.schedule
            known = (curve.horizon, curve.truth, curve.of, curve.num_params)
            found.append(Backtest(train.bins(), val.bins(), now, plan, curve.schedule, *known))
    return found


Groups = dict[str, dict[float, dict[str, list[Backtest]]]]  # data set -> share of the steps seen -> recipe -> forecasts


def chosen(counts: Mapping[str, int], without: str | None, folder: Path) -> Groups:
    """The forecasts of evenly spread curves of all data sets but one."""
    groups: Groups = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for name, count in counts.items():
        curves = load(name, folder, sample=4) if name.split()[0] != without else []
        for i in np.unique(np.linspace(0, len(curves) - 1, min(count, len(curves))).round().astype(int)):
            for test in backtests(curves[i]):
                share = min(curves[i].fractions, key=lambda f, test=test: abs(f - test.now / test.end))  # type: ignore[misc]
                groups[name.split()[0]][share][curves[i].group].append(test)
    return dict(groups)


def fitted(kind: str, without: str | None, folder: Path) -> tuple[Prior, str]:
    """The prior fitted on all data sets of a kind but one, and its log-scores before and after."""
    counts, start = KINDS[kind]
    groups = chosen(counts, without, folder)
    recipes = [list(by_recipe.values()) for shares in groups.values() for by_recipe in shares.values()]
    tests = [test for each in recipes for some in each for test in some]
    # Data sets have the same weight, in each of them the shares of the steps seen, and in each of those the recipes.
    sizes = [len(shares) for shares in groups.values() for _ in shares]
    weight = [
        1.0 / (len(groups) * shares * len(each) * len(some))
        for shares, each in zip(sizes, recipes, strict=True)
        for some in each
        for _ in some
    ]
    scorer = Scorer()

    def evidence(prior: Prior) -> float:
        return float(np.dot(weight, scorer(tests, prior)))

    had = [move for move in MOVES if _value(start, move.name) != 0.0]
    best = climb_often(start, evidence, had, times=_TIMES, sweeps=_SWEEPS, rise=_RISE, penalty=_PENALTY)
    told = f"{evidence(start):.3f} -> {evidence(best):.3f}"
    best = replace(best, lesson_error=best.drop_error)
    return replace(best, source=", ".join(groups), **_BETWEEN[kind]), told


def _value(prior: Prior, name: str) -> float:
    """The number that a move is named after: a field, or a place in a grid."""
    field, _, place = name.partition("[")
    value = getattr(prior, field)
    return float(value[int(place.rstrip("]"))] if place else value)


def fit_all(withouts: Iterable[str | None], folder: Path, jobs: int) -> None:
    """Fit and write each prior; a kind of network that a data set has no part in is fitted once."""
    PRIORS.mkdir(exist_ok=True)
    console = Console()
    members = {kind: {name.split()[0] for name in counts} for kind, (counts, _) in KINDS.items()}
    with console.status("fitting"), ProcessPoolExecutor(jobs) as pool:
        wanted = list(withouts)
        asked = {(kind, out if out in members[kind] else None) for out in wanted for kind in KINDS}
        running = {key: pool.submit(fitted, key[0], key[1], folder) for key in sorted(asked, key=str)}
        for out in wanted:
            found = [running[kind, out if out in members[kind] else None].result() for kind in KINDS]
            (large, told), (small, also) = found
            source = f"fit_priors.py on {large.source}; small: {small.source}"
            prior = replace(large.with_small(small), source=source)
            prior.save(PRIORS / f"{out or 'shipped'}.json")
            console.print(f"without {out}: mean log-score {told} (large), {also} (small)")
            if out is None:
                ship(prior)


def ship(prior: Prior) -> None:
    """Make these numbers the defaults of ``curvecast.Prior``."""
    text = HOME.read_text(encoding="utf-8")
    home = next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == "Prior")
    lines = text.splitlines(keepends=True)
    for node in reversed(home.body):  # from the end, so that lines keep their places
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno:
            if (name := node.target.id) in ("beside", "size", "batch", "lessons"):  # one run's, one team's
                continue
            lines[node.lineno - 1 : node.end_lineno] = [
                f"    {name}: {ast.unparse(node.annotation)} = {getattr(prior, name)!r}\n"
            ]
    HOME.write_text("".join(lines), encoding="utf-8")
    subprocess.run(["ruff", "format", "-q", str(HOME)], check=True)


@click.command()
@click.option("--without", multiple=True, help="Leave this data set out ('none' for none); by default each in turn.")
@click.option("--curves", default=PUBLIC, type=click.Path(path_type=Path), help="Where the public curves lie.")
@click.option("--jobs", default=2, show_default=True)
def main(without: tuple[str, ...], curves: Path, jobs: int) -> None:
    everyone = [None, *dict.fromkeys(name.split()[0] for name in LARGE | SMALL)]
    fit_all([None if name == "none" else name for name in without] or everyone, curves, jobs)


if __name__ == "__main__":
    main()
