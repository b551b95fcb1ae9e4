from __future__ import annotations

import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

from curvecast import Decision, Divergence, Never, Patience, Plateau, Prior, Reason, Schedule, Verdict, Watcher
from curvecast.testing import SimulatedRun
from tests.conftest import cosine, feed, power_run


def essence(verdict: Verdict) -> tuple[object, ...]:
    """All that a verdict says, for exact comparison."""
    ahead = verdict.forecast
    numbers = None if ahead is None else (ahead.step, ahead.median, ahead.interval(0.9), ahead.std)
    return verdict.reason, verdict.step, verdict.probability, verdict.message, dict(verdict.details), numbers


@pytest.mark.parametrize("stop", [5, 12, 77, 400, 641, 799])
def test_resume_equals_uninterrupted(run: SimulatedRun, stop: int) -> None:
    def fresh() -> Watcher:
        return Watcher(schedule=run.schedule, num_params=1e6, batch_tokens=1e4)

    whole = fresh()
    expected = [essence(verdict) for verdict in feed(whole, run)]
    first, second = fresh(), fresh()
    got = [essence(verdict) for verdict in feed(first, run, until=stop)]
    second.load_state_dict(first.state_dict())
    assert essence(second.verdict) == essence(first.verdict)
    got += [essence(verdict) for verdict in feed(second, run, after=stop)]
    assert got == expected
    assert second.forecast().median == whole.forecast().median


def test_a_learnt_schedule_survives_the_state() -> None:
    plan = cosine(2000)
    losses = power_run(1000)
    whole, first = Watcher(horizon=2000), Watcher(horizon=2000)
    for step, loss in enumerate(losses, 1):
        whole.update(step, train_loss=loss, lr=3e-4 * plan.lr(step))
        if step <= 500:
            first.update(step, train_loss=loss, lr=3e-4 * plan.lr(step))
    second = Watcher(horizon=2000)
    second.load_state_dict(first.state_dict())
    for step, loss in enumerate(losses[500:], 501):
        second.update(step, train_loss=loss, lr=3e-4 * plan.lr(step))
    assert essence(second.verdict) == essence(whole.verdict)


def test_state_is_plain() -> None:
    """What ``torch.load(weights_only=True)`` takes: no numpy, no classes of ours."""
    watcher = Watcher(horizon=2000)
    for step, loss in enumerate(power_run(300), 1):
        watcher.update(step, np.float64(loss), np.float32(loss), lr=1e-3)  # type: ignore[arg-type]

    def check(value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                check(key)
                check(item)
        elif isinstance(value, list):
            for item in value:
                check(item)
        else:
            assert type(value) in (int, float, str, bool, type(None)), type(value)

    check(watcher.state_dict())


def test_a_watcher_and_its_verdict_print_in_a_few_lines() -> None:
    watcher = Watcher(horizon=2000)
    for step, loss in enumerate(power_run(600), 1):
        verdict = watcher.update(step, loss)
    assert repr(watcher) == "Watcher(step=600, horizon=2000, verdict='on_track')"
    assert verdict.message in repr(verdict)
    assert f"forecast={verdict.forecast!r}" in repr(verdict)
    assert len(repr(verdict)) < 1000


def test_state_of_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="`state` must have schema 1: got 99"):
        Watcher().load_state_dict({"schema": 99})


def test_memory_is_bounded() -> None:
    """Below 1 MB, and it does not grow with the steps: what a watcher holds is what it pickles to."""
    watcher = Watcher(horizon=10**6, decisions=[Never()])
    sizes = []
    for decade in range(2):
        for step in range(10 ** (4 + decade) + 1 if decade else 1, 10 ** (5 + decade) + 1):
            watcher.update(step, train_loss=2.0 + 3.0 * step**-0.3, lr=1e-3)
        sizes.append(len(pickle.dumps(watcher)))
    assert max(sizes) < 1_000_000
    assert sizes[1] - sizes[0] < 10_000  # one decade of bins


def test_refits_count_samples_not_questions(run: SimulatedRun) -> None:
    watcher = Watcher(schedule=run.schedule)
    decided = {verdict.step for verdict in feed(watcher, run) if verdict.forecast is not None}
    assert 30 < len(decided) < 200


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_non_finite_losses_become_divergence(loss: float) -> None:
    watcher = Watcher(horizon=1000)
    for step, finite in enumerate(power_run(300), 1):
        watcher.update(step, train_loss=finite)
    reasons = [watcher.update(300 + i, train_loss=loss).reason for i in range(1, 7)]
    assert reasons == [Reason.ON_TRACK] * 4 + [Reason.DIVERGED] * 2
    assert watcher.verdict.should_stop
    assert watcher.verdict.forecast is not None  # what was forecast before it blew up


def test_nan_from_the_first_step_is_divergence_too() -> None:
    watcher = Watcher(horizon=1000)
    for step in range(1, 7):
        watcher.update(step, train_loss=math.nan)
    assert watcher.verdict.reason is Reason.DIVERGED


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


@pytest.mark.parametrize("loss", [math.nan, math.inf, 1e155, -1e200, 1e308, 1e-310, -1e-310, 0.0])
@pytest.mark.parametrize("decisions", [None, [Never()], []])
@pytest.mark.parametrize("before", [0, 5, 300])
def test_no_loss_whatever_makes_update_raise(loss: float, decisions: list[Decision] | None, before: int) -> None:
    watcher = Watcher(horizon=1000, decisions=decisions)
    for step, finite in enumerate(power_run(before), 1):
        watcher.update(step, train_loss=finite)
    for step in range(before + 1, before + 30):
        watcher.update(step, train_loss=loss, val_loss=loss if step % 3 else 1.0)


@pytest.mark.parametrize(("spike", "height"), [(5, 50.0), (20, 10.0), (5, 1e4)])
def test_an_early_spike_leaves_no_mark(spike: int, height: float) -> None:
    spiked, smooth = Watcher(horizon=3000), Watcher(horizon=3000)
    for step, loss in enumerate(power_run(1000), 1):
        smooth.update(step, train_loss=loss)
        spiked.update(step, train_loss=loss + height * (250 <= step < 250 + spike))
    inside = smooth.forecast()
    assert spiked.forecast().median == pytest.approx(inside.median, abs=0.3 * float(inside.std))


def test_a_rise_early_in_the_run_is_no_divergence() -> None:
    """A fine-tuned model: the warm-up first spoils it."""
    watcher = Watcher(horizon=3000)
    reasons = set()
    for step in range(1, 1501):
        loss = 1.0 + 1.5 * min(step / 60, 1.0) * math.exp(-max(step - 60, 0) / 200) + 0.5 * step**-0.3
        reasons.add(str(watcher.update(step, train_loss=loss + 0.002 * math.sin(7 * step)).reason))
    assert "diverged" not in reasons
    assert watcher.bins().count.sum() > 1300


def test_another_set_of_validation_losses_is_no_divergence() -> None:
    watcher = Watcher(horizon=3000)
    for step in range(25, 2001, 25):
        losses = {"a": 2.0 + 3.0 * step**-0.4} if step % 150 == 25 else {"b": 9.0}
        assert watcher.update(step, val_loss=losses).reason is not Reason.DIVERGED
    assert watcher.bins("val").count.sum() == 14


def test_a_state_brings_no_settings_with_it() -> None:
    patient = Watcher(horizon=1000, decisions=[Divergence(patience=50)])
    patient.load_state_dict(Watcher(horizon=1000).state_dict())
    for step in range(1, 40):
        patient.update(step, train_loss=math.nan)
    assert patient.verdict.reason is not Reason.DIVERGED


@pytest.mark.parametrize("steps", [[], [1], [0, -3], [5, 5, 5, 4, 3]])
def test_too_few_or_useless_steps_are_not_enough_data(steps: list[int]) -> None:
    watcher = Watcher(horizon=100)
    for step in steps:
        watcher.update(step, train_loss=1.0)
    assert watcher.verdict.reason is Reason.NOT_ENOUGH_DATA
    assert not watcher.verdict.should_stop


def test_steps_that_repeat_or_go_back_are_left_out() -> None:
    straight, jumpy = Watcher(horizon=2000), Watcher(horizon=2000)
    for step, loss in enumerate(power_run(400), 1):
        straight.update(step, train_loss=loss)
        jumpy.update(step, train_loss=loss)
        jumpy.update(step, train_loss=99.0)
        jumpy.update(max(step - 7, 1), train_loss=-99.0)
    assert straight.state_dict() == jumpy.state_dict()


def test_a_million_samples_in_one_bin_stay_one_bin() -> None:
    watcher = Watcher()
    for step in range(10**9, 10**9 + 10**5):
        watcher.update(step, train_loss=2.0)
    assert len(watcher.bins("train")) == 1
    assert watcher.forecast().median == pytest.approx(2.0, rel=0.01)


def test_zero_learning_rate_throughout_counts_steps() -> None:
    watcher = Watcher(horizon=1000)
    for step, loss in enumerate(power_run(300), 1):
        watcher.update(step, train_loss=loss, lr=0.0)
    assert math.isfinite(float(watcher.forecast().median))
    assert Watcher(schedule=Schedule([1, 100], [0.0, 0.0])).horizon == 100


def test_a_horizon_already_passed_forecasts_the_present() -> None:
    watcher = Watcher(horizon=100)
    for step, loss in enumerate(power_run(300), 1):
        watcher.update(step, train_loss=loss)
    assert watcher.forecast().step == 300
    assert not watcher.verdict.should_stop


def test_an_unknown_horizon_forecasts_the_present_and_any_step_asked_for() -> None:
    watcher = Watcher()
    for step, loss in enumerate(power_run(300), 1):
        watcher.update(step, train_loss=loss)
    assert watcher.forecast().step == 300
    assert 2.0 + 3.0 * 1200**-0.4 in watcher.forecast(at=1200).interval(0.95)


def test_a_schedule_shorter_than_the_run_holds_its_last_rate() -> None:
    watcher = Watcher(schedule=Schedule.constant(100), horizon=1000)
    for step, loss in enumerate(power_run(300), 1):
        watcher.update(step, train_loss=loss)
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


def test_whatever_a_loop_has_at_hand_is_a_number() -> None:
    import torch

    plain, odd = Watcher(horizon=1000), Watcher(horizon=1000)
    for step, loss in enumerate(power_run(200), 1):
        tensor = torch.tensor(loss, dtype=torch.float64, requires_grad=True)
        plain.update(step, train_loss=loss)
        odd.update(step, train_loss=(tensor, np.array([loss]), np.float64(loss))[step % 3])  # type: ignore[arg-type]
    assert plain.state_dict() == odd.state_dict()
    for strange in (None, "x", object(), np.zeros(3), 10**400):
        odd.update(201, val_loss={"a": strange})  # type: ignore[dict-item]
    odd.update(10**400, train_loss=1.0)
    assert odd.step == 201


@pytest.mark.parametrize("error", [AttributeError, ZeroDivisionError, AssertionError, MemoryError, LookupError])
@pytest.mark.parametrize("method", ["__float__", "item"])
def test_what_fails_to_become_a_number_ends_no_run(method: str, error: type[Exception]) -> None:
    def fails(_: object) -> float:
        raise error("not here")

    strange = type("Strange", (), {method: fails})()
    watcher = Watcher(horizon=1000)
    for step, loss in enumerate(power_run(100), 1):
        watcher.update(step, train_loss=loss, lr=strange, tokens=strange, seconds=strange, critical_batch=strange)
    watcher.update(strange, train_loss=1.0)
    verdict = watcher.update(101, train_loss=strange, val_loss={"a": strange})
    assert (watcher.step, verdict.reason) == (101, Reason.ON_TRACK)


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


def test_a_garbled_state_leaves_the_watcher_as_it_was(run: SimulatedRun) -> None:
    watcher = Watcher(schedule=run.schedule)
    list(feed(watcher, run))
    before = watcher.state_dict()
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        watcher.load_state_dict({**before, "step": 77, "train": {}})
    assert watcher.state_dict() == before


@pytest.mark.parametrize("name", ["horizon", "num_params", "batch_tokens", "dataset_tokens"])
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


def test_a_watcher_is_picklable(run: SimulatedRun) -> None:
    watcher = Watcher(schedule=run.schedule)
    list(feed(watcher, run))
    assert pickle.loads(pickle.dumps(watcher)).forecast().median == watcher.forecast().median


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


@pytest.mark.parametrize("step", ["soon", None, float("nan"), [1, 2], {}])
def test_a_step_that_is_no_number_is_left_out(step: Any) -> None:
    watcher = Watcher(horizon=100)
    assert watcher.update(step, train_loss=2.0) == watcher.verdict
    assert watcher.step == 0


def test_another_future_that_is_none_is_told() -> None:
    watcher = Watcher(horizon=200)
    for step in range(1, 101):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    bad: Any = "cosine"
    with pytest.raises(TypeError, match=r"`schedule` must be a curvecast\.Schedule or None: got 'cosine'"):
        watcher.forecast(schedule=bad)
    for cooldown in (0, float("nan"), "soon"):
        with pytest.raises(ValueError, match="`cooldown` must be at least 1 step"):
            watcher.choices(cooldown=cooldown)  # type: ignore[arg-type]


def test_a_step_far_ahead_is_held_for_a_mistake_until_it_goes_on() -> None:
    watcher, clean = Watcher(horizon=2000), Watcher(horizon=2000)
    for step, loss in enumerate(power_run(1000), 1):
        if step == 500:
            watcher.update(10**12, train_loss=loss, val_loss=loss)
        watcher.update(step, train_loss=loss)
        clean.update(step, train_loss=loss)
    assert watcher.step == 1000
    assert watcher.forecast().median == clean.forecast().median
    late = Watcher()
    for step in range(3_000_000, 3_000_100):  # a resumed run begins where it is
        late.update(step, train_loss=2.0)
    assert late.step == 3_000_099


def test_true_is_no_horizon() -> None:
    with pytest.raises(TypeError, match="`horizon` must be a number or None: got True"):
        Watcher(horizon=True)


def seen(steps: int, **settings: Any) -> Watcher:
    """A watcher of a power law."""
    watcher = Watcher(**settings)
    for step in range(1, steps + 1):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5, lr=3e-4)
    return watcher


class TestCoolDown:
    def test_the_forecast_is_nearly_that_of_the_choice(self) -> None:
        watcher = seen(500, schedule=Schedule.constant(1000))
        offered = next(choice for choice in watcher.choices(50) if choice.name == "cool_down")
        assert watcher.cool_down(50) == offered
        ahead = watcher.forecast()
        assert ahead.step == offered.step == 550
        assert abs(float(ahead.median) - offered.loss) < 0.2 * (
            offered.upper - offered.lower
        )  # the fit knows the new end

    @pytest.mark.parametrize("settings", [{"horizon": 1000}, {}])
    def test_it_needs_no_schedule_and_no_horizon(self, settings: dict[str, Any]) -> None:
        watcher = seen(500, **settings)
        choice = watcher.cool_down()
        assert choice is not None
        assert watcher.horizon == choice.step
        assert watcher.schedule is not None
        assert watcher.schedule.lr(choice.step) == 0.0

    @pytest.mark.parametrize(
        "settings", [{"schedule": Schedule.linear(520)}, {"schedule": Schedule.constant(500)}, {"horizon": 400}]
    )
    def test_where_none_makes_sense_the_plan_stays(self, settings: dict[str, Any]) -> None:
        watcher = seen(500, **settings)
        before = watcher.horizon, watcher.schedule
        assert watcher.cool_down() is None
        assert (watcher.horizon, watcher.schedule) == before

    def test_the_state_goes_on_with_it_and_an_earlier_one_goes_back(self) -> None:
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


def test_a_state_from_before_some_was_kept_loads() -> None:
    watcher = Watcher(horizon=500)
    for step in range(1, 101):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    state = watcher.state_dict()
    older = {key: kept for key, kept in state.items() if key not in ("jumped", "trade", "critical_batch", "cooling")}
    older["alarm"] = {key: kept for key, kept in state["alarm"].items() if key != "rising"}
    other = Watcher(horizon=500)
    for step in range(1, 101):
        other.update(step, train_loss=5.0 - 3.0 * step**-0.5)
    assert other.state_dict()["alarm"]["rising"]
    other.load_state_dict(older)
    assert repr(other.state_dict()) == repr(state)


@pytest.mark.parametrize("steps", [0, 1.5, math.nan, math.inf, "5 steps", [5], 10**400])
def test_a_cooldown_has_whole_steps(run: SimulatedRun, steps: Any) -> None:
    watcher = Watcher(schedule=run.schedule)
    list(feed(watcher, run))
    for ask in (watcher.cool_down, watcher.choices):
        with pytest.raises(ValueError, match=r"must be at least 1 step: got .* Pass a whole"):
            ask(steps)


@pytest.mark.parametrize(
    "garbled",
    [
        {"alarm": None},
        {"alarm": {"height": None}},
        {"alarm": {"spikes": 10**400}},
        {"alarm": {"high": []}},
        {"step": "x"},
        {"step": 10**400},
        {"tokens": []},
        {"critical_batch": "x"},
        {"offered": []},
        {"offered": "x"},
        {"jumped": "x"},
        {"cooling": 5},
        {"cooling": {"schedule": {"steps": [1, 9], "lr": [1, 0]}, "total": 0.0}},
        {"cooling": {"schedule": {"steps": [1, 9], "lr": [1, 0]}, "total": math.nan}},
    ],
    ids=lambda garbled: str(garbled)[:30],
)
def test_no_garbled_part_of_a_state_is_taken_over(run: SimulatedRun, garbled: dict[str, Any]) -> None:
    watcher = Watcher(schedule=run.schedule)
    list(feed(watcher, run))
    before = watcher.state_dict()
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        watcher.load_state_dict({**before, **garbled})
    assert watcher.state_dict() == before


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("validations", "open", [0.0, "x"]),
        ("pace", "of", ["x", 0.0]),
        ("train", "total", 2),
        ("train", "total", None),
        ("train", "edge", "x"),
        ("val", "last_step", []),
        ("val", "open", [1.0, 1.0, 3.0, 0.0]),
        ("train", "rows", [[1.0, 1.0, "x", 0.0]]),
    ],
)
def test_no_garbled_number_beside_the_losses_is_taken_over(part: str, name: str, value: object) -> None:
    watcher = Watcher(horizon=100)
    watcher.update(1, 3.0, seconds=1.0)
    before = watcher.state_dict()
    for garbled in ({part: {**before[part], name: value}}, {"rates": {**before["rates"], "lr": "x"}}):
        with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
            watcher.load_state_dict({**before, **garbled})
    assert watcher.state_dict() == before


def test_no_number_that_is_told_is_too_large_for_a_verdict() -> None:
    watcher = Watcher(horizon=200, num_params=1e6, batch_tokens=1e4)
    with warnings.catch_warnings(action="error"):
        for step in range(1, 101):
            lr = 1e-320 * min(step, 50)
            verdict = watcher.update(step, 2.0 + 3.0 * step**-0.5, lr=lr, seconds=4e306 * step, critical_batch=1e308)
    assert not any(math.isnan(value) for value in verdict.details.values())
    choices = watcher.choices()
    assert choices
    assert all(choice.seconds is None or math.isfinite(choice.seconds) for choice in choices)


def test_a_forecast_of_no_step_or_loss_is_told_whatever_it_is() -> None:
    watcher = Watcher(horizon=200)
    for step, loss in enumerate(power_run(100), 1):
        watcher.update(step, loss)
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["horizon", "num_params", "batch_tokens", "dataset_tokens"])
def test_settings_may_be_numpys_numbers(kind: Any, name: str) -> None:
    """As ``sum`` over an array of sizes gives them."""
    watcher = Watcher(**{name: kind(7)})
    assert getattr(watcher, name) == 7
    assert type(getattr(watcher, name)) in (int, float)


@pytest.mark.parametrize("state", [None, 5, []])
def test_what_is_no_state_at_all_is_told(state: Any) -> None:
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        Watcher().load_state_dict(state)


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
