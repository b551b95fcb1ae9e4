"""The pictures of a plan and of a family: loss by size at equal compute, and loss by data for each size."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from curvecast.family import Family
from curvecast.family.points import distinct
from curvecast.notation import amount
from curvecast.planning import Plan, PlanLaw, best_size
from curvecast.plots import CLEAR, GRID, INK, PAGE

_COMPUTES = (0.1, 1.0, 10.0)
_SPAN = 8.0  # sizes are drawn up to this factor on either side of the best one
_COLOURS = ("#7891b5", "#2f81f7", "#7891b5")
_DASHES = ("dot", "solid", "dash")  # two of one colour are told apart in the legend, too
_SIZES = ("#2f81f7", "#8b5cf6", "#d6409f", "#e5484d", "#d9730d")  # from small to large, alike on light and dark
_FINE = 3e3  # an axis over a smaller factor has ticks within its decades, too
_PLAN = "#d2691e"
_ALIKE = 0.01  # sizes that differ by a smaller share count as one


def isoflop_figure(plan: Plan, law: PlanLaw) -> go.Figure:
    """Loss by size at a tenth of a plan's compute, at its own and at ten times as much; the best sizes are marked.

    Args:
        plan: the plan.
        law: the law that it was made with.

    Returns:
        A plotly figure.

    Example:
        >>> from curvecast.planning import law_of, plan
        >>> law = law_of("chinchilla")
        >>> [trace.name for trace in isoflop_figure(plan(law, flops=1e21), law).data]
        ['1e20 FLOP', '1e21 FLOP', '1e22 FLOP', 'best size', 'this plan']
    """
    unique = math.inf if plan.epochs is None else plan.num_tokens / plan.epochs
    figure = go.Figure()
    best: list[tuple[float, float]] = []
    for share, colour, dash in zip(_COMPUTES, _COLOURS, _DASHES, strict=True):
        flops = share * plan.flops
        size = best_size(law, flops, unique)
        sizes = size * np.geomspace(1 / _SPAN, _SPAN, 121)
        losses = np.asarray(law.loss(sizes, flops / (6 * sizes), unique))
        best.append((size, float(law.loss(size, flops / (6 * size), unique))))
        line = {"color": colour, "dash": dash}
        figure.add_scatter(x=sizes, y=losses, mode="lines", name=f"{_in_tens(flops)} FLOP", line=line)
    x, y = zip(*best, strict=True)
    figure.add_scatter(x=x, y=y, mode="markers", name="best size", marker={"color": INK, "symbol": "circle-open"})
    figure.add_scatter(
        x=[plan.num_params],
        y=[plan.loss],
        mode="markers",
        name="this plan" if plan.interval is None else "this plan, 90 %",
        marker={"color": _PLAN, "size": 11},
        error_y=_whiskers(plan.loss, plan.interval),
        error_x=_whiskers(plan.num_params, plan.size_interval),
    )
    figure.update_xaxes(title=_what_counts(plan.counts), **_axis_of_counts(best[0][0] / _SPAN, best[-1][0] * _SPAN))
    figure.update_yaxes(title="loss [nats/token]")
    return _laid_out(figure, f"Loss by size at equal compute: {plan.law}")


def _whiskers(value: float, interval: tuple[float, float] | None) -> dict[str, object] | None:
    """The bar of an interval about a value; ``None`` without one, or where the value was given and lies outside."""
    if interval is None or not interval[0] <= value <= interval[1]:
        return None
    lower, upper = value - interval[0], interval[1] - value
    return {
        "type": "data",
        "symmetric": False,
        "array": [upper],
        "arrayminus": [lower],
        "color": _PLAN,
        "thickness": 1.2,
    }


def family_figure(family: Family, runs: Sequence[tuple[str, float, float, float]]) -> go.Figure:
    """Last losses by tokens, a colour for each size, and the law through them.

    Args:
        family: the law.
        runs: name, parameters, tokens seen and last loss of each.

    Returns:
        A plotly figure.

    Example:
        >>> from curvecast.family import fit_family
        >>> from curvecast.laws.chinchilla import EPOCH
        >>> N, D = np.meshgrid([1e8, 3e8, 1e9], [3e9, 1e10, 5e10])
        >>> losses = EPOCH.loss(N, D)
        >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=losses.ravel(), bootstraps=0)
        >>> figure = family_figure(family, [("a", 1e8, 3e9, 2.9), ("b", 3e8, 3e9, 2.7)])
        >>> [trace.name for trace in figure.data]
        ['100M parameters', None, '300M parameters', None]
    """
    figure = go.Figure()
    sizes = distinct(np.array([size for _, size, _, _ in runs]))
    shades = np.linspace(0.0, 1.0, len(sizes))
    tokens = np.array([seen for _, _, seen, _ in runs])
    span = np.geomspace(tokens.min() / 3.0, 10.0 * tokens.max(), 80)
    for size, colour in zip(sizes.tolist(), sample_colorscale(_SIZES, shades.tolist()), strict=True):
        own = [run for run in runs if abs(run[1] / size - 1.0) <= _ALIKE]
        figure.add_scatter(
            x=[run[2] for run in own],
            y=[run[3] for run in own],
            text=[html.escape(run[0], quote=False) for run in own],
            mode="markers",
            name=f"{_short(size)} parameters",
            legendgroup=str(size),
            marker={"color": colour, "size": 10},
            hovertemplate="%{text}: %{y:.4g}<extra></extra>",
        )
        figure.add_scatter(
            x=span,
            y=family.loss(size, span),
            mode="lines",
            legendgroup=str(size),
            showlegend=False,
            line={"color": colour, "width": 1.6},
            hoverinfo="skip",
        )
    figure.update_xaxes(title="tokens", **_axis_of_counts(float(span[0]), float(span[-1])))
    figure.update_yaxes(title=f"{family.of} loss [{family.unit}]")
    return _laid_out(figure, f"Loss by data for each size: {family.law}")


def _short(value: float) -> str:
    """A count as the tables beside the pictures have it, its power of ten as short as that of a compute.

    Example:
        >>> [_short(value) for value in (24_900, 1.87e8, 950, 2.5e15)]
        ['24.9k', '187M', '950', '2.5e15']
    """
    return amount(value).replace("e+", "e")


def _axis_of_counts(lowest: float, highest: float) -> dict[str, object]:
    """A logarithmic axis whose ticks have room, and are called as in the tables: 10B, not 10G.

    Example:
        >>> _axis_of_counts(2e8, 3e9)["ticktext"]
        ['200M', '500M', '1B', '2B']
        >>> _axis_of_counts(2e8, 3e12)["ticktext"]
        ['1B', '10B', '100B', '1T']
    """
    decades = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    digits = (1, 2, 5) if highest / lowest < _FINE else (1,)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    ticks = [tick for tick in ticks if lowest * (1 - _ALIKE) <= tick <= highest * (1 + _ALIKE)]
    return {"type": "log", "tickvals": ticks, "ticktext": [_short(tick) for tick in ticks]}


def _in_tens(value: float) -> str:
    """A large number as a power of ten.

    Example:
        >>> _in_tens(5.384e11), _in_tens(1e20)
        ('5.38e11', '1e20')
    """
    digits, _, power = f"{value:.2e}".partition("e")
    return f"{float(digits):g}e{int(power)}"


def _what_counts(counts: str) -> str:
    """The title of an axis of sizes."""
    return counts if counts.startswith("parameters") else f"parameters ({counts})"


def _laid_out(figure: go.Figure, title: str) -> go.Figure:
    """On any page: middle tones, no ground."""
    return figure.update_layout(
        title={"text": title, "x": 0.0, "xref": "paper", "font": {"size": 17}},
        **PAGE,
        legend={"bgcolor": CLEAR},
        margin={"l": 76, "r": 32, "t": 60, "b": 60},
        xaxis={"showgrid": False, "zeroline": False, "linecolor": INK},
        yaxis={"gridcolor": GRID, "zeroline": False},
    )
