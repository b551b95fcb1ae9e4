from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from curvecast import Divergence, Forecast, Never, Reason, Verdict, Watcher
from curvecast.testing import SimulatedRun, simulate
from tests.conftest import cosine, feed, power_run

NO_MARK = [0, [0.0, 0.0, 0.0, 0.0], 0, 0]


def essence(verdict: Verdict) -> tuple[object, ...]:
    """All that a verdict says, for exact comparison."""
    ahead = verdict.forecast
    numbers = None if ahead is None else (ahead.step, ahead.median, ahead.interval(0.9), ahead.std)
    return verdict.reason, verdict.step, verdict.probability, verdict.message, dict(verdict.details), numbers


def sized(run: SimulatedRun) -> Watcher:
    return Watcher(schedule=run.schedule, num_params=1e6, batch_tokens=1e4)


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[list[tuple[object, ...]], Forecast]:
    """All that is said of ``run``, and the forecast at its end."""
    run = simulate(1)
    whole = sized(run)
    return [essence(verdict) for verdict in feed(whole, run)], whole.forecast()


@pytest.mark.parametrize("stop", [5, 12, 77, 400, 641, 799])
def test_resume_equals_uninterrupted(
    run: SimulatedRun, uninterrupted: tuple[list[tuple[object, ...]], Forecast], stop: int
) -> None:
    expected, ahead = uninterrupted
    first, second = sized(run), sized(run)
    got = [essence(verdict) for verdict in feed(first, run, until=stop)]
    second.load_state_dict(first.state_dict())
    assert essence(second.verdict) == essence(first.verdict)
    got += [essence(verdict) for verdict in feed(second, run, after=stop)]
    assert got == expected
    assert second.forecast().median == ahead.median


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


def test_state_of_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="`state` must have schema 1: got 99"):
        Watcher().load_state_dict({"schema": 99})


def test_memory_is_bounded() -> None:
    """Below 1 MB, and it does not grow with the steps: what a watcher holds is what it pickles to."""
    watcher = Watcher(horizon=10**6, decisions=[Never()])
    sizes = []
    for first, last in ((1, 10**5), (10**5 + 1, 3 * 10**5)):
        for step in range(first, last + 1):
            watcher.update(step, train_loss=2.0 + 3.0 * step**-0.3, lr=1e-3)
        sizes.append(len(pickle.dumps(watcher)))
    assert max(sizes) < 1_000_000
    assert sizes[1] - sizes[0] < 10_000  # half a decade of bins


def test_a_state_brings_no_settings_with_it() -> None:
    patient = Watcher(horizon=1000, decisions=[Divergence(patience=50)])
    patient.load_state_dict(Watcher(horizon=1000).state_dict())
    for step in range(1, 40):
        patient.update(step, train_loss=math.nan)
    assert patient.verdict.reason is not Reason.DIVERGED


def test_a_garbled_state_leaves_the_watcher_as_it_was(followed: Watcher) -> None:
    before = followed.state_dict()
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        followed.load_state_dict({**before, "step": 77, "train": {}})
    assert followed.state_dict() == before


def test_a_watcher_is_picklable(run: SimulatedRun) -> None:
    watcher = Watcher(schedule=run.schedule)
    list(feed(watcher, run))
    assert pickle.loads(pickle.dumps(watcher)).forecast().median == watcher.forecast().median


def test_nothing_of_the_run_before_outlives_a_state() -> None:
    watcher = Watcher(horizon=500)
    for step in range(1, 101):
        watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    other = Watcher(horizon=500)
    for step in range(1, 101):
        other.update(step, train_loss=5.0 - 3.0 * step**-0.5)
    assert other.state_dict()["alarm"]["rising"]
    other.load_state_dict(watcher.state_dict())
    assert repr(other.state_dict()) == repr(watcher.state_dict())


@pytest.mark.parametrize("name", ["jumped", "trade", "critical_batch", "cooling", "offered", "due"])
def test_a_state_that_lacks_a_part_is_refused(followed: Watcher, name: str) -> None:
    before = followed.state_dict()
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        followed.load_state_dict({key: kept for key, kept in before.items() if key != name})
    assert followed.state_dict() == before


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
        {"due": "x"},
        {"due": [[0, [0.0, 0.0, 0.0, 0.0], 0, 1], NO_MARK, 0, None]},
        {"due": [[0, [1.0, 1.0, math.nan, 0.0], 1, 1], NO_MARK, 1, None]},
        {"due": [NO_MARK, NO_MARK, 10**6, None]},
        {"due": [NO_MARK, NO_MARK, 0, [10**6, 1.0]]},
        {"due": [[0, [1.0, 1e6, 3.0, 0.0], 1, 1], NO_MARK, 1, None]},
        {"jumped": "x"},
        {"cooling": 5},
        {"cooling": {"schedule": {"steps": [1, 9], "lr": [1, 0]}, "total": 0.0}},
        {"cooling": {"schedule": {"steps": [1, 9], "lr": [1, 0]}, "total": math.nan}},
    ],
    ids=lambda garbled: str(garbled)[:30],
)
def test_no_garbled_part_of_a_state_is_taken_over(followed: Watcher, garbled: dict[str, Any]) -> None:
    before = followed.state_dict()
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        followed.load_state_dict({**before, **garbled})
    assert followed.state_dict() == before


@pytest.mark.parametrize("told", [[0.5, [[1.0, 2.0, 0.1]], [2.0, 2.0]], [0.5, [[1.0, 2.0]], []], ["x", [], []]])
def test_no_garbled_rate_of_exchange_is_taken_over(followed: Watcher, told: list[Any]) -> None:
    """It is asked at the next verdict, in the middle of a training."""
    before = followed.state_dict()
    for sound in (None, [0.5, [[1.0, 2.0, 0.1]], []], [0.5, [[1.0, 2.0, 0.1]], [2.0]]):
        followed.load_state_dict({**before, "trade": [sound]})
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        followed.load_state_dict({**before, "trade": [told]})


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
        ("train", "open", [1.0, 0.0, 3.0, 0.0]),
        ("train", "open", [1.0, 1.0, math.nan, 0.0]),
        ("train", "open", [1.0, 1.0, 1e300, 0.0]),
        ("train", "open", [1.0, 1.0, 3.0, -1.0]),
        ("train", "last_step", 1e300),
        ("rates", "step", []),
        ("rates", "step", [2]),
        ("rates", "lr", [1e-3, 1e-3]),
        ("rates", "last", None),
        ("rates", "last", [1, "x"]),
        ("rates", "last", [10**400, 1e-3]),
        ("rates", "last", [1, math.nan]),
        ("rates", "lr", [-1.0]),
        ("pace", "of", [10**400, 1.0]),
        ("pace", "of", [5, -1.0]),
        ("validations", "open", [3.0, 10**400]),
        ("validations", "open", [math.inf, 1]),
        ("rates", "door", [0.0]),
        ("validations", "rows", [["x", 2.0]]),
        ("pace", "clock", ["x", 0.0]),
    ],
)
def test_no_garbled_number_beside_the_losses_is_taken_over(part: str, name: str, value: object) -> None:
    watcher = Watcher(horizon=100)
    watcher.update(1, 3.0, lr=1e-3, seconds=1.0)
    before = watcher.state_dict()
    for garbled in ({part: {**before[part], name: value}}, {"rates": {**before["rates"], "lr": "x"}}):
        with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
            watcher.load_state_dict({**before, **garbled})
    assert watcher.state_dict() == before


@pytest.mark.parametrize(
    "garbled",
    [
        {"should_stop": "no"},
        {"should_stop": 1},
        {"message": 5.0},
        {"probability": "x"},
        {"probability": math.nan},
        {"step": "x"},
    ]
    + [{"forecast": name} for name in ("weight", "means", "stds")],
    ids=str,
)
def test_no_garbled_verdict_is_taken_over(followed: Watcher, garbled: dict[str, Any]) -> None:
    before = followed.state_dict()
    if (name := garbled.get("forecast")) is not None:  # one component of the mixture is lost
        ahead = before["verdict"]["forecast"]
        garbled = {"forecast": {**ahead, name: ahead[name][1:]}}
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        followed.load_state_dict({**before, "verdict": {**before["verdict"], **garbled}})
    assert followed.state_dict() == before


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["weight", "means", "stds"])
def test_no_forecast_of_numbers_that_are_not_finite_is_taken_over(name: str, value: float) -> None:
    ahead = Forecast(10.0, "val", np.full((2, 1), 0.5), np.array([[1.0], [2.0]]), np.ones((2, 1))).to_dict()
    with pytest.raises(ValueError, match="not finite"):
        Forecast.from_dict({**ahead, name: [[value], ahead[name][1]]})


def test_no_clock_whatever_leaves_a_state_that_cannot_be_loaded() -> None:
    watcher = Watcher(horizon=500)
    for step, seconds in enumerate((1.0, -1e308, 1e308, math.inf, math.nan, 5.0, 7.0), 1):
        watcher.update(step, 3.0, seconds=seconds)
    other = Watcher(horizon=500)
    other.load_state_dict(watcher.state_dict())
    assert other.state_dict()["pace"] == {"clock": [7, 7.0], "of": [6, 6.0]}


@pytest.mark.parametrize("state", [None, 5, []])
def test_what_is_no_state_at_all_is_told(state: Any) -> None:
    with pytest.raises(ValueError, match="`state` must come from `state_dict`"):
        Watcher().load_state_dict(state)
