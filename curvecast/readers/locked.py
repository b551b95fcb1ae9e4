"""Folders that may not be opened: there may be logs in them, so they are said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import Format


def _read(folders: Sequence[Path]) -> Mapping[str, Log]:
    try:
        next(folders[0].iterdir(), None)
        why = "it could not be opened when it was walked"
    except OSError as error:
        why = error.strerror or str(error)
    raise UnreadableRun(f"the folder cannot be opened: {why}.")


FORMAT = Format("locked", "", lambda folder: (), lambda path, start: False, _read)
