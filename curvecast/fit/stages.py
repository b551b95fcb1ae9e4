"""What is believed of a run as it goes on: in a large network's first steps, by a plan, while a decay is under way.

What a prior says is relative, to the loss and the steps so far. Here it is changed by what is not: steps as they are
counted, and how far a plan or a decay has come. Each change goes by whole parts of an octave, or by eighths, for a
prior's tables are made once, and serve as long as it is the same.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from curvecast.fit.believable import held_to
from curvecast.fit.kinds import blend, smallness
from curvecast.fit.prior import Prior

# A large network in its first steps, by hand, in view of modded_nanogpt, of open language models and of public logs of
# known size (docs/log.md): before so many, by how much ``L_N`` is lower and ``A`` higher an e-fold, and for how many
# half-octaves at most, for before the 50th it was too much. What is fitted is of later ones.
_FIRST_STEPS, _STILL_TO_FALL, _MOST_EARLY = 300.0, 0.4, 5
# What stands beside a known size while a decay is under way: a law that has soon settled at what its rate allows, and a
# decay that brings the rest. By hand, in view of modded_nanogpt, open language models and multipowerlaw (docs/log.md).
_SETTLED = {
    "alpha_log_mean": 0.095,
    "alpha_log_sd": 0.35,
    "converged": 0.95,
    "converged_sd": 0.1,
    "annealing_log_mean": -2.207,
    "annealing_log_sd": 0.35,
    "drop_error": 0.1,
    "outlier": 0.12,
}
# It comes and goes within such a share of the decay's gain, the first of them and the last, between which it stands:
# before, no loss tells of the decay, and after, it has shown what it brings.
_COMES, _GONE, _WITHIN, _EIGHTHS = 1 / 6, 2 / 3, 1 / 6, 8
_EVEN = 0.5  # probability of either law in between
# Share of the plan up to which it tells how early clocks start: by as much as is believed there. By hand, in view of
# small runs and open strangers (docs/log.md).
_COUNTED_AT = 0.5


def in_first_steps(prior: Prior, step: float) -> Prior:
    """The prior of a large network of known size that has done so many steps: before the 300th more is to come.

    At the 100th a language model still has a third of its loss to lose, at the 1,000th a tenth. The farther before
    the 300th, down to the 53rd, the lower it converges, and the less is known of how fast.

    Example:
        >>> prior = Prior(converged=0.9, alpha_log_sd=0.1).for_size(124e6)
        >>> [round(in_first_steps(prior, step).converged, 2) for step in (300, 150, 75, 30)]
        [0.9, 0.62, 0.35, 0.21]
        >>> round(in_first_steps(prior, 75).alpha_log_sd, 2), in_first_steps(Prior(), 75) == Prior()
        (0.24, True)
    """
    if prior.size is None or step >= _FIRST_STEPS:
        return prior
    return _half_octaves_early(prior, min(math.floor(2.0 * math.log2(_FIRST_STEPS / step)), _MOST_EARLY))


@lru_cache(maxsize=64)
def _half_octaves_early(prior: Prior, count: int) -> Prior:
    """As ``in_first_steps``; a network that is not quite large has as much less of it."""
    assert prior.size is not None
    early = 0.5 * count * math.log(2.0) * (1.0 - smallness(prior.size))
    if not early:
        return prior
    # A prior's file may hold a number at the edge of what is allowed, and no loss may raise.
    return replace(
        prior,
        converged=held_to("converged", prior.converged - _STILL_TO_FALL * early),
        reducible=held_to("reducible", prior.reducible + _STILL_TO_FALL * early),
        alpha_log_sd=held_to("alpha_log_sd", prior.alpha_log_sd * (1.0 + early)),
    )


def asks_of_decays(prior: Prior) -> bool:
    """Whether it is another while a decay is under way (``while_decaying``)."""
    return prior.size is not None and prior.beside is not None


def while_decaying(prior: Prior, arrived: float) -> Prior:
    """The prior of a network of known size whose decay has brought a share of what it will bring by its end.

    A steep law and a large decay, or a flat law and a small one: half-way the losses may hardly tell which. So what
    stands beside it passes to the former, at even odds, and comes back once the decay has shown its worth.

    Example:
        >>> prior = Prior().for_size(124e6)
        >>> [round(while_decaying(prior, arrived).unlike, 2) for arrived in (0.1, 0.25, 0.4, 0.58, 0.8)]
        [0.05, 0.16, 0.5, 0.16, 0.05]
        >>> while_decaying(Prior().for_size(None), 0.4) == Prior().for_size(None)
        True
    """
    if not asks_of_decays(prior):
        return prior
    tells = min((arrived - _COMES) / _WITHIN, 1.0, (_GONE - arrived) / _WITHIN)
    return _beside_settled(prior, round(_EIGHTHS * max(tells, 0.0)))


@lru_cache(maxsize=64)
def _beside_settled(prior: Prior, eighths: int) -> Prior:
    """As ``while_decaying``; a network that is not quite large has as much less of it."""
    assert prior.size is not None
    assert prior.beside is not None
    share = eighths / _EIGHTHS * (1.0 - smallness(prior.size))
    if not share:
        return prior
    settled = {name: blend(getattr(prior.beside, name), value, share) for name, value in _SETTLED.items()}
    return replace(prior, unlike=blend(prior.unlike, _EVEN, share), beside=replace(prior.beside, **settled))


def early_by_plan(prior: Prior, done: float, told: float = 1.0) -> Prior:
    """The prior of a network of known size that has done a share of its plan.

    How long a small network keeps to the level of its first statistics goes with how long it is meant to train,
    not with how long it has trained. So up to half-way a clock that starts before the run starts before it by a
    share of the plan.

    Args:
        prior: That of its size.
        done: Steps done over the steps planned.
        told: How far the plan tells: 0 not at all, 1 all of it, in between as much on the logarithm.

    Example:
        >>> prior = Prior(small=(("offset", (-0.8, 0.4)),)).for_size(1e5)
        >>> [round(early_by_plan(prior, done).offset[1], 2) for done in (0.125, 0.25, 0.5, 0.8)]
        [1.6, 0.8, 0.4, 0.4]
        >>> [round(early_by_plan(prior, 0.03125, told).offset[1], 2) for told in (0.0, 0.5, 1.0)]
        [0.4, 1.6, 6.4]
    """
    if prior.size is None or done >= _COUNTED_AT or max(prior.offset) <= 0.0:
        return prior
    return _clocks_earlier(prior, math.floor(4.0 * told * math.log2(_COUNTED_AT / done)))


@lru_cache(maxsize=64)
def _clocks_earlier(prior: Prior, count: int) -> Prior:
    """As ``early_by_plan``, by so many quarter-octaves."""
    times = 2.0 ** (0.25 * count)
    offset = tuple(held_to("offset", each * times) if each > 0.0 else each for each in prior.offset)
    return replace(prior, offset=offset, beside=prior.beside and replace(prior.beside, offset=offset))
