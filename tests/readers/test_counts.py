"""Counters that are no plain steps: abbreviated ones, samples in brackets, epochs from 0, lines without a line feed."""

from __future__ import annotations

from pathlib import Path

import pytest

from curvecast.readers import Run, UnreadableRun, read
from tests.readers.printed import curve, loss, notes, only

ROBOT = "INFO 10:00 train.py:2 step:{told} smpl:{samples}K ep:3 epch:0.16 loss:{x} grdn:9.5 lr:1.0e-05\n"


def robot(told: list[str], every: int) -> str:
    return "".join(ROBOT.format(told=each, samples=8 * k, x=loss(k * every)) for k, each in enumerate(told, start=1))


def test_steps_that_are_abbreviated_are_counted_on(tmp_path: Path) -> None:
    told = ["200", "400", "600", "800", "1K", "1K", "1K", "2K", "2K", "2K"]
    run = only(tmp_path, "train.log", "INFO 10:00 train.py:1 cfg.steps=20000 (20K)\n" + robot(told, 200))
    assert curve(run, "train") == (list(range(200, 2001, 200)), [loss(s) for s in range(200, 2001, 200)])
    assert run.meta["horizon"] == 20_000
    assert "its steps are abbreviated, as 1K is" in notes(run)


def test_steps_that_are_all_abbreviated_are_taken_as_they_are_printed(tmp_path: Path) -> None:
    run = only(tmp_path, "train.log", robot([f"{k}K" for k in range(1, 9)], 1000))
    assert curve(run, "train")[0] == list(range(1000, 8001, 1000))


@pytest.mark.parametrize("told", ["9007199254740993K", "19223372036854776M", "999.9M"])
def test_an_abbreviated_step_beyond_all_numbers_is_read(tmp_path: Path, told: str) -> None:
    run = only(tmp_path, "train.log", robot(["200", "400", "600", "800", "1K", told], 200))
    assert curve(run, "train")[0][:5] == [200, 400, 600, 800, 1000]


def test_a_step_of_commas_alone_is_none(tmp_path: Path) -> None:
    line = "INFO: [Net..][epoch:  9, iter:{s}, lr:(1.000e-03,)] [eta: 1 day] l_pix: {x} \n"
    text = "".join(line.format(s=f"{s:8,d}", x=loss(s)) for s in range(100, 1100, 100)) + line.format(s="   ,,", x=2.5)
    assert curve(only(tmp_path, "train.log", text), "train")[0] == list(range(100, 1100, 100))


def test_a_validation_of_an_abbreviated_step_stays_at_it(tmp_path: Path) -> None:
    text = "".join(
        f"step {s / 1000:.1f}k train loss {loss(s)}\n" + (f"step {s / 1000:.1f}k val loss {loss(s)}\n" * (s % 500 == 0))
        for s in range(100, 2001, 100)
    )
    run = only(tmp_path, "train.log", text)
    assert curve(run, "train")[0] == list(range(100, 2001, 100))
    assert curve(run, "val") == ([500, 1000, 1500, 2000], [loss(s) for s in (500, 1000, 1500, 2000)])


@pytest.mark.parametrize("told", ["1e{s}", "1h{s}m"])
def test_a_number_that_goes_on_behind_its_digits_is_no_step(tmp_path: Path, told: str) -> None:
    (tmp_path / "a.log").write_text("".join(f"step={told.format(s=s)} loss={loss(s)}\n" for s in range(10, 30)))
    with pytest.raises(UnreadableRun, match="has lines with a loss"):
        read(tmp_path / "a.log")


def in_brackets(tmp_path: Path, every: int, of: int, mark: str = "") -> Run:
    lines = (
        f"Training Epoch: {epoch} [{s}/{of}{mark}]\tLoss: {loss((epoch - 1) * of + s)}\tLR: 0.010000\n"
        + (f"Test set: Epoch: {epoch}, Average loss: {loss(epoch)}, Accuracy: 0.0466\n" * (s + every > of))
        for epoch in (1, 2, 3)
        for s in range(every, of + 1, every)
    )
    return only(tmp_path, "train.log", "".join(lines))


@pytest.mark.parametrize(("every", "of", "unit"), [(16, 1000, "sample"), (640, 6400, "sample"), (10, 59, None)])
def test_what_stands_in_brackets_behind_an_epoch_is_samples_or_batches(
    tmp_path: Path, every: int, of: int, unit: str | None
) -> None:
    run = in_brackets(tmp_path, every, of)
    steps, losses = curve(run, "train")
    assert run.meta.get("unit") == unit
    assert steps == [e * of + s for e in range(3) for s in range(every, of + 1, every)]
    assert losses == [loss(s) for s in steps]
    assert curve(run, "val")[1] == [loss(1), loss(2), loss(3)]
    assert f"taken for {'samples' if unit else 'batches'}, as it goes up by {every}" in notes(run)


def test_samples_that_are_named_are_read(tmp_path: Path) -> None:
    assert in_brackets(tmp_path, 640, 6400, " samples (10%)").meta["unit"] == "sample"


@pytest.mark.parametrize(("last", "horizon"), [(9, 10), (8, 9)])
def test_epochs_from_0_whose_last_has_the_number_that_is_planned_are_one_more(
    tmp_path: Path, last: int, horizon: int
) -> None:
    line = "Epoch {e}/9  ---- 100/100 0:00:10 train_loss: {x} val_loss: {x}\n"
    run = only(tmp_path, "bar.log", "".join(line.format(e=e, x=loss(e + 1)) for e in range(last + 1)))
    assert run.meta["horizon"] == horizon


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", ""])
def test_a_table_whose_lines_end_in_a_carriage_return_is_read(tmp_path: Path, end: str) -> None:
    rows = [f"{s},{loss(s)},{loss(s + 1)}" for s in range(1, 20)]
    run = only(tmp_path, "a.csv", "\r".join(["step,train_loss,val_loss", *rows]) + end)
    assert curve(run, "train") == (list(range(1, 20)), [loss(s) for s in range(1, 20)])


def test_losses_between_much_other_output_are_found(tmp_path: Path) -> None:
    other = "copying shard of the data set to the local disk\n" * 8_000
    text = other + "".join(f"step {s} | loss {loss(s)}\n" for s in range(1, 4000)) + other
    run = only(tmp_path, "job.out", text)
    assert curve(run, "train")[0] == list(range(1, 4000))


def bar(description: str, step: int, of: int = 40, rate: str = "4.5it/s", behind: str = "") -> str:
    return f"{description} {100 * step // of:3d}%|███▏      | {step}/{of} [00:01<00:10, {rate}{behind}]\r"


@pytest.mark.parametrize("named", ["loss: {x}:", "| kl loss 0.1 | loss {x}:", "Train Loss={x} acc=0.5:"])
def test_a_loss_before_a_bar_is_read(tmp_path: Path, named: str) -> None:
    text = "".join(
        bar(f"Epoch {e}/2, " + named.format(x=loss(40 * (e - 1) + s)), s) + "\n" * (s == 40)
        for e in (1, 2)
        for s in range(1, 41)
    )
    run = only(tmp_path, "train.log", text + bar("Validating, loss=806.257:", 40))
    assert curve(run, "train") == (list(range(1, 81)), [loss(s) for s in range(1, 81)])
    assert run.meta["horizon"] == 80


@pytest.mark.parametrize("named", ["val loss {x}:", "best loss {x}:", "kl loss {x}:", "d_loss {x} g_loss {x}:"])
def test_another_loss_before_a_bar_is_not(tmp_path: Path, named: str) -> None:
    (tmp_path / "a.log").write_text("".join(bar(named.format(x=loss(s)), s) for s in range(1, 41)))
    with pytest.raises(UnreadableRun):
        read(tmp_path / "a.log")


@pytest.mark.parametrize(("before", "behind"), [("", ", loss={x}"), ("loss={x}:", "")])
def test_a_bar_that_counts_samples_is_refused(tmp_path: Path, before: str, behind: str) -> None:
    steps = range(1, 41)
    lines = [(before.format(x=loss(s)), s, behind.format(x=loss(s))) for s in steps]
    (tmp_path / "a.log").write_text("".join(bar(each, 32 * s, 1280, "95.2samples/s", what) for each, s, what in lines))
    with pytest.raises(UnreadableRun):
        read(tmp_path / "a.log")
    (tmp_path / "a.log").write_text("".join(bar(each, s, 40, "4.5it/s", what) for each, s, what in lines))
    assert curve(read(tmp_path / "a.log")[0], "train")[0] == list(steps)
