from __future__ import annotations

import numpy as np
import pytest

from curvecast.curve import Bins, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.past import Past, milestone
from curvecast.fit.prior import Prior


def test_what_came_since_tells_nothing_of_what_was_seen_then() -> None:
    rng, whole, then, edge = np.random.default_rng(0), Series(), Series(), milestone(900.0)
    for step in range(1, 901):
        loss = 2.0 + float(rng.standard_normal())
        whole.add(step, loss)
        if step < edge:
            then.add(step, loss)
    held, known = whole.until(edge), then.until(edge)
    assert held.count.sum() == then.total
    for name in ("step", "mean", "count", "noise"):
        assert np.array_equal(getattr(held, name), getattr(known, name))


def test_a_milestone_lies_clearly_behind_and_serves_many_steps() -> None:
    steps = np.arange(1000, 10_001)
    found = np.array([milestone(float(step)) for step in steps])
    assert 0.67 < (found / steps).min() <= (found / steps).max() < 0.96
    assert len(np.unique(found)) <= 9


@pytest.mark.parametrize(("trains", "vals", "of_val", "told"), [(12, 0, False, True), (11, 0, False, False)])
def test_a_past_is_told_where_a_fit_was_possible(trains: int, vals: int, of_val: bool, told: bool) -> None:
    train, val = (Bins(np.arange(1.0, n + 1.0), np.ones(n), np.ones(n), 0.01) for n in (trains, vals))
    assert Past(train, val, Timeline(None, Prior().annealing_shape), Prior(), of_val=of_val).is_told is told
