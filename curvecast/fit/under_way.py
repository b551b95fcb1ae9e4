"""A run whose learning rate nobody tells, as it would be fitted if a decay were under way.

A decay bends the losses as no power of the steps does. So a fit under each plan that would have begun to fall is held
against the one in which the rate has stayed, each as probable beforehand as such plans are common:

    P(plan) ~ P(plan beforehand) p(losses | plan)^(2/5)

Source: own model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from curvecast.fit.basis import Futures
from curvecast.fit.batch import Job, fit_under
from curvecast.fit.newest import Newest, heard
from curvecast.fit.posterior import Posterior

# What the evidence counts, by hand, in view of open sets whose rates were withheld (docs/log.md): no run keeps to the
# law as closely as that supposes, and with all of it intervals hold too seldom.
_EVIDENCE = 0.4
_LEAST = 0.01  # a plan of a smaller probability counts as none


class UnderWay:
    """The fits under decays that may be under way, made when they are first asked for.

    Args:
        job: What the run is fitted to, its rate taken for constant.
        yet_to_fall: Futures under which that holds, with what they are believed beforehand.
        falling: Those under which it has begun to fall, likewise.
    """

    __slots__ = ("_falling", "_fitted", "_heard", "_job", "_news", "_yet_to_fall")

    def __init__(self, job: Job, yet_to_fall: Futures, falling: Futures) -> None:
        self._job, self._yet_to_fall, self._falling = job, yet_to_fall, falling
        self._news: tuple[UnderWay, Sequence[Newest], float] | None = None
        self._fitted: list[Posterior] | None = None
        self._heard: UnderWay | None = None  # the newest that was gone on to

    def then(self, newest: Sequence[Newest], now: float) -> UnderWay:
        """The same once the newest losses were heard as well.

        Args:
            newest: Those, in the order of their steps.
            now: Last step seen [steps].
        """
        after, news = self._heard, (self, newest, now)
        if after is None or after._news != news:
            self._heard = after = UnderWay(self._job, self._yet_to_fall, self._falling)
            after._news = news
        return after

    def jobs(self) -> list[Job]:
        """What there is to fit, a plan each."""
        return [self._job._replace(timeline=timeline) for _, timeline in self._falling]

    def keep(self, posteriors: list[Posterior]) -> None:
        """Take over fits that were made elsewhere."""
        if self._news is None:
            self._fitted = posteriors
        else:
            self._news[0].keep(posteriors)

    def _fits(self) -> list[Posterior]:
        if self._fitted is None:
            if self._news is None:
                self._fitted = fit_under(self._job, [timeline for _, timeline in self._falling])
            else:
                before, newest, now = self._news
                self._fitted = [heard(each, newest, now) or each for each in before._fits()]
        return self._fitted

    def weighed(self, held: Posterior) -> list[tuple[Posterior, Futures]]:
        """Every fit, with the plans that it is of and what each has come to be believed; in all that is 1.

        Args:
            held: The fit in which the rate has stayed as it was.
        """
        fitted = self._fits()
        chances = [sum(chance for chance, _ in self._yet_to_fall), *(chance for chance, _ in self._falling)]
        likelier = [0.0, *(_likelier(each, held) for each in fitted)]
        log_weight = np.log(np.maximum(chances, 1e-300)) + _EVIDENCE * np.array(likelier)
        weight = np.exp(log_weight - log_weight.max())
        weight[weight < _LEAST * weight.sum()] = 0.0
        own, *others = (weight / weight.sum()).tolist()
        stays = [(own / chances[0] * chance, timeline) for chance, timeline in self._yet_to_fall]
        fits = [(held, stays), *((post, [(p, post.timeline)]) for p, post in zip(others, fitted, strict=True))]
        return [(post, plans) for post, plans in fits if plans[0][0] > 0.0]


def _likelier(fitted: Posterior, held: Posterior) -> float:
    """Logarithm of the density of the losses under a plan, over that under none; 0 where they are not the same."""
    gain = fitted.evidence - held.evidence
    return gain if fitted.alone == held.alone and math.isfinite(gain) else 0.0
