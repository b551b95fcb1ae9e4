"""Text logs of training scripts, each a dialect: patterns of lines, and how its steps are counted.

Sources: the ``print`` statements of karpathy/nanoGPT ``train.py``, karpathy/build-nanogpt ``train_gpt2.py``,
karpathy/llm.c ``train_gpt2.cu``, ``.c`` and ``.py`` and its ``main.log``, KellerJordan/modded-nanogpt
``train_gpt2.py``, karpathy/nanochat ``base_train.py``, NVIDIA/Megatron-LM ``training_log`` and EleutherAI/gpt-neox',
huggingface/nanotron, pytorch/torchtitan ``metrics.py`` and Lightning-AI/litgpt ``pretrain.py``.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import HEAD_BYTES, Folder, Format, Part

_SUFFIXES = (".log", ".txt", ".out", ".err")
_SNIFFED = 4 * HEAD_BYTES  # Megatron prints its arguments first
_ENOUGH = 2  # lines of a dialect: one may be chance
_LONGEST = 4096  # characters; no script prints so much of a step, and patterns would search it for long
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|[nN]a[nN]|NAN|[iI]nf)"
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one training script prints.

    Args:
        name: the script.
        lines: words that stand in a line, which are quickly found, and its pattern: the group ``step``, ``horizon``
            where it is printed, and a group for each tag. A line without a step belongs to the steps that were
            complete when the last line with one was printed.
        offsets: what added to a tag's step gives completed optimizer steps; empty where the script is not known.
        enough: lines by which the dialect is recognised.
    """

    name: str
    lines: tuple[tuple[str, re.Pattern[str]], ...]
    offsets: Mapping[str, int] = field(default_factory=dict)
    enough: int = _ENOUGH

    def matches(self, line: str) -> re.Match[str] | None:
        """The first pattern that is found in the line."""
        if len(line) > _LONGEST:
            return None
        for words, pattern in self.lines:
            if words in line and (match := pattern.search(line)) is not None:
                return match
        return None

    def may_speak(self, text: str) -> bool:
        """Whether a text has the words of any of its lines."""
        return any(words in text for words, _ in self.lines)


def _line(words: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    r"""A pattern that begins at a word: launchers and loggers put ranks, dates and levels before the script's words."""
    anchor = "" if pattern.startswith(("^", "(?i)^")) else r"(?<![\w-])"
    return words, re.compile((anchor + pattern).replace("NUMBER", _NUMBER))


_STEP = r"(?<![\w/-])(?:global[_ ])?(?:step|iter|iteration)\b[ :=\[]{0,3}(?P<step>\d+)(?![.,]?\d)"
_LOSS = r"(?:[|,;\])]\s*|\d:?\s+|\d\s*-\s+|\s{2,})(?:train(?:ing)?[_ /])?loss[ :=]{1,3}(?P<train_loss>NUMBER)"
_VAL = r"(?<![\w/-])(?:val|valid|validation|eval)[_ /]loss[ :=]{1,3}(?P<val_loss>NUMBER)"
_LR = r"(?<![\w/-])(?:lr|learning[ _]rate)[ :=]{1,3}(?P<lr>NUMBER)"

DIALECTS = (
    Dialect(
        "megatron",
        (
            _line(
                "iteration",
                r"iteration\s+(?P<step>\d+)(?:\s*\[\s*\d+\s*\])?\s*/\s*(?P<horizon>\d+)\s*\|"
                r"(?=.*?\blm[ _]loss:\s*(?P<train_loss>NUMBER)\s*\|)"
                r"(?:(?=.*?consumed tokens:\s*(?P<consumed_tokens>\d+)\s*\|))?"
                r"(?:(?=.*?learning rate:\s*(?P<lr>NUMBER)\s*\|))?",
            ),
            _line(
                "lm",
                r"valid(?:ation)? (?:loss|results) at iteration\s+(?P<step>\d+)(?![^|]*\btest\b)[^|]*\|"
                r"\s*lm[ _]loss value:\s*(?P<val_loss>NUMBER)\s*\|",
            ),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0, "consumed_tokens": 0},
    ),
    Dialect(
        "nanogpt",  # `step k` is measured before update k + 1, `iter k` within it
        (
            _line(
                "val loss", r"step (?P<step>\d+): train loss (?P<mean_train_loss>NUMBER), val loss (?P<val_loss>NUMBER)"
            ),
            _line("iter ", r"iter (?P<step>\d+): loss (?P<train_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "mean_train_loss": 0},
    ),
    Dialect(
        "modded-nanogpt",
        (
            _line(
                "step:",
                r"step:(?P<step>\d+)/(?P<horizon>\d+) (?:train_loss:(?P<train_loss>NUMBER)|loss:(?P<loss>NUMBER))",
            ),
            _line("val_loss:", r"step:(?P<step>\d+)/(?P<horizon>\d+) val_loss:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "loss": 0},
    ),
    Dialect(
        "llm.c",  # `s:k trl` is the loss of update k + 1, `s:k tel` is measured before it
        (
            _line("trl:", r"s:(?P<step>\d+) trl:(?P<train_loss>NUMBER)(?: lr:(?P<lr>NUMBER))?"),
            _line("tel:", r"s:(?P<step>\d+) tel:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "lr": 1},
    ),
    Dialect(
        "llm.c output",
        (
            _line(
                "loss ",
                r"step\s+(?P<step>\d+)/(?P<horizon>\d+) \| (?:train )?loss (?P<train_loss>NUMBER)"
                r"(?:.*?\| lr (?P<lr>NUMBER))?",
            ),
            _line("val loss", r"^val loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "llm.c output on a CPU",
        (
            _line("(took", r"step (?P<step>\d+): train loss (?P<train_loss>NUMBER) \(took"),
            _line("val loss", r"^val loss:? (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0},
    ),
    Dialect(
        "build-nanogpt",
        (
            _line(" train ", r"^(?P<step>\d+) train (?P<train_loss>NUMBER)\s*$"),
            _line(" val ", r"^(?P<step>\d+) val (?P<val_loss>NUMBER)\s*$"),
        ),
        {"train_loss": 1, "val_loss": 0},
    ),
    Dialect(
        "build-nanogpt output",
        (
            _line("| loss: ", r"step\s+(?P<step>\d+) \| loss: (?P<train_loss>NUMBER)(?: \| lr:? (?P<lr>NUMBER))?"),
            _line("validation loss: ", r"^validation loss: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "lr": 1},
    ),
    Dialect(
        "nanochat",
        (
            _line("| loss: ", r"step (?P<step>\d+)/(?P<horizon>\d+) \([\d.]+%\) \| loss: (?P<train_loss>NUMBER)"),
            _line("Validation bpb", r"Step (?P<step>\d+) \| Validation bpb: (?P<val_bpb>NUMBER)"),
        ),
        {"train_loss": 1, "val_bpb": 0},
    ),
    Dialect(
        "torchtitan",
        (
            _line("validate step:", r"validate step:\s*(?P<step>\d+)\s+loss:\s*(?P<val_loss>NUMBER)\s"),
            _line(
                "step:",
                r"(?<!validate )step:\s*(?P<step>\d+)(?:/(?P<horizon>\d+)[ =\d.%]*)?\s+"
                r"loss:\s*(?P<train_loss>NUMBER)\s+(?:grad_norm|memory):",
            ),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "nanotron",
        (
            _line(
                "lm_loss",
                r"iteration: (?P<step>\d+) / (?P<horizon>\d+) \|.*?\| lm_loss: (?P<train_loss>NUMBER) \|"
                r"(?:.*?\blr: (?P<lr>NUMBER) \|)?",
            ),
        ),
        {"train_loss": 0, "lr": 0},
    ),
    Dialect(
        "litgpt",  # `iter` counts micro-batches, `step` completed optimizer steps
        (
            _line("iter ", r"iter \d+ step (?P<step>\d+)(?: \| loss train: |: loss )(?P<train_loss>NUMBER)"),
            _line("val loss", r"iter \d+: val loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "lines with a step and a loss",  # any other script's; where a line names an epoch, its steps may begin anew
        (
            _line("oss", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?(?:(?=.*?{_LR}))?"),
            _line("oss", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_VAL})"),
        ),
        enough=5,
    ),
)


def dialect_of(text: str) -> Dialect | None:
    r"""The dialect that most of the lines speak; ``None`` where none has enough.

    Example:
        >>> dialect_of("step:1/100 train_loss:10.9 train_time:1ms\nstep:2/100 train_loss:10.8 train_time:2ms\n").name
        'modded-nanogpt'
    """
    possible = [dialect for dialect in DIALECTS if dialect.may_speak(text)]
    lines = _COLOUR.sub("", text).splitlines() if possible else []
    counts = [(sum(dialect.matches(line) is not None for line in lines), dialect) for dialect in possible]
    known = [(count, dialect) for count, dialect in counts if count >= dialect.enough]
    if not known:
        return None
    return max(known, key=lambda pair: (bool(pair[1].offsets), pair[0]))[1]


def read_text(path: Path) -> Log:
    """Read a text log of a known dialect, line by line.

    Raises:
        UnreadableRun: if it cannot be opened, or no dialect is found in it.
    """
    dialect = _sniff(path)
    if dialect is None:
        known = ", ".join(each.name for each in DIALECTS)
        raise UnreadableRun(f"{path.name} is no text log that is known. Known are those of {known}.")
    with path.open(encoding=_encoding(path), errors="replace") as file:
        series, horizons = _rows(file, dialect)
    meta: dict[str, object] = {"horizon": horizons.pop()} if len(horizons) == 1 else {}
    notes = Notes([f"the text log of {dialect.name}"])
    return Log(path, FORMAT.name, series, notes=notes, meta=meta, offsets=dict(dialect.offsets))


def _rows(lines: Iterable[str], dialect: Dialect) -> tuple[dict[str, Series], set[int]]:
    """The rows of every tag, and the horizons that were printed."""
    rows: dict[str, list[tuple[int, float, int]]] = {}
    horizons: set[int] = set()
    complete = 0  # steps when the last line with a step was printed
    for number, line in enumerate(lines):
        plain = _COLOUR.sub("", line) if "\x1b" in line else line
        if (match := dialect.matches(plain)) is None:
            continue
        found = match.groupdict()
        step = found.pop("step", None)
        if (horizon := found.pop("horizon", None)) is not None:
            horizons.add(int(horizon[:18]))
        for tag, value in found.items():
            if value is not None:
                offset = dialect.offsets.get(tag, 0)
                at = complete - offset if step is None else int(step[:18])
                rows.setdefault(tag, []).append((at, float(value), number))
                complete = complete if step is None else at + offset
    return {tag: Series.of(of_tag) for tag, of_tag in rows.items()}, horizons


def _sniff(path: Path) -> Dialect | None:
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
            dialect = _dialect_in(start)
            if dialect is None and len(start) == _SNIFFED:  # modded-nanogpt prints its own source first
                file.seek(max(_SNIFFED, file.seek(0, os.SEEK_END) - HEAD_BYTES))
                dialect = dialect_of(file.read().decode("utf-8", errors="replace"))
            return dialect
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error


def _dialect_in(start: bytes) -> Dialect | None:
    text = start.decode(_encoding_of(start), errors="replace")
    return None if "\0" in text else dialect_of(text)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return _encoding_of(file.read(2))


def _encoding_of(start: bytes) -> str:
    """UTF-16 where a byte order mark says so, as a redirection in PowerShell writes it; else UTF-8."""
    return "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(_SUFFIXES):
            path, start = folder.path / name, folder.head(name)
            try:
                dialect = _sniff(path) if len(start) == HEAD_BYTES else _dialect_in(start)
            except UnreadableRun:
                continue
            if dialect is not None:
                yield Part(FORMAT.name, (path,), path.stem)


def _accepts(path: Path, start: bytes) -> bool:
    text = start.decode(_encoding_of(start), errors="replace")
    return "\0" not in text and (path.suffix in _SUFFIXES or dialect_of(text) is not None)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_text(files[0])}


FORMAT = Format(
    "text",
    "text logs (*.log, *.txt, *.out, *.err) of nanoGPT, build-nanogpt, llm.c, modded-nanogpt, Megatron and others",
    _claim,
    _accepts,
    _read,
)
