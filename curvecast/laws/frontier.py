r"""The best use of compute near a run: for its loss, and for its compute; with the cost of inference where asked.

A run is known by its two terms: what its size leaves of the loss (``N_term``, converged less irreducible) and what
training so far leaves of it (``S_term``). A model of ``r`` times the size trained on ``q`` times the tokens has

    L = L_inf + N_term r^-alpha_N + S_term q^-alpha_S        and costs   r (q + v) / (1 + v)

of the run's compute, where ``v = D_inf / (3 D)`` is the inference on ``D_inf`` tokens (2 N each) over the training on
``D`` tokens (6 N each). Kaplan's L(N, S) and Chinchilla's law are both of this kind. Where the terms join by a power
``kappa`` of their sum, as in Kaplan's L(N, D), it is their sum before that power that is as small as can be: the same
problem, its exponents divided by ``kappa``.

Source: Kaplan et al. 2020, arXiv:2001.08361, App. B; Hoffmann et al. 2022, arXiv:2203.15556, section 3.3;
Sardana et al. 2024, arXiv:2401.00448, for inference. The forms here are derived, and tested against theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Self

from curvecast.laws.base import FamilyLaw

_TURNS = 40  # iterations for the critical batch; each comes some five times closer
_CLOSE = 1e-9
_FAR = 300.0  # bound on the logarithm of the ratio of two sizes, or of two numbers of tokens
_EDGE = 1e-9  # least share of the loss that either term has


class Way(NamedTuple):
    """Another way to spend compute, against the run's own.

    Args:
        size: parameters over the run's.
        tokens: training tokens over the run's; steps, at the same batch.
        compute: compute over the run's, inference included.
        loss: what it reaches [nats/token].
    """

    size: float
    tokens: float
    compute: float
    loss: float


class _Sum(NamedTuple):
    """A law before its terms join: a sum of two powers, in units of the run's own N-term.

    Args:
        law: the law.
        N_term: the unit, once joined [nats/token].
        a, b: exponents of the sum.
        falling: the second term [1].
    """

    law: FamilyLaw
    N_term: float
    a: float
    b: float
    falling: float

    @classmethod
    def of(cls, law: FamilyLaw, N_term: float, S_term: float) -> Self:
        joined = math.log1p(S_term / N_term) / law.kappa
        return cls(law, N_term, law.alpha_N / law.kappa, law.alpha_S / law.kappa, math.expm1(min(joined, _FAR)))

    def at(self, size: float, tokens: float) -> float:
        """The loss [nats/token]."""
        both = _power(size, -self.a) + self.falling * _power(tokens, -self.b)
        return self.law.irreducible_loss + self.N_term * _power(both, self.law.kappa)


def inference_load(inference_tokens: float, tokens: float) -> float:
    """``v = D_inf / (3 D)``: compute of inference over that of training.

    Example:
        >>> inference_load(6e12, 2e12)
        1.0
    """
    return inference_tokens / (3.0 * tokens)


def is_past(law: FamilyLaw, N_term: float, S_term: float, load: float = 0.0) -> bool:
    r"""Whether a larger model would have reached the loss with less: ``alpha_S S_term (1 + v) < alpha_N N_term``.

    Where terms join by ``kappa``, it is of their sum that this holds.

    Args:
        law: exponents.
        N_term: [nats/token].
        S_term: [nats/token].
        load: ``v``, from `inference_load`.

    Example:
        >>> law = FamilyLaw(alpha_N=0.34, alpha_S=0.28, irreducible_loss=1.7)
        >>> [is_past(law, 0.2, S_term) for S_term in (0.25, 0.24)], is_past(law, 0.2, 0.24, load=0.5)
        ([False, True], False)

    Source: Kaplan B.4; with inference from the Lagrange condition of Sardana et al. 2024.
    """
    return S_term < float(law.ratio_under(load)) * N_term


def same_loss(law: FamilyLaw, N_term: float, S_term: float, load: float = 0.0) -> Way:
    """The cheapest way to the run's loss.

    Args:
        law: exponents and irreducible loss.
        N_term: > 0 [nats/token].
        S_term: > 0 [nats/token].
        load: ``v``, from `inference_load`.

    Example:
        >>> way = same_loss(FamilyLaw(0.076, 0.76), 1.0, 0.02)
        >>> print(f"{way.size:.1f} times the parameters, {way.tokens:.2f} times the steps, {way.compute:.2f} of C")
        2.7 times the parameters, 0.13 times the steps, 0.36 of C
    """
    own = _Sum.of(law, N_term, S_term)

    def split(share: float) -> tuple[float, float]:
        size = _power(share * (1.0 + own.falling), -1.0 / own.a)
        return size, _power((1.0 - share) * (1.0 + 1.0 / own.falling), -1.0 / own.b)

    def miss(share: float) -> float:
        return own.a * share - own.b * (1.0 - share) * (1.0 + load / split(share)[1])

    share = own.b / (own.a + own.b) if load == 0.0 else _root(miss, _EDGE, 1.0 - _EDGE)
    size, tokens = split(share)
    return Way(size, tokens, size * (tokens + load) / (1.0 + load), law.irreducible_loss + N_term + S_term)


def same_compute(law: FamilyLaw, N_term: float, S_term: float, load: float = 0.0, batch: float | None = None) -> Way:
    r"""The lowest loss that the run's compute could have bought.

    Without inference ``r = (alpha_N N_term / (alpha_S S_term))^(1 / (alpha_N + alpha_S))``, ``q = 1 / r``: Chinchilla's
    ``N_opt``. Where the law knows a critical batch, a lower loss needs more steps at the run's own: the ``S / S_min``
    of both losses are weighed against each other, which far below the critical batch is Kaplan's B.6 to B.10.

    Args:
        law: exponents and irreducible loss.
        N_term: > 0 [nats/token].
        S_term: > 0 [nats/token].
        load: ``v``, from `inference_load`.
        batch: of the run, and of the other way [tokens]; ``None`` for far above critical. Not used with a load.

    Example:
        >>> way = same_compute(FamilyLaw(alpha_N=0.34, alpha_S=0.28, irreducible_loss=1.7), 0.3, 0.1)
        >>> print(f"{way.size:.1f} times the parameters reach {way.loss:.3f} instead of 2.1")
        8.0 times the parameters reach 2.027 instead of 2.1
    """
    terms = _Sum.of(law, N_term, S_term)
    if load > 0.0:
        return _with_inference(terms, load)
    own = law.irreducible_loss + N_term + S_term
    share, way = 1.0, _split(terms, 1.0)
    for _ in range(_TURNS if batch is not None else 0):
        assert batch is not None
        before, share = share, law.step_factor(own, batch) / law.step_factor(way.loss, batch)
        way = _split(terms, share)
        if abs(share - before) <= _CLOSE * share:
            break
    return way._replace(tokens=way.tokens / share)


def at_size(law: FamilyLaw, N_term: float, S_term: float, size: float, batch: float | None = None) -> Way:
    """What the run's compute reaches on so many times its parameters.

    Args:
        law: exponents.
        N_term: > 0 [nats/token].
        S_term: > 0 [nats/token].
        size: parameters over the run's, > 0.
        batch: as in `same_compute`.

    Example:
        >>> law = FamilyLaw(alpha_N=0.34, alpha_S=0.28, irreducible_loss=1.7)
        >>> [f"{at_size(law, 0.3, 0.1, size).loss:.3f}" for size in (0.5, 1.0, 8.0, 32.0)]
        ['2.162', '2.100', '2.027', '2.056']
    """
    own, terms = law.irreducible_loss + N_term + S_term, _Sum.of(law, N_term, S_term)
    share, loss = 1.0, own
    for _ in range(1 if batch is None else _TURNS):
        before = share
        loss = terms.at(size, share / size)
        if batch is not None:
            share = law.step_factor(own, batch) / law.step_factor(loss, batch)
        if abs(share - before) <= _CLOSE * share:
            break
    return Way(size, 1.0 / size, 1.0, loss)


def _split(terms: _Sum, share: float) -> Way:
    """The best size where size times S_min is ``share`` of the run's."""
    a, b = terms.a, terms.b
    size = _power(a / (b * terms.falling) * share**b, 1.0 / (a + b))
    return Way(size, share / size, 1.0, terms.at(size, share / size))


def _power(base: float, exponent: float) -> float:
    """A power of a number that is positive, within bounds: exponents of nearly 0 put the best size anywhere."""
    return math.exp(min(max(exponent * math.log(base), -_FAR), _FAR))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function crosses zero; where it does not, the end that is nearer to it."""
    ends = function(low), function(high)
    if ends[0] * ends[1] > 0.0:
        return low if abs(ends[0]) < abs(ends[1]) else high
    from scipy.optimize import brentq  # its package takes longer to load than numpy, and few ask for a root

    return float(brentq(function, low, high))


def _with_inference(terms: _Sum, load: float) -> Way:
    def slope(log_size: float) -> float:  # of the sum along ln r at q = (1 + v) / r - v
        tokens = max((1.0 + load) * math.exp(-log_size) - load, _EDGE)
        by_size = _power(math.exp(log_size), -terms.a)
        return terms.b * terms.falling * _power(tokens, -terms.b - 1.0) * (tokens + load) - terms.a * by_size

    most = math.log1p(1.0 / load)  # there nothing is left for training
    size = math.exp(_root(slope, min(-60.0, most - 1.0), most - _EDGE))
    tokens = max((1.0 + load) / size - load, _EDGE)
    return Way(size, tokens, 1.0, terms.at(size, tokens))
