"""Simulated runs: curves drawn from the model itself, for tests of what builds on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.design import EARLY_WANDER
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.tables import L_N, LOWEST, G
from curvecast.schedule import Schedule


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """A run up to ``now``, and the noise-free losses at its horizon.

    Args:
        steps: ``(n,)`` 1..now [steps].
        train_loss: ``(n,)`` noisy train loss.
        val_loss: ``(n,)`` validation loss where one was made, else NaN.
        final_train, final_val: What the forecast is measured against.
        schedule: The plan.
    """

    steps: FloatArray
    train_loss: FloatArray
    val_loss: FloatArray
    final_train: float
    final_val: float
    schedule: Schedule


def simulate(
    seed: int,
    *,
    now: int = 800,
    horizon: int = 3000,
    schedule: Schedule | None = None,
    noise: float = 0.02,
    val_every: int = 25,
    scale: float = 3.0,
    prior: Prior | None = None,
) -> SimulatedRun:
    """Draw a run from the prior: shapes, coefficients, wander and noise.

    Args:
        seed: Seed of the draw.
        now: Steps that are seen [steps].
        horizon: Planned steps [steps].
        schedule: The plan; a cosine with warm-up by default.
        noise: Standard deviation of one train loss, relative; validation has a tenth of it.
        val_every: Steps between validations.
        scale: Loss where the run stands [loss unit].
        prior: Where to draw from; ``None`` for the shipped one.

    Example:
        >>> run = simulate(0)
        >>> len(run.steps), run.final_val > 0
        (800, True)
    """
    rng = np.random.default_rng(seed)
    prior = prior or Prior()
    schedule = schedule or Schedule.cosine(horizon, warmup=horizon // 50, floor=0.1)
    steps = np.arange(1.0, now + 1.0)
    law, window = _draw_law(rng, prior, Timeline(schedule, prior.annealing_shape), scale, float(now))
    path = law.theta[:, 0] @ law.columns(steps, val=False)[:, 1:, 0]
    wander = _wander(rng, steps, law, window, np.maximum(path - path[-1], 0.0))
    at_end = np.array([float(horizon)])
    fails = rng.standard_normal()
    ahead = law.drift[0] * np.sqrt(np.log(horizon / now)) * rng.standard_normal()
    sudden = rng.random() < float(prior.sudden_drop(float(now), at_end)[0])
    lost = (prior.sudden_size + prior.sudden_sd * rng.standard_normal()) * sudden
    curves, finals = [], []
    for of_val in (False, True):
        curves.append(law.theta[:, 0] @ law.columns(steps, val=of_val)[:, 1:, 0] + wander)
        columns = law.columns(at_end, val=of_val)
        loss = np.add.reduce(columns * law.theta[:, None])
        slip = law.slip(loss, columns[G], law.theta[G], law.drop_error, law.ahead(at_end))
        finals.append(float(scale * (loss[1, 0] + fails * slip[0, 0] + ahead - lost)))
    train = scale * (curves[0] + noise * rng.standard_normal(now))
    val = scale * (curves[1] + 0.1 * noise * rng.standard_normal(now))
    return SimulatedRun(steps, train, np.where(steps % val_every == 0, val, np.nan), finals[0], finals[1], schedule)


def _draw_law(
    rng: np.random.Generator, prior: Prior, timeline: Timeline, scale: float, now: float
) -> tuple[Posterior, float]:
    """One shape with known coefficients, and the start of its window."""
    window = float(rng.choice(prior.window))
    offset = float(rng.choice(prior.offset))
    share = float(rng.choice(prior.annealing_shares(), p=prior.share_weights()))
    alpha = float(np.exp(prior.alpha_log_mean + prior.alpha_log_sd * rng.standard_normal()))
    shift = offset * window if offset < 0 else offset
    gap, reducible = _draw_levels(rng, prior)
    rate = int(rng.integers(len(prior.annealing_shape)))
    share /= 1.0 - share * float(timeline.gain(np.array([now]))[rate, 0])
    decay = share + _tied(prior, timeline, now, share, alpha, shift) * reducible
    turns_up = rng.random() > prior.growth
    decay += prior.annealing_sd * rng.standard_normal()
    growth = abs(prior.growth_sd * rng.standard_normal()) if turns_up else 0.0
    law = Posterior(
        weight=np.ones(1),
        theta=np.array([0.0, gap, decay, growth, reducible])[:, None],
        root=np.zeros((5, 5, 1)),
        alpha=np.array([alpha]),
        offset=np.array([shift]),
        floor=np.array([LOWEST * max(window, 1e-3)]),
        rate=np.array([rate]),
        onset=np.array([float(rng.choice(prior.onset)) if turns_up else np.inf]),
        drift=np.array([float(rng.choice(prior.drift))]),
        drop_error=np.array([prior.outlier_error if rng.random() < prior.outlier else prior.drop_error]),
        scale=scale,
        now=now,
        timeline=timeline,
        prior=prior,
    )
    here = law.columns(np.empty(0), val=True)[:, 0, 0]
    law.theta[L_N, 0] = 1.0 - float(here @ law.theta[:, 0])  # the unit of the losses is the one where the run stands
    return law, window


def _tied(prior: Prior, timeline: Timeline, now: float, share: float, alpha: float, shift: float) -> float:
    """What a decay is worth beyond its share, for each unit of ``A``: of the loss and its slope at the horizon."""
    end = float(timeline.time(np.array([timeline.end]))[0] / timeline.time(np.array([now]))[0])
    x = ((end + shift) / (1.0 + shift)) ** -alpha
    return float(prior.annealing_speed * alpha * end / (end + shift) * x - share * (1.0 - x))


def _draw_levels(rng: np.random.Generator, prior: Prior) -> tuple[float, float]:
    """The gap and ``A``, given that with ``L_N``, of which the prior has its own view, they make the loss of 1."""
    spread = np.diag(np.square([prior.gap_sd, prior.reducible_sd]))
    pull = spread.sum(axis=1) / (spread.sum() + prior.converged_sd**2)
    mean = np.array([0.0, prior.reducible]) + pull * (1.0 - prior.converged - prior.reducible)
    reducible = -1.0
    while reducible < 0.0:
        gap, reducible = rng.multivariate_normal(mean, spread - np.outer(pull, spread.sum(axis=0))).tolist()
    return gap, reducible


def _wander(
    rng: np.random.Generator, steps: FloatArray, law: Posterior, window: float, excess: FloatArray
) -> FloatArray:
    """A random walk on the log clock, zero at the last step, wild before the window."""
    u = law.timeline.time(steps) / float(law.timeline.time(steps[-1:])[0])
    drift = law.drift[0] * (1.0 + law.prior.drift_growth * excess)
    rate = np.where(u < window, np.maximum(EARLY_WANDER, drift), drift)[:-1]
    jumps = rate * np.sqrt(np.diff(np.log(steps))) * rng.standard_normal(len(steps) - 1)
    return np.append(np.cumsum(jumps[::-1])[::-1], 0.0)
