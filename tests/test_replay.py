from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import curvecast
from curvecast.decisions.base import Verdict
from curvecast.readers import Run, read
from curvecast.replay import watch
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher


def loss(step: int) -> float:
    return 2.0 + 3.0 / math.sqrt(step)


def write_log(folder: Path, last: int = 200) -> Path:
    """A table as a 1-based logger writes it, a validation every 50 steps."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{s},{loss(s)!r},{loss(s) + 0.1 if s % 50 == 0 else ''},0.001" for s in range(1, last + 1)]
    (folder / "metrics.csv").write_text("\n".join(["step,train_loss,val_loss,lr", *rows]) + "\n")
    return folder


def make_run(count: int = 200, **meta: object) -> Run:
    steps = np.arange(1, count + 1)
    nothing = np.full(count, math.nan)
    return Run("d12", steps, 2.0 + 3.0 / np.sqrt(steps), nothing, nothing, dict(meta))


def test_replay_equals_live(tmp_path: Path) -> None:
    live = Watcher(horizon=400)
    for step in range(1, 201):
        live.update(step, train_loss=loss(step), lr=0.001)
        if step % 50 == 0:
            live.update(step, val_loss=loss(step) + 0.1)
    replayed = watch(write_log(tmp_path), horizon=400)
    assert replayed.state_dict() == live.state_dict()
    assert replayed.forecast().median == live.forecast().median


def test_a_path_is_read_like_its_run(tmp_path: Path) -> None:
    (run,) = read(write_log(tmp_path))
    assert curvecast.watch(tmp_path).state_dict() == curvecast.watch(run).state_dict()


def test_meta_fills_what_is_not_given() -> None:
    schedule = Schedule.cosine(1000, warmup=10)
    meta = {"horizon": 1000, "num_params": 331_000, "batch_tokens": 2048, "dataset_tokens": 10**9}
    watcher = watch(make_run(20, schedule=schedule.to_dict(), **meta))
    assert {key: getattr(watcher, key) for key in meta} == meta
    assert watcher.schedule == schedule


def test_what_is_given_goes_before_meta() -> None:
    given = {"horizon": 500, "num_params": 1e6, "batch_tokens": 1024.0, "dataset_tokens": 1e6}
    meta = {"horizon": 1000, "num_params": 331_000, "batch_tokens": 2048, "dataset_tokens": 10**9}
    run = make_run(20, schedule=Schedule.cosine(1000).to_dict(), **meta)
    watcher = watch(
        run,
        horizon=500,
        schedule=Schedule.linear(500),
        num_params=1e6,
        batch_tokens=1024.0,
        dataset_tokens=1e6,
    )
    assert {key: getattr(watcher, key) for key in given} == given
    assert watcher.schedule == Schedule.linear(500)


def test_a_run_beyond_its_horizon_is_watched_to_its_end() -> None:
    watcher = watch(make_run(200, horizon=100))
    assert watcher.step == 200
    assert watcher.verdict.forecast is not None


def test_on_verdict_sees_each_new_verdict_in_order() -> None:
    seen: list[Verdict] = []
    watcher = watch(make_run(), on_verdict=seen.append)
    assert seen[-1] is watcher.verdict
    assert len({id(verdict) for verdict in seen}) == len(seen)
    assert [verdict.step for verdict in seen] == sorted(verdict.step for verdict in seen)


def test_several_runs_are_listed(tmp_path: Path) -> None:
    write_log(tmp_path / "a")
    write_log(tmp_path / "b")
    with pytest.raises(ValueError, match=r"`run_or_path` must hold one run: got 2 in .*: 'a', 'b'. Pass one of them"):
        watch(tmp_path)


def test_tags_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,ppl\n" + "\n".join(f"{s},{loss(s)}" for s in range(1, 51)))
    assert watch(tmp_path, train_tag="ppl").step == 50


def test_a_sparing_watch_forecasts_the_same() -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(1, 801)
    losses = 2.0 + 3.0 * steps**-0.5 + 0.02 * rng.standard_normal(800)
    val = np.where(steps % 40 == 0, losses + 0.1, np.nan)
    run = Run("d12", steps, losses, val, np.full(800, np.nan), {"horizon": 1600})
    said: list[int] = []
    full, sparing = watch(run), watch(run, sparing=True, on_verdict=lambda verdict: said.append(verdict.step))
    assert sparing.forecast().median == full.forecast().median
    assert (sparing.verdict.reason, sparing.step) == (full.verdict.reason, 800)
    assert len(said) == 3
    assert said[-1] == 800
