"""CatBoost's folder ``catboost_info``: tables of what was measured on both sets, one row a tree.

Beside them lie the same numbers as event files and as JSON; they are not read a second time.

Source: ``train_dir`` of catboost/catboost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.layout import header_of
from curvecast.readers.tabular import read_table

_TABLES = {"learn_error.tsv": "train_loss", "test_error.tsv": "val_loss"}
_TWICE = ("learn", "test")  # folders of event files
# metrics that are to rise; all others of CatBoost's are losses
_RISING = ("AUC", "PRAUC", "Accuracy", "BalancedAccuracy", "F1", "F", "TotalF1", "Precision", "Recall", "MCC", "Kappa")
_RANKING = ("R2", "NDCG", "DCG", "MAP", "MRR", "ERR", "PFound", "WKappa", "AverageGain", "QueryAUC", "NormalizedGini")


def read_catboost(files: Sequence[Path]) -> Log:
    """Read the tables of one training; of several metrics the first that is a loss is the one that is minimised.

    Raises:
        UnreadableRun: if a table cannot be read, or no metric is a loss.
    """
    log = Log(files[0].parent, FORMAT.name, {})
    for file in files:
        table = read_table(file)
        losses = [name for name in table.series if name.partition(":")[0] not in (*_RISING, *_RANKING)]
        for name in losses[:1]:
            log.series[_TABLES[file.name]] = table.series[name]
            log.notes.add(f"{_TABLES[file.name]}: {name}, by {file.name}")
        log.notes.lines += table.notes.lines
        log.notes.lost += table.notes.lost
    if not log.series:
        raise UnreadableRun(f"no metric in {' and '.join(file.name for file in files)} is a loss.")
    log.offsets = dict.fromkeys(log.series, 1)  # it counts the trees before
    return log


def _claim(folder: Folder) -> Iterator[Part]:
    found = [name for name in _TABLES if name in folder.files and _is_table(folder.head(name), name)]
    if found:
        yield Part(FORMAT.name, tuple(folder.path / name for name in found), merged=_TWICE)


def _is_table(start: bytes, name: str) -> bool:
    return header_of(start, name)[:1] == ["iter"]


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_catboost(files)}


FORMAT = Format(
    "catboost",
    "",
    _claim,
    lambda path, start: path.name in _TABLES and _is_table(start, path.name),
    _read,
)
