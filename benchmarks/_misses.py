"""The curves that forecasts get most wrong, as a picture: what was seen, what was forecast, what came."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go
from _curve import Curve, FloatArray
from _picture import GRID, lay_out
from plotly.subplots import make_subplots

from curvecast import Watcher
from curvecast.notation import amount

_SEEN, _CAME, _FAN = "#2f81f7", "#e5732b", "rgba(47, 129, 247, 0.3)"
_POINTS = 60
_COLUMNS, _HEIGHT = 3, 190  # panels abreast; of one [pixels]
_FEW, _MANY = 0.6, 2.5  # decades of an axis: of fewer 1, 2 and 5 are too few ticks, of more too many
_MOST = 5  # powers of ten

Miss = tuple[Curve, Watcher]  # a curve, and the watcher that has seen a part of it


def draw_misses(misses: Sequence[Miss], note: Callable[[Miss], str], title: str) -> go.Figure:
    """A panel a curve: the loss up to where it was seen, the 90 % fan from there on, and what came."""
    rows = math.ceil(len(misses) / _COLUMNS)
    panels = make_subplots(
        rows=rows,
        cols=_COLUMNS,
        subplot_titles=[note(miss) for miss in misses],
        vertical_spacing=0.45 / rows,
        horizontal_spacing=0.06,
    )
    for k, miss in enumerate(misses):
        place, traces = {"row": 1 + k // _COLUMNS, "col": 1 + k % _COLUMNS}, _traces(*miss)
        for trace in traces:
            panels.add_trace(trace.update(showlegend=k == 0), **place)
        panels.update_xaxes(**_ticks(np.concatenate([trace.x for trace in traces])), **place)
        panels.update_yaxes(**_ticks(np.concatenate([trace.y for trace in traces])), **place)
    panels.update_xaxes(type="log", gridcolor=GRID, zeroline=False)
    panels.update_yaxes(type="log", gridcolor=GRID, zeroline=False)
    panels.update_layout(height=_HEIGHT * rows)
    lay_out(panels, f"{title}: the loss over the steps", words=11, below=60)
    panels.update_layout(legend={"y": 0.005, "yanchor": "bottom", "yref": "container"})
    return panels


def _ticks(values: FloatArray) -> dict[str, object]:
    """Where an axis is ticked: at 1, 2 and 5 of each decade, of many at powers of ten; plotly's own in a part of one.

    Its own ticks of a decade or more are single digits, which run into one another in so small a panel.
    """
    sound = values[np.isfinite(values) & (values > 0.0)]
    lowest, highest = np.log10(sound.min()), np.log10(sound.max())
    decades = highest - lowest
    if decades < _FEW:
        return {"nticks": 5}
    digits = (1, 2, 5) if decades < _MANY else (1,)
    powers = range(math.floor(lowest), math.ceil(highest) + 1, math.ceil(decades / _MOST))
    places = [digit * 10.0**power for power in powers for digit in digits]
    return {"tickvals": places, "ticktext": [amount(place) if place >= 1.0 else f"{place:g}" for place in places]}


def _losses(curve: Curve) -> FloatArray:
    return curve.val_loss if curve.of == "val" else curve.train_loss


def _traces(curve: Curve, watcher: Watcher) -> list[go.Scatter]:
    losses = _losses(curve)
    came = (curve.steps > watcher.step) & np.isfinite(losses)
    steps, after = np.append(curve.steps[came], curve.horizon), np.append(losses[came], curve.truth)
    seen = watcher.bins(curve.of)
    ahead = np.geomspace(watcher.step, curve.horizon, _POINTS)
    future = curve.future(watcher)
    fan = watcher.forecast(at=ahead, of=curve.of, schedule=future)
    ends = fan.interval(0.9)
    there_and_back = np.concatenate([np.asarray(ends.upper), np.asarray(ends.lower)[::-1]])
    return [
        go.Scatter(x=seen.step, y=seen.mean, name="seen", mode="lines", line={"color": _SEEN}),
        go.Scatter(
            x=np.concatenate([ahead, ahead[::-1]]),
            y=there_and_back,
            name="90 % of the forecast",
            fill="toself",
            fillcolor=_FAN,
            mode="none",
        ),
        go.Scatter(x=steps, y=after, name="came", mode="lines", line={"color": _CAME}),
        go.Scatter(x=ahead, y=fan.median, name="median", mode="lines", line={"color": _SEEN, "dash": "dot"}),
    ]
