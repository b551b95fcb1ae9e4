"""What the observations are as columns of the law, how far the loss wanders between them, and what lies ahead.

All of it is laid out for a grid of windows ``W``, sizes of the wander ``Q``, priors ``P``, runs ``r`` and power laws
``X``; ``P'`` is 1 where all priors have the same power laws. Observations run along the last axis, newest first.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.basis import growth_term
from curvecast.fit.observed import Observations
from curvecast.fit.tables import GAP, L_N, Tables

EARLY_WANDER = 0.5  # relative loss per square root of an e-fold before the law's window: a loss that still halves


class Clock(Protocol):
    """What is needed of a ``Timeline``, or of those of several runs."""

    @property
    def end(self) -> Any:
        """The last planned step; of several runs ``(r,)``."""

    def at(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` summed learning rate and ``(R, m)`` gain; of several runs each with a further axis."""


class Design(NamedTuple):
    """What a grid is made of.

    Args:
        columns: ``(W, P', r, F + X, n)``: levels, annealing, growth and the loss itself, then power laws.
        fixed: ``F``, how many there are but for the power laws.
        walk: ``(W, Q, r, n)`` variance of the wander on the way to each observation; large before the window.
        noise: ``(r, n)`` variance of each observation's own noise.
        gained: ``(R, 1, r)`` share of annealing's gain that has arrived by now: of one shape where the rate has not
            fallen, for what differs between them is still to come.
        ahead: ``(2, X, W * Q * P * r)`` what each power law gains up to the horizon, < 0, and what
            ``annealing_speed`` adds.
    """

    columns: FloatArray
    fixed: int
    walk: FloatArray
    noise: FloatArray
    gained: FloatArray
    ahead: FloatArray


def design(data: Observations, clock: Clock, prior: Tables, onset: FloatArray) -> Design:
    """Columns, wander and what lies ahead of a run, or of several.

    Args:
        data: The observations; of several runs every array has a further axis.
        clock: The law's clock.
        prior: The grids of what is believed.
        onset: ``(K,)`` of growth, as shares of the steps done; none where it is not looked for.
    """
    steps = np.concatenate([np.array([np.maximum(data.now, clock.end), data.now]), data.step])
    runs = data.step[0].size
    time, gain = clock.at(steps)
    if not np.count_nonzero(gain[:, 1:]):
        gain = gain[:1]
    u = _by_run(time / time[1], runs)  # (r, 2 + n): the horizon, now, and the observations
    x = prior.power(u)
    columns, fixed = _columns(data, x[..., 2:], gain[:, 2:], onset)
    log_step, excess = _by_run(np.log(steps[1:]), runs), _by_run(data.excess, runs)
    walk = _walk(u[:, 2:], log_step, excess, prior)
    ahead = _ahead(x[..., 0], u[:, :1], prior)
    return Design(columns, fixed, walk, _by_run(data.noise, runs), gain[:, 1].reshape(-1, 1, runs), ahead)


def _by_run(column: FloatArray, runs: int) -> FloatArray:
    """``(r, n)`` of ``(n,)`` or ``(n, r)``."""
    return column.reshape(-1, runs).T


def _columns(data: Observations, x: FloatArray, gain: FloatArray, onset: FloatArray) -> tuple[FloatArray, int]:
    """``columns`` and ``fixed``, given ``(W, P', r, X, n)`` power laws and ``(R, n)`` gain, or ``(R, n, r)``."""
    rates, runs = 2 + len(gain), x.shape[2]
    is_val, fixed = _by_run(data.is_val, runs), rates + len(onset) + 1
    columns = np.empty((*x.shape[:3], fixed + x.shape[3], x.shape[4]))
    columns[..., fixed:, :] = x
    each = columns.swapaxes(2, 3)  # (W, P', F + X, r, n)
    each[:, :, L_N], each[:, :, GAP] = 1.0, is_val
    np.negative(gain.reshape(len(gain), -1, runs).swapaxes(1, 2), out=each[:, :, 2:rates])
    if len(onset):
        growth = growth_term(_by_run(data.step / data.now, runs), onset[:, None, None])
        each[:, :, rates : fixed - 1] = growth * is_val
    each[:, :, fixed - 1] = _by_run(data.loss, runs)
    return columns, fixed


def _walk(u: FloatArray, log_step: FloatArray, excess: FloatArray, prior: Tables) -> FloatArray:
    """``walk``, given ``(r, n)`` times and excess, and ``(r, 1 + n)`` steps, of now first."""
    elapsed = np.maximum(log_step[:, :-1] - log_step[:, 1:], 0.0)
    drift = prior.drift[:, None, None] * (1.0 + prior.drift_growth * excess)
    walk = np.maximum(EARLY_WANDER * (u < prior.window[:, None, None, None]), drift)
    walk *= walk
    walk *= elapsed
    return np.asarray(walk)


def _ahead(x: FloatArray, end: FloatArray, prior: Tables) -> FloatArray:
    """``ahead``, given ``(W, P', r, X)`` terms at the horizon and its ``(r, 1)`` time."""
    slope = (end[:, :, None] / (end[:, :, None] + prior.start)) * prior.slope  # it is -d ln x / d ln S1
    sped = slope * x.reshape(*x.shape[:3], -1, len(prior.alpha))
    both = np.empty((2, x.shape[3], len(x), len(prior.drift), prior.count, x.shape[2]))
    both[0] = (x - 1.0).transpose(3, 0, 1, 2)[:, :, None]
    both[1] = sped.reshape(*sped.shape[:3], -1).transpose(3, 0, 1, 2)[:, :, None]
    return both.reshape(2, x.shape[3], -1)
