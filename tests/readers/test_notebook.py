"""Notebooks: ``samples/notebook`` was run by Jupyter, with Keras and the Trainer: see ``scripts/log_samples``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curvecast.readers import Run, UnreadableRun, find, read

SAMPLE = Path(__file__).parent / "samples/notebook/run.ipynb"


def write(path: Path, *cells: list[dict[str, object]]) -> Path:
    path.write_text(json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "outputs": each} for each in cells]}))
    return path


def printed(*steps: int, more: float = 0.0, name: str = "stdout") -> dict[str, object]:
    return {"output_type": "stream", "name": name, "text": [f"step {s} | loss {2 + 2 / s + more}\n" for s in steps]}


def notes(run: Run) -> str:
    return str(run.meta["notes"])


def test_each_way_of_training_in_a_notebook_is_a_run() -> None:
    runs = {run.name.rpartition("/")[2]: run for run in read(SAMPLE)}
    assert list(runs) == ["cell 2", "cell 4", "cell 5", "cell 6"]
    loop, keras, by_steps, by_epochs = runs.values()
    assert (loop.steps.tolist(), loop.train_loss.tolist()) == (list(range(1, 31)), [2 + 2 / s for s in range(1, 31)])
    assert "cell 3 goes on with the run" in notes(loop)
    assert (keras.steps.tolist(), keras.points("val"), "steps are epochs" in notes(keras)) == ([1, 2, 3, 4, 5], 5, True)
    assert by_steps.steps.tolist() == list(range(2, 21, 2))
    assert (by_steps.points("train"), by_steps.points("val"), by_steps.meta["lost"]) == (9, 10, [])
    assert by_epochs.steps.tolist() == [5, 10, 15]  # the bar says: 15 steps, 3 epochs
    assert "epochs" not in notes(by_epochs)
    assert [run.meta.get("horizon") for run in runs.values()] == [None, 5, 20, 15]


def test_a_cell_that_begins_anew_is_another_run(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", [printed(*range(1, 9))], [], [printed(*range(1, 9), more=1)])
    assert [(run.name, run.train_loss[0]) for run in read(path)] == [("a/cell 1", 4.0), ("a/cell 3", 5.0)]


def test_a_notebook_lies_among_other_logs(tmp_path: Path) -> None:
    write(tmp_path / "a.ipynb", [printed(1, 2, 3), printed(4, 5, 6, name="stderr")])
    write(tmp_path / "cleared.ipynb", [])
    (tmp_path / "log.csv").write_text("step,loss\n1,2.5\n2,2.25\n")
    assert [(run.name, len(run)) for run in read(tmp_path)] == [("a", 6), ("log", 2)]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"cells": 3}', '{"cells": [3, {"outputs": [3, {"data": 3}]}]}', "[" * 9999]
)
def test_a_notebook_without_a_log_is_refused_by_name_and_passed_over_in_a_folder(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(UnreadableRun, match=r"a\.ipynb"):
        read(path)
    with pytest.raises(FileNotFoundError, match="no log in"):
        find(tmp_path)


def test_a_table_of_fastai_is_read(tmp_path: Path) -> None:
    rows = "".join(
        f"<tr><td>{e}</td><td><b>{2 + 1 / (e + 1)}</b></td><td>3.0</td><td>00:12</td></tr>" for e in range(6)
    )
    head = "".join(f"<th>{name}</th>" for name in ("epoch", "train_loss", "valid_loss", "time"))
    page = f'<table border="1" class="dataframe"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    (run,) = read(write(tmp_path / "a.ipynb", [{"output_type": "display_data", "data": {"text/html": page}}]))
    assert (run.train_loss.tolist(), run.points("val")) == ([2 + 1 / (e + 1) for e in range(6)], 6)
