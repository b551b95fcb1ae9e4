"""The logs that strangers published are sound, and what is wrong with one is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # its scripts import one another by name

import _curves  # noqa: E402
import public_logs  # noqa: E402

ABOUT: dict[str, Any] = {
    "repo": "somebody/one",
    "path": "logs/metrics.csv",
    "commit": "0123456789abcdef" * 2 + "01234567",
    "of": "train",
    "unit": "step",
    "horizon": 40,
    "part": "open",
}
ROWS = [f"{step},{3.0 / step:.5g},," for step in range(1, 41)]


def folder_of(tmp_path: Path, rows: list[str] = ROWS, **about: Any) -> Path:
    (tmp_path / "run.csv").write_text("\n".join(["step,train_loss,val_loss,lr", *rows]) + "\n", encoding="utf-8")
    runs = {"run.csv": ABOUT | about}
    (tmp_path / "meta.json").write_text(json.dumps({"runs": runs}), encoding="utf-8")
    return tmp_path


def test_all_public_logs_are_sound() -> None:
    assert list(public_logs.faults(public_logs.FOLDER)) == []


def test_a_sound_folder_has_no_faults(tmp_path: Path) -> None:
    assert list(public_logs.faults(folder_of(tmp_path))) == []


@pytest.mark.parametrize(
    ("rows", "about", "said"),
    [
        ([*ROWS, "40,1.0,,"], {}, "steps must rise"),
        (["0,4.0,,", *ROWS], {}, "whole numbers from 1"),
        ([*ROWS, "41,inf,,"], {"horizon": None}, "finite or blank: got 'inf'"),
        ([*ROWS, "41,1.0,"], {"horizon": None}, "in every row"),
        ([*ROWS, "41,1.0,,"], {}, "40 before 41"),
        (ROWS[:19], {}, "got 19 and 0"),
        (ROWS, {"of": "val"}, "got 'val' with 0"),
        (ROWS, {"repo": "nowhere"}, "repository and path must be named"),
        (ROWS, {"commit": "HEAD"}, "40 hexadecimal digits: got 'HEAD'"),
        (ROWS, {"repo": "somebody/two"}, "in the part 'sealed': got 'open'"),
        (ROWS, {"unit": "tokens"}, "unit and loss must be known"),
        (ROWS, {"horizon": "40"}, "a whole number, or null: got '40'"),
        (ROWS, {"part": "fresh", "found": "soon"}, "written as 2026-01-31: got 'soon'"),
    ],
)
def test_what_is_wrong_with_a_log_is_said(tmp_path: Path, rows: list[str], about: dict[str, Any], said: str) -> None:
    found = list(public_logs.faults(folder_of(tmp_path, rows, **about)))
    assert len(found) == 1
    assert said in found[0]


def test_a_file_that_nothing_is_said_of_is_a_fault(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "other.csv").write_text("step,train_loss,val_loss,lr\n", encoding="utf-8")
    assert list(public_logs.faults(folder)) == ["other.csv: it must be both a file and a run of meta.json"]


@pytest.mark.parametrize(("schedule", "end"), [(None, None), ("cosine", 50)])
def test_a_plan_that_the_logged_rates_tell_ends_where_they_do(tmp_path: Path, schedule: str | None, end: int) -> None:
    """One that was written down ends where it says."""
    rated = [f"{step},{3.0 / step:.5g},,{1e-3 * (1.0 - step / 41):.6g}" for step in range(1, 41)]
    told = ABOUT | {"horizon": 50, "num_params": None, "batch_tokens": None}
    folder = folder_of(tmp_path, rated)
    curve = _curves.public_log(folder / "run.csv", told | ({"schedule": schedule} if schedule else {}), "public logs")
    assert (curve.is_planned, curve.horizon, curve.end) == (True, 40, end)


def test_the_seal_of_algoperf_is_of_submission_and_workload() -> None:
    path = "logs/self_tuning/{}/study_0/{}/trial_1/measurements.csv"
    found = [
        public_logs.part_of({"repo": "mlcommons/submissions_algorithms", "path": path.format(submission, workload)})
        for submission, workload in (("lion", "wmt_jax"), ("lion", "wmt_pytorch"), ("muon", "wmt_jax"))
    ]
    assert found[0] == found[1] != found[2]


def test_another_network_is_open_or_sealed_by_its_repository() -> None:
    told = ABOUT | {"found": "2026-11-29", "num_params": 1e6, "learns": "images"}
    parts = [public_logs.part_of(told | {"repo": f"somebody/{name}"}) for name in ("one", "two")]
    assert parts == ["other open", "other sealed"]


def test_a_fresh_log_is_in_no_other_part_and_of_a_repository_that_was_in_none() -> None:
    assert public_logs.part_of(ABOUT | {"found": "2026-11-29", "num_params": 1e6}) == "fresh"
    runs = json.loads((public_logs.FOLDER / "meta.json").read_text(encoding="utf-8"))["runs"].values()
    fresh = [about["repo"] for about in runs if about["part"] == "fresh"]
    assert fresh
    assert max(fresh.count(repo) for repo in fresh) <= 3
    assert set(fresh).isdisjoint(about["repo"] for about in runs if about["part"] != "fresh")


def test_a_run_that_is_taken_over_keeps_its_numbers_and_loses_its_number(tmp_path: Path) -> None:
    source, folder = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    folder.mkdir()
    table = "\n".join(["step,train_loss,val_loss,lr", *ROWS]) + "\n"
    for name in ("xy_01_run.csv", "xy_02_short.csv"):
        (source / name).write_text(table[: None if "run" in name else 100], encoding="utf-8")
    lines = [json.dumps(ABOUT | {"name": name}) for name in ("xy_01_run.csv", "xy_02_short.csv")]
    (source / "about.jsonl").write_text("\n".join(lines), encoding="utf-8")
    left_out = list(public_logs.taken_over(source, folder))
    assert len(left_out) == 1
    assert left_out[0].startswith("xy_02_short.csv is left out: ")
    assert (folder / "run.csv").read_text(encoding="utf-8") == table
    assert list(public_logs.faults(folder)) == []


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        (b"", {}, "a table in UTF-8: got an empty file"),
        (b"step,train_loss,val_loss,lr\n", {}, "got 0 and 0"),
        ("\n".join(["step,train_loss,val_loss,lr", *ROWS]).encode("utf-16"), {}, "a table in UTF-8"),
        (b"\n".join([b"step,train_loss,val_loss,lr", b"1,2,,", b"x,2,,"]), {}, "whole numbers from 1"),
        (None, {}, "line 1 of about.jsonl is left out: FileNotFoundError"),
        (b"", {"name": None}, "line 1 of about.jsonl is left out: TypeError"),
        (
            b"",
            {"repo": "mlcommons/submissions_algorithms", "path": "x"},
            "line 1 of about.jsonl is left out: ValueError",
        ),
    ],
    ids=["empty", "no rows", "other bytes", "no step", "no file", "no name", "no workload"],
)
def test_one_bad_run_is_left_out_and_the_next_is_taken_over(
    tmp_path: Path, table: bytes | None, line: dict[str, Any], said: str
) -> None:
    source, folder = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    folder.mkdir()
    if table is not None:
        (source / "bad.csv").write_bytes(table)
    (source / "run.csv").write_text("\n".join(["step,train_loss,val_loss,lr", *ROWS]) + "\n", encoding="utf-8")
    bad, good = ABOUT | {"name": "bad.csv", "path": "logs/other.csv"} | line, ABOUT | {"name": "run.csv"}
    (source / "about.jsonl").write_text(f"{json.dumps(bad)}\n{json.dumps(good)}\n", encoding="utf-8")
    (left_out,) = public_logs.taken_over(source, folder)
    assert said in left_out
    assert list(public_logs.faults(folder)) == []
    assert [file.name for file in folder.glob("*.csv")] == ["run.csv"]


def test_of_two_runs_that_would_have_one_name_the_first_stands(tmp_path: Path) -> None:
    source, folder = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    folder.mkdir()
    for number, name in enumerate(("xy_01_run.csv", "xy_02_run.csv")):
        rows = [f"{step},{3.0 / (step + number):.5g},," for step in range(1, 41)]
        (source / name).write_text("\n".join(["step,train_loss,val_loss,lr", *rows]) + "\n", encoding="utf-8")
    lines = [json.dumps(ABOUT | {"name": f"xy_0{n}_run.csv", "path": f"logs/{n}.csv"}) for n in (1, 2)]
    (source / "about.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert [told.endswith("another run has its name") for told in public_logs.taken_over(source, folder)] == [True]
    assert (folder / "run.csv").read_text(encoding="utf-8") == (source / "xy_01_run.csv").read_text(encoding="utf-8")


def test_a_fresh_log_of_a_repository_of_another_part_is_left_out(tmp_path: Path) -> None:
    source, folder = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    folder.mkdir()
    for name in ("run.csv", "other.csv"):
        (source / name).write_text("\n".join(["step,train_loss,val_loss,lr", *ROWS]) + "\n", encoding="utf-8")
    again = {"name": "other.csv", "path": "logs/other.csv", "found": "2026-11-29"}
    lines = [json.dumps(ABOUT | {"name": "run.csv"}), json.dumps(ABOUT | again)]
    (source / "about.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (left_out,) = public_logs.taken_over(source, folder)
    assert left_out == "other.csv is left out: its repository is in another part"
    assert [file.name for file in folder.glob("*.csv")] == ["run.csv"]


def test_the_seal_of_a_language_model_is_of_its_repository_and_group() -> None:
    found = [
        public_logs.part_of(ABOUT | {"found": "2026-11-29", "num_params": 1e6, "group": group, "path": path})
        for group, path in (("ann", "a.log"), ("ann", "b.log"), ("carl", "c.log"))
    ]
    assert found[0] == found[1] != found[2]
    assert set(found) == {"language open", "language sealed"}
