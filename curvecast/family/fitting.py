"""From a family's runs to its law: a robust fit from many starts, bootstraps, and checks on the largest and longest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curvecast.family.forms import FORMS, Form, Inputs
from curvecast.family.held_out import HeldOut
from curvecast.family.points import Points, RunLike, from_arrays, from_runs
from curvecast.family.problem import Problem, posed, weighed
from curvecast.family.result import Family, make
from curvecast.laws.base import FloatArray
from curvecast.laws.kaplan import critical_batch
from curvecast.notation import amount, with_interval

_KEPT = 400  # bootstraps that a family carries for its forecasts
_CHECK_STARTS, _CHECK_BOOTSTRAPS = 100, 100
# Share of the loss that a law is believed to be off for each factor of e in size, and in data, until a check tells:
# sizes are few and of several shapes, lengths many (docs/log.md).
_UNCHECKED = (0.02, 0.01)
_LEAST_DRIFT = 0.002  # the same at least, whatever a check says: that it was right once makes no law infallible
_LONGER = 3.0  # the longest runs are foretold from tokens that are fewer by this factor
_FAR = 4.0  # a run this many robust standard deviations off the law is an outlier,
_FAR_SHARE = 0.01  # if that is at least this share of the loss
BEST = "best"
_SIZES_TO_CHOOSE = _SIZES_TO_CHECK = 3
_NEAR_A_SUM = 0.1  # a ln(kappa) this close to 0 makes no difference: the terms are added
_TOO_FEW = "There are too few sizes to choose the law by: Chinchilla's was taken."
_BITS = math.log(1 / math.log(2.0))  # ln(1 / ln 2): how far the logarithm of a loss in bits lies above that in nats


def fit_family(
    runs: Iterable[RunLike] | None = None,
    *,
    law: str = BEST,
    num_params: ArrayLike | None = None,
    num_tokens: ArrayLike | None = None,
    loss: ArrayLike | None = None,
    unique_tokens: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    batch_tokens: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    of: Literal["train", "val"] | None = None,
    starts: int = 200,
    bootstraps: int = 400,
    delta: float = 1e-3,
    seed: int = 0,
    unit: str = "nats/token",
    counts: str = "counted as in the runs",
) -> Family:
    r"""Fit one law to runs of several sizes, and say how sure it is.

    The Huber loss of the log losses is minimised from many starts at once; intervals come from bootstraps over runs.

    Runs give their last loss, and, at a constant learning rate, what they passed on the way: as many lessons as
    runs that stopped there. What a decay takes off the loss is then a parameter of its own, ``annealing_gain``.

    Args:
        runs: with ``num_params`` and ``batch_tokens`` in their ``meta``; or pass arrays.
        law: "chinchilla", "coupled" (which joins size and data between Chinchilla's way and Kaplan's, and needs more
            data), "kaplan_nd", "kaplan_ns" (steps; with `batch_tokens`, S_min), "data_constrained", "compute" (best
            runs only), or "best": "coupled", and "chinchilla" where its `kappa` cannot be told from the 1 of
            Chinchilla's sum or lies above, or sizes are too few to ask.
        num_params: ``(T,)`` instead of runs.
        num_tokens: ``(T,)`` tokens seen.
        loss: ``(T,)`` last losses [`unit`].
        unique_tokens: tokens of the data set, for "data_constrained".
        steps: ``(T,)`` optimizer steps, for "kaplan_ns".
        batch_tokens: tokens a step, for "kaplan_ns"; `num_tokens` over `steps` where not given.
        names: ``(T,)`` which run a loss belongs to; ``None`` where each has its own.
        of: which loss of the runs; ``None`` for val where every run has it.
        starts: of the fit.
        bootstraps: for the intervals.
        delta: where the Huber loss turns into a line, in log loss [1].
        seed: of the bootstraps.
        unit: of the losses, for the record.
        counts: what `num_params` counts, for the record: with or without embeddings.

    Returns:
        The family.

    Raises:
        TypeError: if `runs` are no runs.
        ValueError: if sizes or batches are missing, arrays do not align, units differ, there are fewer losses than
            parameters, all runs have the same tokens, or the law is not known.

    Example:
        >>> from curvecast.laws.chinchilla import EPOCH
        >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
        >>> noise = 1 + 0.002 * np.random.default_rng(0).standard_normal(N.size)
        >>> losses = EPOCH.loss(N, D).ravel() * noise
        >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=losses)
        >>> EPOCH.alpha_N in family.interval("alpha_N", 0.95)
        True

    Source: Hoffmann et al. 2022, arXiv:2203.15556, section 3.3 and appendix D.3 (Huber loss on log L); Besiroglu et al.
    2024, arXiv:2404.10102 (bootstraps).
    """
    if law not in (BEST, *FORMS):
        raise ValueError(f"`law` must be one of {', '.join((BEST, *FORMS))}: got {law!r}.")
    for name, number, least in (("bootstraps", bootstraps, 0), ("seed", seed, 0), ("starts", starts, 1)):
        if not isinstance(number, int | np.integer) or number < least:
            raise ValueError(f"`{name}` must be a whole number of at least {least}: got {number!r}.")
    if not 0.0 < delta < math.inf:
        raise ValueError(f"`delta` must be positive: got {delta}. Pass 1e-3, in log loss.")
    if of not in ("train", "val", None):
        raise ValueError(f"`of` must be 'train', 'val' or None: got {of!r}.")
    if runs is not None and (isinstance(runs, str) or not isinstance(runs, Iterable)):
        raise TypeError(f"`runs` must be a list of runs: got {runs!r:.80}. Pass e.g. curvecast.read(path).")
    runs = None if runs is None else list(runs)
    points = gathered(runs, num_params, num_tokens, loss, unique_tokens=unique_tokens, steps=steps, names=names, of=of)
    kind: Literal["train", "val"] = of or ("val" if runs is None else _which(runs))
    notes = list(points.notes)
    if law == "kaplan_ns":
        points = _in_steps(points, batch_tokens, notes)
    settings: dict[str, Any] = {"delta": delta, "seed": seed, "of": kind, "unit": unit, "counts": counts}
    form, why = _best(points, **settings) if law == BEST else (FORMS[law], "")
    family = _fit(form, points, notes, starts, bootstraps, **settings)
    held_out, drift = _checked(form, points, **settings)
    return replace(family, held_out=held_out, drift=drift, notes=(*family.notes, *[why] * bool(why)))


def _best(points: Points, **settings: Any) -> tuple[Form, str]:
    """The law that joins size and data as the runs do, and why: Chinchilla's sum, where they cannot tell it from that.

    How the largest runs are foretold does not choose: they are one to three shapes, and a wrong law has luck with them.
    """
    simple, general = FORMS["chinchilla"], FORMS["coupled"]
    try:
        if len(points.sizes) < _SIZES_TO_CHOOSE:
            return simple, _TOO_FEW
        found = _fit(general, points, [], _CHECK_STARTS, _CHECK_BOOTSTRAPS, **settings)
    except ValueError:
        return simple, _TOO_FEW
    kappa, interval = found.parameters["kappa"], found.interval("kappa", 0.9)
    told = f"kappa, which joins size and data, is {with_interval(kappa, float(interval.lower), float(interval.upper))}"
    if interval.upper >= 1.0 or abs(math.log(kappa)) < _NEAR_A_SUM:  # above 1 it joins them as no known law does
        return simple, f"{told}: Chinchilla's sum, which is 1, was taken."
    return general, f"{told}: Chinchilla's sum would be 1, so 'coupled' was taken."


def gathered(
    runs: Iterable[RunLike] | None,
    num_params: ArrayLike | None,
    num_tokens: ArrayLike | None,
    loss: ArrayLike | None,
    *,
    unique_tokens: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    of: str | None = None,
) -> Points:
    """The points of runs or of arrays, as `fit_family` takes them.

    Raises:
        ValueError: if both are given, or arrays are missing.
    """
    arrays = {"num_params": num_params, "num_tokens": num_tokens, "loss": loss}
    if runs is not None:
        if given := [name for name, value in arrays.items() if value is not None]:
            raise ValueError(f"Pass `runs` or arrays, not both: got runs and {', '.join(given)}.")
        return from_runs(runs, of=of)
    if num_tokens is None and steps is not None:
        num_tokens = steps
    if num_params is None or num_tokens is None or loss is None:
        lacking = [name for name, value in arrays.items() if value is None]
        raise ValueError(f"Pass `runs`, or num_params=, num_tokens= and loss=: got no {', '.join(lacking)}.")
    return from_arrays(num_params, num_tokens, loss, unique_tokens=unique_tokens, steps=steps, names=names)


def _which(runs: Iterable[RunLike]) -> Literal["train", "val"]:
    return "val" if all(np.isfinite(run.val_loss).any() for run in runs) else "train"


def _in_steps(points: Points, batch_tokens: ArrayLike | None, notes: list[str]) -> Points:
    """Points whose data are steps: S_min, where the batch is known."""
    if not np.isfinite(points.steps).all():
        raise ValueError("The law kaplan_ns needs the steps of every run: got none. Pass steps=, or a column 'steps'.")
    B = points.num_tokens / points.steps
    if batch_tokens is not None:
        B = np.broadcast_to(np.asarray(batch_tokens, dtype=np.float64), points.loss.shape)
    elif np.all(B == 1):
        notes.append("batch not given: steps are counted as they are, not as S_min (Kaplan eq. 5.4)")
        return points
    return replace(points, num_tokens=points.steps / (1 + critical_batch(points.loss) / B))


def _fit(
    form: Form,
    points: Points,
    notes: list[str],
    starts: int,
    bootstraps: int,
    *,
    delta: float,
    seed: int,
    **labels: Any,
) -> Family:
    """The law of one form, with its bootstraps; not yet checked on the largest runs."""
    problem, reference = posed(form, points, notes, delta)
    best = problem.from_starts(starts)
    if problem.ridge.weight.any():
        problem = weighed(problem, best)
        best = problem.from_starts(starts)
    draws = problem.bootstrap(best, bootstraps, seed)
    means = np.bincount(problem.group, problem.residual(best)) / np.bincount(problem.group)
    scatter = _scatter(means, problem)
    residuals = dict(zip(points.names, means.tolist(), strict=True))
    far = max(_FAR * 1.4826 * float(np.median(np.abs(means))), _FAR_SHARE)
    outliers = {name: off for name, off in residuals.items() if abs(off) > far}
    _refuse_mixed_units(outliers)
    batches = _batches(points) if form.data == "tokens" else {}
    return make(
        form=problem.form,
        best=best,
        draws=_thinned(draws),
        n0=problem.x.n0,
        d0=problem.x.d0,
        scatter=scatter,
        drift=_UNCHECKED,
        reference=reference,
        seen=(*_ends(points.num_params), *_ends(points.num_tokens / points.ratio)),
        held_out=None,
        outliers=outliers,
        residuals=residuals,
        notes=(*notes, *_batches_told(batches)),
        provenance=_provenance(points, starts, bootstraps, delta, seed) | batches,
        **labels,
    )


def _scatter(means: FloatArray, problem: Problem) -> float:
    """Spread of runs about the law, outliers cut, with the freedom that the fit has used."""
    cut = 3 * 1.4826 * float(np.median(np.abs(means)))
    freedom = max(len(means) - min(len(problem.form), len(means) // 2), 1)
    return float(np.sqrt(np.sum(np.minimum(means**2, cut**2)) / freedom))


def _refuse_mixed_units(outliers: dict[str, float]) -> None:
    converted = [name for name, off in outliers.items() if min(abs(off - _BITS), abs(off + _BITS)) < 0.06]
    if converted:
        raise ValueError(
            f"Losses seem to be in mixed units: those of {', '.join(converted[:8])} are off by the factor between bits "
            "and nats, 1.44. Convert them (bits/token times 0.6931 is nats/token), or leave these runs out."
        )


def _checked(form: Form, points: Points, **settings: Any) -> tuple[HeldOut | None, tuple[float, float]]:
    """The largest runs, foretold by the smaller ones; and how far the law drifts beyond its sizes and beyond its data.

    Of the larger half of the sizes and the largest one alone that check counts which tells more: of many sizes near
    one another the largest lies hardly beyond the rest, of three the lower half may be one.
    """
    in_size, in_data = _UNCHECKED
    tokens, sizes = points.num_tokens / points.ratio, points.sizes
    longest = _foretold(form, points, tokens <= tokens.max() / _LONGER, **settings)
    drift_in_data = in_data if longest is None else longest.drift(in_data)
    small = points.num_params < 0.91 * sizes[-1]
    checked = form.size and len(sizes) >= _SIZES_TO_CHECK
    largest = _foretold(form, points, small, **settings) if checked else None
    if largest is None:
        return None, (in_size, drift_in_data)
    half = points.num_params <= math.sqrt(sizes[0] * sizes[-1])
    telling = largest
    if len(points.where(half).sizes) > 1 and (half != small).any():  # else it is one size, or the same fit again
        larger = _foretold(form, points, half, **settings)
        telling = min((miss for miss in (largest, larger) if miss is not None), key=lambda miss: miss.variance)
    spread = np.sqrt(largest.known + (in_size * largest.reach) ** 2)
    told = HeldOut(
        num_params=float(largest.num_params.max()),
        trained_up_to=float(points.num_params[small].max()),
        runs=len(largest.off),
        error=float(np.median(np.abs(np.expm1(largest.off)))),
        bias=float(np.median(np.expm1(largest.off))),
        covered=float(np.mean(np.abs(largest.off) <= 1.645 * spread)),
    )
    return told, (telling.drift(in_size), drift_in_data)


class _Miss(NamedTuple):
    """Last losses that a fit of the other points has foretold.

    Args:
        num_params: ``(n,)`` of each.
        off: ``(n,)`` log of the forecast less that of the loss.
        known: ``(n,)`` variance of that, as the fit knows it.
        reach: ``(n,)`` factors of e beyond the fit's data.
    """

    num_params: FloatArray
    off: FloatArray
    known: FloatArray
    reach: FloatArray

    @property
    def weight(self) -> FloatArray:
        """``(n,)`` of the misses in the slope of a line from nothing by least squares."""
        return self.reach / float(np.sum(self.reach**2))

    @property
    def variance(self) -> float:
        """What the fit's own doubts and the scatter of runs let that slope vary by.

        Misses beyond the same fit share its doubts, so that many of them tell no more than their mean.
        """
        return float(np.mean(self.known)) * float(np.sum(self.weight)) ** 2

    def drift(self, believed: float) -> float:
        """What the law may be off for each factor of e: what was believed, moved by that slope as far as it tells."""
        share = believed**2 / (believed**2 + self.variance)
        slope = float(self.weight @ self.off)
        return math.sqrt((share * slope) ** 2 + share * self.variance + _LEAST_DRIFT**2)


def _foretold(form: Form, points: Points, seen: NDArray[np.bool_], **settings: Any) -> _Miss | None:
    """The last losses of the points that were not seen, foretold by a fit of those that were; ``None`` without any."""
    hidden = points.where(~seen & points.last)
    if not len(hidden) or not seen.any():  # one name for losses of several sizes
        return None
    try:
        rest = _fit(form, points.where(seen), [], _CHECK_STARTS, _CHECK_BOOTSTRAPS, **settings)
    except ValueError:
        return None
    x = _at(rest, hidden)
    drawn = rest.form(rest.draws, x)[0]
    off = np.median(drawn, axis=0) - np.log(hidden.loss)
    reach = np.sum(rest.distance(hidden.num_params, hidden.num_tokens / hidden.ratio), axis=0)
    if not np.any(reach):
        return None
    return _Miss(hidden.num_params, off, drawn.var(axis=0) + rest.scatter**2, reach)


def _at(family: Family, points: Points) -> Inputs:
    """The points as a family's law takes them."""
    tokens = points.num_tokens if family.form.gain else points.num_tokens / points.ratio
    data = 6 * points.num_params * tokens if family.form.data == "flops" else tokens
    repeats = np.maximum(points.num_tokens / points.ratio / points.unique - 1, 0.0)
    n, d = np.log(points.num_params) - family.n0, np.log(data) - family.d0
    return Inputs(n, d, points.annealed, repeats, family.n0, family.d0)


def _thinned(draws: FloatArray) -> FloatArray:
    return draws[np.linspace(0, len(draws) - 1, min(len(draws), _KEPT)).astype(np.intp)] if len(draws) else draws


def _ends(values: FloatArray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _provenance(points: Points, starts: int, bootstraps: int, delta: float, seed: int) -> dict[str, Any]:
    return {
        "runs": len(points.names),
        "losses": len(points),
        "sizes": len(points.sizes),
        "starts": starts,
        "bootstraps": bootstraps,
        "huber_delta": delta,
        "seed": seed,
    }


def _batches(points: Points) -> dict[str, list[float]]:
    """Smallest and largest batch of the runs [tokens/step]; empty where their steps are not known."""
    batch = points.num_tokens / points.steps
    return {"batch_tokens": [float(f"{end:.9g}") for end in _ends(batch)]} if np.isfinite(batch).all() else {}


def _batches_told(batches: Mapping[str, list[float]]) -> list[str]:
    """The batches in words: a law says nothing of others."""
    return [f"the runs' steps are of {' to '.join(dict.fromkeys(map(amount, of)))} tokens" for of in batches.values()]
