"""Whether validation has turned: what the losses say of it, and how probably the best lies behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curvecast.curve import NO_BINS, Bins, FloatArray
from curvecast.decisions.base import TradeNeeded, Untold
from curvecast.decisions.exchange import Ahead, Trade, trade
from curvecast.decisions.moment import Moment
from curvecast.decisions.rise import Rise, rise
from curvecast.fit.basis import power_term
from curvecast.fit.fitting import LEAST_TRAINS, LEAST_VALIDATIONS, STALE
from curvecast.fit.gap import with_noise_of_few, with_noise_of_few_trains
from curvecast.fit.tables import A, B
from curvecast.forecast import draw
from curvecast.forecast.futures import floor_of

_DRAWS, _POINTS = 128, 24  # curves that are drawn where there is no train loss to trade, and steps ahead in each
_FIRST_EPOCH_ODDS = 0.02  # factor on the odds before data repeats: little is learnt by heart (Muennighoff et al. 2023)
_COOLDOWN = 0.1  # length of a usual cooldown, as a share of the steps done
_PLANNED = 0.1  # share of a full decay's gain: a plan that brings less has none

Clocks = list[tuple[float, FloatArray, FloatArray]]  # probability, clock and gain, now and at steps ahead


@dataclass(frozen=True, eq=False)  # no slots: what is worked out is kept
class Turned(Moment):
    """What tells of a turn: the rate of exchange, what the plan still brings, and curves that are drawn."""

    def turned(self, min_rise: float) -> float:
        """Probability that the best validation loss lies behind, and that the plan ends ``min_rise`` above it."""
        if self.best_val is None or self.stands_at_best:
            return 0.0
        if min_rise not in self._turned:
            found, above = self.trade, (1.0 + min_rise) * self.best_val[1]
            turned = self._drawn_behind(min_rise) if found is None else min(found.behind, found.above(above))
            self._turned[min_rise] = self._doubted(turned)
        return self._turned[min_rise]

    @cached_property
    def behind(self) -> float:
        """Probability that the best validation loss lies behind, for good; 0 where nothing tells of a turn."""
        asked = self.of_val and self.has_validated(LEAST_VALIDATIONS)
        if not (asked and self._may_have_turned):
            return 0.0
        found = self.trade
        return self._doubted(self._drawn_behind(0.0) if found is None else found.behind)

    @cached_property
    def spared(self) -> float:
        """Probability that no validation ahead undercuts the best by mere noise, if they go on coming as often.

        1 where that is not known: of a validation without a train loss, or one whose noise does not tell.
        """
        found, noise = self.trade, self._decides.noise
        if found is None or not found.now or self.best_val is None or not noise > 0.0:
            return 1.0
        to_come = self.validations * self.steps_left / self.step
        return found.spared(self.best_val[1], math.sqrt(noise), to_come)

    @cached_property
    def rise(self) -> Rise | None:
        """Where validation goes if it has turned."""
        return rise(self.val)

    @cached_property
    def trade(self) -> Trade | None:
        """What the rate of exchange of both losses says; ``None`` where there is no train loss to speak of.

        Raises:
            TradeNeeded: where it was asked before, and what it said is not known yet.
        """
        if isinstance(self.held, Untold):
            raise TradeNeeded
        if self.held is not None:
            return self.held[0]
        train, val = self.train, self.val
        if not len(val) or len(train) < LEAST_TRAINS or train.step[-1] < STALE * val.step[-1]:
            return None
        return trade(val, train.settled(), self._train_fall(), newest=float(self.recent.val[-1]))

    @cached_property
    def _turned(self) -> dict[float, float]:
        """What was asked before."""
        return {}

    def _doubted(self, probability: float) -> float:
        """The probability of a turn where data has not been seen twice yet: of hardly any odds."""
        if not self.in_first_epoch:
            return probability
        odds = _FIRST_EPOCH_ODDS * probability
        return odds / (odds + 1.0 - probability)

    @property
    def _may_have_turned(self) -> bool:
        """Whether the rate of exchange is worth asking: validation stands above its lowest, as far as noise tells."""
        return self.posterior.turned and not self.stands_at_best

    def _drawn_behind(self, min_rise: float) -> float:
        """The share of curves drawn from the posterior whose lowest point up to now is not undercut, but left."""
        seen = self.val.step
        path = self.draw(np.append(seen, self.ahead(_POINTS)), _DRAWS, val=True)
        past, ahead = path[:, : len(seen)].min(axis=1), path[:, len(seen) :]
        return float(np.mean((ahead.min(axis=1) > past) & (ahead[:, -1] > (1.0 + min_rise) * past)))

    def _train_fall(self) -> Ahead:
        """What the posterior expects of the train loss half-way to the end and there, over all futures."""
        post = self.posterior
        # Losses that leap may give either the wrong sign: a rise of train would be traded for a fall of validation.
        by_annealing, by_power = (np.maximum(post.theta[k], 0.0) * post.weight for k in (B, A))
        changes = (
            self.train_ahead if self._may_have_turned else self._changes(self._under_plans(self._half_way_and_end))
        )
        decay = np.zeros(2)
        for probability, annealed, _ in changes:
            decay += probability * (annealed @ by_annealing)
        fall = decay.copy()
        for probability, _, power in changes:
            fall += probability * (power @ by_power)
        # Nor does a train loss fall below its floor, as it would where validation leapt by many times of it.
        lowest = floor_of(self.train, NO_BINS, of_val=False) - float(self.train.mean[-1])
        return Ahead(
            self._half_way_and_end, np.maximum(fall * post.scale, lowest), np.maximum(decay * post.scale, lowest)
        )

    @cached_property
    def train_ahead(self) -> list[tuple[float, FloatArray, FloatArray]]:
        """How the law's annealing and power-law columns change from now to the end of the plan.

        Each ``(m, K)``, of the train loss, relative; one pair for each future, with its probability. The end is the
        last row; before it stands half-way where the rate of exchange is likely to ask for it.
        """
        return self._changes(self._plans)

    @cached_property
    def decayed(self) -> FloatArray | None:
        """``(K,)`` share of a full decay's gain that a decay brings; ``None`` where no learning rate is known.

        That of the plan by its end; of a cooldown over a tenth of the steps done, from here, where none is planned.
        """
        post, step = self.posterior, self.step
        if (schedule := post.timeline.schedule) is None:
            return None
        _, _, gain = self._plans[0]  # the likeliest is the posterior's own
        gain = gain[:, -1]
        if float(gain.max()) < _PLANNED:
            length = max(round(_COOLDOWN * step), 1)
            future = post.timeline.under(schedule.cooldown(start=step, steps=length), post.now)
            gain = future.gain(np.array([float(step + length)]))[:, 0]
        return np.asarray(gain.take(post.rate))

    def _changes(self, plans: Clocks) -> list[tuple[float, FloatArray, FloatArray]]:
        post, changes = self.posterior, []
        for probability, clock, gain in plans:
            annealed = (gain[:, :1] - gain[:, 1:]).T.take(post.rate, axis=1)
            power = power_term(clock[1:, None] / clock[0], post.alpha, post.offset, post.floor)
            changes.append((probability, annealed, power - 1.0))
        return changes

    @cached_property
    def _plans(self) -> Clocks:
        """Of the end alone it costs next to nothing: the outlook asks for it, too."""
        return self._under_plans(self._half_way_and_end if self._may_have_turned else np.array([float(self.end)]))

    def _under_plans(self, step: FloatArray) -> Clocks:
        step = np.concatenate([[self.posterior.now], step])
        return [(probability, *timeline.at(step)) for probability, timeline in self.futures]

    @cached_property
    def _half_way_and_end(self) -> FloatArray:
        """``(2,)`` of what is left of the plan [steps]."""
        return np.array([0.5 * (self.step + self.end), self.end])

    @cached_property
    def _decides(self) -> Bins:
        """The series that decides, with the noise of one of its losses."""
        return with_noise_of_few(self.val, self.train) if self.of_val else with_noise_of_few_trains(self.train)

    def draw(self, step: FloatArray, count: int, *, val: bool) -> FloatArray:
        """``(count, m)`` curves at ``(m,)`` steps, of every future as many as its probability says [loss unit]."""
        until = np.cumsum([0.0, *(probability for probability, _ in self.futures)])
        shares = np.diff(np.round(count * until / until[-1])).astype(int).tolist()
        drawn = [
            draw(self.posterior, step, share, of="val" if val else "train", timeline=timeline)
            for share, (_, timeline) in zip(shares, self.futures, strict=True)
            if share
        ]
        return np.concatenate(drawn)
