"""S_eff of gemstones' shapes: named on the first part of each run, and computed from the fit to all of them.

The law ``E + A/N^a + B/D^b`` is fitted to what every shape reaches when it is cooled down (199 endpoints), so it is
the annealed loss that is compared. N leaves out both embedding tables (50,432 tokens a width; the fit's residual is
1.2 % with them left out, 1.6 % with them in).

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
from _curves import PUBLIC, FloatArray, _read
from _record import write
from rich.console import Console
from scipy.optimize import least_squares

from curvecast import ComputeEfficiency, FamilyLaw, Schedule, Watcher

_VOCABULARY = 50_432  # of gemstones' tokenizer, padded
_SEEN = 0.3
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

    def efficient_tokens(self, N: float) -> float:
        """``alpha A/N^alpha = beta B/D^beta``, solved for D."""
        N_term = self.A * (N / _N) ** -self.law.alpha_N
        return float(_D * (self.law.alpha_S * self.B / (self.law.alpha_N * N_term)) ** (1.0 / self.law.alpha_S))


def fit(found: list[Shape]) -> Fitted:
    """Huber on the logarithm, from several starts, as Hoffmann et al. 2022 fit theirs."""
    N = np.concatenate([np.full(len(s.end_loss), s.N) for s in found]) / _N
    D = np.concatenate([s.end_steps * s.batch for s in found]) / _D
    log_loss = np.log(np.concatenate([s.end_loss for s in found]))

    def miss(p: FloatArray) -> FloatArray:
        return np.asarray(np.log(np.exp(p[0]) + np.exp(p[1]) * N ** -p[2] + np.exp(p[3]) * D ** -p[4]) - log_loss)

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
    rows, regret, factors = [], [], []
    for shape in found:
        details, loss = _named(shape, family.law)
        truth = family.efficient_tokens(shape.N) / shape.batch
        lower, median, upper = (details[f"efficient_step_{name}"] for name in ("lower", "median", "upper"))
        factors.append(math.exp(abs(math.log(median / truth))))
        inside = lower <= truth <= upper
        rows.append({"shape": shape.name, "fit": truth, "named": median, "lower": lower, "upper": upper, "in": inside})
        if (over := _over_best(found, details["best_params_for_loss"], loss)) is not None:
            regret.append(over)
    return {
        "law": {"alpha": family.law.alpha_N, "beta": family.law.alpha_S, "E": family.law.irreducible_loss},
        "residual of the fit": family.residual,
        "shapes": len(rows),
        "median factor": float(np.median(factors)),
        "90 % interval covers": float(np.mean([row["in"] for row in rows])),
        "compute of the size named for a loss, over the best in hindsight": {
            "n": len(regret),
            "median": float(np.median(regret)),
            "worst": max(regret),
        },
        "rows": rows,
    }


def _named(shape: Shape, law: FamilyLaw) -> tuple[dict[str, float], float]:
    """What the decision says on the first 30 % of a run, and the annealed loss there."""
    plan = Schedule.constant(int(shape.steps[-1]))
    watcher = Watcher(
        schedule=plan, num_params=shape.N, batch_tokens=shape.batch, law=law, decisions=[ComputeEfficiency()]
    )
    last = _SEEN * shape.steps[-1]
    for step, loss in zip(shape.steps.tolist(), shape.loss.tolist(), strict=True):
        if step <= last:
            watcher.update(int(step), train_loss=loss)
    cooled = next(choice for choice in watcher.choices() if choice.name == "cool_down")
    return dict(watcher.verdict.details), cooled.loss


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
    Console().print({name: value for name, value in figures.items() if name != "rows"})
    print("written:", write("efficient_step", figures, source="gemstones, 22 shapes"))


if __name__ == "__main__":
    main()
