"""Doors in: files that a training run left behind become a ``Run``, a stream of ``Sample`` values."""

from curvecast.readers.base import Run, UnknownTag, UnreadableRun
from curvecast.readers.find import Source, find
from curvecast.readers.reading import read, read_source

__all__ = ["Run", "Source", "UnknownTag", "UnreadableRun", "find", "read", "read_source"]
