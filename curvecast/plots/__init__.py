"""The forecast as a picture.

A `scene` says what is shown, `axes` what its x-axis counts, `forecast` draws it and `layout` what stands around it: on
a `sheet` of plain dictionaries where time counts, or as plotly's own figure.
"""

from __future__ import annotations

from curvecast.plots.axes import STEPS, Axis, Unit, axis
from curvecast.plots.forecast import forecast_figure, forecast_sheet, name_fan
from curvecast.plots.layout import dressed, tick_format
from curvecast.plots.scene import LEVELS, Drawing, Options, Theme, fan_of
from curvecast.plots.sheet import Sheet
from curvecast.plots.style import CLEAR, GRID, INK, PAGE

__all__ = [
    "CLEAR",
    "GRID",
    "INK",
    "LEVELS",
    "PAGE",
    "STEPS",
    "Axis",
    "Drawing",
    "Options",
    "Sheet",
    "Theme",
    "Unit",
    "axis",
    "dressed",
    "fan_of",
    "forecast_figure",
    "forecast_sheet",
    "name_fan",
    "tick_format",
]
