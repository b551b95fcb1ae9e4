"""What is said of a request that cannot be answered, or of a run that cannot be drawn: what, got, do."""

from __future__ import annotations

import re

_THREE = re.compile(r"(?P<what>.*?): got (?P<got>.*?)\. (?P<do>.*)", re.DOTALL)


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        what: what must be.
        got: what was met.
        do: what to do.
    """

    def __init__(self, status: int, what: str, got: str, do: str) -> None:
        super().__init__(what)
        self.status = status
        self.words = {"what": what, "got": got, "do": do}


def words(error: Exception | str) -> dict[str, str]:
    """The three parts of one of curvecast's messages; all of it where it has no such parts.

    Example:
        >>> words("`horizon` must be positive: got -3. Pass the planned optimizer steps.")
        {'what': '`horizon` must be positive', 'got': '-3', 'do': 'Pass the planned optimizer steps.'}
    """
    message = str(error)
    if found := _THREE.fullmatch(message):
        return found.groupdict()
    return {"what": message, "got": "", "do": ""}


def too_few(error: Exception, do: str = "It comes by itself as training goes on.") -> dict[str, str]:
    """The three parts of one that says that it is too early for a forecast: who reads a page calls no function."""
    return words(error) | {"do": do}
