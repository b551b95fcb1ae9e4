"""What frameworks print is read as it was."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from curvecast.readers import read
from curvecast.readers.tail import Tail
from tests.readers.printed import (
    BY_EPOCH,
    EPOCHS,
    IN_EPOCHS,
    LOGGED,
    STEPWISE,
    VALIDATED,
    curve,
    loss,
    notes,
    only,
    trainer,
)


@pytest.mark.parametrize("name", STEPWISE)
def test_what_is_printed_is_read(tmp_path: Path, name: str) -> None:
    run = only(tmp_path, "out.log", STEPWISE[name])
    times = 100 if name == "thousands" else 1
    assert curve(run, "train") == ([s * times for s in LOGGED], [loss(s) for s in LOGGED])
    assert curve(run, "val") == (
        [s * times for s in LOGGED if s % 100 == 0],
        [round(loss(s) + 0.1, 4) for s in LOGGED if s % 100 == 0],
    )
    assert run.meta["lost"] == []
    planned = {"opennmt", "olmo", "composer", "trainer", "trainer_quoted"}
    assert run.meta.get("horizon") == (600 if name in planned else None)


@pytest.mark.parametrize("name", BY_EPOCH)
def test_what_is_printed_by_epoch_is_read_as_epochs(tmp_path: Path, name: str) -> None:
    run = only(tmp_path, "out.log", BY_EPOCH[name])
    assert curve(run, "train") == (list(EPOCHS), [loss(e) for e in EPOCHS])
    assert curve(run, "val") == (list(EPOCHS), [round(loss(e) + 0.1, 4) for e in EPOCHS])
    assert "steps are epochs" in notes(run)


@pytest.mark.parametrize("name", IN_EPOCHS)
def test_steps_that_begin_anew_with_each_epoch_go_on(tmp_path: Path, name: str) -> None:
    text = "".join(IN_EPOCHS[name](epoch, batch) for epoch in range(1, 5) for batch in range(50, 501, 50))
    run = only(tmp_path, name, text)
    from_zero = name.split(".")[0] in ("imagenet", "swin", "timm", "icefall", "wenet")  # they count the batches before
    assert curve(run, "train") == (
        list(range(50 + from_zero, 2001 + from_zero, 50)),
        [loss(s) for s in range(50, 2001, 50)],
    )
    assert "begin anew with each epoch" in notes(run)
    assert run.meta["lost"] == []


def test_the_quickstart_of_pytorch_counts_samples(tmp_path: Path) -> None:
    text = "".join(
        f"Epoch {e}\n{'-' * 31}\n"
        + "".join(f"loss: {loss((e - 1) * 60000 + b):>7f}  [{b:>5d}/60000]\n" for b in range(64, 60000, 6400))
        + f"Test Error: \n Accuracy: 44.0%, Avg loss: {loss(e * 60000):>8f} \n\n"
        for e in range(1, 6)
    )
    run = only(tmp_path, "out.log", text)
    seen = [(e - 1) * 60000 + b for e in range(1, 6) for b in range(64, 60000, 6400)]
    assert curve(run, "train") == (seen, [loss(s) for s in seen])
    assert curve(run, "val") == (seen[9::10], [loss(e * 60000) for e in range(1, 6)])
    assert "steps are samples" in notes(run)


@pytest.mark.parametrize("name", VALIDATED)
def test_a_validation_without_a_step_stands_where_the_steps_are(tmp_path: Path, name: str) -> None:
    text = "".join(IN_EPOCHS[f"{name}.log"](1, batch) for batch in (100, 200)) + VALIDATED[name]
    run = only(tmp_path, "out.log", text)
    assert (curve(run, "train")[0], curve(run, "val")) == ([101, 201], ([201], [3.1]))


def test_detectron2_writes_its_text_and_its_records_of_one_run(tmp_path: Path) -> None:
    text = "".join(
        f"\x1b[32m[01/01 10:00:00 d2.utils.events]: \x1b[0m eta: 0:10:00  iter: {s - 1}  total_loss: {loss(s)}  "
        "loss_cls: 0.5  loss_box_reg: 0.3    time: 0.3  last_time: 0.3  data_time: 0.01   lr: 1.6e-05  max_mem: 3000M\n"
        for s in LOGGED
    )
    run = only(tmp_path, "log.txt", text)
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert run.lr[0] == 1.6e-05
    times = {"data_time": 0.01, "eta_seconds": 600.0, "time": 0.3}
    records = [{**times, "iteration": s - 1, "loss_cls": 0.5, "lr": 0.1, "total_loss": loss(s)} for s in LOGGED]
    (tmp_path / "metrics.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    (run,) = read(tmp_path)
    assert (run.meta["format"], run.points("train")) == ("jsonl", len(LOGGED))
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])


@pytest.mark.parametrize("name", ["valid epoch {}", "Epoch {} [val]", "Validation", "run_test, epoch {}"])
def test_bars_of_held_out_data_are_no_training(tmp_path: Path, name: str) -> None:
    text = "".join(
        f"\r{desc.format(epoch)}: 10%|█  | {b}/500 [00:10<01:00, 5.0it/s, loss={loss((epoch - 1) * 500 + b) + more}]"
        for epoch in range(1, 5)
        for desc, more in (("train epoch {} (val loss 2.1)", 0), (name, 0.1))
        for b in range(50, 501, 50)
    )
    run = only(tmp_path, "bars.err", text)
    assert curve(run, "train") == (list(range(50, 2001, 50)), [loss(s) for s in range(50, 2001, 50)])


def test_a_run_that_was_resumed_is_not_taken_for_an_epoch(tmp_path: Path) -> None:
    text = "epoch,step,loss\n" + "".join(f"0,{s},{loss(s)}\n" for s in range(1, 60))
    text += "".join(f"{s // 60},{s},{loss(s)}\n" for s in range(40, 120))
    run = only(tmp_path, "table.csv", text)
    assert curve(run, "train")[0] == list(range(1, 120))
    assert "resumed at step 40" in notes(run)


def test_a_trainer_is_found_behind_the_bars_of_a_tokenizer(tmp_path: Path) -> None:
    bars = "".join(f"\rMap: {k // 100}%|██   | {k}/10000 [00:01<00:10, 100.0 examples/s]" for k in range(3000))
    run = only(tmp_path, "out.log", bars + "\n" + trainer(bars=True, quoted=False))
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])


def test_a_trainer_without_a_bar_has_its_records_counted(tmp_path: Path) -> None:
    run = only(tmp_path, "out.log", trainer(bars=False, quoted=False))
    assert curve(run, "train") == (list(range(1, 61)), [loss(s) for s in LOGGED])
    assert "no step is printed" in notes(run)


@pytest.mark.parametrize("prefix", ["[rank{}]: ", "[default{}]:", "{}: "])
def test_of_two_ranks_that_print_the_same_steps_one_is_read(tmp_path: Path, prefix: str) -> None:
    lines = [
        (s + 2.5 * rank, f"{prefix.format(rank)}step {s} | loss {loss(s) + rank}\n")
        for s in range(1, 99)
        for rank in (0, 1)
    ]
    run = only(tmp_path, "out.log", "".join(line for _, line in sorted(lines)))
    assert curve(run, "train") == (list(range(1, 99)), [loss(s) for s in range(1, 99)])
    assert run.meta["lost"] == []


def test_numbers_before_a_colon_are_no_ranks_where_each_step_has_its_own(tmp_path: Path) -> None:
    run = only(tmp_path, "out.log", "".join(f"{s}: step {s} | loss {loss(s)}\n" for s in range(1, 99)))
    assert curve(run, "train")[0] == list(range(1, 99))


@pytest.mark.parametrize("value", ["{:,.2f}", "{:,.0f}", "{:.2f}", "{:.2f},0.5"])
def test_losses_of_thousands_are_read_whole(tmp_path: Path, value: str) -> None:
    losses = [float(f"{1000 * loss(s):{'.0f' if '0f' in value else '.2f'}}") for s in LOGGED]
    lines = (f"step {s} | loss {value.format(given)}\n" for s, given in zip(LOGGED, losses, strict=True))
    assert curve(only(tmp_path, "out.log", "".join(lines)), "train") == (list(LOGGED), losses)


def test_a_loss_with_a_decimal_comma_is_not_taken_for_a_whole_number(tmp_path: Path) -> None:
    text = "".join(f"step {s} | loss {str(loss(s)).replace('.', ',')}\n" for s in LOGGED)
    run = only(tmp_path, "out.log", text)
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert "a comma stands before the decimals" in notes(run)


def test_lines_that_are_padded_are_no_trap(tmp_path: Path) -> None:
    started = time.process_time()
    run = only(tmp_path, "out.log", "".join(f"step {s}{' ' * 4000}loss {loss(s)}\n" for s in LOGGED))
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert time.process_time() - started < 20.0  # it took minutes


@pytest.mark.parametrize("name", ["clu", "thousands", "transformer_xl", "bars.err"])
def test_of_a_line_that_is_half_written_nothing_is_taken(tmp_path: Path, name: str) -> None:
    text = STEPWISE.get(name) or "".join(IN_EPOCHS[name](1, batch) for batch in range(10, 501, 10))
    data, path, tail = text.encode(), tmp_path / "out.err", Tail(str(tmp_path))
    seen: list[tuple[int, float]] = []
    for end in range(len(data) // 2, len(data), 17):
        path.write_bytes(data[:end])
        (run,) = tail.poll()
        now = list(zip(*curve(run, "train"), strict=True))
        assert now[: len(seen)] == seen
        seen = now
