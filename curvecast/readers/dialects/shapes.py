"""Lines by their shape: two that differ in nothing but their digits are matched alike, so each shape is matched once.

A log has millions of lines of a handful of shapes, and a pattern that looks for several things in a line takes ten
microseconds. Which digit stands somewhere matters to no pattern, but for those that a pattern itself has (``l2``), and
for a number that must repeat what stood before (``391/391``): whether it does is part of the shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from curvecast.readers.dialects.base import PLACES, PLANS, Dialect, Line

_MOST = 2048  # shapes that are kept; a text that has more is no log, or writes numbers of any length
_MOST_BELOW = 2  # losses below a line with their step: a mean may stand beside the last one
_RANK = re.compile(
    r"\W*(?i:default|rank|local_rank|gpu)[ _:=]?(\d{1,5})\]|\s*(\d{1,5}): |\[\d+,(\d{1,5})\]<std"
)  # torchrun's; srun --label's; mpirun --tag-output's
_REPEATED = re.compile(r"\\[1-9]")
# Of a pattern: what stands for any digit or for one that was found before, how often something comes, and a character.
_NO_DIGIT = re.compile(r"\\d|\\[1-9]|\{\d*,?\d*\}|\\u[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Shape:
    """What stands where in the lines of a shape.

    Args:
        pattern: that is found in them.
        step: where the step stands; ``None`` in lines that have none.
        plans: where the horizon and the number of epochs stand, by the name of their group, as far as they do.
        values: likewise every other number, in the order of the pattern's groups.
        rank: where the rank of the process stands that prints them; ``None`` where none does.
        tells: whether there is a number beside their step.
    """

    pattern: re.Pattern[str]
    step: slice | None
    plans: tuple[tuple[str, slice], ...]
    values: dict[str, slice]
    rank: slice | None
    tells: bool


@dataclass(slots=True)
class Shapes:
    """The shapes of a log's lines, as they come.

    Args:
        dialect: what the lines are in.

    Example:
        >>> from curvecast.readers.dialects import DIALECTS
        >>> shapes = Shapes(next(each for each in DIALECTS if each.name == "DeepSpeed"))
        >>> line = "steps: 100 loss: 3.2516 iter time (s): 0.5"
        >>> line[shapes.of(line).step], line[shapes.of(line).values["train_loss"]], shapes.of("loading") is None
        ('100', '3.2516', True)
        >>> shapes.of(line) is shapes.of("steps: 200 loss: 3.1024 iter time (s): 0.6")
        True
    """

    dialect: Dialect
    _alike: bytes = field(init=False)
    _repeats: tuple[Line, ...] = field(init=False)
    _known: dict[bytes, Shape | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._alike = _alike(self.dialect)
        self._repeats = tuple(
            Line(kind.words, kind.source[: repeated.end()])
            for kind in self.dialect.lines
            if (repeated := _REPEATED.search(kind.source)) is not None
        )

    def of(self, line: str) -> Shape | None:
        """The shape of a line; ``None`` where no pattern of the dialect is found in it."""
        key = line.encode("utf-8", "surrogatepass").translate(self._alike)
        for kind in self._repeats:
            key += b"=" if kind.may_be(line) and kind.find(line) is not None else b"!"
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= _MOST:
                self._known.clear()
            shape = self._known[key] = self._matched(line)
            return shape

    def _matched(self, line: str) -> Shape | None:
        if (match := self.dialect.matches(line)) is None:
            return None
        there = {name: slice(*match.span(name)) for name, value in match.groupdict().items() if value is not None}
        plans = tuple((name, there.pop(name)) for name in PLANS if name in there)
        rank = _RANK.match(line)
        place = None if rank is None else slice(*rank.span(rank.lastindex or 0))
        return Shape(match.re, there.pop("step", None), plans, there, place, not there.keys() <= PLACES)

    def spoken(self, lines: Iterable[str]) -> int:
        """How many of the lines tell a number beside their step; none where not one of them tells a step."""
        found, counted = [shape for shape in map(self.of, lines) if shape is not None], self.dialect.counts
        if counted:
            return sum(counted in shape.values for shape in found)
        if self.dialect.in_blocks:  # below a head with many losses each has a step of its own, which is not known
            losses = sum("train_loss" in shape.values for shape in found)
            if losses > _MOST_BELOW * sum(shape.step is not None for shape in found):
                return 0
        return sum(shape.tells for shape in found) if any(shape.step is not None for shape in found) else 0


def _alike(dialect: Dialect) -> bytes:
    """The table that makes digits alike which the dialect's patterns do not tell apart."""
    sources = "".join("".join(kind.words) + kind.source for kind in dialect.lines)
    alike = "".join(set("0123456789") - set(_NO_DIGIT.sub("", sources))).encode()
    return bytes.maketrans(alike, alike[:1] * len(alike))
