"""The picture of a plan: loss by size at its compute, and at less and more of it."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from curvecast.planning import Plan, PlanLaw, best_size

_COMPUTES = (0.1, 1.0, 10.0)
_SPAN = 8.0  # factors of the best size to either side
_COLOURS = ("#9db7d5", "#1f5fa8", "#9db7d5")


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
        ['1e+20 FLOP', '1e+21 FLOP', '1e+22 FLOP', 'best size', 'this plan']
    """
    unique = math.inf if plan.epochs is None else plan.num_tokens / plan.epochs
    figure = go.Figure()
    best: list[tuple[float, float]] = []
    for share, colour in zip(_COMPUTES, _COLOURS, strict=True):
        flops = share * plan.flops
        size = best_size(law, flops, unique)
        sizes = size * np.geomspace(1 / _SPAN, _SPAN, 121)
        losses = np.asarray(law.loss(sizes, flops / (6 * sizes), unique))
        best.append((size, float(law.loss(size, flops / (6 * size), unique))))
        figure.add_scatter(x=sizes, y=losses, mode="lines", name=f"{flops:.3g} FLOP", line={"color": colour})
    x, y = zip(*best, strict=True)
    figure.add_scatter(x=x, y=y, mode="markers", name="best size", marker={"color": "#444", "symbol": "circle-open"})
    figure.add_scatter(
        x=[plan.num_params], y=[plan.loss], mode="markers", name="this plan", marker={"color": "#d2691e", "size": 11}
    )
    figure.update_xaxes(type="log", title=f"parameters ({plan.counts})")
    figure.update_yaxes(title="loss [nats/token]")
    figure.update_layout(title=f"Loss by size at equal compute: {plan.law}", template="simple_white")
    return figure
