from __future__ import annotations

import numpy as np
import pytest

from curvecast import Choice, Overfitting, Plateau, Reason, Schedule, TargetOutOfReach, Verdict, Watcher
from curvecast.decisions.pace import Pace
from curvecast.notation import duration
from curvecast.state import dump_verdict, load_verdict
from tests.conftest import cosine, power_run


def seen(watcher: Watcher, steps: int, **more: float) -> Verdict:
    for step, loss in enumerate(power_run(steps), 1):
        watcher.update(step, train_loss=loss, **{name: each * step for name, each in more.items()})
    return watcher.verdict


def constant(**settings: float) -> Watcher:
    return Watcher(schedule=Schedule.constant(4000), num_params=1e6, batch_tokens=1e4, **settings)  # type: ignore[arg-type]


def test_every_verdict_carries_the_choices() -> None:
    """On track or not: stop, cool down, go on, each with what it ends at and what it takes."""
    for decisions in ([], [TargetOutOfReach(1.0)]):
        watcher = Watcher(
            schedule=Schedule.constant(4000),
            num_params=1e6,
            batch_tokens=1e4,
            decisions=decisions,
        )
        verdict = seen(watcher, 2000, seconds=0.5)
        stop, cool, go = verdict.choices
        assert [choice.name for choice in verdict.choices] == ["stop", "cool_down", "go_on"]
        assert (stop.steps, go.steps) == (0, 4000 - verdict.step)
        assert go.flops == pytest.approx(6e10 * go.steps)
        assert cool.seconds == pytest.approx(0.5 * cool.steps)
        assert cool.loss < stop.loss
        assert all(choice.lower < choice.loss < choice.upper for choice in verdict.choices)


def test_choices_are_the_watchers_forecasts() -> None:
    watcher = constant()
    seen(watcher, 2000)
    stop, cool, go = watcher.choices(cooldown=300)
    cooled = watcher.schedule.cooldown(start=2000, steps=300)  # type: ignore[union-attr]
    assert stop.loss == pytest.approx(float(watcher.forecast(at=2000).median))
    assert go.loss == pytest.approx(float(watcher.forecast().median))
    assert cool.loss == pytest.approx(float(watcher.forecast(at=2300, schedule=cooled).median))


def test_a_longer_cooldown_is_not_chosen_where_a_shorter_brings_nearly_as_much() -> None:
    watcher = constant()
    seen(watcher, 2000)
    chosen = watcher.choices()[1]
    losses = {k: watcher.choices(cooldown=k)[1].loss for k in (40, 100, 200, 400)}
    here, best = watcher.choices()[0].loss, min(losses.values())
    enough = [k for k, loss in losses.items() if loss <= best + 0.1 * (here - best) + 1e-3]
    assert chosen.steps == min(enough)


def test_a_cooldown_of_no_step_is_refused() -> None:
    watcher = constant()
    seen(watcher, 100)
    with pytest.raises(ValueError, match="`cooldown` must be at least 1 step: got 0"):
        watcher.choices(cooldown=0)


def test_in_a_decay_the_rest_of_it_is_named_and_no_cooldown_offered() -> None:
    watcher = Watcher(schedule=cosine(2000), decisions=[TargetOutOfReach(1.0)])
    verdict = seen(watcher, 1700)
    assert [choice.name for choice in verdict.choices] == ["stop", "go_on"]
    stop, go = verdict.choices
    assert verdict.details["rest_of_decay"] == pytest.approx(stop.loss - go.loss)
    assert "the rest of the decay still brings" in verdict.message


def test_a_decay_that_brings_nothing_is_said_to_bring_nothing() -> None:
    watcher = Watcher(schedule=cosine(2000), decisions=[TargetOutOfReach(0.1)])
    for step in range(1, 1701):
        verdict = watcher.update(step, 0.7 + 1e-3 * (-1) ** step)
    assert "the rest of the decay still brings nothing to speak of" in verdict.message
    assert f"the train loss ends above the target, 0.1, with probability 1.00: {verdict.forecast} at" in verdict.message


def test_before_a_decay_it_is_not_spoken_of() -> None:
    verdict = seen(Watcher(schedule=Schedule.wsd(4000, decay=0.2), decisions=[TargetOutOfReach(1.0)]), 2000)
    assert "rest_of_decay" not in verdict.details


def test_overfitting_offers_the_way_back_and_no_cooldown() -> None:
    watcher = Watcher(schedule=Schedule.constant(4000), decisions=[Overfitting()])
    for step in range(25, 2001, 25):
        turned = 0.2 * max(0.0, (step / 500) ** 0.5 - 1.0)
        watcher.update(step, train_loss=3.0 * step**-0.3, val_loss=3.0 * step**-0.3 + turned)
    verdict = watcher.verdict
    assert verdict.reason is Reason.OVERFITTING
    back, go = verdict.choices
    assert (back.name, back.step, back.loss) == ("go_back", verdict.details["best_step"], verdict.details["best_loss"])
    assert go.name == "go_on"
    assert go.loss > 1.02 * back.loss  # as the rate of exchange has it; the law that both share would promise less
    assert "cool down" not in verdict.message
    assert f"Go back to step {back.step}" in verdict.message


def test_without_a_plan_overfitting_still_names_the_way_back() -> None:
    watcher = Watcher(decisions=[Overfitting()])
    for step in range(25, 2001, 25):
        turned = 0.2 * max(0.0, (step / 500) ** 0.5 - 1.0)
        watcher.update(step, train_loss=3.0 * step**-0.3, val_loss=3.0 * step**-0.3 + turned)
    (back,) = watcher.verdict.choices
    assert (back.name, back.step) == ("go_back", watcher.verdict.details["best_step"])
    assert watcher.verdict.message.endswith(f" Go back to step {back.step}: {back.loss:.4g}.")


def test_a_cooldown_that_is_the_rest_of_the_plan_is_not_offered_beside_it() -> None:
    """A hundred steps before its end this plan's own decay begins, which a cooldown could but repeat."""
    watcher = Watcher(schedule=Schedule.wsd(1100, warmup=10, decay=100, shape="linear"))
    for step in range(1, 1001):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    assert [choice.name for choice in watcher.choices()] == ["stop", "go_on"]
    assert [choice.name for choice in watcher.choices(100)] == ["stop", "cool_down", "go_on"]


def test_a_finished_run_has_no_choice() -> None:
    watcher = Watcher(horizon=498, decisions=[Plateau()])  # at which a verdict is due
    verdict = seen(watcher, 498)
    assert verdict.step == 498
    assert verdict.choices == watcher.choices() == ()


def test_choices_survive_the_state() -> None:
    watcher = constant()
    verdict = seen(watcher, 1000, seconds=2.0)
    again = load_verdict(dump_verdict(verdict))
    assert again.choices == verdict.choices
    assert Choice.from_dict(verdict.choices[0].to_dict()) == verdict.choices[0]
    other = constant()
    other.load_state_dict(watcher.state_dict())
    assert other.choices() == watcher.choices()


@pytest.mark.parametrize("clock", [float("nan"), float("inf"), "soon"])
def test_a_clock_that_is_none_is_left_out(clock: float) -> None:
    watcher = constant()
    seen(watcher, 200)
    watcher.update(201, train_loss=2.5, seconds=clock)
    assert watcher.choices()[-1].seconds is None


def test_pace_outlives_a_resume() -> None:
    pace, again = Pace(), Pace()
    pace.add(1, 0.0)
    pace.add(11, 20.0)
    again.load_state_dict(pace.state_dict())
    again.add(12, 0.5)  # the clock began anew
    again.add(22, 20.5)
    assert again.seconds == pytest.approx(2.0)


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in np.array([0.0, 119.0, 121.0, 7200.0, 172_800.0])] == [
        "0 s",
        "119 s",
        "2 min",
        "2 h",
        "2 days",
    ]
