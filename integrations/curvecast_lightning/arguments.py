"""The callback's arguments, checked where they are given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from curvecast import Reason
from curvecast.schedule.checks import MOST_STEPS

T = TypeVar("T")
NO_REASON_TO_STOP = {Reason.ON_TRACK, Reason.NOT_ENOUGH_DATA}


def listed(name: str, value: object, what: str) -> list[Any]:
    """The members of an argument.

    Raises:
        ValueError: if it has none because it is one thing.
    """
    if not isinstance(value, Iterable):
        raise ValueError(f"`{name}` must hold some or none: got {value!r:.40}. Pass {what}, or ().")
    return list(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and 1 <= value < MOST_STEPS


def reasons(stop_on: str | Collection[str]) -> frozenset[Reason]:
    """The reasons to stop for.

    Raises:
        ValueError: if one of them is no reason, or none to stop for.

    Example:
        >>> sorted(reasons({"diverged", "overfitting"}))
        [<Reason.DIVERGED: 'diverged'>, <Reason.OVERFITTING: 'overfitting'>]
    """
    wanted = [stop_on] if isinstance(stop_on, str) else listed("stop_on", stop_on, "reasons, such as {'diverged'}")
    known = [reason for reason in Reason if reason not in NO_REASON_TO_STOP]
    for word in wanted:
        if word not in known:
            raise ValueError(
                f"`stop_on` must hold reasons to stop for: got {str(word)!r}. "
                f"Choose from {', '.join(repr(str(reason)) for reason in known)}."
            )
    return frozenset(Reason(word) for word in wanted)


def loaded(name: str, given: T | str, load: Callable[[str], T]) -> T:
    """What a path leads to, as YAML can but name a file; anything else as it was given.

    Raises:
        ValueError: if there is no such file.
    """
    if not isinstance(given, str):
        return given
    try:
        return load(given)
    except OSError as error:
        words = error.strerror or type(error).__name__
        raise ValueError(
            f"`{name}` must be the path of a file: got {given!r} ({words}). Pass one that exists."
        ) from error


def cools(on_stop: str, cooldown: int | None) -> bool:
    """Whether a cooldown comes before the stop.

    Raises:
        ValueError: if `on_stop` is neither "stop" nor "cooldown", or `cooldown` below 1 or of no use.
    """
    if on_stop not in ("stop", "cooldown"):
        raise ValueError(f"`on_stop` must be 'stop' or 'cooldown': got {on_stop!r}.")
    if cooldown is not None and (not _is_whole(cooldown) or on_stop == "stop"):
        raise ValueError(
            f"`cooldown` must be at least 1 step, with on_stop='cooldown': got {cooldown!r:.40} with "
            f"on_stop={on_stop!r}. "
            "Pass None to have its length chosen."
        )
    return on_stop == "cooldown"


def cadence(every_n_steps: int | None) -> int | None:
    """The number of steps between two samples.

    Raises:
        ValueError: if it is below 1.
    """
    if every_n_steps is not None and not _is_whole(every_n_steps):
        raise ValueError(
            f"`every_n_steps` must be at least 1 optimizer step, and whole: got {every_n_steps!r:.40}. "
            "Pass None for the Trainer's log_every_n_steps."
        )
    return every_n_steps


def shares(milestones: Sequence[float]) -> tuple[float, ...]:
    """The milestones, in order.

    Raises:
        ValueError: if one lies outside (0, 1).
    """
    for share in listed("milestones", milestones, "shares of the horizon, such as (0.25, 0.5)"):
        if not isinstance(share, int | float) or not 0 < share < 1:
            raise ValueError(
                f"`milestones` must lie between 0 and 1: got {share}. Pass shares of the horizon, such as 0.25."
            )
    return tuple(sorted(set(milestones)))


def warm(warm_start: str | None) -> str | None:
    """Where a run that goes on without our state learns its past from.

    Raises:
        ValueError: if it is neither "logs" nor None.
    """
    if warm_start not in (None, "logs"):
        raise ValueError(
            f'`warm_start` must be "logs" or None: got {warm_start!r}. Pass "logs" to read the run\'s logs.'
        )
    return warm_start
