"""A posterior and a step give a distribution: where the loss will be, and how sure that is.

`ahead` asks one law's posterior, `taught` adds what finished runs missed by, and `logged` the noise of what a log will
show. `futures` mixes over the schedules that a run may follow, `fits` over fits whose pasts differ too. `exponential`
turns the forecast of a logarithm into one of the loss, `hindsight` moves it as the run's own past says. What comes out
is a `distribution`, which rests on a `mixture` of Gaussians.
"""

from __future__ import annotations

from curvecast.fit.basis import Futures
from curvecast.forecast.ahead import draw, forecast
from curvecast.forecast.distribution import Forecast, Interval, NotEnoughSamples, Target
from curvecast.forecast.futures import over

__all__ = ["Forecast", "Futures", "Interval", "NotEnoughSamples", "Target", "draw", "forecast", "over"]
