"""A file of JSON for each epoch, as AllenNLP writes them: ``metrics_epoch_0.json``, ``metrics_epoch_1.json``, ...

Source: ``GradientDescentTrainer`` of allenai/allennlp.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.rows import Records

_NAME = re.compile(r"metrics_epoch_(\d{1,9})\.json")
_EPOCH = "epoch"


def read_numbered(files: Sequence[Path]) -> Log:
    """Read the files of one run, in the order of their numbers.

    Raises:
        UnreadableRun: if none of them holds a number.
    """
    records, notes = Records(), Notes()
    for epoch, file in sorted((int(match[1]), file) for file in files if (match := _NAME.fullmatch(file.name))):
        try:
            record = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            notes.add(f"{file.name} cannot be read, and is left out: {error}", lost=True)
            continue
        if isinstance(record, dict):
            records.add(record | {_EPOCH: epoch})
    series, unit = records.series()
    if not series:
        raise UnreadableRun(f"no number in the {len(files)} files of metrics in {files[0].parent}.")
    return Log(files[0].parent, FORMAT.name, series, notes=notes, units=dict.fromkeys(series, unit))


def _claim(folder: Folder) -> Iterator[Part]:
    files = tuple(folder.path / name for name in folder.files if _NAME.fullmatch(name))
    if files:
        yield Part(FORMAT.name, files)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_numbered(files)}


FORMAT = Format("numbered", "metrics_epoch_*.json", _claim, lambda path, start: bool(_NAME.fullmatch(path.name)), _read)
