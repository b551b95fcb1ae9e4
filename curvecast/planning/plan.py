"""From a law and a budget to a plan: size, tokens, batch, steps and loss, and what was assumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curvecast.laws import kaplan
from curvecast.notation import amount
from curvecast.planning.budget import PEAK_FLOPS, compute, machines
from curvecast.planning.laboratories import WHY, Answer, answers
from curvecast.planning.laws import NATS, PlanLaw
from curvecast.planning.optimum import COMPUTES, VALLEY, Choice, best_size, checked_valley, in_use, size_and_tokens
from curvecast.planning.outlook import Budget, Trial, budgets, size_interval, trials

_BEYOND = 1.05  # a plan within this factor of the largest run of its law is not told to lie beyond it
_WORTH_SAYING = 2.0  # a size off the best one by a smaller factor, either way, gets no note
_FEWEST_STEPS = 100  # with fewer steps the batch is one for other data, such as bytes where Kaplan's were words
_SMALLER = "; there a loss takes twice the tokens that small batches take, with a quarter of it a quarter more"
_NO_DECAY = 0.001  # a decay that brings a smaller share of the loss is none


@dataclass(frozen=True, slots=True)
class Plan:
    """A run to be made.

    Args:
        law: name of the law; source, counts and unit: its own words.
        num_params: N.
        num_tokens: D.
        flops: training compute [FLOP].
        loss: expected last loss [`unit`].
        interval: its 90 % interval; ``None`` where the law's doubts are not known.
        batch_tokens: B [tokens].
        steps: S = D / B.
        epochs: passes over the unique tokens; ``None`` where they were not given.
        gpus, hours, mfu, gpu: the machines, where any were given.
        size_interval: 90 % interval of the best size at this compute; ``None`` where the law's doubts are not known.
        valley: near-optimal choices at the same compute.
        budgets: what less and more compute would bring.
        trials: smaller runs that would make this plan surer; none where the law's doubts are not known.
        answers: OpenAI's and DeepMind's.
        why: why those two differ.
        in_use: the cheapest model of the same loss over training and use; ``None`` without inference tokens.
        notes: what was assumed.
    """

    law: str
    source: str
    counts: str
    unit: str
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
    size_interval: tuple[float, float] | None
    valley: tuple[Choice, ...]
    budgets: tuple[Budget, ...]
    trials: tuple[Trial, ...]
    answers: tuple[Answer, ...]
    why: str
    in_use: Mapping[str, float] | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        plain = {name: getattr(self, name) for name in Plan.__slots__}
        for rows in ("valley", "budgets", "trials", "answers"):
            plain[rows] = [_plain(row) for row in plain[rows]]
        plain["in_use"] = None if self.in_use is None else dict(self.in_use)
        return _plain_values(plain)


def _plain(row: Choice | Budget | Trial | Answer) -> dict[str, Any]:
    """A row in plain types, for JSON."""
    return _plain_values({name: getattr(row, name) for name in type(row).__slots__})


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with lists for tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


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
        batch_tokens: B; where it is not given the critical batch at the expected loss (Kaplan eq. 5.3), or, where that
            leaves too few steps for a run, the largest of the family's own runs, as far as they are known.

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
    told = compute(flops, num_params, num_tokens, gpus, hours, mfu, gpu, notes)
    if told is None and num_params is None and num_tokens is None:
        raise ValueError(
            f"A plan needs a compute, a size or a number of tokens: got {_alone(gpus, hours)}. "
            "Pass `flops`, `num_params`, `num_tokens`, or `gpus` and `hours`."
        )
    U = unique_tokens or math.inf
    N, D = size_and_tokens(law, told, num_params, num_tokens, U)
    C, loss = 6 * N * D, float(law.loss(N, D, U))
    near = checked_valley(law, C, U)
    if batch_tokens is not None:
        _check_batch(batch_tokens, D)
    gpus, hours, mfu = machines(C, gpus, hours, mfu, gpu, notes)
    if [num_params, num_tokens, told].count(None) < 2:  # of one alone the law says the others
        notes += _off_the_best(N, loss, near)
    notes += _of_no_interval(law)
    B = batch_tokens or _batch(law, loss, D, notes)
    notes += _beyond(law, N, D) + _other_batch(law, B) + _of_repeats(law, C, loss, D, U)
    notes += _of_the_decay(law, N, D, U, loss)
    return Plan(
        **_of_the_law(law),
        **_asked_of(law, C, N, D, U),
        num_params=N,
        num_tokens=D,
        flops=C,
        loss=loss,
        batch_tokens=B,
        steps=D / B,
        epochs=None if unique_tokens is None else D / U,
        gpus=gpus,
        hours=hours,
        mfu=mfu,
        gpu=gpu,
        valley=near,
        in_use=None if inference_tokens is None else in_use(law, loss, N, D, U, inference_tokens),
        notes=tuple(notes),
    )


def _of_the_law(law: PlanLaw) -> dict[str, Any]:
    """What a plan says of its law."""
    return {"law": law.name, "source": law.source, "counts": law.counts, "unit": law.unit}


def _asked_of(law: PlanLaw, C: float, N: float, D: float, U: float) -> dict[str, Any]:
    """What is asked of a plan of N parameters on D tokens: how sure it is, and what else there is."""
    return {
        "interval": None if law.interval is None else law.interval(N, D, U),
        "size_interval": size_interval(law, C, U),
        "budgets": budgets(law, C, N, D, U),
        "trials": trials(law, C, N, D, U),
        "answers": answers(C),
        "why": WHY,
    }


def _of_no_interval(law: PlanLaw) -> list[str]:
    """Why a loss stands alone, where it does."""
    if law.interval is not None:
        return []
    return ["no interval: the doubts of these constants are not published in full; a family of your own has one"]


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
        if not 0 < value <= COMPUTES[1]:
            raise ValueError(f"`{name}` must be positive: got {value!r:.40}. Pass a number of at most {COMPUTES[1]:g}.")
    if (mfu := given["mfu"]) is not None and mfu > 1:
        raise ValueError(f"`mfu` is a share of the peak, at most 1: got {mfu}. Pass 0.4 for 40 %.")
    if gpu not in PEAK_FLOPS:
        raise ValueError(f"`gpu` must be one of {', '.join(PEAK_FLOPS)}: got {gpu!r}.")


def _check_batch(batch_tokens: float, D: float) -> None:
    """Refuse a batch that is larger than the run."""
    if batch_tokens > D:
        raise ValueError(
            f"`batch_tokens` must be at most the run's tokens, {D:.3g}: got {batch_tokens:.3g}. "
            "Pass a smaller batch, or more compute."
        )


def _batch(law: PlanLaw, loss: float, D: float, notes: list[str]) -> float:
    """The batch where none was given, and why: the critical one, if the steps that it leaves are a run."""
    B = float(kaplan.critical_batch(loss))
    too_large = f"the critical one at the expected loss (Kaplan eq. 5.3) leaves {D / B:,.3g} steps: too few for a run"
    if law.unit != NATS:
        too_large = f"the critical one is known for losses in {NATS} alone (Kaplan eq. 5.3)"
    elif D / B >= _FEWEST_STEPS:
        notes.append(f"batch: the critical one at the expected loss (Kaplan eq. 5.3){_SMALLER}")
        return B
    if law.batches is not None and D / law.batches[1] >= _FEWEST_STEPS:
        notes.append(f"batch: the largest of the family's own runs, for {too_large}")
        return law.batches[1]
    B = D / _FEWEST_STEPS
    notes.append(
        f"batch: the largest that leaves {_FEWEST_STEPS} steps, for {too_large}. Give the batch of your own runs"
    )
    return B


def _off_the_best(N: float, loss: float, near: Sequence[Choice]) -> list[str]:
    """How far a size that was given lies from the best for its compute, where that is worth a note."""
    best = near[VALLEY.index(1.0)]
    if max(N / best.num_params, best.num_params / N) < _WORTH_SAYING:
        return []
    share = f"{N / best.num_params:.2g} times the best for this compute"
    return [f"the size is {share}: the loss is {loss / best.loss - 1:.2%} above the least"]


def _of_repeats(law: PlanLaw, C: float, loss: float, D: float, U: float) -> list[str]:
    """What repeats mean, and what new tokens would bring in their place."""
    if U >= D:
        return []
    size = best_size(law, C)
    tokens = C / (6 * size)
    fresh = float(law.loss(size, tokens, math.inf))
    return [
        f"{D / U:.1f} epochs over {amount(U)} unique tokens; repeats count less (arXiv:2305.16264). "
        "OpenAI's and DeepMind's answers take every token for a new one",
        f"with new tokens alone the best of this compute is {amount(size)} parameters on {amount(tokens)} tokens: "
        f"{fresh:.3f}, {1 - fresh / loss:.2%} less",
    ]


def _of_the_decay(law: PlanLaw, N: float, D: float, U: float, loss: float) -> list[str]:
    """What the loss takes for granted of the learning rate, where the law tells."""
    if law.held is None:
        return []
    more = law.held(N, D, U) / loss - 1
    if abs(more) < _NO_DECAY:
        return ["the loss is that of a learning rate that never decays, as most of the family's runs ended"]
    return [f"the learning rate is taken to decay as the family's runs ended: held, it would leave {more:.1%} more"]


def _beyond(law: PlanLaw, N: float, D: float) -> list[str]:
    """How far a plan lies beyond the runs that its law was fitted to."""
    times = zip((N / law.reach[0], D / law.reach[1]), ("largest size", "most tokens"), strict=True)
    told = ((f"{float(f'{ratio:.2g}'):,.9g}", what) for ratio, what in times if ratio >= _BEYOND)
    far = " and ".join(f"{ratio} times their {what}" for ratio, what in told)
    return [f"this lies beyond the runs that the law was fitted to: {far}"] if far else []


def _other_batch(law: PlanLaw, B: float) -> list[str]:
    """How far a batch lies above those of the runs that the law was fitted to, where that is worth a note."""
    ratio = 0.0 if law.batches is None else B / law.batches[1]
    if ratio < _WORTH_SAYING:
        return []
    times = f"{float(f'{ratio:.2g}'):,.9g}"
    return [
        f"the batch is {times} times the largest of the runs that the law was fitted to: the larger it is, the more "
        "tokens a loss takes"
    ]


def _alone(gpus: float | None, hours: float | None) -> str:
    given = [name for name, value in (("gpus", gpus), ("hours", hours)) if value is not None]
    return f"`{given[0]}` without `{'hours' if given[0] == 'gpus' else 'gpus'}`" if given else "none"
