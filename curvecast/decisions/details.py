"""What stands behind a verdict, worked out when it is asked for: few verdicts of a run ever are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """A value that is worked out when first asked for, and kept; pickled as what it came to.

    Args:
        make: What gives it.

    Example:
        >>> loss = Once(lambda: print("worked out") or 2.5)
        >>> loss(), loss()
        worked out
        (2.5, 2.5)
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make

    def __call__(self) -> T:
        """The value."""
        if (make := self._make) is not None:  # another thread may be done between two looks
            self._made: T = make()
            self._make = None  # what gave it need not be kept
        return self._made

    def __reduce__(self) -> tuple[Any, ...]:
        return Once, (partial(_itself, self()),)


def _itself(value: T) -> T:
    return value


class Details(Mapping[str, float]):
    """Named numbers of several origins as one mapping; of two with the same name the last counts.

    Args:
        *parts: The numbers, or what gives them.

    Example:
        >>> details = Details({"best_step": 400.0}, lambda: {"best_loss": 2.5})
        >>> details["best_loss"], len(details)
        (2.5, 2)
    """

    __slots__ = ("_found",)

    def __init__(self, *parts: Mapping[str, float] | Callable[[], Mapping[str, float]]) -> None:
        self._found = Once(partial(_joined, parts))

    def __getitem__(self, name: str) -> float:
        return self._found()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found())

    def __len__(self) -> int:
        return len(self._found())

    def __repr__(self) -> str:
        return repr(self._found())

    def __reduce__(self) -> tuple[Any, ...]:
        return Details, (self._found(),)


def _joined(parts: Sequence[Mapping[str, float] | Callable[[], Mapping[str, float]]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in parts:
        found |= part if isinstance(part, Mapping) else part()
    return found
