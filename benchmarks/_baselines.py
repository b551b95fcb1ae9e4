"""What people fit by hand, each with the interval that its fit gives: the covariance of J'J, and the residuals.

All get what helps them: samples of the warm-up are left out, starts are several and good, exponents and levels
are bounded, and a forecast that leaves the range of losses seen by far is brought back to its edge.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit, least_squares
from scipy.special import expit

from curvecast import Schedule
from curvecast.laws.annealing import annealing_gain
from curvecast.laws.momentum import momentum_terms
from curvecast.laws.multi_power import MULTI_POWER_100M

FloatArray = NDArray[np.float64]
Law = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]  # (theta, x) -> losses, and their slopes

LEAST = 6  # validation losses that a law can be fitted to; with fewer, the train loss stands in
_BURN_IN = 0.1  # of the steps seen: the start that fits on bins leave out (of 0, 2, 5 and 10 % the best for them)
_FEW = 5  # losses that "the last value" is the median of
_RECENT = 0.02  # or this share of all, where that is more
_ALPHAS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
_POWER_BOUNDS = [(0.0, np.inf), (0.0, np.inf), (0.01, 3.0)]
_EVALUATIONS = 100
_SHARPNESS = 0.005  # of the loss: where soft-L1 turns from square to absolute
_HUBER = 1e-3  # of the logarithm of the loss, as in the papers
_MOMENTUM = 0.999  # the paper's lambda
_DECAYED = 0.1  # of the peak rate: with less decay than that behind it, a run cannot tell what decay brings
_GAIN = MULTI_POWER_100M.rescaled(3e-4)
_WORTH = _GAIN.B / 3.0  # then it is held at what the authors found, 0.13 nats for a full decay at a loss of about 3


class Gaussian(NamedTuple):
    """A forecast as a fit by hand gives it."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a fit by hand sees of a run.

    Args:
        steps, losses: ``(n,)`` samples of the loss that is asked for, or of the train loss that stands in for it.
        bin_steps, bin_losses: ``(b,)`` the same in log-spaced bins.
        schedule: the plan.
        horizon: the step that is asked for.
        offset: what to add to the forecast: the last validation loss over the train loss there.
    """

    steps: FloatArray
    losses: FloatArray
    bin_steps: FloatArray
    bin_losses: FloatArray
    schedule: Schedule
    horizon: int
    offset: float = 0.0

    @property
    def now(self) -> float:
        return float(self.steps[-1])

    @property
    def level(self) -> float:
        """The median of the last few losses."""
        return float(np.median(self._last()))

    @property
    def spread(self) -> float:
        """Their standard deviation."""
        return float(np.std(self._last(), ddof=1)) if len(self.losses) > 1 else 0.1 * self.level

    def _last(self) -> FloatArray:
        return self.losses[-max(_FEW, round(_RECENT * len(self.losses))) :]

    def kept(self, steps: FloatArray, share: float = 0.0) -> NDArray[np.bool_]:
        """Which steps lie behind the warm-up and the first share of the steps; all where next to none would."""
        late = steps >= max(_warmup(self), share * self.now)
        return late if late.sum() >= LEAST else np.ones(len(steps), dtype=bool)


def last_value(seen: Seen) -> Gaussian:
    """The median of the last few losses, and their spread."""
    return Gaussian(seen.level, seen.spread)


def power_law_raw(seen: Seen) -> Gaussian:
    """``L + A s^-alpha`` by `scipy.optimize.curve_fit` on every sample."""
    kept = seen.kept(seen.steps)
    s, y = seen.steps[kept] / seen.now, seen.losses[kept]

    def law(s: FloatArray, L: float, A: float, alpha: float) -> FloatArray:
        return _power(np.array([L, A, alpha]), s[None])[0]

    def slopes(s: FloatArray, L: float, A: float, alpha: float) -> FloatArray:
        return _power(np.array([L, A, alpha]), s[None])[1]

    low, high = np.array(_POWER_BOUNDS).T
    start = _nearest(_power, s[None], y, _power_starts(s, y))
    theta, cov = curve_fit(law, s, y, np.clip(start, low, high), bounds=(low, high), jac=slopes)
    rest = float(np.sum((y - law(s, *theta)) ** 2)) / max(len(y) - 3, 1)
    mean, slope = _power(theta, np.array([[seen.horizon / seen.now]]))
    return Gaussian(float(mean[0]), math.sqrt(max(float(slope[0] @ cov @ slope[0]), 0.0) + rest))


def power_law_binned(seen: Seen) -> Gaussian:
    """The same law on log-spaced bins, by `scipy.optimize.least_squares` with soft-L1."""
    s, y, end = _binned(seen)
    return _solve(_power, s, y, end, _power_starts(s[0], y), _POWER_BOUNDS, loss="soft_l1")


def momentum_law(seen: Seen) -> Gaussian:
    """Tissue's law: ``L0 + A S1^-alpha - C S2``, Huber on the logarithm, on bins."""
    S1, S2 = momentum_terms(seen.schedule.lr(np.arange(1, seen.horizon + 1)), decay=_MOMENTUM, warmup=_warmup(seen))

    def features(steps: FloatArray) -> FloatArray:
        at = np.clip(np.round(steps).astype(np.intp) - 1, 0, seen.horizon - 1)
        return np.stack([S1[at], S2[at] * (1.0 - _MOMENTUM)])

    return _annealed(seen, features)


def multi_power_law(seen: Seen) -> Gaussian:
    """The multi-power law with its shape at the published values: ``L0``, ``A``, ``alpha``, ``B`` are fitted."""

    def features(steps: FloatArray) -> FloatArray:
        gain = annealing_gain(seen.schedule, steps, beta=_GAIN.beta, C=_GAIN.C, gamma=_GAIN.gamma)
        return np.stack([seen.schedule.summed(steps), gain])

    return _annealed(seen, features)


def broken_power_law(seen: Seen) -> Gaussian:
    """One smooth break: ``a + b s^-c0 (1 + (s / d)^(1 / f))^(-c1 f)`` (BNSL), on bins, on the logarithm."""
    s, y, end = _binned(seen)
    if len(y) < 9:
        return power_law_binned(seen)  # six numbers need more than six points
    first = math.log(s[0, 0])
    rest = [(c0, b * first, 0.3, c1) for c0 in (0.1, 0.4, 0.8) for b in (0.7, 0.4, 0.15) for c1 in (-0.3, 0.0, 0.5)]
    starts = [_linear(_broken(np.array([0.0, 1.0, *theta]), s)[0], y, theta) for theta in rest]
    bounds = [(0.0, np.inf), (0.0, np.inf), (0.0, 3.0), (first, 0.7), (0.02, 3.0), (-3.0, 3.0)]
    return _solve(_broken, s, y, end, starts, bounds, loss="huber", in_logs=True, tries=2, most=30)


BASELINES: dict[str, Callable[[Seen], Gaussian]] = {
    "last value": last_value,
    "power law, curve_fit": power_law_raw,
    "power law, bins, soft-L1": power_law_binned,
    "momentum law": momentum_law,
    "multi-power law": multi_power_law,
    "broken power law": broken_power_law,
}


def by_hand(name: str, seen: Seen) -> Gaussian:
    """The forecast of a baseline; of the last value where its fit fails."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            mean, sd = BASELINES[name](seen)
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        mean, sd = last_value(seen)
    mean = mean if math.isfinite(mean) else seen.level
    size = abs(seen.level)
    sd = sd if math.isfinite(sd) else 0.5 * size
    least, most = float(np.min(seen.losses)), float(np.max(seen.losses))
    sd = min(max(sd, 1e-6 * size), 0.5 * size)
    floor = 0.0 if least >= 0.0 else -math.inf  # what was below zero may fall further
    return Gaussian(min(max(mean, floor), most) + seen.offset, sd)


def _power(theta: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
    L, A, alpha = theta
    x = s[0] ** -alpha
    return L + A * x, np.stack([np.ones_like(x), x, -A * x * np.log(s[0])], axis=-1)


def _power_starts(s: FloatArray, y: FloatArray) -> list[FloatArray]:
    return [_linear(s**-alpha, y, (alpha,)) for alpha in _ALPHAS]


def _broken(theta: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
    a, b, c0, log_d, f, c1 = theta
    log_s = np.log(s[0])
    u = (log_s - log_d) / f
    soft, share = np.logaddexp(0.0, u), expit(u)
    g = np.exp(-c0 * log_s - c1 * f * soft)
    by = (-log_s, c1 * share, c1 * (share * u - soft), -f * soft)
    return a + b * g, np.stack([np.ones_like(g), g, *(b * g * slope for slope in by)], axis=-1)


def _annealed(seen: Seen, features: Callable[[FloatArray], FloatArray]) -> Gaussian:
    """``L0 + A x^-alpha - B z`` of two features, the summed rate and the share of a decay's gain."""
    kept = seen.kept(seen.bin_steps, _BURN_IN)
    y = seen.bin_losses[kept]
    x, end = features(seen.bin_steps[kept]), features(np.array([float(seen.horizon)]))
    unit = np.array([[x[0, -1]], [1.0]])
    decayed = 1.0 - float(seen.schedule.lr(seen.now)) / max(seen.schedule.knot_lrs)
    is_free = decayed >= _DECAYED and len(y) > 5

    worth = _WORTH * seen.level

    def law(theta: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, slopes = _power(theta[:3], x)
        gain = theta[3] if is_free else worth
        return values - gain * x[1], np.append(slopes, -x[1][:, None], axis=1)[:, : len(theta)]

    x, end = x / unit, end / unit
    starts = [_linear(x[0] ** -a, y + worth * x[1], (a, worth)[: 1 + is_free]) for a in _ALPHAS]
    bounds = [*_POWER_BOUNDS, (0.0, 10.0 * worth)][: 3 + is_free]
    return _solve(law, x, y, end, starts, bounds, loss="huber", in_logs=True)


def _solve(
    law: Law,
    x: FloatArray,
    y: FloatArray,
    end: FloatArray,
    starts: list[FloatArray],
    bounds: list[tuple[float, float]],
    *,
    loss: Literal["soft_l1", "huber"],
    in_logs: bool = False,
    tries: int = 1,
    most: int = _EVALUATIONS,
) -> Gaussian:
    """The best of several fits, and its Gaussian at the end."""
    inner = _logged(law) if in_logs else _scaled(law, float(np.abs(y[-1])))
    target = np.log(y) if in_logs else y / float(np.abs(y[-1]))
    low, high = np.array(bounds).T
    inside = [np.clip(start, low + 1e-9, high - 1e-9) for start in starts]
    inside.sort(key=lambda start: float(np.sum(np.abs(inner(start, x)[0] - target))))

    def miss(theta: FloatArray) -> FloatArray:
        return inner(theta, x)[0] - target

    def slopes(theta: FloatArray) -> FloatArray:
        return inner(theta, x)[1]

    sharpness = _HUBER if in_logs else _SHARPNESS
    settings: dict[str, Any] = {"loss": loss, "f_scale": sharpness, "x_scale": "jac", "max_nfev": most}
    fits = [least_squares(miss, start, jac=slopes, bounds=(low, high), **settings) for start in inside[:tries]]
    best = min(fits, key=lambda fit: float(fit.cost))
    slope = inner(best.x, end)[1]
    rest = miss(best.x)
    jac: FloatArray = np.asarray(best.jac, dtype=np.float64)
    free = max(len(y) - len(best.x), 1)
    cov = np.linalg.pinv(jac.T @ jac) * (2.0 * float(best.cost) / free)
    sd = math.sqrt(max(float(slope[0] @ cov @ slope[0]), 0.0) + float(rest @ rest) / free)
    end_loss = float(law(best.x, end)[0][0])
    return Gaussian(end_loss, sd * (abs(end_loss) if in_logs else float(np.abs(y[-1]))))


def _logged(law: Law) -> Law:
    """The logarithm of a law."""

    def inner(theta: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, slopes = law(theta, x)
        values = np.maximum(values, 1e-9)
        return np.log(values), slopes / values[:, None]

    return inner


def _scaled(law: Law, unit: float) -> Law:
    """A law in units of a loss."""

    def inner(theta: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, slopes = law(theta, x)
        return values / unit, slopes / unit

    return inner


def _linear(shape: FloatArray, y: FloatArray, rest: tuple[float, ...]) -> FloatArray:
    """Level and factor of a shape by least squares, neither negative, with the other numbers behind."""
    centred = shape - shape.mean()
    A = max(float(centred @ (y - y.mean())) / max(float(centred @ centred), 1e-30), 0.0)
    L = float(y.mean() - A * shape.mean())
    if L < 0.0:
        L, A = 0.0, float(shape @ y) / max(float(shape @ shape), 1e-30)
    return np.array([L, A, *rest])


def _nearest(law: Law, x: FloatArray, y: FloatArray, starts: list[FloatArray]) -> FloatArray:
    return min(starts, key=lambda theta: float(np.sum((law(theta, x)[0] - y) ** 2)))


def _binned(seen: Seen) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Steps ``(1, b)`` and losses of the bins after the warm-up, and the horizon; in units of the present step."""
    kept = seen.kept(seen.bin_steps, _BURN_IN)
    return seen.bin_steps[None, kept] / seen.now, seen.bin_losses[kept], np.array([[seen.horizon / seen.now]])


def _warmup(seen: Seen) -> int:
    knots, rates = seen.schedule.knots
    return int(knots[int(np.argmax(rates >= 0.999 * rates.max()))])
