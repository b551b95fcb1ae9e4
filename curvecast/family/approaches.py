"""Chinchilla's three ways to the best size for a compute, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curvecast.family.fitting import fit_family, gathered
from curvecast.family.points import RunLike
from curvecast.laws.base import FloatArray

_LEVELS = 60  # computes at which the lower envelope of all runs is read
_SAME = (
    0.03  # in log compute, within which runs belong to one IsoFLOP curve: more moves the loss by as much as the valley
)
_ON_ENVELOPE = 3  # least number of sizes that have the lowest loss somewhere
_LEAST = 4  # sizes that a parabola is fitted to at least: three define it


@dataclass(frozen=True, slots=True)
class Approach:
    """The best size as a power of compute, found in one of the three ways.

    Args:
        name: "envelope", "isoflop" or "parametric".
        exponent: a of ``N_opt ~ C^a`` [1]; NaN where the data do not bear this way.
        num_params: N_opt at the compute that was asked for.
        num_tokens: ``C / (6 N_opt)``.
        used: how many optima the power law goes through; the number of losses for "parametric".
        note: why not, where it is not available.
    """

    name: str
    exponent: float
    num_params: float
    num_tokens: float
    used: int
    note: str = ""


def approaches(
    runs: Iterable[RunLike] | None = None,
    *,
    flops: float,
    num_params: ArrayLike | None = None,
    num_tokens: ArrayLike | None = None,
    loss: ArrayLike | None = None,
    names: Sequence[str] | None = None,
) -> tuple[Approach, Approach, Approach]:
    """Chinchilla's approaches 1 (envelope of training curves), 2 (IsoFLOP parabolas) and 3 (parametric), compared.

    Args:
        runs: as `fit_family` takes them; or pass arrays.
        flops: compute at which to compare the answers [FLOP].
        num_params: ``(T,)``.
        num_tokens: ``(T,)``.
        loss: ``(T,)`` [nats/token]; for the envelope also losses on the way of runs at a constant learning rate.
        names: ``(T,)`` which run a loss belongs to; the envelope is read along runs.

    Returns:
        The three, in the paper's order. One that the data do not bear has NaNs, and a note that says what is missing.

    Raises:
        ValueError: as `fit_family` does, or if there is one size.

    Example:
        >>> from curvecast.laws.chinchilla import EPOCH
        >>> C, N = (a.ravel() for a in np.meshgrid(np.geomspace(1e18, 1e21, 7), np.geomspace(3e7, 3e10, 25)))
        >>> D = C / (6 * N)
        >>> for way in approaches(num_params=N, num_tokens=D, loss=EPOCH.loss(N, D), flops=5.76e23):
        ...     print(f"{way.name:10} N ~ C^{way.exponent:.2f} {way.num_params:.1e}", *[way.note] * bool(way.note))
        envelope   N ~ C^nan nan no run has losses on the way: pass names= and losses at several tokens a run
        isoflop    N ~ C^0.51 7.2e+10
        parametric N ~ C^0.51 7.2e+10

    Source: Hoffmann et al. 2022, arXiv:2203.15556, sections 3.1 to 3.3.
    """
    known = None if runs is None else list(runs)
    family = fit_family(
        known,
        law="chinchilla",
        num_params=num_params,
        num_tokens=num_tokens,
        loss=loss,
        names=names,
        bootstraps=0,
        starts=100,
    )
    if not family.form.size:
        raise ValueError(f"The best size needs runs of several sizes: got {family.provenance['sizes']}. Add some.")
    points = gathered(known, num_params, num_tokens, loss, names=names)
    N, C, L = points.num_params, 6 * points.num_params * points.num_tokens / points.ratio, points.loss
    at = family.parameters
    share = at["alpha_D"] / (at["alpha_N"] + at["alpha_D"])
    G = (at["alpha_N"] * at["A_N"] / (at["alpha_D"] * at["A_D"])) ** (1 / (at["alpha_N"] + at["alpha_D"]))
    best = G * (flops / 6) ** share
    parametric = Approach("parametric", share, best, flops / (6 * best), len(L))
    envelope = _through("envelope", *_envelope(N, C, L, points.group), flops)
    return envelope, _through("isoflop", *_isoflop(N, C, L), flops), parametric


def _envelope(N: FloatArray, C: FloatArray, L: FloatArray, group: ArrayLike) -> tuple[FloatArray, FloatArray, str]:
    """Which run is lowest at each compute, its losses straight between two in log-log."""
    groups = np.asarray(group)
    curves = [np.flatnonzero(groups == k) for k in np.unique(groups)]
    curves = [rows[np.argsort(C[rows])] for rows in curves if len(rows) > 1]
    if len(curves) < 3:
        nothing = np.empty(0)
        return nothing, nothing, "no run has losses on the way: pass names= and losses at several tokens a run"
    levels = np.linspace(np.log(C.min()), np.log(C.max()), _LEVELS)
    losses = np.stack([np.interp(levels, np.log(C[r]), np.log(L[r]), left=np.inf, right=np.inf) for r in curves])
    sizes = np.array([N[rows[0]] for rows in curves])
    lowest = np.argmin(losses, axis=0)
    inner = np.isfinite(losses.min(axis=0)) & (sizes[lowest] > sizes.min()) & (sizes[lowest] < sizes.max())
    if len(np.unique(sizes[lowest[inner]])) < _ON_ENVELOPE:  # a line through fewer tells nothing
        inner &= False
    note = f"fewer than {_ON_ENVELOPE} sizes between the smallest and the largest are the lowest at any compute"
    return np.exp(levels[inner]), sizes[lowest[inner]], note


def _isoflop(N: FloatArray, C: FloatArray, L: FloatArray) -> tuple[FloatArray, FloatArray, str]:
    """The minimum of a parabola through the losses by log size, for each compute."""
    order = np.argsort(C)
    cuts = np.flatnonzero(np.diff(np.log(C[order])) > _SAME) + 1
    computes, sizes = [], []
    for rows in np.split(order, cuts):
        if len(np.unique(N[rows])) < _LEAST or np.ptp(np.log(C[rows])) > 2 * _SAME:
            continue
        lowest = rows[np.argmin(L[rows])]
        near = rows[np.abs(np.log(N[rows] / N[lowest])) < 1.6]
        near = near if len(near) >= _LEAST else rows
        curve, slope, _ = np.polyfit(np.log(N[near] / N[lowest]), L[near], 2)
        best = -slope / (2 * curve) if curve > 0 else np.inf
        if abs(best) < 1.6:
            computes.append(float(np.exp(np.log(C[rows]).mean())))
            sizes.append(float(N[lowest] * np.exp(best)))
    note = f"no compute has {_LEAST} sizes around its lowest loss"
    return np.array(computes), np.array(sizes), note


def _through(name: str, C: FloatArray, N: FloatArray, note: str, flops: float) -> Approach:
    if len(C) < 3 or np.ptp(np.log(C)) == 0:
        return Approach(name, float("nan"), float("nan"), float("nan"), len(C), note)
    exponent, level = np.polyfit(np.log(C), np.log(N), 1)
    best = float(np.exp(level + exponent * np.log(flops)))
    return Approach(name, float(exponent), best, flops / (6 * best), len(C))
