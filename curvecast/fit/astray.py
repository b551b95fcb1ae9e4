"""Whether the law has gone astray: it stands clear of the losses that it was fitted to, and says that it is sure.

Train and validation share one wander, so a gap between them that moves by far more than their noise has no other way
than to force the coefficients: of a validation that jumps to 25 times its loss and back within the first steps, or one
so smooth that its noise is next to none, the law then lies where no loss is. What the losses say of where they stand is
surer than that they share a law, so the one that is asked for is fitted alone there (``fitting.fit``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from curvecast.curve import Bins
from curvecast.fit.units import NEWEST

if TYPE_CHECKING:
    from curvecast.fit.posterior import Posterior

_CLEAR = 4.0  # the newest losses are astray if the law stands more than so many standard deviations off


def is_astray(found: Posterior, bins: Bins, *, val: bool) -> bool:
    """Whether the law lies further from the newest losses than their noise, the wander and its own doubt say.

    Args:
        found: The fit.
        bins: The loss that it is of.
        val: Whether that is validation.

    Example:
        >>> from curvecast.curve import NO_BINS
        >>> from curvecast.fit.basis import Timeline
        >>> from curvecast.fit.fitting import fit
        >>> from curvecast.fit.prior import Prior
        >>> step, ones = np.arange(1.0, 61.0), np.ones(60)
        >>> bins = Bins(step, 2.0 + 3.0 * step**-0.5, ones, 1e-4)
        >>> found = fit(bins, NO_BINS, Timeline(None, Prior().annealing_shape), Prior(), of_val=False)
        >>> [is_astray(found, Bins(step, bins.mean + off, ones, 1e-4), val=False) for off in (0.0, 0.2)]
        [False, True]
    """
    newest = slice(-NEWEST, None)
    step, loss, count = bins.step[newest], bins.mean[newest], bins.count[newest]
    noise = 0.0 if math.isnan(bins.noise) else bins.noise * float(np.add.reduce(1.0 / count)) / len(step) ** 2
    off = float(np.add.reduce(loss - found.scale * (found.law(step, val=val) @ found.weight))) / len(step)
    if not off * off > _CLEAR**2 * noise:  # of most runs that is all there is to ask
        return False
    means, variances = found.moments(step, val=val)
    spread = (variances + np.square(means - (means @ found.weight)[:, None])) @ found.weight
    return off * off > _CLEAR**2 * (noise + float(np.mean(spread)))
