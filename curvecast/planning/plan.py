"""From a law and a budget to a plan: size, tokens, batch, steps, loss, and how flat the valley around them is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curvecast.laws import kaplan
from curvecast.laws.base import FloatArray
from curvecast.laws.chinchilla import EPOCH
from curvecast.laws.kaplan_frontier import table_6
from curvecast.planning.budget import PEAK_FLOPS, compute, machines
from curvecast.planning.laws import PlanLaw

VALLEY = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)
"""Sizes that a plan shows, over the best."""

_COMPUTE = (1e6, 1e36)  # FLOP between which the compute to a given size or length is sought
_BEYOND = 1.05  # times the largest run that a law has seen: less is rounding, and is not told
_WORTH_SAYING = 2.0  # times the best size, either way
_SIZES = np.geomspace(1e4, 1e15, 2201)
_WHY = (
    "They differ by what they count and how they trained: Kaplan leaves embeddings out of N and C, which matters for "
    "the small models that were fitted (arXiv:2406.12907 traces most of the gap to it), and read losses off runs on "
    "one long schedule, so that short ones never had their decay (Hoffmann et al. 2022, section 2)."
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to spend the compute.

    Args:
        num_params: N.
        num_tokens: D.
        flops: training compute, ``6 N D`` [FLOP].
        loss: expected [nats/token].
        excess: by how much that is more than the least [1].
    """

    num_params: float
    num_tokens: float
    flops: float
    loss: float
    excess: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What one laboratory's law says to a compute.

    Args:
        who: "OpenAI" or "DeepMind".
        law: which formulas.
        num_params, num_tokens, loss: the optimum.
        batch_tokens: where the law names one.
    """

    who: str
    law: str
    num_params: float
    num_tokens: float
    loss: float
    batch_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A run to be made.

    Args:
        law: name of the law; source and counts: its own words.
        num_params: N.
        num_tokens: D.
        flops: training compute [FLOP].
        loss: expected last loss [nats/token].
        interval: its 90 % interval; ``None`` where the law's doubts are not known.
        batch_tokens: B [tokens].
        steps: S = D / B.
        epochs: passes over the unique tokens; ``None`` where they were not given.
        gpus, hours, mfu, gpu: the machines, where any were given.
        valley: near-optimal choices at the same compute.
        answers: OpenAI's and DeepMind's.
        why: why those two differ.
        in_use: the cheapest model of the same loss over training and use; ``None`` without inference tokens.
        notes: what was assumed.
    """

    law: str
    source: str
    counts: str
    num_params: float
    num_tokens: float
    flops: float
    loss: float
    interval: tuple[float, float] | None
    batch_tokens: float
    steps: float
    epochs: float | None
    gpus: float | None
    hours: float | None
    mfu: float | None
    gpu: str
    valley: tuple[Choice, ...]
    answers: tuple[Answer, ...]
    why: str
    in_use: Mapping[str, float] | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        plain = {name: getattr(self, name) for name in Plan.__slots__}
        plain["valley"] = [{name: getattr(row, name) for name in Choice.__slots__} for row in self.valley]
        plain["answers"] = [{name: getattr(row, name) for name in Answer.__slots__} for row in self.answers]
        plain["in_use"] = None if self.in_use is None else dict(self.in_use)
        plain["interval"] = None if self.interval is None else list(self.interval)
        return plain | {"notes": list(self.notes)}


def plan(
    law: PlanLaw,
    *,
    flops: float | None = None,
    num_params: float | None = None,
    num_tokens: float | None = None,
    gpus: float | None = None,
    hours: float | None = None,
    mfu: float | None = None,
    gpu: str = "h100",
    unique_tokens: float | None = None,
    inference_tokens: float | None = None,
    batch_tokens: float | None = None,
) -> Plan:
    """Plan a run: what is given is kept, the rest is chosen for the least loss.

    Args:
        law: see `law_of`.
        flops: training compute [FLOP].
        num_params: N, counted as the law counts it.
        num_tokens: D.
        gpus: how many; with `hours` they give the compute, with a compute the hours.
        hours: of training.
        mfu: share of the peak that is reached; 0.4 where it is needed and not given.
        gpu: "a100", "h100" or "h200".
        unique_tokens: of the data set; beyond them tokens repeat and count less (Muennighoff et al. 2023).
        inference_tokens: tokens of the model's use; a cheaper model over both is then named, too.
        batch_tokens: B; the critical batch at the expected loss (Kaplan eq. 5.3) where it is not given.

    Returns:
        The plan.

    Raises:
        TypeError: if `law` is no such law, or a number is none.
        ValueError: if a number is not positive, too few are given, or they contradict each other.

    Example:
        >>> from curvecast.planning import law_of
        >>> made = plan(law_of("chinchilla"), flops=5.76e23)
        >>> print(f"{made.num_params:.1e} parameters, {made.num_tokens:.2e} tokens, {made.loss:.3f}")
        7.2e+10 parameters, 1.33e+12 tokens, 1.974
    """
    given = {
        "flops": flops, "num_params": num_params, "num_tokens": num_tokens, "gpus": gpus, "hours": hours, "mfu": mfu,
        "unique_tokens": unique_tokens, "inference_tokens": inference_tokens, "batch_tokens": batch_tokens,
    }  # fmt: skip
    _check(law, given, gpu)
    notes: list[str] = []
    C = compute(flops, num_params, num_tokens, gpus, hours, mfu, gpu, notes)
    U = unique_tokens or math.inf
    if C is None and num_params is None and num_tokens is None:
        raise ValueError(
            f"A plan needs a compute, a size or a number of tokens: got {_alone(gpus, hours)}. "
            "Pass flops, num_params, num_tokens, or gpus and hours."
        )
    N, D = _split(law, C, num_params, num_tokens, U)
    chosen = [num_params, num_tokens, C].count(None) == 2  # one was given, the law says the others
    C = 6 * N * D
    near = _near(law, C, U)
    if batch_tokens is not None and batch_tokens > D:
        raise ValueError(
            f"`batch_tokens` must be at most the run's tokens, {D:.3g}: got {batch_tokens:.3g}. "
            "Pass a smaller batch, or more compute."
        )
    gpus, hours, mfu = machines(C, gpus, hours, mfu, gpu, notes)
    loss = float(law.loss(N, D, U))
    if not chosen:
        notes += _off_the_best(N, loss, near)
    if law.interval is None:
        notes.append(
            "no interval: the doubts of these constants are not published in full; a family of your own has one"
        )
    B = batch_tokens or float(kaplan.critical_batch(loss))
    if batch_tokens is None:
        notes.append("batch: the critical one at the expected loss (Kaplan eq. 5.3); a smaller one wastes no compute")
    notes += _beyond(law, N, D)
    if U < D:
        notes.append(f"{D / U:.1f} epochs over {U:.3g} unique tokens; repeats count less (arXiv:2305.16264)")
    return Plan(
        law=law.name,
        source=law.source,
        counts=law.counts,
        num_params=N,
        num_tokens=D,
        flops=C,
        loss=loss,
        interval=None if law.interval is None else law.interval(N, D, U),
        batch_tokens=B,
        steps=D / B,
        epochs=None if unique_tokens is None else D / U,
        gpus=gpus,
        hours=hours,
        mfu=mfu,
        gpu=gpu,
        valley=near,
        answers=answers(C),
        why=_WHY,
        in_use=None if inference_tokens is None else _in_use(law, loss, N, D, U, inference_tokens),
        notes=tuple(notes),
    )


def _check(law: PlanLaw, given: Mapping[str, float | None], gpu: str) -> None:
    """Refuse what cannot be planned with: a law that is none, numbers that are none, a GPU that is not known."""
    if not isinstance(law, PlanLaw):
        raise TypeError(
            f"`law` must be what law_of gives: got a {type(law).__name__}. Pass planning.law_of(...) of it."
        )
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"`{name}` must be a number: got {value!r:.40}.")
        if not 0 < value <= _COMPUTE[1]:
            raise ValueError(f"`{name}` must be positive: got {value!r:.40}. Pass a number of at most {_COMPUTE[1]:g}.")
    if (mfu := given["mfu"]) is not None and mfu > 1:
        raise ValueError(f"`mfu` is a share of the peak, at most 1: got {mfu}. Pass 0.4 for 40 %.")
    if gpu not in PEAK_FLOPS:
        raise ValueError(f"`gpu` must be one of {', '.join(PEAK_FLOPS)}: got {gpu!r}.")


def best_size(law: PlanLaw, flops: float, unique_tokens: float = math.inf) -> float:
    """Size of the least loss at a compute.

    Args:
        law: the law.
        flops: training compute [FLOP].
        unique_tokens: of the data set.

    Returns:
        Parameters.

    Example:
        >>> from curvecast.planning import law_of
        >>> print(f"{best_size(law_of('hoffmann'), 5.76e23):.1e}")
        4.0e+10
    """
    losses = law.loss(_SIZES, flops / (6 * _SIZES), unique_tokens)
    k = int(np.clip(np.nanargmin(losses), 1, len(_SIZES) - 2))
    fine = np.geomspace(_SIZES[k - 1], _SIZES[k + 1], 401)
    return float(fine[np.nanargmin(law.loss(fine, flops / (6 * fine), unique_tokens))])


def valley(law: PlanLaw, flops: float, unique_tokens: float = math.inf) -> tuple[Choice, ...]:
    """Choices around the best size at one compute: how flat the valley is.

    Args:
        law: the law.
        flops: training compute [FLOP].
        unique_tokens: of the data set.

    Returns:
        A row for each of `VALLEY`.
    """
    best = best_size(law, flops, unique_tokens)
    sizes = best * np.array(VALLEY)
    losses = np.asarray(law.loss(sizes, flops / (6 * sizes), unique_tokens))
    least = float(law.loss(best, flops / (6 * best), unique_tokens))
    rows = zip(sizes.tolist(), losses.tolist(), strict=True)
    return tuple(Choice(N, flops / (6 * N), flops, loss, loss / least - 1) for N, loss in rows)


def _near(law: PlanLaw, C: float, U: float) -> tuple[Choice, ...]:
    """The valley, of which the best must not lie at the end of what is looked through: then it were not the best."""
    near = valley(law, C, U) if 1.01 * _COMPUTE[0] < C < _COMPUTE[1] / 1.01 else ()
    if not (near and 1.01 * _SIZES[0] < near[VALLEY.index(1.0)].num_params < _SIZES[-1] / 1.01):
        raise ValueError(
            f"The best size must lie between {_SIZES[0]:g} and {_SIZES[-1]:g} parameters: got one beyond, for "
            f"{C:.3g} FLOP. No law was fitted there: check the unit of what was given."
        )
    return near


def answers(flops: float) -> tuple[Answer, Answer]:
    """OpenAI's and DeepMind's answers to a compute.

    Args:
        flops: training compute [FLOP]; for OpenAI's taken as C_min.

    Returns:
        Kaplan's Table 6, and Chinchilla's law with Epoch's constants.

    Example:
        >>> [f"{answer.who}: {answer.num_params:.1e}" for answer in answers(5.76e23)]
        ['OpenAI: 8.0e+11', 'DeepMind: 7.2e+10']
    """
    old = table_6(flops)
    N, D = EPOCH.best(flops)
    theirs = Answer(
        "OpenAI",
        "Kaplan et al. 2020, Table 6 and eq. 1.3; N without embeddings",
        float(old.N),
        flops / (6 * float(old.N)),
        float(kaplan.loss_of_min_compute(flops)),
        float(old.B_crit),
    )
    newer = Answer(
        "DeepMind",
        "Hoffmann et al. 2022, refitted by Besiroglu et al. 2024; N with embeddings",
        float(N),
        float(D),
        float(EPOCH.loss(N, D)),
    )
    return theirs, newer


def _off_the_best(N: float, loss: float, near: Sequence[Choice]) -> list[str]:
    """How far a size that was given lies from the best for its compute, where that is worth a note."""
    best = near[VALLEY.index(1.0)]
    if max(N / best.num_params, best.num_params / N) < _WORTH_SAYING:
        return []
    share = f"{N / best.num_params:.2g} times the best for this compute"
    return [f"the size is {share}: the loss is {loss / best.loss - 1:.2%} above the least"]


def _beyond(law: PlanLaw, N: float, D: float) -> list[str]:
    """How far a plan lies beyond the runs that its law was fitted to."""
    times = zip((N / law.reach[0], D / law.reach[1]), ("largest size", "most tokens"), strict=True)
    far = " and ".join(f"{ratio:.2g} times their {what}" for ratio, what in times if ratio >= _BEYOND)
    return [f"this lies beyond the runs that the law was fitted to: {far}"] if far else []


def _alone(gpus: float | None, hours: float | None) -> str:
    given = [name for name, value in (("gpus", gpus), ("hours", hours)) if value is not None]
    return f"{given[0]} without {'hours' if given[0] == 'gpus' else 'gpus'}" if given else "none"


def _split(law: PlanLaw, C: float | None, N: float | None, D: float | None, U: float) -> tuple[float, float]:
    """Size and tokens: those given, else the best."""
    if N is not None and D is not None:
        return N, D
    if C is not None:
        N = N or (C / (6 * D) if D is not None else best_size(law, C, U))
        return N, C / (6 * N)
    low, high = _COMPUTE  # for which what was given is the best
    for _ in range(60):
        middle = math.sqrt(low * high)
        size = best_size(law, middle, U)
        too_much = size > N if N is not None else middle / (6 * size) > (D or math.inf)
        low, high = (low, middle) if too_much else (middle, high)
    C = math.sqrt(low * high)
    if N is None:
        return C / (6 * (D or math.nan)), float(D or math.nan)
    return N, C / (6 * N)


def _in_use(law: PlanLaw, loss: float, N: float, D: float, U: float, inference: float) -> dict[str, float]:
    """The cheapest model of this loss over training and use (Sardana et al. 2024), by any law."""
    sizes = N * np.geomspace(1 / 64, 4, 601)
    tokens = _tokens_to_reach(law, loss, sizes, U)
    reached = law.loss(sizes, tokens, U) <= loss * (1 + 1e-9)
    cost = np.where(reached, 6 * sizes * tokens + 2 * sizes * inference, np.inf)
    cheapest = int(np.argmin(cost))
    size, its_tokens = float(sizes[cheapest]), float(tokens[cheapest])
    as_planned = 6 * N * D + 2 * N * inference
    return {
        "num_params": size,
        "num_tokens": its_tokens,
        "training_flops": 6 * size * its_tokens,
        "inference_flops": 2 * size * inference,
        "saved": float(1 - cost[cheapest] / as_planned),
    }


def _tokens_to_reach(law: PlanLaw, loss: float, sizes: FloatArray, U: float) -> FloatArray:
    """``(n,)`` tokens on which models of ``(n,)`` sizes reach a loss; for those that never do, very many."""
    low, high = np.full(sizes.shape, 1e3), np.full(sizes.shape, 1e22)
    for _ in range(90):
        middle = np.sqrt(low * high)
        above = law.loss(sizes, middle, U) > loss
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high
