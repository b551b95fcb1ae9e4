"""Walk a path and give the logs that are there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from curvecast.notation import natural
from curvecast.readers.axis import counted_by
from curvecast.readers.base import shown
from curvecast.readers.formats import Folder, Heads, Part, claims, formats, head
from curvecast.readers.remote import fetch, is_url

_PASSED_OVER = ("__pycache__", "node_modules", "site-packages")


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one run, or of the runs that one file holds.

    Args:
        name: the run's name, for people.
        path: the folder, or the file where it was named itself.
        parts: its files by format; several parts tell of the same run.
    """

    name: str
    path: Path
    parts: tuple[Part, ...]


def find(path: str | os.PathLike[str], *, step_column: str | None = None) -> list[Source]:
    r"""The logs at a path: the file itself, or every folder under it that holds some.

    Args:
        path: a log file, a folder to walk (hidden folders are passed over, links to folders not followed), or the URL
            of either.
        step_column: the column of tables, and of records, that counts steps; ``None`` to find it.

    Returns:
        One source a run, in the natural order of names (``version_2`` before ``version_10``); each has a name of its
        own.

    Raises:
        FileNotFoundError: if there is nothing at ``path``, or no log; the message says what was looked for.
        TypeError: if ``path`` is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("version_10", "version_2"):
        ...         (Path(folder) / name).mkdir()
        ...         written = (Path(folder) / name / "metrics.csv").write_text("step,train_loss\n1,4.5\n")
        ...     [source.name for source in find(folder)]
        ['version_2', 'version_10']
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be a path: got a {type(path).__name__}. Pass one log file or one folder of runs.")
    if not os.fspath(path):  # a variable of the shell that is not set; the current folder is `.`
        raise FileNotFoundError("the path is empty. Pass a log file or a folder of runs.")
    root = fetch(os.fspath(path)) if is_url(os.fspath(path)) else Path(path)
    if root.is_file():
        return [_file(root)]
    if not root.is_dir() and (root.exists() or str(path) == "-"):
        raise FileNotFoundError(
            f"{shown(str(path))!r} is a device or a pipe. Write what comes from it into a file first."
        )
    if not root.is_dir():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}. Pass a log file or a folder of runs.")
    with counted_by(step_column):
        sources = _walk(root)
    if not sources:
        raise FileNotFoundError(
            f"no log in {str(path)!r} or the folders under it. Looked for steps and a loss in {_names_looked_for()}. "
            "Pass one of its files to hear what that one lacks."
        )
    return sorted(told_apart(sources), key=lambda source: natural(source.name))


def _names_looked_for() -> str:
    """The names of files that may be a log, each once."""
    names = (name.strip() for known in formats().values() for name in known.looked_for.split(","))
    return ", ".join(dict.fromkeys(name for name in names if name))


def told_apart(sources: Iterable[Source]) -> list[Source]:
    """Sources with names of their own: those that share one are named by their path."""
    named = list(sources)
    names = Counter(source.name for source in named)
    return [replace(each, name=shown(str(each.path))) if names[each.name] > 1 else each for each in named]


def _walk(root: Path) -> list[Source]:
    sources: list[Source] = []
    merged: set[Path] = set()
    shut: list[OSError] = []
    left = [root]
    while left:
        here = left.pop()
        try:
            files, folders, links = _listed(here)
        except OSError as error:
            shut.append(error)
            continue
        left += [here / name for name in reversed(folders) if name not in links]
        if here in merged:
            continue
        parts = claims(Folder(here, files, folders, here == root, Heads(here)))
        merged.update(here / name for part in parts for name in part.merged)
        sources += _sources(root, here, parts)
    for closed in shut:
        here = Path(closed.filename or root)
        sources += _sources(root, here, [Part("locked", (here,))])
    return sources


def is_passed_over(folder: str) -> bool:
    """Whether a folder of that name is not looked into: a hidden one, or one of code.

    Example:
        >>> [is_passed_over(name) for name in (".git", "node_modules", "runs")]
        [True, True, False]
    """
    return folder.startswith(".") or folder in _PASSED_OVER


def _listed(folder: Path) -> tuple[list[str], list[str], set[str]]:
    """Names of a folder's regular files (a pipe would wait for ever), of its folders, and which of those are links.

    Raises:
        OSError: if it may not be opened.
    """
    files, folders, links = list[str](), list[str](), set[str]()
    with os.scandir(folder) as entries:  # it knows what is a file without asking again
        for entry in entries:
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link into what may not be seen
                continue
            if is_file:
                files.append(entry.name)
            elif is_folder and not is_passed_over(entry.name):
                folders.append(entry.name)
                if entry.is_symlink():
                    links.add(entry.name)
    return sorted(files), sorted(folders), links


def _sources(root: Path, folder: Path, parts: list[Part]) -> list[Source]:
    inside = folder.relative_to(root).as_posix()
    name = shown(inside if inside != "." else root.resolve().name or ".")
    own = tuple(part for part in parts if not part.name)
    sources = [Source(name, folder, own)] if own else []
    for part in parts:
        if part.name:
            path = part.files[0] if len(part.files) == 1 else folder
            sources.append(Source(shown(part.name if inside == "." else f"{inside}/{part.name}"), path, (part,)))
    return sources


def _file(path: Path) -> Source:
    """A file that was named itself: the first format that accepts it; else a table, or JSON, which then says why."""
    start = head(path)
    otherwise = "history" if path.suffix == ".json" else "csv"
    chosen = next((known.name for known in formats().values() if known.accepts(path, start)), otherwise)
    name = path.stem
    if chosen == "tfevents" or path.name in ("trainer_state.json",):
        name = path.parent.resolve().name or path.name
    return Source(shown(name), path, (Part(chosen, (path,)),))
