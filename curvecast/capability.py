"""What a larger model will be able to do, from numbers that move smoothly.

A pass rate jumps from nothing to something, and looks as if an ability had emerged; the mean of ``-log(pass rate)``
over the same problems falls as a power of compute all the while (the GPT-4 report foretold GPT-4's from runs of
a thousandth of the compute).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma

from curvecast.forecast import Forecast, Interval
from curvecast.laws.base import FloatArray
from curvecast.laws.capability import minus_log_pass_rate, pass_at_k

__all__ = ["PassRate", "fit_pass_rate", "minus_log_pass", "minus_log_pass_rate", "pass_at_k"]


_LEAST_SD = 1e-9
_MOST_UNSURE = 12.0  # times the scatter that was seen: three models leave it open by that factor, once in twenty times


def minus_log_pass(n: ArrayLike, c: ArrayLike) -> FloatArray:
    r"""``-log(pass rate)`` of a problem from `n` samples of which `c` passed: continuous, and finite where none did.

    .. math:: H_n - H_c = \sum_{j=1}^{n} \frac1j \binom{n-c}{j} \Big/ \binom{n}{j}

    Each term is the unbiased estimate of ``(1-p)^j / j``, whose sum over all j is ``-log p``: so it is without bias
    but for the terms beyond `n`, which matter where p is below about 1/n. ``-log(c/n)`` is biased, and infinite at
    c = 0.

    Args:
        n: samples drawn for the problem, >= 1.
        c: those that passed, 0 to `n`; broadcasts with `n`.

    Returns:
        [nats], of the arguments' common shape.

    Raises:
        ValueError: if `c` is not within 0 and `n`.

    Example:
        >>> minus_log_pass(100, [0, 1, 50, 100]).round(3).tolist()
        [5.187, 4.187, 0.688, 0.0]

    Source: derived here from the unbiased pass@k of Chen et al. 2021, arXiv:2107.03374.
    """
    n, c = np.broadcast_arrays(np.asarray(n, dtype=np.float64), np.asarray(c, dtype=np.float64))
    if not (np.all(n >= 1) and np.all(c >= 0) and np.all(c <= n)):
        raise ValueError(f"`c` must lie between 0 and `n`, and `n` be at least 1: got c={c.max():g}, n={n.min():g}.")
    return np.asarray(digamma(n + 1) - digamma(c + 1))


@dataclass(frozen=True, slots=True, eq=False)
class PassRate:
    """The law ``-E[log pass] = a C^-k`` of a family of models.

    Args:
        a, k: its parameters; `a` at compute 1 in the unit of the fit.
        draws: ``(M, 2)`` log a and k of the bootstraps over problems, moved as models scatter about the law.
        scatter: standard deviation of models about the law, in log [1].
        problems: how many took part.
        left_out: problems that some model never solved.

    Example:
        >>> law = PassRate(0.6, 0.12, np.log([[0.6, np.exp(0.12)]]), 0.0, 20, 3)
        >>> print(f"{law.predict(1e-2).median:.3f} nats, {law.pass_rate(1e-2).lower:.2f} of the samples")
        1.043 nats, 0.35 of the samples
    """

    a: float
    k: float
    draws: FloatArray
    scatter: float
    problems: int
    left_out: int

    def predict(self, flops: float) -> Forecast:
        """Forecast of the mean ``-log(pass rate)`` at a compute.

        Args:
            flops: in the unit of the fit.

        Returns:
            The forecast [nats]; its ``step`` is the compute.

        Raises:
            ValueError: if `flops` is not positive.
        """
        if not flops > 0:
            raise ValueError(f"`flops` must be positive: got {flops}.")
        means = np.exp(self.draws[:, :1] - self.draws[:, 1:] * np.log(flops))
        stds = np.maximum(means * self.scatter, _LEAST_SD)
        return Forecast(float(flops), "val", np.full(means.shape, 1 / len(means)), means, stds)

    def pass_rate(self, flops: float, level: float = 0.9) -> Interval:
        """Interval of the geometric mean of the pass rates at a compute.

        Args:
            flops: in the unit of the fit.
            level: probability that the truth lies inside.
        """
        inside = self.predict(flops).interval(level)
        return Interval(float(np.exp(-inside.upper)), float(np.exp(-inside.lower)), level)


def fit_pass_rate(
    flops: ArrayLike, passed: ArrayLike, samples: ArrayLike, *, bootstraps: int = 400, seed: int = 0
) -> PassRate:
    """Fit the law of pass rates to models of several computes on one set of problems.

    As in the report, only problems that every model solved at least once take part.

    Args:
        flops: ``(M,)`` training compute of each model, in any one unit.
        passed: ``(M, P)`` samples that passed, for each model and problem.
        samples: samples drawn: a number, ``(M, 1)`` or ``(M, P)``.
        bootstraps: over problems.
        seed: of the bootstraps.

    Returns:
        The law, with its doubts.

    Raises:
        ValueError: if there are fewer than three models, shapes do not fit, or no problem was solved by all.

    Example:
        >>> C = np.array([1e-5, 1e-4, 1e-3])
        >>> rates = np.exp(-minus_log_pass_rate((0.6, 0.12), C))[:, None]
        >>> law = fit_pass_rate(C, np.round(1e6 * rates * np.ones((3, 20))), 1e6)
        >>> print(f"{law.a:.2f} C^-{law.k:.2f}, at full compute {np.exp(-law.predict(1.0).median):.2f}")
        0.60 C^-0.12, at full compute 0.55

    Source: OpenAI 2023, GPT-4 technical report, arXiv:2303.08774, section 3.2.
    """
    C, c = np.asarray(flops, dtype=np.float64), np.asarray(passed, dtype=np.float64)
    if C.ndim != 1 or c.ndim != 2 or len(c) != len(C) or len(np.unique(C)) < 3:
        raise ValueError(
            "`flops` must name at least three computes, and `passed` have a row for each: "
            f"got {C.shape} and {c.shape}. Evaluate a third model."
        )
    solved = (c > 0).all(axis=0)
    if not solved.any():
        raise ValueError(
            "No problem was solved by every model: got 0. Draw more samples, or leave out the smallest model."
        )
    loss = minus_log_pass(np.broadcast_to(np.asarray(samples, dtype=np.float64), c.shape), c)[:, solved]
    rng = np.random.default_rng(seed)
    weight = rng.standard_exponential((bootstraps, loss.shape[1]))
    means = np.vstack([loss.mean(axis=1)[None], weight @ loss.T / weight.sum(axis=1, keepdims=True)])
    if not (means > 0).all():
        raise ValueError("Every sample of a model passed: its loss is 0, and no power law holds there. Leave it out.")
    x = np.log(C)
    away = x - x.mean()
    y = np.log(means)
    slope = y @ away / (away @ away)
    level = y.mean(axis=1) - slope * x.mean()
    off = y[0] - level[0] - slope[0] * x
    scatter = float(np.sqrt(off @ off / max(len(x) - 2, 1)))
    shift, tilt = _of_other_models(x, scatter, len(y), rng)
    draws = np.stack([level + shift - tilt * x.mean(), -slope - tilt], axis=1)
    return PassRate(
        float(np.exp(level[0])),
        float(-slope[0]),
        draws[1:] if bootstraps else np.array([[level[0], -slope[0]]]),
        scatter,
        int(solved.sum()),
        int((~solved).sum()),
    )


def _of_other_models(
    x: FloatArray, scatter: float, count: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """By how much lines through other models would lie higher at the mean, and be steeper: ``(count,)`` each.

    Beyond the models that is most of the doubt.
    """
    away = x - x.mean()
    freedom = max(len(x) - 2, 1)  # the scatter of few models is known little itself
    spread = scatter * np.minimum(np.sqrt(freedom / rng.chisquare(freedom, count)), _MOST_UNSURE)
    tilt = spread * rng.standard_normal(count) / np.sqrt(away @ away)
    return spread * rng.standard_normal(count) / np.sqrt(len(x)), tilt
