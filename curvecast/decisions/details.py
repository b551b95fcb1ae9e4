"""Named numbers behind a verdict, worked out when one is asked for: a healthy run is seldom asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property


class Details(Mapping[str, float]):
    """Named numbers of several origins as one mapping; of two with the same name the last counts.

    Args:
        *parts: The numbers, or what gives them.

    Example:
        >>> details = Details({"best_step": 400.0}, lambda: {"best_loss": 2.5})
        >>> details["best_loss"], len(details)
        (2.5, 2)
    """

    def __init__(self, *parts: Mapping[str, float] | Callable[[], Mapping[str, float]]) -> None:
        self._parts = parts

    @cached_property
    def _found(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in self._parts:
            found |= part if isinstance(part, Mapping) else part()
        self._parts = ()  # what gave them need not be kept
        return found

    def __getitem__(self, name: str) -> float:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)
