"""How far off is the forecast of where a run ends, and does its interval hold? On real curves, beside fits by hand.

Every curve is streamed once into a watcher; at 10, 25, 50 and 80 % of its steps each method forecasts the loss at
the end. Where the public curves are not at hand, the runs and logs that come with the repository are left. Of public
logs there are eight sets: open, sealed and fresh ones, whose size is not told, first trainings of known size, and
language models, and other networks, of known size and plan, open and sealed.

    python benchmarks/forecast_error.py
    python benchmarks/forecast_error.py --sets multipowerlaw --limit 5 --no-record
    python benchmarks/forecast_error.py --methods curvecast  # the others' figures stay
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from _accuracy import fill
from _baselines import BASELINES, LEAST, Seen, by_hand
from _curve import FRACTIONS, Curve, FloatArray
from _curves import PUBLIC, ROOT, SEALED, SETS
from _error_figures import CURVECAST, METHODS, SIBLINGS, UNKNOWN, draw, figures_of, joined, table_of, worst_of
from _misses import Miss, draw_misses
from _picture import photograph
from _processes import spread
from _record import recorded, write
from _sample import PRIORS, drawn, gather, prior_of, siblings_of
from _scores import LEVELS, LOGGED, QUANTILES, Row, Score, score, score_gaussian
from rich.console import Console

from curvecast import Forecast, NotEnoughSamples, Prior, Run, Watcher, learn_prior

PICTURE, MISSES = ROOT / "docs" / "forecast_error.png", ROOT / "docs" / "forecast_misses.png"
SMALL, SMALL_MISSES = "small_runs", ROOT / "docs" / "small_runs_misses.png"
_QUARTER = 0.25  # of the steps, where the picture of the misses of all sets is taken
_WORST = 6  # panels a share, in the picture of the small runs' misses
_LONGEST = 40  # characters of a name above a panel
_TIMES = 1000.0  # percent: an error that is better told as a factor
_NEEDED = 12  # losses that a forecast is asked of
_GRID = 401  # places at which a forecast's distribution is read


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Curves that hold the same samples, so that one pass serves them all.

    Args:
        curves: the curves.
        siblings: finished runs of each curve's group, by the curve's place.
        priors: the prior of each curve, likewise.
        methods: what is to be scored.
    """

    curves: list[Curve]
    siblings: list[list[Run]]
    priors: list[Prior]
    methods: tuple[str, ...]


def run(task: Task) -> tuple[list[Row], float]:
    """Score all methods on the curves of one stream; the rows, and the seconds of CPU they took."""
    began = time.process_time()
    states = states_of(task.curves)
    rows: list[Row] = []
    learnt: dict[tuple[str, ...], tuple[Prior, float] | None] = {}
    for curve, siblings, prior in zip(task.curves, task.siblings, task.priors, strict=True):
        names = (prior.source, *(sibling.name for sibling in siblings))
        if names not in learnt:
            learnt[names] = learn(siblings, prior) if SIBLINGS in task.methods else None
        for fraction in asked(curve):
            try:
                found = scores(curve, fraction, states[stop(curve, fraction)], prior, learnt[names], task.methods)
            except NotEnoughSamples:  # the alarm held some back
                continue
            except Exception as error:
                raise RuntimeError(f"{curve.set}: {curve.name} at {fraction:.0%} of its steps") from error
            rows += [Row(curve.set, method, fraction, curve.name, s) for method, s in found.items()]
    return rows, time.process_time() - began


def stop(curve: Curve, fraction: float) -> float:
    """The last step that is seen."""
    return fraction * curve.horizon


def asked(curve: Curve) -> list[float]:
    """The fractions at which there are enough losses to ask for a forecast."""
    return [fraction for fraction in curve.fractions if curve.samples(stop(curve, fraction)) >= _NEEDED]


def states_of(curves: Sequence[Curve]) -> dict[float, dict[str, Any]]:
    """What a watcher has learnt of a stream by each step at which one of its curves asks for a forecast.

    It is told no schedule, only the rates as they come: its samples then serve watchers with any plan and prior.
    """
    stops = sorted({stop(curve, fraction) for curve in curves for fraction in asked(curve)})
    longest = max(curves, key=lambda c: stop(c, c.fractions[-1]))
    watcher = Watcher(horizon=longest.horizon)
    states: dict[float, dict[str, Any]] = {}
    for sample in longest.finished().samples():
        while stops and sample.step > stops[0]:
            states[stops.pop(0)] = watcher.state_dict()
        if not stops:
            break
        watcher.update(sample.step, train_loss=sample.train_loss, val_loss=sample.val_loss, lr=sample.lr)
    return states | dict.fromkeys(stops, watcher.state_dict())


def learn(siblings: list[Run], prior: Prior) -> tuple[Prior, float] | None:
    """A prior learnt from finished siblings, and the milliseconds of CPU it took; None where they teach nothing."""
    began = time.process_time()
    try:
        learnt = learn_prior(siblings, start=prior)
    except ValueError:  # too few samples in all of them
        return None
    return learnt, 1e3 * (time.process_time() - began)


def scores(
    curve: Curve,
    fraction: float,
    state: dict[str, Any],
    prior: Prior,
    learnt: tuple[Prior, float] | None,
    methods: Sequence[str],
) -> dict[str, Score]:
    """The score of every method on a curve seen up to a fraction; none while its loss has not been seen."""
    watcher = woken(curve, state, prior, planned=True)
    try:
        watcher.bins(curve.of)
    except ValueError:
        return {}
    found: dict[str, Score] = {}
    if CURVECAST in methods:
        found[CURVECAST] = of_watcher(curve, watcher)
    if SIBLINGS in methods and learnt is not None:
        told = of_watcher(curve, woken(curve, state, learnt[0], planned=True))
        found[SIBLINGS] = replace(told, extra={"learn, ms": learnt[1]})
    if UNKNOWN in methods:
        found[UNKNOWN] = of_watcher(curve, woken(curve, state, prior, planned=False))
    seen = seen_by_hand(curve, stop(curve, fraction), watcher)
    for name in BASELINES:
        if name in methods and seen is not None:
            began = time.process_time()
            mean, sd = by_hand(name, seen)
            found[name] = score_gaussian(curve.truth, mean, sd, curve.noise, 1e3 * (time.process_time() - began))
    return found


def woken(curve: Curve, state: dict[str, Any], prior: Prior, *, planned: bool) -> Watcher:
    """A watcher that has seen what the state holds, and fits it anew."""
    watcher = curve.watcher(prior, planned=planned)
    watcher.load_state_dict(state)
    return watcher


def of_watcher(curve: Curve, watcher: Watcher) -> Score:
    """The score of a watcher's forecast of the end."""
    future = curve.future(watcher)
    began = time.process_time()
    ahead = watcher.forecast(at=curve.horizon, of=curve.of, schedule=future)
    ends = [ahead.interval(level) for level in LEVELS]
    median = float(ahead.median)
    ms = 1e3 * (time.process_time() - began)
    grid = np.linspace(float(ahead.quantile(0.001)), float(ahead.quantile(0.999)), _GRID)
    everywhere = watcher.forecast(at=np.full(_GRID, curve.horizon), of=curve.of, schedule=future)
    noisy = replace(ahead, stds=np.hypot(ahead.stds, curve.noise)).interval(LOGGED)
    intervals = [(float(end.lower), float(end.upper)) for end in (*ends, noisy)]
    return score(curve.truth, median, intervals[:-1], intervals[-1], percentiles(everywhere, grid), ms)


def percentiles(ahead: Forecast, grid: FloatArray) -> FloatArray:
    """The 99 percentiles, read off the distribution at a grid of losses: one forecast a loss, all of one step."""
    return np.interp(QUANTILES, np.asarray(ahead.probability_below(grid)), grid)


def seen_by_hand(curve: Curve, last: float, watcher: Watcher) -> Seen | None:
    """The same data for a fit by hand; train losses stand in for validation losses while these are few."""
    own, offset = curve.of, 0.0
    if curve.of == "val" and _known(curve, "val", last).sum() < LEAST:
        if _known(curve, "train", last).sum() < LEAST:
            return None
        own, offset = "train", _offset(curve, last, watcher)
    known = _known(curve, own, last)
    bins = watcher.bins(own)
    losses = curve.val_loss if own == "val" else curve.train_loss
    steps = curve.steps[known].astype(np.float64)
    return Seen(steps, losses[known], bins.step, bins.mean, curve.schedule, curve.horizon, offset)


def _known(curve: Curve, of: str, last: float) -> Any:
    losses = curve.val_loss if of == "val" else curve.train_loss
    return (curve.steps <= last) & np.isfinite(losses)


def _offset(curve: Curve, last: float, watcher: Watcher) -> float:
    """The last validation loss over the train loss there."""
    at = np.flatnonzero(_known(curve, "val", last))[-1]
    train = watcher.bins("train")
    return float(curve.val_loss[at] - np.interp(curve.steps[at], train.step, train.mean))


def tasks_of(
    curves: Sequence[Curve], everyone: Sequence[Curve], priors: dict[str, Prior], methods: tuple[str, ...]
) -> list[Task]:
    """Curves by stream, each with siblings drawn from its group by a seed."""
    groups: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for curve in everyone:
        groups[curve.set, curve.group].append(curve)
    streams: dict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        streams[curve.stream].append(curve)
    tasks = []
    for members in streams.values():
        kin = [siblings_of(curve, groups[curve.set, curve.group]) for curve in members]
        tasks.append(Task(members, kin, [priors[curve.set] for curve in members], methods))
    return sorted(tasks, key=lambda task: -max(len(curve.steps) for curve in task.curves))


def worst_misses(
    curves: Sequence[Curve], rows: Iterable[Row], prior: Prior, fraction: float, count: int = 1
) -> list[Miss]:
    """The curves of a set that are most wrong at a share of their way, and the watchers that saw so much."""
    by_name = {curve.name: curve for curve in curves}
    own = [row for row in rows if row.curve in by_name and row.set == by_name[row.curve].set]
    asked_then = [row for row in own if row.method == CURVECAST and row.fraction == fraction]
    worst = [by_name[row.curve] for row in sorted(asked_then, key=lambda row: -abs(row.score.error))[:count]]
    return [(curve, woken(curve, states_of([curve])[stop(curve, fraction)], prior, planned=True)) for curve in worst]


def said(miss: Miss) -> str:
    """The title of a panel."""
    curve = miss[0]
    name = curve.name if len(curve.name) <= _LONGEST else f"{curve.name[: _LONGEST - 1]}…"
    return f"{curve.set}: {_off(miss)}<br>{name}"


def said_small(miss: Miss) -> str:
    """The same where all are of one set, at several shares of their way."""
    curve, watcher = miss
    return f"{watcher.step / curve.horizon:.0%} seen: {_off(miss)}<br>{curve.name}"


def _off(miss: Miss) -> str:
    error = of_watcher(*miss).error
    return f"{error:+.1f} %" if error < _TIMES else f"{float(f'{1.0 + error / 100.0:.2g}'):,.0f} times the end"


def draw_all_misses(found: dict[str, list[Curve]], rows: list[Row], priors: dict[str, Prior]) -> None:
    """The two pictures of what is most wrong: in each set that may be looked at, and of small runs at each share."""
    looked_at = {name: curves for name, curves in found.items() if name not in SEALED}
    missed = [m for name, curves in looked_at.items() for m in worst_misses(curves, rows, priors[name], _QUARTER)]
    photograph(draw_misses(missed, said, "The worst forecast of each set, a quarter of the way"), MISSES)
    if small := found.get(SMALL):
        missed = [m for share in FRACTIONS for m in worst_misses(small, rows, priors[SMALL], share, _WORST)]
        photograph(draw_misses(missed, said_small, "Small runs: the six worst forecasts at each share"), SMALL_MISSES)


def measure(tasks: list[Task], jobs: int) -> tuple[list[Row], float]:
    """All tasks, on so many processes; the rows in no order, and the seconds of CPU."""
    rows: list[Row] = []
    seconds = 0.0
    for of_task, took in spread(run, tasks, jobs):
        rows += of_task
        seconds += took
    return rows, seconds


def about_set(name: str, curves: Iterable[Curve], rows: Iterable[Row], *, sample: str, prior: str) -> dict[str, Any]:
    """What is put on record of a set: its figures, and how many curves were asked, whichever methods answered."""
    own = [row for row in rows if row.set == name]
    count = sum(curve.set == name and bool(asked(curve)) for curve in curves)
    about = {"curves": count, "sample": sample, "prior": prior, "forecasts": figures_of(own)}
    return about | ({} if name in SEALED else {"worst": worst_of(own)})


@click.command(help=__doc__)
@click.option(
    "--curves",
    "folder",
    default=PUBLIC,
    show_default=False,
    type=click.Path(path_type=Path),
    help="Folder of the public curves.",
)
@click.option("--sets", multiple=True, type=click.Choice(list(SETS)), help="Only these sets.")
@click.option("--methods", multiple=True, type=click.Choice(METHODS), help="Only these methods.")
@click.option("--limit", type=click.IntRange(1), help="Only so many curves a set, drawn by a seed.")
@click.option("--taskset", default=20, show_default=True, help="Runs of each of taskset's six tasks, drawn by a seed.")
@click.option("--prior", type=click.Path(path_type=Path, exists=True), help="A prior for all sets.")
@click.option(
    "--prior-dir",
    default=PRIORS,
    show_default=False,
    type=click.Path(path_type=Path),
    help="Folder of priors, each fitted without the set it is named after.",
)
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1))
@click.option(
    "--rows", type=click.Path(path_type=Path), help="Write every single forecast's scores here, as JSON lines."
)
@click.option("--record/--no-record", default=True, help="Whether to write results/ and the picture.")
def main(
    folder: Path,
    sets: tuple[str, ...],
    methods: tuple[str, ...],
    limit: int | None,
    taskset: int,
    prior: Path | None,
    prior_dir: Path,
    jobs: int,
    rows: Path | None,
    record: bool,
) -> None:
    began = time.perf_counter()
    console = Console(width=max(Console().width, 196))
    found = gather(sets or tuple(SETS), folder, taskset, console)
    priors = {name: prior_of(name, prior, prior_dir) for name in found}
    chosen = [curve for curves in found.values() for curve in drawn(curves, limit)]
    everyone = [curve for curves in found.values() for curve in curves]
    tasks = tasks_of(chosen, everyone, {name: known for name, (known, _) in priors.items()}, methods or METHODS)
    scored, seconds = measure(tasks, jobs)
    sample = "all" if limit is None else f"up to {limit}, drawn by seed 0"
    figures = {name: about_set(name, chosen, scored, sample=sample, prior=priors[name][1]) for name in found}
    for name, about in figures.items():
        console.print(table_of(name, about["forecasts"], about["prior"]))
    console.print(f"{time.perf_counter() - began:.0f} s on {jobs} processes, {seconds:.0f} s of CPU.")
    if rows is not None:
        write_rows(scored, rows)
    if record:
        figures = joined(recorded("forecast_error"), figures)
        print("written:", write("forecast_error", figures, source=", ".join(figures)))
        fill()
        draw(figures, PICTURE)
        print("drawn:", PICTURE.relative_to(ROOT))
        if not sets and CURVECAST in (methods or METHODS):
            draw_all_misses(found, scored, {name: known for name, (known, _) in priors.items()})
            print("drawn:", *(picture.relative_to(ROOT) for picture in (MISSES, SMALL_MISSES)))


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write every single forecast's scores, as JSON lines."""
    lines = (json.dumps(row._asdict() | {"score": asdict(row.score)}) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
