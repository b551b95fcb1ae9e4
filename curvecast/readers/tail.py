"""A log that is still being written: read anew where it has grown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from curvecast.readers.base import Log, Run, UnknownTag, UnreadableRun
from curvecast.readers.blocks import Rows
from curvecast.readers.find import Source, find
from curvecast.readers.growing import GROWING
from curvecast.readers.reading import read_source
from curvecast.readers.scan import EventFile
from curvecast.readers.tfevents import join, read_tfevents
from curvecast.readers.units import Lengths


class Tail:
    """One path, polled.

    Of event files only the new bytes are read; other formats are read again once they have changed. After each poll
    ``errors`` says, by name, which of the runs there cannot be read.

    Args:
        path: the log, or its folder; new files in it are found.
        train_tag: the training loss's tag; ``None`` to find it.
        val_tag: the validation loss's tag; ``None`` to find it.
        step_column: the column of tables, and of records, that counts steps; ``None`` to find it.
        lengths: how long an epoch or a batch is.
    """

    def __init__(
        self,
        path: str,
        *,
        train_tag: str | None = None,
        val_tag: str | None = None,
        step_column: str | None = None,
        lengths: Lengths | None = None,
    ) -> None:
        self._path = path
        self._options = (train_tag, val_tag, step_column, lengths)
        self.errors: dict[str, str] = {}
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._events: dict[Path, tuple[EventFile, list[Rows]]] = {}

    def poll(self) -> list[Run]:
        """The runs as they stand now; none where nothing has changed since the last time.

        Raises:
            FileNotFoundError: if there is no log.
        """
        sources = find(self._path, step_column=self._options[2])
        stamp = tuple(_stamp(file) for source in sources for part in source.parts for file in part.files)
        if stamp == self._stamp:
            return []
        self._stamp = stamp
        runs: list[Run] = []
        self.errors = {}
        for source in sources:
            try:
                runs += self._read(source)
            except (OSError, UnreadableRun, UnknownTag) as error:  # no loss in it yet, or gone since it was found
                self.errors[source.name] = str(error)
        return runs

    def _read(self, source: Source) -> list[Run]:
        train_tag, val_tag, step_column, lengths = self._options
        growing = GROWING.set(True)
        try:
            return read_source(
                source,
                train_tag=train_tag,
                val_tag=val_tag,
                step_column=step_column,
                lengths=lengths,
                read_events=self._grown,
            )
        finally:
            GROWING.reset(growing)

    def _grown(self, files: Sequence[Path]) -> Log:
        if len({file.parent for file in files}) > 1:
            return read_tfevents(files)
        for file in files:
            events, blocks = self._events.setdefault(file, (EventFile(file), []))
            blocks.extend(events.poll())
            if events.was_replaced:
                events, blocks = self._events[file] = (EventFile(file), [])
                blocks.extend(events.poll())
        return join([self._events[file] for file in files])


def _stamp(file: Path) -> tuple[str, int, int]:
    try:
        status = os.stat(file)  # noqa: PTH116 - polled often
    except OSError:
        return str(file), -1, 0
    return str(file), status.st_size, status.st_mtime_ns
