"""Fit the numbers of the shipped prior on real curves, by the log-score of the forecasts that they lead to.

It is ``curvecast.learn_prior``'s own search, without its shrinkage, over many laboratories' runs: each data set has the
same weight. With ``--without SET`` a data set has no part in it: that is the prior which that set is scored with. The
prior fitted on all of them is the one that ``curvecast.Prior()`` is.

    python benchmarks/fit_priors.py                      # each data set left out in turn, and none: half an hour
    python benchmarks/fit_priors.py --without gemstones  # one of them
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import click
import numpy as np
from _curves import PUBLIC, ROOT, Curve, load
from rich.console import Console

from curvecast import Prior
from curvecast.curve import Series
from curvecast.fit.moves import MOVES
from curvecast.learn import LEAST, Backtest, Scorer, climb

HOME = ROOT / "curvecast" / "fit" / "prior.py"
PRIORS = ROOT / "benchmarks" / "priors"
TAKEN = {"multipowerlaw": 27, "modded_nanogpt": 32, "gemstones": 40, "small_runs": 48}  # curves of each data set
# Where every fit begins: round numbers, wide, so that what was left out cannot come back through the start.
START = Prior(
    alpha_log_mean=-0.5,
    alpha_log_sd=0.35,
    offset=(-0.8, 0.2),
    window=(0.0, 0.02, 0.12),
    drift=(0.0015, 0.006),
    drift_growth=20.0,
    annealing_shape=((0.01, 1.0), (0.02, 0.5)),
    converged=0.9,
    converged_sd=0.2,
    reducible=0.2,
    reducible_sd=0.2,
    annealing_log_mean=-3.0,
    annealing_log_sd=0.35,
    annealing_speed=0.4,
    annealing_sd=0.02,
    drop_error=0.1,
    sudden=0.5,
    sudden_until=0.3,
    sudden_size=0.2,
    sudden_sd=0.1,
)
_SWEEPS = 5
_RISE = 2e-3
_PENALTY = 1e-3  # of moves, where evidence is a mean: what nothing depends on shall stay where it is


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
        if train.total + val.total >= LEAST and seen.total:
            now, plan = float(max(train.last_step, val.last_step)), curve.plan or curve.schedule
            known = (curve.horizon, curve.truth, curve.of, curve.num_params)
            found.append(Backtest(train.bins(), val.bins(), now, plan, curve.schedule, *known))
    return found


def chosen(name: str, folder: Path) -> list[Backtest]:
    """The forecasts of a data set's evenly spread curves."""
    curves = load(name, folder)
    take = np.unique(np.linspace(0, len(curves) - 1, min(TAKEN[name], len(curves))).round().astype(int))
    return [test for i in take for test in backtests(curves[i])]


def fitted(without: str | None, folder: Path) -> tuple[str, Prior, str]:
    """The prior fitted on all data sets but one, and its log-scores before and after."""
    sets = {name: tests for name in TAKEN if name != without and (tests := chosen(name, folder))}
    scorer = Scorer()

    def evidence(prior: Prior) -> float:
        return float(np.mean([np.mean([scorer(test, prior) for test in tests]) for tests in sets.values()]))

    best = climb(START, evidence, MOVES, sweeps=_SWEEPS, rise=_RISE, penalty=_PENALTY)
    source = f"benchmarks/fit_priors.py on {', '.join(sets)}"
    change = f"{evidence(START):.3f} -> {evidence(best):.3f}"
    return without or "shipped", replace(best, source=source), change


def fit_all(withouts: Iterable[str | None], folder: Path, jobs: int) -> None:
    """Fit and write each prior."""
    PRIORS.mkdir(exist_ok=True)
    console = Console()
    with console.status("fitting"), ProcessPoolExecutor(jobs) as pool:
        for done in [pool.submit(fitted, without, folder) for without in withouts]:
            name, prior, change = done.result()
            prior.save(PRIORS / f"{name}.json")
            console.print(f"{name}: mean log-score {change}")
            if name == "shipped":
                ship(prior)


def ship(prior: Prior) -> None:
    """Make these numbers the defaults of ``curvecast.Prior``."""
    text = HOME.read_text(encoding="utf-8")
    for field in fields(prior):
        value = json.dumps(prior.source) if field.name == "source" else repr(getattr(prior, field.name))
        text = re.sub(rf"(?m)^(    {field.name}: [^=\n]+ = ).*$", rf"\g<1>{value}", text)
    HOME.write_text(text, encoding="utf-8")


@click.command()
@click.option("--without", multiple=True, help="Leave this data set out ('none' for none); by default each in turn.")
@click.option("--curves", default=PUBLIC, type=click.Path(path_type=Path), help="Where the public curves lie.")
@click.option("--jobs", default=2, show_default=True)
def main(without: tuple[str, ...], curves: Path, jobs: int) -> None:
    fit_all([None if name == "none" else name for name in without] or [None, *TAKEN], curves, jobs)


if __name__ == "__main__":
    main()
