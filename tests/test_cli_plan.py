from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from curvecast import Family, Prior
from curvecast.cli import main
from curvecast.isoflop import isoflop_figure
from curvecast.laws.chinchilla import EPOCH
from curvecast.planning import law_of, plan
from curvecast.sinks.stream import _Lines


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def table(path: Path, rows: int = 60, *, unit: float = 1.0) -> Path:
    """A CSV of sizes, tokens and losses on Epoch's law, in a unit of its own [nats/token]."""
    rng = np.random.default_rng(0)
    N, D = np.exp(rng.uniform(np.log(5e7), np.log(5e9), rows)), np.exp(rng.uniform(np.log(1e9), np.log(1e11), rows))
    L = EPOCH.loss(N, D) / unit * np.exp(0.002 * rng.standard_normal(rows))
    path.write_text("N,D,loss\n" + "\n".join(f"{n},{d},{loss}" for n, d, loss in zip(N, D, L, strict=True)) + "\n")
    return path


def log(folder: Path, N: float, *, size: bool = True) -> Path:
    """A log at a constant learning rate, with the sidecar of the live callback."""
    folder.mkdir(parents=True)
    steps = np.arange(100, 4001, 100)
    losses = EPOCH.loss(N, 2**20 * steps)
    rows = [f"{s - 1},{loss},0.001" for s, loss in zip(steps, losses, strict=True)]
    (folder / "metrics.csv").write_text("\n".join(["step,train_loss,lr-AdamW", *rows]))
    if size:
        about = {"schema": 1, "num_params": int(N), "batch_tokens": 2**20, "horizon": 4000}
        (folder / "curvecast.json").write_text(json.dumps(about))
    return folder


def test_a_plan_in_json_is_the_published_optimum() -> None:
    made = json.loads(run("plan", "--flops", "5.76e23", "--format", "json"))
    assert made["num_params"] == pytest.approx(7.2e10, rel=0.02)
    assert made["num_tokens"] == pytest.approx(1.33e12, rel=0.02)
    assert [answer["who"] for answer in made["answers"]] == ["OpenAI", "DeepMind"]


def test_a_plan_as_a_table_tells_all_and_why(tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    asked = ["plan", "--params", "7B", "--gpus", "64", "--unique-tokens", "100B", "--inference-tokens", "1T"]
    printed = run(*asked, "--picture", str(page))
    told = " ".join(printed.split())
    made = plan(law_of("chinchilla"), num_params=7e9, unique_tokens=1e11)
    for word in (
        "parameters 7B",
        f"steps {made.steps:,.0f} epochs {made.epochs:.2f}",
        "64 h100 for",
        "with its use",
        "0.50x",
        "2.00x",
        "OpenAI",
        "embeddings out of N",
        "With other computes",
        "over 100B unique",
    ):
        assert word in told
    assert "Plotly" in page.read_text(encoding="utf-8")


def test_a_plan_by_a_family_of_one_s_own_has_no_answers_of_others_and_doubts_a_batch_that_leaves_no_steps(
    tmp_path: Path,
) -> None:
    law = tmp_path / "family.json"
    run("fit", str(table(tmp_path / "runs.csv", unit=2.5)), "-o", str(law), "--bootstraps", "20")
    short, long = (" ".join(run("plan", "--law", str(law), "--flops", flops).split()) for flops in ("1e15", "1e21"))
    assert "OpenAI" not in short + long
    assert "too few for a run. Give the batch of your own runs" in short
    assert "with a quarter of it a quarter more" in long
    assert "the best is" in long
    assert "With other computes" in long
    assert "One more run of the family that would make this surer" in long


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs a compute, a size or a number of tokens"),
        (
            ("--flops", "1e22", "--params", "1B", "--tokens", "1B"),
            "contradict each other: --flops give 1e+22, 6 --params --tokens give 6e+18",
        ),
        (("--flops", "much"), "must be a positive number: got 'much'"),
        (("--flops", "1e22", "--law", "newton"), "must be one of chinchilla"),
        (("--flops", "1"), "The best size must lie between 10000 and 1e+15 parameters"),
        (("--params", "1"), "The best size must lie between 10000 and 1e+15 parameters"),
        (("--tokens", "1"), "The best size must lie between 10000 and 1e+15 parameters"),
        (("--gpus", "8"), "got --gpus without --hours. Pass --flops, --params, --tokens, or --gpus and --hours."),
        (("--hours", "8"), "got --hours without --gpus"),
        (("--flops", "1e22", "--batch-tokens", "1e30"), "--batch-tokens must be at most the run's tokens"),
        (("--flops", "1e22", "--gpu", "abacus"), "--gpu must be one of a100"),
        (("--flops", "1e22", "--picture", "no/such/folder/plan.html"), "there is no folder"),
    ],
)
def test_a_plan_that_cannot_be_made_is_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    assert message in " ".join(run("plan", *arguments, code=2).split())


def test_a_table_is_fitted_saved_and_planned_with(tmp_path: Path) -> None:
    family = tmp_path / "family.json"
    printed = run("fit", str(table(tmp_path / "runs.csv")), "-o", str(family), "--predict", "70B", "1.4T")
    assert "alpha_N" in printed
    assert "held out: fitted up to" in printed
    assert "70B parameters, 1.4T tokens: 1." in printed
    made = json.loads(run("plan", "--flops", "1e22", "--law", str(family), "--format", "json"))
    assert made["interval"][0] < made["loss"] < made["interval"][1]
    assert made["num_params"] == pytest.approx(float(EPOCH.best(1e22)[0]), rel=0.3)


def test_runs_of_a_family_are_analysed_by_its_law(tmp_path: Path) -> None:
    """From a third of the way, of a size that the family has not seen; the truth is the law's."""
    family = tmp_path / "family.json"
    run("fit", str(table(tmp_path / "runs.csv")), "--bootstraps", "20", "-o", str(family))
    logged, truth = log(tmp_path / "next", 7e9), float(EPOCH.loss(7e9, 4000 * 2**20))
    widths = []
    asked = (
        "analyze",
        str(logged),
        "--until",
        "2000",
        "--horizon",
        "4000",
        "--schedule",
        "constant",
        "--format",
        "json",
    )
    for law in ((), ("--law", str(family))):
        told = json.loads(run(*asked, *law))
        forecast = told["runs"][0]["forecast"]
        assert forecast["lower"] < truth < forecast["upper"]
        widths.append(forecast["upper"] - forecast["lower"])
    assert widths[1] < 0.75 * widths[0]


@pytest.mark.parametrize("known", [False, True])
def test_a_law_that_is_not_applied_for_want_of_a_size_is_told(tmp_path: Path, known: bool) -> None:
    family = tmp_path / "family.json"
    run("fit", str(table(tmp_path / "runs.csv")), "--bootstraps", "20", "-o", str(family))
    logged, size = log(tmp_path / "next", 7e9, size=False), ("--num-params", "7B", "--batch-tokens", "1M")
    asked = ("analyze", str(logged), "--until", "2000", "--horizon", "4000", "--law", str(family))
    done = CliRunner().invoke(main, [*asked, *(size if known else ())])
    assert done.exit_code == 0
    assert ("1 run to which --law is not applied" in done.stderr) is not known


@pytest.mark.parametrize("text", ["{", "[]", "\udcff", '{"kind": "curvecast.Family", "schema": 99}'])
@pytest.mark.parametrize("command", ["analyze", "watch"])
def test_a_law_that_is_none_is_wrong_usage(tmp_path: Path, command: str, text: str) -> None:
    (tmp_path / "family.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    said = " ".join(
        run(command, str(log(tmp_path / "next", 7e9)), "--law", str(tmp_path / "family.json"), code=2).split()
    )
    assert "Invalid value for --law" in said
    assert "curvecast fit" in said


def test_the_three_ways_to_the_best_size_are_compared(tmp_path: Path) -> None:
    asked = ("fit", str(table(tmp_path / "runs.csv")), "--compare", "1e22", "--bootstraps", "0")
    printed, lacking = run(*asked), json.loads(run(*asked, "--format", "json"))["approaches"]
    assert "envelope   no run has losses on the way" in printed
    assert "isoflop    no compute has 4 sizes" in printed
    assert "parametric N ~ C^0.5" in printed
    assert [way["exponent"] is None for way in lacking] == [True, True, False]  # JSON has no NaN
    for N in (5e7, 1e8, 2e8, 4e8, 8e8):
        log(tmp_path / "logs" / f"{N:.0e}", N)
    told = json.loads(run("fit", str(tmp_path / "logs"), "--compare", "1e20", "--bootstraps", "0", "--format", "json"))
    assert [way["name"] for way in told["approaches"]] == ["envelope", "isoflop", "parametric"]
    assert told["approaches"][2]["exponent"] == pytest.approx(0.513, abs=0.03)


def test_a_forecast_that_a_family_of_one_size_cannot_give_is_wrong_usage(tmp_path: Path) -> None:
    rows = "".join(f"1e8,{D:g},{1.7 + 400 * D**-0.28}\n" for D in (1e9, 2e9, 4e9, 8e9, 2e10, 4e10, 8e10))
    (tmp_path / "one.csv").write_text(f"num_params,num_tokens,loss\n{rows}")
    fit = ("fit", str(tmp_path / "one.csv"), "--bootstraps", "0")
    run(*fit, "--predict", "1e8", "1e11")
    said = run(*fit, "--predict", "70B", "1.4T", "-o", str(tmp_path / "law.json"), code=2)
    assert "This family has one size, 1e+08 parameters, and cannot tell of others: got 7e+10." in said


def test_a_fit_in_json_holds_units_and_provenance(tmp_path: Path) -> None:
    told = json.loads(run("fit", str(table(tmp_path / "runs.csv")), "--format", "json", "--predict", "1B", "20B"))
    assert told["units"]["loss"] == "nats/token"
    assert told["provenance"]["runs"] == 60
    assert told["forecasts"][0]["loss"] == pytest.approx(float(EPOCH.loss(1e9, 2e10)), rel=0.01)


def test_logs_without_a_size_are_named(tmp_path: Path) -> None:
    log(tmp_path / "small", 1e8, size=False)
    log(tmp_path / "large", 1e9, size=False)
    printed = " ".join(run("fit", str(tmp_path), code=2).split())
    assert "missing num_params of" in printed
    assert "small" in printed
    assert "large" in printed


def test_a_table_gives_the_sizes_that_logs_do_not_note(tmp_path: Path) -> None:
    sizes = tmp_path / "sizes.csv"
    sizes.write_text("run,num_params\n" + "".join(f"{N:.0e},{N / 1e6:g}M\n" for N in (1e8, 2e8, 4e8, 8e8)))
    for N in (1e8, 2e8, 4e8, 8e8):
        log(tmp_path / "runs" / f"{N:.0e}", N, size=False)
    common = ("fit", str(tmp_path / "runs"), "--sizes", str(sizes), "--bootstraps", "0")
    told = json.loads(run(*common, "--batch-tokens", "100k", "--format", "json"))
    assert told["provenance"]["sizes"] == 4
    printed = " ".join(run(*common, code=2).split())
    assert "missing batch_tokens of 1e+08, 2e+08, 4e+08 and 1 more: pass --batch-tokens" in printed


def test_a_table_of_sizes_must_name_the_runs(tmp_path: Path) -> None:
    log(tmp_path / "runs" / "small", 1e8, size=False)
    (tmp_path / "sizes.csv").write_text("run,num_params\nlarge,1B\n")
    printed = run("fit", str(tmp_path / "runs"), "--sizes", str(tmp_path / "sizes.csv"), code=2)
    assert "must name the runs: got large, and the logs are" in " ".join(printed.split())


def test_a_table_of_sizes_may_name_files_and_a_name_that_no_log_has_is_told(tmp_path: Path) -> None:
    for name, floor in (("small", 3.0), ("large", 2.0)):
        lines = [json.dumps({"step": step, "train_loss": floor + 3 * step**-0.3}) for step in range(1, 200)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    sizes, asked = tmp_path / "sizes.csv", ("fit", str(tmp_path / "*.jsonl"), "--batch-tokens", "100k")
    sizes.write_text("run,num_params\nsmall.jsonl,1M\nlagre,1B\n")
    printed = " ".join(run(*asked, "--sizes", str(sizes), code=2).split())
    assert "missing num_params of large" in printed
    assert f"No log is called lagre, as {sizes} has it." in printed


def test_a_plan_beyond_the_runs_of_its_law_says_so(tmp_path: Path) -> None:
    family = tmp_path / "family.json"
    run("fit", str(table(tmp_path / "runs.csv")), "-o", str(family), "--bootstraps", "50")
    assert "beyond the runs that the law was fitted to" in " ".join(
        run("plan", "--law", str(family), "--flops", "1e26").split()
    )
    assert "beyond the runs" not in run("plan", "--law", str(family), "--flops", "1e20")


def test_a_fit_takes_the_names_that_a_log_has_for_its_columns(tmp_path: Path) -> None:
    for N in (5e7, 1e8, 2e8, 4e8):
        written = log(tmp_path / f"{N:.0e}", N) / "metrics.csv"
        written.write_text(written.read_text().replace("step,train_loss", "tick,nll"))
    assert "tick" in run("fit", str(tmp_path), code=2)
    named = ("--step-column", "tick", "--train-tag", "nll", "--format", "json", "--bootstraps", "0")
    assert json.loads(run("fit", str(tmp_path), *named))["provenance"]["sizes"] == 4
    printed = " ".join(run("fit", str(tmp_path), "--step-column", "tick", "--train-tag", "null", code=2).split())
    assert "tag 'null' is not in" in printed


def test_a_plan_speaks_the_unit_of_its_family_and_names_no_critical_batch_in_another(tmp_path: Path) -> None:
    law = tmp_path / "law.json"
    run("fit", str(table(tmp_path / "runs.csv", unit=np.log(2.0))), "--unit", "bits/token", "-o", str(law))
    told = " ".join(run("plan", "--law", str(law), "--flops", "1e22").split())
    assert "bits/token, with its 90 % interval" in told
    assert "nats/token, with" not in told
    assert "the critical one is known for losses in nats/token alone" in told


def test_logs_that_count_tokens_are_fitted_by_their_batch(tmp_path: Path) -> None:
    tokens = np.arange(1, 81) * 50 * 2**16
    names = []
    for N in (1e7, 2e7, 4e7):
        losses = EPOCH.loss(N, tokens)
        rows = [f"{D},{loss},0.001" for D, loss in zip(tokens, losses, strict=True)]
        (tmp_path / f"{N:.0e}.csv").write_text("\n".join(["tokens,train_loss,lr", *rows]))
        names.append(f"{N:.0e},{N:.0f}")
    sizes = tmp_path / "sizes.txt"
    sizes.write_text("\n".join(["run,num_params", *names]))
    asked = ["fit", *map(str, tmp_path.glob("*.csv")), "--sizes", str(sizes), "--batch-tokens", str(2**16)]
    seen = json.loads(run(*asked, "--bootstraps", "0", "--format", "json"))["seen"]
    assert seen[3] == pytest.approx(tokens[-1], rel=0.05)


def test_logs_with_their_sizes_are_fitted(tmp_path: Path) -> None:
    for N in (5e7, 1e8, 2e8, 4e8, 8e8):
        log(tmp_path / f"{N:.0e}", N)
    told = json.loads(run("fit", str(tmp_path), "--format", "json", "--bootstraps", "50", "--predict", "3B", "10B"))
    assert told["provenance"]["sizes"] == 5
    assert told["provenance"]["losses"] == 80
    assert told["forecasts"][0]["loss"] == pytest.approx(float(EPOCH.loss(3e9, 1e10)), rel=0.01)


def test_logs_that_do_not_tell_their_learning_rate_are_told_it(tmp_path: Path) -> None:
    for N in (5e7, 1e8, 2e8, 4e8, 8e8):
        metrics = log(tmp_path / f"{N:.0e}", N) / "metrics.csv"
        metrics.write_text("\n".join(",".join(row.split(",")[:2]) for row in metrics.read_text().splitlines()))
    fit = ("fit", str(tmp_path), "--bootstraps", "20")
    assert "Of these the learning rate is not known: pass --schedule" in run(*fit, code=2)
    printed = run(*fit, "--schedule", "constant", "--predict", "3B", "10B")
    assert "no run ends with its learning rate decayed" in printed
    told = json.loads(run(*fit, "--schedule", "constant", "--predict", "3B", "10B", "--format", "json"))
    assert told["provenance"]["losses"] == 80
    assert told["forecasts"][0]["loss"] == pytest.approx(float(EPOCH.loss(3e9, 1e10)), rel=0.01)
    assert "--schedule" in run(*fit, "--schedule", "newton", code=2)


def test_logs_that_cannot_be_read_are_said_and_the_others_fitted(tmp_path: Path) -> None:
    for N in (5e7, 1e8, 2e8, 4e8):
        log(tmp_path / f"{N:.0e}", N)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/metrics.csv").write_text("")
    done = CliRunner().invoke(main, ["fit", str(tmp_path), "--format", "json", "--bootstraps", "0"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["provenance"]["sizes"] == 4
    assert done.stderr.startswith("broken: metrics.csv is empty.")
    assert "No run could be read at" in run("fit", str(tmp_path / "broken"), code=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("N,D,loss\n1e8,1e9,low\n", "'loss' must be a number: got 'low'"),
        ("N,D,loss\n1e8,1e9,3.0\n-1e8,1e9,3.0\n", "'num_params' must be a positive number such as 124000000 or 124M"),
        ("N,D,loss\n", "must have a row for each run: got a header alone"),
        ("N,loss\n1e8,3.0\n", "must have a column 'num_tokens': got n, loss"),
        ("N,D,loss\n1e8,1e9,3.0\n" + "9" * 200_000 + ",1e9,3.0\n", "cannot be read as a table: field larger"),
        ("N,D,loss\n1e8,1e9,3.0\n1e8,1e9\n", "'loss' must be filled in every row: line 3 of"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "runs.csv").write_text(text)
    assert message in " ".join(run("fit", str(tmp_path / "runs.csv"), code=2).split())


def test_a_spreadsheets_table_is_read(tmp_path: Path) -> None:
    plain = table(tmp_path / "plain.csv")
    rows = [line.split(",") for line in plain.read_text().splitlines()[1:]]
    marked = "".join(f"{float(N) / 1e6!r}M,{float(D) / 1e9!r}B, {loss} \n" for N, D, loss in rows)
    (tmp_path / "marked.csv").write_text("\ufeffParams,Tokens,Loss\n" + marked, encoding="utf-8")
    options = ("--bootstraps", "0", "--format", "json")
    one, other = (json.loads(run("fit", str(tmp_path / name), *options)) for name in ("plain.csv", "marked.csv"))
    assert other["parameters"] == pytest.approx(one["parameters"], rel=1e-6)


def test_a_table_named_twice_counts_once(tmp_path: Path) -> None:
    path = str(table(tmp_path / "runs.csv"))
    assert json.loads(run("fit", path, path, "--bootstraps", "0", "--format", "json"))["provenance"]["runs"] == 60


def test_a_family_has_a_folder_before_it_is_fitted(tmp_path: Path) -> None:
    path = str(table(tmp_path / "runs.csv"))
    printed = run("fit", path, "-o", str(tmp_path / "no" / "family.json"), code=2)
    assert "there is no folder" in " ".join(printed.split())


def test_a_table_without_a_size_is_told_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("width,seen,loss\n64,1e9,3.0\n")
    printed = " ".join(run("fit", str(tmp_path / "runs.csv"), code=2).split())
    assert "Pass logs, or a CSV with the columns num_params, num_tokens and loss." in printed


@pytest.mark.parametrize("command", ["fit", "plan", "learn", "analyze --html", "analyze"])
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    family = str(table(tmp_path / "family.csv"))
    logs = str(log(tmp_path / "d12", 1e6).parent if command.startswith("analyze") else log(tmp_path / "d12", 1e6))
    asked = {
        "fit": (Family, "save", ("fit", family, "--bootstraps", "0", "-o", "x.json")),
        "plan": (Path, "write_text", ("plan", "--flops", "1e21", "--picture", "x.html")),
        "learn": (Prior, "save", ("learn", logs, "-o", "x.json")),
        "analyze --html": (Path, "write_text", ("analyze", logs, "--html", "x.html")),
        "analyze": (_Lines, "write", ("analyze", logs, "-o", "x.jsonl")),
    }
    where, name, arguments = asked[command]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(where, name, full)
    done = CliRunner().invoke(main, [*arguments])
    assert done.exit_code == 2, done.output
    assert "cannot write x." in done.output
    assert "No space left on device. Pass a file that may be written." in " ".join(done.output.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "run.jsonl", "--html", "run.jsonl"),
        ("analyze", ".", "-o", "run.jsonl"),
        ("analyze", "run.jsonl", "-o", "link.jsonl"),
        ("learn", "run.jsonl", "-o", "run.jsonl"),
        ("fit", "run.jsonl", "-o", "run.jsonl"),
        ("fit", "family.csv", "-o", "family.csv"),
        ("fit", "run.jsonl", "--sizes", "sizes.csv", "-o", "sizes.csv"),
        ("plan", "--law", "law.json", "--flops", "1e21", "--picture", "law.json"),
    ],
    ids=" ".join,
)
def test_no_command_writes_over_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.jsonl").write_text("".join(f'{{"step": {s}, "loss": {2.0 + 3.0 * s**-0.5}}}\n' for s in range(1, 99)))
    Path("link.jsonl").symlink_to("run.jsonl")
    Path("sizes.csv").write_text("run,num_params\nrun,1e6\n")
    run("fit", str(table(Path("family.csv"))), "--bootstraps", "0", "-o", "law.json")
    before = {file: file.read_bytes() for file in Path().iterdir()}
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert "is read, and would be lost. Pass another file." in " ".join(done.output.split())
    assert {file: file.read_bytes() for file in Path().iterdir()} == before


def test_the_picture_of_a_plan_shows_its_doubts(tmp_path: Path) -> None:
    run("fit", str(table(tmp_path / "runs.csv")), "-o", str(tmp_path / "family.json"), "--bootstraps", "20")
    law = law_of(tmp_path / "family.json")
    made = plan(law, flops=1e21)
    point = isoflop_figure(made, law).data[-1]
    assert made.interval is not None
    assert point.y[0] + point.error_y.array[0] == pytest.approx(made.interval[1])
    assert point.x[0] - point.error_x.arrayminus[0] == pytest.approx((made.size_interval or (0.0,))[0])
    assert isoflop_figure(plan(law_of("chinchilla"), flops=1e21), law_of("chinchilla")).data[-1].error_y.array is None


def test_curves_of_equal_compute_are_told_apart_without_their_colour() -> None:
    law = law_of("chinchilla")
    drawn = isoflop_figure(plan(law, flops=1e21), law)
    assert len({trace.line.dash for trace in drawn.data if trace.mode == "lines"}) == 3
    assert "10B" in drawn.layout.xaxis.ticktext  # as the tables call it, not 10G
    assert len(drawn.layout.xaxis.ticktext) <= 12
