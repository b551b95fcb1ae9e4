"""Text logs of training scripts, each a dialect: patterns of lines, and how its steps are counted.

Sources: the ``print`` statements of karpathy/nanoGPT ``train.py``, karpathy/build-nanogpt ``train_gpt2.py``,
karpathy/llm.c ``train_gpt2.cu`` and its ``main.log``, KellerJordan/modded-nanogpt ``train_gpt2.py``, and
NVIDIA/Megatron-LM ``training_log``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import HEAD_BYTES, Folder, Format, Part

_SUFFIXES = (".log", ".txt", ".out")
_SNIFFED = 4 * HEAD_BYTES  # Megatron prints its arguments first
_ENOUGH = 2  # lines of a dialect: one may be chance
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf|NaN|Inf)"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one training script prints.

    Args:
        name: the script.
        lines: patterns of lines: the group ``step``, ``horizon`` where it is printed, and a group for each tag.
        offsets: what added to a tag's step gives completed optimizer steps.
    """

    name: str
    lines: tuple[re.Pattern[str], ...]
    offsets: Mapping[str, int] = field(default_factory=dict)

    def matches(self, line: str) -> re.Match[str] | None:
        """The first pattern that the line begins with."""
        for pattern in self.lines:
            if (match := pattern.match(line)) is not None:
                return match
        return None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("NUMBER", _NUMBER))


DIALECTS = (
    Dialect(
        "megatron",
        (
            _pattern(
                r"\s*(?:\[[^\]]*\]\s*)?iteration\s+(?P<step>\d+)/\s*(?P<horizon>\d+)\s*\|"
                r"(?:.*?learning rate:\s*(?P<lr>NUMBER)\s*\|)?.*?lm loss:\s*(?P<train_loss>NUMBER)\s*\|"
            ),
            _pattern(
                r"\s*(?:\[[^\]]*\]\s*)?validation loss at iteration\s+(?P<step>\d+)[^|]*\|\s*lm loss value:\s*"
                r"(?P<val_loss>NUMBER)\s*\|"
            ),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "nanogpt",  # `step k` is measured before update k + 1, `iter k` within it
        (
            _pattern(r"step (?P<step>\d+): train loss (?P<mean_train_loss>NUMBER), val loss (?P<val_loss>NUMBER)"),
            _pattern(r"iter (?P<step>\d+): loss (?P<train_loss>NUMBER), time "),
        ),
        {"train_loss": 1, "val_loss": 0, "mean_train_loss": 0},
    ),
    Dialect(
        "modded-nanogpt",
        (
            _pattern(
                r"step:(?P<step>\d+)/(?P<horizon>\d+) (?:train_loss:(?P<train_loss>NUMBER)|loss:(?P<loss>NUMBER))"
            ),
            _pattern(r"step:(?P<step>\d+)/(?P<horizon>\d+) val_loss:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "loss": 0},
    ),
    Dialect(
        "llm.c",  # `s:k trl` is the loss of update k + 1, `s:k tel` is measured before it
        (
            _pattern(r"s:(?P<step>\d+) trl:(?P<train_loss>NUMBER)(?: lr:(?P<lr>NUMBER))?"),
            _pattern(r"s:(?P<step>\d+) tel:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "lr": 1},
    ),
    Dialect(
        "llm.c output",
        (_pattern(r"step\s+(?P<step>\d+)/(?P<horizon>\d+) \| (?:train )?loss (?P<train_loss>NUMBER)"),),
        {"train_loss": 0},
    ),
    Dialect(
        "build-nanogpt",
        (
            _pattern(r"(?P<step>\d+) train (?P<train_loss>NUMBER)\s*$"),
            _pattern(r"(?P<step>\d+) val (?P<val_loss>NUMBER)\s*$"),
        ),
        {"train_loss": 1, "val_loss": 0},
    ),
)


def dialect_of(text: str) -> Dialect | None:
    r"""The dialect that most of the lines speak; ``None`` where none has two.

    Example:
        >>> dialect_of("step:1/100 train_loss:10.9 train_time:1ms\nstep:2/100 train_loss:10.8 train_time:2ms\n").name
        'modded-nanogpt'
    """
    lines = text.splitlines()
    counts = [(sum(dialect.matches(line) is not None for line in lines), dialect) for dialect in DIALECTS]
    most, best = max(counts, key=lambda pair: pair[0])
    return best if most >= _ENOUGH else None


def read_text(path: Path) -> Log:
    """Read a text log of a known dialect, line by line.

    Raises:
        UnreadableRun: if it cannot be opened, or no dialect is found in it.
    """
    dialect = _sniff(path)
    if dialect is None:
        known = ", ".join(each.name for each in DIALECTS)
        raise UnreadableRun(f"{path.name} is no text log that is known. Known are those of {known}.")
    rows: dict[str, list[tuple[int, float, int]]] = {}
    horizons: set[int] = set()
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file):
            if (match := dialect.matches(line)) is None:
                continue
            found = match.groupdict()
            step = int(found.pop("step")[:18])
            if (horizon := found.pop("horizon", None)) is not None:
                horizons.add(int(horizon[:18]))
            for tag, value in found.items():
                if value is not None:
                    rows.setdefault(tag, []).append((step, float(value), number))
    series = {tag: Series.of(of_tag) for tag, of_tag in rows.items()}
    meta: dict[str, object] = {"horizon": horizons.pop()} if len(horizons) == 1 else {}
    notes = Notes([f"the text log of {dialect.name}"])
    return Log(path, FORMAT.name, series, notes=notes, meta=meta, offsets=dict(dialect.offsets))


def _sniff(path: Path) -> Dialect | None:
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error
    if b"\0" in start:
        return None
    return dialect_of(start.decode("utf-8", errors="replace"))


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(_SUFFIXES):
            path = folder.path / name
            try:
                known = _sniff(path) is not None
            except UnreadableRun:
                continue
            if known:
                yield Part(FORMAT.name, (path,), path.stem)


def _accepts(path: Path, start: bytes) -> bool:
    if b"\0" in start:
        return False
    return dialect_of(start.decode("utf-8", errors="replace")) is not None or path.suffix in _SUFFIXES


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_text(files[0])}


FORMAT = Format(
    "text",
    "text logs (*.log, *.txt, *.out) of nanoGPT, build-nanogpt, llm.c, modded-nanogpt and Megatron",
    _claim,
    _accepts,
    _read,
)
