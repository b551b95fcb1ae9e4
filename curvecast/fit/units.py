"""Where a series stands, which loss is its unit, and whether two series are in one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from curvecast.curve import Bins, FloatArray

NEWEST = 3  # so many newest entries of a series tell where it stands
_LATELY = 2.0 / 3.0  # losses after this share of the steps tell where a seldom logged series stands,
_FAR_ABOVE = 0.2  # if older ones raise its level by a larger share of its unit
HALVED = 2.0  # if the mean of the newest three is more than this times the newest, the newest alone counts
_FACTOR = 2.0  # train and validation whose levels differ by a larger factor are not in one unit
_STOPPED = 0.1  # validation whose last step lies before this share of train's has stopped
_LEAST_SCALE = 1e-100  # its square is still a number
_OF_SPREAD = 0.25  # the unit of a loss that has no zero, as a share of its spread


def unit_of(level: float, losses: FloatArray, low: float) -> tuple[float, float]:
    """The loss that 1.0 stands for, and what lifts relative losses to 1 where the run stands.

    It is the level there. Of a loss that was negative, as a likelihood of densities, zero means nothing: its unit is
    its spread, and it is lifted, so that a constant that is added to it drops out. So is one that has come to nought,
    which is no unit.

    Args:
        level: Where the series that decides stands.
        losses: ``(n,)`` of that series; of both, where it has too few to show a spread.
        low: The lowest loss of all that are measured so; below zero none of them has a zero.
    """
    if low >= 0.0 and level > _LEAST_SCALE:
        return level, 0.0
    # A single loss has no spread, and a forecast of it would have no width.
    scale = max(_OF_SPREAD * (_spread(losses) or abs(level)), _LEAST_SCALE)
    return scale, 1.0 - level / scale


def of_late(losses: FloatArray, step: FloatArray, low: float) -> FloatArray:
    """Those of ``(n,)`` losses that tell where a series stands: of one that is seldom logged older ones lie far above.

    Args:
        losses: ``(n,)`` of the series.
        step: ``(n,)`` where they were logged [steps].
        low: As in ``unit_of``: where zero means nothing, what is far is told by their spread.

    Example:
        >>> seldom, often = np.array([10.0, 50.0, 100.0]), np.array([98.0, 99.0, 100.0])
        >>> losses = np.array([6.2, 4.3, 3.4])
        >>> [of_late(losses, step, low=3.4).tolist() for step in (seldom, often)]
        [[3.4], [6.2, 4.3, 3.4]]
        >>> of_late(np.array([3.6, 3.5, 3.4]), seldom, low=3.4).tolist()  # hardly above: a mean of three
        [3.6, 3.5, 3.4]
    """
    late = losses[int(step.searchsorted(_LATELY * step[-1])) :]
    stands = level(late)
    return late if level(losses) - stands > _FAR_ABOVE * unit_of(stands, losses, low)[0] else losses


def level(losses: FloatArray) -> float:
    """Where a series stands: the mean of its newest three entries, or the newest alone where it has halved since."""
    newest = losses[-NEWEST:].tolist()
    mean = sum(newest) / len(newest)
    return float(newest[-1] if 0.0 < HALVED * newest[-1] < mean else mean)


def in_one_unit(losses: FloatArray, others: FloatArray) -> bool:
    """Whether two series may be one curve and an offset: their levels lie within a factor of two.

    Perplexity beside loss, or a sum beside a mean, do not. Where one was negative a ratio tells nothing: then they may
    also lie as close to one another as either has moved, of which too few losses say nothing. A series that is not
    there is apart from none.

    Example:
        >>> likelihood = np.array([5.0, 1.0, -0.01, -0.01, -0.01])
        >>> [in_one_unit(likelihood, others) for others in (likelihood + 0.1, 100.0 * likelihood - 50.0)]
        [True, False]
    """
    if not (len(losses) and len(others)):
        return True
    one, other = level(losses), level(others)
    if not max(abs(one), abs(other)) > _FACTOR * min(abs(one), abs(other)):
        return True
    if min(np.minimum.reduce(losses), np.minimum.reduce(others)) >= 0.0:
        return False
    return abs(one - other) <= min((_spread(each) for each in (losses, others) if len(each) >= NEWEST), default=0.0)


@lru_cache(maxsize=128)  # a fit and what is asked of its gap ask the same
def go_together(train: Bins, val: Bins) -> bool:
    """Whether both losses are in one unit, where they were seen at one time.

    A validation beside which train has halved since is no other unit.

    Example:
        >>> step = np.arange(1.0, 101.0)
        >>> train = Bins(step, 10.0 / step, np.ones(100), 0.0)
        >>> early, other = (Bins(step[29:30], np.array([loss]), np.ones(1), 0.0) for loss in (0.4, 40.0))
        >>> go_together(train, early), go_together(train, other)
        (True, False)
    """
    if not (len(train) and len(val)):
        return True
    last = max(int(train.step.searchsorted(val.step[-1], side="right")), 1)
    return in_one_unit(train.mean[:last], val.mean)


def has_stopped(train: Bins, val: Bins) -> bool:
    """Whether the newest validation lies so far back that it does not say where the run stands."""
    return bool(len(train) and len(val) and val.step[-1] < _STOPPED * train.step[-1])


def _spread(losses: FloatArray) -> float:
    return float(np.maximum.reduce(losses) - np.minimum.reduce(losses))
