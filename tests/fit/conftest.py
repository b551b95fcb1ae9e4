from __future__ import annotations

import numpy as np
import pytest

from curvecast.curve import Series
from curvecast.fit.basis import Timeline
from curvecast.fit.fitting import fit
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.schedule import Schedule


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    """Of a train loss with noise, a quarter of the way through a cosine."""
    rng, train = np.random.default_rng(3), Series()
    for step in range(10, 1001, 10):
        train.add(step, 2.0 + 3.0 * step**-0.4 + 0.02 * float(rng.standard_normal()))
    timeline = Timeline(Schedule.cosine(4000, warmup=50), Prior().annealing_shape)
    return fit(train.bins(), Series().bins(), timeline, Prior(), of_val=False)
