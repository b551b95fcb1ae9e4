from __future__ import annotations

import math

import numpy as np
import pytest

from curvecast.readers.base import Notes, Series
from curvecast.readers.merge import align, drop_orphans, last_at_each_step


def rows(*pairs: tuple[int, int]) -> Series:
    """``(order, step)`` rows whose value is their order."""
    return Series.of([(step, float(order), order) for order, step in pairs])


def kept(series: Series) -> list[tuple[int, int]]:
    return list(zip(series.order.tolist(), series.steps.tolist(), strict=True))


def train(*steps: int) -> Series:
    return rows(*enumerate(steps))


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2, 3, 4, 3, 4, 5], [1, 2, 3, 4, 5]),
        ([10, 20, 30, 25, 35], [10, 20, 25, 35]),
        ([1, 2, 3, 4, 3, 2, 3], [1, 2, 3]),
        ([5, 6, 7, 1, 2], [1, 2]),
        ([1, 1, 2, 2], [1, 1, 2, 2]),
    ],
)
def test_a_resumed_run_drops_its_orphaned_tail(steps: list[int], left: list[int]) -> None:
    notes = Notes()
    assert drop_orphans({"train": train(*steps)}, [], notes)["train"].steps.tolist() == left
    assert bool(notes.lost) == (len(left) < len(steps))


def test_orphaned_validation_and_learning_rates_go_too() -> None:
    notes = Notes()
    given = {
        "train": rows((0, 1), (2, 2), (4, 3), (6, 2), (8, 3)),
        "val": rows((3, 2), (5, 3), (9, 3)),
        "lr": rows((1, 1), (4, 3), (6, 2)),
    }
    left = drop_orphans(given, [], notes)
    assert kept(left["val"]) == [(9, 3)]
    assert kept(left["lr"]) == [(1, 1), (6, 2)]
    assert notes.lost == [
        "training loss: the run was resumed at step 2; 2 rows from before dropped",
        "validation loss: the run was resumed at step 2; 2 rows from before dropped",
        "learning rate: the run was resumed at step 3; 1 row from before dropped",
    ]


def test_an_announced_restart_counts_without_a_step_back() -> None:
    left = drop_orphans({"train": rows((0, 1), (1, 2), (2, 3), (5, 9))}, [(4, 2)], Notes())
    assert left["train"].steps.tolist() == [1, 9]


def test_an_evaluation_outside_the_run_is_dropped_alone() -> None:
    notes = Notes()
    left = drop_orphans({"train": train(1, 2, 3, 4), "val": rows((10, 2), (11, 4), (12, 1))}, [], notes)
    assert left["train"].steps.tolist() == [1, 2, 3, 4]
    assert left["val"].steps.tolist() == [2, 4]
    assert "1 row out of order" in notes.lost[0]


def test_validation_alone_tells_of_its_own_restart() -> None:
    left = drop_orphans({"val": train(1, 2, 3, 2, 3)}, [], Notes())
    assert kept(left["val"]) == [(0, 1), (3, 2), (4, 3)]


def test_the_last_of_duplicates_stands() -> None:
    notes = Notes()
    left = last_at_each_step("train", train(1, 2, 2, 3), notes)
    assert kept(left) == [(0, 1), (2, 2), (3, 3)]
    assert notes.lines == ["training loss: 1 row logged again at the same step; the last value stands"]
    assert notes.lost == []


def test_duplicates_that_agree_are_not_worth_a_note() -> None:
    notes = Notes()
    series = Series.of([(1, 0.5, 0), (1, 0.5, 1), (2, 0.5, 2)])
    assert last_at_each_step("train", series, notes).steps.tolist() == [1, 2]
    assert notes.lines == []


def test_rows_from_before_the_first_step_are_left_out() -> None:
    notes = Notes()
    assert last_at_each_step("val", train(0, 1, 2), notes).steps.tolist() == [1, 2]
    assert notes.lines == ["validation loss: 1 row from before the first step left out"]


def test_an_empty_series_stays_empty() -> None:
    assert len(last_at_each_step("train", train(), Notes())) == 0
    assert len(last_at_each_step("train", train(0), Notes())) == 0


def test_align_tells_not_logged_from_not_finite() -> None:
    given = {
        "train": Series.of([(1, 9.0, 0), (3, math.nan, 1), (4, -math.inf, 2)]),
        "lr": Series.of([(2, 0.1, 0), (3, math.nan, 1)]),
    }
    steps, curves = align(given)
    assert steps.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(curves["train"], [9.0, math.nan, math.inf, math.inf])
    np.testing.assert_array_equal(curves["lr"], [math.nan, 0.1, math.nan, math.nan])
    assert np.isnan(curves["val"]).all()


def test_steps_increase_strictly_whatever_was_written() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = int(rng.integers(0, 30))
        given = {
            role: Series(rng.integers(-2, 12, size), rng.normal(size=size), np.sort(rng.integers(0, 40, size)))
            for role in ("train", "val", "lr")
        }
        restarts = [(int(rng.integers(0, 40)), int(rng.integers(0, 12)))] * int(rng.integers(0, 2))
        left = drop_orphans(given, restarts, Notes())
        steps, _ = align({role: last_at_each_step(role, series, Notes()) for role, series in left.items()})
        assert np.all(np.diff(steps) > 0)
        assert np.all(steps >= 1)
