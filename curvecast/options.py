"""Settings as people write them: ``124M``, ``cosine:warmup=500,floor=0.1``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from curvecast.schedule import Schedule

_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_KINDS: dict[str, Callable[..., Schedule]] = {
    "constant": Schedule.constant,
    "cosine": Schedule.cosine,
    "linear": Schedule.linear,
    "wsd": Schedule.wsd,
}


def whole_number(text: str) -> int:
    """A whole number of at least 1, also written ``20_000``, ``1.24e8`` or ``124M``.

    Raises:
        ValueError: if it is none.

    Example:
        >>> whole_number("124M")
        124000000
    """
    number = _number(text)
    if not (number >= 1.0 and number.is_integer()):
        raise ValueError(f"must be a whole number of at least 1: got {text!r}. Pass e.g. 20000 or 124M.")
    return int(number)


def positive_number(text: str) -> float:
    """A positive number, also written ``5.76e23``, ``7B`` or ``1.4T``.

    Raises:
        ValueError: if it is none.

    Example:
        >>> positive_number("1.4T")
        1400000000000.0
    """
    number = _number(text)
    if not 0.0 < number < math.inf:
        raise ValueError(f"must be a positive number: got {text!r}. Pass e.g. 5.76e23, 7B or 1.4T.")
    return number


def _number(text: str) -> float:
    """What a text says, its unit counted; NaN where it is no number."""
    unit = _UNITS.get(text[-1:].lower())
    try:
        return float(text) if unit is None else float(text[:-1]) * unit
    except ValueError:
        return math.nan


def schedule_of(spec: str, horizon: int | None) -> Schedule:
    """The schedule that a kind, and after a colon its numbers, describe.

    Args:
        spec: ``constant``, ``cosine``, ``linear`` or ``wsd``, with the arguments of that method of ``Schedule``.
        horizon: planned optimizer steps [steps].

    Raises:
        ValueError: if there is no such kind or argument, no horizon, or the numbers cannot be a schedule's.

    Example:
        >>> schedule_of("wsd:decay=0.2", 1000).lr(1000)
        0.0
    """
    kind, _, numbers = spec.partition(":")
    if kind not in _KINDS:
        raise ValueError(f"got {kind!r}. Pass one of {', '.join(_KINDS)}.")
    if horizon is None:
        raise ValueError("must have an end: got no horizon. Pass --horizon too.")
    arguments: dict[str, Any] = {}
    try:
        for pair in filter(None, numbers.split(",")):
            name, _, value = (part.strip() for part in pair.partition("="))
            arguments[name] = _setting(_KINDS[kind], name, value)
        return _KINDS[kind](horizon, **arguments)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{spec!r}: {error}") from error


def _setting(kind: Callable[..., Schedule], name: str, text: str) -> object:
    """One number (or the word of ``shape``) of a schedule's settings, of which ``n`` is the horizon."""
    known = [parameter for parameter in inspect.signature(kind).parameters if parameter != "n"]
    if name not in known:
        raise ValueError(f"got {name!r}. Pass some of {', '.join(known) or 'no settings'}, as in wsd:decay=0.2.")
    if name == "shape":
        return text
    try:
        return int(text.replace("_", "")) if name == "warmup" else float(text)
    except ValueError:
        whole = "a whole number of steps" if name == "warmup" else "a number"
        raise ValueError(f"`{name}` must be {whole}: got {text!r}.") from None
