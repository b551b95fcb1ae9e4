"""What is on record of a set stays there when only some of the methods are measured anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from curvecast import Schedule

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # its scripts import one another by name

from _curve import Curve
from _error_figures import CURVE_FIT, CURVECAST, SIBLINGS, joined
from _scores import Row, Score
from forecast_error import about_set

SET = "small_runs"


def curve(name: str) -> Curve:
    steps = np.arange(1, 101)
    losses = np.full(100, 2.0)
    unknown = np.full(100, np.nan)
    of_run = (name, SET, "group", name, name, steps, losses, unknown, unknown)
    return Curve(*of_run, schedule=Schedule.constant(100), horizon=100, truth=2.0, of="train")


def measured(curves: list[Curve], **answered: list[Curve]) -> dict[str, Any]:
    """The record of methods that answered for some of the curves, each with an error of 1 %."""
    names = {"curvecast": CURVECAST, "siblings": SIBLINGS, "curve_fit": CURVE_FIT}
    score = Score(1.0, 0.5, (True,) * 3, True, (1.0,) * 3, (1.0,) * 3, 1.0)
    rows = [Row(SET, names[method], 0.5, one.name, score) for method, ones in answered.items() for one in ones]
    return {SET: about_set(SET, curves, rows, sample="all", prior="shipped")}


def methods(record: dict[str, Any]) -> list[str]:
    return list(record[SET]["forecasts"]["50%"])


def test_a_method_that_scores_fewer_curves_leaves_the_figures_of_the_others() -> None:
    curves = [curve(name) for name in "abc"]
    held = measured(curves, curvecast=curves, curve_fit=curves)
    record = joined(held, measured(curves, siblings=curves[:2]))
    assert methods(record) == [CURVECAST, SIBLINGS, CURVE_FIT]
    assert record[SET]["curves"] == 3


def test_figures_of_another_sample_are_left_out() -> None:
    curves = [curve(name) for name in "abc"]
    held = measured(curves, curvecast=curves, curve_fit=curves)
    assert methods(joined(held, measured(curves[:2], curvecast=curves[:2]))) == [CURVECAST]
