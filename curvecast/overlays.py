"""Several forecasts in one picture: of runs, of moments of one run, of plans."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curvecast.curve import FloatArray
from curvecast.forecast import Forecast
from curvecast.plots import (
    CLEAR,
    GRID,
    INK,
    LEVELS,
    PAGE,
    STEPS,
    Axis,
    Drawing,
    Sheet,
    Theme,
    dressed,
    fan_of,
    forecast_sheet,
    name_fan,
    tick_format,
)
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

COLOURS = (
    *("#2f81f7", "#e5732b", "#2da44e", "#a463f2", "#d6409f", "#b8860b"),
    *("#0f9b9b", "#e5484d", "#7c8b1f", "#8d6e63", "#5b6ee1", "#7b848f"),
)
_POINTS = 60  # points of a fan
_TALLEST = 0.9  # level of the widest band that must fit into the picture
_START = 0.05  # every loss after this share of the longest run must fit into the picture


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A run in a picture of several.

    Args:
        watcher: what has seen it.
        axis: what stands for its steps.
        colour: of its lines.
    """

    watcher: Watcher
    axis: Axis
    colour: str


def comparison(
    runs: Mapping[str, Shown], *, log_x: bool = False, log_y: bool = False, theme: Theme | None = None
) -> Sheet:
    """Runs on one axis, each with its median and the central 80 % of its forecast.

    Args:
        runs: by name, each on an axis of the same unit.
        log_x: whether the x-axis is logarithmic.
        log_y: whether the loss is.
        theme: the page's.

    Returns:
        A sheet, of which ``figure()`` makes a plotly figure.

    Raises:
        ValueError: if there is no run.

    Example:
        >>> watcher = Watcher(horizon=2000)
        >>> for step in range(1, 501):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        >>> figure = comparison({"d12": Shown(watcher, STEPS, COLOURS[0])})
        >>> [trace["name"] for trace in figure.data if "name" in trace]
        ['d12']
    """
    if not runs:
        raise ValueError("`runs` must hold at least one run: got none. Pass some.")
    figure = Sheet()
    heights: list[FloatArray] = []
    longest = max(_end(run) for run in runs.values())
    for name, run in runs.items():
        bins = run.watcher.bins()
        x, label = run.axis.at(bins.step), html.escape(name, quote=False)
        figure.add_scatter(
            x=x, y=bins.mean, name=label, mode="lines", line={"color": run.colour, "width": 2.2}, legendgroup=label
        )
        heights += [bins.mean[x >= _START * longest], bins.mean[-1:]]
        heights += _draw_ahead(figure, run, label)
    _lay_out(figure, next(iter(runs.values())).axis, heights, log_y=log_y)
    if log_x:
        figure.update_xaxes(type="log", range=[math.log10(2e-3 * longest), math.log10(longest)])
    dressed(figure, theme)
    return figure


def _end(run: Shown) -> float:
    end = max(run.watcher.horizon or 0, run.watcher.step)
    return float(run.axis.at(np.array([float(end)]))[0])


def _draw_ahead(figure: Sheet, run: Shown, label: str) -> list[FloatArray]:
    """The fan of one run; gives the losses that must fit into the picture."""
    now = float(run.watcher.step)
    end = max(float(run.watcher.horizon or 0), now)
    fan = fan_of(run.watcher, np.linspace(now, end, _POINTS), levels=LEVELS[1:2]) if end > now else None
    if fan is None:
        return []
    x, band = run.axis.at(fan.step), fan.bands[0]
    upper, lower = np.asarray(band.upper), np.asarray(band.lower)
    _fill(figure, x, lower, upper, colour=run.colour, group=label)
    figure.add_scatter(
        x=x,
        y=fan.median,
        customdata=np.stack([lower, upper], axis=-1),
        mode="lines",
        line={"color": run.colour, "width": 1.8, "dash": "dash"},
        legendgroup=label,
        showlegend=False,
        hovertemplate="%{y:.4g} [%{customdata[0]:.4g}, %{customdata[1]:.4g}]<extra>" + label + "</extra>",
    )
    return [upper, lower]


def _fill(figure: Sheet, x: FloatArray, lower: FloatArray, upper: FloatArray, *, colour: str, group: str) -> None:
    """A faint band between two lines, shown and hidden with the others of its group."""
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([upper, lower[::-1]]),
        mode="none",
        fill="toself",
        fillcolor=_faint(colour),
        legendgroup=group,
        showlegend=False,
        hoverinfo="skip",
    )


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.16)"


def narrowing(
    forecasts: Sequence[tuple[int, Forecast]],
    *,
    came: float | None = None,
    log_x: bool = False,
    theme: Theme | None = None,
) -> Sheet:
    """How the forecast of one step narrowed over a run.

    Args:
        forecasts: as of which step, and the forecast, in order.
        came: the loss that came there in the end.
        log_x: whether the x-axis is logarithmic.
        theme: the page's.

    Returns:
        A sheet, of which ``figure()`` makes a plotly figure; without forecasts an empty one.

    Example:
        >>> watcher, told = Watcher(horizon=2000), []
        >>> for step in range(1, 501):
        ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        ...     if step % 100 == 0:
        ...         told.append((step, watcher.forecast()))
        >>> narrowing(told).data[-1]["name"]
        'median'
    """
    figure = Sheet()
    heights = _draw_narrowing(figure, forecasts) if forecasts else []
    if came is not None:
        heights.append(np.array([came]))
        _draw_what_came(figure, came)
    _lay_out(figure, STEPS, heights)
    figure.update_xaxes(title={"text": "as of step"}, type="log" if log_x else "linear")
    dressed(figure, theme)
    return figure


def _draw_narrowing(figure: Sheet, forecasts: Sequence[tuple[int, Forecast]]) -> list[FloatArray]:
    """Bands and median over the steps that they are of; gives the losses that must fit into the picture."""
    steps = np.array([step for step, _ in forecasts], dtype=np.float64)
    medians = np.array([float(np.ravel(ahead.median)[-1]) for _, ahead in forecasts])
    heights = [medians]
    for level in LEVELS:
        intervals = [ahead.interval(level) for _, ahead in forecasts]
        lower = np.array([interval.lower for interval in intervals], dtype=np.float64)
        upper = np.array([interval.upper for interval in intervals], dtype=np.float64)
        _fill(figure, steps, lower, upper, colour=COLOURS[0], group="fan")
        if level < _TALLEST:
            heights += [lower, upper]
    name_fan(figure)
    figure.add_scatter(
        x=steps,
        y=medians,
        mode="lines+markers",
        name="median",
        line={"color": COLOURS[0], "width": 2, "dash": "dash"},
        marker={"size": 5},
        hovertemplate="%{y:.4g}",
    )
    return heights


def _draw_what_came(figure: Sheet, came: float) -> None:
    """A level line with its words."""
    figure.add_shape(
        type="line", xref="x domain", x0=0, x1=1, y0=came, y1=came, line={"color": COLOURS[1], "width": 1.6}
    )
    figure.add_annotation(
        xref="x domain",
        x=1,
        y=came,
        text="what came",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"color": COLOURS[1]},
    )


def whatif(
    watcher: Watcher,
    *,
    schedule: Schedule | None = None,
    end: float | None = None,
    log_x: bool = False,
    theme: Theme | None = None,
) -> Sheet:
    """The forecast under another plan, and the median under the plan as it stands.

    Args:
        watcher: what has seen the run.
        schedule: the other plan; ``None`` for the one that stands.
        end: the last step of the other plan [steps].
        log_x: whether the x-axis is logarithmic.
        theme: the page's.

    Returns:
        A sheet, of which ``figure()`` makes a plotly figure.
    """
    last = max(end or 0.0, watcher.horizon or 0.0) or None
    figure = forecast_sheet(watcher, Drawing(schedule=schedule, end=last, points=_POINTS, log_x=log_x))
    stop = float(end or watcher.horizon or watcher.step)
    now = float(watcher.step)
    if figure.data and stop > now:
        base_end = max(float(watcher.horizon or stop), now + 1.0)
        base = fan_of(watcher, np.linspace(now, base_end, _POINTS), levels=())
        if base is not None:
            figure.add_scatter(
                x=base.step,
                y=base.median,
                name="as planned",
                mode="lines",
                line={"color": INK, "width": 1.6, "dash": "dot"},
                hovertemplate="%{y:.4g}",
            )
    dressed(figure, theme)
    return figure


def _lay_out(figure: Sheet, axis: Axis, heights: Sequence[FloatArray], *, log_y: bool = False) -> None:
    shown = np.concatenate([*heights, np.empty(0)])
    figure.update_layout(
        **PAGE,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "bgcolor": CLEAR},
        margin={"l": 76, "r": 32, "t": 48, "b": 60},
        hovermode="x unified",
    )
    figure.update_xaxes(
        showgrid=False, zeroline=False, linecolor=INK, tickformat=axis.format, title={"text": axis.title}
    )
    figure.update_yaxes(gridcolor=GRID, zeroline=False, title={"text": "loss"})
    if len(shown):
        low, high = float(shown.min()), float(shown.max())
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        if log_y and low > 0.0:
            figure.update_yaxes(type="log", range=[math.log10(low) - 0.02, math.log10(high) + 0.02], dtick="D2")
        else:
            figure.update_yaxes(range=[low - margin, high + margin], tickformat=tick_format(low, high))
