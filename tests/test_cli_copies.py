"""A log that lies there twice is one run: it is said, and taught, once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from curvecast.cli import main
from curvecast.cli.copies import Fingerprint, copies, each_once
from curvecast.laws.base import FloatArray
from curvecast.readers import Run
from tests.conftest import Analyze, write_log


def learnt_from(folder: Path) -> str:
    result = CliRunner().invoke(main, ["learn", str(folder), "-o", str(folder.parent / "prior.json")])
    assert result.exit_code == 0
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("link", [False, True])
def test_a_copied_log_teaches_once(tmp_path: Path, link: bool) -> None:
    write_log(tmp_path / "done" / "a", last=400)
    write_log(tmp_path / "done" / "b", last=400, above=1e-3)
    (tmp_path / "done" / "c").mkdir()
    log, copy = tmp_path / "done" / "a" / "metrics.csv", tmp_path / "done" / "c" / "metrics.csv"
    copy.symlink_to(log) if link else shutil.copy(log, copy)
    told = learnt_from(tmp_path / "done")
    assert "c is a copy of a: their losses are the same. It counts once." in told
    assert "learnt from 2 finished runs." in told


def test_a_copy_is_said_once_below_the_table(tmp_path: Path, analyze: Analyze) -> None:
    for name in "abcdefgh":
        write_log(tmp_path / name)
    write_log(tmp_path / "other", above=1e-3)
    result = analyze(tmp_path)
    assert result.stderr.count("is a copy of a: their losses are the same.") == 4
    assert "3 more are copies of others." in result.stderr
    assert "other is a copy" not in result.stderr
    assert len([line for line in result.stdout.splitlines() if line.startswith(tuple("abcdefgh"))]) == 8


def test_of_two_logs_of_a_run_the_one_that_tells_more_is_kept() -> None:
    """As of event files, which hold 32 bits of a loss, beside a table with all its digits and the rates."""
    steps, nothing = np.arange(1, 101), np.full(100, np.nan)
    losses = np.asarray(2.0 + 3.0 * steps**-0.5, np.float64)
    short, longer = losses.astype(np.float32).astype(np.float64), np.append(losses, 2.0)
    runs = [
        Run("events", steps, short, nothing, nothing),
        Run("table", steps, losses, nothing, np.full(100, 1e-3), {"num_params": 1e6}),
        Run("next", steps, losses + 1e-4, nothing, nothing),
        Run("longer", np.arange(1, 102), longer, np.full(101, np.nan), np.full(101, np.nan)),
    ]
    kept, told = each_once(runs)
    assert [run.name for run in kept] == ["table", "next", "longer"]
    assert told == ["events is a copy of table: their losses are the same."]


def test_logs_of_few_losses_may_agree_by_chance() -> None:
    nothing = np.full(11, np.nan)
    few = [Run(name, np.arange(1, 12), np.ones(11), nothing, nothing) for name in "ab"]
    assert each_once(few) == (few, [])


def test_a_run_of_a_sweep_is_held_against_those_of_its_own_level_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, agrees = Counter[str](), Fingerprint.agrees

    def counted(one: Fingerprint, other: Fingerprint) -> bool:
        asked["agrees"] += 1
        return agrees(one, other)

    monkeypatch.setattr(Fingerprint, "agrees", counted)
    levels = [2.0 + 0.001 * run for run in range(500)]
    assert copies([Fingerprint((12,), (level, 1.5)) for level in (*levels, *levels)]) == {
        500 + run: run for run in range(500)
    }
    assert asked["agrees"] == 500


@pytest.mark.parametrize("bent", [lambda y: 1e308 * (y / y.max()), lambda y: y - y.mean(), lambda y: 0.0 * y])
def test_losses_of_any_size_and_sign_are_told_apart(bent: Callable[[FloatArray], FloatArray]) -> None:
    steps, nothing = np.arange(1, 101), np.full(100, np.nan)
    losses = bent(np.asarray(2.0 + 3.0 * steps**-0.5, np.float64))
    rounded = losses * (1.0 + 6e-8 * np.random.default_rng(0).choice([-1.0, 1.0], 100))  # as 32 bits round them
    other = losses.copy()
    other[60] = 0.5 * losses[60] - 1e-3
    kept, _ = each_once([Run(str(k), steps, each, nothing, nothing) for k, each in enumerate((losses, rounded, other))])
    assert [run.name for run in kept] == ["0", "2"]
