"""What a model can do, as numbers that move smoothly: pass@k, and the mean log pass rate by compute."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from curvecast.laws.base import FloatArray, Law


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> FloatArray:
    r"""Chance that one of `k` samples is right, without bias, from `n` samples of which `c` were.

    .. math:: 1 - \binom{n-c}{k} \Big/ \binom{n}{k} = 1 - \prod_{i=n-c+1}^{n} (1 - k/i)

    By logarithms of factorials, so that neither large `n` nor small chances lose digits; ``1 - (1 - c/n)^k`` is biased.

    Args:
        n: samples drawn for a problem, an integer >= 1.
        c: those that passed, 0 to `n`; broadcasts with `n`.
        k: budget of samples, 1 to `n`.

    Returns:
        Probability [1], of the arguments' common shape.

    Raises:
        ValueError: if `c` is not within 0 and `n`, or `k` not within 1 and `n`.

    Example:
        >>> pass_at_k(200, [0, 1, 20, 200], 10).round(6).tolist()
        [0.0, 0.05, 0.660226, 1.0]

    Source: Chen et al. 2021 (Codex), arXiv:2107.03374, eq. 1.
    """
    n, c, k = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (n, c, k)))
    if not (np.all(c >= 0) and np.all(c <= n)):
        raise ValueError(f"`c` must lie between 0 and `n`: got c={c.min():g} to {c.max():g}, n={n.min():g} at least.")
    if not (np.all(k >= 1) and np.all(k <= n)):
        raise ValueError(
            f"`k` must lie between 1 and `n`: got k={k.min():g} to {k.max():g}, n={n.min():g} at least. "
            "Draw more samples, or ask for a smaller k."
        )
    enough = n - c >= k
    left = np.where(enough, n - c, k)
    log_none = _log_choose(left, k) - _log_choose(n, k)
    return np.asarray(np.where(enough, -np.expm1(log_none), 1.0) + 0.0)


def _log_choose(n: FloatArray, k: FloatArray) -> FloatArray:
    return np.asarray(-np.log1p(n) - betaln(n - k + 1, k + 1))


def minus_log_pass_rate(theta: ArrayLike, C: ArrayLike) -> FloatArray:
    r"""Mean of ``-log(pass rate)`` over a set of problems by training compute.

    .. math:: -E_P[\log \mathrm{pass}(C)] = a \, C^{-k}

    Args:
        theta: ``a`` [nats * C^k], ``k`` [1], both > 0.
        C: ``(T,)``: training compute, in any unit.

    Returns:
        ``(T,)`` [nats]; ``exp(-x)`` is the geometric mean of the pass rates.

    Example:
        >>> minus_log_pass_rate((2.0, 0.5), [1.0, 4.0, 16.0]).tolist()
        [2.0, 1.0, 0.5]

    Source: OpenAI 2023, GPT-4 technical report, arXiv:2303.08774, section 3.2.
    """
    a, k = np.asarray(theta, dtype=np.float64)
    return np.asarray(a * np.asarray(C, dtype=np.float64) ** -k)


def _gradient(theta: ArrayLike, C: ArrayLike) -> FloatArray:
    a, k = np.asarray(theta, dtype=np.float64)
    C = np.asarray(C, dtype=np.float64)
    power = C**-k
    return np.stack([power, -a * power * np.log(C)], axis=-1)


PASS_RATE = Law(
    name="GPT-4 pass rate",
    source="OpenAI 2023, arXiv:2303.08774, section 3.2",
    parameters=("a", "k"),
    loss=minus_log_pass_rate,
    gradient=_gradient,
    example=((0.8, 0.1), ((1e-6, 1e-3, 0.5),)),
)
