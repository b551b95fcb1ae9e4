"""Which finished runs teach a network: those of its size and batch, of all whose lessons a prior holds."""

from __future__ import annotations

import math
from functools import lru_cache

from curvecast.fit.lessons import Lesson, Lessons
from curvecast.fit.likeness import alike_in_size
from curvecast.fit.paths import Point
from curvecast.fit.prior import Prior

UNKNOWN_SIZE = math.log(1e6)  # half-way between small and large
UNKNOWN_BATCH = math.log(1e5)  # tokens: half-way between those of small and of large networks
_LIKE_ENOUGH = 0.5  # least likeness in size and batch of runs that teach one another


class _Rows:
    """Lessons on one kind of loss, found by a few of them: to hash all takes longer than to use them."""

    def __init__(self, rows: tuple[tuple[float, ...], ...], of_val: bool) -> None:
        self.rows, self.of_val = rows, of_val

    def __hash__(self) -> int:
        return hash((len(self.rows), *self.rows[:1], *self.rows[-1:], self.of_val))

    def __eq__(self, other: object) -> bool:
        if not (isinstance(other, _Rows) and self.of_val == other.of_val):
            return False
        return self.rows is other.rows or self.rows == other.rows


def lessons_on(
    rows: tuple[tuple[float, ...], ...],
    of_val: bool,
    size: float = UNKNOWN_SIZE,
    batch: float = UNKNOWN_BATCH,
    curves: tuple[tuple[float, ...], ...] = (),
) -> Lessons | None:
    """A prior's lessons on validation or on train losses, of runs about as large; ``None`` where it has none.

    Args:
        rows: The prior's.
        of_val: On which loss.
        size: Logarithm of the parameters of the run that is forecast.
        batch: Logarithm of the tokens of a step of it.
        curves: The prior's points of whole curves.
    """
    if not rows:
        return None
    asked = _Rows(rows, of_val)
    return _lessons(asked, _Rows(curves, of_val), _kin(asked, size, batch))


def are_on(prior: Prior, of_val: bool) -> bool:
    """Whether a prior has lessons on such a loss, of runs about as large as the one that it was made for."""
    asked = _Rows(prior.lessons, of_val)
    return bool(prior.lessons and _kin(asked, *size_and_batch(prior)))


def size_and_batch(prior: Prior) -> tuple[float, float]:
    """Logarithm of the parameters, and of the tokens of a step, of the network that a prior was made for."""
    return logarithms(prior.size, prior.batch)


def logarithms(num_params: float | None, batch_tokens: float | None) -> tuple[float, float]:
    """Of parameters and of the tokens of a step, as lessons tell them; half-way between usual ones where unknown."""
    size = UNKNOWN_SIZE if num_params is None else math.log(num_params)
    return size, UNKNOWN_BATCH if batch_tokens is None else math.log(batch_tokens)


@lru_cache(maxsize=256)
def _kin(asked: _Rows, size: float, batch: float) -> frozenset[float]:
    """The runs about as large as one: strangers would set the sizes of what all of them share.

    Size and batch are what a run does not change on its way, so that its teachers stay the same.
    """
    lessons = [Lesson(*row) for row in asked.rows]
    told = {lesson.run: (lesson.size, lesson.batch) for lesson in lessons if lesson.of_val == float(asked.of_val)}
    return frozenset(run for run, of_run in told.items() if alike_in_size((size, batch), of_run) >= _LIKE_ENOUGH)


@lru_cache(maxsize=16)
def _lessons(asked: _Rows, curves: _Rows, runs: frozenset[float]) -> Lessons | None:
    kept = tuple(Lesson(*row) for row in asked.rows if row[1] == float(asked.of_val) and row[0] in runs)
    points = tuple(Point(*row) for row in curves.rows if row[1] == float(asked.of_val) and row[0] in runs)
    early = tuple(lesson for lesson in kept if not lesson.is_late)
    return Lessons(early, points, _at_the_end(kept)) if early else None


def _at_the_end(lessons: tuple[Lesson, ...]) -> tuple[Lesson, ...]:
    """The late lesson of each run that has one, and the one before: further ones would say of the end what most say."""
    of_run: dict[float, list[Lesson]] = {}
    for lesson in sorted(lessons, key=lambda lesson: lesson.progress):
        of_run.setdefault(lesson.run, []).append(lesson)
    return tuple(lesson for of in of_run.values() if of[-1].is_late for lesson in of[-2:])
