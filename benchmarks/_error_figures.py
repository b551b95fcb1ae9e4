"""The figures of ``forecast_error.py``, method by method: summed up, on record, as a table and as a picture."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from _baselines import BASELINES
from _curve import FRACTIONS
from _picture import GRID, INK, lay_out, photograph
from _scores import Row, Score, geometric_ratio, ratio, summarize
from plotly.subplots import make_subplots
from rich.box import SIMPLE_HEAD
from rich.table import Table

CURVECAST, SIBLINGS, UNKNOWN = "curvecast", "curvecast, siblings", "curvecast, schedule unknown"
CURVE_FIT = "power law, curve_fit"
METHODS = (CURVECAST, SIBLINGS, UNKNOWN, *BASELINES)
_ABREAST = 5  # panels: more have no room for their titles
_WORST = 3  # curves that are named, by fraction
_TITLE = "Median error of the forecast of the final loss, by the share of the run that was seen"

_COLOURS = {
    CURVECAST: "#2f81f7",
    SIBLINGS: "#a463f2",
    UNKNOWN: "#79b8ff",
    "last value": INK,
    CURVE_FIT: "#e5732b",
    "power law, bins, soft-L1": "#f0b37e",
    "momentum law": "#2da44e",
    "multi-power law": "#d4a72c",
    "broken power law": "#cf5f87",
}
_COLUMNS = {"|err|": "median |error|", "cov90": "coverage 90%"}
_COLUMNS |= {"noisy": "coverage 90%, noise of the truth added"}  # an interval is for the loss without it
_COLUMNS |= {"wid90": "width 90%", "CRPS": "CRPS", "IS90": "interval score 90%"}


def figures_of(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Fraction -> method -> figures, of one set."""
    cells: dict[float, dict[str, dict[str, Score]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        cells[row.fraction][row.method][row.curve] = row.score
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for fraction, methods in sorted(cells.items()):
        figures[f"{fraction:.0%}"] = of_fraction = {}
        for method in METHODS:
            if not (of_method := methods.get(method)):
                continue
            of_fraction[method] = summarize(list(of_method.values()))
            if common := sorted(of_method.keys() & methods.get(CURVE_FIT, {}).keys()):
                pairs = [of_method[name] for name in common], [methods[CURVE_FIT][name] for name in common]
                of_fraction[method]["median |error| over curve_fit's"] = ratio(*pairs, lambda s: abs(s.error))
                of_fraction[method]["CRPS over curve_fit's"] = geometric_ratio(*pairs, lambda s: s.crps)
    return figures


def worst_of(rows: Iterable[Row]) -> dict[str, list[str]]:
    """The curves that curvecast gets most wrong, by fraction."""
    own = [row for row in rows if row.method == CURVECAST]
    found = {}
    for fraction in sorted({row.fraction for row in own}):
        order = sorted((row for row in own if row.fraction == fraction), key=lambda row: -abs(row.score.error))
        found[f"{fraction:.0%}"] = [f"{row.curve}: {row.score.error:+.2f}" for row in order[:_WORST]]
    return found


def joined(held: dict[str, Any], anew: dict[str, Any]) -> dict[str, Any]:
    """The record with what was measured anew; methods that were not asked keep theirs where the curves are as many."""
    for name, about in anew.items():
        if held.get(name, {}).get("curves") == about["curves"]:
            for fraction, methods in about["forecasts"].items():
                both = held[name]["forecasts"].get(fraction, {}) | methods
                about["forecasts"][fraction] = {method: both[method] for method in METHODS if method in both}
    return held | anew


def table_of(name: str, figures: dict[str, dict[str, dict[str, float]]], prior: str) -> Table:
    """Methods down, fractions across; errors, widths and scores in percent of the truth."""
    counts = ", ".join(f"{max(m['n'] for m in methods.values()):.0f} at {f}" for f, methods in figures.items())
    table = Table(title=f"{name}: {counts} of the steps. Prior: {prior}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("% of the truth", no_wrap=True)
    for fraction in figures:
        for k, column in enumerate(_COLUMNS):
            table.add_column(f"{f'at {fraction}' if k == 0 else ''}\n{column}", justify="right", no_wrap=True)
    for method in METHODS:
        cells = [_cell(figures[f].get(method), figure) for f in figures for figure in _COLUMNS.values()]
        if any(cells):
            table.add_row(method, *cells)
    return table


def _cell(figures: dict[str, float] | None, name: str) -> str:
    if figures is None:
        return ""
    value = figures[name]
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"


def draw(figures: dict[str, Any], to: Path) -> None:
    """Median error against the share of the steps seen, a panel a set."""
    rows = math.ceil(len(figures) / _ABREAST)
    panels = make_subplots(
        rows=rows,
        cols=_ABREAST,
        subplot_titles=[f"{name} ({about['curves']})" for name, about in figures.items()],
        vertical_spacing=0.3 / rows,
        horizontal_spacing=0.05,
    )
    told: set[str] = set()
    for k, about in enumerate(figures.values()):
        for method in METHODS:
            seen = {f: m[method]["median |error|"] for f, m in about["forecasts"].items() if method in m}
            if seen:
                line = _line(method, seen, legend=method not in told)
                panels.add_trace(line, row=1 + k // _ABREAST, col=1 + k % _ABREAST)
                told.add(method)
    ticks = [round(100 * fraction) for fraction in FRACTIONS]
    panels.update_xaxes(tickvals=ticks, ticksuffix=" %", gridcolor=GRID, zeroline=False, range=[5, 95])
    panels.update_yaxes(type="log", gridcolor=GRID, ticksuffix=" %", dtick="D2", tickfont={"size": 9})
    lay_out(panels, _TITLE, words=12, below=70)
    panels.update_layout(height=800)
    photograph(panels, to)


def _line(method: str, seen: dict[str, float], *, legend: bool) -> go.Scatter:
    own = method.startswith(CURVECAST)
    style = {"color": _COLOURS[method], "width": 3 if own else 1.5, "dash": "dot" if method == UNKNOWN else "solid"}
    return go.Scatter(
        x=[float(fraction.rstrip("%")) for fraction in seen],
        y=[max(error, 1e-3) for error in seen.values()],
        name=method,
        legendgroup=method,
        showlegend=legend,
        mode="lines+markers",
        line=style,
        marker={"size": 6 if own else 4},
    )
