"""MMEngine's folder: the same run as lines of JSON, once more under another name, and as text, which has its horizon.

Source: ``LocalVisBackend`` and ``LoggerHook`` of open-mmlab/mmengine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.jsonl import read_jsonl
from curvecast.readers.text import read_text

_FOLDER, _SCALARS, _TEXT = "vis_data", "scalars.json", ".log"


def _claim(folder: Folder) -> Iterator[Part]:
    if folder.path.name == _FOLDER and folder.is_root:
        scalars, beside = folder.path / _SCALARS, [name for name in folder.files if name.endswith(".json")]
    elif _FOLDER in folder.folders:
        scalars, beside = folder.path / _FOLDER / _SCALARS, [folder.path.name + _TEXT]
    else:
        return
    if scalars.is_file():
        others = (folder.path / name for name in beside if name in folder.files and name != _SCALARS)
        yield Part(FORMAT.name, (scalars, *others), merged=(_FOLDER,))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    log = read_jsonl(files[0])
    for text in files[1:]:
        if text.suffix == _TEXT:
            with suppress(UnreadableRun):
                log.meta |= read_text(text).meta
    return {"": log}


FORMAT = Format("mmengine", "", _claim, lambda path, start: False, _read)
