"""git-LFS pointers that stand where a log should: recognised, and said."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part, head

_MAGIC = b"version https://git-lfs.github.com/spec/"
_LONGEST = 1024  # bytes; a pointer has about 130
_READ_ANYWAY = (".csv", ".tsv", ".jsonl", ".ndjson", ".log", ".txt", ".out")  # by what tells formats apart
_SUFFIXES = (".err", ".dat", ".wandb", ".db", ".ipynb")


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(_READ_ANYWAY):
            start = folder.head(name)
        elif name.endswith(_SUFFIXES) or "tfevents" in name or name == "trainer_state.json":
            start = _small(os.path.join(folder.path, name))  # noqa: PTH118 - for every run
        else:
            continue
        if _is_pointer(start):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _small(path: str) -> bytes:
    """What stands in a file as small as a pointer; nothing of another."""
    try:
        return head(path) if os.stat(path).st_size <= _LONGEST else b""  # noqa: PTH116 - for every run
    except OSError:
        return b""


def _is_pointer(start: bytes) -> bool:
    return start.startswith(_MAGIC) and len(start) <= _LONGEST


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    names = ", ".join(file.name for file in files)
    raise UnreadableRun(f"{names} is a git-LFS pointer, not the log itself. Fetch the log with `git lfs pull`.")


FORMAT = Format("git-lfs", "", _claim, lambda path, start: _is_pointer(start), _read)
