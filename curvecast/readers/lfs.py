"""git-LFS pointers that stand where a log should: recognised, and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part

_MAGIC = b"version https://git-lfs.github.com/spec/"
_LONGEST = 1024  # bytes; a pointer has about 130
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".log", ".txt", ".out", ".err", ".wandb", ".db")


def _is_pointer(path: Path) -> bool:
    try:
        if path.stat().st_size > _LONGEST:
            return False
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if (name.endswith(_SUFFIXES) or "tfevents" in name or name == "trainer_state.json") and _is_pointer(
            folder.path / name
        ):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _accepts(path: Path, start: bytes) -> bool:
    return start.startswith(_MAGIC) and len(start) <= _LONGEST


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    names = ", ".join(file.name for file in files)
    raise UnreadableRun(f"{names} is a git-LFS pointer, not the log itself. Fetch the log with `git lfs pull`.")


FORMAT = Format("git-lfs", "", _claim, _accepts, _read)
