"""TensorBoard event files, read without tensorboard, protobuf or tensorflow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import FloatArray
from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.blocks import Rows
from curvecast.readers.formats import Folder, Format, Part, head
from curvecast.readers.frames import is_event_head
from curvecast.readers.scan import EventFile
from curvecast.readers.tags import TRAIN_WORDS, VAL_WORDS, split_words
from curvecast.readers.trainer_args import ARGS, EPOCH, planned

_EMPTY = "is empty"
_BARE = {"train", "training", "Train"}
_MICROSECONDS = 1e6
_LAST = 2.0**42  # seconds since 1970: microseconds of it fit into 64 bits
_HPARAMS = re.compile(r"\d{10}\.\d+")  # the folder that torch's `add_hparams` writes a run's last numbers into, again
_HPARAMS_SIGN = b"_hparams_/"  # what its file begins with; a run's own folder may be named by the time, too


def read_tfevents(paths: Sequence[Path], *, by_time: bool = False) -> Log:
    """Read the event files of one run, one after another in the order of time.

    A file that breaks off or is corrupt gives what stands before the damage; the next file goes on.

    Args:
        paths: the event files of one folder.
        by_time: whether the rows' order is their wall time [us], to be compared with that of other folders.

    Returns:
        The scalars of every tag, as written: the first version's ``simple_value`` and the second's scalar
        tensors alike, bit for bit as TensorBoard shows them.

    Raises:
        UnreadableRun: if no file holds a single scalar.
    """
    return join([_read_file(path, timed=by_time) for path in paths], by_time=by_time)


def join(files: Sequence[tuple[EventFile, list[Rows]]], *, by_time: bool = False) -> Log:
    """The log of event files that were read: as ``read_tfevents``, of each file and its blocks.

    Raises:
        UnreadableRun: if no file holds a single scalar.
    """
    paths = [file.path for file, _ in files]
    log = Log(paths[0] if len(paths) == 1 else paths[0].parent, "tfevents", {})
    parts: dict[bytes, list[Series]] = {}
    offset = 0
    for file, blocks in sorted(files, key=lambda each: (each[0].began, each[0].path.name)):
        kept = 0
        for block in blocks:
            for tag, rows in block.series.items():
                order = _in_order(block.walls[tag]) if by_time else rows.order + offset
                parts.setdefault(tag, []).append(Series(rows.steps, rows.values, order))
                kept += len(rows)
            log.restarts += [] if by_time else [(record + offset, step) for record, step in block.restarts]
        offset += file.records
        _note_damage(file, kept, log.notes)
    log.series = {tag.decode(errors="replace"): Series.joined(rows) for tag, rows in parts.items()}
    if EPOCH in log.series:
        told = [found for path in paths if (found := _args(head(path)))]
        log.meta |= planned(told[-1], log.series[EPOCH], log.notes) if told else {}
    if not any(map(len, log.series.values())):
        reasons = "; ".join(f"{file.path.name} {file.damage or 'holds no scalar'}" for file, _ in files)
        raise UnreadableRun(f"no scalars: {reasons}.")
    return log


def _in_order(walls: FloatArray) -> NDArray[np.int64]:
    """``(n,)`` wall times as whole microseconds; one that is no time comes first or last.

    Example:
        >>> _in_order(np.array([2.0, np.nan, 1e300])).tolist()
        [2000000, 0, 4398046511104000000]
    """
    return (np.clip(np.nan_to_num(walls), -_LAST, _LAST) * _MICROSECONDS).astype(np.int64)


def _args(start: bytes) -> str:
    """The arguments of Hugging Face's Trainer, where an event file begins with them, and what follows."""
    return start.partition(ARGS.encode())[2].decode(errors="replace")


def _note_damage(file: EventFile, kept: int, notes: Notes) -> None:
    if file.damage == _EMPTY:
        notes.add(f"{file.path.name} {file.damage}")
    elif file.damage:
        notes.add(f"{file.path.name} {file.damage}; kept the {kept} scalars before that", lost=True)


def _read_file(path: Path, *, timed: bool) -> tuple[EventFile, list[Rows]]:
    file, blocks = EventFile(path, timed=timed), list[Rows]()
    try:
        blocks.extend(file.poll())
    except OSError as error:
        file.damage = f"cannot be read ({error.strerror})"
    return file, blocks


def _claim(folder: Folder) -> Iterator[Part]:
    files = _event_files(folder.path, folder.files)
    if files:
        again = tuple(
            name for name in folder.folders if _HPARAMS.fullmatch(name) and _is_told_again(folder.path / name)
        )
        yield Part(FORMAT.name, files, merged=again)
    for stem, names in twins(folder.folders, alone=not files):
        found = tuple(file for name in names for file in _inside(folder.path / name))
        if len({file.parent for file in found}) == len(names):
            yield Part(FORMAT.name, found, stem, merged=names)


def _event_files(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(folder / name for name in names if "tfevents" in name and not name.endswith(".profile-empty"))


def _inside(folder: Path) -> tuple[Path, ...]:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError:
        return ()
    return _event_files(folder, names)


def _is_told_again(folder: Path) -> bool:
    files = _inside(folder)
    return bool(files) and all(_HPARAMS_SIGN in head(file) for file in files)


def twins(folders: Sequence[str], *, alone: bool) -> Iterator[tuple[str, tuple[str, str]]]:
    """Pairs of folders that are one run's: ``train`` and ``validation`` (Keras), ``loss_train`` and ``loss_val``.

    Args:
        folders: names of the folders that lie in one.
        alone: whether that one holds no event files of its own.

    Yields:
        The run's name within, empty for the folder's own, and the two names.

    Example:
        >>> list(twins(["train", "validation"], alone=True)), list(twins(["loss_train", "loss_val"], alone=True))
        ([('', ('train', 'validation'))], [('loss', ('loss_train', 'loss_val'))])
    """
    sides: dict[tuple[str, ...], dict[str, str]] = {}
    for name in folders:
        words = split_words(name)
        side = "train" if words & TRAIN_WORDS else "val" if words & VAL_WORDS else ""
        if side:
            rest = tuple(sorted(words - TRAIN_WORDS - VAL_WORDS))
            sides.setdefault(rest, {}).setdefault(side, name)
    for pair in sides.values():
        if len(pair) == 2:
            names = pair["train"], pair["val"]
            yield "" if alone and set(names) & _BARE else _stem(names[0]), names


def _stem(name: str) -> str:
    return "_".join(word for word in name.split("_") if word.lower() not in TRAIN_WORDS) or name


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    """One folder's files as they are; those of two, train and validation, with the folder's name before each tag."""
    folders = sorted({file.parent for file in files})
    if len(folders) < 2:
        return {"": read_tfevents(files)}
    whole = Log(folders[0].parent, "tfevents", {})
    for folder in folders:
        try:
            log = read_tfevents([file for file in files if file.parent == folder], by_time=True)
        except UnreadableRun as error:
            whole.notes.add(f"{folder.name}: {error}", lost=True)
            continue
        whole.series |= {f"{folder.name}/{tag}": rows for tag, rows in log.series.items()}
        whole.notes.lines += log.notes.lines
        whole.notes.lost += log.notes.lost
    if not whole.series:
        raise UnreadableRun("; ".join(whole.notes.lines))
    return {"": whole}


FORMAT = Format(
    "tfevents",
    "*tfevents*",
    _claim,
    lambda path, start: "tfevents" in path.name or is_event_head(start),
    _read,
)
