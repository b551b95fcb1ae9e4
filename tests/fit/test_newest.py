"""Train losses since a verdict was due are heard after the fit of then, which serves until the next one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curvecast import Forecast, Sample, Watcher
from curvecast.curve import NO_BINS, Bins, Series, Since
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_under
from curvecast.fit.fitting import fit
from curvecast.fit.newest import Fitted, Newest, Todo, heard, todo
from curvecast.fit.observed import LEAST_NOISE
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.tables import GAP, L_N, A, B, G
from curvecast.judge import fit_together
from curvecast.schedule import Schedule

PRIOR = Prior().for_size(None)
PLAN = Schedule.cosine(2000, warmup=20)
CLOCK = Timeline(PLAN, PRIOR.annealing_shape)
SHAPES = ("theta", "root", "alpha", "offset", "floor", "rate", "onset", "drift", "drop_error")
NOTHING = Since(0, 0.0, 0.0)


def losses(count: int, *, jump: float = 0.0, noise: float = 0.02, seed: int = 0) -> list[float]:
    """Of a noisy power law, which may leave its level over its last 20 steps."""
    steps = np.arange(1.0, count + 1.0)
    drawn = 2.0 + 3.0 * steps**-0.4 + noise * np.random.default_rng(seed).standard_normal(count)
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


def with_validation(job: Job, *, above: float = 0.05) -> Job:
    """The same, asked for a validation loss that stands so far above the train loss."""
    step = job.train.step[::20]
    return job._replace(val=Bins(step, 2.0 + above + 3.0 * step**-0.4, np.ones(len(step)), 4e-4), of_val=True)


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


def test_the_curve_told_anew_is_the_same_in_its_past_and_where_it_rises(before: Posterior) -> None:
    theta = before.theta.copy()
    theta[G] = 0.2
    risen = replace(before, theta=theta, onset=np.full_like(before.onset, 0.6), floor=np.full_like(before.floor, 0.2))
    after = heard(risen, [Newest(1290.0, 2.2, 1e30)], 1300.0)
    assert after is not None
    steps = np.array([1.0, 3.0, 30.0, 600.0, 1000.0, 2000.0])
    assert after.law(steps, val=True) == pytest.approx(risen.law(steps, val=True), rel=1e-5)


def test_train_loss_is_not_heard_by_a_law_of_validation_alone(before: Posterior) -> None:
    assert heard(replace(before, alone=True), [Newest(1290.0, 2.2, 1e-4)], 1300.0) is None
    jobs = run(1300)
    for above, apart in ((0.05, True), (100.0, False)):  # this one is in another unit
        whole, first = (with_validation(job, above=above) for job in (jobs.whole, jobs.first))
        assert bool(todo(whole, first, (Since(30, 1285.0, 2.2), NOTHING)).newest) is apart


def test_where_no_finished_run_is_heard_validations_own_law_hears_none_either(before: Posterior) -> None:
    taught = replace(PRIOR, lessons=((0.0, *(0.5,) * 14),))
    job = run(1300, wait=60).first
    untaught = Fitted(job, replace(before, prior=taught)).untaught
    assert taught.untaught != taught
    assert untaught.job is job
    assert untaught.posterior.prior == taught.untaught


def test_of_a_train_loss_a_validation_since_a_verdict_was_due_is_fitted_with_all_losses() -> None:
    watcher = Watcher(schedule=PLAN)
    for step, loss in enumerate(losses(1245), 1):
        watcher.update(step, loss, val_loss=loss + 0.05 if step % 40 == 0 else None)
        if step in (1239, 1245):
            asked, _ = watcher.judge.belief.todo("train", watcher.seen, watcher.course)
            assert bool(asked.newest) is (step == 1239)
            assert watcher.seen.due is not None
            assert watcher.seen.due.step == 1200


def test_where_finished_runs_tell_what_a_fit_to_all_losses_misses_all_are_fitted() -> None:
    """Runs that read the same batches have the noise of their losses in common, and a step would hear it otherwise."""
    found, lesson = run(1300), ((0.0, *(0.5,) * 14),)
    whole, first = (job._replace(prior=replace(PRIOR, lessons=lesson)) for job in (found.whole, found.first))
    since = Since(30, 1285.0, 2.2), NOTHING
    assert todo(found.whole, found.first, since).newest
    assert not todo(whole, first, since).newest


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


@pytest.mark.parametrize(("jump", "serves"), [(0.02, True), (-0.1, False), (0.1, False)])
def test_losses_that_no_shape_foresaw_have_all_fitted_anew(before: Posterior, jump: float, serves: bool) -> None:
    """All miss them alike, so that their weights stay: after a restart the first fit would be all too sure."""
    one = replace(before, weight=np.ones(1), **{name: getattr(before, name)[..., :1] for name in SHAPES})
    newest = Newest(1290.0, float(one.moments(np.array([1290.0]), val=False)[0][0, 0]) + jump, 1e-4)
    assert (heard(one, [newest], 1300.0) is not None) is serves


def test_losses_that_only_a_shape_without_weight_foresaw_have_all_fitted_anew(before: Posterior) -> None:
    """The others' odds beside its own are none at all, and there is nothing to weigh."""
    shapes = {name: getattr(before, name)[..., :2].copy() for name in SHAPES}
    two = replace(before, weight=np.array([0.0, 1.0]), **shapes)
    two.theta[L_N, 0] += 5.0
    newest = Newest(1290.0, float(two.moments(np.array([1290.0]), val=False)[0][0, 0]), 1e-4)
    with np.errstate(all="raise", under="ignore"):
        assert heard(two, [newest], 1300.0) is None


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


def test_a_run_that_diverges_says_what_one_says_that_was_never_asked() -> None:
    """Its divergence is a verdict that is due, though no loss has joined the curve, nor a step beyond a validation."""
    asked, never = Watcher(schedule=PLAN), Watcher(schedule=PLAN)
    for step, loss in enumerate([*losses(1230), *[float("nan")] * 10], 1):
        for watcher in (asked, never):
            watcher.update(step, loss)
            if step == 1215:
                watcher.update(1300, val_loss=2.4)
        if step > 1220:
            asked.forecast()
    assert asked.verdict.reason == "diverged"
    assert median(asked.forecast()) == median(never.forecast())


def test_a_skimmed_run_that_diverges_is_the_one_that_was_judged() -> None:
    """Each loss that is held back would else count as a verdict that was due; a run that comes back is judged on."""
    came_back = [*losses(600), *[9.0] * 40, *losses(700)[640:]]
    for drawn in ([*losses(600), *[float("nan")] * 40], [*losses(600), *[9.0] * 40], came_back):
        judged, skimmed = Watcher(schedule=PLAN), Watcher(schedule=PLAN)
        samples = [Sample(step, loss) for step, loss in enumerate(drawn, 1)]
        for sample in samples:
            judged.take(sample)
        skimmed.skim(samples)
        assert (
            (skimmed.verdict.reason == "diverged") is (judged.verdict.reason == "diverged") is (drawn is not came_back)
        )
        assert {**skimmed.seen.state_dict(), "trade": None} == {**judged.seen.state_dict(), "trade": None}
        assert median(skimmed.forecast()) == median(judged.forecast())


@pytest.mark.parametrize(("first", "apart"), [(4.0, True), (1e17, False)])
def test_a_loss_beyond_all_laws_that_grows_too_old_to_be_fitted_has_all_fitted_anew(first: float, apart: bool) -> None:
    """The second step's is heard no longer from step 632 on."""
    for now in (630, 640):
        train = Series()
        for step, loss in enumerate(losses(now), 1):
            train.add(step, first if step == 2 else loss)
            if step == 625:
                mark = train.mark()
        whole = Job(train.bins(), NO_BINS, CLOCK, PRIOR, False, float(now))
        then = whole._replace(train=train.at(mark), now=625.0)
        assert bool(todo(whole, then, (train.since(mark), NOTHING)).newest) is (apart or now < 632)


def test_of_a_taught_run_nothing_is_made_ready_that_is_not_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    monkeypatch.setattr("curvecast.seen.Seen.at_due", lambda seen: asked.append(seen.step))
    for prior, times in ((Prior(lessons=((0.0, *(0.5,) * 14),)), 0), (Prior(), 1)):
        watcher = Watcher(schedule=PLAN, prior=prior)
        watcher.skim(Sample(step, loss) for step, loss in enumerate(losses(1245), 1))
        watcher.judge.belief.todo("train", watcher.seen, watcher.course)
        assert len(asked) == times


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
    for step, (loss, val) in enumerate(zip(losses(1300, seed=2), losses(1300, seed=1), strict=True), 1):
        watcher.update(step, loss, val + 0.05 if step % every == 0 else None, lr=rates[step - 1])
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


def test_both_losses_asked_for_in_turn_are_each_fitted_once_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[bool] = []

    def counted(*data: Any, of_val: bool, **options: Any) -> Posterior:
        fits.append(of_val)
        return fit(*data, of_val=of_val, **options)

    watcher = Watcher(schedule=PLAN)
    for step, loss in enumerate(losses(1255), 1):
        if step % 100 == 1:  # a validation stands where no train loss does
            watcher.update(step, val_loss=loss + 0.05)
        else:
            watcher.update(step, loss)
        if step == 1220:
            monkeypatch.setattr("curvecast.fit.newest.fit", counted)
        if step > 1220:
            watcher.forecast(of="train")
            watcher.forecast(of="val")
    assert fits == [False]  # validation was, when its verdict was due


def test_shapes_that_losses_rule_out_all_but_one_of_no_weight_have_all_fitted_anew(before: Posterior) -> None:
    weight = np.where(before.alpha == before.alpha.max(), 0.0, before.weight)
    nearly = replace(before, weight=weight * 1e-320)
    assert heard(nearly, [Newest(1290.0, 2.2, 1e30)], 1300.0) is None


def test_a_watcher_that_takes_over_another_run_between_two_verdicts_forgets_its_own() -> None:
    one, other = (Watcher(schedule=PLAN) for _ in range(2))
    for step, loss in enumerate(losses(1300), 1):
        one.update(step, loss)
        other.update(step, 2.0 * loss)
    assert median(one.forecast()) != median(other.forecast())
    other.load_state_dict(one.state_dict())
    assert median(other.forecast()) == median(one.forecast())
