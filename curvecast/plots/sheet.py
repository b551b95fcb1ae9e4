"""A plotly figure as the plain dictionaries that plotly's JavaScript reads: made in a hundredth of the time.

plotly's own objects check every property that is set, which is of use to people and takes a tenth of a second a
picture; a page that draws a picture with every move of a slider has no such time.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

_GAP = 0.05  # between the two rows, as a share of the height


class Sheet:
    """Traces and a layout, with the methods of ``go.Figure`` that the pictures use.

    Args:
        heights: shares of the height of one row or two, the upper first; they share their x-axis.

    Example:
        >>> sheet = Sheet()
        >>> sheet.add_scatter(x=[1, 2], y=[3.0, 4.0], name="loss")
        >>> sheet.update_yaxes(title={"text": "loss"})
        >>> sheet.figure().data[0].name, sheet.to_json()["layout"]["yaxis"]["title"]["text"]
        ('loss', 'loss')
    """

    def __init__(self, heights: tuple[float, ...] = (1.0,)) -> None:
        self.data: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {"shapes": [], "annotations": []}
        self._rows = len(heights)
        if self._rows == 1:
            self.layout |= {"xaxis": {"anchor": "y"}, "yaxis": {"anchor": "x"}}
            return
        upper, lower = ((1.0 - _GAP) * height / sum(heights) for height in heights)
        self.layout |= {
            "xaxis": {"anchor": "y", "matches": "x2", "showticklabels": False},
            "yaxis": {"anchor": "x", "domain": [1.0 - upper, 1.0]},
            "xaxis2": {"anchor": "y2"},
            "yaxis2": {"anchor": "x2", "domain": [0.0, lower]},
        }

    def add_scatter(self, *, row: int = 1, **trace: Any) -> None:
        """Add a trace to a row."""
        place = {"xaxis": "x2", "yaxis": "y2"} if row == 2 else {"xaxis": "x", "yaxis": "y"}
        self.data.append({"type": "scatter", **place, **trace})

    def add_shape(self, **shape: Any) -> None:
        """Add a line or a band."""
        self.layout["shapes"].append({"xref": "x", "yref": "y", **shape})

    def add_annotation(self, **words: Any) -> None:
        """Add words."""
        self.layout["annotations"].append({"xref": "x", "yref": "y", **words})

    def update_layout(self, **changes: Any) -> None:
        """Merge changes into the layout."""
        _merge(self.layout, changes)

    def update_xaxes(self, *, row: int | None = None, **changes: Any) -> None:
        """Merge changes into every x-axis, or that of a row."""
        self._update("xaxis", row, changes)

    def update_yaxes(self, *, row: int | None = None, **changes: Any) -> None:
        """Merge changes into every y-axis, or that of a row."""
        self._update("yaxis", row, changes)

    def _update(self, name: str, row: int | None, changes: dict[str, Any]) -> None:
        for number in range(1, self._rows + 1):
            if row in (None, number):
                _merge(self.layout[name if number == 1 else f"{name}{number}"], changes)

    def figure(self) -> go.Figure:
        """The same as plotly's own figure, checked."""
        return go.Figure({"data": self.data, "layout": self.layout})

    def to_json(self) -> dict[str, Any]:
        """Plain types; arrays packed as plotly's JavaScript reads them."""
        packed: dict[str, Any] = _packed({"data": self.data, "layout": self.layout})
        return packed


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def _packed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _packed(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        flat = np.ascontiguousarray(value, dtype="<f8")
        packed = {"dtype": "f8", "bdata": base64.b64encode(flat.tobytes()).decode()}
        return packed | ({"shape": ", ".join(map(str, flat.shape))} if flat.ndim > 1 else {})
    if isinstance(value, list | tuple):
        return [_packed(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
