"""What a reader of a format is, and which there are: one file a format, third parties' through an entry point.

A package adds a format of its own with

    [project.entry-points."curvecast.readers"]
    mylog = "mypackage.curvecast_reader:FORMAT"

where ``FORMAT`` is a ``Format``. One that fails to load is said and left out.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from curvecast.readers.base import Log

ENTRY_POINTS = "curvecast.readers"
HEAD_BYTES = 1 << 16  # of a file whose name tells nothing: enough for the banner that a training script prints
TEXT_SUFFIXES = (".log", ".txt", ".out", ".err")  # of what a script prints
_KEPT_BYTES = 1 << 24  # of heads a folder; what comes after them is read anew by each format that asks


class Heads:
    """The first bytes of the files of one folder, each read once for all formats, while memory is bounded.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._kept: dict[str, bytes] = {}
        self._room = _KEPT_BYTES

    def of(self, name: str) -> bytes:
        """The first bytes of a file; none where it cannot be opened."""
        start = self._kept.get(name)
        if start is None:
            start = head(os.path.join(self._folder, name))  # noqa: PTH118 - for every file that is met
            if len(start) <= self._room:
                self._room -= len(start)
                self._kept[name] = start
        return start


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as a format sees it while a path is walked.

    Args:
        path: the folder.
        files: names of the regular files in it that no format has taken yet, sorted.
        folders: names of the folders in it, sorted.
        is_root: whether it is the folder that was asked for.
        heads: the first bytes of its files.
    """

    path: Path
    files: Sequence[str]
    folders: Sequence[str]
    is_root: bool
    heads: Heads

    def head(self, name: str) -> bytes:
        """The first bytes of a file in it, ``HEAD_BYTES`` at most; none where it cannot be opened."""
        return self.heads.of(name)

    def without(self, taken: Container[str]) -> Folder:
        """The folder with the files that no format has taken."""
        return replace(self, files=[name for name in self.files if name not in taken])


@dataclass(frozen=True, slots=True)
class Part:
    """Files that are read together.

    Args:
        format: the format's name.
        files: the files, or the folder for a format that is one.
        name: of the run within its folder; empty for the folder's own run.
        merged: names of folders within, whose own logs this part holds already.
    """

    format: str
    files: tuple[Path, ...]
    name: str = ""
    merged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """A reader of one format of logs.

    Args:
        name: what the format is called in messages and in ``run.meta["format"]``.
        looked_for: names of its files, such as ``"*.tsv, *.dat"``, for the message where no log was found; or empty.
        claim: the parts that a folder holds; it is called for every folder, so that it must be quick.
        accepts: whether a file that was named by the user is of this format: ``(path, first bytes)``.
        read: the logs in a part's files, by the run's name within the part; the empty name for an only run.

    ``read`` raises ``UnreadableRun`` where there is no curve, and nothing else for whatever bytes it meets.
    """

    name: str
    looked_for: str
    claim: Callable[[Folder], Iterable[Part]]
    accepts: Callable[[Path, bytes], bool]
    read: Callable[[Sequence[Path]], Mapping[str, Log]]


@lru_cache(maxsize=1)
def formats() -> dict[str, Format]:
    """Every format by name, in the order in which they are asked: the sure ones before the guesses.

    Example:
        >>> "tfevents" in formats()
        True
    """
    from curvecast.readers import (
        catboost,
        dvclive,
        embedded,
        gzipped,
        history,
        huggingface,
        jsonl,
        lfs,
        locked,
        mlflow,
        mmengine,
        notebook,
        numbered,
        numbers,
        printed,
        sacred,
        tabular,
        tag_csv,
        text,
        tfevents,
        wandb,
    )
    from curvecast.readers import wandb_csv as chart

    folders = (catboost, dvclive, mmengine, numbered, sacred)
    sure = (tfevents, huggingface, wandb, mlflow, chart, tag_csv, notebook)
    modules = (*sure, *folders, numbers, tabular, jsonl, history, embedded, printed, text, gzipped)
    own = [module.FORMAT for module in modules]
    return {known.name: known for known in [lfs.FORMAT, locked.FORMAT, *own, *_plugged_in()]}


def _plugged_in() -> list[Format]:
    found: list[Format] = []
    for point in entry_points(group=ENTRY_POINTS):
        try:
            format_ = point.load()
        except Exception as error:
            warnings.warn(f"the reader {point.value!r} cannot be loaded and is left out: {error}", stacklevel=2)
            continue
        if isinstance(format_, Format):
            found.append(format_)
        else:
            warnings.warn(
                f"the reader {point.value!r} must be a Format: got {type(format_).__name__}; it is left out.",
                stacklevel=2,
            )
    return found


def claims(folder: Folder) -> list[Part]:
    """The parts of a folder; a file belongs to the first format that takes it."""
    parts: list[Part] = []
    left = folder
    for format_ in formats().values():
        found = list(format_.claim(left))
        if found:
            left = left.without({file.name for part in found for file in part.files})
            parts += found
    return parts


def head(path: str | Path) -> bytes:
    """The first bytes of a file; none where it cannot be opened."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - for every file that is met
            return file.read(HEAD_BYTES) or b""
    except OSError:
        return b""
