"""S_eff of gemstones' shapes: named on the first part of each run, and computed from the fit to all of them.

The law ``E + A/N^a + B/D^b`` is fitted to what every shape reaches when it is cooled down (199 endpoints), so it is
the annealed loss that is compared. N leaves out both embedding tables (50,432 tokens a width; the fit's residual is
1.2 % with them left out, 1.6 % with them in).

What a choice costs is asked of the law fitted to all runs: the compute to reach a loss with the size that was named
for it, and the compute of a run stopped at the step that was named, each over the least of any size. For gemstones
also of the shapes themselves: the one nearest to the named size, over the cheapest of all. The same for
multipowerlaw's 27 runs of three sizes, whose law is fitted to its constant runs, less what a decay brings. Each is
watched under the prior that was fitted without its set.

    python benchmarks/efficient_step.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from _curves import PUBLIC, ROOT, Curve, FloatArray, _read, load
from _record import write
from numpy.typing import NDArray
from rich.console import Console
from scipy.optimize import least_squares

from curvecast import ComputeEfficiency, FamilyLaw, Prior, Schedule, Watcher
from curvecast.laws.frontier import same_loss

_VOCABULARY = 50_432  # of gemstones' tokenizer, padded
_SEEN = 0.3
_POINTS = 20  # of a size's annealed losses, log-spaced over the last decade of steps
_A_STEP = 1e6  # tokens that a step of multipowerlaw is counted as: its batch is not stated, and drops out
_N, _D = 1e8, 1e10  # units that keep the fit's numbers near one
_STARTS = [(E, a, b) for E in (0.3, 0.6) for a in (0.2, 0.4) for b in (0.4, 0.6)]


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape: its size without embeddings, its constant run, and the losses it is cooled down to."""

    name: str
    N: float
    batch: float
    steps: FloatArray
    loss: FloatArray
    end_steps: FloatArray
    end_loss: FloatArray

    def compute_for(self, loss: float) -> float:
        """Compute at which its cooled-down loss is reached, between its endpoints; inf where it is not."""
        if not len(self.end_loss) or not self.end_loss.min() <= loss <= self.end_loss.max():
            return math.inf
        log_step = np.interp(-loss, -self.end_loss, np.log(self.end_steps))
        return 6.0 * self.N * self.batch * math.exp(float(log_step))


def shapes(folder: Path) -> list[Shape]:
    """Gemstones' 22 runs at the higher learning rate."""
    folder = folder / "gemstones"
    if not (folder / "meta.json").exists():
        return []
    about: Mapping[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["runs"]
    found = []
    for file in sorted(folder.glob("hot__*.csv")):
        data, known = _read(file), about[file.name]
        ends = sorted((end["step"], end["loss"]) for end in known.get("cooldown_endpoints", ()))
        steps, losses = np.array(ends, dtype=np.float64).reshape(-1, 2).T
        name = file.stem.split("-")[1].split("_")[0]
        N = float(known["n_params"]) - 2.0 * _VOCABULARY * int(name.split("x")[0])
        seen = (data["step"] >= 1) & np.isfinite(data["train_loss"])
        batch = float(known["batch_tokens"])
        found.append(Shape(name, N, batch, data["step"][seen], data["train_loss"][seen], steps, losses))
    return found


@dataclass(frozen=True, slots=True)
class Fitted:
    """The family's law with its scales, and how well it fits [relative]."""

    law: FamilyLaw
    A: float
    B: float
    residual: float

    def terms(self, N: float, D: float) -> tuple[float, float]:
        """N-term and D-term of a run [nats/token]."""
        return self.A * (N / _N) ** -self.law.alpha_N, self.B * (D / _D) ** -self.law.alpha_S

    def size_regret(self, N: float, D: float, named: float) -> float:
        """Compute to the loss of a run with the size that was named for it, over the least; inf where never."""
        N_term, D_term = self.terms(N, D)
        left = N_term + D_term - N_term * (named / N) ** -self.law.alpha_N
        if left <= 0.0:
            return math.inf
        tokens = (left / D_term) ** (-1.0 / self.law.alpha_S)
        return float(named / N * tokens / same_loss(self.law, N_term, D_term).compute)

    def stop_regret(self, N: float, D: float) -> float:
        """Compute of a run over the least to its loss; 1 where it stops at its efficient step."""
        return 1.0 / same_loss(self.law, *self.terms(N, D)).compute

    def efficient_tokens(self, N: float) -> float:
        """``alpha A/N^alpha = beta B/D^beta``, solved for D."""
        N_term = self.A * (N / _N) ** -self.law.alpha_N
        return float(_D * (self.law.alpha_S * self.B / (self.law.alpha_N * N_term)) ** (1.0 / self.law.alpha_S))


def fit(found: list[Shape]) -> Fitted:
    """The law of gemstones' cooled-down losses."""
    N = np.concatenate([np.full(len(s.end_loss), s.N) for s in found])
    D = np.concatenate([s.end_steps * s.batch for s in found])
    return fit_law(N, D, np.concatenate([s.end_loss for s in found]))


def fit_law(N: FloatArray, D: FloatArray, loss: FloatArray) -> Fitted:
    """Huber on the logarithm, from several starts, as Hoffmann et al. 2022 fit theirs."""
    n, d, log_loss = N / _N, D / _D, np.log(loss)

    def miss(p: FloatArray) -> FloatArray:
        return np.asarray(np.log(np.exp(p[0]) + np.exp(p[1]) * n ** -p[2] + np.exp(p[3]) * d ** -p[4]) - log_loss)

    fits = [least_squares(miss, np.array([E, 0.0, a, -1.0, b]), loss="huber", f_scale=1e-3) for E, a, b in _STARTS]
    p = min(fits, key=lambda one: float(one.cost)).x
    law = FamilyLaw(alpha_N=float(p[2]), alpha_S=float(p[4]), irreducible_loss=float(np.exp(p[0])))
    return Fitted(law, float(np.exp(p[1])), float(np.exp(p[3])), float(np.std(miss(p))))


def efficiency(folder: Path) -> dict[str, Any]:
    """S_eff named on the first 30 % against the fit to all, and what the size named for a loss costs in hindsight."""
    found = shapes(folder)
    if not found:
        return {}
    family = fit(found)
    rows, nearest, factors, sizes, stops = [], [], [], [], []
    for shape in found:
        details, loss, step = _named(shape, family.law)
        truth = family.efficient_tokens(shape.N) / shape.batch
        lower, median, upper = (details[f"efficient_step_{name}"] for name in ("lower", "median", "upper"))
        factors.append(math.exp(abs(math.log(median / truth))))
        inside = lower <= truth <= upper
        rows.append({"shape": shape.name, "fit": truth, "named": median, "lower": lower, "upper": upper, "in": inside})
        sizes.append(family.size_regret(shape.N, step * shape.batch, details["best_params_for_loss"]))
        stops.append(family.stop_regret(shape.N, median * shape.batch))
        if (over := _over_best(found, details["best_params_for_loss"], loss)) is not None:
            nearest.append(over)
    return {
        "law": {"alpha": family.law.alpha_N, "beta": family.law.alpha_S, "E": family.law.irreducible_loss},
        "residual of the fit": family.residual,
        "shapes": len(rows),
        "median factor": float(np.median(factors)),
        "90 % interval covers": float(np.mean([row["in"] for row in rows])),
        "compute of the size named for a loss, over the least": _spread(sizes),
        "compute of a run stopped at the named step, over the least": _spread(stops),
        "compute of the shape nearest to the named size, over the best in hindsight": _spread(nearest),
        "rows": rows,
    }


def three_sizes(folder: Path) -> dict[str, Any]:
    """The same regrets over multipowerlaw's runs, on each one's first 30 %; a step stands for a token."""
    curves = {curve.name: curve for curve in load("multipowerlaw", folder)}
    if not curves:
        return {}
    ends = [_annealed_curve(curves, size) for size in ("25M", "100M", "400M")]
    family = fit_law(*(np.concatenate(column) for column in zip(*ends, strict=True)))
    runs = [(float(curve.num_params or math.nan), curve) for curve in curves.values()]
    sizes, stops, factors = [], [], []
    for N, curve in runs:
        watcher = _watcher(curve.schedule, N, _A_STEP, family.law, "multipowerlaw")
        _follow(watcher, curve.steps, curve.train_loss)
        details = watcher.verdict.details
        sizes.append(family.size_regret(N, _A_STEP * watcher.step, details["best_params_for_loss"]))
        tokens = _A_STEP * details["efficient_step_median"]
        stops.append(family.stop_regret(N, tokens))
        factors.append(math.exp(abs(math.log(tokens / family.efficient_tokens(N)))))
    return {
        "law": {"alpha": family.law.alpha_N, "beta": family.law.alpha_S, "E": family.law.irreducible_loss},
        "residual of the fit": family.residual,
        "runs": len(runs),
        "median factor": float(np.median(factors)),
        "compute of the size named for a loss, over the least": _spread(sizes),
        "compute of a run stopped at the named step, over the least": _spread(stops),
    }


def _annealed_curve(curves: Mapping[str, Curve], size: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Size, tokens and loss of the longest constant run, less the share that a decay took from it at 24,000 steps."""
    constant, decayed = curves[f"{size}__constant_72000"], curves[f"{size}__wsdld_20000_24000"]
    end = float(decayed.steps[-1])
    kept = float(decayed.train_loss[-1]) / float(np.interp(end, constant.steps, constant.train_loss))
    steps = np.geomspace(0.1, 1.0, _POINTS) * float(constant.steps[-1])
    loss = kept * np.interp(steps, constant.steps, constant.train_loss)
    return np.full(_POINTS, float(constant.num_params or math.nan)), _A_STEP * steps, loss


def _spread(values: list[float]) -> dict[str, float]:
    """Of those that get there at all; the median is that of all."""
    reached = [value for value in values if math.isfinite(value)]
    return {
        "n": len(values),
        "never": len(values) - len(reached),
        "median": float(np.median(values)),
        "worst": max(reached),
    }


def _watcher(plan: Schedule, N: float, batch: float, law: FamilyLaw, left_out: str) -> Watcher:
    return Watcher(
        schedule=plan,
        num_params=N,
        batch_tokens=batch,
        law=law,
        prior=Prior.load(ROOT / "benchmarks" / "priors" / f"{left_out}.json"),
        decisions=[ComputeEfficiency()],
    )


def _follow(watcher: Watcher, steps: FloatArray | NDArray[np.int64], losses: FloatArray) -> None:
    for step, loss in zip(steps.tolist(), losses.tolist(), strict=True):
        if step <= _SEEN * steps[-1]:
            watcher.update(int(step), train_loss=loss)


def _named(shape: Shape, law: FamilyLaw) -> tuple[dict[str, float], float, float]:
    """What the decision says on the first 30 % of a run, the annealed loss there, and the step."""
    watcher = _watcher(Schedule.constant(int(shape.steps[-1])), shape.N, shape.batch, law, "gemstones")
    _follow(watcher, shape.steps, shape.loss)
    cooled = next(choice for choice in watcher.choices() if choice.name == "cool_down")
    return dict(watcher.verdict.details), cooled.loss, float(watcher.step)


def _over_best(found: list[Shape], N: float, loss: float) -> float | None:
    """Compute of the shape nearest to a size that reaches the loss, over the least of any; None where none does."""
    costs = {shape.compute_for(loss): shape for shape in found}
    costs.pop(math.inf, None)
    if not costs:
        return None
    chosen = min(costs, key=lambda cost: abs(math.log(costs[cost].N / N)))
    return chosen / min(costs)


@click.command(help=__doc__)
@click.option("--curves", "folder", default=PUBLIC, show_default=False, type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    figures = efficiency(folder)
    if not figures:
        print(f"gemstones is not in {folder.name}: nothing to measure.")
        return
    figures["multipowerlaw"] = three_sizes(folder)
    Console().print({name: value for name, value in figures.items() if name != "rows"})
    print("written:", write("efficient_step", figures, source="gemstones, 22 shapes; multipowerlaw, 27 runs"))


if __name__ == "__main__":
    main()
