"""A law that stands clear of the losses it was fitted to gives way to one of the loss that is asked for, alone."""

from __future__ import annotations

import numpy as np
import pytest

from curvecast import Prior
from curvecast.curve import NO_BINS, Bins
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many
from curvecast.fit.fitting import fit
from curvecast.forecast import forecast

STEP, ONES = np.arange(1.0, 51.0), np.ones(50)
TRAIN = Bins(STEP, 0.3 + 0.25 * STEP**-0.3, ONES, 1e-4)
CLOCK, UNKNOWN = Timeline(None, Prior().annealing_shape), Prior().for_size(None)


def jumping(seed: int) -> Bins:
    """Validation that is steady, but for the first steps."""
    level = 0.44 + 0.001 * np.random.default_rng(seed).standard_normal(50)
    level[1:6] = 1.6, 11.0, 5.6, 1.1, 0.5
    return Bins(STEP, level, ONES, 1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_of_now_lies_where_the_newest_losses_do(seed: int) -> None:
    val = jumping(seed)
    now = float(forecast(fit(TRAIN, val, CLOCK, UNKNOWN, of_val=True, now=50.0), 50.0, of="val").median)
    newest = val.mean[-10:]
    assert 0.98 * newest.min() < now < 1.02 * newest.max()


def test_many_runs_at_once_give_way_as_each_alone_does() -> None:
    vals = jumping(0), Bins(STEP, TRAIN.mean + 0.1, ONES, 1e-4)
    jobs = [Job(TRAIN, val, CLOCK, UNKNOWN, True, 50.0) for val in vals]
    for job, found in zip(jobs, fit_many(jobs), strict=True):
        one = fit(*job[:4], of_val=True, now=50.0)
        np.testing.assert_allclose(found.theta, one.theta, rtol=1e-6)
        np.testing.assert_allclose(found.weight, one.weight, rtol=1e-6)


def test_where_both_share_a_law_both_are_heeded() -> None:
    """Three validations of which one lies off say little without the train losses beside them."""
    step = np.array([10.0, 25.0, 40.0])
    val = Bins(step, 0.35 + 0.25 * step**-0.3 + np.array([0.0, 0.005, -0.003]), np.ones(3), 1e-4)
    both, alone = (fit(train, val, CLOCK, UNKNOWN, of_val=True, now=50.0) for train in (TRAIN, NO_BINS))
    widths = [float(forecast(each, 100.0, of="val").interval(0.9).width) for each in (both, alone)]
    assert widths[0] < 0.8 * widths[1]
