"""The forecast as a picture: what was seen, the fan ahead, the plan below, and, in hindsight, what came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import numpy as np
import plotly.graph_objects as go

from curvecast.plots.axes import Axis
from curvecast.plots.layout import NAMES, dressed, lay_out
from curvecast.plots.scene import Drawing, Fan, Options, Scene, compose
from curvecast.plots.sheet import Sheet
from curvecast.plots.style import GRID, INK
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

# Middle tones on no background: they are read on a white page and on a dark one.
_TRAIN, _SEEN, _CAME = "rgba(123, 132, 143, 0.75)", "#2f81f7", "#e5732b"
_EFFICIENT, _BEST = "#a463f2", "#2da44e"
_BAND, _FAN = "rgba(47, 129, 247, 0.16)", "rgba(47, 129, 247, 0.4)"  # nested, the bands add up to the fan
_BEHIND = 0.9  # of the steps seen: a best step later than that is no news
_AT_EDGE = 0.15  # of the width: words centred there would be cut off at the axis


def forecast_figure(watcher: Watcher, **options: Unpack[Options]) -> go.Figure:
    """Draw what a watcher has seen and what it expects.

    The fan holds the central 50, 80 and 95 % of the forecast, from the last step seen to the horizon, or to
    twice the steps seen where none is known. The compute-efficient step is marked where the verdict names one
    in the picture, the best validation step where it lies behind. Before a forecast is possible, the curve
    stands alone. The background is transparent, for white pages and dark ones.

    Args:
        watcher: what has seen the run; drawing changes nothing in it.
        **options: of a `Drawing`, by name: ``train``, ``val``, ``truth``, ``points``, ``log_x``, ``log_y``, ``axis``,
            ``schedule``, ``end``, ``theme``.

    Returns:
        A plotly figure.

    Raises:
        ValueError: as `Drawing` does, and if the arrays of `truth` differ in length.
        TypeError: as `Drawing` does, and of an option that there is not.

    Example:
        >>> watcher = Watcher(horizon=2000)
        >>> for step in range(1, 501):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        >>> [trace.name for trace in forecast_figure(watcher).data if trace.showlegend is not False]
        ['training loss', '50, 80, 95 % of the forecast', 'median']
    """
    return forecast_sheet(watcher, Drawing(**options)).figure()


def forecast_sheet(watcher: Watcher, drawing: Drawing) -> Sheet:
    """The same for a page, where time counts: plain types, unchecked."""
    scene = compose(watcher, drawing)
    rows = 1 if scene.schedule is None else 2
    figure = Sheet((0.82, 0.18)[:rows])
    _draw_seen(figure, scene)
    if scene.fan is not None:
        _draw_fan(figure, scene.fan, scene.axis)
    if scene.truth[0].max(initial=0.0) > scene.now:
        _draw_truth(figure, scene)
    _mark(figure, scene, watcher)
    if scene.schedule is not None:
        _draw_schedule(figure, scene, scene.schedule)
    lay_out(figure, scene, rows=rows)
    if drawing.log_y:
        low, high = scene.height()
        least = min(float(bins.mean.min()) for bins in scene.seen.values()) if scene.seen else 0.0
        if least > 0.0:
            edges = [math.log10(max(low, 0.5 * least)), math.log10(high)]
            figure.update_yaxes(type="log", range=edges, dtick="D2", tickformat="~g", row=1)
    dressed(figure, drawing.theme)
    return figure


def _draw_seen(figure: Sheet, scene: Scene) -> None:
    for of, bins in scene.seen.items():
        decides = of == scene.of
        figure.add_scatter(
            x=scene.axis.at(bins.step),
            y=bins.mean,
            name=NAMES[of],
            mode="lines",
            line={"color": _SEEN if decides else _TRAIN, "width": 2.6 if decides else 1.3},
            hovertemplate="%{y:.4g}",
        )


def _draw_fan(figure: Sheet, fan: Fan, axis: Axis) -> None:
    x = axis.at(fan.step)
    for band in fan.bands:
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([np.asarray(band.upper), np.asarray(band.lower)[::-1]]),
            legendgroup="fan",
            showlegend=False,
            mode="none",
            fill="toself",
            fillcolor=_BAND,
            hoverinfo="skip",
        )
    name_fan(figure)
    figure.add_scatter(
        x=x,
        y=fan.median,
        customdata=np.stack([np.asarray(fan.bands[0].lower), np.asarray(fan.bands[0].upper)], axis=-1),
        name="median",
        mode="lines",
        line={"color": _SEEN, "width": 2.0, "dash": "dash"},
        hovertemplate="%{y:.4g} [%{customdata[0]:.4g}, %{customdata[1]:.4g}]",
    )


def name_fan(figure: Sheet) -> None:
    """Put the bands of the group "fan" into the legend, as one: alone each of them would hardly be seen there."""
    figure.add_scatter(
        x=[None],
        y=[None],
        name="50, 80, 95 % of the forecast",
        legendgroup="fan",
        mode="lines",
        line={"color": _FAN, "width": 12},
    )


def _draw_truth(figure: Sheet, scene: Scene) -> None:
    steps, losses = scene.truth
    later = np.append(steps[1:], np.inf) > scene.now  # from the point where the seen curve ends
    figure.add_scatter(
        x=scene.axis.at(steps[later]),
        y=losses[later],
        name="what came",
        mode="lines",
        line={"color": _CAME, "width": 1.8},
        opacity=0.85,
        hovertemplate="%{y:.4g}",
    )


def _draw_schedule(figure: Sheet, scene: Scene, schedule: Schedule) -> None:
    for start, stop, dash in ((scene.first, scene.now, "solid"), (scene.now, scene.end, "dot")):
        inside = schedule.knots[0]
        steps = np.unique(np.concatenate([[start, stop], inside[(inside > start) & (inside < stop)]]))
        figure.add_scatter(
            x=scene.axis.at(steps),
            y=schedule.lr(steps),
            name="learning rate",
            showlegend=False,
            mode="lines",
            line={"color": INK, "width": 1.6, "dash": dash},
            fill="tozeroy",
            fillcolor=GRID,
            hovertemplate="%{y:.0%}",
            row=2,
        )


def _mark(figure: Sheet, scene: Scene, watcher: Watcher) -> None:
    """The last step seen, the compute-efficient step, and the best validation step."""
    if scene.end > scene.now and scene.seen:
        _upright(figure, scene, scene.now, f"seen up to step {scene.now:,.0f}", INK, top=True)
    details = watcher.verdict.details
    efficient = details.get("efficient_step_median", math.nan)
    if scene.first < efficient <= scene.end:
        ends = [details.get(f"efficient_step_{end}", efficient) for end in ("lower", "upper")]
        _range(figure, scene, ends, _EFFICIENT)
        _upright(figure, scene, efficient, f"compute-efficient: step {efficient:,.0f}", _EFFICIENT, top=False)
    val = scene.seen.get("val")
    best = details.get("best_step", math.inf)
    if val is not None and best < _BEHIND * scene.now:
        _range(figure, scene, watcher.best_step()[1:], _BEST)
        figure.add_scatter(
            x=scene.axis.at(np.array([best])),
            y=[details["best_loss"]],
            name="best validation loss",
            showlegend=False,
            mode="markers+text",
            text=f"best: step {best:,.0f}",
            textposition="top right" if scene.across(np.array(best)) < _AT_EDGE else "top center",
            textfont={"color": _BEST, "size": 13},
            marker={"color": _BEST, "size": 11, "symbol": "diamond"},
            hovertemplate="%{y:.4g}",
        )


def _range(figure: Sheet, scene: Scene, ends: Sequence[float], color: str) -> None:
    """A faint band between two steps: the 90 % interval of a mark."""
    low, high = (min(max(end, scene.first), scene.end) for end in ends)
    if low < high:
        x0, x1 = scene.axis.at(np.array([low, high])).tolist()
        figure.add_shape(
            type="rect",
            x0=x0,
            x1=x1,
            y0=0,
            y1=1,
            yref="y domain",
            fillcolor=color,
            opacity=0.08,
            line={"width": 0},
            layer="below",
        )


def _upright(figure: Sheet, scene: Scene, step: float, text: str, color: str, *, top: bool) -> None:
    """A vertical line with its words beside it, on the side that has room."""
    right = scene.across(np.array(step)) < 0.5
    x = float(scene.axis.at(np.array([step]))[0])
    figure.add_shape(
        type="line",
        x0=x,
        x1=x,
        y0=0,
        y1=1,
        yref="y domain",
        line={"color": color, "width": 1.2, "dash": "dot"},
    )
    figure.add_annotation(
        x=math.log10(x) if scene.log_x else x,
        y=1.0 if top else 0.0,
        yref="y domain",
        text=text,
        showarrow=False,
        font={"color": color, "size": 13},
        xanchor="left" if right else "right",
        yanchor="top" if top else "bottom",
        xshift=6 if right else -6,
    )
