from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from curvecast.curve import FloatArray
from curvecast.fit.lessons import Lesson, lessons_on
from curvecast.fit.likeness import USUAL, Places

PLACE = (0.7, 0.0, 0.5, 14.0, 9.0, 7.0, 1.0)  # of a forecast half-way


def lesson(run: float, came: float, at: tuple[float, ...] = PLACE, *, sd: float = 0.01, noise: float = 0.0) -> Lesson:
    """A lesson of a forecast half-way, which foresaw a change of -0.1."""
    z = (came + 0.1) / sd
    density = -0.5 * z * z - math.log(sd * math.sqrt(2.0 * math.pi))
    return Lesson(*(run, 1.0, -0.7, *at, -0.1, sd, came, noise, density))


def places(*at: tuple[float, ...], sd: float = 0.01) -> Places:
    return Places(np.array(at), np.full(len(at), -0.1), np.full(len(at), sd))


def expected(rows: Iterable[Lesson], of: Places) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What such lessons foresee: the change, its standard deviation, and the probability that they hold."""
    lessons = lessons_on(tuple(rows), of_val=True)
    assert lessons is not None
    return lessons.expected(of)


def test_runs_that_share_nothing_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    apart = tuple(lesson(k, came) for k, came in enumerate([*(-0.1 + 0.002 * rng.standard_normal(12)), 0.8, -0.9, 0.8]))
    alike = tuple(lesson(k, -0.08 + 0.001 * k) for k in range(4))
    for rows, holds in ((apart, False), (alike, True)):
        lessons = lessons_on(rows, of_val=True)
        assert lessons is not None
        _, _, held = lessons.expected(places(PLACE))
        assert bool(held[0] > 0.85) is holds
        assert lessons_on(rows, of_val=False) is None


def test_lessons_hold_where_a_forecast_stands_alike() -> None:
    lessons = lessons_on(tuple(lesson(k, -0.08) for k in range(4)), of_val=True)
    assert lessons is not None
    later, lower = (*PLACE[:5], PLACE[5] + 8.0, PLACE[6]), (*PLACE[:6], PLACE[6] - 3.0)
    change, sd, held = lessons.expected(places(PLACE, later, lower))
    assert change[0] == pytest.approx(-0.08, abs=0.005)
    assert sd[0] < 0.01
    assert held[0] > 0.9
    assert held[1:].max() < 0.5


def of_size(size: float) -> tuple[float, ...]:
    return (*PLACE[:3], size, *PLACE[4:])


def of_batch(batch: float) -> tuple[float, ...]:
    return (*PLACE[:4], batch, *PLACE[5:])


def test_a_trend_in_the_size_is_carried_on() -> None:
    rows = [lesson(k, -0.1 + 0.01 * k, of_size(14.0 + 1.4 * k)) for k in range(3)]
    change, sd, _ = expected(rows, places(of_size(16.8), of_size(18.2)))
    assert change[0] == pytest.approx(-0.08, abs=0.005)
    assert change[1] > change[0] + 0.002
    assert sd[1] > sd[0]


def test_runs_of_a_batch_teach_those_of_the_same_batch_most() -> None:
    rows = [lesson(k, -0.1 + (0.01 if k % 2 else -0.01), of_batch(13.0 if k % 2 else 9.0)) for k in range(6)]
    change, _, _ = expected(rows, places(of_batch(9.0), of_batch(13.0)))
    assert change[0] < -0.103
    assert change[1] > -0.097


def test_where_the_law_was_the_better_one_lessons_hold_less() -> None:
    rng = np.random.default_rng(0)
    learners = [lesson(k, -0.02 + 0.1 * rng.standard_normal(), sd=0.05) for k in range(4)]
    flat = [lesson(4 + k, -0.1 + 1e-4 * rng.standard_normal(), sd=1e-4) for k in range(4)]
    _, _, held = expected([*learners, *flat], places(PLACE, sd=1e-4))
    _, _, elsewhere = expected([*learners, *flat], places(PLACE, sd=0.05))
    assert held[0] < 0.5 < elsewhere[0]


def test_the_noise_of_an_end_is_in_the_interval_of_the_next() -> None:
    (_, sure, _), (_, unsure, _) = (
        expected([lesson(k, -0.08, noise=noise) for k in range(4)], places(PLACE)) for noise in (0.0, 0.05)
    )
    assert unsure[0] > 1.4 * sure[0]


def test_one_run_changes_no_habits() -> None:
    one, many = (lessons_on(tuple(lesson(k, -0.08) for k in range(runs)), of_val=True) for runs in (1, 6))
    assert one is not None
    assert many is not None
    assert one.habits == USUAL
    assert many.habits != USUAL
