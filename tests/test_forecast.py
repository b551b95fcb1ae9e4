from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from curvecast import Forecast, NotEnoughSamples, Prior, Schedule, Watcher
from curvecast.curve import Sample, Series
from curvecast.fit.basis import Timeline
from curvecast.fit.batch import Job, fit_many
from curvecast.forecast import forecast, over
from curvecast.forecast.hindsight import going_on
from curvecast.forecast.logged import as_logged
from curvecast.forecast.mixture import Mixture
from curvecast.judge import fit_together
from curvecast.testing import SimulatedRun, simulate
from tests.conftest import cosine, fed, feed, power_run

MIXTURE = Forecast(
    np.array([10.0, 20.0]),
    "val",
    np.array([[0.5, 0.4], [0.3, 0.3], [0.2, 0.3]]),
    np.array([[2.0, 1.0], [2.5, 1.5], [-4.0, 9.0]]),
    np.array([[0.1, 0.2], [0.05, 1.0], [0.01, 3.0]]),
)


def mixture_cdf(x: float, m: int) -> float:
    return float(MIXTURE.weight[:, m] @ norm.cdf((x - MIXTURE.means[:, m]) / MIXTURE.stds[:, m]))


@pytest.mark.parametrize("q", [1e-4, 0.05, 0.21, 0.5, 0.95, 0.9999])
def test_quantiles_invert_the_mixture(q: float) -> None:
    got = np.asarray(MIXTURE.quantile(q))
    for m in range(2):
        expected = brentq(lambda x, m=m: mixture_cdf(x, m) - q, -50, 50, xtol=1e-13)
        assert got[m] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("apart", [0.0, 8.0, 30.0])
def test_quantiles_of_wild_mixtures(apart: float) -> None:
    """Spikes, flat stretches between modes, scales a hundredfold apart: where a step leaps or goes in circles."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        weight, mean = rng.dirichlet(np.full(48, 0.3))[:, None], rng.normal(0.0, 3.0, (48, 1))
        mean[:24] -= apart
        mixture = Forecast(1.0, "val", weight, mean, np.exp(rng.normal(-0.5, 1.5, (48, 1))))
        for q in (0.005, 0.05, 0.5, 0.95):
            assert mixture.probability_below(mixture.quantile(q)) == pytest.approx(q, abs=3e-6)


@pytest.mark.parametrize("floor", [-math.inf, 0.0])
def test_quantiles_of_mixtures_over_many_decades_stay_in_order(floor: float) -> None:
    """As where a validation was once 1e30: halves of such a bracket would hardly come near what is small."""
    rng = np.random.default_rng(0)
    shares = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    for _ in range(40):
        weight, std = rng.dirichlet(np.full(20, 0.3))[:, None], 10.0 ** rng.uniform(-2.0, 30.0, (20, 1))
        mixture = Forecast(1.0, "val", weight, std * rng.standard_normal((20, 1)), std, floor=floor)
        quantiles = [float(mixture.quantile(q)) for q in shares]
        assert quantiles == sorted(quantiles)
        assert [mixture.probability_below(each) for each in quantiles] == pytest.approx(shares, abs=1e-4)


@pytest.mark.parametrize(("apart", "share"), [(0.3, 0.45), (1.0, 0.45), (1.0, 0.5), (0.1, 0.02)])
def test_the_median_between_two_sharp_modes(apart: float, share: float) -> None:
    """Hardly any density lies between them: a Newton step from there leaps out of the world."""
    weight, mean = np.array([[share], [1.0 - share]]), np.array([[2.0], [2.0 + apart]])
    mixture = Forecast(1.0, "val", weight, mean, np.full((2, 1), 0.01))
    for q in (1e-16, 0.05, 0.5, 0.95):
        assert 1.8 < float(mixture.quantile(q)) < 2.2 + apart
    assert mixture.probability_below(mixture.quantile(0.6)) == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize("share", [0.4995, 0.4999, 0.4999999])
def test_a_quantile_at_the_edge_of_a_gap_stays_in_order(share: float) -> None:
    """What is missed there is next to nothing, and the last step of it leads anywhere."""
    mixture = Forecast(1.0, "val", np.array([[share], [1.0 - share]]), np.array([[2.0], [3.0]]), np.full((2, 1), 1e-3))
    quantiles = [float(mixture.quantile(q)) for q in (0.49, 0.499, 0.5, 0.501, 0.51)]
    assert quantiles == sorted(quantiles)
    for q in (0.499, 0.5, 0.501):
        assert mixture.probability_below(mixture.quantile(q)) == pytest.approx(q, abs=1e-4)


def test_what_is_next_to_impossible_moves_no_forecast_that_may_go_on_as_it_missed() -> None:
    """A part of 1e-14 at 1e14 has a variance that hides all the rest."""
    weight, mean, std = np.array([[[1.0 - 1e-14], [1e-14]], [[64.0], [1e14]], [[0.5], [1e12]]])
    moved = going_on(Forecast(200.0, "val", weight, mean, std), 1.0, 0.5, 100.0)
    assert moved.interval(0.9).upper == pytest.approx(65.0, abs=0.5)


@pytest.mark.parametrize("share", [1e-14, 1e-6, 1e-2])
def test_about_where_quantiles_lie_is_not_far_off_and_the_same_beside_others(share: float) -> None:
    weight, mean, std = np.array(
        [[[1.0 - share, 1.0], [share, 0.0]], [[7.0, 2.0], [1e4, 2.0]], [[0.02, 1.0], [1e4, 1.0]]]
    )
    alone, beside = Mixture(weight[:, :1], mean[:, :1], std[:, :1]), Mixture(weight, mean, std)
    at = np.array([0.16, 0.5, 0.84])
    assert alone.about(at) == pytest.approx(alone.quantiles(at), abs=0.01)
    assert beside.about(at)[:, :1].tolist() == alone.about(at).tolist()


def test_mean_and_std_are_those_of_the_mixture() -> None:
    mean = (MIXTURE.weight * MIXTURE.means).sum(axis=0)
    second = (MIXTURE.weight * (MIXTURE.means**2 + MIXTURE.stds**2)).sum(axis=0)
    np.testing.assert_allclose(MIXTURE.mean, mean)
    np.testing.assert_allclose(MIXTURE.std, np.sqrt(second - mean**2))


def test_of_forecasts_of_several_steps_the_first_are_compared() -> None:
    one, sure = np.ones((1, 2)), np.full((1, 2), 0.1)
    falling, rising = (
        Forecast(np.array([10.0, 20.0]), "val", one, np.array([ends]), sure) for ends in ([2, 1], [3, 4])
    )
    assert falling.probability_less(rising) > 0.99
    assert rising.probability_less(falling) < 0.01


@pytest.mark.parametrize("level", [0.0, 1.0, -3.0, 90.0, "0.9", None, [0.5, 0.9]])
def test_a_level_that_is_no_probability_is_refused(followed: Watcher, level: Any) -> None:
    with pytest.raises(ValueError, match=r"`level` must lie inside \(0, 1\): got"):
        MIXTURE.interval(level)
    with pytest.raises(ValueError, match=r"`q` must lie inside \(0, 1\): got"):
        MIXTURE.quantile(level)
    with pytest.raises(ValueError, match=r"`level` must lie inside \(0, 1\): got"):
        followed.best_step(level)


@pytest.mark.parametrize("at", [0, -5, float("nan"), [[1, 2]], "x", {}, [1, None], 10**400])
def test_a_step_that_is_none_is_refused(followed: Watcher, at: object) -> None:
    with pytest.raises(ValueError, match="`at` must be a step or a list of steps"):
        followed.forecast(at=at)  # type: ignore[arg-type]


def test_too_few_samples_say_how_many() -> None:
    watcher = Watcher(horizon=100)
    watcher.update(1, train_loss=2.0)
    with pytest.raises(NotEnoughSamples, match=r"at least 12 samples: got 1") as caught:
        watcher.forecast()
    assert (caught.value.seen, caught.value.needed) == (1, 12)


def test_arrays_and_single_steps_agree(followed: Watcher) -> None:
    steps = np.array([900, 1500, 3000])
    together = followed.forecast(at=steps)
    for step, median in zip(steps, np.asarray(together.median), strict=True):
        assert followed.forecast(at=int(step)).median == pytest.approx(median, rel=1e-12)


def test_asking_changes_nothing(run: SimulatedRun) -> None:
    asked, left = Watcher(schedule=run.schedule), Watcher(schedule=run.schedule)
    for _ in feed(asked, run):
        if asked.step > 20 and asked.step % 7 == 0:
            asked.forecast(at=[100, 3000])
    list(feed(left, run))
    assert asked.state_dict() == left.state_dict()


def test_the_interval_widens_ahead(followed: Watcher) -> None:
    width = np.asarray(followed.forecast(at=[800, 1200, 2000, 3000]).interval(0.9).width)
    assert np.all(np.diff(width) > 0)


def test_annealing_is_foreseen() -> None:
    """Two plans, one past: the one that decays ends lower."""
    losses = power_run(1000)
    decays, holds = Watcher(schedule=Schedule.wsd(2000, decay=0.4)), Watcher(schedule=Schedule.constant(2000))
    for step, loss in enumerate(losses, 1):
        decays.update(step, train_loss=loss)
        holds.update(step, train_loss=loss)
    assert decays.forecast().median < float(holds.forecast().median) - 0.02


def test_another_future_can_be_asked_for() -> None:
    schedule = Schedule.constant(4000)
    watcher = fed(Watcher(schedule=schedule), power_run(1000))
    cooled = watcher.forecast(at=1200, schedule=schedule.cooldown(start=1000, steps=200))
    assert cooled.median < float(watcher.forecast(at=1200).median)


@pytest.mark.parametrize("at", [2000.0, [1001.0, 1500.0, 3000.0]])
def test_a_forecast_over_several_futures_is_their_mixture(at: float | list[float]) -> None:
    watcher = Watcher(horizon=2000)
    for step, loss in enumerate(power_run(1000), 1):
        watcher.update(step, train_loss=loss, lr=3e-4)  # held so far: it may be held on, or decay
    posterior, futures = watcher.judge.belief.posterior("train", watcher.seen, watcher.course)
    assert len(futures) > 1
    mixed = over(futures, posterior, at, of="train")
    alone = [forecast(posterior, at, of="train", timeline=timeline) for _, timeline in futures]
    share = [probability for probability, _ in futures]
    assert sum(share) == pytest.approx(1.0)
    assert np.shape(mixed.median) == np.shape(at)
    mean = sum(p * np.asarray(each.mean) for p, each in zip(share, alone, strict=True))
    square = sum(p * (np.asarray(e.std) ** 2 + np.asarray(e.mean) ** 2) for p, e in zip(share, alone, strict=True))
    np.testing.assert_allclose(mixed.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(mixed.std, np.sqrt(square - mean**2), rtol=1e-9)


@pytest.mark.parametrize("unit", [1.0 / np.log(2.0), 1000.0])
def test_another_unit_of_loss_gives_the_same_forecast(run: SimulatedRun, unit: float) -> None:
    """Bits instead of nats."""
    nats, other = Watcher(schedule=run.schedule), Watcher(schedule=run.schedule)
    for step, train, val in zip(run.steps.astype(int).tolist(), run.train_loss, run.val_loss, strict=True):
        nats.update(step, float(train), float(val) if np.isfinite(val) else None)
        other.update(step, unit * float(train), unit * float(val) if np.isfinite(val) else None)
    assert other.forecast().median == pytest.approx(unit * float(nats.forecast().median), rel=1e-6)
    assert other.forecast().interval().lower == pytest.approx(unit * float(nats.forecast().interval().lower), rel=1e-6)
    assert other.verdict.reason == nats.verdict.reason


def test_tokens_instead_of_steps_give_the_same_forecast() -> None:
    """The clock may count tokens; only the edges of the bins differ."""
    batch, plan = 524_288, cosine(3000)
    shifts, widened = [], []
    for seed in range(20):
        run = simulate(seed)
        steps, tokens = (
            Watcher(schedule=plan),
            Watcher(schedule=Schedule(batch * plan.knots[0] - batch + 1, plan.knots[1])),
        )
        losses = list(zip(run.steps.astype(int).tolist(), run.train_loss.tolist(), strict=True))
        steps.skim(Sample(step, train_loss=loss) for step, loss in losses)
        tokens.skim(Sample(step * batch, train_loss=loss) for step, loss in losses)
        inside, also = steps.forecast(), tokens.forecast()
        shifts.append((float(also.median) - float(inside.median)) / float(inside.std))
        widened.append(float(also.std) / float(inside.std))
    moved = np.abs(shifts)  # where a window begins at a bin's edge, a run may jump from one window to the other
    assert np.median(moved) < 0.15
    assert np.mean(moved > 0.3) <= 0.1
    assert np.median(np.abs(np.log(widened))) < 0.1


@pytest.fixture(scope="module")
def drawn() -> list[SimulatedRun]:
    return [simulate(seed) for seed in range(400)]


@pytest.mark.parametrize("of", ["both", "train", "val"])
def test_intervals_cover_what_the_model_makes(drawn: list[SimulatedRun], of: str) -> None:
    """400 simulated runs: the 90 % interval holds the truth as often as it says (binomial, 3.3 sigma)."""
    plan = drawn[0].schedule
    at: Literal["train", "val"] = "train" if of == "train" else "val"
    timeline, jobs = Timeline(plan, Prior().annealing_shape), []
    for run in drawn:
        steps, measured = run.steps.astype(np.int64), np.isfinite(run.val_loss)
        train, val = Series(), Series()
        if of != "val":
            train.extend(steps, run.train_loss)
        if of != "train":
            val.extend(steps[measured], run.val_loss[measured])
        jobs.append(Job(train.bins(), val.bins(), timeline, Prior(), at == "val", run.steps[-1]))
    held = [
        (run.final_train if of == "train" else run.final_val) in forecast(posterior, plan.horizon, of=at).interval(0.9)
        for run, posterior in zip(drawn, fit_many(jobs), strict=True)
    ]
    assert 0.85 <= np.mean(held) <= 0.95


def test_validation_may_turn_where_nothing_is_known_of_a_network() -> None:
    steps = np.arange(20, 1001, 20)
    losses = 1.0 + 3.0 * steps**-0.5 + 0.002 * (-1.0) ** np.arange(len(steps))

    def rises(of: str, **told: Any) -> float:
        watcher = Watcher(horizon=4000, **told)
        for step, loss in zip(steps.tolist(), losses.tolist(), strict=True):
            watcher.update(step, **{f"{of}_loss": loss})
        return 1.0 - float(np.asarray(watcher.forecast().probability_below(1.01 * losses[-1])))

    known, first_epoch = rises("val", num_params=1e8), rises("val", dataset_tokens=1e9, batch_tokens=1e5)
    assert max(rises("train"), known, first_epoch) < 0.5 * rises("val")


def test_below_its_floor_a_forecast_has_nothing() -> None:
    """Against draws of the mixture of which those below the floor are thrown away."""
    f = Forecast(9.0, "val", np.array([[0.7], [0.3]]), np.array([[0.4], [0.1]]), np.array([[0.3], [0.4]])).above(0.0)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([rng.normal(0.4, 0.3, 700_000), rng.normal(0.1, 0.4, 300_000)])
    drawn = drawn[drawn > 0.0]
    for q in (0.05, 0.5, 0.95):
        assert f.quantile(q) == pytest.approx(np.quantile(drawn, q), abs=3e-3)
    assert (f.mean, f.std) == pytest.approx((drawn.mean(), drawn.std()), abs=2e-3)
    assert f.probability_below(0.2) == pytest.approx(np.mean(drawn < 0.2), abs=2e-3)
    assert f.probability_below(0.0) == 0.0
    assert Forecast.from_dict(f.to_dict()).quantile(0.05) == f.quantile(0.05)


def test_a_loss_that_was_always_positive_is_not_forecast_below_zero() -> None:
    watcher, crossing = Watcher(horizon=5000), Watcher(horizon=5000)
    rng = np.random.default_rng(0)
    for step in range(1, 200):
        loss = 3.0 * float(np.exp(-step / 60)) + 0.01 * float(rng.random())
        watcher.update(step, train_loss=loss)
        crossing.update(step, train_loss=loss - 0.5)
    assert watcher.forecast().quantile(0.001) >= 0.0
    assert crossing.forecast().quantile(0.05) < 0.0


def test_validations_of_before_their_loss_crossed_zero_are_forecast_below_it() -> None:
    """In one unit with a train loss that has, zero is no floor to them, and no law of their logarithm holds."""
    watcher = Watcher(horizon=1600)
    for step in range(1, 401):
        loss = 5.0 - 1.2 * float(np.log(step / 4 + 1))
        watcher.update(step, train_loss=loss, val_loss=loss + 0.05 if step % 20 == 0 and step <= 120 else None)
    view = watcher.judge.view()
    assert (view.floor, view.logs) == (-np.inf, None)
    assert watcher.forecast().median < 0.0


@pytest.mark.filterwarnings("error")
def test_losses_far_above_the_others_leave_the_fit_finite() -> None:
    """Train loss scatters about, up to a million; what validation tells is 1e17 times surer than that."""
    watcher, validations = Watcher(horizon=130), (5.84, 4.58, 3.33, 2.18)
    trains = (22.0, 6.6, 1.5, 1.9e6, 3.9, -5.6, 13.8, 6.5, 11.8, 4.0, 17.4, -14.7, 27.3)
    for step, loss in enumerate(trains, 1):
        watcher.update(step, loss, validations[step - 1] if step <= len(validations) else None)
    together, alone = Watcher(horizon=130), watcher.forecast()
    together.load_state_dict(watcher.state_dict())
    fit_together([together.judge])
    assert math.isfinite(float(alone.median))
    assert math.isfinite(float(alone.std))
    assert together.forecast().median == pytest.approx(alone.median, rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_loss_that_has_been_nought_is_not_forecast_below_it() -> None:
    """Of a rare class a batch in three holds nothing; of a discriminator that has won, none does."""
    rng = np.random.default_rng(0)
    rare, gone, dead, tiny = (Watcher(horizon=400) for _ in range(4))
    for step in range(1, 201):
        rare.update(step, train_loss=0.0 if step % 3 == 0 else 5.0 / step * float(rng.uniform(0.5, 1.5)))
        gone.update(step, train_loss=float(rng.uniform(0.5, 1.5)) if step < 100 else 0.0)
        dead.update(step, train_loss=0.0)
        tiny.update(step, train_loss=5e-324)
    assert min(rare.forecast().quantile(0.001), gone.forecast().quantile(0.001)) >= 0.0
    assert 0.0 < float(rare.forecast().median) < 0.05
    assert [str(each.forecast()) for each in (dead, tiny)] == ["0.000 [0.000, 0.000]"] * 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fall", [60.0, 700.0])
def test_the_distant_past_of_a_loss_that_fell_by_hundreds_of_decades_is_finite(fall: float) -> None:
    watcher = Watcher(horizon=1)
    for step in range(1, 401):
        watcher.update(step * 700, train_loss=float(np.exp(-step / 400 * fall)))
    assert np.isfinite(np.asarray(watcher.forecast(at=[1, 100, 280_000]).median)).all()


@pytest.mark.parametrize(("first", "every"), [(1, 1), (1, 20), (8001, 1), (8001, 20)])
def test_what_is_logged_of_train_is_as_noisy_as_the_mean_of_its_last_losses(first: int, every: int) -> None:
    """From wherever the log begins: 1 % of 20,000 steps are 200 losses, or ten."""
    rng, seen = np.random.default_rng(0), Series()
    for step in range(first, 10_001, every):
        seen.add(step, 2.0 + 0.04 * float(rng.standard_normal()))
    one = np.ones((1, 1))
    sure = Forecast(20_000.0, "train", one, 2.0 * one, 1e-9 * one)
    assert as_logged(sure, seen.bins()).stds[0, 0] == pytest.approx(0.04 / math.sqrt(200 / every), rel=0.3)


@pytest.mark.parametrize("losses", [[], [2.0] * 5, [2.0] * 40, [0.0] * 40])
def test_where_no_noise_was_seen_none_is_added(losses: list[float]) -> None:
    seen = Series()
    for step, loss in enumerate(losses, 1):
        seen.add(step, loss)
    for of in ("train", "val"):
        ahead = replace(MIXTURE, of=of)
        assert as_logged(ahead, seen.bins()) is ahead


def test_a_last_loss_that_went_astray_makes_no_noise_of_any_size() -> None:
    seen = Series()
    for step in range(1, 41):
        seen.add(step, 2.0 + 0.1 * (-1) ** step if step < 40 else 1e-310)
    noisy = as_logged(MIXTURE, seen.bins(), floor=0.0)
    np.testing.assert_array_less(noisy.stds, 1.5 * np.hypot(MIXTURE.stds, np.maximum(MIXTURE.means, 0.0)) + 1e-9)
