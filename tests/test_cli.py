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
    assert result.stderr.startswith(
        "1 run: train_loss: 'train_loss' (a usual name for the training loss); val_loss: none"
    )


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
    assert quiet.stderr.startswith(
        "d12: metrics.csv: 1 entries left out: line 102 has 'x' for a step\n1 run: train_loss"
    )
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
    assert result.stderr.count("\n") == 2  # the other line says which tags were taken


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


def test_a_run_that_diverged_is_named_and_teaches_nothing(tmp_path: Path) -> None:
    write_log(tmp_path / "done" / "sound", last=400)
    rows = [f"{step},{2.0 + 3.0 * step**-0.5 + 5.0 * (step > 200)}" for step in range(1, 401)]
    (tmp_path / "done" / "blown.csv").write_text("step,train_loss\n" + "\n".join(rows))
    result = CliRunner().invoke(main, ["learn", str(tmp_path / "done"), "-o", str(tmp_path / "prior.json")])
    assert result.exit_code == 0
    assert "blown is left out: it diverged: it ended at" in " ".join(result.stderr.split())
    assert "then learnt from 1 finished runs" in result.stderr


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


def test_jsonl_is_a_line_a_run_and_csv_a_row(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "a")
    write_log(tmp_path / "b")
    lines = [json.loads(line) for line in analyze(tmp_path, "--format", "jsonl").stdout.splitlines()]
    assert [(line["schema"], line["name"]) for line in lines] == [(1, "a"), (1, "b")]
    table = analyze(tmp_path, "--format", "csv").stdout.splitlines()
    assert table[0].startswith("name,source,format,")
    assert "verdict.reason" in table[0]
    assert [row.split(",")[0] for row in table[1:]] == ["a", "b"]


@pytest.mark.parametrize(("until", "step"), [("40", 40), ("0.25", 250), ("0.05", 50)])
def test_until_shows_what_was_known_then(tmp_path: Path, analyze: Analyze, until: str, step: int) -> None:
    write_log(tmp_path, 400)
    told = json.loads(analyze(tmp_path, "--format", "json", "--until", until, "--horizon", "1000").stdout)
    assert told["runs"][0]["step"] == step


@pytest.mark.parametrize("until", ["0", "-1", "nan", "1.5", "soon"])
def test_until_must_be_a_step_or_a_share(tmp_path: Path, analyze: Analyze, until: str) -> None:
    result = analyze(write_log(tmp_path), "--until", until)
    assert result.exit_code == 2
    assert "must be a step, or a share between 0 and 1" in result.stderr


def test_until_before_the_first_row_is_said(tmp_path: Path, analyze: Analyze) -> None:
    (tmp_path / "metrics.csv").write_text("step,loss\n" + "".join(f"{s},2.5\n" for s in range(100, 200)))
    result = analyze(tmp_path, "--until", "50")
    assert result.exit_code == 2
    assert "nothing was logged up to step 50: the first row is at step 100." in result.stderr


def test_a_schedule_is_given_in_words(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path, 300)
    horizon = ("--horizon", "1000", "--format", "json")
    flat, falling = (
        json.loads(analyze(tmp_path, *horizon, "--schedule", spec).stdout)["runs"][0]["forecast"]["median"]
        for spec in ("constant:warmup=10", "cosine:warmup=10,floor=0.1")
    )
    assert falling != flat
    for spec in ("sawtooth", "cosine:peak=3", "cosine:floor=high"):
        assert analyze(tmp_path, *horizon, "--schedule", spec).exit_code == 2
    assert "Pass --horizon too" in analyze(tmp_path, "--schedule", "cosine").stderr


def test_several_jobs_give_what_one_gives(tmp_path: Path, analyze: Analyze) -> None:
    for name in "abc":
        write_log(tmp_path / name)
    assert analyze(tmp_path, "--format", "json").stdout == analyze(tmp_path, "--format", "json", "--jobs", "2").stdout


def test_globs_and_urls_are_read(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "a1")
    write_log(tmp_path / "b1")
    told = json.loads(analyze(tmp_path / "a*", "--format", "json").stdout)
    assert [run["name"] for run in told["runs"]] == ["a1"]
    memory: Any = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe("/lab/x/metrics.csv", (tmp_path / "a1/metrics.csv").read_bytes())
    memory.pipe("/lab/x/model.bin", b"0" * 100)
    told = json.loads(analyze("memory://lab", "--format", "json").stdout)
    assert [(run["name"], run["step"]) for run in told["runs"]] == [("x", 100)]
    assert "there is nothing at 'memory://nowhere'" in analyze("memory://nowhere").stderr
    assert "cannot open 'nosuch://x'" in analyze("nosuch://x").stderr


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


def test_watching_follows_a_growing_log(tmp_path: Path) -> None:
    from curvecast.readers.tail import Tail

    tail = Tail(str(write_log(tmp_path, 50)))
    assert [int(run.steps[-1]) for run in tail.poll()] == [50]
    assert tail.poll() == []
    write_log(tmp_path, 80)
    assert [int(run.steps[-1]) for run in tail.poll()] == [80]
    (tmp_path / "metrics.csv").write_text("")
    assert tail.poll() == []
    assert list(tail.errors) == [tmp_path.name]
    write_log(tmp_path, 90)
    assert [int(run.steps[-1]) for run in tail.poll()] == [90]
    assert tail.errors == {}


def test_watch_says_a_line_in_a_pipe_and_ends_cleanly(tmp_path: Path) -> None:
    log = write_log(tmp_path, 60)
    result = CliRunner().invoke(main, ["watch", str(log), "--polls", "2", "--every", "0.05", "--horizon", "100"])
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{tmp_path.name}, step 60/100, train 2.387 now, forecast train ")
    result = CliRunner().invoke(main, ["watch", str(tmp_path / "nowhere"), "--polls", "2", "--every", "0.05"])
    assert result.exit_code == 2
    assert result.stderr.count("there is no file or folder") == 1


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "1e300"])
def test_watch_looks_again_after_a_time_that_can_be_waited(tmp_path: Path, seconds: str) -> None:
    result = CliRunner().invoke(main, ["watch", str(write_log(tmp_path, 60)), "--polls", "2", "--every", seconds])
    assert result.exit_code == 2
    assert "Invalid value for '--every'" in result.stderr


def test_watch_says_what_cannot_be_read_once_and_follows_the_others(tmp_path: Path) -> None:
    write_log(tmp_path / "a", 60)
    write_log(tmp_path / "b", tag="accuracy")
    write_log(tmp_path / "c", 70)
    (tmp_path / "c" / "curvecast.json").write_text('{"schema": 1, "horizon": 20}')
    result = CliRunner().invoke(main, ["watch", str(tmp_path), "--polls", "3", "--every", "0.05"])
    assert result.exit_code == 0
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["a", "c"]
    assert result.stderr.splitlines() == [
        "b: no tag looks like a loss. Tags there: 'accuracy'. Pass one as train_tag or val_tag, if it is one. "
        "Waiting for it."
    ]


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_watch_ends_at_an_interrupt_without_a_traceback(tmp_path: Path) -> None:
    import signal

    log = write_log(tmp_path, 60)
    # A job started in the background, as this suite may be, hands down a SIGINT that is ignored.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heard}; import curvecast.cli; curvecast.cli.main(['watch', {str(log)!r}, '--every', '0.1'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"step 60" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
        assert process.wait(timeout=20) == 0
    assert b"Traceback" not in errors


def test_no_color_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyze: Analyze) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[3" in analyze(write_log(tmp_path)).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in analyze(tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--jobs", "0"), "got 0. Pass at least 1, or -1"),
        (("--address", "tcp://head:8786"), "Pass --backend too"),
        (("-o", "results.txt"), "must end in .jsonl or .parquet: got results.txt"),
        (
            ("--horizon", "900", "--schedule", "cosine:warmup=soon"),
            "`warmup` must be a whole number of steps: got 'soon'",
        ),
        (("--horizon", "900", "--schedule", "cosine:floor=low"), "`floor` must be a number: got 'low'"),
        (("--horizon", "900", "--schedule", "cosine:decay=0.2"), "got 'decay'. Pass some of warmup, floor"),
        (("--prior", "nowhere.json"), "cannot read nowhere.json: No such file or directory. Write one"),
    ],
)
def test_a_wrong_option_of_analyze_is_told_in_its_own_words(
    tmp_path: Path, analyze: Analyze, arguments: tuple[str, ...], message: str
) -> None:
    result = analyze(write_log(tmp_path / "d12"), *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_settings_of_a_schedule_are_taken(tmp_path: Path, analyze: Analyze) -> None:
    spec = "wsd:warmup=1_0, decay=0.5, shape=sqrt, floor=0.1"
    result = analyze(write_log(tmp_path / "d12"), "--horizon", "900", "--schedule", spec)
    assert result.exit_code == 0, result.stderr


def test_a_log_that_goes_past_its_horizon_is_told(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    assert "goes on to step 100, past the horizon of 90. Pass" in analyze(tmp_path, "--horizon", "90").stderr
    assert "past the horizon" not in analyze(tmp_path, "--horizon", "100").stderr


def test_a_tag_that_is_like_none_is_not_guessed(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    assert "Pass one of them as train_tag." in analyze(tmp_path, "--train-tag", "reward").stderr
    assert "Pass train_tag='train_loss'." in analyze(tmp_path, "--train-tag", "train_los").stderr


def test_results_among_the_logs_are_no_run(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    for _ in range(2):
        assert analyze(tmp_path, "-o", tmp_path / "results.jsonl").exit_code == 0
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("command", ["learn", "fit"])
def test_a_log_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    log = write_log(tmp_path / "d12") / "metrics.csv"
    monkeypatch.setattr(Path, "open", refuse)
    result = CliRunner().invoke(main, [command, str(log), "-o", str(tmp_path / "out.json")])
    assert result.exit_code == 2
    assert "Permission denied" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_steps_that_are_epochs_are_always_told(tmp_path: Path, analyze: Analyze) -> None:
    rows = "".join(f"{epoch},{2 + 1 / (epoch + 1)}\n" for epoch in range(30))
    (tmp_path / "log.csv").write_text(f"epoch,loss\n{rows}")
    assert "steps are epochs" in analyze(tmp_path / "log.csv").stderr
    assert "steps are epochs" not in analyze(tmp_path / "log.csv", "--epoch-steps", "100").stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--html", "{folder}"], "is a folder. Pass the name of a file in it"),
        (["-o", "{folder}/results.parquet", "--resume"], "must be a folder of Parquet: got a file"),
        (["-o", "{folder}/foreign.jsonl", "--resume"], "holds no results of `analyze`"),
        (["--backend", "dask", "--address", "nonsense"], "Pass the address of a scheduler that runs as --address"),
        (["--schedule", "wsd:decay=nan", "--horizon", "1000"], "`decay` must be positive: got nan"),
        (["--schedule", "wsd:decay=1e400", "--horizon", "1000"], "`decay` must be positive: got inf"),
    ],
)
def test_what_cannot_be_is_told_before_the_work(
    tmp_path: Path, analyze: Analyze, arguments: list[str], told: str
) -> None:
    if "dask" in arguments:
        pytest.importorskip("distributed")
    (tmp_path / "results.parquet").write_text("x")
    (tmp_path / "foreign.jsonl").write_text('{"mine": 1}\n')
    result = analyze(write_log(tmp_path / "d12"), *(each.format(folder=tmp_path) for each in arguments))
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert (tmp_path / "foreign.jsonl").read_text() == '{"mine": 1}\n'


def test_a_horizon_that_no_run_has_is_told(tmp_path: Path, analyze: Analyze) -> None:
    result = analyze(write_log(tmp_path / "d12"), "--horizon", "1e300")
    assert "`horizon` must be below" in result.stderr
    assert isinstance(result.exception, SystemExit)


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


@pytest.mark.parametrize(("path", "said"), [("", "the path is empty"), (os.devnull, "is a device or a pipe")])
def test_a_path_that_is_no_log_is_said_at_once(analyze: Analyze, path: str, said: str) -> None:
    result = analyze(path)
    assert (result.exit_code, said in result.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--prior", "--law"])
def test_a_device_is_no_prior_and_no_law(tmp_path: Path, analyze: Analyze, option: str) -> None:
    result = analyze(write_log(tmp_path / "d12"), option, os.devnull)
    assert (result.exit_code, "is a device or a pipe" in result.stderr) == (2, True)


def test_a_look_beyond_the_end_of_a_log_takes_it_all_and_says_so(tmp_path: Path, analyze: Analyze) -> None:
    whole, beyond = (analyze(write_log(tmp_path / "d12"), *more) for more in ((), ("--until", "5000")))
    assert beyond.stdout == whole.stdout
    assert "d12: the log ends at step 100, before --until" in beyond.stderr
    assert "before --until" not in whole.stderr + analyze(tmp_path / "d12", "--until", "0.5").stderr


def test_a_run_of_one_point_has_not_enough_data(tmp_path: Path, analyze: Analyze) -> None:
    result = analyze(write_log(tmp_path / "d12", last=1), "--html", tmp_path / "report.html")
    assert (result.exit_code, "not enough data" in result.stdout) == (3, True)
    assert (tmp_path / "report.html").is_file()
