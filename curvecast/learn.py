"""What finished runs teach about the next one: where, and by how much, their own ends were foreseen wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from curvecast._settings import of_kinds
from curvecast.curve import NO_BINS, Bins, FinishedRun, LearningRates, Series, as_fitted
from curvecast.decisions.alarm import HUGE, alarm_at
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job
from curvecast.fit.believable import is_lesson, is_point
from curvecast.fit.fitting import NEEDED, fit
from curvecast.fit.lessons import Lesson, lessons_on, logarithms
from curvecast.fit.likeness import Places
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.scores import of_mixture
from curvecast.fit.siblings import End, points_of
from curvecast.forecast import Forecast, Target
from curvecast.forecast.ahead import GOLDEN, forecast
from curvecast.forecast.taught import places_of, reading
from curvecast.notation import plural
from curvecast.schedule import Schedule

_KINDS: dict[Target, int] = {"val": 2, "train": 1}  # losses of each that a run has at least; the first decides
FRACTIONS = (0.05, 0.1, 0.16, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9)
_OF_A_RUN = ("steps", "train_loss", "val_loss", "lr", "meta")
MOST_RUNS = 32  # more teach little that these do not; they are taken evenly
_TAIL = 0.01  # of the steps, over which a train loss is averaged at the end: under a decay it still falls there
_LOST = 0.02  # of the steps, after which a run of which no loss is known has diverged
_HALFWAY = 0.1  # e-folds of the steps: how far off half-way the nearest back-test may stand
_TINY = 1e-9
_MOST_TIMELINES = 1024  # that are kept


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


class Diverged(ValueError):  # noqa: N818 - what the run did, not a mistake of the code
    """A run has no end that others could learn from."""


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
        """The whole series that ended in a test's truth, as rows of ``fit.siblings.Point``."""
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


def learn_prior(
    runs: Iterable[FinishedRun],
    *,
    start: Prior | None = None,
    progress: Callable[[float], None] | None = None,
    left_out: Callable[[FinishedRun, str], None] | None = None,
) -> Prior:
    """A prior for the next run, learnt from finished ones.

    The shipped prior is what laboratories have in common; a team's runs are more alike. Each run is forecast from its
    own past under the prior, at nine places on its way. What these missed by, and what the loss fell by from there on,
    move and narrow the forecast of the next run at a like place (``fit.lessons``), as far as the runs foretell one
    another. A run that resembles none is forecast as before.
    Runs that diverged, and runs too short to be forecast, are left out.

    Args:
        runs: Finished runs, with their learning rates (logged, or a ``schedule`` in ``meta``).
        start: The prior to start from; ``None`` for the shipped one. What it has learnt stays, up to 32 runs in all.
        progress: Called with the share that is done, between 0 and 1.
        left_out: Called with each run that is left out, and why.

    Raises:
        TypeError: if `runs` are no runs.
        ValueError: if nothing can be learnt from any.

    Example:
        >>> from types import SimpleNamespace
        >>> steps = np.arange(1, 2001)
        >>> loss, nothing = 2.0 + 3.0 * steps**-0.3, np.full(2000, np.nan)
        >>> run = SimpleNamespace(steps=steps, train_loss=loss, val_loss=nothing, lr=nothing, meta={})
        >>> learn_prior([run]).source.endswith("then learnt from 1 finished run")
        True
    """
    of_kinds(("start", start, Prior))
    prior = start or Prior()
    taken = _taken(_listed(runs), left_out)
    untaught, forecaster, lessons, curves = prior.untaught, Forecaster(), list(prior.lessons), list(prior.curves)
    first = 1 + int(max((lesson[0] for lesson in lessons), default=-1))
    for number, tests in enumerate(taken):
        lessons += lessons_of(first + number, tests, untaught, forecaster)
        for test in {test.of: test for test in tests}.values():
            curves += forecaster.curve(first + number, test, untaught)
        if progress is not None:
            progress((number + 1) / len(taken))
    kept, kept_curves = (
        tuple(row for row in rows if row[0] >= first + len(taken) - MOST_RUNS) for rows in (lessons, curves)
    )
    return replace(
        prior,
        lessons=kept,
        curves=kept_curves,
        source=f"{prior.source}; then learnt from {plural(len(taken), 'finished run')}",
    )


class Foretold(NamedTuple):
    """How far off finished runs were foretold half-way, each by what the others teach: medians.

    Args:
        of: Which loss.
        runs: How many were.
        untaught, taught: Error of the end that was foretold [% of the end].
    """

    of: Target
    runs: int
    untaught: float
    taught: float


def foretold(prior: Prior) -> list[Foretold]:
    """What a prior's lessons are worth to one another, of each loss that two runs or more teach.

    Example:
        >>> foretold(Prior())
        []
    """
    found: list[Foretold] = []
    for of in _KINDS:
        halfway = [Lesson(*row) for row in prior.lessons if row[1] == (of == "val")]
        halfway = [lesson for lesson in halfway if abs(lesson.progress - math.log(0.5)) < _HALFWAY]
        errors = [_errors(prior, lesson) for lesson in halfway]
        if len({lesson.run for lesson in halfway}) > 1:
            untaught, taught = np.median(errors, axis=0).tolist()
            found.append(Foretold(of, len(errors), untaught, taught))
    return found


def _errors(prior: Prior, lesson: Lesson) -> tuple[float, float]:
    """By the law, and as the other runs teach [% of the end]."""
    lessons = lessons_on(prior.lessons, lesson.of_val > 0.0, lesson.size, lesson.batch, prior.curves)
    assert lessons is not None  # its run teaches itself
    per_cent = 100.0 / max(abs(1.0 + lesson.came), _TINY)
    return per_cent * abs(lesson.change - lesson.came), per_cent * abs(lessons.left_out[lesson] - lesson.came)


def _taken(runs: list[FinishedRun], left_out: Callable[[FinishedRun, str], None] | None) -> list[list[Backtest]]:
    """The back-tests of the runs that teach, of at most 32, taken evenly however many there are."""
    taken: list[list[Backtest]] = []
    why = "no run"
    for place in sorted(range(len(runs)), key=lambda i: i * GOLDEN % 1.0):
        if len(taken) == MOST_RUNS:
            break
        tests, why = _tests(runs[place])
        if tests:
            taken.append(tests)
        elif left_out is not None:
            left_out(runs[place], why)
    if not taken:
        raise ValueError(
            f"`runs` must hold a finished run with at least {NEEDED} losses in its first nine tenths: "
            f"got {f'{len(runs)} without, the last of which was left out because {why}' if runs else why}. "
            "Pass longer runs, or more of them."
        )
    return taken


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
    """What a prior's forecasts of one run miss by, as rows of ``fit.lessons.Lesson``."""
    lessons: list[tuple[float, ...]] = []
    for test in tests:
        ahead, place = forecaster.forecast(test, prior)
        at = place.at[0].tolist()
        level = math.exp(at[-1])
        came = test.truth / level - 1.0, test.noise / level
        told = of_mixture(ahead.weight[:, 0], ahead.means[:, 0], ahead.stds[:, 0], test.truth) / level
        seen = float(run), float(test.of == "val"), math.log(test.now / test.end)
        row = *seen, *at, float(place.change[0]), float(place.sd[0]), *came, told
        if is_lesson(row):
            lessons.append(row)
    return lessons


def _tests(run: FinishedRun) -> tuple[list[Backtest], str]:
    """The run's back-tests, or why it has none: a run that cannot be read as one must not spoil the others' lesson."""
    try:
        return backtests(run), f"it has fewer than {NEEDED} losses in its first nine tenths"
    except Diverged as error:
        return [], f"it diverged: {error}"
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError) as error:
        return [], f"it cannot be read as a run: {error}"


def backtests(run: FinishedRun) -> list[Backtest]:
    """Forecasts of where a finished run's losses ended, from its own past, where there is enough to forecast from.

    Raises:
        Diverged: if the run has no such end.
    """
    ends = [end for of in _KINDS if (end := _end(run, of)) is not None]
    if not ends:
        return []
    schedule, size, batch = _schedule(run), _count(run, "num_params"), _count(run, "batch_tokens")
    *past, (*whole, _) = _growing(run, [*(fraction * ends[0].step for fraction in FRACTIONS), math.inf])
    _check_end(run, *whole)
    tests = []
    for of, step, loss, samples in ends:
        variance = whole[of == "val"].noise
        noise = 0.0 if math.isnan(variance) else math.sqrt(variance / samples)
        known = (schedule, schedule, step, loss, of, size, batch, noise, whole[of == "val"])
        for train, val, now in past:
            enough = train.count.sum() + val.count.sum() >= NEEDED and len(val if of == "val" else train)
            if enough and now < step:
                tests.append(Backtest(train, val, now, *known))
    return tests


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
    if known.sum() < _KINDS[of]:
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
