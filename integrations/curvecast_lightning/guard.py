"""Nothing of ours may end a training run."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Fallible(Protocol):
    """Something that can be switched off."""

    failed: bool

    def switch_off(self, error: Exception) -> None:
        """Take note of the first error; `failed` is True from then on."""


S = TypeVar("S", bound=Fallible)


class Lock:
    """Held while a sample is taken in, so that no other thread takes half a state; a copy has one of its own.

    Example:
        >>> import copy
        >>> lock = Lock()
        >>> with lock, lock, copy.deepcopy(lock):
        ...     print("one thread may hold it twice")
        one thread may hold it twice
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Lock], tuple[()]]:
        return Lock, ()


def guarded(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R | None]:
    """Run a method until something fails, and never let the failure out; from then on it gives None."""
    return _guarded(method, always=False)


def guarded_always(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R | None]:
    """`guarded`, but run after a failure too: what the other ranks wait for must still happen."""
    return _guarded(method, always=True)


def _guarded(method: Callable[Concatenate[S, P], R], *, always: bool) -> Callable[Concatenate[S, P], R | None]:
    @functools.wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        if self.failed and not always:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.switch_off(error)
            return None

    return run
