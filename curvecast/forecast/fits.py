"""Where the past of the learning rate is not known either: a forecast over fits, each with the plans that it is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from curvecast.fit.basis import Futures
from curvecast.fit.posterior import Posterior
from curvecast.forecast.distribution import Forecast
from curvecast.forecast.exponential import mixed
from curvecast.forecast.futures import over


def over_fits(fits: Sequence[tuple[Posterior, Futures]], at: ArrayLike, *, floor: float, **asked: Any) -> Forecast:
    """The forecast over all fits, each over its own futures; the probabilities of all futures sum to 1.

    Args:
        fits: The fits.
        at: A step or ``(m,)`` steps, >= 1 [steps].
        floor: No loss lies below it [loss unit].
        **asked: As in ``over``.
    """
    if len(fits) == 1:
        ((posterior, futures),) = fits
        return over(futures, posterior, at, floor=floor, **asked)
    parts = []
    for posterior, futures in fits:
        share = sum(chance for chance, _ in futures)
        own = [(chance / share, timeline) for chance, timeline in futures]
        parts.append((share, over(own, posterior, at, floor=floor, **asked)))
    return mixed(*parts).above(floor)
