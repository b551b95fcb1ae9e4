"""What scripts of all kinds print that no library writes, each in the form in which it was met."""

from __future__ import annotations

from pathlib import Path

import pytest

from curvecast.readers import UnreadableRun, read
from tests.readers.printed import curve, loss, notes, only

STEPS = range(1, 13)
TRAIN = [loss(s) for s in STEPS]
VAL = [round(loss(s) + 0.1, 4) for s in STEPS]


def printed(line: str, steps: range = STEPS) -> str:
    return "".join(line.format(s=s, x=loss(s), y=round(loss(s) + 0.1, 4)) for s in steps)


@pytest.mark.parametrize(
    "line",
    [
        "Ep {s} (Step {s:06d}): Train loss {x}, Val loss {y}\n",
        "[09:01:14.6] iteration {s} : loss : {x}, loss_ce: 9.9, val_loss : {y}\n",
        "step {s}  loss={x} (p=1.4 v=0.3)  val={y} (p=1.3 v=0.5)\n",
    ],
)
def test_a_line_with_a_step_is_read(tmp_path: Path, line: str) -> None:
    run = only(tmp_path, "train.log", printed(line))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))


@pytest.mark.parametrize(
    ("line", "horizon"),
    [
        ("epoch   {s}\nloss: {x}\ntest accuracy: 20.5%, (10/50)\nval loss: {y}\n", None),
        ("epoch {s}/40\n  train loss = {x}\n  val loss = {y}\n", 40),
        ("  epoch {s}/40  loss={x} (p=1.4 v=0.3)  val={y} (p=1.3 v=0.5)  [best]\n", 40),
        ("Epoch {s}/40 - Train Loss: {x} - Val Loss: {y}\n", 40),
        ("Epoch {s} 完成 | 训练损失: {x} | 验证损失: {y} | 时间: 9.5s\n", None),
    ],
)
def test_a_line_with_an_epoch_is_read_and_tells_how_many_there_will_be(
    tmp_path: Path, line: str, horizon: int | None
) -> None:
    run = only(tmp_path, "train.log", printed(line))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))
    assert run.meta.get("horizon") == horizon
    assert "steps are epochs" in notes(run)


@pytest.mark.parametrize(
    "line",
    [
        "Epoch {e}/3, step {s}/40, loss = {x}\n",
        "Epoch [{e}/3], Step [{s}/40], Loss: {x}\n",
        "  Epoch {e}/3 | batch {s}/40 | loss {x}\n",
    ],
)
def test_epochs_and_their_steps_are_the_horizon(tmp_path: Path, line: str) -> None:
    def text(epochs: int) -> str:
        lines = (line.format(e=e, s=s, x=loss((e - 1) * 40 + s)) for e in range(1, epochs + 1) for s in range(4, 41, 4))
        return "".join(lines)

    for epochs in (1, 2):
        run = only(tmp_path, "train.log", text(epochs))
        steps = list(range(4, 40 * epochs + 1, 4))
        assert curve(run, "train") == (steps, [loss(s) for s in steps])
        assert run.meta["horizon"] == 120


def test_steps_that_go_on_through_the_epochs_are_not_counted_by_each(tmp_path: Path) -> None:
    text = "".join(f"Epoch {1 + (s - 1) // 40}/3, step {s}/120, loss = {loss(s)}\n" for s in range(4, 81, 4))
    run = only(tmp_path, "train.log", text)
    assert (curve(run, "train")[0], run.meta.get("horizon")) == (list(range(4, 81, 4)), 120)


def test_transunets_says_how_many_iterations_there_will_be(tmp_path: Path) -> None:
    text = "[1.5] 10 iterations per epoch. 1500 max iterations \n" + printed("[1.6] iteration {s} : loss : {x}\n")
    assert only(tmp_path, "log.txt", text).meta["horizon"] == 1500


def test_batches_that_count_from_zero_are_seen_though_the_log_begins_within_an_epoch(tmp_path: Path) -> None:
    at = [(1, b) for b in range(20, 40, 4)] + [(2, b) for b in range(0, 40, 4)]
    text = "".join(f"Epoch:  {e} | Batch: {b}/ 40 | LR: 2.9e-04 |Loss: {loss(40 * e + b)}\n" for e, b in at)
    run = only(tmp_path, "train.log", text)
    assert curve(run, "train") == ([40 * (e - 1) + b + 1 for e, b in at], [loss(40 * e + b) for e, b in at])


@pytest.mark.parametrize("head", ["{date}[train_inner][INFO] - ", "{date} | INFO | train_inner | "])
def test_fairseq_is_read_whatever_stands_before_its_records(tmp_path: Path, head: str) -> None:
    head = head.format(date="[2022-04-08 18:48:05,372]")
    text = "".join(
        f'{head}{{"epoch": 1, "loss": "{loss(s)}", "loss_0": "9", "num_updates": "{s}", "lr": "1e-05"}}\n'
        f'{head.replace("train_inner", "valid")}{{"epoch": 1, "valid_loss": "{loss(s) + 0.1:.4f}", '
        f'"valid_num_updates": "{s}"}}\n'
        for s in STEPS
    )
    run = only(tmp_path, "hydra_train.log", text)
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))
    assert run.lr[0] == 1e-05


def test_lavis_counts_within_its_inner_epoch(tmp_path: Path) -> None:
    line = "Train: data epoch: [0]; inner epoch [0]  [   {s}/10000]  eta: 7:15:23  lr: 1.2e-08  loss: {x}  time: 2.5\n"
    run = only(tmp_path, "train.log", printed(line))
    assert curve(run, "train") == ([s + 1 for s in STEPS], TRAIN)
    assert run.lr[0] == 1.2e-08


@pytest.mark.parametrize("val", ["{:.4f}", "{}"])
def test_decimals_behind_a_comma_are_read(tmp_path: Path, val: str) -> None:
    """As Java prints them, whose ``String.format`` heeds the locale where ``println`` does not."""

    def comma(value: float) -> str:
        return f"{value:.6f}".replace(".", ",")

    text = "val loss 5.325414\n"
    for s in range(20):
        text += ("val loss " + val.format(loss(s) + 0.1) + "\n") * (s % 10 == 9) if s else ""
        text += f"step {s}: train loss {comma(loss(s + 1))} (took 22101 ms)\n"
    run = only(tmp_path, "train.log", text)
    assert curve(run, "train") == (list(range(1, 21)), [loss(s + 1) for s in range(20)])


def test_losses_in_groups_of_three_stay_whole_where_nothing_speaks_for_decimals(tmp_path: Path) -> None:
    run = only(tmp_path, "train.log", "".join(f"step {s} | loss {9 - s},250\n" for s in range(1, 9)))
    assert curve(run, "train")[1] == [1000 * (9 - s) + 250 for s in range(1, 9)]


def test_a_text_that_is_no_log_is_told_what_one_looks_like(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of that kind\n" * 9)
    with pytest.raises(UnreadableRun, match=r"`step 10 \| loss 3.2 \| val loss 3.3`.*`step,train_loss,val_loss`"):
        read(tmp_path / "notes.txt")
