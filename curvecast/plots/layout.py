"""What stands around the picture of a forecast: its title, axes, legend, and the theme of its page."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from curvecast.notation import alike
from curvecast.plots.axes import STEPS
from curvecast.plots.scene import Scene, Theme
from curvecast.plots.sheet import Sheet
from curvecast.plots.style import CLEAR, FONT, GRID, INK, PAGE

NAMES = {"train": "training loss", "val": "validation loss"}
_THEMES = {  # ink, lines, and the ground of what pops up
    "light": ("#414a55", "rgba(65, 74, 85, 0.16)", "#ffffff"),
    "dark": ("#b6bfca", "rgba(182, 191, 202, 0.2)", "#22272e"),
}
# The legend stands between the title and the picture: a fan that widens leaves no corner of it free.
_TITLE = {"x": 0.0, "xref": "paper", "xanchor": "left", "y": 1.0, "yanchor": "top", "pad": {"t": 16}}
_LEGEND = {"orientation": "h", "x": 0.0, "xanchor": "left", "y": 1.01, "yanchor": "bottom", "bgcolor": CLEAR}


def dressed(figure: Sheet | go.Figure, theme: Theme | None) -> None:
    """Put a figure into a page's theme: its ink and its lines."""
    if theme is None:
        return
    ink, grid, paper = _THEMES[theme]
    figure.update_layout(
        font={"color": ink},
        hoverlabel={"bgcolor": paper, "bordercolor": grid, "font": {"color": ink}},
    )
    figure.update_xaxes(linecolor=grid, tickcolor=grid)
    figure.update_yaxes(gridcolor=grid)


def lay_out(figure: Sheet, scene: Scene, *, rows: int) -> None:
    """Give a picture its title, axes and legend; with two rows the learning rate stands below the loss."""
    low, high = scene.height()
    figure.update_layout(
        title={"text": _title(scene), "font": {"size": 17}, **_TITLE},
        **PAGE,
        legend=_LEGEND,
        margin={"l": 76, "r": 32, "t": 84, "b": 60},
        modebar={"bgcolor": CLEAR, "color": GRID, "activecolor": INK},
        hovermode="x unified",
        hoverlabel={"font": {"family": FONT}},
    )
    figure.update_xaxes(showgrid=False, zeroline=False, linecolor=INK, tickformat=scene.axis.format, **_x_axis(scene))
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_xaxes(title={"text": scene.axis.title, "font": {"size": 15}}, row=rows)
    figure.update_yaxes(
        title={"text": "loss", "font": {"size": 15}, "standoff": 12},
        range=[low, high],
        tickformat=tick_format(low, high),
        row=1,
    )
    if rows == 2:
        rate = {"text": "learning rate<br>[of its peak]", "font": {"size": 12}}
        figure.update_yaxes(title=rate, range=[0, 1.08], tickvals=[0, 1], row=2)


def _title(scene: Scene) -> str:
    name = NAMES[scene.of].capitalize()
    if not scene.seen:
        return "No loss seen yet"
    if scene.fan is None:
        return f"{name} up to step {scene.now:,.0f}" + ": too few losses for a forecast" * scene.early
    interval = scene.fan.last.interval(0.9)
    lower, upper = float(interval.lower), float(interval.upper)
    steps, losses = scene.truth
    came = losses[-1:] if len(steps) and steps[-1] >= scene.end else losses[:0]
    median, low, high, *truth = alike(float(scene.fan.median[-1]), lower, upper, *came.tolist(), width=upper - lower)
    text = f"{name} forecast at step {scene.end:,.0f}: <b>{median}</b>, 90 % within {low} to {high}"
    return text + "".join(f"; <b>{loss}</b> came" for loss in truth)


def tick_format(low: float, high: float) -> str:
    """Of the losses beside the axis, as d3 has it: a tenth of the axis is seen, and no number is long."""
    if not 1e-3 <= max(abs(low), abs(high)) < 1e6:
        return ".4~g"
    unit = (high - low) / 10
    return f".{min(max(math.ceil(-math.log10(unit)), 0), 8) if unit > 0.0 else 4}f"


def _x_axis(scene: Scene) -> dict[str, Any]:
    if not scene.log_x:
        return {"range": list(scene.width)}
    low, high = (math.log10(end) for end in scene.width)
    if scene.axis is not STEPS:
        return {"type": "log", "range": [low, high]}
    digits = (1, 2, 5) if high - low < 4 else (1,)
    ticks = [d * 10**k for k in range(math.floor(low), math.ceil(high) + 1) for d in digits]
    return {"type": "log", "range": [low, high], "tickvals": ticks}
