"""A family's law is believed as far as the run does not contradict it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curvecast.curve import NO_BINS, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.fitting import fit
from curvecast.fit.kinship import believed
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.schedule import Schedule

END = 4000.0


def median(of: Posterior) -> float:
    return float((of.moments(np.array([END]), val=False)[0] @ of.weight)[0])


def test_what_agrees_is_given_and_what_contradicts_is_left_out(posterior: Posterior) -> None:
    told, kin = believed(posterior, END, 1.01 * median(posterior), 0.02, val=False)
    assert kin.probability > 0.99
    np.testing.assert_array_equal(told.theta, posterior.given(END, kin.loss, 0.02, val=False).theta)
    own, kin = believed(posterior, END, 1.5 * median(posterior), 0.02, val=False)
    assert kin.is_left_out
    assert own is posterior


def test_in_between_both_are_mixed(posterior: Posterior) -> None:
    """The farther off the less it is believed, without a jump; weights stay probabilities."""
    seen = []
    for off in np.linspace(1.05, 1.6, 56):  # about the median it is as probable as can be
        mixed, kin = believed(posterior, END, off * median(posterior), 0.02, val=False)
        seen.append(kin.probability)
        assert float(mixed.weight.sum()) == pytest.approx(1.0)
        assert mixed.theta.shape[1] == mixed.root.shape[2] == len(mixed.weight) == len(mixed.drift)
        assert kin.is_left_out == (mixed is posterior)
    assert seen == sorted(seen, reverse=True)
    assert any(0.2 < probability < 0.8 for probability in seen)


@pytest.mark.parametrize("unit", [math.log2(math.e), math.log(2.0)])
def test_a_law_in_bits_is_no_law_of_a_small_network_that_counts_in_nats(unit: float) -> None:
    """A quarter of the way; that a fifth of such runs keep to no law makes no wrong unit a right one."""
    rng, train, prior = np.random.default_rng(0), Series(), Prior().for_size(1e5)
    for step in range(1, 1001):
        train.add(step, 1.6 + 5.0 * step**-0.5 + 0.01 * float(rng.standard_normal()))
    clock = Timeline(Schedule.cosine(4000), prior.annealing_shape)
    own = fit(train.bins(), NO_BINS, clock, prior, of_val=False)
    _, kin = believed(own, END, unit * median(own), 0.03, val=False)
    assert kin.is_doubted


def test_a_vague_law_is_no_contradiction(posterior: Posterior) -> None:
    _, kin = believed(posterior, END, 1.3 * median(posterior), 1.0, val=False)
    assert not kin.is_doubted
