"""A finished run forecast from its own past: what its back-tests hold, and how its end is read off it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from curvecast.curve import NO_BINS, Bins, FinishedRun, LearningRates, Series, as_fitted
from curvecast.decisions.alarm import HUGE, alarm_at
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job
from curvecast.fit.believable import is_point
from curvecast.fit.fitting import NEEDED, fit
from curvecast.fit.lessons import LATE
from curvecast.fit.likeness import Places
from curvecast.fit.paths import End, points_of
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.teachers import logarithms
from curvecast.forecast import Forecast, Target
from curvecast.forecast.ahead import forecast
from curvecast.forecast.taught import places_of, reading
from curvecast.schedule import Schedule

KINDS: dict[Target, int] = {"val": 2, "train": 1}  # losses of each that a run has at least; the first decides
_FRACTIONS = (0.05, 0.1, 0.16, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9)  # of the steps: the places that a run is forecast from
_LATE = 0.97  # and from there where it was logged since: that teaches of ends alone (``fit.lessons``)
_TAIL = 0.01  # of the steps, over which a train loss is averaged at the end: under a decay it still falls there
_LOST = 0.02  # of the steps, after which a run of which no loss is known has diverged
_MOST_TIMELINES = 1024  # that are kept


class Diverged(ValueError):  # noqa: N818 - what the run did, not a mistake of the code
    """A run has no end that others could learn from."""


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """A forecast of what is already known.

    Args:
        train, val: What was seen.
        now: Last step seen [steps].
        plan: The schedule that was planned; ``None`` where unknown.
        future: The schedule that led to the truth, with the same past.
        end: The step that is forecast [steps].
        truth: The loss there.
        of: Which loss.
        num_params: Non-embedding parameters, where known.
        batch_tokens: Tokens of a step, where known.
        noise: Standard deviation of the truth [loss unit].
        whole: The whole series that ended there.
    """

    train: Bins
    val: Bins
    now: float
    plan: Schedule | None
    future: Schedule | None
    end: float
    truth: float
    of: Target
    num_params: float | None
    batch_tokens: float | None = None
    noise: float = 0.0
    whole: Bins = NO_BINS


class Forecaster:
    """Forecasts of back-tests under any prior; the schedules' timelines are kept from one to the next."""

    def __init__(self) -> None:
        self._timelines: dict[tuple[Schedule | None, tuple[tuple[float, float], ...]], Timeline] = {}

    def job(self, test: Backtest, prior: Prior) -> Job:
        """What there is to fit, under a prior of the network's own size."""
        return Job(test.train, test.val, self._timeline(test.plan, prior), prior, test.of == "val", test.now)

    def forecast(self, test: Backtest, prior: Prior) -> tuple[Forecast, Places]:
        """The forecast of the truth, and the one place where it stands."""
        sized = prior.for_size(test.num_params)
        beside = None if sized.size is not None else sized.beside and sized.beside.for_lessons
        job = self.job(test, replace(sized.for_lessons, beside=beside, batch=test.batch_tokens))
        posterior = fit(*job[:4], of_val=job.of_val, now=job.now)
        ahead, future = foreseen(test, posterior)
        return ahead, places_of(ahead, posterior, reading(posterior, np.array([test.end]), future))

    def curve(self, run: int, test: Backtest, prior: Prior) -> list[tuple[float, ...]]:
        """The whole series that ended in a test's truth, as rows of ``fit.paths.Point``."""
        timeline = self._timeline(test.future, prior.for_size(test.num_params))
        known = End(test.end, test.truth, test.noise, *logarithms(test.num_params, test.batch_tokens))
        rows = points_of(run, test.of == "val", test.whole, timeline, known)
        return rows if all(map(is_point, rows)) else []

    def _timeline(self, schedule: Schedule | None, prior: Prior) -> Timeline:
        key = (schedule, prior.annealing_shape)
        if key not in self._timelines:
            if len(self._timelines) >= _MOST_TIMELINES:
                self._timelines.clear()
            self._timelines[key] = Timeline(schedule, prior.annealing_shape)
        return self._timelines[key]


def foreseen(test: Backtest, posterior: Posterior) -> tuple[Forecast, Timeline]:
    """The forecast of the truth, and the future that led to it."""
    plan = posterior.timeline
    future = plan if test.future is test.plan or test.future is None else plan.under(test.future, test.now)
    return forecast(posterior, test.end, of=test.of, timeline=future), future


def backtests(run: FinishedRun) -> list[Backtest]:
    """Forecasts of where a finished run's losses ended, from its own past, where there is enough to forecast from.

    Raises:
        Diverged: if the run has no such end.
    """
    ends = [end for of in KINDS if (end := _end(run, of)) is not None]
    if not ends:
        return []
    schedule, size, batch = _schedule(run), _count(run, "num_params"), _count(run, "batch_tokens")
    *past, late, (*whole, _) = _growing(run, [*(share * ends[0].step for share in (*_FRACTIONS, _LATE)), math.inf])
    _check_end(run, *whole)
    tests = []
    for of, step, loss, samples in ends:
        variance = whole[of == "val"].noise
        noise = 0.0 if math.isnan(variance) else math.sqrt(variance / samples)
        known = (schedule, schedule, step, loss, of, size, batch, noise, whole[of == "val"])
        seen = [each for each in past if _is_enough(*each, of) and each[2] < step]
        seen += [late] if seen and LATE * step <= late[2] < step else []
        tests += [Backtest(train, val, now, *known) for train, val, now in seen]
    return tests


def _is_enough(train: Bins, val: Bins, _: float, of: Target) -> bool:
    """Whether so much was seen that a loss is forecast."""
    return bool(train.count.sum() + val.count.sum() >= NEEDED and len(val if of == "val" else train))


def _check_end(run: FinishedRun, train: Bins, val: Bins) -> None:
    """Raise `Diverged` if a run's last losses are no numbers, or far above what it had reached."""
    known = (np.abs(run.train_loss) < HUGE) | (np.abs(run.val_loss) < HUGE)
    last, end = int(run.steps[known].max()), int(run.steps.max())
    if end - last > _LOST * end:
        raise Diverged(f"no loss is known after step {last} of {end}")
    bins = train if len(train) else val
    level, height = alarm_at(bins, may_rise=not len(train), lenient=False)
    if bins.mean[-1] > level + height:
        raise Diverged(f"it ended at {bins.mean[-1]:.4g}, far above the {level:.4g} that it had reached")


def _growing(run: FinishedRun, stops: Sequence[float]) -> Iterator[tuple[Bins, Bins, float]]:
    """Both series as they stood at each of some steps, and the last step seen."""
    train, val, i = Series(), Series(), 0
    steps = run.steps.tolist()
    for stop in stops:
        while i < len(steps) and steps[i] <= stop:
            for series, losses in ((train, run.train_loss), (val, run.val_loss)):
                if abs(losses[i]) < HUGE and steps[i] > series.last_step:
                    series.add(steps[i], float(losses[i]))
            i += 1
        yield *as_fitted(train, val), float(max(train.last_step, val.last_step))


class _End(NamedTuple):
    """Where a loss ended: which, at which step, where, and of how many losses that is the mean."""

    of: Target
    step: int
    loss: float
    samples: int


def _end(run: FinishedRun, of: Target) -> _End | None:
    """The last validation loss, or the mean of the train losses over the last 1 % of the steps."""
    losses = run.val_loss if of == "val" else run.train_loss
    known = (np.abs(losses) < HUGE) & (run.steps >= 1)
    if known.sum() < KINDS[of]:
        return None
    steps, losses = run.steps[known], losses[known]
    late = losses[-1:] if of == "val" else losses[steps > (1.0 - _TAIL) * steps[-1]]
    return _End(of, int(steps[-1]), float(late.mean()), len(late))


def _count(run: FinishedRun, name: str) -> float | None:
    """A number of parameters or tokens, where the run tells it."""
    count = float(run.meta.get(name) or math.nan)
    return count if 0.0 < count < math.inf else None


def _schedule(run: FinishedRun) -> Schedule | None:
    planned = run.meta.get("schedule")
    if isinstance(planned, Mapping):
        return Schedule.from_dict(planned)
    rates = LearningRates()
    for step, lr in zip(run.steps.tolist(), run.lr.tolist(), strict=True):
        if step >= 1 and 0.0 <= lr < HUGE:
            rates.add(step, lr)
    steps, lrs = rates.knots()
    return Schedule.from_log(steps, lrs) if max(lrs, default=0.0) > 0.0 else None
