from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from curvecast.readers import Source, UnreadableRun, find, read, read_source
from curvecast.readers.formats import Part
from curvecast.replay import watch
from tests.conftest import shut


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_folder_with_logs_is_a_run_in_natural_order(tmp_path: Path) -> None:
    for version in (10, 2, 1):
        touch(tmp_path / f"logs/version_{version}/events.out.tfevents.1.host")
    touch(tmp_path / "logs/version_1/metrics.csv")
    touch(tmp_path / "logs/.cache/events.out.tfevents.1.host")
    touch(tmp_path / "logs/version_2/events.out.tfevents.2.host.profile-empty")
    sources = find(tmp_path / "logs")
    assert [source.name for source in sources] == ["version_1", "version_2", "version_10"]
    assert [[(part.format, len(part.files)) for part in source.parts] for source in sources] == [
        [("tfevents", 1), ("csv", 1)],
        [("tfevents", 1)],
        [("tfevents", 1)],
    ]


def test_the_folder_itself_is_named_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "d12/metrics.csv")
    assert find(tmp_path / "d12")[0].name == "d12"
    monkeypatch.chdir(tmp_path / "d12")
    assert find(".")[0].name == "d12"


def test_other_tables_need_a_step_and_a_loss(tmp_path: Path) -> None:
    touch(tmp_path / "a/history.csv", "Step,train_loss\n")
    touch(tmp_path / "b/people.csv", "name,age\n")
    touch(tmp_path / "c/steps.csv", "step,distance\n")
    touch(tmp_path / "d/log.tsv", "iter\tval loss\n")
    touch(tmp_path / "e/broken.csv", "\0\0\0")
    assert [source.name for source in find(tmp_path)] == ["a/history", "d/log"]


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    table = touch(tmp_path / "run/any.csv", "x,y\n")
    events = touch(tmp_path / "run/events.out.tfevents.1")
    assert (find(table)[0].name, find(table)[0].parts) == ("any", (Part("csv", (table,)),))
    assert (find(events)[0].name, find(events)[0].parts) == ("run", (Part("tfevents", (events,)),))


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file or folder '.*nowhere'. Pass a log file"):
        find(tmp_path / "nowhere")


def test_a_folder_without_logs_says_what_was_looked_for(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    with pytest.raises(
        FileNotFoundError, match=r"no log in .* Looked for .* in \*tfevents\*, .*\*\.csv.*Pass one of its files"
    ):
        find(tmp_path)


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path / "a/metrics.csv")
    (tmp_path / "a/again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self.csv").symlink_to(tmp_path / "self.csv")
    assert [source.name for source in find(tmp_path)] == ["a"]


def test_ten_thousand_files_are_passed_over_quickly(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"d{number}").mkdir()
        for other in range(100):
            (tmp_path / f"d{number}/{other}.bin").touch()
    touch(tmp_path / "d7/metrics.csv")
    start = time.process_time()
    assert [source.name for source in find(tmp_path)] == ["d7"]
    assert time.process_time() - start < 5.0


def test_a_pipe_among_the_files_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "events.out.tfevents.1")
    touch(tmp_path / "metrics.csv")
    assert [part.format for part in find(tmp_path)[0].parts] == ["csv"]


def test_a_folder_that_may_not_be_opened_is_said_in_a_line(common_path: Path) -> None:
    runs = common_path / "runs"
    touch(runs / "shut" / "metrics.csv", "step,train_loss\n1,2.0\n2,1.5\n")
    assert [len(found.steps) for found in read_source(find(runs)[0])] == [2]
    with shut(runs / "shut"):
        (source,) = find(runs)
        with pytest.raises(UnreadableRun, match="the folder cannot be opened: Permission denied"):
            read_source(source)


def test_a_folder_that_vanished_is_said_in_a_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(UnreadableRun, match="the folder cannot be opened: No such file or directory"):
        read_source(Source("gone", gone, (Part("locked", (gone,)),)))


@pytest.mark.parametrize("name", ["metrics.csv", "metrics.jsonl", "main.log", "run.wandb", "trainer_state.json"])
def test_a_file_that_vanished_is_said_in_a_line(tmp_path: Path, name: str) -> None:
    formats = {".csv": "csv", ".jsonl": "jsonl", ".log": "text", ".wandb": "wandb", ".json": "huggingface"}
    path = tmp_path / name
    with pytest.raises(UnreadableRun, match=r"cannot (be )?read"):
        read_source(Source("gone", path, (Part(formats[path.suffix], (path,)),)))


def test_names_that_are_no_text_are_shown_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "red\x1b[31m"
    folder.mkdir()
    (folder / "metrics.csv").write_text("step,train_loss\n1,2.5\n")
    (source,) = find(tmp_path)
    assert source.name == "red?[31m"
    assert read_source(source)[0].points("train") == 1


def test_no_file_is_opened_twice_while_a_folder_is_walked(tmp_path: Path) -> None:
    words = {"a.csv": "name,age\n", "b.txt": "a loss of words\n", "c.json": '{"step": 1}\n', "d.jsonl": "{}\n"}
    for name, text in words.items():
        touch(tmp_path / name, text)
    touch(tmp_path / "run/metrics.csv", "step,loss\n1,2\n")
    opened: list[str] = []

    def noted(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and watched and str(args[0]).startswith(str(tmp_path)):
            opened.append(Path(str(args[0])).name)

    watched = True
    sys.addaudithook(noted)
    find(tmp_path)
    watched = False
    assert sorted(opened) == ["a.csv", "b.txt", "c.json", "d.jsonl", "metrics.csv"]


@pytest.mark.parametrize("path", [None, 5, ["runs/a", "runs/b"], b"runs"])
def test_what_is_no_path_is_told(path: Any) -> None:
    with pytest.raises(TypeError, match=r"`path` must be a path: got a \w+. Pass one log file"):
        find(path)
    with pytest.raises(TypeError, match=r"`path` must be a path or a table: got a \w+. Pass a log file, a folder"):
        read(path)
    with pytest.raises(TypeError, match=r"`run_or_path` must be a run, a path or a table: got a \w+. Pass"):
        watch(path)
