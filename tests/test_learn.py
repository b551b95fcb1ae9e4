from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from curvecast import Prior, Schedule, Watcher, learn_prior
from curvecast.curve import FloatArray

STEPS = np.arange(1, 3001)


def finished(seed: int, *, alpha: float, decay: float, schedule: Schedule) -> SimpleNamespace:
    """A run whose decay brings ``decay`` of the dropped rate."""
    rng = np.random.default_rng(seed)
    lr = schedule.lr(STEPS)
    drop: FloatArray = decay * (1.0 - lr) * (STEPS > 100)
    loss = 2.0 + 3.0 * schedule.summed(STEPS) ** -alpha - drop + 0.01 * rng.standard_normal(len(STEPS))
    meta = {"schedule": schedule.to_dict()}
    nothing = np.full(len(STEPS), np.nan)
    return SimpleNamespace(steps=STEPS, train_loss=loss, val_loss=nothing, lr=nothing, meta=meta)


def cosine() -> Schedule:
    return Schedule.cosine(3000, warmup=50)


@pytest.mark.parametrize("alpha", [0.3, 0.8])
def test_the_exponent_of_a_teams_runs_is_learnt(alpha: float) -> None:
    runs = [finished(seed, alpha=alpha, decay=0.1, schedule=cosine()) for seed in range(4)]
    learnt = learn_prior(runs)
    assert np.exp(learnt.alpha_log_mean) == pytest.approx(alpha, rel=0.3)
    assert learnt.alpha_log_sd < Prior().alpha_log_sd


def test_what_a_decay_brings_is_learnt() -> None:
    weak, strong = (
        learn_prior([finished(seed, alpha=0.5, decay=decay, schedule=cosine()) for seed in range(4)])
        for decay in (0.02, 0.15)
    )
    assert strong.annealing[1][0] > 1.5 * weak.annealing[1][0]


def test_the_next_run_is_forecast_better() -> None:
    runs = [finished(seed, alpha=0.5, decay=0.25, schedule=cosine()) for seed in range(4)]
    fifth = finished(9, alpha=0.5, decay=0.25, schedule=cosine())
    truth = 2.0 + 3.0 * float(cosine().summed(3000)) ** -0.5 - 0.25
    errors = []
    for prior in (Prior(), learn_prior(runs)):
        watcher = Watcher(schedule=cosine(), prior=prior)
        for step, loss in zip(range(1, 1201), fifth.train_loss, strict=False):
            watcher.update(step, float(loss))
        errors.append(abs(float(watcher.forecast().median) - truth))
    assert errors[1] < 0.7 * errors[0]


def test_runs_without_a_decay_leave_its_prior_alone() -> None:
    constant = Schedule.constant(3000)
    learnt = learn_prior([finished(0, alpha=0.5, decay=0.0, schedule=constant)])
    speed, share = np.array(Prior().annealing).T
    assert np.log(learnt.annealing[1][0]) == pytest.approx(share @ np.log(speed))


def test_a_prior_of_one_speed_can_be_learnt_from() -> None:
    start = Prior(annealing=((1.0, 1.0),))
    assert len(learn_prior([finished(0, alpha=0.5, decay=0.1, schedule=cosine())], start=start).annealing) == 3


def test_no_run_that_teaches_is_refused() -> None:
    with pytest.raises(ValueError, match="`runs` must hold a finished run with at least 50 losses: got none"):
        learn_prior([])
