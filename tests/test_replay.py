from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import curvecast
from curvecast.decisions import ComputeEfficiency, NoImprovement, Overfitting, Patience, Plateau
from curvecast.decisions.base import Decision, Finding, Reason, Verdict
from curvecast.decisions.view import View
from curvecast.fit.fitting import fit
from curvecast.fit.posterior import Posterior
from curvecast.readers import Run, read
from curvecast.replay import Replay, judged_to_end, watch, watcher_for
from curvecast.schedule import Schedule
from curvecast.state import dump_verdict
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
    meta = {"horizon": 1000, "num_params": 331_000, "batch_tokens": 2048, "dataset_tokens": 10**9, "epoch_steps": 9.5}
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


def test_the_column_of_the_steps_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("tick,loss\n" + "\n".join(f"{10 * s},{loss(s)}" for s in range(1, 51)))
    assert [watch(path, step_column=asked).step for asked in ("tick", "row")] == [500, 50]


def odd_run(seed: int) -> Run:
    """A run that may be noisy, short, turn up, spike, blow up, lack losses, and learn at one rate or another."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([8, 30, 120, 300]))
    steps = np.arange(1, count + 1) * int(rng.choice([1, 10]))
    train = 2.0 + 3.0 * steps ** -rng.uniform(0.1, 0.8) + rng.choice([0.0, 0.01, 0.2]) * rng.standard_normal(count)
    train[rng.integers(0, count, 2)] += rng.choice([0.0, 0.0, 1.0, 50.0])
    train[-count // 3 :] += rng.choice([0.0, 0.0, 0.0, 20.0])
    train[rng.integers(0, count, 3)] *= rng.choice([1.0, 1.0, math.inf])
    val = np.full(count, math.nan)
    if every := int(rng.choice([0, 1, 5, 20])):
        rise = rng.choice([0.0, 0.3]) * np.maximum(np.log2(4.0 * steps / steps[-1]), 0.0)
        val[::every] = np.where(np.isfinite(train), train + rise + 0.1, math.nan)[::every]
    train[: int(rng.choice([0, 0, count // 4, count]))] = math.nan
    cosine = 3e-4 * np.asarray(Schedule.cosine(int(2 * steps[-1]), warmup=5).lr(steps))
    lr = (np.full(count, math.nan), cosine, np.where(rng.random(count) < 0.8, cosine, math.nan))[int(rng.integers(3))]
    horizon = (None, int(steps[-1]), int(3 * steps[-1]), int(80 * steps[-1]))[int(rng.integers(4))]
    meta: dict[str, object] = {} if horizon is None else {"horizon": horizon}
    if rng.random() < 0.4:
        meta |= {"num_params": float(rng.choice([1e4, 1e8])), "batch_tokens": 1e4}
    tokens = (1000.0 * steps).astype(np.float64)
    return Run("odd", steps, train, val, lr, meta, {}, None if rng.random() < 0.7 else tokens)


@pytest.mark.parametrize("seed", range(14))
def test_the_last_verdict_alone_is_what_all_of_them_end_at(seed: int) -> None:
    run = odd_run(seed)
    alone = watch(run)
    assert repr(alone.state_dict()) == repr(watch(run, on_verdict=lambda verdict: None).state_dict())


@pytest.mark.parametrize("seed", range(40))
def test_a_verdict_on_the_whole_log_is_the_one_that_would_be_given_next(seed: int) -> None:
    run = odd_run(seed)
    live = watcher_for(run)
    seen, decided_on = live.judge.seen, 0
    for sample in run.samples():
        due = seen.next_train, seen.next_val
        live.take(sample)
        if (seen.next_train, seen.next_val) != due:
            decided_on = seen.total
    summed_up = Replay(watcher_for(run), run, to_end=True).finish().verdict
    if decided_on < seen.total:
        stood = repr(live.state_dict())
        assert repr(dump_verdict(judged_to_end(live).verdict)) == repr(dump_verdict(summed_up))
        assert repr(live.state_dict()) == stood
        seen.trade = None  # what the newest validation tells is asked anew
        live.judge.decide()
    assert repr(dump_verdict(summed_up)) == repr(dump_verdict(live.verdict))


def turning_run(*, timed: bool) -> Run:
    """A run whose validation loss turns up, on a clock that was started anew on the way, or on none."""
    steps = np.arange(1, 301)
    noise = 0.01 * np.random.default_rng(0).standard_normal(300)
    train = 2.0 + 3.0 * steps**-0.5 + noise
    val = np.full(300, math.nan)
    val[9::10] = (train + 0.3 * np.maximum(np.log2(4.0 * steps / 300), 0.0))[9::10]
    nothing = np.full(300, math.nan)
    return Run(
        "turns", steps, train, val, nothing, {"horizon": 900}, seconds=steps.astype(np.float64) if timed else None
    )


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(
    "decisions", [None, [Plateau(level=0.5)], [ComputeEfficiency(), NoImprovement(), Overfitting(level=0.7)]]
)
def test_what_the_newest_validation_told_is_kept_as_it_is_live(timed: bool, decisions: list[Decision] | None) -> None:
    alone = watch(turning_run(timed=timed), decisions=decisions)
    live = watch(turning_run(timed=timed), decisions=decisions, on_verdict=lambda verdict: None)
    assert repr(alone.state_dict()) == repr(live.state_dict())
    assert alone.forecast().to_dict() == live.forecast().to_dict()


def test_a_run_that_blows_up_keeps_the_forecast_that_it_had_live() -> None:
    run = turning_run(timed=False)
    run.train_loss[280:] += 20.0
    alone, live = watch(run), watch(run, on_verdict=lambda verdict: None)
    assert alone.verdict.reason is Reason.DIVERGED
    assert repr(alone.state_dict()) == repr(live.state_dict())


def test_a_verdict_that_is_held_on_to_asks_for_those_before_it() -> None:
    asked: list[int] = []

    @dataclass(frozen=True)
    class Doubtful:
        """Sure for a while, and then no longer, but still nearly so."""

        def decide(self, view: View) -> Finding:
            asked.append(view.step)
            probability = 0.99 if 60 <= view.step < 80 else 0.9
            return Finding(Reason.PLATEAU, probability, view.holds(Reason.PLATEAU, probability, 0.95), "doubtful")

    assert watch(make_run(), decisions=[Doubtful()]).verdict.should_stop
    assert 60 <= min(asked) < 80  # no further back than to where it was sure
    assert len(set(asked)) > 15
    assert not watch(make_run(50), decisions=[Doubtful()]).verdict.should_stop


def test_a_decision_that_may_remember_is_asked_every_time() -> None:
    class Counts:
        asked = 0

        def decide(self, view: View) -> None:
            self.asked += 1

    for wrap in (lambda counts: counts, lambda counts: Patience(3, of=counts)):
        counts = Counts()
        watch(turning_run(timed=False), decisions=[wrap(counts)])
        assert counts.asked > 50


def test_only_what_the_last_verdict_hangs_on_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[float] = []

    def counted(*data: Any, now: float, **options: Any) -> Posterior:
        fits.append(now)
        return fit(*data, now=now, **options)

    monkeypatch.setattr("curvecast.fit.newest.fit", counted)
    watch(make_run(400, horizon=2000))
    assert len(fits) == 1


def test_a_row_of_nothing_is_no_step_from_which_a_later_one_goes_on() -> None:
    """Of a run that logs seldom: the step far ahead is held for a mistake, whatever rows stand empty before it."""
    steps = np.array([1, 4, 16, 68, 280, 1147, 4696, 78659, 321899, 1317315])
    losses = np.full(len(steps), np.nan)
    losses[[0, 2, 5, 9]] = 4.0, 3.5, 3.0, 2.5
    run = Run("seldom", steps, losses, np.full(len(steps), np.nan), np.full(len(steps), np.nan), {})
    live = Watcher()
    for sample in run.samples():
        live.update(sample.step, sample.train_loss)
    replayed = watch(run)
    assert live.step == replayed.step == 1147
    assert replayed.state_dict()["train"] == live.state_dict()["train"]


def test_what_is_told_beside_a_validation_alone_is_heard() -> None:
    nothing, steps = np.full(40, np.nan), np.arange(10, 401, 10)
    losses, counted, clock = (
        np.asarray(told, np.float64) for told in (2.0 + 3.0 * steps**-0.5, 1e6 * steps, 0.5 * steps)
    )
    run = Run("val", steps, nothing, losses, nothing, tokens=counted, seconds=clock)
    live, replayed = Watcher(horizon=1000), watch(run, horizon=1000)
    for sample in run.samples():
        live.take(sample)
    assert live.seen.tokens == replayed.seen.tokens == counted[-1]
    assert live.choices()[-1].seconds == replayed.choices()[-1].seconds == pytest.approx(300.0)
