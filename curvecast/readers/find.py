"""Walk a path and give the logs that are there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from curvecast.readers.frames import is_event_file
from curvecast.readers.tabular import read_header, step_column
from curvecast.readers.tags import choose_tags

TABLE = "metrics.csv"
LOOKED_FOR = f"event files (*tfevents*), {TABLE}, other *.csv or *.tsv with a step column and a loss"


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one run.

    Args:
        name: the run's name, for people.
        path: the folder, or the file where it was named itself.
        events: its TensorBoard event files.
        table: its table of metrics.
    """

    name: str
    path: Path
    events: tuple[Path, ...] = ()
    table: Path | None = None


def find(path: str | os.PathLike[str]) -> list[Source]:
    """The logs at a path: the file itself, or every folder under it that holds some.

    Args:
        path: a log file, or a folder to walk (hidden folders are passed over, links to folders not followed).

    Returns:
        One source a run, in the natural order of names (``version_2`` before ``version_10``).

    Raises:
        FileNotFoundError: if there is nothing at ``path``, or no log; the message says what was looked for.
    """
    root = Path(path)
    if root.is_file():
        return [_file(root)]
    if not root.is_dir():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}. Pass a log file or a folder of runs.")
    sources: list[Source] = []
    for folder, inside, names in os.walk(root):
        inside[:] = [name for name in inside if not name.startswith(".")]
        regular = [name for name in names if (Path(folder) / name).is_file()]  # a pipe would wait for ever
        sources += _folder(root, Path(folder), sorted(regular))
    if not sources:
        raise FileNotFoundError(f"no log in {str(path)!r}. Looked for {LOOKED_FOR}, in it and in the folders under it.")
    return sorted(sources, key=lambda source: _natural(source.name))


def _file(path: Path) -> Source:
    if path.suffix in (".csv", ".tsv") or ("tfevents" not in path.name and not is_event_file(path)):
        return Source(path.stem, path, table=path)
    return Source(path.parent.resolve().name or path.name, path, events=(path,))


def _folder(root: Path, folder: Path, names: list[str]) -> list[Source]:
    events = tuple(folder / name for name in names if "tfevents" in name and not name.endswith(".profile-empty"))
    inside = folder.relative_to(root).as_posix()
    name = inside if inside != "." else root.resolve().name or "."
    table = folder / TABLE if TABLE in names else None
    sources = [Source(name, folder, events, table)] if events or table else []
    others = [folder / other for other in names if other.endswith((".csv", ".tsv")) and other != TABLE]
    for other in filter(_is_log, others):
        sources.append(Source(other.stem if inside == "." else f"{inside}/{other.stem}", other, table=other))
    return sources


def _is_log(path: Path) -> bool:
    """Whether a table's header has a step column and a loss; no more is read of what may be any data."""
    try:
        header = read_header(path)
    except OSError:
        return False
    choices = choose_tags(dict.fromkeys(header, 0))
    return step_column(header) is not None and (choices.train.tag or choices.val.tag) is not None


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
