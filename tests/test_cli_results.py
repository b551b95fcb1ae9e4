from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from curvecast.cli import main
from tests.conftest import Analyze, write_log


def test_json_is_all_that_goes_to_stdout(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "a", spoil="x,y\n")
    write_log(tmp_path / "b")
    result = analyze(tmp_path, "--format", "json", "-v", "--num-params", "124M", "--batch-tokens", "5e5")
    told: Any = json.loads(result.stdout)
    assert [run["name"] for run in told["runs"]] == ["a", "b"]
    assert (told["runs"][0]["num_params"], told["runs"][0]["batch_tokens"]) == (124_000_000, 500_000)
    assert "a: metrics.csv: 1 entry left out" in result.stderr


def test_jsonl_is_a_line_a_run_and_csv_a_row(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "a")
    write_log(tmp_path / "b")
    lines = [json.loads(line) for line in analyze(tmp_path, "--format", "jsonl").stdout.splitlines()]
    assert [(line["schema"], line["name"]) for line in lines] == [(1, "a"), (1, "b")]
    table = analyze(tmp_path, "--format", "csv").stdout_bytes.decode().removesuffix("\n").split("\n")
    assert table[0].startswith("name,source,format,")
    assert "verdict.reason" in table[0]
    assert [row.split(",")[0] for row in table[1:]] == ["a", "b"]
    assert not table[1].endswith("\r")  # a line of csv is one of the shell


@pytest.mark.parametrize("columns", [None, "80"])
def test_in_a_pipe_each_run_has_a_line_with_its_whole_name_unless_told_how_wide_it_is(
    columns: str | None, tmp_path: Path, analyze: Analyze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    names = [f"{'a-name-of-some-length-' * 3}{number}" for number in range(2)]
    for name in names:
        write_log(tmp_path / name)
    lines = analyze(tmp_path, "--horizon", "1000").stdout.splitlines()
    whole = [line.split()[0] for line in lines[1:3]] == names
    assert whole == (columns is None)
    assert (max(map(len, lines)) <= 80) == (columns is not None)


def test_a_report_is_one_page_with_every_run(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "logs/<script>alert(1)</script>", 400)
    write_log(tmp_path / "logs/short", 3)
    page = tmp_path / "report.html"
    result = analyze(tmp_path / "logs", "--html", page, "--horizon", "1000", "--until", "0.2")
    assert result.exit_code == 0
    text = page.read_text()
    assert "<script>alert" not in text
    data = text.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    pages = text.split('<script id="pages" type="text/plain">')[1].split("</script>")[0].split("\n")
    rows, details = json.loads(data), [json.loads(each) for each in pages]
    assert [row["name"] for row in rows] == [page["name"] for page in details]
    assert {row["step"] for row in rows} == {3, 200}
    runs = {run["name"]: run for run in details}
    assert set(runs) == {"<script>alert(1)</script>", "short"}
    (long,) = (run for name, run in runs.items() if name != "short")
    assert [entry["share"] for entry in long["hindsight"]] == [0.1, 0.25, 0.5]
    assert long["figure"] != {"seen": True}
    assert "what came" in [trace.get("name") for trace in long["figure"]["data"]]
    row = next(row for row in rows if row["step"] == 200)
    assert f"{row['texts'][1]} {row['texts'][2]}" in analyze(
        tmp_path / "logs", "--horizon", "1000", "--until", "0.2"
    ).stdout.replace("  ", " ")
    assert all(len(entry["texts"]) == 3 and entry["error"] > -1.0 for entry in long["hindsight"])
    assert "src=" not in text.split('<script id="data"')[0][:5000]


def test_results_are_written_as_they_come_and_an_analysis_goes_on(tmp_path: Path, analyze: Analyze) -> None:
    for name in "abc":
        write_log(tmp_path / "logs" / name)
    output = tmp_path / "out.jsonl"
    assert analyze(tmp_path / "logs", "-o", output).stdout == ""
    whole = output.read_bytes()
    assert [json.loads(line)["name"] for line in whole.splitlines()] == ["a", "b", "c"]
    output.write_bytes(whole[: whole.index(b"\n") + 300])  # cut off in the second line, behind its name
    result = analyze(tmp_path / "logs", "-o", output, "--resume")
    assert result.exit_code == 0
    assert "1 of 3 logs are in" in result.stderr
    assert output.read_bytes() == whole
    assert analyze(tmp_path / "logs", "--resume").exit_code == 2


def test_parquet_parts_hold_every_run_once(tmp_path: Path, analyze: Analyze) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in "abc":
        write_log(tmp_path / "logs" / name)
    output = tmp_path / "out.parquet"
    assert analyze(tmp_path / "logs" / "a", "-o", output).exit_code == 0
    assert analyze(tmp_path / "logs", "-o", output, "--resume").exit_code == 0
    assert sorted(parquet.read_table(output).column("step").to_pylist()) == [100, 100, 100]
    assert analyze(tmp_path / "logs", "-o", output).exit_code == 0
    assert sorted(parquet.read_table(output).column("name").to_pylist()) == ["a", "b", "c"]


def test_results_among_the_logs_are_no_run(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    for _ in range(2):
        assert analyze(tmp_path, "-o", tmp_path / "results.jsonl").exit_code == 0
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1
    for form in ("csv", "json", "jsonl"):
        (tmp_path / f"printed.{form}").write_text(analyze(tmp_path, "--format", form).stdout)
    assert [run["name"] for run in json.loads(analyze(tmp_path, "--format", "json").stdout)["runs"]] == ["d12"]


@pytest.mark.parametrize("left", [5, 300, -1])
def test_a_source_of_several_runs_that_was_cut_off_is_done_again(tmp_path: Path, analyze: Analyze, left: int) -> None:
    results, whole = tmp_path / "results.jsonl", tmp_path / "whole.jsonl"
    write_log(tmp_path / "logs" / "d12")
    analyze(tmp_path / "logs", "-o", whole)
    several = [json.dumps({**json.loads(whole.read_text()), "name": name}) for name in "ab"]
    results.write_text(f"{several[0]}\n{several[1][: left if left > 0 else None]}")
    result = analyze(tmp_path / "logs", "-o", results, "--resume")
    assert "are in" not in result.stderr
    assert [json.loads(line)["name"] for line in results.read_text().splitlines()] == ["d12"]


@pytest.mark.parametrize(
    ("options", "is_advised"),
    [
        (("--horizon", "1000"), True),
        (("--horizon", "1000", "--schedule", "cosine"), False),
        (("--horizon", "400"), False),  # it has ended
    ],
)
def test_a_schedule_is_asked_for_where_no_rate_is_logged(
    tmp_path: Path, analyze: Analyze, options: tuple[str, ...], is_advised: bool
) -> None:
    file = tmp_path / "run.csv"
    rows = (f"{step},{3.0 * step**-0.1}" for step in range(1, 401))
    file.write_text("\n".join(["step,train_loss", *rows]) + "\n")
    told = "1 run whose learning rates no log tells"
    assert (told in analyze(file, *options).stderr) is is_advised


@pytest.mark.parametrize(
    ("options", "is_advised"),
    [
        (("--horizon", "1000"), True),
        (("--horizon", "1000", "--num-params", "124M"), False),
        (("--horizon", "400"), False),  # it has ended
        ((), False),  # there is no forecast of its end, and it is that which is told
    ],
)
def test_a_size_is_asked_for_where_it_would_bring_a_forecast_closer(
    tmp_path: Path, analyze: Analyze, options: tuple[str, ...], is_advised: bool
) -> None:
    log = write_log(tmp_path / "a", 400)
    assert ("1 run of unknown size" in analyze(log, *options).stderr) is is_advised
    watched = CliRunner().invoke(main, ["watch", str(log), "--polls", "2", "--every", "0.05", *options])
    assert watched.stderr.count("1 run of unknown size") == is_advised
    assert watched.stderr.count("1 run without a known horizon") == (not options)
