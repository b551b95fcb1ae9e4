"""From the losses of a run to its posterior: the grid's shapes, under every prior that the run may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from curvecast.curve import NO_BINS, Bins, FloatArray
from curvecast.fit.astray import is_astray
from curvecast.fit.basis import Timeline
from curvecast.fit.gap import has_opened, heeded, with_noise_of_few, with_noise_of_few_trains
from curvecast.fit.grid import COEFFICIENTS, KEPT, Grid
from curvecast.fit.observed import has_turned, observe
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.tables import DROP_ERROR, L_N, OF_SHAPE
from curvecast.fit.units import go_together

NEEDED = 12  # losses of a run before its first fit: fewer cannot tell a law from a line
# Before so many validations the best is not said to lie behind; so many bins of train loss tell how it fell, unless it
# ended before this share of the steps done: then it says nothing about now.
LEAST_VALIDATIONS, LEAST_TRAINS, STALE = 6, 6, 0.9
FALLEN = 0.05  # a run whose loss has fallen by this share has learnt: a decay may bring what training on does not
_SURE = 500.0  # log-odds, of which the exponential is still a number
_LEAST_ODDS = 1e-4  # shapes of smaller odds are left out


def fit(
    train: Bins,
    val: Bins,
    timeline: Timeline,
    prior: Prior,
    *,
    of_val: bool,
    now: float | None = None,
    may_grow: bool = True,
) -> Posterior:
    """Posterior of one run, given its bins.

    Args:
        train: Train loss; may be empty.
        val: The validation loss that decides; may be empty.
        timeline: The law's clock under the run's schedule.
        prior: What is believed before.
        of_val: Whether losses are measured relative to the validation loss (else to the train loss).
        now: Last step seen [steps]; ``None`` for the mean step of the last bin.
        may_grow: Whether an onset of growth is asked for where the losses show one.
    """
    heard = hear(train, val, of_val=of_val, may_grow=may_grow)
    data = observe(heard.train, heard.val, of_val=of_val, now=now)
    turned = len(heard.val) > 0 and bool(has_turned(data))
    grid = Grid(data, timeline, prior, grows=heard.asks_for_growth(turned))
    return settled(posteriors(grid, [timeline], [turned])[0], heard)


class Heard(NamedTuple):
    """What a fit hears of a run's losses, and what of them asks for an onset of growth.

    Args:
        train: Train loss, as noisy as it is; none where the fit is of validation and they do not go together.
        val: Validation loss, likewise; none either where the fit is of train, which is falling away from it.
        of_val: Whether the fit is of the validation loss.
        has_opened: Whether the gap between them says that validation will turn, where it has not.
        may_turn: Whether a validation that has turned asks for growth.
    """

    train: Bins
    val: Bins
    of_val: bool
    has_opened: bool
    may_turn: bool

    def asks_for_growth(self, turned: bool) -> bool:
        """Whether an onset of growth is looked for, if validation has turned, or has not."""
        return self.has_opened or (turned and self.may_turn)

    def alone(self) -> tuple[Bins, Bins]:
        """The loss that is asked for, without the other."""
        return _alone(self.train, self.val, of_val=self.of_val)


def hear(train: Bins, val: Bins, *, of_val: bool, may_grow: bool = True) -> Heard:
    """What a fit hears of both losses; the arguments are those of ``fit``.

    Losses that do not go together are not heard together, nor is validation where train is falling away from it.
    """
    may_turn = may_grow and not (of_val and rise_is_told(train, val))
    if not go_together(train, val):
        return Heard(*_alone(train, val, of_val=of_val), of_val, False, may_turn)
    train, val = with_noise_of_few_trains(train), with_noise_of_few(val, train)
    opened = has_opened(train, val)
    return Heard(train, heeded(val, opened, of_val=of_val), of_val, may_grow and of_val and opened, may_turn)


def rise_is_told(train: Bins, val: Bins) -> bool:
    """Whether of a validation that has turned more is said than by growth: the rate of exchange and its own rise.

    Both losses are then positive, in one unit, and known well enough (``decisions.exchange``, ``decisions.rise``).
    Growth would count a second time, and of a single validation gone astray as if it were certain.

    Example:
        >>> step, ones = np.arange(1.0, 9.0), np.ones(8)
        >>> val, few = Bins(step, ones, ones, 0.0), Bins(step[:5], ones[:5], ones[:5], 0.0)
        >>> rise_is_told(val, val), rise_is_told(val, few), rise_is_told(NO_BINS, val)
        (True, False, False)
    """
    if float(np.add.reduce(val.count)) < LEAST_VALIDATIONS or len(train) < LEAST_TRAINS:
        return False
    lowest = min(float(np.minimum.reduce(each.mean)) for each in (train, val))
    return bool(lowest > 0.0 and train.step[-1] >= STALE * val.step[-1]) and go_together(train, val)


def settled(found: Posterior, heard: Heard) -> Posterior:
    """The posterior of both losses; where its law stands clear of the one that is asked for, that of this one alone."""
    train, val, of_val = heard[:3]
    if len(train) and len(val) and is_astray(found, val if of_val else train, val=of_val):
        timeline, prior, now = found.timeline, found.prior, found.now
        own = fit(*heard.alone(), timeline, prior, of_val=of_val, now=now, may_grow=heard.may_turn)
        return replace(own, alone=True)
    return found


def _alone(train: Bins, val: Bins, *, of_val: bool) -> tuple[Bins, Bins]:
    """Both series without the one that is not asked for."""
    return (NO_BINS, with_noise_of_few(val)) if of_val else (with_noise_of_few_trains(train), NO_BINS)


def posteriors(grid: Grid, timelines: Sequence[Timeline], turned: Sequence[bool]) -> list[Posterior]:
    """The posteriors of a grid's runs, each over the shapes of all priors that it may have.

    Args:
        grid: The shapes against the runs' observations.
        timelines: The law's clock of each run.
        turned: Whether its validation has turned.
    """
    where, scouted, of_all = grid.scout()
    solved, data, runs = grid.exact(where), grid.data, grid.runs
    correction = (solved.log_weight - scouted).reshape(runs, -1)
    most = np.maximum.reduce(correction, axis=1)
    weight = np.exp(correction - most[:, None])
    total = np.add.reduce(weight, axis=1)
    weight /= total[:, None]
    weight, shapes = _with_outliers(weight, solved.rows.reshape(-1, runs, KEPT), data.lift)
    evidence = grid.evidence(of_all).tolist()
    scale, now = (np.array(each, ndmin=1).tolist() for each in (data.scale, data.now))
    is_level = (np.maximum.reduce(data.excess.reshape(-1, runs)) <= FALLEN).tolist()
    flat = _flat(grid, of_all + most + np.log(total / KEPT)) if any(is_level) else None
    found = []
    for k, timeline in enumerate(timelines):
        share, shape = weight[k], shapes[k]
        if flat is not None and is_level[k]:
            share, shape = _beside(share, shape, flat, k)
        share, shape = _distinct(share, shape)
        coefficients, rest = shape[:COEFFICIENTS].reshape(5, 6, -1), shape[COEFFICIENTS:]
        theta, root = coefficients[:, 0], coefficients[:, 1:]
        named: dict[str, Any] = dict(zip(OF_SHAPE, rest, strict=True))
        named |= {"rate": named["rate"].astype(np.intp), "scale": scale[k], "now": now[k], "timeline": timeline}
        found.append(Posterior(share, theta, root, **named, prior=grid.prior, evidence=evidence[k], turned=turned[k]))
    return found


def _distinct(weight: FloatArray, shapes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(K,)`` weights and ``(m, K)`` shapes, each that was drawn several times, one after another, but once."""
    differs = np.logical_or.reduce(shapes[:, 1:] != shapes[:, :-1])
    first = np.concatenate([[0], differs.nonzero()[0] + 1])
    return np.add.reduceat(weight, first), shapes.take(first, axis=1)


class _Flat(NamedTuple):
    """The shapes of each run that learn no more.

    Args:
        odds: ``(r,)`` of them all, against all others.
        weight: ``(r, K)`` of each among them.
        shapes: ``(r, m, K)`` those.
    """

    odds: FloatArray
    weight: FloatArray
    shapes: FloatArray


def _flat(grid: Grid, falling: FloatArray) -> _Flat:
    """Those of a grid, where all others have together ``(r,)`` a log-weight."""
    solved = grid.flat()
    log_weight = solved.log_weight.reshape(-1, grid.runs).T
    most = np.maximum.reduce(log_weight, axis=1)
    relative = np.exp(log_weight - most[:, None])
    total = np.add.reduce(relative, axis=1)
    odds = np.exp(np.minimum(most - falling, _SURE)) * total
    rows = solved.rows.reshape(len(solved.rows), -1, grid.runs).swapaxes(1, 2)
    return _Flat(odds, *_with_outliers(relative / total[:, None], rows, grid.data.lift))


def _beside(weight: FloatArray, shapes: FloatArray, flat: _Flat, run: int) -> tuple[FloatArray, FloatArray]:
    """``(K,)`` weights and ``(m, K)`` shapes of a run, those that learn no more beside the others."""
    odds = float(flat.odds[run])
    if odds < _LEAST_ODDS:
        return weight, shapes
    weight = np.concatenate([weight, odds * flat.weight[run]]) / (1.0 + odds)
    return weight, np.concatenate([shapes, flat.shapes[run]], axis=1)


def _with_outliers(weight: FloatArray, rows: FloatArray, lift: Any) -> tuple[FloatArray, FloatArray]:
    """Each shape once more, as that of a run that keeps to no law: more of what it foretells may fail to come.

    What a run has shown hardly tells whether it is one, so each has its prior's probability.

    Args:
        weight: ``(r, K)`` of the shapes of each run.
        rows: ``(m + 2, r, K)`` those; the last two are the probability and the error of an outlier.
        lift: Of each run, what was added to its losses; here it is taken off.

    Returns:
        ``(r, 2 K)`` weights, and ``(r, m, 2 K)`` shapes; where no run is an outlier, ``K`` of them.
    """
    rows, outlier, error = rows[:-2].swapaxes(0, 1), rows[-2], rows[-1]
    (runs, m, K), twice = rows.shape, 1 + bool(np.maximum.reduce(outlier, axis=None) > 0.0)
    shapes = np.empty((runs, m, twice, K))
    shapes[:] = rows[:, :, None]
    shapes[:, L_N] -= np.array(lift).reshape(-1, 1, 1)
    if twice == 2:
        lawless, drop_error = weight * outlier, shapes[:, COEFFICIENTS + DROP_ERROR, 1]
        np.maximum(drop_error, error, out=drop_error)
        weight = np.concatenate([weight - lawless, lawless], axis=1)
    return weight, shapes.reshape(runs, m, -1)
