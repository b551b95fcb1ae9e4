"""What finished runs teach about the next one: where, and by how much, their own ends were foreseen wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from curvecast._settings import of_kinds
from curvecast.curve import Bins, FinishedRun, FloatArray, LearningRates, Series
from curvecast.decisions.alarm import HUGE
from curvecast.fit.basis import Timeline
from curvecast.fit.lessons import Lesson
from curvecast.fit.posterior import fit
from curvecast.fit.prior import Prior
from curvecast.forecast import Forecast, Target, forecast, place_of
from curvecast.schedule import Schedule

FRACTIONS = (0.05, 0.1, 0.16, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9)
_OF_A_RUN = ("steps", "train_loss", "val_loss", "lr", "meta")
LEAST = 12  # losses that a forecast needs
_MOST_RUNS = 32  # more teach little that these do not; they are taken evenly
_GOLDEN = 0.6180339887498949
_TAIL = 0.02  # of the steps, over which a train loss is averaged at the end; a cooldown may be as short as a tenth


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


class Forecaster:
    """Forecasts of back-tests under any prior; the schedules' timelines are kept from one prior to the next."""

    def __init__(self) -> None:
        self._timelines: dict[tuple[Schedule | None, tuple[tuple[float, float], ...]], Timeline] = {}

    def forecast(self, test: Backtest, prior: Prior) -> tuple[Forecast, FloatArray]:
        """The forecast of the truth, and the ``(1, 4)`` place where it stands (``forecast.place_of``)."""
        belief = prior.for_size(test.num_params)
        plan = self._timeline(test.plan, belief)
        future = plan if test.future is test.plan or test.future is None else plan.under(test.future, test.now)
        posterior = fit(test.train, test.val, plan, belief, of_val=test.of == "val", now=test.now)
        ahead = forecast(posterior, test.end, of=test.of, timeline=future)
        return ahead, place_of(posterior, np.array([test.end]), future)

    def _timeline(self, schedule: Schedule | None, prior: Prior) -> Timeline:
        key = (schedule, prior.annealing_shape)
        if key not in self._timelines:
            if len(self._timelines) >= 1024:
                self._timelines.clear()
            self._timelines[key] = Timeline(schedule, prior.annealing_shape)
        return self._timelines[key]


def learn_prior(
    runs: Iterable[FinishedRun], *, start: Prior | None = None, progress: Callable[[float], None] | None = None
) -> Prior:
    """A prior for the next run, learnt from finished ones.

    The shipped prior is what laboratories have in common; a team's runs are more alike. Each run is forecast from its
    own past under the prior, at nine places on its way, and what these forecasts missed by moves and narrows those of
    the next run wherever it stands at a like place (``fit.lessons``). A run that resembles none is forecast as before.

    Args:
        runs: Finished runs, with their learning rates (logged, or a ``schedule`` in ``meta``).
        start: The prior to start from; ``None`` for the shipped one. What it has learnt stays, up to 32 runs in all.
        progress: Called with the share that is done, between 0 and 1.

    Raises:
        TypeError: if `runs` are no runs.
        ValueError: if no run has enough losses.

    Example:
        >>> from types import SimpleNamespace
        >>> steps = np.arange(1, 2001)
        >>> loss, nothing = 2.0 + 3.0 * steps**-0.3, np.full(2000, np.nan)
        >>> run = SimpleNamespace(steps=steps, train_loss=loss, val_loss=nothing, lr=nothing, meta={})
        >>> learn_prior([run]).source.endswith("then learnt from 1 finished runs")
        True
    """
    of_kinds(("start", start, Prior))
    prior = start or Prior()
    every = _listed(runs)
    taken: list[list[Backtest]] = []
    for place in sorted(range(len(every)), key=lambda i: i * _GOLDEN % 1.0):  # evenly, however many there are
        if len(taken) < _MOST_RUNS and (tests := _tests(every[place])):
            taken.append(tests)
    if not taken:
        raise ValueError(
            f"`runs` must hold a finished run with at least {LEAST} losses in its first nine tenths: "
            f"got {f'{len(every)} without' if every else 'no run'}. Pass longer runs, or more of them."
        )
    untaught, forecaster, lessons = replace(prior, lessons=()), Forecaster(), list(prior.lessons)
    first = 1 + int(max((lesson[0] for lesson in lessons), default=-1))
    for number, tests in enumerate(taken):
        lessons += lessons_of(first + number, tests, untaught, forecaster)
        if progress is not None:
            progress((number + 1) / len(taken))
    kept = tuple(lesson for lesson in lessons if lesson[0] >= first + len(taken) - _MOST_RUNS)
    return replace(prior, lessons=kept, source=f"{prior.source}; then learnt from {len(taken)} finished runs")


def _listed(runs: object) -> list[FinishedRun]:
    """The runs, each with what a run has; a list of paths is a likely slip."""
    advice = "Pass what `curvecast.read` gives."
    if isinstance(runs, str) or not isinstance(runs, Iterable):
        raise TypeError(f"`runs` must be a list of runs: got a {type(runs).__name__}. {advice}")
    every = list(runs)
    if strange := [each for each in every if not all(hasattr(each, name) for name in _OF_A_RUN)]:
        raise TypeError(f"`runs` must have {', '.join(_OF_A_RUN)}: got a {type(strange[0]).__name__} without. {advice}")
    return every


def lessons_of(run: int, tests: Iterable[Backtest], prior: Prior, forecaster: Forecaster) -> list[tuple[float, ...]]:
    """What a prior's forecasts of one run miss by."""
    lessons: list[tuple[float, ...]] = []
    for test in tests:
        ahead, place = forecaster.forecast(test, prior)
        miss = (test.truth - float(ahead.mean)) / float(ahead.std)
        time, gained, ahead_of_it, size = place[0].tolist()
        progress = math.log(test.now / test.end)
        lesson = Lesson(run, float(test.of == "val"), progress, time, gained, ahead_of_it, size, miss)
        if all(map(math.isfinite, lesson)):
            lessons.append(lesson)
    return lessons


def _tests(run: FinishedRun) -> list[Backtest]:
    """The run's back-tests; none of a run that cannot be read as one, which must not spoil the others' lesson."""
    try:
        return backtests(run)
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return []


def backtests(run: FinishedRun) -> list[Backtest]:
    """Forecasts of a finished run's end from its own past, where there is enough to forecast from."""
    of: Target = "val" if int(np.isfinite(run.val_loss).sum()) >= 2 else "train"
    losses = run.val_loss if of == "val" else run.train_loss
    known = (np.abs(losses) < HUGE) & (run.steps >= 1)
    if not known.any():
        return []
    end, schedule = int(run.steps[known].max()), _schedule(run)
    truth = _truth(run.steps[known], losses[known], of)
    size = float(run.meta.get("num_params") or math.nan)
    num_params = size if 0.0 < size < math.inf else None
    tests = []
    for train, val in _growing(run, [fraction * end for fraction in FRACTIONS]):
        seen = val if of == "val" else train
        if train.total + val.total >= LEAST and seen.total and truth != 0.0:
            now = float(max(train.last_step, val.last_step))
            bins = train.bins(), val.bins()
            tests.append(Backtest(*bins, now, schedule, schedule, end, truth, of, num_params))
    return tests


def _growing(run: FinishedRun, stops: Sequence[float]) -> Iterable[tuple[Series, Series]]:
    """Both series as they stood at each of some steps."""
    train, val, i = Series(), Series(), 0
    steps = run.steps.tolist()
    for stop in stops:
        while i < len(steps) and steps[i] <= stop:
            for series, losses in ((train, run.train_loss), (val, run.val_loss)):
                if abs(losses[i]) < HUGE and steps[i] > series.last_step:
                    series.add(steps[i], float(losses[i]))
            i += 1
        yield train, val


def _truth(steps: NDArray[np.int64], losses: FloatArray, of: Target) -> float:
    """The last validation loss; of train losses the mean over the last 2 % of the steps."""
    if of == "val":
        return float(losses[-1])
    return float(losses[steps > (1.0 - _TAIL) * steps[-1]].mean())


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
