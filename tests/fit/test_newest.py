"""Train losses since a verdict was due are heard after the fit of then, which serves until the next one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curvecast import Forecast, Sample, Watcher
from curvecast.curve import NO_BINS, Series, Since
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_under
from curvecast.fit.fitting import fit
from curvecast.fit.newest import Fitted, Newest, Todo, heard, todo
from curvecast.fit.observed import LEAST_NOISE
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.tables import GAP, L_N, A, B
from curvecast.judge import fit_together
from curvecast.schedule import Schedule

PRIOR = Prior().for_size(None)
PLAN = Schedule.cosine(2000, warmup=20)
CLOCK = Timeline(PLAN, PRIOR.annealing_shape)
NOTHING = Since(0, 0.0, 0.0)


def losses(count: int, *, jump: float = 0.0, noise: float = 0.02) -> list[float]:
    """Of a noisy power law, which may leave its level over its last 20 steps."""
    steps = np.arange(1.0, count + 1.0)
    drawn = 2.0 + 3.0 * steps**-0.4 + noise * np.random.default_rng(0).standard_normal(count)
    return [float(each) for each in drawn + jump * (steps > count - 20)]


def run(count: int, *, every: int = 1, wait: int = 30, clock: Timeline = CLOCK, jump: float = 0.0) -> Todo:
    """What there is to fit of a run of so many steps, every so many of which are logged, some steps after a verdict."""
    train = Series()
    for step, loss in enumerate(losses(count, jump=jump), 1):
        if step % every == 0:
            train.add(step, loss)
        if step == count - wait:
            mark = train.mark()
    whole = Job(train.bins(), NO_BINS, clock, PRIOR, False, float(train.last_step))
    then = whole._replace(train=train.at(mark), now=float(mark.last_step))
    return todo(whole, then, (train.since(mark), NOTHING))


@pytest.fixture(scope="module")
def before() -> Posterior:
    return Fitted.of(run(1300, wait=60).first).posterior


@pytest.fixture(scope="module")
def with_val() -> Posterior:
    train, val = Series(), Series()
    for step, loss in enumerate(losses(1240), 1):
        train.add(step, loss)
        if step % 20 == 0:
            val.add(step, loss + 0.05)
    return fit(train.bins(), val.bins(), CLOCK, PRIOR, of_val=True, now=1240.0)


def test_of_a_decay_under_way_it_is_heard_as_by_the_formulas_of_a_kalman_filter(before: Posterior) -> None:
    newest, now = Newest(1290.0, 2.19, 0.02**2 / 8.0), 1300.0
    after = heard(before, [newest], now)
    assert after is not None
    clock, gain = CLOCK.at(np.array([before.now, newest.step]))
    for k in range(len(before.weight)):
        column = np.zeros(5)
        base = max(clock[1] / clock[0] + before.offset[k], before.floor[k]) / (1.0 + before.offset[k])
        column[[L_N, B, A]] = 1.0, -gain[before.rate[k], 1], base ** -before.alpha[k]
        covariance = before.root[:, :, k] @ before.root[:, :, k].T
        covariance[L_N, L_N] += before.drift[k] ** 2 * np.log(now / before.now)
        noise = newest.variance / before.scale**2 + LEAST_NOISE**2 + before.drift[k] ** 2 * np.log(1300.0 / 1290.0)
        gained = covariance @ column / (column @ covariance @ column + noise)
        theta = before.theta[:, k] + gained * (newest.loss / before.scale - column @ before.theta[:, k])
        covariance = covariance - np.outer(gained, column @ covariance)
        times = np.ones(5)
        times[A] = after.theta[A, k] / theta[A]
        assert after.theta[:, k] == pytest.approx(times * theta, rel=1e-9)
        assert after.root[:, :, k] @ after.root[:, :, k].T == pytest.approx(
            np.outer(times, times) * covariance, abs=1e-9
        )


def test_two_losses_are_heard_as_one_pair_whose_wander_since_the_later_is_in_both(with_val: Posterior) -> None:
    train, val, now = Newest(1290.0, 2.19, 0.02**2 / 8.0), Newest(1280.0, 2.26, 1e-4, val=True), 1300.0
    after = heard(with_val, [val, train], now)
    assert after is not None
    clock, gain = CLOCK.at(np.array([with_val.now, val.step, train.step]))
    seen = np.array([val.loss, train.loss]) / with_val.scale
    noises = np.array([val.variance, train.variance]) / with_val.scale**2 + LEAST_NOISE**2
    for k in range(len(with_val.weight)):
        columns = np.zeros((2, 5))
        base = np.maximum(clock[1:] / clock[0] + with_val.offset[k], with_val.floor[k]) / (1.0 + with_val.offset[k])
        columns[:, L_N], columns[:, A], columns[0, GAP] = 1.0, base ** -with_val.alpha[k], 1.0
        columns[:, B] = -gain[with_val.rate[k], 1:]
        walk = with_val.drift[k] ** 2
        covariance = with_val.root[:, :, k] @ with_val.root[:, :, k].T
        covariance[L_N, L_N] += walk * np.log(now / with_val.now)
        away = np.log(now / np.array([[val.step, train.step], [train.step, train.step]]))
        error = columns @ covariance @ columns.T + np.diag(noises) + walk * away
        gained = covariance @ columns.T @ np.linalg.inv(error)
        theta = with_val.theta[:, k] + gained @ (seen - columns @ with_val.theta[:, k])
        times = np.ones(5)
        times[A] = after.theta[A, k] / theta[A]
        assert after.theta[:, k] == pytest.approx(times * theta, rel=1e-7)
        covariance = np.outer(times, times) * (covariance - gained @ columns @ covariance)
        assert after.root[:, :, k] @ after.root[:, :, k].T == pytest.approx(covariance, abs=1e-9)


def test_losses_that_tell_nothing_leave_every_forecast_as_it_was(before: Posterior) -> None:
    """The law is told anew from where the run stands, and foretells the same from there."""
    certain = replace(before, drop_error=0.0 * before.drop_error)
    after = heard(certain, [Newest(1290.0, 2.2, 1e30)], 1300.0)
    assert after is not None
    assert after.now == 1300.0
    steps = np.array([1300.0, 1500.0, 2000.0])
    for told, known in zip(after.moments(steps, val=False), certain.moments(steps, val=False), strict=True):
        assert told == pytest.approx(known, rel=1e-5)


@pytest.mark.parametrize(
    ("told", "apart"),
    [
        ({}, True),
        ({"every": 10}, False),
        ({"wait": 0}, False),
        ({"wait": 500}, False),
    ],
)
def test_few_losses_of_many_are_heard_apart_where_the_fit_can_be_kept(told: Any, apart: bool) -> None:
    found = run(1300, **told)
    assert bool(found.newest) is apart
    assert (found.first is found.whole) is not apart


def test_losses_that_are_news_have_all_fitted_anew() -> None:
    """The shapes that were drawn without them do not hold those that they ask for."""
    jumped = run(1300, jump=1.0)
    fitted, posterior = Fitted.of(jumped.first).then(jumped)
    assert jumped.newest
    assert fitted.job is jumped.whole
    assert posterior.now == 1300.0


def median(forecast: Forecast) -> list[float]:
    return [float(forecast.median), *map(float, forecast.interval(0.9))]


STAIRS = Schedule([1, 1250, 1251, 2000], [1.0, 1.0, 0.1, 0.1])
KINDS: dict[str, dict[str, Any]] = {
    "a plan": {"schedule": PLAN},
    "an end": {"horizon": 2000},
    "no end": {},
}


@pytest.mark.parametrize(("jump", "every"), [(0.0, 250), (0.0, 20), (1.0, 20)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rates", [PLAN, STAIRS, None], ids=["cosine", "stairs", "no rate"])
def test_a_run_that_is_asked_at_every_step_says_what_one_says_that_is_resumed_or_read_at_once(
    jump: float, every: int, kind: str, rates: Schedule | None
) -> None:
    live = Watcher(**KINDS[kind])
    samples = [
        Sample(
            k, loss, val_loss=loss + 0.05 if k % every == 0 else None, lr=None if rates is None else 3e-4 * rates.lr(k)
        )
        for k, loss in enumerate(losses(1300, jump=jump), 1)
    ]
    for step, sample in enumerate(samples, 1):
        live.take(sample)
        if step < 1240 or step % 11:
            continue
        resumed, together, once = (Watcher(**KINDS[kind]) for _ in range(3))
        resumed.load_state_dict(live.state_dict())
        together.load_state_dict(live.state_dict())
        fit_together([together.judge])
        once.skim(samples[:step])
        for other in (resumed, together, once):
            assert median(other.forecast()) == pytest.approx(median(live.forecast()), rel=1e-9)


def counted_fits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Where the run stood at each fit from now on."""
    fits: list[float] = []

    def counted(*data: Any, now: float, **options: Any) -> Posterior:
        fits.append(now)
        return fit(*data, now=now, **options)

    monkeypatch.setattr("curvecast.fit.newest.fit", counted)
    return fits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [2000, 10])
def test_a_run_that_is_asked_at_every_step_is_fitted_once_a_verdict(
    monkeypatch: pytest.MonkeyPatch, kind: str, every: int
) -> None:
    watcher, rates = Watcher(num_params=1e8, **KINDS[kind]), (0.8 + 0.2 * PLAN.lr(np.arange(1, 1301))).tolist()
    fits: list[float] = []
    for step, loss in enumerate(losses(1300), 1):
        watcher.update(step, loss, loss + 0.05 if step % every == 0 else None, lr=rates[step - 1])
        if step == 1100:
            fits = counted_fits(monkeypatch)
        if step > 1100:
            watcher.forecast()
    due = [1151.0, 1209.0, 1270.0] if every > 1300 else [1130.0, 1180.0, 1230.0, 1280.0]
    assert fits == due  # they ask themselves


def test_decays_of_which_nobody_tells_are_fitted_once_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what came since is heard under each, but for one that has only just begun."""
    fits: list[float] = []

    def counted(job: Job, timelines: Sequence[Timeline]) -> list[Posterior]:
        fits.append(job.now)
        return fit_under(job, timelines)

    monkeypatch.setattr("curvecast.fit.under_way.fit_under", counted)
    watcher = Watcher(horizon=2000, num_params=1e8)
    for step, loss in enumerate(losses(1300), 1):
        watcher.update(step, loss)
        if step > 1100:
            view = watcher.judge.view()
            assert view.under_way is not None
            assert [each.now for each, _ in view.under_way.weighed(view.posterior)][:3] == [step] * 3
    assert [now for now in fits if now > 1100.0] == [1151.0, 1209.0, 1270.0]


def test_a_rate_that_leaves_what_was_foretold_has_all_fitted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, rates = Watcher(horizon=2000), STAIRS.lr(np.arange(1, 1261)).tolist()
    fits: list[float] = []
    for step, loss in enumerate(losses(1260), 1):
        watcher.update(step, loss, lr=rates[step - 1])
        if step == 1220:
            fits = counted_fits(monkeypatch)
        if step > 1220:
            watcher.forecast()
    assert fits == [float(step) for step in range(1251, 1261)]
