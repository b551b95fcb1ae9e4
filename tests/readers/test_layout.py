"""Tables as they are printed, and rows that are not written whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curvecast.readers import Run, find, read
from curvecast.readers.tail import Tail

STEPS = list(range(10, 610, 10))


def loss(step: int) -> float:
    return round(2 + 5 * math.pow(step, -0.3), 4)


def only(path: Path, text: str) -> Run:
    path.write_text(text)
    (run,) = read(path.parent)
    return run


RULE = "+------+--------+------+\n"
DRAWN: dict[str, tuple[str, Callable[[int], str], str]] = {
    "padded.txt": ("  step      loss  val_loss\n", lambda s: f"{s:6d}  {loss(s):8.4f}  {loss(s) + 1:8.4f}\n", ""),
    "remark.dat": ("# a run\n# step loss val_loss\n", lambda s: f"{s} {loss(s)} {loss(s) + 1:.4f}\n", ""),
    "markdown.log": (
        "A run\n\n| Step | Training Loss | Validation Loss |\n|---|:--|--:|\n",
        lambda s: f"| {s} | {loss(s)} | {loss(s) + 1:.4f} |\n",
        "",
    ),
    "grid.txt": (
        f"{RULE}| step | loss   | val loss |\n{RULE}",
        lambda s: f"| {s} | {loss(s)} | {loss(s) + 1:.4f} |\n" + RULE * (s % 100 == 0),
        RULE,
    ),
    "open.out": (" step | train loss | val loss\n", lambda s: f" {s:4d} | {loss(s)} | {loss(s) + 1:.4f}\n", ""),
    "words.log": (
        "      Iter       Train Loss      Valid Loss   Remaining Time\n",
        lambda s: f"{s:10d} {loss(s):16.4f} {loss(s) + 1:15.4f} {'0.85s':>16s}\n",
        "",
    ),
    "again.log": (
        "loading\nstep   loss  val_loss\n",
        lambda s: f"{s:4d} {loss(s)} {loss(s) + 1:.4f}\n" + "step   loss  val_loss\n" * (s % 200 == 0),
        "",
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_printed_table_is_read(tmp_path: Path, name: str) -> None:
    head, row, foot = DRAWN[name]
    run = only(tmp_path / name, head + "".join(map(row, STEPS)) + foot)
    assert (run.steps.tolist(), run.train_loss.tolist()) == (STEPS, [loss(s) for s in STEPS])
    np.testing.assert_allclose(run.val_loss, [loss(s) + 1 for s in STEPS], atol=1e-4)
    assert run.meta["lost"] == []


@pytest.mark.parametrize(
    "text",
    [
        "the loss of each step is\nshown below in a figure and\n" * 9,
        "| Name | Type | Params |\n| loss | MSELoss | 0 |\n",
        "run loss\na 2.5\nb 2.25\n",
        "step 10 loss 2.5\nstep 20 loss\n",
    ],
)
def test_other_text_is_no_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.txt").write_text(text)
    with pytest.raises(FileNotFoundError, match="no log in"):
        find(tmp_path)


WHOLE = {
    "log.csv": "step,lr,loss\n" + "".join(f"{s},1e-05,{loss(s):.4f}\n" for s in STEPS),
    "blank.csv": "step,loss,val_loss\n" + "".join(f"{s},{loss(s):.4f},{'' if s % 50 else 3.1}\n" for s in STEPS[:-1])
    + "600,2.7337,\n",
    "log.tsv": "step\tloss\n" + "".join(f"{s}\t{loss(s):.4f}\n" for s in STEPS),
    "table.txt": "step loss\n" + "".join(f"{s} {loss(s):.4f}\n" for s in STEPS),
    "out.log": "".join(f"step {s} | loss {loss(s):.4f}\n" for s in STEPS),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_finished_log_may_lack_its_last_lines_end(tmp_path: Path, name: str) -> None:
    run = only(tmp_path / name, WHOLE[name][:-1])
    assert (run.steps[-1], run.train_loss[-1], run.meta["lost"]) == (600, loss(600), [])


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"blank.csv"}))
def test_a_number_that_is_cut_in_half_is_no_loss(tmp_path: Path, name: str) -> None:
    run = only(tmp_path / name, WHOLE[name][:-4])
    assert (run.steps[-1], run.train_loss[-1]) == (590, loss(590))
    assert name == "out.log" or "breaks off" in str(run.meta["lost"])


@pytest.mark.parametrize("name", WHOLE)
def test_while_a_log_is_written_no_row_is_taken_before_its_end(tmp_path: Path, name: str) -> None:
    data, tail = WHOLE[name].encode(), Tail(str(tmp_path))
    for end in range(len(data) // 2, len(data) + 1):
        (tmp_path / name).write_bytes(data[:end])
        (run,) = tail.poll()
        assert run.train_loss[-1] == loss(int(run.steps[-1]))
        assert run.meta["lost"] == []
    assert run.steps[-1] == 600


def test_a_large_table_that_breaks_off_is_read_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curvecast.readers.arrow._LARGE", 0)
    run = only(tmp_path / "log.csv", WHOLE["log.csv"][:-4])
    assert (run.steps[-1], "breaks off" in str(run.meta["lost"])) == (590, True)
