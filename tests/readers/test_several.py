"""Several runs in one file, and one run whose counter starts again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from curvecast.readers import read
from curvecast.readers.tail import Tail
from tests.readers.printed import curve, loss, notes


def table(counts: list[int], losses: list[float]) -> str:
    return "epoch,loss,val_loss\n" + "".join(f"{c},{x},{x + 0.5}\n" for c, x in zip(counts, losses, strict=True))


def lines(counts: list[int], losses: list[float]) -> str:
    text = (f"Epoch {c}: Train Loss: {x}, Val Loss: {x + 0.5}\n" for c, x in zip(counts, losses, strict=True))
    return "".join(text)


FORMS = [("a.csv", table), ("a.log", lines)]


@pytest.mark.parametrize(("file", "form"), FORMS)
@pytest.mark.parametrize("start", [0, 1])
def test_runs_that_begin_at_their_first_level_are_several(
    tmp_path: Path, file: str, form: Callable[[list[int], list[float]], str], start: int
) -> None:
    lengths = (8, 5, 9)
    counts = [start + k for length in lengths for k in range(length)]
    losses = [loss(1 + k) + 0.1 * run for run, length in enumerate(lengths) for k in range(length)]
    (tmp_path / file).write_text(form(counts, losses))
    runs = read(tmp_path)
    assert [run.name for run in runs] == ["a#1", "a#2", "a#3"]
    assert [curve(run, "train")[0] for run in runs] == [list(range(1, length + 1)) for length in lengths]
    assert [x for run in runs for x in curve(run, "train")[1]] == losses
    assert all(run.meta["lost"] == [] for run in runs)


@pytest.mark.parametrize(("file", "form"), FORMS)
def test_a_run_that_goes_on_where_its_loss_was_is_one(
    tmp_path: Path, file: str, form: Callable[[list[int], list[float]], str]
) -> None:
    counts, losses = [*range(1, 11), *range(1, 21)], [loss(s) for s in range(1, 31)]
    (tmp_path / file).write_text(form(counts, losses))
    (run,) = read(tmp_path)
    assert curve(run, "train") == (list(range(1, 31)), losses)
    assert curve(run, "val")[0] == list(range(1, 31))
    assert "the counter starts again where the loss goes on: what follows is put behind step 10" in notes(run)


def test_a_counter_may_start_again_more_than_once(tmp_path: Path) -> None:
    counts = [*range(1, 11), *range(1, 6), *range(1, 16), *range(1, 8)]
    losses = [*(loss(s) for s in range(1, 31)), *(loss(s) for s in range(1, 8))]
    (tmp_path / "a.csv").write_text(table(counts, losses))
    first, second = read(tmp_path)
    assert curve(first, "train") == (list(range(1, 31)), losses[:30])
    assert curve(second, "train") == (list(range(1, 8)), losses[30:])


def test_what_was_resumed_in_the_middle_is_one_run_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        table([*range(1, 11), *range(7, 15)], [loss(s) for s in [*range(1, 11), *range(7, 15)]])
    )
    (run,) = read(tmp_path)
    assert curve(run, "train") == (list(range(1, 15)), [loss(s) for s in range(1, 15)])
    assert "the run was resumed at step 7; 4 rows from before dropped" in notes(run)


def test_a_start_that_was_given_up_is_dropped(tmp_path: Path) -> None:
    begun = [1, 1, 2, *range(1, 9)]
    (tmp_path / "a.csv").write_text(table(begun, [7.01, 7.0, 6.0, *(loss(s) for s in range(1, 9))]))
    (run,) = read(tmp_path)
    assert curve(run, "train") == (list(range(1, 9)), [loss(s) for s in range(1, 9)])
    assert "3 rows from before dropped" in notes(run)


def test_what_stands_before_the_first_loss_of_a_run_is_its_own(tmp_path: Path) -> None:
    """As nanoGPT prints its validation before the update that is called by the same number."""
    text = ""
    for _ in range(2):
        for s in range(20):
            text += f"step {s}: train loss {loss(s + 1)}, val loss {loss(s + 1) + 0.5}\n" * (s % 5 == 0)
            text += f"iter {s}: loss {loss(s + 1)}, time 9.5ms\n"
    (tmp_path / "train.log").write_text(text)
    runs = read(tmp_path)
    assert [run.points("val") for run in runs] == [3, 3]  # that of step 0 was before the first update
    assert all(run.meta["lost"] == [] for run in runs)


@pytest.mark.parametrize("goes_on", [False, True])
def test_steps_within_epochs_that_begin_again(tmp_path: Path, goes_on: bool) -> None:
    at = [(e, b) for e in range(1, 4) for b in range(10, 41, 10)]
    seen = [40 * (e - 1) + b + 120 * goes_on * again for again in (0, 1) for e, b in at]
    text = "".join(f"Epoch [{e}/3], Step [{b}/40], Loss: {loss(s)}\n" for (e, b), s in zip(at * 2, seen, strict=True))
    (tmp_path / "train.log").write_text(text)
    runs = read(tmp_path)
    steps = list(range(10, 121, 10))
    if goes_on:
        assert [curve(run, "train")[0] for run in runs] == [[*steps, *(120 + s for s in steps)]]
    else:
        assert [curve(run, "train")[0] for run in runs] == [steps, steps]


def test_of_a_run_that_blew_up_the_next_one_is_a_new_one(tmp_path: Path) -> None:
    text = table(
        [*range(1, 7), *range(1, 7)], [4.0, 3.5, 9.0, math.nan, math.nan, math.nan, 3.3, 3.1, 3.0, 2.9, 2.8, 2.7]
    )
    (tmp_path / "a.csv").write_text(text)
    assert [run.points("train") for run in read(tmp_path)] == [6, 6]


def test_a_folder_and_a_file_name_them_alike_and_a_tail_sees_the_second_begin(tmp_path: Path) -> None:
    path = tmp_path / "d12/loss_log.csv"
    path.parent.mkdir()
    path.write_text(table(list(range(9)), [loss(1 + s) for s in range(9)]))
    tail = Tail(str(tmp_path))
    assert [run.name for run in tail.poll()] == ["d12/loss_log"]
    path.write_text(table([*range(9), *range(9)], [loss(1 + s) for s in range(9)] * 2))
    assert [run.name for run in tail.poll()] == ["d12/loss_log#1", "d12/loss_log#2"]
    assert [run.name for run in read(path)] == ["loss_log#1", "loss_log#2"]


def test_a_counter_that_goes_round_and_round_is_no_hang(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table([1, 2, 3] * 20_000, [4 - k / 20_000 for k in range(60_000)]))
    started = time.process_time()
    (run,) = read(tmp_path)
    assert len(run) == 3
    assert time.process_time() - started < 20.0
