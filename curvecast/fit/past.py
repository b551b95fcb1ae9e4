"""A run as it stood a while ago, and what was believed of it then: what came since tells how far off that was.

The past that is looked at is that of the last milestone: an edge of the bins, every third of a doubling or so, that
lies clearly behind. Between two milestones one fit serves all forecasts, and which one depends on the samples alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from curvecast.curve import BINS_PER_DECADE, Bins, bin_of
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job
from curvecast.fit.fitting import NEEDED, fit
from curvecast.fit.gap import with_noise_of_few, with_noise_of_few_trains
from curvecast.fit.kinds import smallness
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior

_APART, _BEHIND = 6, 2  # bins from one milestone to the next, and least number of bins from the last one to now
# Probability that a miss goes on, by hand, in view of small and open sets: with 0.7 intervals are narrower, and hold
# less often.
_GOES_ON = 0.5


class Past:
    """A run at a milestone, fitted when that is first asked for.

    Args:
        train, val: The bins that were full by then.
        timeline: The law's clock under the schedule as it was known then.
        prior: What is believed before.
        of_val: Whether the validation loss decides.
    """

    __slots__ = ("_fitted", "_found", "_of_val", "_prior", "_timeline", "_train", "_val")

    def __init__(self, train: Bins, val: Bins, timeline: Timeline, prior: Prior, *, of_val: bool) -> None:
        self._train, self._val, self._timeline, self._prior, self._of_val = train, val, timeline, prior, of_val
        self._fitted: Posterior | None = None
        self._found: tuple[tuple[object, ...], float | None] = (), None

    @property
    def goes_on(self) -> float:
        """Probability that what was missed since is missed on."""
        return goes_on(self._prior)

    @property
    def is_told(self) -> bool:
        """Whether a fit was possible then."""
        enough = float(np.add.reduce(self._train.count) + np.add.reduce(self._val.count)) >= NEEDED
        return enough and len(self._val if self._of_val else self._train) > 0

    @property
    def seen(self) -> Bins:
        """The loss that decides, with the noise of one of its losses."""
        return with_noise_of_few(self._val, self._train) if self._of_val else with_noise_of_few_trains(self._train)

    def job(self) -> Job:
        """What there was to fit."""
        now = max(float(bins.step[-1]) for bins in (self._train, self._val) if len(bins))
        return Job(self._train, self._val, self._timeline, self._prior, self._of_val, now)

    def posterior(self) -> Posterior:
        """The fit to it."""
        if self._fitted is None:
            job = self.job()
            self._fitted = fit(*job[:4], of_val=job.of_val, now=job.now)
        return self._fitted

    def keep(self, posterior: Posterior) -> None:
        """Take over a fit that was made elsewhere."""
        self._fitted = posterior

    def once(self, key: tuple[object, ...], find: Callable[[], float | None]) -> float | None:
        """What was found of it, kept until the key is another."""
        if self._found[0] != key:
            self._found = key, find()
        return self._found[1]


def goes_on(prior: Prior) -> float:
    """Probability that the misses of such a run go on as they were: of small networks, and where no size is known.

    Those of large ones do not: what is missed there is what the next decay brings, of which the past tells nothing.

    Example:
        >>> [round(goes_on(Prior().for_size(N)), 3) for N in (1e4, 1e6, None, 124e6)]
        [0.5, 0.25, 0.5, 0.0]
    """
    return _GOES_ON * (1.0 if prior.size is None else smallness(prior.size))


def milestone(now: float) -> float:
    """The last milestone before a step; it is an edge of the bins [steps].

    Example:
        >>> [round(milestone(step), 1) for step in (1000.0, 1100.0, 1101.0, 1400.0, 1500.0)]
        [749.9, 749.9, 1000.0, 1000.0, 1333.5]
    """
    return float(10.0 ** ((bin_of(now) - _BEHIND) // _APART * _APART / BINS_PER_DECADE))
