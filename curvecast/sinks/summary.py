"""What a report says of one run, in plain types: the common ground of all sinks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curvecast.decisions.base import Reason
from curvecast.forecast import Forecast
from curvecast.notation import alike, with_interval
from curvecast.readers.base import FloatArray, Run
from curvecast.watcher import Watcher

LEVEL = 0.9
_LATELY = 6  # losses that tell how often one is logged


@dataclass(frozen=True, slots=True)
class ForecastSummary:
    """A forecast at one step.

    Args:
        of: "train" or "val".
        step: the step it is for [steps].
        median, mean, std: of the loss there [loss unit].
        lower, upper: the central 90 % interval [loss unit].
    """

    of: str
    step: int
    median: float
    mean: float
    std: float
    lower: float
    upper: float

    @property
    def interval_text(self) -> str:
        """``2.913 [2.905, 2.921]``: the median with its interval."""
        return with_interval(self.median, self.lower, self.upper)


@dataclass(frozen=True, slots=True)
class Summary:
    """A run and the verdict that stands on it.

    Args:
        name: the run's name.
        step: the last step seen [steps].
        horizon: planned steps; ``None`` where unknown [steps].
        train_points, val_points: how many losses were logged.
        train_loss, val_loss: the last ones logged; ``None`` where there is none, inf where it was not finite.
        reason, should_stop, message, probability, decided_at: the verdict.
        details: the numbers behind the message.
        forecast: the loss at the horizon, or now where no horizon is known; ``None`` before the first fit, and of a
            run that has diverged.
        unit: what the steps count: "step", or as in ``Run.meta``.
        num_params: non-embedding parameters; ``None`` where unknown.
        batch_tokens: tokens of an optimizer step; ``None`` where unknown [tokens/step].
        every: steps from one loss to the next, lately [steps].
        is_rate_known: whether the learning rate is planned, or was ever told.
        choices: what can be done now, a line each, where that was asked for and the message does not say so.
    """

    name: str
    step: int
    horizon: int | None
    train_points: int
    val_points: int
    train_loss: float | None
    val_loss: float | None
    reason: str
    should_stop: bool
    message: str
    probability: float
    decided_at: int
    details: Mapping[str, float]
    forecast: ForecastSummary | None
    unit: str = "step"
    num_params: float | None = None
    batch_tokens: float | None = None
    every: float = 0.0
    is_rate_known: bool = True
    choices: tuple[str, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether steps of a known plan are left that will log a loss: of 880, logged every 30, 870 is the last."""
        return self.horizon is not None and self.step < self.horizon and self.step + self.every <= self.horizon

    @property
    def words(self) -> str:
        """The verdict in a word or two; a run on track whose plan is over is finished."""
        if self.reason == Reason.ON_TRACK and self.horizon is not None and not self.is_under_way:
            return "finished"
        words = self.reason.replace("_", " ")
        return f"stop: {words}" if self.should_stop else words

    @property
    def loss(self) -> tuple[str, float] | None:
        """The last loss of the kind that is forecast (else that there is), and which that is."""
        known = [(of, loss) for of, loss in (("val", self.val_loss), ("train", self.train_loss)) if loss is not None]
        wanted = [(of, loss) for of, loss in known if self.forecast is None or of == self.forecast.of]
        return next(iter([*wanted, *known]), None)

    @property
    def now(self) -> str:
        """The last loss to four digits; one that overflowed and one that was no number are read, and told, alike."""
        if self.loss is None:
            return "-"
        return alike(self.loss[1], width=0.0)[0] if math.isfinite(self.loss[1]) else "not finite"


def summarise(run: Run, watcher: Watcher, *, alone: bool = False) -> Summary:
    """Sum up a run and the watcher that has seen it; with what can be done now where it is looked at alone."""
    verdict = watcher.verdict
    return Summary(
        name=run.name,
        step=watcher.step,
        horizon=watcher.horizon,
        train_points=run.points("train"),
        val_points=run.points("val"),
        train_loss=last_of(run.train_loss),
        val_loss=last_of(run.val_loss),
        reason=str(verdict.reason),
        should_stop=bool(verdict.should_stop),
        message=verdict.message,
        probability=float(verdict.probability),
        decided_at=int(verdict.step),
        details={name: float(value) for name, value in verdict.details.items()},
        forecast=None
        if verdict.forecast is None or verdict.reason is Reason.DIVERGED
        else summarise_forecast(verdict.forecast),
        unit=str(run.meta.get("unit", "step")),
        num_params=watcher.num_params,
        batch_tokens=watcher.batch_tokens,
        every=_every(run),
        is_rate_known=watcher.is_rate_known,
        choices=tuple(map(str, verdict.choices)) if alone and not verdict.should_stop else (),
    )


def _every(run: Run) -> float:
    """Steps from one loss to the next, lately, of the kind that was logged most; 0 where unknown."""
    leader = run.train_loss if run.points("train") >= run.points("val") else run.val_loss
    steps = run.steps[~np.isnan(leader)][-_LATELY:]
    return float(np.median(np.diff(steps))) if len(steps) > 1 else 0.0


def summarise_forecast(forecast: Forecast) -> ForecastSummary:
    """Sum up a forecast; of one for several steps the last."""
    interval = forecast.interval(LEVEL)
    values = (forecast.median, forecast.mean, forecast.std, interval.lower, interval.upper)
    median, mean, std, lower, upper = (float(np.ravel(value)[-1]) for value in values)
    return ForecastSummary(forecast.of, int(np.ravel(forecast.step)[-1]), median, mean, std, lower, upper)


def last_of(losses: FloatArray) -> float | None:
    """The last loss that was logged; inf where it was not finite, ``None`` where there is none."""
    logged = losses[~np.isnan(losses)]
    return float(logged[-1]) if len(logged) else None
