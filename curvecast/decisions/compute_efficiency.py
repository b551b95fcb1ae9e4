"""Compute efficiency: past the point where a larger model would make better use of the compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.decisions.base import Finding, Reason, check_level, check_number
from curvecast.decisions.details import Details, Once
from curvecast.decisions.view import View
from curvecast.fit.fitting import FALLEN
from curvecast.fit.tables import GAP, L_N, A, B
from curvecast.laws.frontier import Way, at_size, inference_load, same_compute, same_loss
from curvecast.laws.kaplan import Kaplan
from curvecast.notation import amount

_SMALL = 1e5  # a network of no more parameters whose tokens nobody told is hardly a language model
_REACH = 100.0  # S_eff is looked for up to so many times the steps done, where a run counts as converged
_POINTS = 48  # steps at which the probability is worked out, to be inverted
_EXPONENT_DOUBT = 0.3  # doubt of ln(alpha), a step of its grid: with the slope held, the S-term moves by as much
_QUANTILES = {"lower": 0.05, "median": 0.5, "upper": 0.95}
_LEAST = 1e-9  # least share of the loss that a term has
_MOST = 1.0 - _LEAST
_FARTHEST = 1e3  # times the run's size or compute, either way: its terms tell nothing of models farther from it
_RISE = 0.02  # validation that stands by this share above its lowest is overfitting (Kaplan 4.4)
_NOW = np.ones((1, 1))  # the power-law term where the run stands


@dataclass(frozen=True, slots=True)
class ComputeEfficiency:
    """Fires when P(S > S_eff) is at least ``level``.

    At ``S_eff`` the loss, were the learning rate decayed now, stands ``alpha_N/alpha_S`` (by Kaplan's law 10 %) above
    this model's converged loss, or what else the law says where it joins size and data by a power of their sum. The
    law gives the exponents, the run's own posterior both terms. Steps are the run's own;
    ``efficient_min_step`` is S_eff as ``S_min``, at a batch without limit, where the law knows a critical one.

    Args:
        level: Probability from which on it fires.
        inference_tokens: Tokens that the model will serve after training; they pull the point to more training of a
            smaller model. Needs ``batch_tokens``.

    Raises:
        ValueError: if ``level`` is no probability, or ``inference_tokens`` negative.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(horizon=4000, num_params=1e6, decisions=[ComputeEfficiency()])
        >>> for step in range(1, 3001):
        ...     verdict = watcher.update(step, train_loss=2.0 + (step / 50) ** -0.5)
        >>> verdict.details["efficient_step_lower"] < 1250 < verdict.details["efficient_step_upper"]
        True

    Source: Kaplan et al. 2020, arXiv:2001.08361, equations B.4, B.5 and 5.4; Sardana et al. 2024, arXiv:2401.00448.
    """

    level: float = 0.95
    inference_tokens: float = 0.0

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 0.0 <= check_number("inference_tokens", self.inference_tokens) < math.inf:
            raise ValueError(
                f"`inference_tokens` must not be negative: got {self.inference_tokens}. "
                "Pass the tokens that the model will serve, or 0."
            )

    def decide(self, view: View) -> Finding | None:
        """Compare the S-term with the law's ratio of the N-term; a note where something is missing, ``None`` early."""
        reason = Reason.COMPUTE_EFFICIENT_POINT_PASSED
        if setting := self._unset(view):  # asked for with the first verdict, not again with every one
            return Finding(reason, 0.0, False, note=setting if view.is_first else "")
        if view.is_early:
            return None
        if lacking := self._lacking(view):
            return Finding(reason, 0.0, False, note=lacking)
        now = float(_past(view, np.array([view.step]), _NOW, self.inference_tokens)[0])
        if view.behind:  # where data are learnt by heart they are what is short, not the model
            now *= 1.0 - view.turned(_RISE)
        details = Once(lambda: _details(view, self.inference_tokens))
        if not view.holds(reason, now, self.level):
            return Finding(reason, now, False, details=Details(details))
        return view.stop(reason, now, lambda: self._message(view, now, details()), details)

    def _unset(self, view: View) -> str:
        """The setting that a verdict needs and does not have, as a sentence."""
        if view.num_params is None:
            return "A verdict on compute needs `num_params`."
        if self.inference_tokens and view.batch_tokens is None:
            return "A verdict on compute with inference needs `batch_tokens`."
        if view.batch_tokens is None and view.num_params <= _SMALL and isinstance(view.law, Kaplan):
            return (
                "A verdict on compute of so small a network needs `batch_tokens`, for Kaplan's law is of language "
                "models, or a `law` of its own."
            )
        return ""

    @staticmethod
    def _lacking(view: View) -> str:
        """What the run has not shown, or the law does not fit, as a sentence."""
        if view.fallen < FALLEN:  # nothing of a power law was seen: the terms would be what the prior says
            return f"A verdict on compute needs a loss that has fallen by {FALLEN:.0%}."
        if view.law.irreducible_loss >= view.level:
            told = f"{view.law.irreducible_loss:.4g}"
            return f"A verdict on compute needs one unit: the law's irreducible loss, {told}, lies above this run's."
        return ""

    @staticmethod
    def _message(view: View, probability: float, details: dict[str, float]) -> str:
        found = [details[f"efficient_step_{name}"] for name in ("median", "lower", "upper")]
        furthest = _REACH * view.step
        median, lower, upper = (f"{step:,.0f}" if step < math.inf else f">{furthest:,.0f}" for step in found)
        cooled = "" if view.decayed is None else ", cooled down"
        N_term, _ = _terms(view)
        above = view.law.efficient_ratio * N_term / max(N_term + view.law.irreducible_loss, _LEAST * N_term)
        return (
            f"{view.where()} is past the compute-efficient point with probability {probability:.2f}. That lay at "
            f"step {median} [{lower}, {upper}], where the loss stood {above:.0%} above "
            f"what this model converges to.{_other_ways(details, cooled)}"
        )


def resized(view: View, num_params: float | None) -> Way:
    """The compute of the whole plan on another size: what the loss at its end would then be.

    The law says how far that is from the loss at the run's own size; the difference is added to the forecast.

    Args:
        view: the run; its N must be known.
        num_params: the other size; ``None`` for the best.
    """
    post, own = view.posterior, view.num_params or math.nan
    N_term, _ = _terms(view)
    falling = post.theta[A] * post.power(np.array([float(view.end)]))[0]
    S_term = max(float(falling @ post.weight), _LEAST) * post.scale
    if num_params is None:
        way = same_compute(view.law, N_term, S_term, 0.0, view.batch_tokens)
    else:
        way = at_size(view.law, N_term, S_term, num_params / own, view.batch_tokens)
    here = at_size(view.law, N_term, S_term, 1.0, view.batch_tokens).loss
    return way._replace(loss=float(np.ravel(view.outlook.median)[0]) + way.loss - here)


def _past(view: View, step: FloatArray, x: FloatArray, inference_tokens: float) -> FloatArray:
    """``(m,)`` probability that a step lies past ``S_eff``, from the power-law term there, ``(m, K)`` or ``(m, 1)``."""
    post, law = view.posterior, view.law
    ratio: float | FloatArray = law.efficient_ratio
    if inference_tokens and view.batch_tokens is not None:
        ratio = law.ratio_under(inference_tokens / (3.0 * view.batch_tokens * step[:, None]))
    # The margin is ratio * (L_N + gap - B - L_inf) - A x: linear in the coefficients.
    own = post.theta[A]
    N_term = _annealed(view, post.theta) - law.irreducible_loss / post.scale
    spread = ratio * _annealed(view, post.root)[:, None] - x * post.root[A, :, None]
    # What still separates the run from its converged loss is doubted like any drop forecast over that distance, and
    # by the exponent, with the slope held; what the N-term gains the S-term loses.
    far = post.drop_error * math.sqrt(math.log2(_REACH))
    doubt = ((1.0 + ratio) * np.hypot(far, _EXPONENT_DOUBT)) * own
    sd = np.sqrt(np.add.reduce(spread * spread) + doubt * doubt) + 1e-12
    # Half of the weight is the run's own curve, half the law's: its S-term has the run's slope, and another size.
    by_run, by_law = ratio * N_term - x * own, _by_law(view, ratio, N_term + own, x)
    return np.asarray((ndtr(by_run / sd) + ndtr(by_law / sd)) @ (0.5 * post.weight))


def _by_law(view: View, ratio: float | FloatArray, loss: FloatArray, x: FloatArray) -> FloatArray:
    """The margin with the law's curve in place of the run's, through its reducible loss and its slope now."""
    post, law = view.posterior, view.law
    loss = np.maximum(loss, _LEAST)
    share = np.minimum(np.maximum(post.alpha * post.theta[A] / (law.alpha_S * loss), _LEAST), _MOST)
    left = 1.0 - share  # the N-term's share of the sum before its terms join
    both = 1.0 if x is _NOW else left + share * np.exp(np.log(x) * (law.alpha_S / (law.kappa * post.alpha)))
    return np.asarray(loss * ((1.0 + ratio) * left**law.kappa - both**law.kappa))


def _annealed(view: View, coefficients: FloatArray) -> FloatArray:
    """The converged loss with the learning rate decayed: what a decay takes away is left out."""
    level = coefficients[L_N]
    if view.of_val:
        level = level + coefficients[GAP]
    return np.asarray(level if view.decayed is None else level - view.decayed * coefficients[B])


def _details(view: View, inference_tokens: float) -> dict[str, float]:
    terms = _terms(view)
    return _efficient_step(view, terms, inference_tokens) | _compute(view, terms, inference_tokens)


def _efficient_step(view: View, terms: tuple[float, float], inference_tokens: float) -> dict[str, float]:
    """Quantiles of ``S_eff`` [steps]; inf beyond 100 times the steps done."""
    step = np.geomspace(max(view.step / 1000.0, 1.0), _REACH * view.step, _POINTS)
    past = np.maximum.accumulate(_past(view, step, view.posterior.power(step), inference_tokens))
    log_step = np.log(step)
    found = {
        f"efficient_step_{name}": float(np.exp(np.interp(q, past, log_step))) if q < past[-1] else math.inf
        for name, q in _QUANTILES.items()
    }
    if view.batch_tokens is not None:
        loss = view.law.irreducible_loss + terms[0] * (1.0 + view.law.efficient_ratio)
        if (more := view.law.step_factor(max(view.level, _LEAST), view.batch_tokens) - 1.0) > 0.0:
            found["critical_batch"] = more * view.batch_tokens
        median, factor = found["efficient_step_median"], view.law.step_factor(loss, view.batch_tokens)
        found["efficient_min_step"] = median / factor if median < math.inf else math.inf
    return found


def _terms(view: View) -> tuple[float, float]:
    """N-term and S-term now [loss unit]."""
    post = view.posterior
    converged = float(_annealed(view, post.theta) @ post.weight) * post.scale - view.law.irreducible_loss
    return max(converged, _LEAST * post.scale), max(float(post.theta[A] @ post.weight), _LEAST) * post.scale


def _compute(view: View, terms: tuple[float, float], inference_tokens: float) -> dict[str, float]:
    """What the loss would have cost a model of the best size, and what the compute would have bought; if that tells."""
    load = 0.0
    if inference_tokens and view.batch_tokens is not None:
        load = inference_load(inference_tokens, view.batch_tokens * view.step)
    cheapest, best = same_loss(view.law, *terms, load), same_compute(view.law, *terms, load, view.batch_tokens)
    size = view.num_params or math.nan
    found: dict[str, float] = {}
    if _is_near(cheapest):
        excess = max(1.0 / cheapest.compute, 1.0)
        found |= {"compute_excess": excess, "best_params_for_loss": cheapest.size * size}
    if _is_near(best):
        found |= {"best_params": best.size * size, "best_loss_for_compute": best.loss}
    return found


def _is_near(way: Way) -> bool:
    """Whether another way to spend compute is near enough to the run's own that its terms tell of it."""
    return all(1.0 / _FARTHEST <= times <= _FARTHEST for times in (way.size, way.compute))


def _other_ways(details: Mapping[str, float], cooled: str) -> str:
    """What other sizes would have done, as far as the terms tell of them, in a sentence."""
    ways = []
    if "compute_excess" in details:
        ways.append(
            f"a model of the best size needs {1 / details['compute_excess']:.2g} times the compute for this loss"
        )
    if "best_params" in details:
        reached = f"{details['best_loss_for_compute']:.4g}{cooled}"
        ways.append(f"the same compute on {amount(details['best_params'])} parameters reaches {reached}")
    told = "; ".join(ways)
    return f" {told[0].upper()}{told[1:]}." if told else ""
