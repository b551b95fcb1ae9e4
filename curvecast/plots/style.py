"""What all pictures have in common: middle tones that are read on light pages and on dark ones, and no ground."""

from __future__ import annotations

INK, GRID = "#7b848f", "rgba(123, 132, 143, 0.2)"
FONT = "Inter, Segoe UI, Helvetica Neue, Helvetica, Arial, sans-serif"
CLEAR = "rgba(0,0,0,0)"
PAGE = {"font": {"family": FONT, "size": 14, "color": INK}, "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR}
