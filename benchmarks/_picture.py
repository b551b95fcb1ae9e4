"""What the benchmarks' pictures have in common: tones that are read on any page, and a legend below the panels."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from curvecast.plots import GRID, INK, PAGE

__all__ = ["GRID", "INK", "lay_out", "photograph"]

_SCRIPT = Path(__file__).parents[1] / "scripts" / "readme_picture"


def lay_out(panels: go.Figure, title: str, *, words: int, below: int) -> None:
    """Give panels a title, a legend below them, and ground that lets the page through.

    Args:
        panels: the figure.
        title: of all.
        words: size of what stands above each panel.
        below: room for the legend [pixels].
    """
    panels.update_annotations(font={"size": words})
    panels.update_layout(
        **PAGE,
        title={"text": title},
        legend={"orientation": "h", "y": -0.08, "x": 0.5, "xanchor": "center"},
        margin={"l": 50, "r": 15, "t": 75, "b": below},
    )
    panels.update_layout(font={"size": 11})


def photograph(figure: Any, to: Path) -> None:
    """What Chromium makes of a figure; its own width and height hold, where it has them."""
    SourceFileLoader("readme_picture", str(_SCRIPT)).load_module().photograph(figure, to)
