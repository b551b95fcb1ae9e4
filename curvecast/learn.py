"""What finished runs teach about the next one: where, and by how much, their own ends were foreseen wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from curvecast._settings import of_kinds
from curvecast.backtests import KINDS, Backtest, Diverged, Forecaster, backtests
from curvecast.curve import FinishedRun
from curvecast.fit.believable import is_lesson
from curvecast.fit.fitting import NEEDED
from curvecast.fit.lessons import Lesson
from curvecast.fit.prior import Prior
from curvecast.fit.scores import of_mixture
from curvecast.fit.teachers import lessons_on
from curvecast.forecast import Target
from curvecast.forecast.ahead import GOLDEN
from curvecast.notation import plural

_OF_A_RUN = ("steps", "train_loss", "val_loss", "lr", "meta")
MOST_RUNS = 32  # more teach little that these do not; they are taken evenly
_HALFWAY = 0.1  # e-folds of the steps: how far off half-way the nearest back-test may stand
_TINY = 1e-9


def learn_prior(
    runs: Iterable[FinishedRun],
    *,
    start: Prior | None = None,
    progress: Callable[[float], None] | None = None,
    left_out: Callable[[FinishedRun, str], None] | None = None,
) -> Prior:
    """A prior for the next run, learnt from finished ones.

    The shipped prior is what laboratories have in common; a team's runs are more alike. Each run is forecast from its
    own past under the prior, at nine places on its way, and once more near its end. What these missed by, and what the
    loss fell by from there on, move and narrow the forecast of the next run at a like place (``fit.lessons``), as far
    as the runs foretell one another. A run that resembles none is forecast as before.
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
    for of in KINDS:
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
