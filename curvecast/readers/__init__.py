"""Doors in: files that a training run left behind become a ``Run``, a stream of ``Sample`` values."""

from curvecast.readers.base import AmbiguousTag, Run, UnknownTag, UnreadableRun
from curvecast.readers.find import Source, find
from curvecast.readers.reading import read, read_source
from curvecast.readers.tags import choose_tags
from curvecast.readers.units import Lengths

__all__ = [
    "AmbiguousTag",
    "Lengths",
    "Run",
    "Source",
    "UnknownTag",
    "UnreadableRun",
    "choose_tags",
    "find",
    "read",
    "read_source",
]
