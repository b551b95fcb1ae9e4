"""A fit to be done: what the data can bear, what is believed beforehand, and the solver's calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from curvecast.family.forms import Form, Inputs, shaped
from curvecast.family.points import UNKNOWN_RATE, Points
from curvecast.family.solve import Ridge, solve
from curvecast.laws.base import FloatArray

_CHUNK = 250  # bootstraps solved at once: 40 MB at 1,000 points
# Published exponents are believed beside the data up to so many sizes, or where the second largest is at most so many
# times the second smallest: twelve shapes of one size tell little of an exponent, and a lone large run not much more.
_FEW, _NEAR = 4, 3.5
# Exponents of three families: Hoffmann's runs .339 and .285 (Epoch: .348 and .366), Muennighoff's .353 and .353,
# Gemstones' .27 and .66 by our own fit. A decay takes 0.035 (Gemstones) to 0.2 (small GPTs) of the loss (docs/log.md),
# a share that moves little with size and data.
_BELIEVED = {
    "alpha": (math.log(0.32), 0.25),
    "beta": (math.log(0.38), 0.5),
    "g0": (math.log(0.06), 0.8),
    "g1": (0.0, 0.15),
    "g2": (0.0, 0.15),
}
_VARIED = 0.05  # runs whose decays differ by less than this share of a full one count as equally annealed
_SLOPED = 4  # annealed points, of at least two sizes, that tell how the gain moves with size and data
_LEAST_NOISE = 1e-9  # least variance of a log loss
_FAINT = 1e-9  # weight of a belief until the noise is known


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A fit to be done.

    Args:
        form: the law as the data can bear it.
        x: where.
        y: ``(T,)`` log losses.
        group: ``(T,)`` run of each.
        runs: how many.
        ridge: what is believed beforehand.
        delta: of the Huber loss.
    """

    form: Form
    x: Inputs
    y: FloatArray
    group: NDArray[np.intp]
    runs: int
    ridge: Ridge
    delta: float

    def model(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log losses and their derivatives."""
        return self.form(phi, self.x)

    def from_starts(self, count: int) -> FloatArray:
        """``(P,)`` coordinates of the best of `count` fits."""
        found, score = solve(
            self.model, self.y, self.form.starts(self.x, self.y, count), ridge=self.ridge, delta=self.delta
        )
        if not np.isfinite(score).any():
            raise ValueError("The law cannot be fitted to these losses: no start led anywhere. Look at the data.")
        return np.asarray(found[np.argmin(score)])

    def bootstrap(self, best: FloatArray, count: int, seed: int) -> FloatArray:
        """``(count, P)`` coordinates of fits in which each run counts a random number of times, one on average.

        The weights are exponential (Rubin 1981, the Bayesian bootstrap): no draw loses a run, or a size, altogether.
        """
        rng = np.random.default_rng(seed)
        found = []
        for first in range(0, count, _CHUNK):
            many = min(_CHUNK, count - first)
            weight = rng.standard_exponential((many, self.runs))
            weight *= self.runs / weight.sum(axis=1, keepdims=True)
            start = np.repeat(best[None], many, axis=0)
            solved = solve(
                self.model, self.y, start, weight=weight[:, self.group], ridge=self._moved(rng, many), delta=self.delta
            )
            found.append(solved[0])
        return np.concatenate(found) if found else np.empty((0, len(best)))

    def _moved(self, rng: np.random.Generator, many: int) -> Ridge:
        """Beliefs that vary as widely as they are held: else a belief would count as certain."""
        held = self.ridge.weight > 0
        if not held.any():
            return self.ridge
        sd = np.zeros(len(self.form))
        for name, (_, spread) in _BELIEVED.items():
            if name in self.form.columns():
                sd[self.form.columns()[name]] = spread
        return Ridge(self.ridge.mean + held * sd * rng.standard_normal((many, len(sd))), self.ridge.weight)

    def residual(self, phi: FloatArray) -> FloatArray:
        """``(T,)`` log loss less the law's."""
        return np.asarray(self.y - self.model(phi[None])[0][0])


def posed(form: Form, points: Points, notes: list[str], delta: float) -> tuple[Problem, tuple[float, float]]:
    """The fit that the data can bear, and how far learning rates decay at the end."""
    sizes = points.sizes
    if form.size and len(sizes) == 1:
        notes.append(
            f"one size ({sizes[0]:.4g} parameters): the irreducible loss and what the size costs cannot be told apart; "
            "`converged_loss` is their sum, and other sizes cannot be forecast"
        )
    _refuse_equal_lengths(points, notes)
    form = shaped(form, size=form.size and len(sizes) > 1, gain=_told_of_decays(points))
    x = _inputs(form, points)
    _refuse_too_little(form, x, len(points))
    ridge = _belief(form, sizes, notes)
    problem = Problem(form, x, np.log(points.loss), points.group, len(points.names), ridge, delta)
    return problem, _decay_at_the_end(points) if form.gain else (0.0, 1.0)


def _refuse_equal_lengths(points: Points, notes: Sequence[str]) -> None:
    """Without runs, or places on their way, of several lengths no term in data can be fitted."""
    if len(np.unique(np.round(np.log(points.num_tokens), 2))) > 1:
        return
    blind = any(note.startswith(UNKNOWN_RATE) for note in notes)
    told = " Of these the learning rate is not known: pass --schedule, or set run.meta['schedule']." if blind else ""
    raise ValueError(
        "What data brings cannot be told where every run has the same tokens (or steps): "
        f"got {points.num_tokens[0]:.4g} throughout. Add runs of other lengths, or runs at a constant learning "
        f"rate with their losses on the way.{told}"
    )


def _refuse_too_little(form: Form, x: Inputs, losses: int) -> None:
    """A law needs more losses than it has parameters, and one of repeats some repeats."""
    if losses <= len(form):
        raise ValueError(
            f"The law {form.law!r} has {len(form)} parameters: got {losses} losses. Add runs, or take a law with fewer."
        )
    if form.repeating and not x.repeats.any():
        raise ValueError(
            "The law 'data_constrained' needs runs that repeat their data: got none. Pass unique_tokens=, or a column."
        )


def _decay_at_the_end(points: Points) -> tuple[float, float]:
    """How far learning rates have decayed where runs end, and tokens weighted by them over tokens seen: medians."""
    return float(np.median(points.annealed[points.last])), float(np.median(points.ratio[points.last]))


def _told_of_decays(points: Points) -> int:
    """Parameters of what a decay brings that the runs can tell: none, its share, or its powers of size and data too."""
    if float(np.ptp(points.annealed)) <= _VARIED:
        return 0
    annealed = points.annealed > _VARIED
    return 3 if annealed.sum() >= _SLOPED and len(np.unique(points.num_params[annealed])) >= 2 else 1


def _inputs(form: Form, points: Points) -> Inputs:
    """The points on the law's axes, about their middle."""
    tokens = points.num_tokens if form.gain else points.num_tokens / points.ratio  # all end alike: plain tokens
    n, d = np.log(points.num_params), np.log(6 * points.num_params * tokens if form.data == "flops" else tokens)
    repeats = np.maximum(points.num_tokens / points.ratio / points.unique - 1, 0.0)
    z = points.annealed if form.gain else np.zeros(len(points))
    return Inputs(n - n.mean(), d - d.mean(), z, repeats, float(n.mean()), float(d.mean()))


def _belief(form: Form, sizes: FloatArray, notes: list[str]) -> Ridge:
    """Published exponents, for sizes that cannot tell them; the weight is set once the noise is known."""
    at = form.columns()
    mean, weight = np.zeros(len(form)), np.zeros(len(form))
    believed = ["g0", "g1", "g2"][: form.gain]
    span = float(sizes[-2] / sizes[1]) if len(sizes) > _FEW else 1.0
    if form.size and form.floor and (len(sizes) <= _FEW or span <= _NEAR):
        believed += ["alpha", "beta"]
        told = "" if len(sizes) <= _FEW else f", all but two within a factor of {span:.2g},"
        notes.append(
            f"{len(sizes)} sizes{told} tell little of the exponent in size: "
            "that of other families, 0.32 (0.21 to 0.48), is believed too"
        )
    for name in believed:
        middle, spread = _BELIEVED[name]
        mean[at[name]], weight[at[name]] = middle, _FAINT / spread**2
    return Ridge(mean, weight)


def weighed(problem: Problem, best: FloatArray) -> Problem:
    """The beliefs weighed against the noise.

    Losses of one run share theirs, so a belief on the law counts once a run; a decay shows at the run's end alone.
    """
    r = np.abs(problem.residual(best))
    noise = max(float(np.mean(np.minimum(r, problem.delta) * r)), _LEAST_NOISE)
    each = np.full(len(problem.form), noise * len(r) / problem.runs)
    for name, k in problem.form.columns().items():
        if name in ("g0", "g1", "g2"):
            each[k] = noise
    return replace(problem, ridge=Ridge(problem.ridge.mean, problem.ridge.weight * each / _FAINT))
