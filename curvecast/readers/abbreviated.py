"""Steps that are printed as ``1K`` or ``1.2M``, which say only about where a line stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

_TIMES = {"k": 1_000, "m": 1_000_000}
_MOST = 10**18 - 1  # steps that a text log is asked for: they have 18 digits at most


@dataclass(slots=True)
class Abbreviated:
    """Such steps as they come, each put where those before it lead, as far as what is printed allows that.

    Source: ``format_big_number`` of huggingface/lerobot, which prints 800, 1K, 1K, 1K, 2K for every 200th step.

    Example:
        >>> rows = {"loss": [(600, 2.5, 0), (800, 2.25, 1)]}
        >>> abbreviated = Abbreviated()
        >>> [abbreviated.step(told, ["loss"], rows) for told in ("1K", "1K", "1K", "2K")]
        [1000, 1200, 1400, 1600]
    """

    apart: int = 0  # of the steps before, where that is known
    last: int = 0
    _seen: set[str] = field(default_factory=set)  # what was told of the last step

    def step(self, told: str, tags: Collection[str], rows: Mapping[str, Sequence[tuple[int, float, int]]]) -> int:
        """The step that a line tells about.

        Args:
            told: as it is printed.
            tags: what the line tells of it; what is told for the second time is of a later step.
            rows: step, value and place of what was told before, by tag.
        """
        about, within = _about(told)
        if not self.last:
            before = max((rows[tag] for tag in tags if tag in rows), key=len, default=[])
            self.last = before[-1][0] if before else 0
            self.apart = before[-1][0] - before[-2][0] if len(before) > 1 else 0
            self._seen = set(tags)
        if self._seen.isdisjoint(tags) and abs(self.last - about) < within:
            self._seen |= set(tags)
            return self.last
        goes_on = self.last + self.apart
        self.last = goes_on if self.apart > 0 and abs(goes_on - about) < within else about
        self._seen = set(tags)
        return self.last


def _about(told: str) -> tuple[int, int]:
    """What is printed, and how far from the step it may lie, that one excluded."""
    number, times = told[:-1], _TIMES[told[-1].lower()]
    decimals = len(number.partition(".")[2])
    return round(min(float(number) * times, _MOST)), max(times // 10**decimals, 1)
