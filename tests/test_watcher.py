from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from curvecast import Never, Patience, Plateau, Prior, Reason, Schedule, Watcher
from curvecast.laws.chinchilla import Chinchilla
from curvecast.testing import SimulatedRun
from tests.conftest import fed, feed, power_run


def test_a_watcher_and_its_verdict_print_in_a_few_lines() -> None:
    watcher = Watcher(horizon=2000)
    for step, loss in enumerate(power_run(600), 1):
        verdict = watcher.update(step, loss)
    assert repr(watcher) == "Watcher(step=600, horizon=2000, verdict='on_track')"
    assert verdict.message in repr(verdict)
    assert f"forecast={verdict.forecast!r}" in repr(verdict)
    assert len(repr(verdict)) < 1000


def test_refits_count_samples_not_questions(run: SimulatedRun) -> None:
    watcher = Watcher(schedule=run.schedule)
    decided = {verdict.step for verdict in feed(watcher, run) if verdict.forecast is not None}
    assert 30 < len(decided) < 200


def test_negative_losses_are_forecast() -> None:
    watcher = Watcher(horizon=2000)
    for step, loss in enumerate(power_run(500), 1):
        watcher.update(step, train_loss=loss - 4.0)
    truth = -2.0 + 3.0 * 2000**-0.4
    assert truth in watcher.forecast().interval(0.99)


@pytest.mark.parametrize("level", [0.0, 1.5, -2.0])
def test_a_constant_loss_is_forecast_to_stay(level: float) -> None:
    watcher = Watcher(horizon=1000, decisions=[Plateau(min_gain=0.05)])
    for step in range(1, 501):
        watcher.update(step, train_loss=level)
    assert watcher.forecast().median == pytest.approx(level, abs=0.02)
    assert watcher.verdict.reason is Reason.PLATEAU


def test_a_horizon_already_passed_forecasts_the_present() -> None:
    watcher = fed(Watcher(horizon=100), power_run(300))
    assert watcher.forecast().step == 300
    assert not watcher.verdict.should_stop


def test_an_unknown_horizon_forecasts_the_present_and_any_step_asked_for() -> None:
    watcher = fed(Watcher(), power_run(300))
    assert watcher.forecast().step == 300
    assert 2.0 + 3.0 * 1200**-0.4 in watcher.forecast(at=1200).interval(0.95)


def test_a_schedule_shorter_than_the_run_holds_its_last_rate() -> None:
    watcher = fed(Watcher(schedule=Schedule.constant(100), horizon=1000), power_run(300))
    assert 2.0 + 3.0 * 1000**-0.4 in watcher.forecast().interval(0.95)


@pytest.mark.parametrize("of", ["train", "val"])
def test_one_kind_of_loss_is_enough(of: str) -> None:
    watcher = Watcher(horizon=2000)
    for step, loss in enumerate(power_run(500), 1):
        watcher.update(step, **{f"{of}_loss": loss})
    assert watcher.forecast().of == of
    assert 2.0 + 3.0 * 2000**-0.4 in watcher.forecast().interval(0.95)


def test_the_first_of_several_validation_sets_decides() -> None:
    one, several = Watcher(horizon=2000), Watcher(horizon=2000)
    for step, loss in enumerate(power_run(300), 1):
        one.update(step, val_loss=loss)
        several.update(step, val_loss={"web": loss, "code": 9.0 - loss})
    one.update(301)  # what a decay could still bring goes by the steps that are left
    assert several.update(301, val_loss={"code": 1.0}).reason == one.verdict.reason
    assert several.forecast().median == one.forecast().median


def test_validation_borrows_the_train_curves_shape() -> None:
    """Three validation losses alone say nothing; beside 500 train losses they are a forecast."""
    watcher = Watcher(horizon=2000, num_params=124e6)
    for step, loss in enumerate(power_run(500), 1):
        watcher.update(step, train_loss=loss)
        if step in (300, 400, 500):
            watcher.update(step, val_loss=loss + 0.3)
    ahead = watcher.forecast(of="val")
    assert 2.3 + 3.0 * 2000**-0.4 in ahead.interval(0.9)
    assert float(ahead.std) < 0.1


def test_learning_rates_that_are_told_are_used() -> None:
    """Told step by step, or planned beforehand: the same past, the same present."""
    plan = Schedule.linear(1000)
    told, planned, untold = Watcher(horizon=1000), Watcher(schedule=plan), Watcher(horizon=1000)
    for step in range(1, 901):
        loss = 2.0 + 3.0 * math.pow(plan.summed(step), -0.4) - 0.2 * (1.0 - plan.lr(step)) + 0.01 * math.sin(step)
        told.update(step, train_loss=loss, lr=1e-3 * plan.lr(step))
        planned.update(step, train_loss=loss)
        untold.update(step, train_loss=loss)
    here = [float(watcher.forecast(at=900).median) for watcher in (told, planned)]
    assert here[0] == pytest.approx(here[1], abs=0.005)
    assert told.forecast(at=5000).median > float(untold.forecast(at=5000).median)  # it knows that the rate is low


@pytest.mark.parametrize("factor", [0.1, 3.0, 10.0])
def test_validation_in_another_unit_is_forecast_by_itself(factor: float) -> None:
    """Perplexity, or a sum: no overfitting is read into a curve that falls."""
    watcher = Watcher(horizon=3000)
    rng = np.random.default_rng(1)
    for step, loss in enumerate(power_run(1500), 1):
        watcher.update(step, train_loss=loss)
        if step % 20 == 0:
            truth = 2.0 + 3.0 * float(step) ** -0.4
            verdict = watcher.update(step, val_loss=factor * (truth + 0.002 * float(rng.standard_normal())))
            assert verdict.reason is not Reason.OVERFITTING
    assert factor * (2.0 + 3.0 * 3000**-0.4) in watcher.forecast().interval(0.95)


@pytest.mark.parametrize(
    "settings",
    [
        {"decisions": [1]},
        {"law": 3},
        {"prior": "x"},
        {"schedule": "x"},
        {"horizon": "10"},
        {"horizon": 0.5},
        {"horizon": 1e18},
        {"horizon": 10**400},
        {"num_params": 10**400},
    ],
    ids=lambda settings: str(settings)[:30],
)
def test_configuration_is_checked_when_it_is_given(settings: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError), match=f"`{next(iter(settings))}` must"):
        Watcher(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["horizon", "num_params", "batch_tokens", "dataset_tokens", "epoch_steps"])
@pytest.mark.parametrize("value", [0, -5, math.nan, math.inf])
def test_settings_that_are_not_positive_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"`{name}` must be positive: got"):
        Watcher(**{name: value})  # type: ignore[arg-type]


def test_a_loss_that_was_never_seen_cannot_be_forecast() -> None:
    watcher = Watcher(horizon=100)
    for step in range(1, 51):
        watcher.update(step, train_loss=1.0)
    with pytest.raises(ValueError, match="`of` must name a loss that was seen: got 'val'"):
        watcher.forecast(of="val")
    with pytest.raises(ValueError, match="`of` must be 'val', 'train' or None: got 'test'"):
        watcher.forecast(of="test")  # type: ignore[arg-type]


def test_a_prior_survives_its_file(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "prior.json"
    Prior(drop_error=0.3).save(path)
    assert Prior.load(path) == Prior(drop_error=0.3)
    path.write_text('{"schema": 7}')
    with pytest.raises(ValueError, match=r"`schema` of a prior must be \d+: got 7"):
        Prior.load(path)


def test_another_future_leaves_the_present_as_it_is() -> None:
    """In the middle of a decay: whatever comes, the loss now is what it is."""
    plan = Schedule.cosine(2000)
    watcher = Watcher(schedule=plan, num_params=124e6)
    for step in range(1, 1201):
        watcher.update(step, train_loss=2.0 + 3.0 * float(plan.summed(step)) ** -0.4 - 0.1 * (1.0 - plan.lr(step)))
    held = Schedule.from_array([*plan.lr(range(1, 1201)), *[plan.lr(1200)] * 8800])
    here, there = watcher.forecast(at=1200), watcher.forecast(at=1200, schedule=held)
    assert float(there.median) == pytest.approx(float(here.median), abs=1e-3)


def test_asking_between_learning_rates_changes_nothing() -> None:
    asked, silent = Watcher(horizon=2000), Watcher(horizon=2000)
    for watcher in (asked, silent):
        for step in range(1, 401):
            watcher.update(step, train_loss=2.0 + 3.0 * step**-0.4, lr=1e-3)
        if watcher is asked:
            watcher.forecast()
        for step in range(401, 601):
            watcher.update(step, lr=1e-3 * (1.0 - (step - 400) / 1600))
    assert asked.forecast().median == silent.forecast().median


def test_a_plateau_is_judged_over_every_future() -> None:
    """A constant rate may still decay: that the rest brings nothing is then no certainty."""
    watcher = Watcher(horizon=4000, num_params=124e6, decisions=[Plateau()])
    rng = np.random.default_rng(0)
    for step in range(1, 3401):
        verdict = watcher.update(step, 2.0 + 3.0 / step + 0.002 * float(rng.standard_normal()), lr=1e-3)
        assert verdict.reason is not Reason.PLATEAU
    assert watcher.verdict.probability > 0.3


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([Patience], "an object with a `decide` method: got .*class.*Patience"),
        (Patience(), "must be a list: got Patience.* alone"),
        (["plateau"], "an object with a `decide` method: got .'plateau'."),
    ],
)
def test_decisions_that_are_none_are_told_when_they_are_given(decisions: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Watcher(horizon=100, decisions=decisions)


def test_another_future_that_is_none_is_told() -> None:
    watcher = Watcher(horizon=200)
    for step in range(1, 101):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    bad: Any = "cosine"
    with pytest.raises(
        TypeError, match=r"`schedule` must be a curvecast\.Schedule or None: got 'cosine'\. .*Schedule\.cosine\("
    ):
        watcher.forecast(schedule=bad)
    with pytest.raises(TypeError, match=r"got 'prior\.json'\. Pass curvecast\.Prior\.load\(path\)"):
        Watcher(prior="prior.json")  # type: ignore[arg-type]
    for cooldown in (0, float("nan"), "soon"):
        with pytest.raises(ValueError, match="`cooldown` must be at least 1 step"):
            watcher.choices(cooldown=cooldown)  # type: ignore[arg-type]


def test_true_is_no_horizon() -> None:
    with pytest.raises(TypeError, match="`horizon` must be a number or None: got True"):
        Watcher(horizon=True)


def seen(steps: int, **settings: Any) -> Watcher:
    """A watcher of a power law."""
    watcher = Watcher(**settings)
    for step in range(1, steps + 1):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5, lr=3e-4)
    return watcher


def test_the_forecast_of_a_cooldown_is_nearly_that_of_the_choice() -> None:
    watcher = seen(500, schedule=Schedule.constant(1000))
    offered = next(choice for choice in watcher.choices(50) if choice.name == "cool_down")
    assert watcher.cool_down(50) == offered
    ahead = watcher.forecast()
    assert ahead.step == offered.step == 550
    off, width = abs(float(ahead.median) - offered.loss), offered.upper - offered.lower
    assert off < 0.2 * width  # the fit knows the new end


@pytest.mark.parametrize("settings", [{"horizon": 1000}, {}])
def test_a_cooldown_needs_no_schedule_and_no_horizon(settings: dict[str, Any]) -> None:
    watcher = seen(500, **settings)
    choice = watcher.cool_down()
    assert choice is not None
    assert watcher.horizon == choice.step
    assert watcher.schedule is not None
    assert watcher.schedule.lr(choice.step) == 0.0


@pytest.mark.parametrize(
    "settings", [{"schedule": Schedule.linear(520)}, {"schedule": Schedule.constant(500)}, {"horizon": 400}]
)
def test_where_no_cooldown_makes_sense_the_plan_stays(settings: dict[str, Any]) -> None:
    watcher = seen(500, **settings)
    before = watcher.horizon, watcher.schedule
    assert watcher.cool_down() is None
    assert (watcher.horizon, watcher.schedule) == before


def test_a_state_goes_on_with_its_cooldown_and_an_earlier_one_goes_back() -> None:
    settings: dict[str, Any] = {"schedule": Schedule.cosine(1000)}
    first, second = seen(500, **settings), Watcher(**settings)
    before = first.state_dict()
    first.cool_down(100)
    second.load_state_dict(first.state_dict())
    for step in range(501, 560):
        verdicts = [
            each.update(step, train_loss=2.0 + 3.0 * step**-0.5 - 1e-3 * (step - 500)) for each in (first, second)
        ]
    assert verdicts[0].message == verdicts[1].message
    assert first.forecast().median == second.forecast().median
    second.load_state_dict(before)
    assert (second.horizon, second.schedule) == (1000, settings["schedule"])


@pytest.mark.parametrize("steps", [0, 1.5, math.nan, math.inf, "5 steps", [5], 10**400])
def test_a_cooldown_has_whole_steps(followed: Watcher, steps: Any) -> None:
    for ask in (followed.cool_down, followed.choices):
        with pytest.raises(ValueError, match=r"must be at least 1 step: got .* Pass a whole"):
            ask(steps)


def test_a_forecast_of_no_step_or_loss_is_told_whatever_it_is() -> None:
    watcher = fed(Watcher(horizon=200), power_run(100))
    with pytest.raises(ValueError, match="`of` must be"):
        watcher.forecast(of=np.array([1, 2]))  # type: ignore[arg-type]


def test_the_best_step_is_the_past_one_where_the_verdict_says_so() -> None:
    watcher = Watcher(horizon=3000)
    rng = np.random.default_rng(0)
    for step in range(10, 1501, 10):
        watcher.update(step, train_loss=1.0 + 3.0 * step**-0.3 + 0.01 * rng.standard_normal())
        if step % 50 == 0:
            turned = 2.0 + 3.0 * step**-0.5 + 4e-4 * max(step - 500, 0)
            watcher.update(step, val_loss=turned + 0.005 * rng.standard_normal())
    assert watcher.verdict.reason is Reason.OVERFITTING
    median, lower, upper = watcher.best_step()
    assert median == watcher.verdict.details["best_step"]
    assert lower <= median <= upper < 1000


def test_the_best_step_is_told_the_surer_the_wider() -> None:
    """Of a run that may be about to turn."""
    watcher, rng = Watcher(horizon=3000), np.random.default_rng(0)
    for step in range(10, 501, 10):
        watcher.update(step, train_loss=1.0 + 3.0 * step**-0.3 + 0.01 * rng.standard_normal())
        if step % 50 == 0:
            watcher.update(step, val_loss=2.0 + 3.0 * step**-0.5 + 0.005 * rng.standard_normal())
    (_, *half), (median, *most) = (watcher.best_step(level) for level in (0.5, 0.9))
    assert most[0] < half[0] < median < half[1] <= most[1]


def test_a_fresh_watcher_was_told_the_same() -> None:
    told: dict[str, Any] = {
        "schedule": Schedule.cosine(400),
        "num_params": 1e6,
        "batch_tokens": 1e4,
        "dataset_tokens": 1e6,
        "epoch_steps": 50.0,
        "prior": Prior(drop_error=0.1),
        "law": Chinchilla(),
        "decisions": (Never(),),
    }
    fresh = fed(Watcher(**told), power_run(20)).fresh()
    assert {name: getattr(fresh, name) for name in told} == told
    held = Watcher(horizon=400, num_params=124e6, lr_held=True)
    ahead = [fed(watcher, power_run(100)).forecast().interval(0.9) for watcher in (held, held.fresh())]
    assert ahead[0] == ahead[1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["horizon", "num_params", "batch_tokens", "dataset_tokens", "epoch_steps"])
def test_settings_may_be_numpys_numbers(kind: Any, name: str) -> None:
    """As ``sum`` over an array of sizes gives them."""
    watcher = Watcher(**{name: kind(7)})
    assert getattr(watcher, name) == 7
    assert type(getattr(watcher, name)) in (int, float)


def test_steps_that_begin_anew_with_each_epoch_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    watcher = Watcher(horizon=1000)
    for _ in range(20):
        for step in range(1, 41):
            watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "count on from epoch to epoch" in caplog.text


def test_a_run_past_its_horizon_says_so_and_one_without_has_no_end() -> None:
    short, endless = Watcher(horizon=10), Watcher()
    for step in range(1, 201):
        short.update(step, train_loss=2.0 + 3.0 * step**-0.5)
        endless.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    assert "past its horizon, which counts optimizer steps, not epochs: 10 were planned" in short.verdict.message
    assert "no forecast of the end, for no horizon is known" in endless.verdict.message


def test_a_short_plan_may_be_one_of_epochs_which_are_no_first_steps() -> None:
    """A hundred passes over images: what language models do in their first hundred steps is no guide."""

    def forecast(horizon: int) -> float:
        watcher = Watcher(schedule=Schedule.constant(horizon), num_params=25e6)
        return float(fed(watcher, power_run(30)).forecast(at=100).median)

    assert forecast(400) == pytest.approx(forecast(450))
    assert forecast(5000) < 0.998 * forecast(400)
