from __future__ import annotations

import math

import pytest

from curvecast.notation import alike, plural, with_interval


@pytest.mark.parametrize("size", [1e-12, 3e-7, 9.99e-4, 0.02, 2.9, 47.0, 153_000.0, 2.6e8, -2.6e8, -1.5])
@pytest.mark.parametrize("width", [1e-4, 0.03, 0.5])
def test_a_loss_of_any_size_is_short_and_its_interval_is_told_apart(size: float, width: float) -> None:
    half = 0.5 * width * abs(size)
    told = with_interval(size, size - half, size + half)
    value, lower, upper = told.replace("[", "").replace("]", "").replace(",", "").split()
    assert len({len(text.partition(".")[2]) for text in (value, lower, upper)}) == 1
    assert float(lower) < float(value) < float(upper)
    assert float(upper) - float(lower) == pytest.approx(2 * half, rel=0.11)
    assert max(map(len, (value, lower, upper))) <= 12


@pytest.mark.parametrize(
    ("values", "width", "told"),
    [
        ((2.92, 2.1641, 3.9162), 1.75, ["2.92", "2.16", "3.92"]),
        ((2.92, 2.92), 0.0, ["2.920", "2.920"]),
        ((0.0, 0.0), 0.0, ["0.000", "0.000"]),
        ((2.92, math.inf), math.inf, ["2.920", "inf"]),
        ((math.nan,), math.nan, ["nan"]),
        ((-0.001, 0.26), 0.5, ["0.00", "0.26"]),
    ],
)
def test_numbers_that_have_no_width_or_are_none_are_written_all_the_same(
    values: tuple[float, ...], width: float, told: list[str]
) -> None:
    assert alike(*values, width=width) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps")])
def test_one_thing_is_told_in_the_singular(count: int, told: str) -> None:
    assert plural(count, "step") == told
