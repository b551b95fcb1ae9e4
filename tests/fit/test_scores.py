from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from curvecast.fit.scores import of_gaussians, of_mixture, of_pools

WEIGHT, MEANS, SDS = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, -2.0]), np.array([0.5, 0.1, 2.0])


def integrated(came: float) -> float:
    """The score as it is defined: the squared distance of the distribution from that of what came."""
    x = np.linspace(-30.0, 30.0, 600_001)
    below = ndtr((x[:, None] - MEANS) / SDS) @ WEIGHT
    return float(np.sum((below - (x >= came)) ** 2) * (x[1] - x[0]))


@pytest.mark.parametrize("came", [-3.0, 0.1, 1.0, 5.0])
def test_the_score_of_a_mixture_is_the_integral(came: float) -> None:
    assert of_mixture(WEIGHT, MEANS, SDS, came) == pytest.approx(integrated(came), abs=1e-3)


@pytest.mark.parametrize("came", [-3.0, 0.1, 1.0, 5.0])
def test_a_pool_of_gaussians_is_scored_as_their_mixture(came: float) -> None:
    means, sds = MEANS[:, None], SDS[:, None]
    (pooled,) = of_pools(of_gaussians(means, sds, np.array([came])), means, sds, WEIGHT[None]).ravel()
    assert pooled == pytest.approx(of_mixture(WEIGHT, MEANS, SDS, came))
