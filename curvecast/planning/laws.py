"""The laws that a plan can be made with, each by its name, or a family's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from curvecast.family import Family
from curvecast.laws import kaplan
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH, HOFFMANN, HOFFMANN_ROUNDED, Chinchilla
from curvecast.laws.data_constrained import DataConstrained
from curvecast.schedule import Schedule

NATS = "nats/token"
"""The unit of the published laws."""

_ANY_STEPS = 1000  # of a run at a constant learning rate: only that it is constant counts


@dataclass(frozen=True, slots=True)
class Doubts:
    """How far a fitted law may be off, in parts that runs share and parts that they do not.

    Args:
        drawn: ``drawn(N, D, unique)`` -> ``(M, m)`` losses at the parameters of each bootstrap [the law's unit].
        distance: ``distance(N, D)`` -> ``(2, m)`` factors of e beyond the sizes, and the tokens, of the fit's runs.
        scatter: standard deviation of a run about the law, as a share of the loss [1].
        drift: what the law may be off for each of these factors in size, and in data, as a share of the loss [1].
    """

    drawn: Callable[[ArrayLike, ArrayLike, float], FloatArray]
    distance: Callable[[ArrayLike, ArrayLike], FloatArray]
    scatter: float
    drift: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlanLaw:
    """A law as a plan needs it.

    Args:
        name: for people.
        source: where it comes from.
        counts: what its N counts.
        loss: ``loss(N, D, unique)`` -> loss [`unit`].
        interval: ``interval(N, D, unique)`` -> lower, upper of 90 %; ``None`` where its doubts are not published.
        reach: most parameters and tokens of the runs that it was fitted to; inf where they are not at hand.
        batches: smallest and largest batch of those runs [tokens/step]; ``None`` where they are not known.
        doubts: the parts of that interval; ``None`` where there are no bootstraps.
        held: ``held(N, D, unique)`` -> loss of a run whose rate never decays; ``None`` where the law does not tell.
        unit: of its losses.
    """

    name: str
    source: str
    counts: str
    loss: Callable[[ArrayLike, ArrayLike, float], FloatArray]
    interval: Callable[[float, float, float], tuple[float, float]] | None = None
    reach: tuple[float, float] = (math.inf, math.inf)
    batches: tuple[float, float] | None = None
    doubts: Doubts | None = None
    held: Callable[[float, float, float], float] | None = None
    unit: str = NATS


def law_of(name: str | Path | Family) -> PlanLaw:
    """A law by its name, or the family in a JSON file.

    Args:
        name: "chinchilla" (Epoch's constants), "hoffmann", "hoffmann_rounded", "muennighoff", "kaplan", or a path.

    Raises:
        TypeError: if it is no name, path or family.
        ValueError: if there is neither such a law nor such a file.

    Example:
        >>> law_of("chinchilla").loss(7e10, 1.4e12, float("inf")).round(3).item()
        1.974
    """
    if isinstance(name, Family):
        return _of_family(name)
    if str(name) in _LAWS:
        return _LAWS[str(name)]
    if not isinstance(name, str | Path):
        raise TypeError(f"`law` must be a name, a path or a family: got {name!r:.40}. Pass 'chinchilla', say.")
    if not _is_file(name):
        raise ValueError(
            f"`law` must be one of {', '.join(_LAWS)}, or the JSON file of a family: got {str(name)!r:.80}, and there "
            "is no such file. Write one with `curvecast fit -o`."
        )
    return _of_family(Family.load(name))


def _is_file(name: str | Path) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a name, or holding what none may
        return False


def _of_chinchilla(law: Chinchilla, name: str, source: str) -> PlanLaw:
    repeating = DataConstrained(law.irreducible_loss, law.A_N, law.alpha_N, law.A_D, law.alpha_S)

    def loss(N: ArrayLike, D: ArrayLike, unique: float) -> FloatArray:
        return law.loss(N, D if math.isinf(unique) else repeating.effective_tokens(D, unique))

    return PlanLaw(name, source, "all parameters, embeddings included", loss)


def _of_family(family: Family) -> PlanLaw:
    _check_plans(family)
    repeating = DataConstrained()
    own = family.form.repeating

    def seen(D: ArrayLike, unique: float) -> ArrayLike:
        return D if own or math.isinf(unique) else repeating.effective_tokens(D, unique)

    def loss(N: ArrayLike, D: ArrayLike, unique: float) -> FloatArray:
        return family.loss(N, seen(D, unique), unique_tokens=unique if own else np.inf)

    def interval(N: float, D: float, unique: float) -> tuple[float, float]:
        ahead = family.predict(num_params=N, num_tokens=seen(D, unique), unique_tokens=unique if own else np.inf)
        inside, expected = ahead.interval(0.9), float(np.ravel(loss(N, D, unique))[0])
        # As that of a parameter, it reaches to the estimate: few bootstraps may all lie on one side of it.
        return min(float(np.ravel(inside.lower)[0]), expected), max(float(np.ravel(inside.upper)[0]), expected)

    def drawn(N: ArrayLike, D: ArrayLike, unique: float) -> FloatArray:
        return family.drawn(N, seen(D, unique), unique_tokens=unique if own else np.inf)

    def held(N: float, D: float, unique: float) -> float:
        steady, told = Schedule.constant(_ANY_STEPS), unique if own else math.inf
        return float(family.loss(N, seen(D, unique), unique_tokens=told, schedule=steady))

    _, most_params, _, most_tokens = family.seen
    return PlanLaw(
        f"family ({family.law})",
        family.form.source,
        family.counts,
        loss,
        interval,
        (most_params, most_tokens),
        _batches(family),
        Doubts(drawn, family.distance, family.scatter, family.drift) if len(family.draws) else None,
        held if family.form.gain else None,
        family.unit,
    )


def _check_plans(family: Family) -> None:
    """Refuse a family whose law says nothing of other sizes, or of tokens."""
    if not family.form.size or family.form.data != "tokens":
        raise ValueError(
            f"A plan needs a law of size and tokens: got {family.law!r} with {', '.join(family.parameters)}. "
            "Fit several sizes with law='chinchilla' or 'coupled'."
        )


def _batches(family: Family) -> tuple[float, float] | None:
    """The smallest and the largest batch of a family's runs, where they are known [tokens/step]."""
    smallest, largest = family.provenance.get("batch_tokens", (None, None))
    return None if largest is None else (float(smallest), float(largest))


def _kaplan_loss(N: ArrayLike, D: ArrayLike, unique: float) -> FloatArray:
    """L(N, S_min) of one pass at batches far below critical: ``S_min = D / B_crit(L)``, solved for the loss."""
    D = D if math.isinf(unique) else DataConstrained().effective_tokens(D, unique)
    N, D = np.broadcast_arrays(np.asarray(N, dtype=np.float64), np.asarray(D, dtype=np.float64))
    t = kaplan.TABLE_5
    size = kaplan.power_of_one((t.N_c, t.alpha_N), N)
    low, high = size, np.full(size.shape, 1e4)
    for _ in range(70):
        middle = np.sqrt(low * high)
        more = size + (t.S_c * kaplan.critical_batch(middle) / D) ** t.alpha_S > middle
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.asarray(high)


_LAWS = {
    "chinchilla": _of_chinchilla(EPOCH, "chinchilla", "Hoffmann et al. 2022, constants of Besiroglu et al. 2024"),
    "hoffmann": _of_chinchilla(HOFFMANN, "hoffmann", "Hoffmann et al. 2022, unrounded constants"),
    "hoffmann_rounded": _of_chinchilla(HOFFMANN_ROUNDED, "hoffmann_rounded", "Hoffmann et al. 2022, as printed"),
    "muennighoff": PlanLaw(
        "muennighoff",
        "Muennighoff et al. 2023, arXiv:2305.16264",
        "all parameters, embeddings included",
        lambda N, D, unique: DataConstrained().loss(N, D, unique),
    ),
    "kaplan": PlanLaw(
        "kaplan",
        "Kaplan et al. 2020, eqs. 1.6 and 5.3 with Table 5, batches far below critical",
        "parameters without embeddings",
        _kaplan_loss,
    ),
}
