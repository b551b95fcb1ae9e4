from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from curvecast.curve import FloatArray
from curvecast.fit.lessons import Ahead, Expected, Lesson, Lessons, Way
from curvecast.fit.likeness import Places
from curvecast.fit.paths import Path
from curvecast.fit.scores import of_gaussians
from curvecast.fit.teachers import lessons_on

PLACE = (0.7, 0.0, 0.5, 14.0, 9.0, 7.0, 1.0)  # of a forecast half-way


def lesson(run: float, came: float, at: tuple[float, ...] = PLACE, *, sd: float = 0.01, noise: float = 0.0) -> Lesson:
    """A lesson of a forecast half-way, which foresaw a change of -0.1."""
    return Lesson(*(run, 1.0, -0.7, *at, -0.1, sd, came, noise, score(-0.1, sd, came)))


def score(change: float, sd: float, came: float) -> float:
    """That of a law whose forecast is a Gaussian."""
    return float(of_gaussians(np.array(change), np.array(sd), np.array(came)))


def places(*at: tuple[float, ...], sd: float = 0.01) -> Places:
    return Places(np.array(at), np.full(len(at), -0.1), np.full(len(at), sd))


def expected(rows: Iterable[Lesson], of: Places) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What such lessons foresee: the change, its standard deviation, and the probability that they hold."""
    lessons = lessons_on(tuple(rows), True, *of.at[0, 3:5])
    assert lessons is not None
    return in_all(lessons.expected(of))


def in_all(told: Expected) -> tuple[FloatArray, FloatArray, FloatArray]:
    """All parts together: mean and standard deviation where one holds, and the probability that one does."""
    held = told.held.sum(axis=0)
    share = told.held / held
    change = (share * told.change).sum(axis=0)
    variance = (share * (told.sd**2 + (told.change - change) ** 2)).sum(axis=0)
    return change, np.sqrt(variance), held


def by_law_and_plain(told: Expected) -> list[float]:
    """Probabilities at the first place that either lesson holds, of whatever run."""
    return [float(part[:, 0].sum()) for part in np.split(told.held, 2)]


def test_runs_that_share_nothing_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    apart = tuple(lesson(k, came) for k, came in enumerate([*(-0.1 + 0.002 * rng.standard_normal(12)), 0.8, -0.9, 0.8]))
    alike = tuple(lesson(k, -0.08 + 0.001 * k) for k in range(4))
    for rows, holds in ((apart, False), (alike, True)):
        lessons = lessons_on(rows, of_val=True, size=PLACE[3], batch=PLACE[4])
        assert lessons is not None
        _, _, held = in_all(lessons.expected(places(PLACE)))
        assert bool(held[0] > 0.85) is holds
        assert lessons_on(rows, of_val=False) is None


def test_lessons_hold_where_a_forecast_stands_alike() -> None:
    lessons = lessons_on(tuple(lesson(k, -0.08) for k in range(4)), of_val=True, size=PLACE[3], batch=PLACE[4])
    assert lessons is not None
    later, lower = (*PLACE[:5], PLACE[5] + 8.0, PLACE[6]), (*PLACE[:6], PLACE[6] - 3.0)
    change, sd, held = in_all(lessons.expected(places(PLACE, later, lower)))
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
    rows = [lesson(k, -0.1 + (0.01 if k % 2 else -0.01), of_batch(12.0 if k % 2 else 9.0)) for k in range(6)]
    change, _, _ = expected(rows, places(of_batch(9.0), of_batch(12.0)))
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


def noisy_team(seed: int, *, runs: int) -> list[Lesson]:
    """Runs whose ends the law foresees as well as it says, and that are known to within their noise."""
    rng, rows = np.random.default_rng(seed), []
    for run in range(runs):
        end = 0.006 * rng.standard_normal()
        for share in (0.05, 0.1, 0.16, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9):
            left, sd = -math.log(share), 0.1 * (1.0 - share) ** 1.5 + 0.001
            at = (left, share, 1.0 - share, 14.0, 9.0, 8.0 + math.log(share), 1.0)
            change = -0.1 * left
            came = change + sd * rng.standard_normal() + end
            rows.append(Lesson(run, 1.0, -left, *at, change, sd, came, 0.006, score(change, sd, came)))
    return rows


def test_runs_that_the_law_foresees_rightly_do_not_spoil_it() -> None:
    taught, untaught = [], []
    for seed in range(12):
        *rows, new = np.split(np.array(noisy_team(seed, runs=9)), 9)
        change, sd, came = new[:, 10], new[:, 11], new[:, 12]
        learnt = lessons_on(tuple(map(tuple, np.concatenate(rows).tolist())), True, 14.0, 9.0)
        assert learnt is not None
        told, _, held = in_all(learnt.expected(Places(new[:, 3:10], change, sd)))
        taught.append(np.abs(change + held * (told - change) - came) / np.hypot(sd, 0.006))
        untaught.append(np.abs(change - came) / np.hypot(sd, 0.006))
    assert np.mean(taught) < 1.03 * np.mean(untaught)


def test_strangers_in_the_folder_teach_nothing() -> None:
    rows = [lesson(k, -0.08 + 0.001 * k) for k in range(4)]
    strangers = [lesson(4 + k, 0.1 * k, (*PLACE[:3], 6.0, 3.0, *PLACE[5:])) for k in range(4)]
    alone, together = (lessons_on(tuple(of), True, PLACE[3], PLACE[4]) for of in (rows, [*rows, *strangers]))
    assert alone is not None
    assert together is not None
    assert together.by_law.habits == alone.by_law.habits
    assert lessons_on(tuple(strangers), True, PLACE[3], PLACE[4]) is None


def test_one_run_that_went_astray_does_not_teach_all() -> None:
    rows = [lesson(k, -0.08) for k in range(6)]
    astray = [lesson(6, 0.2)]
    (change, _, _), (spoilt, _, _) = expected(rows, places(PLACE)), expected([*rows, *astray], places(PLACE))
    assert spoilt[0] == pytest.approx(change[0], abs=0.008)


def recipe(*, runs: int, law_off: float, runs_off: float) -> list[Lesson]:
    """Runs that fall by a tenth from half-way on: how far their ends scatter, and how far the law's forecasts do."""
    rng = np.random.default_rng(3)
    rows = []
    for run in range(runs):
        came = -0.1 + runs_off * rng.standard_normal()
        change = came + law_off * rng.standard_normal()
        rows.append(lesson(run, came)._replace(change=change, sd=0.03, score=score(change, 0.03, came)))
    return rows


@pytest.mark.parametrize(("law_off", "runs_off", "better"), [(0.06, 0.002, 1), (0.002, 0.03, 0)])
def test_what_has_foretold_the_runs_by_one_another_is_believed(law_off: float, runs_off: float, better: int) -> None:
    *rows, new = recipe(runs=4, law_off=law_off, runs_off=runs_off)
    lessons = lessons_on(tuple(rows), True, PLACE[3], PLACE[4])
    assert lessons is not None
    told = lessons.expected(Places(np.array([PLACE]), np.array([new.change]), np.array([new.sd])))
    held = by_law_and_plain(told)
    assert held[better] > 2.0 * held[1 - better]


def test_one_run_says_nothing_of_runs_without_the_law() -> None:
    lessons = lessons_on((lesson(0, -0.08),), True, PLACE[3], PLACE[4])
    assert lessons is not None
    by_law, plain = by_law_and_plain(lessons.expected(places(PLACE)))
    assert by_law == pytest.approx(0.7)
    assert plain < 1e-9


def test_one_run_is_believed_less_of_another_course_than_two_would_be() -> None:
    decaying, held_rate = PLACE, (0.7, 0.0, 0.0, *PLACE[3:])
    rows = tuple(lesson(k, -0.08) for k in range(2))
    (_, _, one), (_, _, two) = (expected(taught, places(decaying, held_rate)) for taught in (rows[:1], rows))
    assert one[1] / one[0] < 0.95 * two[1] / two[0]


def test_lessons_fade_where_the_law_was_not_as_sure() -> None:
    rows = [lesson(k, -0.08) for k in range(4)]
    _, _, held = expected(rows, places(PLACE, sd=0.01))
    _, _, surer = expected(rows, places(PLACE, sd=0.001))
    assert surer[0] < 0.2 * held[0]


def test_siblings_are_believed_from_as_far_off_as_they_have_foretold_one_another() -> None:
    """Runs that start ever later: the next one stands as far from its neighbour as each of them does."""
    at = [(*PLACE[:5], PLACE[5] + 1.5 * k, PLACE[6]) for k in range(9)]
    rows = [lesson(k, -0.08, place) for k, place in enumerate(at[:8])]
    _, _, held = expected(rows, places(at[7], at[8], (*PLACE[:5], PLACE[5] + 18.0, PLACE[6])))
    _, _, alone = expected(rows[7:], places(at[7], at[8]))
    assert alone[1] < 0.95 * alone[0]  # one run alone has shown nothing from there
    assert held[1] > 0.98 * held[0]
    assert held[2] < 0.5 * held[0]


def test_the_next_run_is_as_often_odd_as_those_that_taught() -> None:
    rows = [lesson(k, -0.08 + 0.001 * (-1) ** k) for k in range(7)]
    lessons, spoilt = (lessons_on(tuple(of), True, PLACE[3], PLACE[4]) for of in (rows, [*rows, lesson(7, 0.0)]))
    assert lessons is not None
    assert spoilt is not None
    assert lessons.expected(places(PLACE)).held[1] == 0.0
    told = spoilt.expected(places(PLACE))
    usual, odd = told.held[:2, 0]
    assert odd / (usual + odd) == pytest.approx(1 / 8)
    assert told.sd[1, 0] > 1.2 * told.sd[0, 0]
    assert told.change[0] == told.change[1]


NEAR = (0.03, 0.0, 0.02, 14.0, 9.0, 7.7, 1.0)  # of a forecast at 97 % of the steps


def a_late_one(run: float, came: float) -> Lesson:
    """A lesson of a forecast at 97 %, of a law as wrong as half-way."""
    return lesson(run, came, NEAR)._replace(progress=math.log(0.97))


def way(to_step: float, to_end: float | None = None) -> Way:
    return Way(np.array([to_step]), np.array([to_step if to_end is None else to_end]))


def of_end_and_before(*, late: bool = True) -> Lessons:
    """Four runs that lost more from 97 % of their steps on than from half-way."""
    rows = [each for k in range(4) for each in (lesson(k, -0.08), a_late_one(k, -0.12))]
    lessons = lessons_on(tuple(rows if late else rows[::2]), True, *PLACE[3:5])
    assert lessons is not None
    return lessons


def test_lessons_of_the_end_take_over_in_the_last_tenth() -> None:
    lessons, near = of_end_and_before(), places(NEAR)
    told = [lessons.expected(near, way=way(share)) for share in (0.9, 0.935, 0.97, 0.98)]
    assert [len(each.held) for each in told] == [4, 8, 4, 4]  # where the first have given way they are not asked
    assert 0.3 < told[1].held[4:].sum() / told[1].held.sum() < 0.7
    assert [float(in_all(each)[0][0]) for each in told[2:]] == pytest.approx([-0.12, -0.12], abs=0.005)
    assert float(in_all(told[0])[0][0]) > -0.1


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_before_the_last_tenth_lessons_of_the_end_change_nothing(share: float) -> None:
    both = [of_end_and_before(late=late).expected(places(PLACE), way=way(share)) for late in (True, False)]
    for one, other, alone in zip(*both, of_end_and_before().expected(places(PLACE)), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, alone)


def test_where_no_lesson_stands_they_give_way_to_the_law() -> None:
    """Neither next to a step of which the run's own way tells more, nor at an end of which nothing was learnt."""
    before, after = of_end_and_before(late=False), of_end_and_before()
    whole = before.expected(places(NEAR)).held.sum()
    for lessons, mid_run in ((before, False), (after, True)):
        left = [lessons.expected(places(NEAR), way=way(share, 0.5 if mid_run else share)) for share in (0.935, 0.97)]
        assert [float(each.held.sum() / whole) for each in left] == pytest.approx([0.5, 0.0])


def with_curves(*ends: float) -> Lessons:
    """Runs alike half-way, and the logarithms of what each lost from there on."""
    rows = tuple(lesson(run, math.exp(end) - 1.0) for run, end in enumerate(ends))
    points = tuple(
        (run, 1.0, progress, clock, 0.0, 0.0, 0.0, *PLACE[3:5], 1.0 + change, 0.001)
        for run, end in enumerate(ends)
        for progress, clock, change in ((-1.2, 6.5, 0.2), (-0.7, 7.0, 0.0), (0.0, 7.7, end))
    )
    lessons = lessons_on(rows, True, *PLACE[3:5], points)
    assert lessons is not None
    return lessons


def by_curves(lessons: Lessons, noise: float = 0.001) -> Expected:
    """What they foresee of the end of one more run half-way, whose losses are known that well."""
    at = np.array([[clock, 0.0, 0.0, 0.0, *PLACE[3:5]] for clock in (6.5, 7.0, 7.7)])
    return lessons.expected(places(PLACE), Ahead(Path(at[:2], np.array([1.2, 1.0]), np.full(2, noise)), at[2:], 1.0))


def test_whole_curves_foretell_an_end_as_those_of_the_others_went() -> None:
    lessons = with_curves(-0.3, -0.3, -0.3, -0.3)
    came = math.exp(-0.3) - 1.0
    assert lessons.foretold[2] == pytest.approx(np.full(4, came), abs=0.01)
    assert by_curves(lessons).change[4, 0] == pytest.approx(came, abs=0.01)


def test_whole_curves_that_surprised_one_another_are_doubted_the_more() -> None:
    lessons = with_curves(-0.3, -0.3, -0.3, -0.3)
    calm = by_curves(lessons).sd[4, 0]
    lessons.surprise = np.full(4, 9.0)  # each end three standard deviations off
    assert by_curves(lessons).sd[4, 0] > 1.5 * calm


def test_what_whole_curves_are_not_sure_of_the_other_lessons_have() -> None:
    lessons = with_curves(-0.3, -0.31, -0.29, -0.3)
    sure, unsure = (by_curves(lessons, noise).held[:, 0] for noise in (0.001, 0.3))
    assert unsure[4] < 0.8 * sure[4]
    assert unsure.sum() == pytest.approx(sure.sum())
    assert lessons.expected(places(PLACE)).held.sum() == pytest.approx(sure.sum())


@pytest.mark.parametrize("level", [-1000.0, 1000.0])
def test_whole_curves_at_the_edge_of_what_a_file_may_hold_foretell_finite_losses(level: float) -> None:
    """Warnings are errors here, and in a watcher no loss may raise."""
    rows = tuple(lesson(run, -0.08) for run in range(3))
    at = (7.0, 0.0, 0.0, 0.0, *PLACE[3:5])
    points = tuple((run, 1.0, progress, *at, level, 0.0) for run in range(3) for progress in (-1.0, 0.0))
    lessons = lessons_on(rows, True, *PLACE[3:5], points)
    assert lessons is not None
    here = Path(np.array([at]), np.array([1.0]), np.array([0.01]))
    told = lessons.expected(places(PLACE), Ahead(here, np.array([at]), 1.0))
    assert len(told.change) == 5
    assert all(np.isfinite(part).all() for part in told)
