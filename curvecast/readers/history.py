"""One JSON value that holds a run: a list of records, or a list of numbers for each tag, as Keras' ``history`` is.

Of the latter the steps are the list of that name; where there is none, the lists count epochs. In a file named for a
loss the lists may be called by their sides alone (``train``, ``val``), and the numbers of a record may have no names.
Each side may have a list of records of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.axis import ADVICE
from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import HEAD_BYTES, Folder, Format, Part
from curvecast.readers.rows import Records
from curvecast.readers.tags import LOSS_WORDS, split_words
from curvecast.readers.values import TRIPLE, are_lists, records_of, runs_of, shorter

_RECORDS = re.compile(rb"\s*\[\s*\{")
_LISTS = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*\[\s*[-+\d.NI\]]')
_NESTED = re.compile(rb'\s*\{(?:\s*"[^"]*"\s*:\s*\{){1,3}\s*"[^"]*"\s*:\s*\[\s*[-+\d.NI\]]')
_LOSS = re.compile(
    rb'"[^"]*(?<![a-z])(?:m?log)?loss(?![^"]*(?:weight|coef))[^"]*"\s*:\s*(?:"?[-+\d.]|[NIn\[{])', re.IGNORECASE
)
_TIDY = re.compile(rb'"(?:metricV|v)alue"\s*:')  # records of one number
_NAMED = re.compile(rb':\s*"[^"]*(?<![a-z])loss[^"]*"', re.IGNORECASE)
_TRIPLES = re.compile(rb"\s*\[\s*\[\s*\d+\s*,\s*-?\d+\.[-+\deE]+\s*,\s*-?\d+\.[-+\deE]+\s*\]")
_SIDE_RECORDS = re.compile(rb'\s*\{\s*"(?:train(?:ing)?|val(?:id)?)"\s*:\s*\[\s*\{', re.IGNORECASE)
_OF_SIDES = re.compile(rb'"train(?:ing)?"\s*:\s*\[', re.IGNORECASE)
_LISTS_WITHIN = re.compile(  # somewhere in an object: numbers named for a loss
    rb'"[^"\n]{0,80}(?<![a-z])loss(?:es)?(?:[_ ](?:history|curve|list|values|log|hist|per[_ ]epoch))?"\s*:'
    rb"\s*\[(?:\s*[-+\d.eENaInfityul]{1,30}\s*,){2}",
    re.IGNORECASE,
)
_PAIRS = (  # no text fits it in two ways, or a record of thirty numbers would be tried in billions of them
    rb'\s*\{(?:\s*"[^"\n]{0,80}"\s*:[^"\[\]{},]{1,80},){0,30}\s*"[^"\n]{0,80}loss"\s*:\s*[-+\d.N]'
)
_RECORDS_WITHIN = re.compile(rb"\[" + _PAIRS, re.IGNORECASE)  # the first of a list of records with one
_RECORD_WITHIN = re.compile(rb":" + _PAIRS, re.IGNORECASE)
_OURS = re.compile(rb'\s*\{[^{}\[\]]{0,80}"kind"\s*:\s*"curvecast\.')  # a law that `curvecast fit` left among its runs
_TRAINER = b'"log_history"'  # of Hugging Face's, whose checkpoints hold one another's
_ENOUGH = 3  # rows that make a run of what lies within other names
_SHOWN = 8  # names of what is no run
_CHAINER = "log"  # what its LogReport writes
_LARGEST = 1 << 26  # bytes: all of it is in memory at once, tenfold


def read_history(path: Path) -> Log:
    """Read the records, or the lists.

    Raises:
        UnreadableRun: if the file is no such value, or has no step.
    """
    return _log_of(path, _loaded(path))


def _loaded(path: Path) -> object:
    try:
        if path.stat().st_size > _LARGEST:
            why = f"{path.name} is one JSON value of more than {_LARGEST >> 20} MiB. Write lines of JSON."
            raise UnreadableRun(why)
        value: object = json.loads(path.read_bytes())
    except UnreadableRun:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    return value


def _log_of(path: Path, value: object) -> Log:
    records = Records()
    for record in records_of(value):
        records.add(record)
    notes = Notes()
    records.count_losses(notes)
    series, unit = records.series()
    if not series:
        raise UnreadableRun(
            f"no list of records with a step, and no lists of numbers, of one run in {path.name}{_held(value)}. "
            f"{ADVICE}"
        )
    if isinstance(value, list) and not any(isinstance(record, dict) for record in value):
        notes.add(f"its numbers have no names: taken for {', '.join(TRIPLE)}")
    if isinstance(value, dict) and are_lists(value) and (short := shorter(value)):
        notes.add(f"{path.name}: lists shorter than the longest are left out: {short}", lost=True)
    units = dict.fromkeys(series, unit) if unit != "step" else {}
    return Log(path, FORMAT.name, series, notes=notes, units=units, axis=records.step_name() or "")


def _held(value: object) -> str:
    """What a value holds instead of a run, in a few words."""
    if not isinstance(value, dict):
        return ""
    shown = ", ".join(repr(name) for name in list(value)[:_SHOWN]) + (", ..." if len(value) > _SHOWN else "")
    return f": it is an object with {shown}" if value else ": it is an object with nothing in it"


def _is_bare(name: str, start: bytes) -> bool:
    """Whether what is named for a loss holds lists of numbers that are not: by their sides, or in triples."""
    named = bool(split_words(Path(name).stem) & LOSS_WORDS)
    return named and bool(_TRIPLES.match(start) or (_LISTS.match(start) and _OF_SIDES.search(start)))


def _looks_right(start: bytes) -> bool:
    if _OURS.match(start):
        return False
    if _RECORDS.match(start) is not None and _TIDY.search(start) is not None and _NAMED.search(start) is not None:
        return True
    forms = (_RECORDS, _LISTS, _NESTED, _SIDE_RECORDS)
    if any(form.match(start) for form in forms):
        return _LOSS.search(start) is not None
    return start[:1] == b"{" and _TRAINER not in start and _may_hold_a_run(start)


def _may_hold_a_run(start: bytes) -> bool:
    """Whether losses in some order lie within other names, as far as the value is there: results have losses, too."""
    within = _LISTS_WITHIN.search(start) or _RECORDS_WITHIN.search(start)
    if len(start) == HEAD_BYTES or not (within or _RECORD_WITHIN.search(start)):
        return within is not None
    try:
        value = json.loads(start)
    except (ValueError, RecursionError):
        return False
    records = Records()
    for record in records_of(value):
        records.add(record)
    records.count_losses(Notes())
    return records.count >= _ENOUGH and records.step_name() is not None


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if (name.endswith(".json") or name == _CHAINER) and (
            _looks_right(folder.head(name)) or _is_bare(name, folder.head(name))
        ):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    """The runs of a value by name; the empty name where it holds one only."""
    value = _loaded(files[0])
    runs = runs_of(value)
    return {name: _log_of(files[0], each) for name, each in runs.items()} or {"": _log_of(files[0], value)}


FORMAT = Format(
    "history",
    "*.json",
    _claim,
    lambda path, start: (
        (path.suffix == ".json" or path.name == _CHAINER) and (_looks_right(start) or _is_bare(path.name, start))
    ),
    _read,
)
