"""Where the loss that decides will be: what tells of it beside the law, and how far each is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from curvecast.curve import NO_BINS
from curvecast.decisions.repeats import TurnAhead, by_heart, turn_ahead, turning
from curvecast.decisions.turned import Turned
from curvecast.fit.apart import Apart, apart
from curvecast.fit.decades import UNIT, ByLogs, by_logs
from curvecast.fit.gap import lead_of_train
from curvecast.fit.kinship import tells
from curvecast.fit.newest import Fitted
from curvecast.fit.posterior import Posterior
from curvecast.forecast import Forecast, Futures, over
from curvecast.forecast.exponential import exponential, mixed
from curvecast.forecast.fits import over_fits
from curvecast.forecast.hindsight import come, going_on, missed
from curvecast.forecast.logged import as_logged
from curvecast.forecast.taught import lessons_for
from curvecast.laws.kaplan_overfitting import overfitting
from curvecast.schedule import Schedule


@dataclass(frozen=True, eq=False)  # no slots: what is worked out is kept
class Foretold(Turned):
    """The forecasts of a run at one moment."""

    @cached_property
    def outlook(self) -> Forecast:
        """The loss that decides, at the end of the plan."""
        return self.forecast(self.end)

    def forecast(self, at: ArrayLike, schedule: Schedule | None = None) -> Forecast:
        """The loss that decides, at a step or several, as the log will show it: a mixture of all that tells of it.

        - *Validation has turned*: a rise that goes on (``decisions.rise``), as probable as that is, and else what is
          said of one that has not. What finished runs have taught stands beside both: they may have risen too.
        - *It has not*: what finished runs have taught, as far as they are believed, and else what the run tells by
          itself. That is its law and, beside it, validation's own, where it may have parted from train; a law of the
          loss's logarithm, where it has fallen by decades; and, of a network that is small or of unknown size, a part
          that is moved, for a run that was lately forecast too high or too low may go on so (``forecast.hindsight``).
        - *Data are seen again and again*: a part of all that turns at a step ahead (``decisions.repeats``).

        Args:
            at: A step or ``(m,)`` steps, >= 1 [steps].
            schedule: Another future.
        """
        if not self.behind or (upward := self.rise) is None:
            return self._unturned(at, schedule)
        step = np.atleast_1d(np.asarray(at, dtype=np.float64))
        left = self.behind * (step >= self.step)
        if lessons_for(self.posterior, self.of) is None:
            still = self._unturned(at, schedule)
            ahead = replace(still, weight=still.weight * (1.0 - left))
        else:
            ahead = self.by_law(at, schedule, left)
        weight = upward.weight[:, None] * ahead.left
        risen = as_logged(
            Forecast(ahead.step, self.of, weight, *upward.moments(step), self.floor), self._decides, self.floor
        )
        return mixed((1.0, ahead), (1.0, risen)).above(self.floor)

    def _unturned(self, at: ArrayLike, schedule: Schedule | None) -> Forecast:
        """The same of a loss that has not turned: by finished runs and, as far as they are not believed, by itself."""
        if lessons_for(self.posterior, self.of) is not None:
            told, alone = self._by_lessons(at, schedule), self._without_lessons._unturned(at, schedule)
            return mixed((1.0, told), (told.left, alone)).above(self.floor)
        ahead = self._by_itself(at, schedule)
        if (turn := self.turn_ahead) is None:
            return ahead
        return turning(ahead, self._by_itself(turn.onset, schedule), turn).above(self.floor)

    def _by_lessons(self, at: ArrayLike, schedule: Schedule | None = None) -> Forecast:
        """What finished runs have taught alone, its weights summing to the probability that it holds."""
        futures = self._futures_under(schedule)
        return over(futures, self.posterior, at, of=self.of, floor=self.floor, logged=self._decides, lessons_only=True)

    @cached_property
    def _without_lessons(self) -> Self:
        """The same run as if no finished run had been learnt from; kept, as what it works out is."""
        if self.alone is None or tells(self.kin):
            fitted = self.fitted and self.fitted.untaught
            return replace(self, posterior=replace(self.posterior, prior=self.posterior.prior.untaught), fitted=fitted)
        alone = Fitted.of(self.alone)
        return replace(self, posterior=alone.posterior, fitted=alone, alone=None)

    @cached_property
    def teachers(self) -> tuple[int, float]:
        """How many finished runs of about this size tell of the loss that decides, and how far they are believed."""
        lessons = lessons_for(self.posterior, self.of)
        if lessons is None:
            return 0, 0.0
        return lessons.runs, float(np.add.reduce(self._by_lessons(self.end).weight, axis=None))

    def _by_itself(self, at: ArrayLike, schedule: Schedule | None) -> Forecast:
        """A forecast by what the run has shown: its law, and what may be another law or a miss that goes on."""
        ahead = self.by_law(at, schedule)
        if self.apart is not None:
            ahead = self._or_alone(self.apart, ahead, schedule)
        if self.logs is not None:
            ahead = self._or_by_logs(self.logs, ahead, schedule)
        if self.past is None or self.missed is None:
            return ahead
        return going_on(ahead, self.missed, self.past.goes_on, self.posterior.now).above(self.floor)

    def by_law(
        self, at: ArrayLike, schedule: Schedule | None = None, turned: ArrayLike = 0.0, *, is_logged: bool = True
    ) -> Forecast:
        """The same by law (validation turns up as its growth term says) and by what runs have taught, without a rise.

        Args:
            at: A step or ``(m,)`` steps, >= 1 [steps].
            schedule: Another future.
            turned: What is left to a rise (``forecast.forecast``).
            is_logged: Whether the noise of what will be logged counts.
        """
        return over_fits(
            self._fits_under(schedule),
            at,
            of=self.of,
            floor=self.floor,
            turned=turned,
            logged=self._decides if is_logged else NO_BINS,
            may_turn=self.turn_ahead is None,  # else it is foretold, and would count twice
        )

    def _fits_under(self, schedule: Schedule | None) -> Sequence[tuple[Posterior, Futures]]:
        """The fit, with what may come; where nobody tells the rate, those under decays that may be under way, too."""
        if schedule is None and self.under_way is not None:
            return self.under_way.weighed(self.posterior)
        return [(self.posterior, self._futures_under(schedule))]

    def _futures_under(self, schedule: Schedule | None) -> Futures:
        """What may come, or another future."""
        if schedule is None:
            return self.futures
        return ((1.0, self.posterior.timeline.under(schedule, self.posterior.now)),)

    def _or_alone(self, own: Apart, ahead: Forecast, schedule: Schedule | None) -> Forecast:
        """A forecast by the law for both losses beside that of validation's own, as probable as each is."""
        alone = over(
            self._futures_under(schedule),
            own.posterior,
            ahead.step,
            of=self.of,
            floor=self.floor,
            logged=self._decides,
            may_turn=self.turn_ahead is None,
        )
        return mixed((1.0 - own.probability, ahead), (own.probability, alone)).above(self.floor)

    def _or_by_logs(self, logs: ByLogs, ahead: Forecast, schedule: Schedule | None) -> Forecast:
        """A forecast beside that of the law of the loss's logarithm, as probable as each is."""
        other = over(self._futures_under(schedule), logs.posterior, ahead.step, of=self.of)
        other = as_logged(
            exponential(other, UNIT, logs.level, logs.highest).above(self.floor), self._decides, self.floor
        )
        return mixed((1.0 - logs.probability, ahead), (logs.probability, other)).above(self.floor)

    @cached_property
    def apart(self) -> Apart | None:
        """Validation by a law of its own, where it may have parted from train; a family's law would tell more."""
        if not self.of_val or tells(self.kin):
            return None
        return apart(self.train, self.val, self.posterior) if self.fitted is None else self.fitted.apart

    @cached_property
    def logs(self) -> ByLogs | None:
        """The law of the loss's logarithm, where it has fallen by decades to a zero, and no family's law tells more."""
        if self.floor < 0.0 or tells(self.kin):
            return None
        post = self.posterior
        return by_logs(self.deciding, post.timeline, post.prior, of_val=self.of_val, now=post.now)

    @cached_property
    def missed(self) -> float | None:
        """How far off the newest losses were foretold at the last milestone, in standard deviations.

        ``None`` of losses that were negative: they are measured by their spread, and back then they may not have been.
        """
        if self.past is None or self.floor < 0.0 or tells(self.kin):
            return None
        past, timeline, came = self.past, self.posterior.timeline, come(self.deciding)
        return past.once(
            (timeline, len(came), float(came.count[-1])),
            lambda: missed(past.posterior(), timeline, came, past.seen, of=self.of, floor=self.floor),
        )

    @cached_property
    def turn_ahead(self) -> TurnAhead | None:
        """The turn of validation yet to come, where data repeat; finished runs know of it themselves."""
        if self.epoch is None or not self.of_val or self.floor < 0.0 or not self.steps_left:
            return None
        if tells(self.kin) or lessons_for(self.posterior, self.of) is not None:
            return None
        return turn_ahead(self.step, self.end, self.epoch, self._by_heart())

    def _by_heart(self) -> float:
        """Probability that the data are learnt by heart, if they are seen often enough."""
        tokens, penalty = self.dataset_tokens, None
        if tokens is None and self.epoch is not None and self.batch_tokens is not None:
            tokens = self.epoch * self.batch_tokens
        if self.num_params is not None and tokens is not None:
            penalty = float(overfitting(self.num_params, tokens))
        return by_heart(lead_of_train(self.train, self.val), penalty)
