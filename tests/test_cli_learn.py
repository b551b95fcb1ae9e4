from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from curvecast.cli import main
from tests.conftest import Analyze, write_log


def test_a_prior_is_learnt_and_used(tmp_path: Path, analyze: Analyze) -> None:
    for place, name in enumerate("ab"):
        write_log(tmp_path / "done" / name, last=400, above=0.01 * place)
    written = tmp_path / "prior.json"
    result = CliRunner().invoke(main, ["learn", str(tmp_path / "done"), "-o", str(written)])
    assert result.exit_code == 0
    assert "prior.json: the shipped prior; then learnt from 2 finished runs." in " ".join(result.stderr.split())
    assert "curvecast analyze --prior" in result.stderr
    assert "learnt from a, b." in result.stderr
    assert "train loss: 2 runs, each foretold half-way by what the others teach:" in " ".join(result.stderr.split())
    told = [
        json.loads(analyze(write_log(tmp_path / "next"), "--horizon", "400", "--format", "json", *options).stdout)
        for options in ([], ["--prior", str(written)])
    ]
    upper, lower = (run["runs"][0]["forecast"]["upper"] - run["runs"][0]["forecast"]["lower"] for run in told)
    assert lower < upper


def test_a_run_that_diverged_is_named_and_teaches_nothing(tmp_path: Path) -> None:
    write_log(tmp_path / "done" / "sound", last=400)
    rows = [f"{step},{2.0 + 3.0 * step**-0.5 + 5.0 * (step > 200)}" for step in range(1, 401)]
    (tmp_path / "done" / "blown.csv").write_text("step,train_loss\n" + "\n".join(rows))
    result = CliRunner().invoke(main, ["learn", str(tmp_path / "done"), "-o", str(tmp_path / "prior.json")])
    assert result.exit_code == 0
    assert "blown is left out: it diverged: it ended at" in " ".join(result.stderr.split())
    assert "then learnt from 1 finished run." in result.stderr
    assert "it takes two that are forecast half-way" in result.stderr


def test_a_prior_that_is_none_is_told(tmp_path: Path, analyze: Analyze) -> None:
    (tmp_path / "prior.json").write_text('{"schema": 99}')
    result = analyze(write_log(tmp_path / "d12"), "--prior", tmp_path / "prior.json")
    assert result.exit_code == 2
    assert "`schema` of a prior must be" in result.stderr
    assert "got 99" in result.stderr


def test_nothing_to_learn_from_is_told(tmp_path: Path) -> None:
    log = write_log(tmp_path / "d12", last=3)
    result = CliRunner().invoke(main, ["learn", str(log), "-o", str(tmp_path / "prior.json")])
    assert result.exit_code == 2
    assert "`runs` must hold a finished run" in result.stderr


def test_no_run_to_learn_from_is_told_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("")
    result = CliRunner().invoke(main, ["learn", str(tmp_path), "-o", str(tmp_path / "prior.json")])
    assert result.exit_code == 2
    assert f"No run could be read at {tmp_path}. Pass logs of finished runs." in " ".join(result.stderr.split())
    assert "train.log" in result.stderr


def test_of_many_runs_some_are_taken_and_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curvecast.learn.MOST_RUNS", 2)
    for place, name in enumerate("abc"):
        write_log(tmp_path / "done" / name, last=100, above=0.01 * place)
    result = CliRunner().invoke(main, ["learn", str(tmp_path / "done"), "-o", str(tmp_path / "prior.json")])
    told = " ".join(result.stderr.split())
    assert "3 runs were read, of which 2 are taken" in told
    assert "then learnt from 2 finished runs." in told


def test_a_run_that_ends_before_its_plan_is_told_but_taken(tmp_path: Path) -> None:
    for name, planned in (("done", 400), ("young", 1000)):
        folder = write_log(tmp_path / "runs" / name, last=400, above=0.01 * (planned > 400))
        (folder / "curvecast.json").write_text(json.dumps({"schema": 1, "horizon": planned}))
    result = CliRunner().invoke(main, ["learn", str(tmp_path / "runs"), "-o", str(tmp_path / "prior.json")])
    told = " ".join(result.stderr.split())
    assert result.exit_code == 0
    assert "1 run ends before the plan does, as young at step 400 of 1,000: what it teaches" in told
    assert "learnt from done, young." in told
