"""The run is past its compute-efficient point: a larger model would make better use of the compute."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.decisions.base import Finding, Reason, View, check_level
from curvecast.fit.grid import GAP, L_N, A

_REACH = 100.0  # times the steps done: how far S_eff is looked for, and where a run counts as converged
_QUANTILES = {"lower": 0.05, "median": 0.5, "upper": 0.95}


@dataclass(frozen=True, slots=True)
class ComputeEfficiency:
    """Fires when P(S > S_eff) is at least ``level``.

    At ``S_eff`` the power-law part of the loss stands ``1 + alpha_N/alpha_S`` (about 10 %) above this model's
    converged loss. The law gives the exponents, the run's own posterior both terms; annealing has no part in it.

    Source: Kaplan et al. 2020, arXiv:2001.08361, equations B.4 and B.5.
    """

    level: float = 0.95

    def __post_init__(self) -> None:
        check_level(self.level)

    def decide(self, view: View) -> Finding | None:
        """Compare ``alpha_N * N_term`` with ``alpha_S * S_term``; ``None`` where N is not known or it is early."""
        if view.num_params is None or view.is_early:
            return None
        now = float(probability_past(view, np.array([float(view.step)]))[0])
        details = {f"efficient_step_{name}": step for name, step in efficient_step(view).items()}
        details["compute_excess"] = compute_excess(view)
        if now < self.level:
            return Finding(Reason.COMPUTE_EFFICIENT_POINT_PASSED, now, False, details=details)
        rest, more = view.rest()
        message = self._message(view, now, details) + rest
        return Finding(Reason.COMPUTE_EFFICIENT_POINT_PASSED, now, True, message, details | more)

    @staticmethod
    def _message(view: View, probability: float, details: dict[str, float]) -> str:
        median, lower, upper = (details[f"efficient_step_{name}"] for name in ("median", "lower", "upper"))
        return (
            f"{view.where()} is past the compute-efficient point with probability {probability:.2f}: it lay at step "
            f"{median:.0f} [{lower:.0f}, {upper:.0f}], where the loss stands {view.law.efficient_ratio:.0%} above "
            f"what this model converges to. An optimally sized model needs {1 / details['compute_excess']:.0%} of "
            "the compute for this loss."
        )


def probability_past(view: View, step: FloatArray) -> FloatArray:
    """``(m,)`` probability that each of ``(m,)`` steps lies past ``S_eff``."""
    post, law = view.posterior, view.law
    x = post.power(step)  # the margin is alpha_N (L_N + gap - L_inf) - alpha_S A x: linear in the coefficients
    level = post.theta[L_N] + post.theta[GAP] * view.of_val - law.irreducible_loss / post.scale
    mean = law.alpha_N * level - law.alpha_S * post.theta[A] * x
    level_root = post.root[L_N] + post.root[GAP] * view.of_val
    spread = law.alpha_N * level_root[:, None] - law.alpha_S * x * post.root[A][:, None]
    # What still separates the run from its converged loss is doubted like any drop forecast over that distance,
    # and what the N-term gains by it the S-term loses.
    doubt = (law.alpha_N + law.alpha_S) * post.prior.drop_error * math.sqrt(math.log2(_REACH)) * post.theta[A]
    sd = np.sqrt(np.square(spread).sum(axis=0) + np.square(doubt)) + 1e-12
    return np.asarray(ndtr(mean / sd) @ post.weight)


def efficient_step(view: View) -> dict[str, float]:
    """Quantiles of ``S_eff`` [steps]; inf beyond 100 times the steps done."""
    log_step = np.linspace(np.log(max(view.step / 1000.0, 1.0)), np.log(_REACH * view.step), 120)
    past = np.maximum.accumulate(probability_past(view, np.exp(log_step)))
    return {
        name: float(np.exp(np.interp(q, past, log_step))) if q < past[-1] else float("inf")
        for name, q in _QUANTILES.items()
    }


def compute_excess(view: View) -> float:
    """Compute spent over the least compute that an optimally sized model needs for the same loss."""
    theta = view.posterior.theta @ view.posterior.weight
    irreducible = view.law.irreducible_loss / view.posterior.scale
    converged = float(theta[L_N] + theta[GAP] * view.of_val) - irreducible
    return float(view.law.compute_excess(max(converged, 1e-3), max(float(theta[A]), 1e-6)))
