"""S_eff of gemstones' shapes: named on the first part of each run, and computed from the fit to all of them.

A law is fitted to what every shape reaches when it is cooled down (199 endpoints), so it is the annealed loss that is
compared: the law that ``fit_family`` takes by itself, and Chinchilla's. Each run is told the exponents of that law and
its irreducible loss, not where it ends. N leaves out both embedding tables (50,432 tokens a width; the residual of
Chinchilla's is 1.2 % with them left out, 1.6 % with them in). Beside the first 30 % of a run stand other shares of it:
a law that the whole run contradicts is no truth to be named.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from _curve import Curve, FloatArray, columns_of
from _curves import PUBLIC, ROOT, load
from _record import write
from numpy.typing import NDArray
from rich.console import Console
from scipy.optimize import brentq

from curvecast import ComputeEfficiency, FamilyLaw, Prior, Schedule, Watcher, fit_family
from curvecast.family import Family
from curvecast.laws.frontier import same_loss

_VOCABULARY = 50_432  # of gemstones' tokenizer, padded
_LAWS = ("best", "chinchilla")
_SEEN = 0.3
_SHARES = (0.2, 0.3, 0.6, 1.0)  # earlier than a tenth of its plan no run is judged
_POINTS = 20  # of a size's annealed losses, log-spaced over the last decade of steps
_A_STEP = 1e6  # tokens that a step of multipowerlaw is counted as: its batch is not stated, and drops out
_FAR = 1e60  # times the tokens: as good as without end


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
        data, known = columns_of(file), about[file.name]
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
    """A family, and its exponents without what it foretells."""

    family: Family
    law: FamilyLaw

    @classmethod
    def to(cls, N: FloatArray, D: FloatArray, loss: FloatArray, law: str) -> Fitted:
        family = fit_family(num_params=N, num_tokens=D, loss=loss, law=law)
        told = FamilyLaw(family.alpha_N, family.alpha_S, family.irreducible_loss, kappa=family.kappa)
        return cls(family, told)

    def about(self) -> dict[str, Any]:
        """Its parameters and how well it fits."""
        return {"law": self.family.law, **self.family.parameters, "residual": self.family.scatter}

    def loss(self, N: float, D: float) -> float:
        return float(self.family.loss(N, D))

    def terms(self, N: float, D: float) -> tuple[float, float]:
        """N-term and S-term of a run [nats/token]."""
        converged = self.loss(N, _FAR * D)
        return converged - self.law.irreducible_loss, self.loss(N, D) - converged

    def size_regret(self, N: float, D: float, named: float) -> float:
        """Compute to the loss of a run with the size that was named for it, over the least; inf where never."""
        goal = self.loss(N, D)
        if self.loss(named, _FAR * D) >= goal:
            return math.inf
        tokens = self._where(lambda more: self.loss(named, more * D) - goal)
        return named / N * tokens / same_loss(self.law, *self.terms(N, D)).compute

    def stop_regret(self, N: float, D: float) -> float:
        """Compute of a run over the least to its loss; 1 where it stops at its efficient step."""
        return 1.0 / same_loss(self.law, *self.terms(N, D)).compute

    def efficient_tokens(self, N: float) -> float:
        """Where the S-term has come down to the law's ratio of the N-term."""

        def above(D: float) -> float:
            N_term, S_term = self.terms(N, D)
            return S_term - self.law.efficient_ratio * N_term

        return N * self._where(lambda per_param: above(per_param * N))

    @staticmethod
    def _where(falling: Callable[[float], float]) -> float:
        """Where it crosses zero."""
        return math.exp(float(brentq(lambda log: falling(math.exp(log)), -30.0, 30.0)))


def fit(found: list[Shape], law: str) -> Fitted:
    """The law of gemstones' cooled-down losses."""
    N = np.concatenate([np.full(len(s.end_loss), s.N) for s in found])
    D = np.concatenate([s.end_steps * s.batch for s in found])
    return Fitted.to(N, D, np.concatenate([s.end_loss for s in found]), law)


def efficiency(found: list[Shape], law: str) -> dict[str, Any]:
    """S_eff named on the first 30 % against the fit to all, and what the size named for a loss costs in hindsight."""
    family = fit(found, law)
    truths = {shape.name: family.efficient_tokens(shape.N) / shape.batch for shape in found}
    rows, nearest, sizes, stops = [], [], [], []
    for shape in found:
        details, loss, step = _named(shape, family.law, _SEEN)
        rows.append({"shape": shape.name, **_held(details, truths[shape.name])})
        sizes.append(family.size_regret(shape.N, step * shape.batch, details["best_params_for_loss"]))
        stops.append(family.stop_regret(shape.N, details["efficient_step_median"] * shape.batch))
        if (over := _over_best(found, details["best_params_for_loss"], loss)) is not None:
            nearest.append(over)
    others = {
        f"{share:.0%}": _agreement([_held(_named(s, family.law, share)[0], truths[s.name]) for s in found])
        for share in _SHARES
    }
    return {
        "law": family.about(),
        "shapes": len(rows),
        **_agreement(rows),
        "by the share of the run that was seen": others,
        "compute of the size named for a loss, over the least": _spread(sizes),
        "compute of a run stopped at the named step, over the least": _spread(stops),
        "compute of the shape nearest to the named size, over the best in hindsight": _spread(nearest),
        "rows": rows,
    }


def _held(details: Mapping[str, float], truth: float) -> dict[str, Any]:
    """What was named against what the fit to all says [steps]."""
    lower, median, upper = (details[f"efficient_step_{name}"] for name in ("lower", "median", "upper"))
    return {"fit": truth, "named": median, "lower": lower, "upper": upper, "in": lower <= truth <= upper}


def _agreement(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Factors by which steps were named too late, over one, or too early, and how often the truth lay inside."""
    off = np.log([row["named"] / row["fit"] for row in rows])
    return {
        "median factor": float(np.exp(np.median(np.abs(off)))),
        "median of named over fit": float(np.exp(np.median(off))),
        "90 % interval covers": float(np.mean([row["in"] for row in rows])),
    }


def three_sizes(folder: Path, law: str) -> dict[str, Any]:
    """The same regrets over multipowerlaw's runs, on each one's first 30 %; a step stands for a token."""
    curves = {curve.name: curve for curve in load("multipowerlaw", folder)}
    if not curves:
        return {}
    ends = [_annealed_curve(curves, size) for size in ("25M", "100M", "400M")]
    sizes_of, tokens, losses = (np.concatenate(column) for column in zip(*ends, strict=True))
    family = Fitted.to(sizes_of, tokens, losses, law)
    rows, sizes, stops = [], [], []
    for curve in curves.values():
        N = float(curve.num_params or math.nan)
        watcher = _watcher(curve.schedule, N, _A_STEP, family.law, "multipowerlaw")
        _follow(watcher, curve.steps, curve.train_loss, _SEEN)
        details = watcher.verdict.details
        rows.append(_held(details, family.efficient_tokens(N) / _A_STEP))
        sizes.append(family.size_regret(N, _A_STEP * watcher.step, details["best_params_for_loss"]))
        stops.append(family.stop_regret(N, _A_STEP * details["efficient_step_median"]))
    return {
        "law": family.about(),
        "runs": len(rows),
        **_agreement(rows),
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


def _follow(watcher: Watcher, steps: FloatArray | NDArray[np.int64], losses: FloatArray, share: float) -> None:
    for step, loss in zip(steps.tolist(), losses.tolist(), strict=True):
        if step <= share * steps[-1]:
            watcher.update(int(step), train_loss=loss)


def _named(shape: Shape, law: FamilyLaw, share: float) -> tuple[Mapping[str, float], float, float]:
    """What the decision says on the first part of a run, the annealed loss there, and the step."""
    plan = Schedule.constant(int(shape.steps[-1]) + 1)  # it goes on at the end of the log
    watcher = _watcher(plan, shape.N, shape.batch, law, "gemstones")
    _follow(watcher, shape.steps, shape.loss, share)
    cooled = next((choice.loss for choice in watcher.choices() if choice.name == "cool_down"), math.nan)
    return dict(watcher.verdict.details), cooled, float(watcher.step)


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
    found = shapes(folder)
    if not found:
        print(f"gemstones is not in {folder.name}: nothing to measure.")
        return
    figures = {law: {**efficiency(found, law), "multipowerlaw": three_sizes(folder, law)} for law in _LAWS}
    Console().print({law: {name: v for name, v in each.items() if name != "rows"} for law, each in figures.items()})
    print("written:", write("efficient_step", figures, source="gemstones, 22 shapes; multipowerlaw, 27 runs"))


if __name__ == "__main__":
    main()
