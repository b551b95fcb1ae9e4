from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from curvecast import fleet
from curvecast.cli import count, main
from tests.conftest import Analyze, shut, write_log

HEAVY = ("torch", "lightning", "pytorch_lightning", "pandas", "tensorboard", "scipy", "plotly")


def test_a_run_is_analysed(tmp_path: Path, analyze: Analyze) -> None:
    result = analyze(write_log(tmp_path / "d12"), "--horizon", "1_000")
    assert result.exit_code == 0
    assert result.stdout.startswith("d12\n  step 100/1,000, 100 train points")
    assert result.stderr.startswith(
        "1 run: train_loss: 'train_loss' (a usual name for the training loss); val_loss: none"
    )


def test_of_one_run_it_is_said_what_can_be_done_now_and_of_several_where_each_ends(
    tmp_path: Path, analyze: Analyze
) -> None:
    alone = analyze(write_log(tmp_path / "d12"), "--horizon", "1_000")
    assert "What can be done now, and the train loss at its end:\n  - stop here: " in alone.stdout
    assert "  - go on to 1,000: " in alone.stdout
    write_log(tmp_path / "d24")
    assert "What can be done" not in analyze(tmp_path, "--horizon", "1_000").stdout


def test_lost_data_is_always_told_and_the_rest_when_asked(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12", spoil="x,y\n")
    quiet, verbose = analyze(tmp_path / "d12"), analyze(tmp_path / "d12", "-v")
    assert quiet.stderr.startswith("d12: metrics.csv: 1 entry left out: line 102 has 'x' for a step\n1 run: train_loss")
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
    result = analyze(tmp_path, "--horizon", 200, "--schedule", "cosine", "--num-params", "124M")
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
    assert "Looked for steps and a loss in *tfevents*, " in result.stderr
    assert len(result.stderr) < 400 + len(str(tmp_path))


def test_a_file_without_permission_is_said(common_path: Path, analyze: Analyze) -> None:
    log = write_log(common_path) / "metrics.csv"
    assert analyze(common_path).exit_code == 0
    with shut(log):
        result = analyze(common_path)
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


def test_analysing_loads_no_training_framework_and_no_optimizer(tmp_path: Path) -> None:
    write_log(tmp_path)
    code = f"import curvecast.cli; curvecast.cli.main(['analyze', {str(tmp_path)!r}], standalone_mode=False)"
    assert loaded_by(code, ("torch", "lightning", "pytorch_lightning", "pandas", "tensorboard", "scipy.optimize")) == []


def loaded_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules a fresh interpreter has loaded after ``code``."""
    probe = f"{code}\nimport sys, json\nsys.stderr.write(json.dumps([n for n in {names} if n in sys.modules]))"
    root = Path(__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=root)
    loaded: list[str] = json.loads(result.stderr.splitlines()[-1])
    return loaded


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


@pytest.mark.parametrize(
    ("jobs", "logs", "cores", "started"), [(9999, 1, 8, 1), (9999, 3, 2, 2), (2, 3, 8, 2), (-1, 3, 2, -1)]
)
def test_no_more_processes_are_started_than_there_are_logs_and_cores(
    tmp_path: Path, analyze: Analyze, monkeypatch: pytest.MonkeyPatch, jobs: int, logs: int, cores: int, started: int
) -> None:
    asked: list[int] = []

    def each(*_: object, jobs: int) -> Iterator[Any]:
        asked.append(jobs)
        return iter(())

    monkeypatch.setattr("curvecast.fleet.each", each)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    for name in "abc"[:logs]:
        write_log(tmp_path / name)
    analyze(tmp_path, "--jobs", str(jobs))
    assert asked == [started]


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


def test_an_unknown_horizon_is_told_for_the_forecast_is_then_of_now(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    assert "1 run without a known horizon: forecasts there are of the loss now." in analyze(tmp_path).stderr
    assert "horizon" not in analyze(tmp_path, "--horizon", 200).stderr


def test_the_verdicts_of_many_runs_are_counted(tmp_path: Path, analyze: Analyze) -> None:
    for number in range(12):
        write_log(tmp_path / f"run-{number}", last=100 if number < 9 else 40)
    assert analyze(tmp_path, "--horizon", 100).stderr.endswith("12 runs: 9 finished, 3 on track\n")


def test_ctrl_c_is_no_verdict_and_leaves_what_was_done(
    tmp_path: Path, analyze: Analyze, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = fleet.each

    def stopped(*given: Any, **settings: Any) -> Iterator[Any]:
        yield next(iter(each(*given, **settings)))
        raise KeyboardInterrupt

    for number in range(2):
        write_log(tmp_path / f"run-{number}")
    results = tmp_path / "results.jsonl"
    monkeypatch.setattr(fleet, "each", stopped)
    result = analyze(tmp_path, "--horizon", 100, "-o", results)
    assert result.exit_code == 130
    assert f"what was done is in {results}: --resume goes on with the rest" in " ".join(result.stderr.split())
    monkeypatch.undo()
    assert "1 of 2 logs are in" in analyze(tmp_path, "--horizon", 100, "-o", results, "--resume").stderr


def test_of_many_runs_it_is_counted_how_many_logs_are_left_out(tmp_path: Path, analyze: Analyze) -> None:
    for number in range(12):
        write_log(tmp_path / f"run-{number}")
    for number in range(2):
        (tmp_path / f"empty-{number}").mkdir()
        (tmp_path / f"empty-{number}" / "metrics.csv").touch()
    result = analyze(tmp_path, "--horizon", 100, "-o", tmp_path / "results.jsonl")
    assert "2 logs left out, for the reasons above" in result.stderr
    assert result.stderr.endswith(f"results: {tmp_path / 'results.jsonl'}\n")


def test_a_tag_that_is_like_none_is_not_guessed(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    assert "Pass one of them as --train-tag (train_tag=)." in analyze(tmp_path, "--train-tag", "reward").stderr
    assert "Pass 'train_loss' as --train-tag (train_tag=)." in analyze(tmp_path, "--train-tag", "train_los").stderr


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


@pytest.mark.parametrize(
    ("path", "said"),
    [("", "the path is empty"), (os.devnull, "is a device or a pipe"), ("-", "'-' is a device or a pipe")],
)
def test_a_path_that_is_no_log_is_said_at_once(analyze: Analyze, path: str, said: str) -> None:
    result = analyze(path)
    assert (result.exit_code, said in result.stderr) == (2, True)


LONG = 300 * "a"  # more than a system allows in a name


@pytest.mark.parametrize(
    "words",
    [
        ["analyze", LONG],
        ["analyze", 200 * "a*"],
        ["fit", f"{LONG}.csv"],
        ["learn", LONG, "-o", "prior.json"],
        ["analyze", os.curdir, "--html", f"{LONG}/page.html"],
        ["analyze", os.curdir, "-o", f"{LONG}.jsonl"],
        ["analyze", os.curdir, "--prior", LONG],
        ["plan", "--flops", "1e20", "--picture", f"{LONG}/page.html"],
    ],
)
def test_a_name_that_is_too_long_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    write_log(tmp_path / "d12")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert LONG in result.stderr or words[1] in result.stderr


def test_a_folder_that_nobody_may_look_into_is_said(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "shut" / "d12")
    analyze(tmp_path)  # loads what nobody may load
    with shut(tmp_path / "shut"):
        result = analyze(tmp_path / "shut" / "d12")
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "Permission denied" in result.stderr


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_output_that_meets_a_full_disk_is_a_line_and_no_verdict(tmp_path: Path, form: str) -> None:
    call = [sys.executable, "-c", "from curvecast.cli import main; main()", "analyze", str(write_log(tmp_path / "d12"))]
    with FULL.open("w") as full:
        done = subprocess.run([*call, "--format", form], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "Error: cannot write the output: no space is left. Pass it on to another disk.",
    )


def test_what_is_no_law_is_told_once_how_to_write_one(tmp_path: Path, analyze: Analyze) -> None:
    path = write_log(tmp_path / "d12")
    no_law = tmp_path / "law.json"
    no_law.write_text("step,loss")
    result = analyze(path, "--law", no_law)
    assert (result.exit_code, result.stderr.count("Write ")) == (2, 1)


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


def test_a_name_that_the_terminal_has_no_letters_for_ends_no_analysis(tmp_path: Path) -> None:
    write_log(tmp_path / "größe 実験")
    program = f"import curvecast.cli; curvecast.cli.main(['analyze', {str(tmp_path)!r}])"
    surroundings = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=surroundings)
    assert done.returncode == 0, done.stderr
    assert "größe ??".encode("latin-1") in done.stdout


def test_a_run_that_is_too_young_is_told_from_when_on_and_what_to_do(tmp_path: Path, analyze: Analyze) -> None:
    result = analyze(write_log(tmp_path / "d12"), "--horizon", "20000")
    assert result.exit_code == 3
    assert "which is step 400." in " ".join(result.stdout.split())
    assert "1 run too young for a forecast: look again later" in result.stderr
    assert "pass these as --horizon." in result.stderr


def test_an_empty_log_is_not_passed_over_in_silence(tmp_path: Path, analyze: Analyze) -> None:
    write_log(tmp_path / "d12")
    for name in "abcdef":
        (tmp_path / f"{name}.log").write_text("")
    (tmp_path / "__init__.py").write_text("")
    for passed_over in (".venv", "site-packages", ".git", "node_modules"):
        (tmp_path / passed_over).mkdir()
        (tmp_path / passed_over / "a.log").write_text("")
    os.mkfifo(tmp_path / "0.log")
    result = analyze(tmp_path)
    assert result.exit_code == 0
    told = next(line for line in result.stderr.splitlines() if line.startswith("passed over"))
    assert told.startswith("passed over, for nothing is written in it yet: ")
    assert (told.count(".log"), told.endswith(" and 2 more"), ".py" in told, "0.log" in told) == (4, True, False, False)


def test_what_jobs_printed_without_a_loss_is_named_but_not_beside_the_log_of_that_job(
    tmp_path: Path, analyze: Analyze
) -> None:
    write_log(tmp_path / "d12")
    (tmp_path / "d12" / "wandb").mkdir()
    losses = "".join(f"step {step}: loss {2 + 3 * step**-0.3}\n" for step in range(1, 200))
    (tmp_path / "d13").mkdir()
    (tmp_path / "d13" / "train.log").write_text(losses)
    for name in ("slurm-2.out", "slurm-3.out"):
        (tmp_path / name).write_text(losses)
    silent = ("d12/job.log", "d12/wandb/debug.log", "d13/gpu.log", "slurm-1.out", "notes.txt")
    (tmp_path / ".venv").mkdir()
    for name in (*silent, ".venv/pip.log"):
        (tmp_path / name).write_text("slurmstepd: error: Detected 1 oom_kill event\n")
    result = analyze(tmp_path)
    told = [line for line in result.stderr.splitlines() if line.startswith("passed over")]
    assert result.exit_code == 0
    assert len(told) == 1
    assert told[0].startswith("passed over, for no losses were found in it: ")
    assert told[0].endswith("slurm-1.out")
    assert told[0].count(".out") + told[0].count(".log") == 1
