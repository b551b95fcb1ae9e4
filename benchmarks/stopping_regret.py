"""When to stop: what is saved and what is given up, beside patience and Prechelt's criteria, on real runs.

A run is stopped where a rule first says so; what is given up is the best validation loss before the stop against the
best of all (a checkpoint of it is kept), what is saved is the share of the steps that are not done. ``F1`` is that of
the flag against the label of the run (``_stopping.cases`` says how each set is labelled), the mean of both classes.
Of our own rules two are asked at several levels of probability, ``NoImprovement`` for several worths of a plan.

    python benchmarks/stopping_regret.py
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import plotly.graph_objects as go
from _curves import PUBLIC, ROOT
from _picture import photograph
from _record import write
from _stopping import (
    PATIENCE,
    PRECHELT,
    Case,
    Outcome,
    Trace,
    asking,
    cases,
    counted,
    macro_f1,
    outcome,
    told_to_stop,
    watch,
    went_on,
)
from plotly.subplots import make_subplots
from rich.console import Console
from rich.progress import track
from rich.table import Table

OVERFITTING = ("shakespeare", "taskset")
SMALL = ("small_runs", "small_runs overfit")
QUIET = ("multipowerlaw", "modded_nanogpt", "gemstones")
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
WORTHS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
FAMILIES = (
    ("any rise 0", f"any rise: levels {LEVELS[0]:g} to {LEVELS[-1]:g}", "#2f81f7"),
    ("overfitting", f"a rise of 2 %: levels {LEVELS[0]:g} to {LEVELS[-1]:g}", "#a463f2"),
    ("no improvement", f"no improvement: a plan worth {WORTHS[0]:g} to {WORTHS[-1]:g}", "#2da44e"),
)
OF_ALL = ("saved %", "given up %")
BEYOND = "given up beyond ours at the same saving"
OF_OVERFITTING = ("of overfitting: saved after the best %", "of overfitting: given up %")
PICTURE = ROOT / "docs" / "stopping_regret.png"
Stops = Mapping[str, Sequence[float | None]]


def stops_of(runs: Sequence[Case], traces: Sequence[Mapping[str, Trace]]) -> Stops:
    """Where each policy stops each run."""
    found: dict[str, list[float | None]] = {}
    for level in LEVELS:
        found[f"overfitting {level}"] = [trace["overfitting"].stop(level) for trace in traces]
        found[f"any rise {level}"] = [trace["any rise"].stop(level) for trace in traces]
    for worth in WORTHS:
        found[f"no improvement {worth}"] = [trace["no improvement"].stop(asking(worth)) for trace in traces]
    for name, fires in (PATIENCE | PRECHELT).items():
        found[name] = [counted(run, fires) for run in runs]
    found["never"] = [None] * len(runs)
    return found


def figures_of(runs: Sequence[Case], stops: Sequence[float | None]) -> dict[str, float]:
    """One policy on one set."""
    scored = [outcome(run, stop) for run, stop in zip(runs, stops, strict=True)]
    mine = [score for run, score in zip(runs, scored, strict=True) if run.overfits]
    said = [stop is not None for stop in stops]
    return {
        "F1": macro_f1([run.overfits for run in runs], said),
        "flagged wrongly": float(sum(flag and not run.overfits for run, flag in zip(runs, said, strict=True))),
        "missed": float(sum(run.overfits and not flag for run, flag in zip(runs, said, strict=True))),
        "saved %": 100.0 * _mean(scored, "saved"),
        "given up %": 100.0 * _mean(scored, "lost"),
        "of overfitting: saved after the best %": 100.0 * _mean(mine, "after_best"),
        "of overfitting: given up %": 100.0 * _mean(mine, "lost"),
        "most given up %": 100.0 * max(score.lost for score in scored),
    }


def _mean(scores: Sequence[Outcome], name: str) -> float:
    return float(np.nanmean([getattr(score, name) for score in scores])) if scores else float("nan")


def against(figures: Mapping[str, Mapping[str, float]], family: str, saved: str, given: str) -> dict[str, float]:
    """What each rule gives up beyond ours at the same saving [%]; NaN where ours never saves so much."""
    ours = sorted((each[saved], each[given]) for name, each in figures.items() if name.startswith(family))
    at = np.array([0.0, *(point[0] for point in ours)])
    costs = np.maximum.accumulate([0.0, *(point[1] for point in ours)])
    rules = {name: each for name, each in figures.items() if name in PATIENCE | PRECHELT}
    return {
        name: each[given] - float(np.interp(each[saved], at, costs)) if each[saved] <= at[-1] else float("nan")
        for name, each in rules.items()
    }


def of_set(runs: Sequence[Case], traces: Sequence[Mapping[str, Trace]]) -> dict[str, Any]:
    """The figures of a set of which some runs overfit."""
    rules = {rule: figures_of(runs, stops) for rule, stops in stops_of(runs, traces).items()}
    return {
        "runs": len(runs),
        "overfitting": sum(run.overfits for run in runs),
        "rules": rules,
        BEYOND: {
            "of the runs that overfit, any rise": against(rules, "any rise 0", *OF_OVERFITTING),
            "of all runs, any rise": against(rules, "any rise 0", *OF_ALL),
            "of all runs, no improvement": against(rules, "no improvement", *OF_ALL),
        },
        "going on from the flag": went_on(runs, traces),
    }


def among_small(runs: Sequence[Case], traces: Sequence[Mapping[str, Trace]]) -> dict[str, Any]:
    """The rules on small runs, of which no label says whether they overfit."""
    rules = {rule: figures_of(runs, stops) for rule, stops in stops_of(runs, traces).items()}
    told = {rule: {name: each[name] for name in OF_ALL} for rule, each in rules.items()}
    beyond = {
        "any rise": against(rules, "any rise 0", *OF_ALL),
        "no improvement": against(rules, "no improvement", *OF_ALL),
    }
    return {"runs": len(runs), "rules": told, BEYOND: beyond}


def false_alarms(runs: Sequence[Case], traces: Sequence[Mapping[str, Trace]]) -> dict[str, Any]:
    """Runs that do not overfit, those of them that were told to stop for it, by level, and what the defaults say."""
    alarms = {str(level): sum(t["overfitting"].stop(level) is not None for t in traces) for level in LEVELS}
    asked = sum(bool(trace["overfitting"].steps) for trace in traces)
    names = [run.name for run, t in zip(runs, traces, strict=True) if t["overfitting"].stop(0.95) is not None]
    said = {}
    for told in (True, False):
        reasons = [reason for run in track(runs, transient=True) for reason in told_to_stop(run, told=told)]
        said[f"told to stop by default, schedule {'known' if told else 'seen'}"] = dict(Counter(reasons))
    return {"runs": len(runs), "judged": asked, "alarms by level": alarms, "at 0.95": names, **said}


def traced(runs: Sequence[Case], name: str) -> list[dict[str, Trace]]:
    return [watch(run) for run in track(runs, name, transient=True)]


def table_of(name: str, count: int, figures: Mapping[str, Mapping[str, float]]) -> Table:
    columns = list(next(iter(figures.values())))
    table = Table("rule", *columns, title=f"{name}: {count} runs")
    for rule, each in figures.items():
        table.add_row(rule, *(f"{each[column]:.3f}" for column in columns))
    return table


def draw(figures: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """The trade-off, a set a column: above, the runs that overfit; below, all of them."""
    rows = (("the runs that overfit", OF_OVERFITTING), ("all runs", OF_ALL))
    titles = [f"{name}: {what}" for what, _ in rows for name in figures]
    figure = make_subplots(rows=len(rows), cols=len(figures), subplot_titles=titles, vertical_spacing=0.14)
    for row, (_, (saved, given)) in enumerate(rows, 1):
        for column, by_rule in enumerate(figures.values(), 1):
            place = (row, column)
            for family, label, colour in FAMILIES:
                points = [(e[saved], e[given], n) for n, e in by_rule.items() if n.startswith(family)]
                _scatter(
                    figure,
                    points,
                    f"ours, {label}",
                    colour,
                    "lines+markers",
                    place,
                )
            for name, rules, colour in (("patience", PATIENCE, "#7b848f"), ("Prechelt", PRECHELT, "#e5732b")):
                points = [(by_rule[rule][saved], by_rule[rule][given], rule) for rule in rules]
                _scatter(figure, points, name, colour, "markers", place)
            figure.update_xaxes(
                title="saved, % of the steps" + (" after the best" if row == 1 else ""), row=row, col=column
            )
            figure.update_yaxes(title="loss given up, %", type="log", row=row, col=column)
    legend = {"orientation": "h", "y": -0.1}
    figure.update_layout(width=1100, height=900, template="plotly_white", legend=legend, margin={"t": 40})
    photograph(figure, path)


def _scatter(
    figure: go.Figure,
    points: Sequence[tuple[float, float, str]],
    name: str,
    colour: str,
    mode: str,
    place: tuple[int, int],
) -> None:
    saved, given, rules = zip(*sorted(points), strict=True)
    trace = go.Scatter(
        x=saved,
        y=np.maximum(given, 1e-3),  # a logarithm has no zero: nothing given up stands at the bottom
        text=rules,
        name=name,
        mode=mode,
        marker={"color": colour, "size": 7},
        legendgroup=name,
        showlegend=place == (1, 1),
    )
    figure.add_trace(trace, row=place[0], col=place[1])


@click.command(help=__doc__)
@click.option("--curves", "folder", default=PUBLIC, show_default=False, type=click.Path(path_type=Path))
@click.option("--taskset", default=60, show_default=True, help="Runs a task that do not overfit, drawn by a seed.")
@click.option("--record/--no-record", default=True, help="Whether to write results/ and the picture.")
def main(folder: Path, taskset: int, record: bool) -> None:
    console = Console(width=max(Console().width, 180))
    began = time.process_time()
    figures: dict[str, Any] = {}
    for name in OVERFITTING:
        runs = cases(name, folder, taskset)
        if not runs:
            console.print(f"{name} is left out: its curves are not in {folder.name}.")
            continue
        figures[name] = of_set(runs, traced(runs, name))
        console.print(table_of(name, len(runs), figures[name]["rules"]))
        console.print(name, figures[name][BEYOND], figures[name]["going on from the flag"])
    small = [cases(name, folder, taskset) for name in SMALL]
    followed = [traced(runs, name) for runs, name in zip(small, SMALL, strict=True)]
    figures["small_runs"] = among_small([run for runs in small for run in runs], [t for each in followed for t in each])
    figures["small_runs overfit: going on from the flag"] = went_on(small[1], followed[1])
    console.print("small_runs", figures["small_runs"][BEYOND])
    console.print(figures["small_runs overfit: going on from the flag"])
    for name in QUIET:
        runs = cases(name, folder, taskset)
        figures[f"{name}: false alarms"] = false_alarms(runs, traced(runs, name)) if runs else {"runs": 0}
        console.print(name, figures[f"{name}: false alarms"])
    console.print(f"{time.process_time() - began:.0f} s of CPU")
    curves = {name: figures[name]["rules"] for name in OVERFITTING if name in figures}
    if record and curves:
        print("written:", write("stopping_regret", figures, source=f"public curves; taskset: {taskset} a task, seed 0"))
        draw(curves, PICTURE)
        print("drawn:", PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
