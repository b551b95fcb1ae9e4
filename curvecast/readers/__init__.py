"""Doors in: files that a training run left behind become a ``Run``, a stream of ``Sample`` values.

The way of a log, and what is common to all formats:

1. `find` walks a path (`remote` fetches a URL, `gzipped` unpacks, `lfs` and `locked` say what cannot be opened) and
   asks each of the `formats` what it claims.
2. The format's own file gives a ``Log`` of rows as they were written (`base`).
3. `reading` makes the ``Run`` of it: `tags` finds the losses, `several` and `merge` tell appended runs from resumed
   ones, `epochs`, `steps` and `units` count optimizer steps, `plan` and `sidecar` tell what was planned, `doubts` what
   is odd.

Formats of several files: event files are `tfevents`, with `scan`, `blocks`, `frames`, `protobuf`, `cycles`, `templates`
and `plain` for speed; tables are `tabular`, with `layout`, `columns`, `arrow`, `axis`, `sides` and `tidy`; lines of
JSON are `jsonl`, with `alike`, `rows` and `counters` (`embedded` has them behind a logger's words); one JSON value is
`history`, and `values` looks for the run in it; text logs are `text`, with `abbreviated`, and what each family of
scripts prints is in `dialects`. `tail` follows a log that grows; `memory` takes tables that lie in no file.
"""

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
