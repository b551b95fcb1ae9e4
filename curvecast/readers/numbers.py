"""Bare numbers, as ``numpy.savetxt`` writes them: a loss a line, or a step and a loss, in a file named for its loss.

Files of one folder that have usual names (``train_loss.txt``, ``val_loss.txt``) are one run; any other is its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.growing import ends_cut
from curvecast.readers.layout import value_of
from curvecast.readers.tags import LOSS_WORDS, is_usual_loss, split_words
from curvecast.schedule.checks import MOST_STEPS

_SUFFIXES = (".txt", ".dat", ".csv", ".log", ".out")
_BETWEEN = re.compile(r"[\s,;]+")
_ENOUGH = 5  # lines of numbers that make a log: fewer may be a result
_SHOWN = 3


def read_numbers(files: Sequence[Path]) -> Log:
    """Read files of bare numbers, each a tag of its name; where no step stands, the lines are counted.

    Raises:
        UnreadableRun: if one of them cannot be opened, or holds no numbers.
    """
    log = Log(files[0] if len(files) == 1 else files[0].parent, FORMAT.name, {})
    for file in files:
        log.series[file.stem] = _rows(file, log.notes)
    return log


def _rows(file: Path, notes: Notes) -> Series:
    rows, bad, width = list[tuple[int, float, int]](), list[int](), 0
    try:
        cut = ends_cut(file, _last)
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith("#") or not line.strip() or (cut and not line.endswith("\n")):
                    continue
                numbers = _numbers(line)
                width = width or len(numbers or ())
                step = numbers[0] if numbers and width == 2 else float(len(rows) + 1)
                if numbers is None or len(numbers) != width or not step.is_integer() or abs(step) > MOST_STEPS:
                    bad.append(number)
                else:
                    rows.append((int(step), numbers[-1], number))
    except OSError as error:
        raise UnreadableRun(f"cannot read {file.name}: {error.strerror}.") from error
    if not rows:
        raise UnreadableRun(f"{file.name} holds no lines of one or two numbers.")
    if bad:
        shown = ", ".join(map(str, bad[:_SHOWN])) + (" ..." if len(bad) > _SHOWN else "")
        notes.add(f"{file.name}: {len(bad)} lines are no numbers and left out: {shown}", lost=True)
    if width == 1:
        notes.add(f"{file.name} has no steps: its lines are counted")
    return Series.of(rows)


def _numbers(line: str) -> list[float] | None:
    """The numbers of a line; ``None`` where it has others than one or two, or anything else."""
    cells = _BETWEEN.split(line.strip())
    numbers = [number for cell in cells[:3] if (number := value_of(cell)) is not None]
    return numbers if len(numbers) == len(cells) <= 2 else None


def _last(line: str) -> str | None:
    return _BETWEEN.split(line.strip())[-1] if _numbers(line) is not None else None


def _are_numbers(name: str, start: bytes) -> bool:
    """Whether a file is named for a loss, and begins with bare numbers."""
    path = Path(name)
    if path.suffix not in _SUFFIXES or not split_words(path.stem) & LOSS_WORDS:
        return False
    lines = [line for line in start.decode("utf-8-sig", errors="replace").split("\n")[:-1] if not line.startswith("#")]
    return len(lines) >= _ENOUGH and all(_numbers(line) is not None for line in lines[:_ENOUGH])


def _claim(folder: Folder) -> Iterator[Part]:
    own = list[Path]()
    for name in folder.files:
        if "loss" in name.lower() and _are_numbers(name, folder.head(name)):
            path = folder.path / name
            if is_usual_loss(path.stem):
                own.append(path)
            else:
                yield Part(FORMAT.name, (path,), path.stem)
    if own:
        yield Part(FORMAT.name, tuple(own))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_numbers(files)}


FORMAT = Format(
    "numbers",
    "",
    _claim,
    lambda path, start: _are_numbers(path.name, start),
    _read,
)
