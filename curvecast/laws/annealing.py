"""What the drops of a planned learning rate take off the loss, at the cost of the schedule's knots."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray
from curvecast.schedule import Schedule

_FINEST = 1 / 64  # largest drop of the relative LR that one midpoint stands for
_LEAST_LR = 1e-3
_CHUNK = 40_000  # entries of the (shapes, drops, steps) table held at once: 0.3 MB, which a cache holds


def annealing_gain(
    schedule: Schedule, steps: ArrayLike, *, beta: float, C: float, gamma: float, power: float = 1.0
) -> FloatArray:
    r"""Annealing term of the multi-power law in relative learning rates, without its factor ``B``.

    .. math:: z(t) = \int^t G\!\left(\eta^{-\gamma}\,[S_1(t) - S_1]\right) (-d\eta^p),
              \quad G(x) = 1 - (1 + C x)^{-\beta}

    The integral runs along the schedule up to step ``t`` by the midpoint rule, on pieces that drop by at most
    1/64 of the peak. Rises count negatively, except those of the warm-up (up to the first drop), which
    are left out. Below ``eta = 0.001`` its power is held, so that a decay to zero stays finite.

    Args:
        schedule: relative LRs.
        steps: ``(m,)`` [steps].
        beta: exponent of ``G``, > 0 [1].
        C: rate of ``G`` per step at peak LR, > 0 [1/step]; from absolute units ``C eta_peak^(1 - gamma)``.
        gamma: how much faster a drop at low LR acts [1].
        power: ``p``, of the relative LR whose drops count; the law has 1, and below it the last drops count most [1].

    Returns:
        ``(m,)``: at most the drop of relative LR (to its power) so far; 0 while the LR is constant.

    Raises:
        ValueError: if `beta` or `C` is not positive.

    Example:
        >>> plan = Schedule.wsd(10_000, warmup=100, decay=0.2)
        >>> annealing_gain(plan, [5000, 8000, 9000, 10_000], beta=0.6, C=0.11, gamma=0.64).round(2).tolist()
        [0.0, 0.0, 0.43, 0.83]

    Source: Luo et al. 2025, arXiv:2503.12811, the loss-reduction term LD, rescaled to a peak LR of 1;
    `curvecast.laws.multi_power.loss_drop` is the same sum step by step.
    """
    if not (beta > 0 and C > 0 and power > 0):
        raise ValueError(f"`beta`, `C` and `power` must be positive: got beta={beta}, C={C}, power={power}.")
    t = np.atleast_1d(np.asarray(steps, dtype=np.float64))
    return np.asarray(Drops(schedule, gamma=gamma, shapes=((C, power),)).gain(t, beta=beta)[0])


class Drops:
    """The drops of a schedule, made ready once: what they bring by any steps, for several shapes of the gain.

    Args:
        schedule: relative LRs.
        gamma: as in `annealing_gain`.
        shapes: ``C`` and ``power`` of each, as there.
    """

    __slots__ = ("_alone", "_drop", "_edges", "_powers", "_rates", "_schedule", "_since", "_weight", "_which", "gamma")

    def __init__(self, schedule: Schedule, *, gamma: float, shapes: Sequence[tuple[float, float]]) -> None:
        self.gamma = gamma
        self._schedule = schedule
        rates = list(dict.fromkeys(rate for rate, _ in shapes))  # several shapes may differ by the power alone
        self._rates, self._which = np.array(rates)[:, None, None], [rates.index(rate) for rate, _ in shapes]
        self._powers = np.array([[power] for _, power in shapes])
        self._edges = _pieces(schedule)
        self._drop, self._weight, self._since = self._midpoints(self._edges[:-1], self._edges[1:])
        self._alone: tuple[tuple[float, float], FloatArray] | None = None  # of one step, what it had brought

    @property
    def begin(self) -> float:
        """The step up to which nothing has dropped; infinite where nothing ever does [steps]."""
        return float(self._edges[0]) if len(self._edges) > 1 else math.inf

    def gain(self, step: FloatArray, *, beta: float) -> FloatArray:
        """``(R, m)`` gain by ``(m,)`` steps, in each of ``R`` shapes; `annealing_gain` says more."""
        z = np.zeros((len(self._powers), len(step)))
        if not (begun := step > self.begin).any():
            return z
        t = step[begun]
        z[:, begun] = self._of_one(t, beta) if len(t) == 1 else self._of(t, beta)
        return z

    def _of_one(self, step: FloatArray, beta: float) -> FloatArray:
        """``(R, 1)``, kept: before a decay every verdict asks what its end brings, and no other step brings any."""
        asked, kept = (float(step[0]), beta), self._alone
        if kept is None or kept[0] != asked:
            self._alone = kept = asked, self._of(step, beta)
        return kept[1]

    def _of(self, t: FloatArray, beta: float) -> FloatArray:
        """``(R, m)`` gain by ``(m,)`` steps after the first drop."""
        now = _summed(self._schedule, t)
        by_then = np.empty((len(self._powers), len(t)))
        for part in _chunks(len(t), len(by_then) * len(self._weight)):
            brought = self._brought(self._weight, now[part] - self._since[:, None], beta)
            brought *= self._edges[1:, None] <= t[part]
            by_then[:, part] = np.einsum("rk,rkm->rm", self._drop, brought.take(self._which, axis=0))
        if (inside := t < self._edges[-1]).any():  # the piece that is under way
            t, now = t[inside], now[inside]
            start = self._edges[np.searchsorted(self._edges, t, side="right") - 1]
            drop, weight, since = self._midpoints(start, t)
            by_then[:, inside] += drop * self._brought(weight, (now - since)[None].T, beta)[self._which, :, 0]
        return by_then

    def _brought(self, weight: FloatArray, since: FloatArray, beta: float) -> FloatArray:
        """``(C, k, m)`` share of ``k`` drops that has arrived by each rate, from ``(k, m)`` summed LR since then.

        ``expm1`` and ``log1p`` would keep digits that the sum over drops loses again, at several times the time.
        """
        x = weight[:, None] * np.maximum(since, 0.0)
        log = np.log(1.0 + self._rates * x)
        log *= -beta
        return np.asarray(1.0 - np.exp(log, out=log))

    def _midpoints(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(R, k)`` drop of each piece, to the power, ``(k,)`` ``eta^-gamma``, and S1 before it.

        The law's sum takes each step's drop at that step's own LR, with S from that step on: half a step later
        than the middle for the one, half a step earlier for the other. A drop within one step comes out exactly.
        """
        middle = (left + right) / 2
        before, then = np.maximum(middle - 0.5, left), np.minimum(middle + 0.5, right)
        high, low, rate, eta = self._schedule.lr(np.array([left, right, before, then]))
        since = self._schedule.summed(before) + rate / 2
        return high**self._powers - low**self._powers, np.maximum(eta, _LEAST_LR) ** -self.gamma, since


def _pieces(schedule: Schedule) -> FloatArray:
    """Steps that cut the schedule, after its warm-up, into pieces fine in LR but not finer than a step."""
    s, y = schedule.knots
    falls = (y[1:] < y[:-1]).nonzero()[0]
    if not len(falls):
        return s[:0]
    s, y = s[falls[0] :], y[falls[0] :]
    count = np.maximum(np.minimum(np.ceil(np.abs(y[1:] - y[:-1]) / _FINEST), np.ceil(s[1:] - s[:-1])), 1.0)
    pieces = np.concatenate([[0.0], count.cumsum()])  # up to each knot
    return np.interp(np.arange(pieces[-1] + 1.0), pieces, s)


def _summed(schedule: Schedule, step: FloatArray) -> FloatArray:
    """The sum over whole steps that `Schedule.summed` is the integral of."""
    return np.asarray(schedule.summed(step) + schedule.lr(step) / 2)


def _chunks(columns: int, rows: int) -> list[slice]:
    width = max(1, _CHUNK // max(rows, 1))
    return [slice(k, k + width) for k in range(0, columns, width)]
