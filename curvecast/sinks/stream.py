"""Results written as they come, so that an analysis that was interrupted goes on where it ended.

JSONL takes a line a run. Parquet is a folder of parts, since a Parquet file is not readable before it is closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from curvecast.sinks.records import flat, to_line

KEY = "analysed"  # what the entry of a source that is done has under this name is its key
_ROWS = 256  # runs in a part


class Sink(Protocol):
    """Takes the records of runs, one source at a time."""

    def done(self) -> set[str]:
        """Keys of the sources that are in it already."""
        ...

    def write(self, key: str, entries: Sequence[Mapping[str, object]]) -> None:
        """Add a source's records; none, for a source that could not be read, are remembered too."""
        ...

    def close(self) -> None:
        """Write what is still held."""
        ...


def sink_to(path: Path, *, resume: bool) -> Sink:
    """The sink for a path: Parquet by its suffix, else JSONL. Without ``resume`` what was there is replaced.

    Raises:
        ImportError: if Parquet is asked for and pyarrow is not installed.
        OSError: if the path cannot be written.
    """
    return _Parquet(path, resume=resume) if path.suffix == ".parquet" else _Lines(path, resume=resume)


class _Lines:
    """One line of JSON a run; a last line that was cut off is dropped when it is resumed."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._done, whole = _resumed(path) if resume and path.exists() else (set[str](), 0)
        self._file = path.open("r+b" if whole else "wb")
        self._file.truncate(whole)
        self._file.seek(whole)

    def done(self) -> set[str]:
        return self._done

    def write(self, key: str, entries: Sequence[Mapping[str, object]]) -> None:
        # One write a source: what was cut off is a whole source, and is done again.
        lines = [to_line({KEY: key, **entry}) for entry in entries] or [to_line({KEY: key})]
        self._file.write(("\n".join(lines) + "\n").encode())
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _resumed(path: Path) -> tuple[set[str], int]:
    """The sources that a file has whole, and the bytes that they take.

    Raises:
        ValueError: if the file is somebody else's.
    """
    sources: list[tuple[str, int]] = []  # of each line its source, and where it ends
    end = 0
    with path.open("rb") as file:
        for line in file:
            is_whole, key = line.endswith(b"\n"), _key_of(line)
            if key is None or not is_whole:
                if is_whole and not sources:
                    raise ValueError(f"{path} holds no results of `analyze`. Pass another file, or leave --resume out.")
                sources = _before_the_cut(sources, line)
                break
            end += len(line)
            sources.append((key, end))
    return {key for key, _ in sources}, sources[-1][1] if sources else 0


def _before_the_cut(sources: list[tuple[str, int]], line: bytes) -> list[tuple[str, int]]:
    """The lines before one that was cut off, without those of the source that it is of: a source has several runs."""
    if not sources or not _may_be_of(line, sources[-1][0]):
        return sources
    cut, _ = sources[-1]
    while sources and sources[-1][0] == cut:
        sources = sources[:-1]
    return sources


def _may_be_of(line: bytes, key: str) -> bool:
    """Whether a line that was cut off is one of a source's, as far as it tells."""
    opening = to_line({KEY: key})[:-1].encode()
    return line.startswith(opening) or opening.startswith(line)


def _key_of(line: bytes) -> str | None:
    try:
        key = json.loads(line)[KEY]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return key if isinstance(key, str) else None


class _Parquet:
    """Parts of ``_ROWS`` runs in a folder, each written whole under another name first."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ImportError("Writing Parquet needs pyarrow. Run `pip install pyarrow`.") from error
        self._arrow = pyarrow
        self._folder = path
        self._rows: list[dict[str, object]] = []
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} must be a folder of Parquet: got a file. Pass another name.")
        path.mkdir(exist_ok=True)
        parts = sorted(path.glob("part-*.parquet"))
        if not resume:
            for part in parts:
                part.unlink()
            parts = []
        self._done = {
            key for part in parts for key in pyarrow.parquet.read_table(part, columns=[KEY]).column(KEY).to_pylist()
        }
        self._next = len(parts)

    def done(self) -> set[str]:
        return self._done

    def write(self, key: str, entries: Sequence[Mapping[str, object]]) -> None:
        self._rows += [{KEY: key, **flat(entry)} for entry in entries] or [{KEY: key}]
        if len(self._rows) >= _ROWS:
            self._part()

    def _part(self) -> None:
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        table = self._arrow.Table.from_pylist([{name: row.get(name) for name in names} for row in self._rows])
        target = self._folder / f"part-{self._next:06d}.parquet"
        self._arrow.parquet.write_table(table, target.with_suffix(".writing"))
        target.with_suffix(".writing").rename(target)
        self._next += 1
        self._rows = []

    def close(self) -> None:
        if self._rows:
            self._part()
