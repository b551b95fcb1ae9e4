"""Logs of one run that lie there twice: copied, linked, or written by two loggers."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curvecast.readers import Run

_LEAST = 12  # losses, fewer of which may well agree by chance
_ROUNDING = 1e-6  # of a loss, relatively: event files hold 32 bits of it
_NAMED = 4  # copies; of more, so many and how many others
_HELPS = ("schedule", "num_params", "batch_tokens", "horizon", "epoch_steps", "dataset_tokens")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """By what a run is known again: a few numbers, which travel between processes.

    Args:
        counts: Of its losses, of those below zero, and of its steps.
        levels: Of its losses [loss unit, or that of the largest].
    """

    counts: tuple[int, ...]
    levels: tuple[float, ...]

    @property
    def level(self) -> float:
        """The first of its levels; 0 where no loss is finite."""
        return next(iter(self.levels), 0.0)

    def agrees(self, other: Fingerprint) -> bool:
        """Whether both are of one run."""
        if self.counts != other.counts:
            return False
        return all(math.isclose(*pair, rel_tol=_ROUNDING) for pair in zip(self.levels, other.levels, strict=True))


def fingerprint(run: Run) -> Fingerprint | None:
    """What a run is known by; ``None`` of one with few losses.

    Example:
        >>> import numpy as np
        >>> from curvecast.readers import Run
        >>> steps, nothing = np.arange(1, 41), np.full(40, np.nan)
        >>> losses = 2.0 + 3.0 * steps**-0.5
        >>> rounded = losses.astype(np.float32).astype(np.float64)
        >>> runs = (Run("d", steps, each, nothing, nothing) for each in (losses, rounded, -losses))
        >>> one, same, other = map(fingerprint, runs)
        >>> one.agrees(same), one.agrees(other)
        (True, False)
    """
    import numpy as np

    counts, levels = list[int](), list[float]()
    for losses in (run.train_loss, run.val_loss):
        told, sound = ~np.isnan(losses), np.isfinite(losses)
        steps, values = run.steps[told], losses[sound]
        counts += [len(steps), len(values), *map(int, (steps.sum(), *steps[:1], *steps[-1:]))]
        if len(values):
            size = np.abs(values)
            largest = float(size.max()) or 1.0
            size /= largest  # their sum neither overflows nor loses its digits to losses of the other sign
            counts.append(int((values < 0.0).sum()))
            rising = np.linspace(1.0, 2.0, len(values))
            levels += map(float, (size.mean(), largest, rising @ size, *values[[0, len(values) // 2, -1]]))
    is_enough = run.points("train") + run.points("val") >= _LEAST
    return Fingerprint(tuple(counts), tuple(levels)) if is_enough else None


def copies(prints: Sequence[Fingerprint | None]) -> dict[int, int]:
    """The places of copies, each with that of the first of its kind.

    Only runs of nearly the same level are held against one another: a sweep has thousands of the same steps.

    Example:
        >>> copies([Fingerprint((12,), (level,)) for level in (2.5, 3.0, 2.5, 2.5)])
        {2: 0, 3: 0}
    """
    firsts: dict[tuple[int, ...], list[tuple[float, int, Fingerprint]]] = {}  # by counts, in the order of levels
    found: dict[int, int] = {}
    for place, mine in enumerate(prints):
        if mine is None:
            continue
        alike, slack = firsts.setdefault(mine.counts, []), 2.0 * _ROUNDING * abs(mine.level)
        since = bisect_left(alike, mine.level - slack, key=itemgetter(0))
        until = bisect_right(alike, mine.level + slack, key=itemgetter(0))
        first = min((at for _, at, other in alike[since:until] if mine.agrees(other)), default=None)
        if first is None:
            insort(alike, (mine.level, place, mine), key=itemgetter(0))
        else:
            found[place] = first
    return found


def each_once(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The runs without copies of one another, and what to say of those left out: the log that tells most is kept."""
    ranked = sorted(range(len(runs)), key=lambda place: (-_told(runs[place]), place))
    left_out = {ranked[k]: ranked[of] for k, of in copies([fingerprint(runs[place]) for place in ranked]).items()}
    kept = [run for place, run in enumerate(runs) if place not in left_out]
    return kept, list(said((runs[k].name, runs[of].name) for k, of in sorted(left_out.items())))


def said(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A line on each copy and what it is a copy of; of many on the first few.

    Example:
        >>> list(said([("b", "a"), ("c", "a")]))
        ['b is a copy of a: their losses are the same.', 'c is a copy of a: their losses are the same.']
    """
    listed = list(pairs)
    for name, of in listed[:_NAMED]:
        yield f"{name} is a copy of {of}: their losses are the same."
    if (more := len(listed) - _NAMED) > 0:
        yield f"{more} more {'is a copy' if more == 1 else 'are copies'} of others."


def _told(run: Run) -> int:
    """How much a log tells beside the losses."""
    return sum(run.meta.get(key) is not None for key in _HELPS) + bool((run.lr == run.lr).any())
