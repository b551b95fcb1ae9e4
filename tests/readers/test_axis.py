"""Which column counts the steps: found, asked for, or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from curvecast.cli import main
from curvecast.readers import UnreadableRun, find, read
from curvecast.readers.tail import Tail
from tests.readers.printed import curve, loss, notes, only

ROWS = range(1, 9)
EPISODES = "Episode,Loss,Reward\n" + "".join(f"{s - 1},{loss(s)},{9 - s}\n" for s in ROWS)
OWN = "time,tick,train_loss,val_loss\n" + "".join(f"{s}.5,{10 * s},{loss(s)},{loss(s) + 1}\n" for s in ROWS)


@pytest.mark.parametrize("name", ["loss_log.txt", "train.log", "loss.csv"])
def test_episodes_count_and_the_name_of_a_table_does_not_matter(tmp_path: Path, name: str) -> None:
    run = only(tmp_path, name, EPISODES)
    assert curve(run, "train") == (list(ROWS), [loss(s) for s in ROWS])
    assert "steps are episodes" in notes(run)


@pytest.mark.parametrize("name", ["losses.csv", "losses.txt"])
@pytest.mark.parametrize("header", ["Train Loss,Val Loss,val_acc", "phase1_loss,phase1_val_loss,phase1_accuracy"])
def test_the_rows_of_a_table_of_losses_alone_are_counted(tmp_path: Path, name: str, header: str) -> None:
    path = tmp_path / name
    path.write_text(header + "\n" + "".join(f"{loss(s)},{loss(s) + 1},0.5\n" for s in ROWS))
    (run,) = read(path)
    assert curve(run, "train") == (list(ROWS), [loss(s) for s in ROWS])
    assert curve(run, "val")[0] == list(ROWS)
    assert "the number of the row is taken for it" in notes(run)


@pytest.mark.parametrize("name", ["metrics.csv", "log.txt"])
def test_another_column_counts_where_it_is_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(OWN)
    with pytest.raises(UnreadableRun, match=r"'time', 'tick', .* as --step-column \(step_column=\), or 'row' to count"):
        read(path)
    for asked, steps in (("tick", [10 * s for s in ROWS]), ("row", list(ROWS))):
        (run,) = read(path, step_column=asked)
        assert curve(run, "train") == (steps, [loss(s) for s in ROWS])
    with pytest.raises(UnreadableRun, match=r"no column 'tock' in .* got 'time', 'tick'"):
        read(path, step_column="tock")


def test_it_is_asked_for_in_a_folder_too_and_while_a_log_grows(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(OWN)
    with pytest.raises(FileNotFoundError, match="no log in"):
        find(tmp_path)
    (run,) = Tail(str(tmp_path), step_column="tick").poll()
    assert (run.name, run.steps[-1]) == ("own", 80)


def test_records_have_it_as_well(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"tick": 10 * s, "loss": loss(s)}) + "\n" for s in ROWS))
    with pytest.raises(UnreadableRun, match=r"got 'tick', 'loss'. Pass the name of the one .* --step-column"):
        read(path)
    for asked, steps in (("tick", [10 * s for s in ROWS]), ("row", list(ROWS))):
        (run,) = read(path, step_column=asked)
        assert curve(run, "train") == (steps, [loss(s) for s in ROWS])


def test_a_better_known_column_gives_way_to_the_one_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,epoch,loss\n" + "".join(f"{100 * s},{s},{loss(s)}\n" for s in ROWS))
    (run,) = read(tmp_path, step_column="epoch")
    assert (run.steps.tolist(), "steps are epochs" in notes(run)) == (list(ROWS), True)


def test_the_command_line_has_the_option(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(OWN)
    refused = CliRunner().invoke(main, ["analyze", str(path)])
    assert (refused.exit_code, "--step-column" in refused.stderr) == (2, True)
    taken = CliRunner().invoke(main, ["analyze", str(path), "--step-column", "tick", "--format", "json"])
    assert json.loads(taken.stdout)["runs"][0]["step"] == 80
    watched = CliRunner().invoke(main, ["watch", str(path), "--step-column", "tick", "--polls", "1"])
    assert "step 80" in watched.stdout


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_keras_history_as_pandas_saves_it_counts_epochs(tmp_path: Path, name: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(
        f"{name},accuracy,loss,val_accuracy,val_loss\n" + "".join(f"{s - 1},0.5,{loss(s)},0.5,9.5\n" for s in ROWS)
    )
    (run,) = read(path)
    assert (run.steps.tolist(), "steps are epochs" in notes(run)) == (list(ROWS), True)


def test_numbers_without_names_are_refused_with_what_to_write(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("1,0.425,0.188\n2,0.282,0.122\n")
    with pytest.raises(UnreadableRun, match=r"no header in curves.csv: its first line is numbers. Write the names"):
        read(path)


@pytest.mark.parametrize(("first", "apart", "added"), [(50, 50, 0), (49, 50, 1), (99, 100, 1), (1, 1, 1)])
def test_steps_that_are_completed_already_are_not_lightnings(
    tmp_path: Path, first: int, apart: int, added: int
) -> None:
    steps = [first + apart * k for k in range(6)]
    (tmp_path / "metrics.csv").write_text("step,epoch,loss\n" + "".join(f"{s},1,2.5\n" for s in steps))
    (run,) = read(tmp_path)
    assert run.steps.tolist() == [s + added for s in steps]
    (tmp_path / "hparams.yaml").write_text("lr: 0.1\n")  # which Lightning's logger always writes beside it
    assert read(tmp_path)[0].steps.tolist() == [s + 1 for s in steps]
