"""Every example runs, small, as a user runs it: by its file name, in a program of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example in a folder, on one core, on a wide terminal."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160"}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True)


def printed_by(name: str, *arguments: str, folder: Path) -> str:
    """What an example prints where all goes well."""
    done = run(name, *arguments, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def a_log(folder: Path, steps: int = 400) -> None:
    """A run's log as Lightning's ``CSVLogger`` writes it."""
    folder.mkdir(parents=True)
    rows = [f"{step},{2.0 + 3.0 * step**-0.5}" for step in range(1, steps + 1)]
    (folder / "metrics.csv").write_text("\n".join(["step,train_loss", *rows]))


def test_bare_loop_forecasts_at_every_milestone_and_ends_with_a_verdict(tmp_path: Path) -> None:
    lines = printed_by("bare_loop.py", "--steps", "200", folder=tmp_path).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["10%", "25%", "50%", "75%"]
    assert "step" in lines[-1]


def test_analyze_logs_names_every_run_with_its_verdict(tmp_path: Path) -> None:
    a_log(tmp_path / "runs" / "first")
    a_log(tmp_path / "runs" / "second")
    printed = printed_by("analyze_logs.py", folder=tmp_path)
    for name in ("first", "second"):
        assert any(name in line and "step" in line for line in printed.splitlines())


def test_analyze_logs_says_what_is_wrong_where_there_is_no_log(tmp_path: Path) -> None:
    done = run("analyze_logs.py", str(tmp_path), folder=tmp_path)
    assert done.returncode != 0
    assert str(tmp_path) in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("pytorch_lightning") is None, reason="the demo needs curvecast[lightning]")
def test_lightning_demo_holds_its_forecasts_against_the_truth_and_leaves_logs(tmp_path: Path) -> None:
    printed = printed_by("lightning_gpt.py", "--quick", folder=tmp_path)
    table = [line for line in printed.splitlines() if line.startswith("│")]
    assert [line.split()[1] for line in table] == ["10%", "25%", "50%", "75%"]
    assert "[nats/byte]" in printed
    assert "tensorboard --logdir runs" in printed
    for name in ("demo", "overfit"):
        left = {path.name.split(".")[0] for path in (tmp_path / "runs" / name / "version_0").iterdir()}
        assert {"events", "metrics", "curvecast"} <= left


@pytest.mark.skipif(importlib.util.find_spec("lightning_fabric") is None, reason="Fabric needs curvecast[lightning]")
@pytest.mark.parametrize("devices", [1, 2])
def test_fabric_loop_says_a_verdict_at_every_quarter(tmp_path: Path, devices: int) -> None:
    printed = printed_by("fabric_loop.py", "--steps", "100", "--devices", str(devices), folder=tmp_path)
    said = [line for line in printed.splitlines() if line.startswith("step ") or "on track" in line]
    at = [int(line.split("/")[0].removeprefix("step ")) for line in said]
    # A verdict stands until 5 % more losses have come, and one that leaps is held back until the next has.
    assert all(0 <= quarter - step <= 5 for quarter, step in zip((25, 50, 75, 100), at, strict=True))


@pytest.mark.skipif(
    importlib.util.find_spec("pytorch_lightning") is None, reason="the sweep needs curvecast[lightning]"
)
def test_the_sweep_foretells_the_fifth_size_and_holds_it_against_what_came(tmp_path: Path) -> None:
    printed = printed_by("scaling_sweep.py", "--quick", folder=tmp_path)
    assert "forecast for width 80" in printed
    table = [line for line in printed.splitlines() if line.startswith("│")]
    assert [line.split()[1] for line in table] == ["16", "24", "32", "48", "80"]
    assert "(foretold)" in table[-1]
    assert (tmp_path / "runs" / "sweep" / "family.json").exists()


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="its readers have transformers installed")
def test_the_trainer_of_hugging_face_is_told_a_verdict_at_every_evaluation(tmp_path: Path) -> None:
    done = run("huggingface_trainer.py", "--steps", "100", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "step 100/100: finished; val loss now" in done.stdout + done.stderr


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="its readers have transformers installed")
def test_a_run_of_hugging_face_that_is_resumed_is_watched_from_its_first_loss_on(tmp_path: Path) -> None:
    assert run("huggingface_trainer.py", "--steps", "100", folder=tmp_path).returncode == 0
    shutil.rmtree(tmp_path / "runs" / "huggingface" / "checkpoint-100")
    done = run("huggingface_trainer.py", "--steps", "100", "--resume", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "step 60/100: on track; val loss at step 100 is forecast at" in done.stdout + done.stderr


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="its readers have Keras installed")
def test_keras_is_told_a_verdict_after_every_epoch(tmp_path: Path) -> None:
    lines = printed_by("keras_callback.py", "--epochs", "4", folder=tmp_path).splitlines()
    assert [line.split("/")[0] for line in lines][-1] == "step 176"
    assert len(lines) == 4


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="its readers have Optuna installed")
def test_trials_are_pruned_where_no_better_end_is_expected(tmp_path: Path) -> None:
    lines = printed_by("optuna_pruning.py", "--trials", "6", "--steps", "200", folder=tmp_path).splitlines()
    assert [line.split(":")[0] for line in lines[:6]] == [f"trial {number:2}" for number in range(6)]
    assert lines[-1].startswith("best: ")
