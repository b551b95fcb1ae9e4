"""Logs behind a URL: what fsspec can open is brought into a folder of this machine, and read there."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from curvecast.readers.formats import TEXT_SUFFIXES

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_SUFFIXES = (*TEXT_SUFFIXES, ".csv", ".tsv", ".jsonl", ".ndjson", ".dat", ".wandb", ".db", ".sqlite", ".ipynb")
_NAMES = ("trainer_state.json", "metrics.json", "scalars.json", "curvecast.json", "hparams.yaml", "meta.yaml")
_kept: dict[str, tempfile.TemporaryDirectory[str]] = {}  # removed when the interpreter ends


def is_url(path: str) -> bool:
    """Whether a path is a URL.

    Example:
        >>> is_url("s3://lab/runs"), is_url("C:/runs"), is_url("runs")
        (True, False, False)
    """
    return _URL.match(path) is not None


def fetch(url: str) -> Path:
    """Bring the logs at a URL here; a second call brings what has changed in size since.

    Returns:
        A folder, or the file where the URL is one.

    Raises:
        FileNotFoundError: if nothing is there.
        OSError: if it cannot be opened, or its protocol is not known here; the message says what is missing.
    """
    import fsspec  # type: ignore[import-untyped]

    try:
        system, root = fsspec.core.url_to_fs(url)
        single = bool(system.isfile(root))
        found: dict[str, Any] = {root: system.info(root)} if single else system.find(root, detail=True)
    except (ImportError, ValueError) as error:
        raise OSError(f"cannot open {url!r}: {error}") from error
    if not found:
        raise FileNotFoundError(f"there is nothing at {url!r}. Pass the URL of a log file or of a folder of runs.")
    if url not in _kept:
        _kept[url] = tempfile.TemporaryDirectory(prefix="curvecast-")
    folder = Path(_kept[url].name) / (PurePosixPath(root).name or "runs")
    target = folder
    for name, info in found.items():
        inside = PurePosixPath(name).name if single else name[len(root) :].lstrip("/")
        if not single and not _may_be_a_log(inside):
            continue
        target = folder.parent / inside if single else folder / inside
        if not target.resolve().is_relative_to(folder.parent.resolve()):
            continue
        if not target.is_file() or target.stat().st_size != info.get("size"):
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(name, str(target))
    folder.mkdir(exist_ok=True)
    return target if single else folder


def _may_be_a_log(path: str) -> bool:
    pure = PurePosixPath(path)
    return (
        "tfevents" in pure.name
        or pure.name.endswith(_SUFFIXES)
        or pure.name in _NAMES
        or bool({"metrics", "params"} & set(pure.parts))
    )
