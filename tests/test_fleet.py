from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curvecast.fleet import Settings, _handfuls, analyse, cluster, each, key
from curvecast.readers import Run, find, read
from curvecast.replay import watch
from curvecast.watcher import Watcher

CLUSTER = """
import sys
from distributed import LocalCluster
from curvecast.cli import main
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        arguments = ["analyze", sys.argv[1], "--format", "json", "--backend", "dask"]
        main([*arguments, "--address", cluster.scheduler_address], standalone_mode=False)
"""


def write_logs(folder: Path, names: str, last: int = 100) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        rows = "".join(f"{step},{2.0 + 3.0 * step**-0.5!r}\n" for step in range(1, last + 1))
        (folder / name / "metrics.csv").write_text(f"step,train_loss\n{rows}")
    return folder


def last_steps(run: Run, seen: Run, watcher: Watcher) -> tuple[str, int, int, int]:
    return run.name, len(run), len(seen), watcher.step


def test_outcomes_come_in_order_and_what_fails_is_a_line(tmp_path: Path) -> None:
    write_logs(tmp_path, "abc")
    (tmp_path / "b/metrics.csv").write_text("step,accuracy\n1,0.5\n")
    outcomes = list(each(find(tmp_path), Settings(until=0.5), last_steps))
    assert [outcome.digests for outcome in outcomes] == [[("a", 100, 50, 50)], [], [("c", 100, 50, 50)]]
    assert outcomes[1].errors == [
        "b: no tag looks like a loss. Tags there: 'accuracy'. Pass one as --train-tag (train_tag=) or --val-tag "
        "(val_tag=), if it is one."
    ]


def test_a_run_is_summed_up_at_its_last_loss(tmp_path: Path) -> None:
    """A live verdict is up to 5 % of the losses old; the table, the report and its figure are of one moment."""
    sources = find(write_logs(tmp_path, "a", last=103))
    (outcome,) = analyse(sources, Settings(horizon=400), lambda run, seen, watcher: watcher)
    (summed_up,), live = outcome.digests, watch(tmp_path, horizon=400)
    assert (live.verdict.step < 103, summed_up.verdict.step) == (True, 103)
    assert summed_up.verdict.forecast is not None
    assert float(summed_up.verdict.forecast.median) == pytest.approx(float(live.forecast().median), rel=1e-12)


def test_several_processes_give_what_one_gives(tmp_path: Path) -> None:
    sources = find(write_logs(tmp_path, "abcd"))
    one, two = (list(each(sources, Settings(), last_steps, jobs=jobs)) for jobs in (1, 2))
    assert [outcome.digests for outcome in one] == [outcome.digests for outcome in two]


def forecasts(run: Run, seen: Run, watcher: Watcher) -> tuple[str, float, str]:
    ahead = watcher.verdict.forecast
    return run.name, float("nan") if ahead is None else float(np.ravel(ahead.median)[-1]), str(watcher.verdict.reason)


def test_a_fleet_says_what_each_run_alone_says(tmp_path: Path) -> None:
    for at, name in enumerate("abcdefgh"):
        write_logs(tmp_path, name, last=40 + 60 * at)
    (tmp_path / "short").mkdir()
    (tmp_path / "short/metrics.csv").write_text("step,train_loss\n1,3.0\n2,2.9\n")
    told = [digest for outcome in each(find(tmp_path), Settings(horizon=2000), forecasts) for digest in outcome.digests]
    assert len(told) == 9
    for name, median, reason in told:
        (run,) = read(tmp_path / name)
        alone = forecasts(run, run, Settings(horizon=2000).replay(run, to_end=True).finish())
        assert (name, reason) == (alone[0], alone[2])
        np.testing.assert_allclose(median, alone[1], rtol=1e-9)


def test_a_fault_of_ours_takes_one_run_and_not_the_others(tmp_path: Path) -> None:
    def fails(run: Run, seen: Run, watcher: Watcher) -> str:
        if run.name == "b":
            raise IndexError("no such bin")
        return run.name

    outcomes = list(each(find(write_logs(tmp_path, "abc")), Settings(), fails))
    assert [outcome.digests for outcome in outcomes] == [["a"], [], ["c"]]
    assert outcomes[1].errors == ["b: IndexError: no such bin"]


def test_what_cannot_be_fitted_together_is_fitted_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(watchers: object) -> None:
        raise ValueError("one of them is odd")

    sources = find(write_logs(tmp_path, "abc"))
    together = [outcome.digests for outcome in each(sources, Settings(horizon=2000), forecasts)]
    monkeypatch.setattr("curvecast.fleet.fit_together", fails)
    alone = [outcome.digests for outcome in each(sources, Settings(horizon=2000), forecasts)]
    for (one,), (other,) in zip(together, alone, strict=True):
        assert (one[0], one[2]) == (other[0], other[2])
        np.testing.assert_allclose(one[1], other[1], rtol=1e-9)


def test_a_handful_is_small_at_first_and_never_heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = find(write_logs(tmp_path, "abcdefghij", last=20))
    assert [len(some) for some in _handfuls(sources)] == [1, 2, 4, 3]
    monkeypatch.setattr("curvecast.fleet._MOST_BYTES", 1000)
    assert [len(some) for some in _handfuls(sources)] == [1, 2] + [2] * 3 + [1]
    assert [source.name for some in _handfuls(sources) for source in some] == list("abcdefghij")


def test_a_file_that_vanishes_before_it_is_read_is_a_line(tmp_path: Path) -> None:
    (source,) = find(write_logs(tmp_path, "a") / "a")
    (tmp_path / "a/metrics.csv").unlink()
    (outcome,) = analyse([source], Settings(), last_steps)
    assert outcome.digests == []
    assert "cannot read metrics.csv" in outcome.errors[0]


def test_two_real_workers_of_a_dask_cluster_give_what_one_process_gives(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    logs = write_logs(tmp_path / "logs", "abcdef")
    (tmp_path / "run.py").write_text(CLUSTER)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "run.py"), str(logs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told: Any = json.loads(done.stdout)
    names = [run["name"] for run in told["runs"]]
    here = [outcome.digests[0][0] for outcome in each(find(logs), Settings(), last_steps)]
    assert names == here
    assert all(np.isfinite(run["forecast"]["median"]) for run in told["runs"])


def test_another_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="`backend` must be 'dask' or 'ray': got 'slurm'"):
        cluster("slurm", None)


def test_sources_of_one_file_have_keys_of_their_own(tmp_path: Path) -> None:
    keys = {key(source) for source in find(write_logs(tmp_path, "abc"))}
    assert len(keys) == 3
