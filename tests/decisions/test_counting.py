"""Rules that count validations: patience and Prechelt's criteria."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from curvecast import (
    Decision,
    Finding,
    GeneralizationLoss,
    Never,
    Overfitting,
    Patience,
    ProgressQuotient,
    Reason,
    SuccessiveRises,
    View,
    Watcher,
)
from curvecast.decisions.patience import waited
from curvecast.decisions.prechelt import generalization_loss, progress, successive_rises
from curvecast.decisions.validations import KEPT, Recent, Validations

DOWN = [5.0, 4.0, 3.0, 2.5, 2.2]


def recent(val: list[float], train: list[float] | None = None) -> Recent:
    return Recent(np.array(val), np.array(train if train is not None else [1.0] * len(val)))


def judged(decision: Decision, val: list[float]) -> Watcher:
    """One train loss and one validation a step; the watcher decides at every one of the first 25."""
    watcher = Watcher(horizon=100, decisions=[decision])
    for step, loss in enumerate(val, 3):
        watcher.update(step, train_loss=1.0 + 1.0 / step, val_loss=loss)
    return watcher


@pytest.mark.parametrize(
    ("val", "min_delta", "count"),
    [
        ([3.0], 0.0, 0),
        ([3.0, 2.0, 1.0], 0.0, 0),
        ([3.0, 2.0, 2.0, 2.1], 0.0, 2),
        ([3.0, 2.0, 1.99, 1.98, 1.97], 0.05, 3),
        ([3.0, 2.0, 2.5, 1.9], 0.0, 0),
    ],
)
def test_patience_counts_validations_without_improvement(val: list[float], min_delta: float, count: int) -> None:
    assert waited(recent(val), min_delta) == count


def test_what_fell_out_of_memory_still_counts_as_the_best() -> None:
    seen = Validations()
    for loss in [1.0] + [2.0] * (KEPT + 10):
        seen.add(loss)
    assert len(seen.recent()) == KEPT
    assert waited(seen.recent()) == KEPT
    assert generalization_loss(seen.recent()) == pytest.approx(100.0)


def test_prechelts_criteria_are_what_his_formulas_give() -> None:
    assert generalization_loss(recent([2.0, 1.0, 1.1])) == pytest.approx(10.0)
    assert progress(recent([1.0] * 4, [9.0, 1.2, 1.1, 1.0]), 3) == pytest.approx(100.0)
    assert [successive_rises(recent(val), 1) for val in ([1.0], DOWN, [2.0, 1.0, 1.5, 1.7], [1.0, 2.0, 3.0])] == [
        0,
        0,
        2,
        2,
    ]


@pytest.mark.parametrize(
    ("decision", "rising"),
    [
        (GeneralizationLoss(alpha=5.0), 0.1),
        (ProgressQuotient(alpha=0.05, strip=5), 0.2),
        (SuccessiveRises(strips=3, strip=2), 0.05),
        (Patience(5), 0.02),
    ],
)
def test_they_fire_on_what_rises_and_never_on_what_falls(decision: Decision, rising: float) -> None:
    falling = [5.0 * 0.95**k for k in range(22)]
    up = DOWN + [2.2 + rising * k for k in range(1, 16)]
    watcher = judged(decision, up)
    assert watcher.verdict.reason is Reason.NO_IMPROVEMENT
    assert watcher.verdict.probability == 1.0
    assert [choice.name for choice in watcher.verdict.choices] == ["go_back", "go_on"]
    assert judged(decision, falling).verdict.reason is Reason.ON_TRACK


class Always:
    """Fires at once, so that what wraps it can be seen to wait."""

    def decide(self, view: View) -> Finding:
        return Finding(Reason.PLATEAU, 0.99, True, "enough")


def test_patience_around_another_waits_and_then_lets_it_speak() -> None:
    waiting = judged(Patience(5, of=Always()), DOWN + [2.3] * 9)
    assert waiting.verdict.reason is Reason.PLATEAU
    patient = judged(Patience(20, of=Always()), DOWN + [2.3] * 9)
    assert patient.verdict.reason is Reason.ON_TRACK
    assert judged(Patience(3, of=Never()), DOWN + [2.3] * 9).verdict.reason is Reason.ON_TRACK


def test_no_training_progress_is_said_in_words() -> None:
    watcher = Watcher(decisions=[ProgressQuotient()])
    for step in range(1, 41):
        watcher.update(step, train_loss=1.5, val_loss=2.0 + abs(step - 20) / 100)
    assert "% above its lowest, and training makes no progress" in watcher.verdict.message


@pytest.mark.parametrize("decision", [GeneralizationLoss(), ProgressQuotient(), SuccessiveRises(), Patience()])
def test_without_a_validation_there_is_nothing_to_count(decision: Decision) -> None:
    watcher = Watcher(horizon=100, decisions=[decision])
    for step in range(1, 40):
        watcher.update(step, train_loss=2.0 + 1.0 / step)
    assert watcher.verdict.reason is Reason.ON_TRACK


@pytest.mark.parametrize("val", [[-1.0, -2.0, -1.5], [0.0] * 3])
def test_losses_that_are_not_positive_have_no_ratio(val: list[float]) -> None:
    assert judged(GeneralizationLoss(), val * 6).verdict.reason is Reason.ON_TRACK


def test_the_state_holds_what_was_counted() -> None:
    val = DOWN + [2.3] * 7
    whole = judged(Patience(9), val)
    half = Watcher(horizon=100, decisions=[Patience(9)])
    half.load_state_dict(whole.state_dict())
    for watcher in (whole, half):
        for step in (20, 21, 22):
            watcher.update(step, train_loss=1.0, val_loss=2.4)
    assert half.verdict.reason is Reason.NO_IMPROVEMENT
    assert half.verdict.message == whole.verdict.message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GeneralizationLoss(alpha=0.0), "`alpha` must be positive: got 0"),
        (lambda: ProgressQuotient(strip=0), "`strip` must be a whole number from 1 to 255: got 0"),
        (lambda: SuccessiveRises(strips=100, strip=5), "`strip` must be a whole number from 1 to 2: got 5"),
        (lambda: Patience(0), "`checks` must be a whole number from 1 to 255: got 0"),
        (lambda: Patience(3, min_delta=-1.0), "`min_delta` must not be negative: got -1"),
        (lambda: Overfitting(min_rise=-0.1), "`min_rise` must not be negative: got -0.1"),
        (lambda: Overfitting(min_points=2), "`min_points` must be at least 3: got 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_patience_wraps_decisions_only() -> None:
    with pytest.raises(TypeError, match="`of` must be a decision or None: got 'overfitting'"):
        Patience(3, of="overfitting")  # type: ignore[arg-type]
