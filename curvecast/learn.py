"""What finished runs teach about the next one: the prior under which their own ends would have been foreseen best.

Every finished run is forecast from its own past, at 10, 25, 50 and 80 % of its way. The numbers of the prior are moved
one at a time as long as the log-score of these forecasts rises by more than the move is unlikely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import Bins, FinishedRun, FloatArray, LearningRates, Series
from curvecast.decisions.alarm import HUGE
from curvecast.fit.basis import Timeline
from curvecast.fit.moves import MOVES, Move, is_sound
from curvecast.fit.posterior import fit
from curvecast.fit.prior import Prior
from curvecast.forecast import Target, forecast
from curvecast.schedule import Schedule

FRACTIONS = (0.1, 0.25, 0.5, 0.8)
LEAST = 12  # losses that a forecast needs
_MOST_RUNS = 48  # more teach nothing that these do not; they are taken evenly
_WORST = -6.0  # log-score below which a forecast counts no further: one run that nothing foresees must not decide
_WORTH = 2.0  # independent forecasts that the four of one run are worth
_GOLDEN = 0.6180339887498949
_TAIL = 0.02  # of the steps, over which a train loss is averaged at the end; a cooldown may be as short as a tenth
_SWEEPS = 3
_RISE = 0.02  # of the objective, below which another sweep is not worth its time


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


class Scorer:
    """Log-scores of forecasts under any prior; the schedules' timelines are kept from one prior to the next."""

    def __init__(self) -> None:
        self._timelines: dict[tuple[Schedule | None, tuple[tuple[float, float], ...]], Timeline] = {}

    def __call__(self, test: Backtest, prior: Prior, worst: float = _WORST) -> float:
        """Logarithm of the density that the forecast had at the truth, in units of the truth."""
        belief = prior.for_size(test.num_params)
        plan = self._timeline(test.plan, belief)
        future = plan if test.future is test.plan or test.future is None else plan.under(test.future, test.now)
        posterior = fit(test.train, test.val, plan, belief, of_val=test.of == "val", now=test.now)
        ahead = forecast(posterior, test.end, of=test.of, timeline=future)
        z = (test.truth - ahead.means) / ahead.stds
        density = float((ahead.weight * np.exp(-0.5 * z * z) / ahead.stds).sum()) / math.sqrt(2.0 * math.pi)
        if not math.isfinite(density):
            return worst
        return max(math.log(max(density * abs(test.truth), 1e-300)), worst)

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

    The shipped prior is what laboratories have in common; a team's runs are more alike. Each number is moved to where
    the ends of the team's own runs would have been foreseen best, and shrinks toward the shipped one where there are
    few runs, or they say little.

    Args:
        runs: Finished runs, with their learning rates (logged, or a ``schedule`` in ``meta``).
        start: The prior to start from; ``None`` for the shipped one.
        progress: Called with the share that is done, between 0 and 1.

    Raises:
        ValueError: if no run has enough losses.

    Example:
        >>> from types import SimpleNamespace
        >>> steps = np.arange(1, 2001)
        >>> loss, nothing = 2.0 + 3.0 * steps**-0.3, np.full(2000, np.nan)
        >>> run = SimpleNamespace(steps=steps, train_loss=loss, val_loss=nothing, lr=nothing, meta={})
        >>> learn_prior([run]).source.endswith("then learnt from 1 finished runs")
        True
    """
    prior = start or Prior()
    every = list(runs)
    taken: list[list[Backtest]] = []
    for place in sorted(range(len(every)), key=lambda i: i * _GOLDEN % 1.0):  # evenly, however many there are
        if len(taken) < _MOST_RUNS and (tests := _tests(every[place])):
            taken.append(tests)
    if not taken:
        raise ValueError(
            f"`runs` must hold a finished run with at least {LEAST} losses in its first four fifths: "
            f"got {f'{len(every)} without' if every else 'no run'}. Pass longer runs, or more of them."
        )
    scorer = Scorer()

    def evidence(tried: Prior) -> float:
        return _WORTH * sum(float(np.mean([scorer(test, tried) for test in tests])) for tests in taken)

    learnt = climb(prior, evidence, MOVES, sweeps=_SWEEPS, rise=_RISE, progress=progress)
    return replace(learnt, source=f"{prior.source}; then learnt from {len(taken)} finished runs")


def climb(
    start: Prior,
    evidence: Callable[[Prior], float],
    moves: Sequence[Move],
    *,
    sweeps: int,
    rise: float,
    penalty: float = 1.0,
    progress: Callable[[float], None] | None = None,
) -> Prior:
    """Move one number at a time while ``evidence`` rises by more than the moves' own improbability.

    A step that finds nothing is halved, one that does is tried again in the next sweep.

    Args:
        start: Where to begin; each move's distance is counted from here.
        evidence: Logarithm of how well a prior explains what is known.
        moves: What may be moved.
        sweeps: At most so many times through all moves.
        rise: Of the objective in a sweep, below which it ends.
        penalty: Factor of the moves' improbability; 0 for none.
        progress: Called with the share that is done.
    """
    best, top = start, evidence(start)
    away, step = [0.0] * len(moves), [move.step for move in moves]
    for sweep in range(sweeps):
        before = top
        for i, move in enumerate(moves):
            for d in (step[i], -step[i]):
                tried = move.apply(best, d)
                cost = 0.5 * penalty * ((away[i] + d) ** 2 - away[i] ** 2) / move.spread**2
                if is_sound(tried) and (score := evidence(tried) - cost) > top + 1e-3 * rise:
                    best, top, step[i] = tried, score, d
                    away[i] += d
                    break
            else:
                step[i] *= 0.5
            if progress is not None:
                progress((sweep + (i + 1) / len(moves)) / sweeps)
        if top < before + rise:
            break
    if progress is not None:
        progress(1.0)
    return best


def _tests(run: FinishedRun) -> list[Backtest]:
    """The run's back-tests; none of a run that cannot be read as one, which must not spoil the others' lesson."""
    try:
        return backtests(run)
    except (ValueError, TypeError, OverflowError):
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
