"""Whether the last line of a file, where it has no end, was written whole."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

GROWING: ContextVar[bool] = ContextVar("growing", default=False)
"""Whether what is read is still being written: then no line without an end is whole."""

_TAIL_BYTES = 1 << 16


def ends_cut(path: Path, last_cell: Callable[[str], str | None]) -> bool:
    """Whether a table ends within a row.

    Some writers leave out the last line's end. Where nobody writes any more, a last row is taken for whole unless its
    last cell is shorter than all before it (but those that are blank); what is missing of a number then is too little
    to do harm.

    Args:
        path: the table.
        last_cell: the last cell of a line; ``None`` where the line is no row.

    Raises:
        OSError: if the file cannot be opened.
    """
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        tail = file.read()
    if not tail or tail.endswith((b"\n", b"\r")):
        return False
    if GROWING.get():
        return True
    *before, last = (last_cell(line) for line in tail.decode("utf-8", errors="replace").split("\n"))
    lengths = [len(cell) for cell in before if cell]
    return bool(last) and bool(lengths) and len(last or "") < min(lengths)
