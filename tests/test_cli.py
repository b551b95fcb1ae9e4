from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from curvecast.cli import count, main

Analyze = Callable[..., Result]
HEAVY = ("torch", "lightning", "pytorch_lightning", "pandas", "tensorboard", "scipy", "plotly")


@pytest.fixture
def analyze() -> Analyze:
    return lambda *arguments: CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def write_log(folder: Path, last: int = 100, *, tag: str = "train_loss", spoil: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{step},{2.0 + 3.0 * step**-0.5!r}" for step in range(1, last + 1)]
    (folder / "metrics.csv").write_text(f"step,{tag}\n" + "\n".join(rows) + f"\n{spoil}")
    return folder


def test_a_run_is_analysed(tmp_path: Path, analyze: Analyze) -> None:
    result = analyze(write_log(tmp_path / "d12"), "--horizon", "1_000")
    assert result.exit_code == 0
    assert result.stdout.startswith("d12\n  step 100/1,000, 100 train points")
    assert result.stderr == ""


def test_json_is_all_that_goes_to_stdout(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "a", spoil="x,y\n")
    write_log(tmp_path / "b")
    result = analyze(tmp_path, "--format", "json", "-v", "--num-params", "124M", "--batch-tokens", "5e5")
    told: Any = json.loads(result.stdout)
    assert [run["name"] for run in told["runs"]] == ["a", "b"]
    assert (told["runs"][0]["num_params"], told["runs"][0]["batch_tokens"]) == (124_000_000, 500_000)
    assert "a: metrics.csv: 1 entries left out" in result.stderr


def test_lost_data_is_always_told_and_the_rest_when_asked(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12", spoil="x,y\n")
    quiet, verbose = analyze(tmp_path / "d12"), analyze(tmp_path / "d12", "-v")
    assert quiet.stderr == "d12: metrics.csv: 1 entries left out: line 102 has 'x' for a step\n"
    assert "d12: train_loss: 'train_loss' (a usual name for the training loss)\n" in verbose.stderr
    assert quiet.stdout == verbose.stdout


def test_the_sidecar_is_used(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    (tmp_path / "d12/curvecast.json").write_text('{"schema": 1, "horizon": 5000}')
    assert "step 100/5,000" in analyze(tmp_path).stdout
    assert "step 100/700" in analyze(tmp_path, "--horizon", "700").stdout


def test_an_unreadable_run_is_said_in_one_line_and_the_others_are_analysed(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "good")
    write_log(tmp_path / "bad", tag="accuracy")
    result = analyze(tmp_path)
    assert result.exit_code == 0
    assert result.stdout.startswith("good\n")
    assert result.stderr.startswith("bad: no tag looks like a loss. Tags there: 'accuracy'.")
    assert result.stderr.count("\n") == 1


def test_a_path_without_a_readable_run_is_an_error(tmp_path: Path, analyze: Analyze) -> None:
    good, bad = write_log(tmp_path / "good"), write_log(tmp_path / "bad", tag="accuracy")
    result = analyze(good, bad, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stdout.startswith("good\n")
    assert "there is no file or folder" in result.stderr


def test_a_folder_without_logs_says_what_was_looked_for(tmp_path: Path, analyze: Analyze) -> None:
    result = analyze(tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Looked for event files (*tfevents*);" in result.stderr


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said(tmp_path: Path, analyze: Analyze) -> None:
    (write_log(tmp_path) / "metrics.csv").chmod(0)
    result = analyze(tmp_path)
    assert result.exit_code == 2
    assert "cannot read metrics.csv" in result.stderr


def test_tags_can_be_named(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path, tag="損失 🔥")
    assert analyze(tmp_path, "--train-tag", "損失 🔥").exit_code == 0
    unknown = analyze(tmp_path, "--val-tag", "nope")
    assert unknown.exit_code == 2
    assert "tag 'nope' is not in the log. Tags there: '損失 🔥'" in unknown.stderr


def test_runs_of_one_name_are_told_apart(tmp_path: Path, analyze: Analyze) -> None:
    one, other = write_log(tmp_path / "x/version_0"), write_log(tmp_path / "y/version_0")
    told: Any = json.loads(analyze(one, other, "--format", "json").stdout)
    assert [run["name"] for run in told["runs"]] == [str(one), str(other)]


def test_too_little_data_everywhere_has_its_exit_code(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "short", 3)
    assert analyze(tmp_path).exit_code == 3
    write_log(tmp_path / "long")
    assert analyze(tmp_path).exit_code == 0


def test_fail_on_compares_the_verdicts(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path)
    reason = json.loads(analyze(tmp_path, "--format", "json").stdout)["runs"][0]["verdict"]["reason"]
    assert analyze(tmp_path, "--fail-on", f"diverged, {reason}").exit_code == 1
    assert analyze(tmp_path, "--fail-on", "diverged").exit_code == 0


def test_unknown_reasons_are_wrong_usage(tmp_path: Path, analyze: Analyze) -> None:
    result = analyze(tmp_path, "--fail-on", "diverged,bored")
    assert result.exit_code == 2
    assert "got 'bored'. Pass some of not_enough_data,on_track," in result.stderr


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "many", "nan", "inf", "", "M"])
def test_counts_must_be_whole_and_positive(tmp_path: Path, analyze: Analyze, text: str) -> None:
    result = analyze(tmp_path, "--horizon", text)
    assert result.exit_code == 2
    assert f"must be a whole number of at least 1: got {text!r}" in result.stderr


@pytest.mark.parametrize(
    ("text", "number"),
    [("20000", 20_000), ("20_000", 20_000), ("1.24e8", 124_000_000), ("1.3B", 1_300_000_000)],
)
def test_counts_may_be_written_short(text: str, number: int) -> None:
    assert count(text) == number


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.startswith("curvecast, version ")


@pytest.mark.parametrize(
    "code",
    [
        "import curvecast.cli",
        "import curvecast.cli; curvecast.cli.main(['--help'], standalone_mode=False)",
        "import curvecast.cli; curvecast.cli.main(['analyze', '--help'], standalone_mode=False)",
    ],
    ids=["import", "help", "help of analyze"],
)
def test_asking_for_help_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code, HEAVY) == []


def test_analysing_loads_no_training_framework(tmp_path: Path) -> None:
    write_log(tmp_path)
    code = f"import curvecast.cli; curvecast.cli.main(['analyze', {str(tmp_path)!r}], standalone_mode=False)"
    assert loaded_by(code, ("torch", "lightning", "pytorch_lightning", "pandas", "tensorboard")) == []


def loaded_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules a fresh interpreter has loaded after ``code``."""
    probe = f"{code}\nimport sys, json\nsys.stderr.write(json.dumps([n for n in {names} if n in sys.modules]))"
    root = Path(__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=root)
    loaded: list[str] = json.loads(result.stderr.splitlines()[-1])
    return loaded


def test_a_prior_is_learnt_and_used(tmp_path: Path, analyze: Analyze) -> None:
    for name in ("a", "b"):
        write_log(tmp_path / "done" / name, last=400)
    written = tmp_path / "prior.json"
    result = CliRunner().invoke(main, ["learn", str(tmp_path / "done"), "-o", str(written)])
    assert result.exit_code == 0
    assert "then learnt from 2 finished runs" in result.stderr
    assert "curvecast analyze --prior" in result.stderr
    told = [
        json.loads(analyze(write_log(tmp_path / "next"), "--horizon", "400", "--format", "json", *options).stdout)
        for options in ([], ["--prior", str(written)])
    ]
    upper, lower = (run["runs"][0]["forecast"]["upper"] - run["runs"][0]["forecast"]["lower"] for run in told)
    assert lower < upper


def test_a_prior_that_is_none_is_told(tmp_path: Path, analyze: Analyze) -> None:
    (tmp_path / "prior.json").write_text('{"schema": 99}')
    result = analyze(write_log(tmp_path / "d12"), "--prior", tmp_path / "prior.json")
    assert result.exit_code == 2
    assert "`schema` of a prior must be 2: got 99" in result.stderr


def test_nothing_to_learn_from_is_told(tmp_path: Path) -> None:
    log = write_log(tmp_path / "d12", last=3)
    result = CliRunner().invoke(main, ["learn", str(log), "-o", str(tmp_path / "prior.json")])
    assert result.exit_code == 1
    assert "`runs` must hold a finished run" in result.stderr
