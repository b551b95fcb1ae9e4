"""From the losses of a run to its posterior: the grid's shapes, under every prior that the run may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.fit.astray import alone, is_astray
from curvecast.fit.basis import Timeline, go_together, has_turned, observe
from curvecast.fit.gap import has_opened, heeded, with_noise_of_few
from curvecast.fit.grid import KEPT, Grid
from curvecast.fit.posterior import Posterior, together
from curvecast.fit.prior import Prior
from curvecast.fit.tables import L_N

FALLEN = 0.05  # relative: a run that has fallen so far has learnt, and a decay may bring what training on does not
_SURE = 500.0  # log-odds, of which the exponential is still a number
_LEAST_ODDS = 1e-4  # below it a shape is left out
_LEAST_SHARE = 0.01  # below it a prior is: its shapes would cost every forecast as much as the others


def fit(
    train: Bins, val: Bins, timeline: Timeline, prior: Prior, *, of_val: bool, now: float | None = None
) -> Posterior:
    """Posterior of one run, given its bins.

    Args:
        train: Train loss; may be empty.
        val: The validation loss that decides; may be empty.
        timeline: The law's clock under the run's schedule.
        prior: What is believed before.
        of_val: Whether losses are measured relative to the validation loss (else to the train loss).
        now: Last step seen [steps]; ``None`` for the mean step of the last bin.
    """
    if not go_together(train, val):
        train, val = alone(train, val, of_val=of_val)
    val = with_noise_of_few(val, train)
    opened = has_opened(train, val)
    val = heeded(val, opened, of_val=of_val)
    data = observe(train, val, of_val=of_val, now=now)
    turned = len(val) > 0 and bool(has_turned(data))
    grows = turned or (of_val and opened)
    found = posteriors(Grid(data, timeline, prior, grows=grows), [timeline], [turned])[0]
    if data.has_both and is_astray(found, val if of_val else train, val=of_val):
        return fit(*alone(train, val, of_val=of_val), timeline, prior, of_val=of_val, now=data.now)
    return found


def posteriors(grid: Grid, timelines: Sequence[Timeline], turned: Sequence[bool]) -> list[Posterior]:
    """The posteriors of a grid's runs, each under all of its priors as the evidence of the losses weighs them.

    Args:
        grid: The shapes against the runs' observations.
        timelines: The law's clock of each run.
        turned: Whether its validation has turned.
    """
    where, scouted, of_all = grid.scout()
    solved, data, priors = grid.exact(where), grid.data, grid.prior.both
    correction = (solved.log_weight - scouted).reshape(-1, KEPT)
    most = np.maximum.reduce(correction, axis=1)
    weight = np.exp(correction - most[:, None])
    total = np.add.reduce(weight, axis=1)
    share, evidence = _weighed(grid.evidence(of_all).reshape(-1, len(priors)))
    weight *= (share.reshape(-1) / total)[:, None]
    lift = np.reshape(data.lift, (-1, 1)).repeat(len(priors), axis=1).reshape(-1, 1)
    theta = np.ascontiguousarray(solved.theta.reshape(5, -1, KEPT).swapaxes(0, 1))
    theta[:, L_N] -= lift
    root = np.ascontiguousarray(solved.root.reshape(5, 5, -1, KEPT).transpose(2, 0, 1, 3))
    alpha, offset, floor, rate, onset, drift = (each.reshape(-1, KEPT) for each in grid.shapes(where))
    scale, now = (np.reshape(each, -1).tolist() for each in (data.scale, data.now))
    levels = (np.maximum.reduce(data.excess.reshape(-1, grid.runs)) <= FALLEN).tolist()
    flat = _flat(grid, of_all + most + np.log(total / KEPT), lift) if any(levels) else []
    found = []
    for k, timeline in enumerate(timelines):
        parts = []
        for p in share[k].nonzero()[0].tolist():
            lane = k * len(priors) + p
            part = Posterior(
                weight[lane],
                theta[lane],
                root[lane],
                alpha=alpha[lane],
                offset=offset[lane],
                floor=floor[lane],
                rate=rate[lane],
                onset=onset[lane],
                drift=drift[lane],
                drop_error=np.full(KEPT, priors[p].drop_error),
                scale=scale[k],
                now=now[k],
                timeline=timeline,
                prior=priors[p],
                evidence=evidence[k],
                turned=turned[k],
            )
            parts += [part, *_beside(part, *flat[lane])] if levels[k] else [part]
        found.append(together(_with_outliers(parts), grid.prior))
    return found


def _weighed(evidence: FloatArray) -> tuple[FloatArray, list[float]]:
    """``(r, P)`` share of each prior in what is believed of each run, and of each run the evidence of all of them.

    Args:
        evidence: ``(r, P)`` of each prior, its own probability counted.
    """
    if evidence.shape[1] == 1:
        return np.ones(evidence.shape), evidence[:, 0].tolist()
    most = np.maximum.reduce(evidence, axis=1, keepdims=True)
    relative = np.exp(evidence - most)
    of_all = most[:, 0] + np.log(np.add.reduce(relative, axis=1))
    relative *= relative >= _LEAST_SHARE * np.add.reduce(relative, axis=1, keepdims=True)
    return relative / np.add.reduce(relative, axis=1, keepdims=True), of_all.tolist()


def _flat(grid: Grid, falling: FloatArray, lift: FloatArray) -> list[tuple[float, dict[str, FloatArray]]]:
    """Of each lane the odds of the shapes that learn no more, and what they are.

    Args:
        grid: Of all shapes.
        falling: ``(lanes,)`` logarithm of the weight of all others together.
        lift: ``(lanes, 1)`` what was added to the losses.
    """
    solved, shapes, lanes = grid.flat(), grid.tables, grid.lanes
    log_weight = solved.log_weight.reshape(-1, lanes).T
    most = np.maximum.reduce(log_weight, axis=1)
    relative = np.exp(log_weight - most[:, None])
    total = np.add.reduce(relative, axis=1)
    odds = np.exp(np.minimum(most - falling, _SURE)) * total
    theta, root = solved.theta.reshape(5, -1, lanes), solved.root.reshape(5, 5, -1, lanes)
    theta[L_N] -= lift[:, 0]
    count = len(theta[0])
    window, drift = np.divmod(np.arange(count), len(shapes.drift))
    gone = {"alpha": np.ones(count), "offset": np.zeros(count), "onset": np.full(count, np.inf)}  # terms that are not
    return [
        (
            float(odds[lane]),
            gone
            | {
                "weight": relative[lane] / total[lane],
                "theta": theta[..., lane],
                "root": root[..., lane],
                "floor": shapes.floor[window, lane % shapes.count],
                "drift": shapes.drift[drift, lane % shapes.count],
                "rate": np.zeros(count, dtype=np.intp),
                "drop_error": np.full(count, grid.prior.both[lane % shapes.count].drop_error),
            },
        )
        for lane in range(lanes)
    ]


def _beside(falling: Posterior, odds: float, flat: dict[str, FloatArray]) -> list[Posterior]:
    """The shapes that learn no more, as they stand beside all others; whose weight is lowered in place."""
    if odds < _LEAST_ODDS:
        return []
    weight = float(np.add.reduce(falling.weight)) * odds / (1.0 + odds) * flat["weight"]
    np.divide(falling.weight, 1.0 + odds, out=falling.weight)
    shapes: dict[str, Any] = flat | {"weight": weight}
    return [replace(falling, **shapes)]


def _with_outliers(parts: Sequence[Posterior]) -> list[Posterior]:
    """Each shape once more, as that of a run that keeps to no law: more of what it foretells may fail to come.

    What a run has shown hardly tells whether it is one, so each has the prior's probability.
    """
    lawless = []
    for part in parts:
        outlier, error = part.prior.outlier, part.prior.outlier_error
        if outlier > 0.0:
            fails = np.maximum(part.drop_error, error)
            lawless.append(replace(part, weight=outlier * part.weight, drop_error=fails))
            np.multiply(part.weight, 1.0 - outlier, out=part.weight)
    return [*parts, *lawless]
