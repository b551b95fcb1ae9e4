"""What a checkpoint holds of the callback, in this version's form whatever version wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA = 2


def upgraded(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """A state as this version writes it.

    Args:
        state: as this version or an older one wrote it.

    Returns:
        The state, or None where it is of a schema not known here.

    Example:
        >>> window = {"sum": 5.0, "steps": 2, "open": None, "batches": 0}
        >>> upgraded({"schema": 1, "window": window})["window"]["closed"]
        {'sum': 5.0, 'kept': [], 'count': 2}
        >>> upgraded({"schema": 99}) is None
        True
    """
    if state.get("schema") == 1:  # kept running sums where losses are kept one by one now
        old = state["window"]
        window = {
            "closed": {"sum": old["sum"], "kept": [], "count": old["steps"]},
            "open": {"sum": old["open"], "kept": [], "count": old["batches"]},
        }
        return {**state, "schema": SCHEMA, "window": window}
    return dict(state) if state.get("schema") == SCHEMA else None
