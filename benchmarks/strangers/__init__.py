"""The recipes of ``stranger_runs.py``: networks, tasks, optimizers, schedules, logs, mixed as people mix them.

All were written before a forecast of any of them was looked at.
"""

from __future__ import annotations

from strangers.images import on_images
from strangers.recipe import Recipe
from strangers.tables import on_sequences, on_tables
from strangers.text import on_text

__all__ = ["Recipe", "recipes"]


def recipes() -> list[Recipe]:
    """All of them, the shortest first."""
    return [*on_tables(), *on_images(), *on_sequences(), *on_text()]
