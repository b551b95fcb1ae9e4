"""Which column counts the steps, where whoever reads has said so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

AXIS: ContextVar[str | None] = ContextVar("axis", default=None)
"""The name of the column, or ``ROWS``; ``None`` to find it."""

ROWS = "row"  # asked for as a name: no column counts, the rows do
ADVICE = f"Pass the name of the one that counts steps as --step-column (step_column=), or {ROWS!r} to count the rows."


@contextmanager
def counted_by(column: str | None) -> Iterator[None]:
    """While tables and records are read whose steps a column counts; ``None`` to find it.

    Example:
        >>> with counted_by("Episode"):
        ...     AXIS.get()
        'Episode'
    """
    token = AXIS.set(column)
    try:
        yield
    finally:
        AXIS.reset(token)
