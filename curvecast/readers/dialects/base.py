"""A dialect: how one training script prints, as patterns of lines, and how its steps are counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

_AT_START = ("^", "(?i)^")  # patterns that a line begins with
_ENOUGH = 2  # lines that a dialect needs: one may be chance
PLANS = ("horizon", "epochs")  # groups that tell of the whole run, as a log's ``meta`` does
PLACES = {"epoch", "epoch_steps"}  # that tell where a line stands, besides the step
_LONGEST = 4096  # characters; no script prints so much of a step, and patterns would search it for long
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|[nN]a[nN]|NAN|[iI]nf)"


class Line:
    """How a script prints one kind of line.

    Args:
        words: one of them stands in it, and is quickly found.
        source: of its pattern.
    """

    def __init__(self, words: tuple[str, ...], source: str) -> None:
        self.words, self.source = words, source

    def may_be(self, text: str) -> bool:
        """Whether a text has one of the words."""
        for word in self.words:  # noqa: SIM110 - `any` costs more than most looks do
            if word in text:
                return True
        return False

    @cached_property
    def find(self) -> Callable[[str], re.Match[str] | None]:
        """The pattern's first match; compiled when first asked for: of some ninety a log needs a few, if it is text."""
        pattern = re.compile(self.source)
        return pattern.match if self.source.startswith(_AT_START) else pattern.search  # not at every place


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """How one training script prints.

    Args:
        name: the script.
        lines: their patterns have the group ``step``, ``horizon`` or ``epochs`` where they are printed, and a group for
            each tag. A line without a step belongs to the steps that were complete when the last line with one was
            printed.
        offsets: what added to a tag's step gives completed optimizer steps; empty where the script is not known.
        enough: lines by which the dialect is recognised.
        unit: what the step counts.
        held: tags that are printed anew with every line until there is another value.
        is_guess: whether no script is known by it, so that a dialect that is known goes before.
        is_last: whether it is asked only where no other is found, as what a bar shows is said better by lines.
        begins_anew: whether a step that goes back begins an epoch, though no epoch is printed.
        in_blocks: whether a step stands above the one loss of each side that belongs to it.
        in_brackets: whether its steps may be batches, though its unit says samples: their distances tell.
        counts: a tag each of whose lines is a step, as none tells it; empty where they do.
    """

    name: str
    lines: tuple[Line, ...]
    offsets: Mapping[str, int] = field(default_factory=dict)
    enough: int = _ENOUGH
    unit: str = "step"
    held: frozenset[str] = frozenset()
    is_guess: bool = False
    is_last: bool = False
    begins_anew: bool = False
    in_blocks: bool = False
    in_brackets: bool = False
    counts: str = ""

    def matches(self, line: str) -> re.Match[str] | None:
        """The first pattern that is found in the line."""
        if len(line) > _LONGEST:
            return None
        for kind in self.lines:
            if kind.may_be(line) and (match := kind.find(line)) is not None:
                return match
        return None

    def may_speak(self, text: str) -> bool:
        """Whether a text has the words of any of its lines."""
        return any(kind.may_be(text) for kind in self.lines)


def line(words: str | tuple[str, ...], pattern: str) -> Line:
    """A pattern that begins at a word: launchers and loggers put ranks, dates and levels before the script's words."""
    anchor = "" if pattern.startswith(_AT_START) else r"(?<![\w-])"
    return Line((words,) if isinstance(words, str) else words, (anchor + pattern).replace("NUMBER", _NUMBER))
