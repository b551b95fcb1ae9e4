"""Runs of several sizes: their law, what sizes cost, and the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from curvecast import Family, Run, fit_family
from curvecast.isoflop import family_figure, isoflop_figure
from curvecast.notation import plural
from curvecast.planning import Plan, law_of, plan
from curvecast.plots import dressed
from curvecast.sinks.records import plain
from curvecast_tensorboard.desk import Desk, Look
from curvecast_tensorboard.drawing import came, plotted, theme_of
from curvecast_tensorboard.entry import Entry
from curvecast_tensorboard.query import Query
from curvecast_tensorboard.refusal import words
from curvecast_tensorboard.table import MOST_RUNS

_LARGER = 10.0  # times the largest run's compute: the next size
_LAWS = ("best", "chinchilla", "coupled")
_LEAST_SIZES, _LEAST_RUNS = 2, 4
_NO_SIZE = {
    "what": "A family needs the size of a run and the tokens of its steps",
    "got": "none",
    "do": "Give its parameters and tokens a step under Plan, or train with the callback, which notes them.",
}


def family_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """The law of the runs whose sizes are known."""
    theme = theme_of(query)
    law, of = query.one_of("law", _LAWS), query.one_of("of", ("", "train", "val")) or None
    flops = query.number("flops", least=1.0)
    names = query.runs(MOST_RUNS) or list(look.runs)[:MOST_RUNS]
    with desk.lock:
        desk.prepare(look, [(name, query.known_of(name)) for name in names])
        told: dict[str, Any] = dict.fromkeys(("law", "figure", "isoflop", "next", "no_next")) | {"runs": []}
        runs, told["left_out"], stamp = _sized(desk, look, query, names)
        told |= {"state": "ok", "missing": None}
        sizes = {float(str(run.meta["num_params"])) for run in runs}
        if len(sizes) < _LEAST_SIZES or len(runs) < _LEAST_RUNS:
            what = f"A law needs at least {_LEAST_RUNS} runs of {_LEAST_SIZES} sizes"
            got = f"{plural(len(runs), 'run')} of {plural(len(sizes), 'size')}"
            do = "Give the parameters and the tokens a step of more runs, or train further sizes."
            return told | {"state": "few_points", "missing": {"what": what, "got": got, "do": do}}
        try:
            family = _fitted(desk, runs, law, of, stamp)
        except ValueError as error:
            return plain(told) | {"state": "bad_settings", "missing": words(error)}  # type: ignore[no-any-return]
        told |= _law(family, runs)
        drawn = {"figure": family_figure(family, _ends(runs, family.of))}
        largest = max(float(str(run.meta["num_params"])) * _tokens(run) * 6.0 for run in runs)
        try:
            chosen = law_of(family)
            made = plan(chosen, flops=flops or _LARGER * largest, batch_tokens=_typical(runs))
        except ValueError as error:  # the law stands all the same
            told["no_next"] = words(error)
        else:
            told["next"] = _next(made)
            drawn["isoflop"] = isoflop_figure(made, chosen)
        for figure in drawn.values():
            dressed(figure, theme)
        figures = {name: plotted(figure) for name, figure in drawn.items()}
        return plain(told) | figures  # type: ignore[no-any-return]


def _next(made: Plan) -> dict[str, Any]:
    lower, upper = made.interval or (None, None)
    return {
        "flops": made.flops,
        "num_params": made.num_params,
        "num_tokens": made.num_tokens,
        "loss": made.loss,
        "lower": lower,
        "upper": upper,
        "steps": round(made.steps),
    }


def _sized(
    desk: Desk, look: Look, query: Query, names: Sequence[str]
) -> tuple[list[Run], list[dict[str, Any]], tuple[object, ...]]:
    """The runs whose size and batch are known, why the others are left out, and what changes with them."""
    runs: list[Run] = []
    left_out: list[dict[str, Any]] = []
    stamp: list[object] = []
    for name in names:
        if name not in look.runs:
            continue
        entry = desk.entry(look, name, query.known_of(name))
        stamp += [name, entry.version, query.known_of(name)]
        if (run := _with_size(entry)) is None:
            left_out.append({"run": name, "missing": entry.missing or _NO_SIZE})
        else:
            runs.append(run)
    return runs, left_out, tuple(stamp)


def _with_size(entry: Entry) -> Run | None:
    if entry.state != "ok" or entry.run is None or entry.watcher is None:
        return None
    watcher = entry.watcher
    if watcher.num_params is None or watcher.batch_tokens is None:
        return None
    known: dict[str, object] = {"num_params": watcher.num_params, "batch_tokens": watcher.batch_tokens}
    if watcher.schedule is not None:
        known["schedule"] = watcher.schedule.to_dict()
    return replace(entry.run, meta=entry.run.meta | known)


def _fitted(desk: Desk, runs: list[Run], law: str, of: str | None, stamp: tuple[object, ...]) -> Family:
    key = ("family", law, of, stamp)
    family = desk.kept.get(key)
    if family is None:
        family = fit_family(runs, law=law, of=None if of is None else "val" if of == "val" else "train")
        desk.kept.put(key, family)
    return family


def _law(family: Family, runs: Sequence[Run]) -> dict[str, Any]:
    parameters = []
    for name, value in family.parameters.items():
        interval = family.interval(name) if len(family.draws) else None
        lower, upper = (None, None) if interval is None else (interval.lower, interval.upper)
        parameters.append({"name": name, "value": value, "lower": lower, "upper": upper})
    return {
        "law": {
            "name": family.law,
            "source": family.form.source,
            "parameters": parameters,
            "scatter": family.scatter,
            "held_out": None if family.held_out is None else asdict(family.held_out),
            "notes": list(family.notes),
        },
        "runs": [
            {
                "run": run.name,
                "num_params": run.meta["num_params"],
                "num_tokens": _tokens(run),
                "loss": float(came(run, family.of)[1][-1]),
                "residual": family.residuals.get(run.name),
                "far_off": run.name in family.outliers,
            }
            for run in runs
        ],
    }


def _ends(runs: Sequence[Run], of: str) -> list[tuple[str, float, float, float]]:
    return [(run.name, float(str(run.meta["num_params"])), _tokens(run), float(came(run, of)[1][-1])) for run in runs]


def _tokens(run: Run) -> float:
    return float(str(run.meta["batch_tokens"])) * float(run.steps[-1])


def _typical(runs: Sequence[Run]) -> float:
    return float(np.median([float(str(run.meta["batch_tokens"])) for run in runs]))
