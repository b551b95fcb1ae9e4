"""What does a fit across runs cost, and does it foretell larger and longer ones?

Speed: 240 losses of the size of Chinchilla's set, fitted from 500 starts and bootstrapped 4,000 times, beside scipy's
L-BFGS from a few of the same starts. Foresight: Gemstones up to 1.0B parameters and 100B tokens against what came
beyond, and up to less of both against what came far beyond; 25M and 100M against 400M of the multi-power law's runs.
Only CPU time is counted.

    python benchmarks/family_fit.py [--curves FOLDER]
    python benchmarks/family_fit.py --only watched       # one part anew; the others stay as they were recorded
"""

from __future__ import annotations

import csv
import json
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import click
import numpy as np
from _curves import PUBLIC, ROOT
from _record import recorded, write
from rich.console import Console
from scipy.optimize import minimize

from curvecast import Family, Forecast, Prior, Run, Schedule, Watcher, fit_family
from curvecast.family.forms import FORMS, Inputs
from curvecast.family.solve import solve
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH
from curvecast.laws.kaplan import loss_of_size_and_data
from curvecast.seen import NEEDED

VOCABULARY = 50_304  # of Gemstones: its parameters at one width grow by 15 width^2 a layer over 2 * 50,304 * width
NOMINAL, STRICT = 1.1e9, 1.0e9  # "1.0B" with its 1.01 to 1.05 billion parameters, and without
TOKENS = 100e9
BATCH = 4_194_304  # tokens a step of Gemstones
SETTLED = 6e9  # tokens before which its losses still fall from their start; the first is a mean over 2e9
BANDS = (0, 1, 5, 30, 200, 10_000)
EVERY = 29  # of the losses of a curve one in so many is asked
LAWS = ("chinchilla", "coupled", "kaplan_nd")
FRACTIONS = (0.1, 0.25, 0.5, 0.8)
console = Console(highlight=False)


def synthetic(count: int = 240, seed: int = 0, noise: float = 0.004) -> tuple[Inputs, FloatArray]:
    rng = np.random.default_rng(seed)
    n, d = rng.uniform(np.log(4e7), np.log(1.6e10), count), rng.uniform(np.log(1e9), np.log(3e11), count)
    y = np.log(EPOCH.loss(np.exp(n), np.exp(d))) + noise * rng.standard_t(3, count)
    return Inputs(n - n.mean(), d - d.mean(), np.zeros(count), np.zeros(count), n.mean(), d.mean()), y


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def speed(starts: int = 500, bootstraps: int = 4000, peers: int = 10) -> dict[str, float]:
    x, y = synthetic()
    form = FORMS["chinchilla"]
    begin = form.starts(x, y, starts)
    seconds, (_, score) = cpu(lambda: solve(lambda phi: form(phi, x), y, begin))

    def huber(phi: FloatArray) -> tuple[float, FloatArray]:
        f, slopes = form(phi[None], x)
        r = y - f[0]
        return float(np.sum(np.where(abs(r) < 1e-3, r * r / 2, 1e-3 * (abs(r) - 5e-4)))), -slopes[0] @ np.clip(
            r, -1e-3, 1e-3
        )

    peer, ends = cpu(lambda: [minimize(huber, p, jac=True, method="L-BFGS-B").fun for p in begin[:peers]])
    N, D = np.exp(x.n + x.n0), np.exp(x.d + x.d0)

    def whole(law: str, bootstraps: int) -> float:
        arrays: dict[str, Any] = {"num_params": N, "num_tokens": D, "loss": np.exp(y)}
        return cpu(lambda: fit_family(**arrays, law=law, starts=starts, bootstraps=bootstraps))[0]

    return {
        "500 starts, s of CPU": seconds,
        "share of starts at the same minimum (1e-3)": float(np.mean(score < score.min() * 1.001)),
        "scipy L-BFGS-B, 500 starts (from 10), s of CPU": peer * starts / peers,
        "best of scipy's 10 over ours": float(min(ends) / score.min()),
        "fit_family without bootstraps, its check included, s of CPU": whole("chinchilla", 0),
        "fit_family with 4,000 bootstraps, s of CPU": whole("chinchilla", bootstraps),
        "fit_family with 4,000 bootstraps, the law chosen, s of CPU": whole("best", bootstraps),
        "peak memory of the process, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def recovery(families: int = 100) -> dict[str, float]:
    """Share of synthetic families whose 90 % intervals hold the true parameters."""
    inside: dict[str, list[bool]] = {}
    few: dict[str, Any] = {"starts": 40, "bootstraps": 200}
    truth = {"irreducible_loss": EPOCH.irreducible_loss, "alpha_N": EPOCH.alpha_N, "alpha_D": EPOCH.alpha_S}
    for seed in range(families):
        x, y = synthetic(60, seed)
        N, D = np.exp(x.n + x.n0), np.exp(x.d + x.d0)
        family = fit_family(num_params=N, num_tokens=D, loss=np.exp(y), law="chinchilla", **few, seed=seed)
        for name, value in truth.items():
            inside.setdefault(name, []).append(value in family.interval(name, 0.9))
        ahead = family.predict(num_params=7e10, num_tokens=1.4e12).interval(0.9)
        inside.setdefault("loss at 70B, 1.4T tokens", []).append(float(EPOCH.loss(7e10, 1.4e12)) in ahead)
    return {name: float(np.mean(held)) for name, held in inside.items()}


def under_either(families: int = 12) -> dict[str, dict[str, float]]:
    """Errors where Chinchilla's law is true and where Kaplan's is: fitted up to 0.8B and 20B, asked at 4B and 100B."""
    sizes, figures = [5e7, 1e8, 2e8, 4e8, 8e8], {}
    N, D = (a.ravel() for a in np.meshgrid(sizes, np.geomspace(2e9, 2e10, 8)))
    for truth, name in ((EPOCH.loss, "Chinchilla's law is true"), (loss_of_size_and_data, "Kaplan's law is true")):
        for law in (*LAWS, "best"):
            off, inside = [], []
            for seed in range(families):
                rng = np.random.default_rng(seed)
                noise = rng.normal(0, 0.003, len(sizes))[np.searchsorted(sizes, N)] + rng.normal(0, 0.001, N.size)
                names = [str(size) for size in N]
                family = fit_family(num_params=N, num_tokens=D, loss=truth(N, D) * np.exp(noise), names=names, law=law)
                ahead, came = family.predict(num_params=4e9, num_tokens=1e11), float(truth(4e9, 1e11))
                off.append(abs(float(ahead.median) / came - 1))
                inside.append(came in ahead.interval(0.9))
            figures[f"{name}, {law}"] = {
                "median error, %": 100 * float(np.median(off)),
                "largest error, %": 100 * float(np.max(off)),
                "inside 90 %": float(np.mean(inside)),
            }
    return figures


def read_runs(folder: Path) -> Iterable[tuple[dict[str, Any], dict[str, FloatArray], str]]:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["runs"]
    for name, about in sorted(meta.items()):
        rows = list(csv.DictReader((folder / name).read_text(encoding="utf-8").splitlines()))
        columns = {key: np.array([float(row[key] or "nan") for row in rows]) for key in ("step", "train_loss", "lr")}
        yield about, columns, name.removesuffix(".csv")


def a_run(name: str, steps: FloatArray, loss: FloatArray, **meta: Any) -> Run:
    nan = np.full(len(steps), np.nan)
    return Run(name, steps.astype(np.int64), loss, nan, nan, meta)


def cooled(step: int) -> Schedule:
    """Gemstones' branches: constant, then linearly to zero from step/1.1 on."""
    start = round(step / 1.1)
    return Schedule.constant(step).cooldown(start=start, steps=step - start)


def gemstones(folder: Path, *, embeddings: bool) -> tuple[list[Run], list[Run]]:
    """Runs at a constant learning rate, and the ends of their cooled branches."""
    hot, ends = [], []
    for about, columns, name in read_runs(folder / "gemstones"):
        if not name.startswith("hot"):
            continue
        total = about["n_params"]
        N = total if embeddings else total - 2 * VOCABULARY * about["width"]
        meta = {"num_params": N, "batch_tokens": about["batch_tokens"], "group": name, "total": total}
        steps = columns["step"]
        hot.append(a_run(name, steps, columns["train_loss"], schedule=Schedule.constant(int(steps[-1])), **meta))
        for end in about["cooldown_endpoints"]:
            at = np.array([end["step"]])
            ends.append(a_run(f"{name}@{at[0]}", at, np.array([end["loss"]]), schedule=cooled(int(at[0])), **meta))
    return hot, ends


def up_to(run: Run, step: float) -> Run:
    seen = run.steps <= step
    arrays = {key: getattr(run, key)[seen] for key in ("steps", "train_loss", "val_loss", "lr")}
    return replace(run, **arrays)


def scored(family: Family, runs: Sequence[Run], first: float = 0.0, every: int = 1) -> dict[str, float]:
    """Errors of what comes after `first` tokens of each run."""
    off, inside, width = [], [], []
    for run in runs:
        B, N = float(run.meta["batch_tokens"]), run.meta["num_params"]  # type: ignore[arg-type]
        constant = len(run) > 1
        for step, loss in list(zip(run.steps.tolist(), run.train_loss.tolist(), strict=True))[::every]:
            if step * B <= first:
                continue
            plan = Schedule.constant(step) if constant else cooled(step)
            ahead = family.predict(num_params=N, num_tokens=step * B, schedule=plan)  # type: ignore[arg-type]
            interval = ahead.interval(0.9)
            off.append(float(ahead.median) / loss - 1)
            inside.append(loss in interval)
            width.append(float(interval.width) / loss)
    return {
        "losses": len(off),
        "median error, %": 100 * float(np.median(np.abs(off))),
        "bias, %": 100 * float(np.median(off)),
        "inside 90 %": float(np.mean(inside)),
        "width of 90 %, %": 100 * float(np.median(width)),
    }


def total(run: Run) -> float:
    return float(run.meta["total"])  # type: ignore[arg-type]


def foresee_gemstones(folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for embeddings in (True, False):
        hot, ends = gemstones(folder, embeddings=embeddings)
        for reading, most in (("1.0B with its 1.01 to 1.05", NOMINAL), ("at most 1.0e9", STRICT)):
            small = [run for run in hot if total(run) <= most]
            shown = [up_to(run, TOKENS / BATCH) for run in small]
            shown += [run for run in ends if total(run) <= most and run.steps[0] * BATCH <= 1.01 * TOKENS]
            shown_names = {run.name for run in shown}
            larger = [run for run in hot if total(run) > most]
            hidden = [run for run in ends if run.name not in shown_names]
            for law in (*LAWS, "best"):
                family = fit_family(shown, law=law, counts="all" if embeddings else "non-embedding")
                key = f"{law}, N {'with' if embeddings else 'without'} embeddings, {reading}"
                by_size = scored(family, larger, TOKENS / 10, 9)
                by_length = scored(family, small, TOKENS, 9)
                count = by_size["losses"] + by_length["losses"]
                figures[key] = {
                    "larger": by_size,
                    "longer": by_length,
                    "larger or longer, inside 90 %": (
                        by_size["inside 90 %"] * by_size["losses"] + by_length["inside 90 %"] * by_length["losses"]
                    )
                    / count,
                    "cooled": scored(family, hidden),
                    "its own check": str(family.held_out),
                }
                console.print(key, figures[key])
    return figures


def far_beyond(folder: Path) -> dict[str, Any]:
    """Families of runs up to several sizes and lengths, asked of all losses beyond: by how many times their compute."""
    found: dict[str, list[tuple[float, bool, float, float]]] = {}
    for embeddings in (True, False):
        hot, ends = gemstones(folder, embeddings=embeddings)
        for most, tokens in product((0.12e9, 0.6e9, NOMINAL), (10e9, 30e9, TOKENS)):
            small = [run for run in hot if total(run) <= most]
            shown = [up_to(run, tokens / BATCH) for run in small]
            shown += [run for run in ends if total(run) <= most and run.steps[0] * BATCH <= 1.01 * tokens]
            family = fit_family(shown)
            largest = 6 * max(total(run) for run in small) * tokens
            for run in hot + (ends if len(shown) > len(small) else []):
                for step, loss in list(zip(run.steps.tolist(), run.train_loss.tolist(), strict=True))[::EVERY]:
                    least = tokens / 10 if total(run) > most else 1.05 * tokens
                    if step * BATCH <= max(least, SETTLED):
                        continue
                    plan = Schedule.constant(step) if len(run) > 1 else cooled(step)
                    size: Any = run.meta["num_params"]
                    one = held_against(family.predict(num_params=size, num_tokens=step * BATCH, schedule=plan), loss)
                    for key in _far(6 * total(run) * step * BATCH / largest, len(run) > 1):
                        found.setdefault(key, []).append(one)
    return {key: summary(found[key]) for key in sorted(found)}


def _far(times: float, held: bool) -> tuple[str, ...]:
    """The rows of a loss: by compute, where its rate is held, and all of its kind."""
    bands = [f"curves, {low} to {high} times the compute" for low, high in pairwise(BANDS) if low <= times < high]
    return (*bands, "curves") if held else ("cooled ends",)


def of_three_sizes(folder: Path) -> tuple[list[Run], list[Run]]:
    """25M and 100M, and 400M. Batches are not published: any constant gives the same forecasts."""
    small: list[Run] = []
    large: list[Run] = []
    for about, columns, name in read_runs(folder / "multipowerlaw"):
        steps = columns["step"]
        every = np.arange(1, int(steps[-1]) + 1)
        lr = np.interp(every, steps, columns["lr"]) * np.minimum(every / 2160, 1)
        meta = {"num_params": about["n_params"], "batch_tokens": 2**19, "schedule": Schedule.from_array(lr)}
        (small if about["n_params"] < 3e8 else large).append(a_run(name, steps, columns["train_loss"], **meta))
    return small, large


def foresee_400m(folder: Path) -> dict[str, Any]:
    small, large = of_three_sizes(folder)
    figures: dict[str, Any] = {}
    for law in LAWS:
        family = fit_family(small, law=law)
        found = []
        for run in large:
            end, plan = int(run.steps[-1]), run.meta["schedule"]
            ahead = family.predict(num_params=4e8, num_tokens=end * 2.0**19, schedule=plan)  # type: ignore[arg-type]
            found.append(held_against(ahead, truth_of(run)))
        figures[law] = summary(found)
        console.print(law, figures[law])
    return figures


def watch_400m(folder: Path) -> dict[str, Any]:
    """The same runs as they go, by a watcher that knows the family of the smaller ones, and by one that does not.

    The prior of both was fitted without these runs.
    """
    small, large = of_three_sizes(folder)
    prior = Prior.load(ROOT / "benchmarks" / "priors" / "multipowerlaw.json")
    figures: dict[str, Any] = {}
    for name, law in (("alone", None), ("with the family", fit_family(small))):
        for fraction in FRACTIONS:
            found = []
            for run in large:
                plan: Any = run.meta["schedule"]
                watcher = Watcher(schedule=plan, num_params=4e8, batch_tokens=2**19, prior=prior, law=law)
                seen = up_to(run, fraction * run.steps[-1])
                if len(seen) < NEEDED:
                    continue
                for step, loss in zip(seen.steps.tolist(), seen.train_loss.tolist(), strict=True):
                    watcher.update(step, loss)
                found.append(held_against(watcher.forecast(), truth_of(run)))
            figures[f"{name}, {fraction:.0%}"] = summary(found)
            console.print(name, fraction, figures[f"{name}, {fraction:.0%}"])
    return figures


def truth_of(run: Run) -> float:
    return float(run.train_loss[run.steps > 0.99 * run.steps[-1]].mean())


def held_against(ahead: Forecast, truth: float) -> tuple[float, bool, float, float]:
    """Error, whether the 90 % interval holds the truth, its width, and its score (Gneiting, Raftery), of the truth."""
    interval = ahead.interval(0.9)
    width = float(interval.width) / truth
    missed = max(float(interval.lower) / truth - 1, 1 - float(interval.upper) / truth, 0.0)
    return float(ahead.median) / truth - 1, truth in interval, width, width + 20 * missed


def summary(found: Sequence[tuple[float, bool, float, float]]) -> dict[str, float]:
    off, inside, width, scores = (np.array(column) for column in zip(*found, strict=True))
    return {
        "runs": len(found),
        "median error, %": 100 * float(np.median(np.abs(off))),
        "largest error, %": 100 * float(np.max(np.abs(off))),
        "inside 90 %": float(np.mean(inside)),
        "width of 90 %, %": 100 * float(np.median(width)),
        "interval score, %": 100 * float(np.mean(scores)),
    }


PARTS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "speed": ("speed", lambda _: speed()),
    "recovery": ("share of 90 % intervals that hold the truth, synthetic", lambda _: recovery()),
    "either": ("synthetic, 4B and 100B from 0.8B and 20B", lambda _: under_either()),
    "foreseen": ("multipowerlaw: 400M from 25M and 100M", foresee_400m),
    "watched": ("multipowerlaw: 400M watched, with and without the family of 25M and 100M", watch_400m),
    "gemstones": ("gemstones", foresee_gemstones),
    "far": ("gemstones, far beyond the runs of each family", far_beyond),
}


@click.command()
@click.option("--curves", default=PUBLIC, type=click.Path(path_type=Path), help="Where the public curves lie.")
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="Measure this part; the others are kept.")
def main(curves: Path, only: tuple[str, ...]) -> None:
    if not curves.exists():
        raise click.UsageError(f"{curves} must hold the public curves: it is not there. Pass --curves FOLDER.")
    figures = recorded("family_fit") if only else {}
    for part in only or PARTS:
        title, measure = PARTS[part]
        figures[title] = measure(curves)
        console.print(title, figures[title])
    source = "synthetic families of Epoch's law, and the public curves' multipowerlaw and gemstones"
    console.print("written:", write("family_fit", figures, source=source))


if __name__ == "__main__":
    main()
