"""What a run can be asked: its verdict, forecasts, choices, a figure. Asking changes nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Unpack

from numpy.typing import ArrayLike

from curvecast._settings import of_kinds, positive, whole_cooldown
from curvecast.course import Course
from curvecast.curve import Bins
from curvecast.decisions.base import Verdict
from curvecast.decisions.best_step import best_step
from curvecast.decisions.choices import Choice
from curvecast.decisions.compute_efficiency import resized
from curvecast.forecast import Forecast, Target, over
from curvecast.forecast.distribution import is_share
from curvecast.forecast.futures import floor_of
from curvecast.judge import Judge
from curvecast.laws.frontier import Way
from curvecast.schedule import Schedule
from curvecast.seen import Seen
from curvecast.turn import Turn

if TYPE_CHECKING:
    from curvecast.plots import Options


class Answers:
    """The side of a `Watcher` that is asked; what it takes in is the other one."""

    num_params: float | None
    seen: Seen
    course: Course
    judge: Judge

    @property
    def verdict(self) -> Verdict:
        """The verdict that stands."""
        return self.judge.verdict

    def _repr_html_(self) -> str:
        """For a notebook: what is said of the run."""
        return self.verdict._repr_html_()

    @property
    def step(self) -> int:
        """The last step seen."""
        return self.seen.step

    @property
    def horizon(self) -> int | None:
        """The planned steps, as the plan now stands; ``None`` where unknown."""
        return self.course.horizon

    @property
    def schedule(self) -> Schedule | None:
        """The plan's learning rate, as it now stands; ``None`` where it is learnt from the rates seen."""
        return self.course.schedule

    @property
    def turn(self) -> Turn | None:
        """The change of plan that `cool_down` made; ``None`` where there was none."""
        return self.course.turn

    @property
    def likely_schedule(self) -> Schedule | None:
        """The plan; where none was given the likeliest future of the learning rates seen; ``None`` where none was."""
        if self.schedule is not None or not self.is_rate_known:
            return self.schedule
        return self.course.futures(self.seen.rates, self.step)[0][1].schedule

    @property
    def is_rate_known(self) -> bool:
        """Whether the learning rate is planned, or was ever told; else decays may be to come of which no one tells."""
        return self.schedule is not None or max(self.seen.rates.knots(self.step)[1], default=0.0) > 0.0

    def forecast(
        self,
        at: ArrayLike | None = None,
        of: Target | None = None,
        schedule: Schedule | None = None,
    ) -> Forecast:
        """Forecast a loss from all that was seen; asking changes nothing.

        Args:
            at: A step, an array of steps, or ``None`` for the horizon (the last step seen where none is known). At
                a step already passed it is the law, not what was measured there.
            of: ``"val"`` or ``"train"``; ``None`` for validation if any was seen.
            schedule: Another future, e.g. ``watcher.schedule.cooldown(start=..., steps=...)``.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if ``of`` was never seen, or ``at`` is no step.
            TypeError: if ``schedule`` is none.

        Example:
            >>> from curvecast import Watcher
            >>> watcher = Watcher(schedule=Schedule.constant(2000))
            >>> for step in range(1, 1001):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> cooled = watcher.schedule.cooldown(start=1000, steps=200)
            >>> watcher.forecast(1200, schedule=cooled).median < watcher.forecast(1200).median
            True
        """
        of_kinds(("schedule", schedule, Schedule))
        target = self.seen.target(of)
        at = self.course.end(self.step) if at is None else at
        if target == self.seen.target():
            return self.judge.view().forecast(at, schedule)
        posterior, futures = self.judge.belief.posterior(target, self.seen, self.course)
        if schedule is not None:
            futures = ((1.0, posterior.timeline.under(schedule, posterior.now)),)
        floor = floor_of(self.bins("train"), self.bins("val"), of_val=target == "val")
        return over(futures, posterior, at, of=target, floor=floor, logged=self.bins(target))

    def choices(self, cooldown: int | None = None) -> tuple[Choice, ...]:
        """What can be done now: stop here, cool down from here, go on to the horizon; asking changes nothing.

        Args:
            cooldown: Steps of the cooldown; ``None`` for the shortest of 2, 5, 10 and 20 % of the steps done that
                brings nine tenths of what the longest would.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if ``cooldown`` is below 1.

        Example:
            >>> from curvecast import Watcher
            >>> watcher = Watcher(schedule=Schedule.constant(2000), num_params=1e6, batch_tokens=1e4)
            >>> for step in range(1, 1001):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5, seconds=0.1 * step)
            >>> [f"{choice.name} {choice.steps} {choice.seconds:.3g}" for choice in watcher.choices(cooldown=100)]
            ['stop 0 0', 'cool_down 100 10', 'go_on 1000 100']
        """
        return self.judge.view().offered(whole_cooldown("cooldown", cooldown))

    def resized(self, num_params: float | None = None) -> Way:
        """The compute of the whole plan on another size; asking changes nothing.

        Args:
            num_params: The other size; ``None`` for the best one.

        Returns:
            Size and tokens over the run's own, and the loss at the end: the forecast's median, moved by what the
            law of the family says the other size is worth.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if ``num_params`` of the run is not known, or the other is not positive.

        Example:
            >>> from curvecast import Watcher
            >>> watcher = Watcher(horizon=2000, num_params=1e6)
            >>> for step in range(1, 501):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> watcher.resized().size > 1, round(watcher.resized(1e6).loss / watcher.forecast().median, 9)
            (True, 1.0)
        """
        if self.num_params is None:
            raise ValueError("`num_params` must be known for another size: got None. Pass it to the Watcher.")
        positive("num_params", num_params, "the non-embedding parameters")
        return resized(self.judge.view(), num_params)

    def best_step(self, level: float = 0.9) -> tuple[float, float, float]:
        """The step of the lowest validation loss, past or to come: median, and the interval's ends [steps].

        Args:
            level: Probability that the step lies inside.

        Raises:
            NotEnoughSamples: before the first fit is possible.
            ValueError: if no validation loss was seen, or ``level`` is not inside (0, 1).

        Example:
            >>> from curvecast import Watcher
            >>> watcher = Watcher(horizon=1000)
            >>> for step in range(20, 801, 20):
            ...     verdict = watcher.update(step, val_loss=2.0 + 3.0 * step**-0.5 + 1e-6 * max(step - 300, 0) ** 2)
            >>> median, lower, upper = watcher.best_step()
            >>> 200 < lower <= median <= upper < 600
            True
        """
        if not is_share(level):
            raise ValueError(f"`level` must lie inside (0, 1): got {level!r:.40}. Pass 0.9 for a 90 % interval.")
        self.seen.target("val")
        return best_step(self.judge.view(), level)

    def bins(self, of: Target | None = None) -> Bins:
        """The series as it is kept, in log-spaced bins: what a plot draws, and what the fit sees."""
        return (self.seen.val if self.seen.target(of) == "val" else self.seen.train).bins()

    def plot(self, **options: Unpack[Options]) -> Any:
        """Draw what was seen and what is expected: a plotly figure, which a notebook shows by itself.

        Args:
            **options: By name: ``train`` and ``val``, losses to draw in place of what is kept of them; ``truth``, the
                ``(steps, losses)`` that came in the end, each ``(n,)``; ``points``, how fine the fan is, at least 2;
                ``log_x``, ``log_y``; ``axis``, what is counted along the x-axis, as ``curvecast.plots.axis`` gives it;
                ``schedule``, another future, as in ``forecast``; ``end``, the last step drawn, where not the horizon
                [steps]; ``theme``, "light" or "dark", the page's.

        Raises:
            ValueError: if ``points`` is below 2, there is no such ``theme``, or ``truth`` has arrays of two lengths.
            TypeError: if ``axis`` is none, or there is no such option.

        Example:
            >>> from curvecast import Watcher
            >>> watcher = Watcher(horizon=200)
            >>> for step in range(1, 101):
            ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
            >>> watcher.plot(log_x=True).layout.xaxis.type
            'log'
        """
        plots = importlib.import_module("curvecast.plots")  # it stands above: known by name, loaded when asked for
        return plots.forecast_figure(self, **options)
