"""What a prior may hold: its files are edited by hand, and what no fit can work with is refused beforehand."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

_LESSON, _POINT = 15, 11  # a lesson has so many numbers, and a point of a whole curve
# Those on one loss are solved at once; learning keeps at most 640 lessons, and 1,400 points.
_ROWS = {"lessons": (_LESSON, 1_000), "curves": (_POINT, 3_000)}
_MOST_TOLD = 1e3  # largest size of a lesson's numbers, which are logarithms and shares, but for the run's
_LESSER = 1e-4  # least standard deviation
# Least and most of each number, far outside what any data have shown.
_NUMBERS = {
    "alpha_log_mean": (-5.0, 3.0),
    "alpha_log_sd": (0.01, 10.0),
    "drift_growth": (0.0, 1e4),
    "converged": (-10.0, 10.0),
    "converged_sd": (_LESSER, 100.0),
    "reducible": (0.0, 10.0),
    "reducible_sd": (_LESSER, 100.0),
    "annealing_log_mean": (-20.0, 0.0),
    "annealing_log_sd": (_LESSER, 10.0),
    "annealing_speed": (-100.0, 100.0),
    "annealing_sd": (_LESSER, 100.0),
    "gap_sd": (_LESSER, 100.0),
    "growth": (1e-6, 1.0 - 1e-6),
    "growth_sd": (_LESSER, 100.0),
    "drop_error": (1e-6, 100.0),
    "lesson_error": (1e-6, 100.0),
    "outlier": (0.0, 1.0 - 1e-6),
    "outlier_error": (1e-6, 100.0),
    "sudden": (0.0, 1.0 - 1e-6),
    "sudden_until": (1e-6, 1e6),
    "sudden_size": (-10.0, 10.0),
    "sudden_sd": (_LESSER, 100.0),
    "flat": (1e-6, 1.0 - 1e-6),
    "unlike": (0.0, 1.0 - 1e-6),
}
_GRIDS = {
    "alpha": (1e-3, 10.0),
    "offset": (-0.999, 100.0),
    "window": (0.0, 0.999),
    "drift": (1e-8, 1.0),
    "onset": (1e-3, 0.999),
}
_SHAPE = (1e-6, 100.0)  # half-times of annealing, and powers of the rate
_COUNTS = {"size": "parameters", "batch": "tokens"}
_ADVICE = "Learn the prior anew, or take the number from a prior that `curvecast learn` wrote."


def check(values: Mapping[str, Any]) -> None:
    """Whether a prior can be made of its fields' values.

    Args:
        values: of every field but ``small``, ``wide`` and ``beside``.

    Raises:
        ValueError: if a value is of another kind, or out of range.

    Example:
        >>> check({"alpha": (0.5, "a")})
        Traceback (most recent call last):
        ValueError: `alpha` must be a grid of numbers from 0.001 to 10: got (0.5, 'a'). Learn the prior anew, ...
    """
    for name, value in values.items():
        if name in _NUMBERS and not _lies(value, _NUMBERS[name]):
            raise ValueError(f"`{name}` must be a number {_span(_NUMBERS[name])}: got {value!r:.80}. {_ADVICE}")
        if name in _GRIDS and not (_filled(value) and all(_lies(each, _GRIDS[name]) for each in value)):
            raise ValueError(f"`{name}` must be a grid of numbers {_span(_GRIDS[name])}: got {value!r:.80}. {_ADVICE}")
        if name == "annealing_shape" and not (_filled(value) and all(map(_is_shape, value))):
            raise ValueError(
                f"`{name}` must be a grid of pairs of numbers {_span(_SHAPE)}: got {value!r:.80}. {_ADVICE}"
            )
        if name in _ROWS:
            _check_rows(name, value, *_ROWS[name])
        if name in _COUNTS and not (value is None or _lies(value, (math.ulp(0.0), sys.float_info.max))):
            raise ValueError(f"`{name}` must be a number of {_COUNTS[name]} or None: got {value!r:.80}. {_ADVICE}")
        if name == "source" and not isinstance(value, str):
            raise ValueError(f"`{name}` must be a text: got {value!r:.80}. {_ADVICE}")


def _check_rows(name: str, rows: object, length: int, most: int) -> None:
    """Whether these are rows of so many numbers, and not too many of them; if not, which is none."""
    must = f"`{name}` must hold rows of {length} numbers within {_MOST_TOLD:g}"
    if not isinstance(rows, tuple):
        raise ValueError(f"{must}: got {rows!r:.80}. {_ADVICE}")
    if len(rows) > most:
        raise ValueError(f"`{name}` must hold at most {most} rows: got {len(rows)}. {_ADVICE}")
    for number, row in enumerate(rows, 1):
        if not _is_row(row, length):
            raise ValueError(f"{must}: got {row!r:.200} as row {number}. {_ADVICE}")


def _lies(value: object, span: tuple[float, float]) -> bool:
    """Whether a value is a number of a span; NaN lies in none."""
    return isinstance(value, int | float) and span[0] <= value <= span[1]


def _filled(value: object) -> bool:
    return isinstance(value, tuple) and bool(value)


def held_to(name: str, value: float) -> float:
    """The nearest number that a prior's field, or each of its grid, may have.

    Example:
        >>> held_to("reducible", 9.0), held_to("reducible", 12.0)
        (9.0, 10.0)
    """
    least, most = (_NUMBERS | _GRIDS)[name]
    return min(max(value, least), most)


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_lies(each, _SHAPE) for each in value)


def is_lesson(row: object) -> bool:
    """Whether a row may be one: its numbers are there and within bounds."""
    return _is_row(row, _LESSON)


def is_point(row: object) -> bool:
    """Whether a row may be a point of a whole curve."""
    return _is_row(row, _POINT)


def _is_row(row: object, length: int) -> bool:
    if not (isinstance(row, tuple) and len(row) == length and _lies(row[0], (0.0, 1e9))):
        return False
    return all(_lies(each, (-_MOST_TOLD, _MOST_TOLD)) for each in row[1:])


def _span(span: tuple[float, float]) -> str:
    return f"from {span[0]:.6g} to {span[1]:.6g}"
