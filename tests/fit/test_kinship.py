"""A family's law is believed as far as the run does not contradict it."""

from __future__ import annotations

import numpy as np
import pytest

from curvecast.fit.kinship import believed
from curvecast.fit.posterior import Posterior

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


def test_a_vague_law_is_no_contradiction(posterior: Posterior) -> None:
    _, kin = believed(posterior, END, 1.3 * median(posterior), 1.0, val=False)
    assert not kin.is_doubted
