"""The multi-power law: the loss under any learning-rate schedule, from the LR of every step."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray, Law

_LEAST_LR = 1e-3
_CHUNK = 2_000_000  # entries of the (drops, steps) tables held at once: 16 MB


@dataclass(frozen=True, slots=True)
class MultiPower:
    """A parameter set of `multi_power_law`, in the order of its ``theta``.

    Args:
        L0: loss at S1 without end, before annealing [nats/token].
        A: factor of the power law [nats/token * LR^alpha].
        alpha: its exponent [1].
        B: nats/token that a drop of 1 in LR takes off in the end [nats/token / LR].
        C: rate of that, per ``LR^(1 - gamma)`` [LR^(gamma - 1)].
        beta: its exponent [1].
        gamma: how much faster drops at a low LR act [1].

    Example:
        >>> relative = MULTI_POWER_100M.rescaled(3e-4)
        >>> round(relative.B, 3), round(relative.C, 3)
        (0.131, 0.13)
    """

    L0: float
    A: float
    alpha: float
    B: float
    C: float
    beta: float
    gamma: float

    @property
    def theta(self) -> tuple[float, ...]:
        """The parameters as `multi_power_law` takes them."""
        return astuple(self)

    def rescaled(self, peak: float) -> MultiPower:
        """The same law for learning rates given in units of `peak`.

        Args:
            peak: what is to become 1 [present unit of LR].

        Raises:
            ValueError: if `peak` is not positive.
        """
        if not peak > 0:
            raise ValueError(f"`peak` must be positive: got {peak}. Pass the run's peak learning rate.")
        return MultiPower(
            self.L0,
            self.A * peak**-self.alpha,
            self.alpha,
            self.B * peak,
            self.C * peak ** (1 - self.gamma),
            self.beta,
            self.gamma,
        )


# Llama-like models of 25M, 100M and 400M parameters; peak LR 3e-4, LR in absolute units.
# Fitted on three schedules (cosine, constant, WSD with a constant tail), R2 0.998 to 0.999 on six others.
MULTI_POWER_25M = MultiPower(3.040, 0.525, 0.508, 363.788, 2.066, 0.583, 0.641)
MULTI_POWER_100M = MultiPower(2.651, 0.601, 0.453, 437.946, 2.132, 0.598, 0.655)
MULTI_POWER_400M = MultiPower(2.375, 0.654, 0.429, 523.425, 2.025, 0.594, 0.635)


def multi_power_law(theta: ArrayLike, lr: ArrayLike, steps: ArrayLike, *, S_W: float = 0.0) -> FloatArray:
    r"""Loss after each of `steps` under a learning rate given step by step.

    .. math:: L(t) = L_0 + A\,(S_1(t) + S_W)^{-\alpha} - LD(t)

    Args:
        theta: ``(7,)``: ``L0, A, alpha, B, C, beta, gamma``, in the units of `MultiPower`.
        lr: ``(n,)``: LR of each step after the warm-up, in the unit that `theta` is for.
        steps: ``(m,)``: steps after the warm-up, 1 to ``n`` [steps].
        S_W: summed LR of the warm-up [LR * steps].

    Returns:
        ``(m,)``: loss [nats/token].

    Raises:
        ValueError: if a step is out of range or an LR is negative.

    Example:
        >>> constant, half = np.full(24_000, 3e-4), np.repeat([3e-4, 1.5e-4], 12_000)
        >>> multi_power_law(MULTI_POWER_100M.theta, constant, [24_000]).round(3).tolist()
        [2.897]
        >>> multi_power_law(MULTI_POWER_100M.theta, half, [24_000]).round(3).tolist()
        [2.866]

    Source: Luo et al. 2025, arXiv:2503.12811 (ICLR 2025), the law and the authors' parameter sets.
    """
    L0, A, alpha, B = np.asarray(theta, dtype=np.float64)[:4]
    lr, t = _check(lr, steps)
    x = (np.cumsum(lr)[t - 1] + S_W) ** -alpha
    return np.asarray(L0 + A * x - B * _annealed(theta, lr, t).drop)


def multi_power_gradient(theta: ArrayLike, lr: ArrayLike, steps: ArrayLike, *, S_W: float = 0.0) -> FloatArray:
    """Derivative of `multi_power_law` by its seven parameters.

    Args:
        theta: as in `multi_power_law`.
        lr: as in `multi_power_law`.
        steps: as in `multi_power_law`.
        S_W: as in `multi_power_law`.

    Returns:
        ``(m, 7)`` [nats/token per unit of the parameter].

    Raises:
        ValueError: if a step is out of range or an LR is negative.

    Example:
        >>> multi_power_gradient(MULTI_POWER_100M.theta, [3e-4, 2e-4], [1, 2])[:, 0].tolist()
        [1.0, 1.0]
    """
    _, A, alpha, B = np.asarray(theta, dtype=np.float64)[:4]
    lr, t = _check(lr, steps)
    S = np.cumsum(lr)[t - 1] + S_W
    x = S**-alpha
    z = _annealed(theta, lr, t)
    columns = (
        np.ones_like(x),
        x,
        -A * x * np.log(S),
        -z.drop,
        -B * z.by_rate,
        -B * z.by_beta,
        -B * z.by_gamma,
    )
    return np.stack(columns, axis=-1)


def loss_drop(lr: ArrayLike, steps: ArrayLike, *, C: float, beta: float, gamma: float) -> FloatArray:
    r"""What annealing took off the loss so far, over its factor ``B``.

    .. math:: \frac{LD(t)}{B} = \sum_{k \le t} (\eta_{k-1} - \eta_k)\,G(\eta_k^{-\gamma} S_k(t)),
              \quad G(x) = 1 - (1 + C x)^{-\beta}, \quad S_k(t) = \sum_{\tau=k}^{t} \eta_\tau

    A rise of the LR counts negatively. ``eta_k`` is held at 0.001 of the largest LR where it is lower.
    Costs the number of changes of the LR times ``m``.

    Args:
        lr: ``(n,)``: LR of each step after the warm-up.
        steps: ``(m,)``: steps after the warm-up, 1 to ``n`` [steps].
        C: rate [LR^(gamma - 1)].
        beta: exponent [1].
        gamma: how much faster drops at a low LR act [1].

    Returns:
        ``(m,)`` [LR].

    Raises:
        ValueError: if a step is out of range or an LR is negative.

    Example:
        >>> loss_drop([1.0, 1.0, 0.5, 0.5], [1, 2, 3, 4], C=1.0, beta=1.0, gamma=0.0).round(3).tolist()
        [0.0, 0.0, 0.167, 0.25]

    Source: Luo et al. 2025, arXiv:2503.12811, the loss-reduction term LD.
    """
    lr, t = _check(lr, steps)
    return _annealed((0.0, 0.0, 0.0, 1.0, C, beta, gamma), lr, t).drop


class _Annealed(NamedTuple):
    """LD / B and its derivatives, each ``(m,)``."""

    drop: FloatArray
    by_rate: FloatArray
    by_beta: FloatArray
    by_gamma: FloatArray


def _annealed(theta: ArrayLike, lr: FloatArray, t: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> _Annealed:
    C, beta, gamma = np.asarray(theta, dtype=np.float64)[4:]
    S = np.cumsum(lr)
    before = np.flatnonzero(np.diff(lr))  # counted from 0: the last step at the old LR
    drop = lr[before] - lr[before + 1]
    log_eta = np.log(np.maximum(lr[before + 1], _LEAST_LR * lr.max()))
    sums = np.zeros((4, len(t)))
    width = max(1, _CHUNK // max(len(before), 1))
    for part in (slice(k, k + width) for k in range(0, len(t), width)):
        reached = before[:, None] + 2 <= t[part]
        x = np.exp(-gamma * log_eta)[:, None] * np.where(reached, S[t[part] - 1] - S[before][:, None], 0.0)
        log_base = np.log1p(C * x)
        left = np.exp(-beta * log_base)
        slope = beta * left / (1 + C * x) * x  # dG/dC
        sums[0, part] = drop @ -np.expm1(-beta * log_base)
        sums[1, part] = drop @ slope
        sums[2, part] = drop @ (left * log_base)
        sums[3, part] = -(drop * log_eta) @ (slope * C)
    return _Annealed(*sums)


def _check(lr: ArrayLike, steps: ArrayLike) -> tuple[FloatArray, np.ndarray[tuple[int, ...], np.dtype[np.intp]]]:
    lr = np.asarray(lr, dtype=np.float64)
    t = np.atleast_1d(np.asarray(steps, dtype=np.float64)).astype(np.intp)
    if lr.ndim != 1 or not np.all(lr >= 0):
        raise ValueError(f"`lr` must be one LR a step, none negative: got shape {lr.shape}, least {lr.min()}.")
    if np.any((t < 1) | (t > len(lr))):
        raise ValueError(f"`steps` must lie between 1 and {len(lr)}: got {t.min()} to {t.max()}.")
    return lr, t


MULTI_POWER_LAW = Law(
    name="multi-power law",
    source="Luo et al. 2025, arXiv:2503.12811",
    parameters=("L0", "A", "alpha", "B", "C", "beta", "gamma"),
    loss=multi_power_law,
    gradient=multi_power_gradient,
    example=(
        (2.65, 4.0, 0.45, 0.13, 0.13, 0.6, 0.65),
        (
            tuple(0.55 + 0.45 * float(np.cos(np.pi * k / 200)) for k in range(200)),
            (1.0, 2.0, 50.0, 120.0, 200.0),
        ),
    ),
)
