from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curvecast import Forecast, Run, Sample, Watcher, watch
from curvecast.decisions.repeats import by_heart, turn_ahead

HORIZON = 2000


def train(step: int) -> float:
    return 2.0 * math.exp(-0.3 * math.log(step))


def turning(step: int) -> float:
    """A validation loss that turns at step 400, and rises by a quarter until step 2,000."""
    return (0.85 + train(min(step, 400))) * (1.0 + 0.13 * 4.0 * max(math.sqrt(math.sqrt(step / 400)) - 1.0, 0.0))


def seen(until: int, gap: float = 0.0, **told: Any) -> Watcher:
    """A run whose validation follows train, but for a gap that opens."""
    rng = np.random.default_rng(0)
    watcher = Watcher(**{"horizon": HORIZON, "num_params": 1e5, **told})
    samples = []
    for step in range(5, until + 1, 5):
        loss = 0.5 + train(step) * (1.0 + 0.003 * float(rng.standard_normal()))
        val = 0.5 + train(step) + gap * math.log(step / 5) if step % 40 == 0 else None
        samples.append(Sample(step, train_loss=loss, val_loss=val))
    watcher.skim(samples[:-1])
    watcher.take(samples[-1])
    return watcher


def ends(watcher: Watcher) -> tuple[float, float]:
    lower, upper = watcher.forecast().interval(0.9)
    return float(lower), float(upper)


def test_a_single_epoch_changes_nothing() -> None:
    for epochs in (0.5, 1.0, 3.0):
        assert ends(seen(200, epoch_steps=HORIZON / epochs)) == ends(seen(200))


def test_many_epochs_let_validation_turn() -> None:
    unaware, aware = seen(240, 0.08), seen(240, 0.08, epoch_steps=20)
    assert turning(HORIZON) not in unaware.forecast().interval(0.9)
    assert turning(HORIZON) in aware.forecast().interval(0.9)
    assert ends(aware)[0] == pytest.approx(ends(unaware)[0], rel=0.05)


def test_a_turn_that_epochs_foretell_is_not_counted_once_more_by_the_law() -> None:
    """Of a network of unknown size an outlier may turn at any time, unless epochs say when."""

    def upper(epoch_steps: float | None) -> float:
        view = seen(1000, num_params=None, epoch_steps=epoch_steps).judge.view()
        assert not view.posterior.turned
        return float(view.by_law(HORIZON).interval(0.9).upper)

    never, many, few = map(upper, (None, 30.0, HORIZON / 3.0))
    assert many < never == few


def test_the_train_loss_says_nothing_of_it() -> None:
    of_train = [seen(200, **told).forecast(of="train").median for told in ({}, {"epoch_steps": 20.0})]
    assert of_train[0] == of_train[1]


def test_tokens_tell_the_epochs_too() -> None:
    told = seen(240, batch_tokens=512, dataset_tokens=20 * 512).verdict.details
    epochs = seen(240, epoch_steps=20, batch_tokens=512).verdict.details
    assert told["turn_ahead"] == epochs["turn_ahead"] > seen(240, epoch_steps=20).verdict.details["turn_ahead"]


def test_a_turn_that_is_expected_is_said() -> None:
    """Where none is expected the sentence is as without epochs; it leads to the numbers in the details."""
    told, untold = seen(240, 0.08, epoch_steps=20).verdict, seen(240, 0.08).verdict
    step, probability = told.details["turn_ahead_step"], told.details["turn_ahead"]
    assert f"turn near epoch {step / 20:.0f}, step {step:,.0f} ({probability:.0%})." in told.message
    assert "turn near" not in untold.message + seen(240, 0.08, epoch_steps=400).verdict.message


def test_a_gap_that_opens_speaks_for_a_turn() -> None:
    chances = [seen(240, gap, epoch_steps=30).judge.view().turn_ahead for gap in (0.0, 0.1)]
    assert chances[0] is not None
    assert chances[1] is not None
    assert chances[1].probability > 2.0 * chances[0].probability


def test_the_chance_of_a_turn_falls_with_the_epochs_without_one() -> None:
    found = [turn_ahead(step, 4000, 40, 0.5) for step in (100, 1000, 2000, 3800)]
    chances = [each.probability if each else 0.0 for each in found]
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] < 0.05 < 0.4 < chances[0]
    assert all(each is None or np.all((each.onset <= 4000) & (np.diff(each.onset) >= 0.0).all()) for each in found)


@pytest.mark.parametrize("sd", [0.0, 0.1, 10.0])
def test_noise_tells_nothing(sd: float) -> None:
    least, none, most = (by_heart(lead, None) for lead in ((-1.0, sd), None, (1.0, sd)))
    assert least < none < most
    assert (most - least < 0.01) == (sd == 10.0)


def test_validation_that_has_all_but_vanished_beside_its_noise_raises_nothing() -> None:
    watcher = Watcher(horizon=100, epoch_steps=1.0)
    for step in range(1, 21):
        watcher.update(step, train_loss=1.0, val_loss=1.0 + step % 3 if step < 20 else 1e-200)
    assert math.isfinite(watcher.forecast().median)


def test_a_log_by_epochs_tells_them() -> None:
    step = np.arange(1, 41)
    loss = np.asarray(0.5 + step**-0.3, dtype=np.float64)
    run = Run("by epoch", step, loss, loss + 0.1, np.full(40, np.nan), {"horizon": 200, "unit": "epoch"})
    assert watch(run).epoch_steps == watch(run, epoch_steps=50).epoch_steps == 1.0
    run.meta["unit"] = "sample"
    assert watch(run, epoch_steps=50).epoch_steps is None


def test_a_path_by_epochs_is_watched_by_steps(tmp_path: Path) -> None:
    rows = [f"{epoch},{0.5 + epoch**-0.3:.6f},{0.6 + epoch**-0.3:.6f}" for epoch in range(1, 41)]
    (tmp_path / "log.csv").write_text("\n".join(["epoch,loss,val_loss", *rows]))
    watcher = watch(tmp_path / "log.csv", horizon=20_000, epoch_steps=100)
    assert (watcher.step, watcher.epoch_steps) == (4000, 100)
    with pytest.raises(ValueError, match="`epoch_steps` must be positive"):
        watch(tmp_path / "log.csv", epoch_steps=0)


def test_a_loss_below_zero_is_left_alone() -> None:
    step = range(20, 801, 20)
    forecasts: list[Forecast] = []
    for epoch_steps in (None, 20.0):
        watcher = Watcher(horizon=4000, epoch_steps=epoch_steps)
        for each in step:
            watcher.update(each, val_loss=5.0 * each**-0.5 - 1.0)
        forecasts.append(watcher.forecast())
    assert forecasts[0].interval(0.9).upper == forecasts[1].interval(0.9).upper
