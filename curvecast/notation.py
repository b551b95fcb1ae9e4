"""Numbers as people read them: a loss with its interval, an amount, a count, a time; and the order of names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_UNITS = (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3))
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_PLAIN = (1e-3, 1e6)  # numbers between these are written without a power of ten
_NOTHING = 1e-90  # a smaller number is what rounding leaves of zero: no loss is as small
_DIGITS = 4  # digits of a number that has no interval, and the least of one that has


def with_interval(value: float, lower: float, upper: float) -> str:
    """A number and its interval, all three to the same decimal place.

    Example:
        >>> [with_interval(*loss) for loss in ((2.913, 2.905, 2.921), (2.92, 2.164, 3.916), (3.1e-5, 2.9e-5, 3.5e-5))]
        ['2.913 [2.905, 2.921]', '2.92 [2.16, 3.92]', '3.10e-05 [2.90e-05, 3.50e-05]']
    """
    value_text, lower_text, upper_text = alike(value, lower, upper, width=upper - lower)
    return f"{value_text} [{lower_text}, {upper_text}]"


def alike(*values: float, width: float) -> list[str]:
    """Numbers to one decimal place: that which shows two digits of a width.

    Losses of ordinary size have two decimals at least, so that those of several runs line up.

    Args:
        values: what is written; those that are not finite come out as ``inf`` or ``nan``.
        width: what must be seen, such as that of an interval; where it is 0 or not finite, four digits are shown.

    Example:
        >>> alike(2.9, 1.85312, width=0.016), alike(153_000.0, 88_123.4, width=60_000.0), alike(2.5, width=0.0)
        (['2.900', '1.853'], ['153000', '88123'], ['2.500'])
    """
    values = tuple(0.0 if abs(value) < _NOTHING else value for value in values)
    width = 0.0 if width < _NOTHING else width
    size = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    power = math.floor(math.log10(size)) if size > 0.0 else 0
    decimals = _DIGITS - 1 - power
    if 0.0 < width < math.inf:
        decimals = max(2 - math.ceil(math.log10(width)), min(decimals, 2))
    if size and not _PLAIN[0] <= size < _PLAIN[1]:
        return [f"{value:z.{max(decimals + power, 0)}e}" for value in values]
    return [f"{value:z.{max(decimals, 0)}f}" for value in values]


def amount(number: float) -> str:
    """A size or a number of tokens to three digits, as ``options.whole_number`` reads it.

    Example:
        >>> [amount(number) for number in (950, 124e6, 9.996e8, 1.4e12, 3e16)]
        ['950', '124M', '1B', '1.4T', '3e+16']
    """
    rounded = float(f"{number:.3g}")
    unit, worth = next(((unit, worth) for unit, worth in _UNITS if worth <= rounded < 1000 * _UNITS[0][1]), ("", 1.0))
    return f"{rounded / worth:.3g}{unit}"


def plural(count: int, noun: str) -> str:
    """A count of things, one of them in the singular.

    Example:
        >>> plural(1, "step"), plural(20_000, "step")
        ('1 step', '20,000 steps')
    """
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"


def some_of(names: Sequence[str], most: int) -> str:
    """Names in words, of many the first few.

    Example:
        >>> some_of(["a", "b"], 4), some_of(list("abcdef"), 4)
        ('a, b', 'a, b, c, d and 2 more')
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def duration(seconds: float) -> str:
    """A time to two digits.

    Example:
        >>> [duration(s) for s in (40.0, 600.0, 9000.0, 200_000.0)]
        ['40 s', '10 min', '2.5 h', '2.3 days']
    """
    for unit, name, upto in ((1.0, "s", 120.0), (_MINUTE, "min", 2 * _HOUR), (_HOUR, "h", 2 * _DAY)):
        if seconds < upto:
            return f"{seconds / unit:.2g} {name}" if unit > 1.0 else f"{seconds:.0f} s"
    return f"{seconds / _DAY:.2g} days"


def natural(name: str) -> list[tuple[tuple[float, ...], str]]:
    """What names are sorted by where the numbers in them count as numbers.

    Example:
        >>> sorted(["run10", "run9", "best"], key=natural)
        ['best', 'run9', 'run10']
        >>> sorted(["lr=0.001", "lr=0.0003", "lr=3e-5", "v1.10.2", "v1.9.0"], key=natural)
        ['lr=3e-5', 'lr=0.0003', 'lr=0.001', 'v1.9.0', 'v1.10.2']
    """
    parts = re.split(r"(\d+(?:\.\d+)*(?:e-\d+)?)", name)  # words and numbers in turn
    return [(_numbers(part), "") if at % 2 else ((), part) for at, part in enumerate(parts)]


def _numbers(text: str) -> tuple[float, ...]:
    """A number such as ``0.001`` or ``3e-4``; of a version or a day, which has more points, each of its own."""
    several = text.count(".") > 1
    return tuple(float(part) for part in (text.split(".") if several else [text]))
