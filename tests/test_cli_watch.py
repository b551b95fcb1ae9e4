from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from curvecast.cli import main
from curvecast.cli.watch import _Desk
from curvecast.fleet import Settings
from curvecast.readers import read
from curvecast.readers.tail import Tail
from curvecast.replay import judged_to_end, watch
from curvecast.sinks.summary import summarise
from tests.conftest import write_log


def program(*arguments: str, first: str = "") -> list[str]:
    """The command line in a process of its own."""
    return [sys.executable, "-c", f"{first}import curvecast.cli; curvecast.cli.main({list(arguments)!r})"]


def test_watching_follows_a_growing_log(tmp_path: Path) -> None:
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


def test_of_a_run_that_is_watched_alone_it_is_known_what_can_be_done_now(tmp_path: Path) -> None:
    desk = _Desk(Settings(horizon=1000))
    desk.poll(Tail(str(write_log(tmp_path / "a", 60))), None)
    assert [choice.split(":")[0] for choice in desk.summaries["a"].choices][-1] == "go on to 1,000"
    write_log(tmp_path / "b", 60)
    desk = _Desk(Settings(horizon=1000))
    desk.poll(Tail(str(tmp_path)), None)
    assert [summary.choices for summary in desk.summaries.values()] == [(), ()]


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
    (tmp_path / "a" / "curvecast.json").write_text('{"schema": 1, "horizon": 60}')
    result = CliRunner().invoke(main, ["watch", str(tmp_path), "--polls", "3", "--every", "0.05"])
    assert result.exit_code == 0
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["a", "c"]
    assert result.stderr.splitlines() == [
        "b: no tag looks like a loss. Tags there: 'accuracy'. Pass one as --train-tag (train_tag=) or --val-tag "
        "(val_tag=), if it is one. Waiting for it."
    ]


def test_a_log_that_another_run_takes_over_is_watched_anew(tmp_path: Path) -> None:
    desk, tail = _Desk(Settings()), Tail(str(write_log(tmp_path, 50)))
    desk.take(tail.poll())
    table = tmp_path / "metrics.csv"
    table.write_text("step,train_loss\n" + "".join(f"{step},{5.0 + 9.0 / step!r}\n" for step in range(1, 91)))
    desk.take(tail.poll())
    (found,) = desk.summaries.values()
    (run,) = read(str(tmp_path))
    assert found == summarise(run, judged_to_end(watch(run)))


def test_watch_judges_a_log_at_its_last_loss_and_says_a_line_where_a_verdict_is_due(tmp_path: Path) -> None:
    desk, tail = _Desk(Settings()), Tail(str(write_log(tmp_path, 100)))
    said = []
    for steps in range(100, 112):
        write_log(tmp_path, steps)
        desk.take(tail.poll())
        (shown,) = desk.summaries.values()
        assert (shown.step, shown.decided_at) == (steps, steps)
        said += [summary.step for summary in desk.changed]
    assert said == [100, 102, 108]  # a live run is judged anew after 5 % more losses


def test_a_first_look_at_runs_shows_how_far_it_is(tmp_path: Path) -> None:
    write_log(tmp_path / "a", 60)
    desk = _Desk(Settings())
    messages = Console(file=StringIO(), force_terminal=True, width=80)
    assert desk.poll(Tail(str(tmp_path)), messages) == []
    assert "100%" in messages.file.getvalue()  # type: ignore[attr-defined]
    assert list(desk.summaries) == ["a"]


def test_later_looks_show_no_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal, where the table is drawn anew instead."""
    log = str(write_log(tmp_path, 60))
    monkeypatch.setattr("time.sleep", lambda seconds: write_log(tmp_path, 80))
    first, both = (
        CliRunner().invoke(main, ["watch", log, "--polls", polls], env={"FORCE_COLOR": "1"}) for polls in ("1", "2")
    )
    assert "train 2.335 now" in both.stdout
    assert 0 < first.stderr.count("100%") == both.stderr.count("100%")


def test_a_log_that_vanishes_is_waited_for(tmp_path: Path) -> None:
    tail = Tail(str(write_log(tmp_path, 50)))
    tail.poll()
    (tmp_path / "metrics.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder|no log in"):
        tail.poll()
    write_log(tmp_path, 60)
    assert [int(run.steps[-1]) for run in tail.poll()] == [60]


def test_a_table_is_not_taken_beyond_its_last_whole_row(tmp_path: Path) -> None:
    write_log(tmp_path, 50, spoil="51,2.4")
    (run,) = Tail(str(tmp_path)).poll()
    assert int(run.steps[-1]) == 50


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk at hand")
def test_watch_ends_where_its_output_cannot_be_written(tmp_path: Path) -> None:
    command = program("watch", str(write_log(tmp_path, 60)), "--every", "0.05")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: cannot write the output")


@pytest.mark.skipif(os.name == "nt", reason="pipes differ there")
@pytest.mark.parametrize("read", [True, False])
def test_watch_ends_quietly_when_nobody_reads_on(tmp_path: Path, read: bool) -> None:
    command = program("watch", str(write_log(tmp_path, 60)), "--every", "0.05")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if read:
            assert "step 60" in process.stdout.readline()  # from then on there is nothing to write
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert "Broken pipe" not in process.stderr.read()


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_watch_ends_at_an_interrupt_without_a_traceback(tmp_path: Path) -> None:
    import signal

    log = write_log(tmp_path, 60)
    # A job started in the background, as this suite may be, hands down a SIGINT that is ignored.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = program("watch", str(log), "--every", "0.1", first=heard)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"step 60" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
        assert process.wait(timeout=20) == 0
    assert b"Traceback" not in errors
    assert errors.splitlines()[-1] == b"watched until interrupted"
