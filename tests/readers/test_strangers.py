"""What scripts of all kinds print that no library writes, each in the form in which it was met."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curvecast import Schedule
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


def test_an_evaluation_of_a_fork_of_nanogpt_is_no_less_than_its_own(tmp_path: Path) -> None:
    line = "[eval] iter {s}: train {x} val {y} lr 3.00e-04\n[train] iter {s}: loss {x} 2297 ms/iter\n"
    run = only(tmp_path, "train.log", printed(line))
    assert (curve(run, "train"), curve(run, "val")) == (([s + 1 for s in STEPS], TRAIN), (list(STEPS), VAL))
    assert run.lr[np.isfinite(run.lr)].tolist() == [3e-4] * len(STEPS)


def test_a_validation_below_the_line_of_its_step_is_read(tmp_path: Path) -> None:
    text = printed("step {s:5d} | loss {x} | lr 4.00e-05 | 0.2s\n        -> val loss {y} nats = 0.8064 bits\n")
    run = only(tmp_path, "train.log", text + "\nbest val loss 0.1234 nats\n")
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))


def test_an_evaluation_that_names_its_step_alone_is_read(tmp_path: Path) -> None:
    line = "iter {s:6d} | loss {x} | lr 6.00e-04 | 23s\n  eval {s}: train 1.5510 | val {y} | 2.2098 bpc\n"
    run = only(tmp_path, "pretrain.log", "pretrain: train 19,227 | val 292 tokens\n" + printed(line))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))


def test_a_list_that_is_too_short_to_be_placed_is_told(tmp_path: Path) -> None:
    run = only(tmp_path, "h.json", json.dumps({"train_loss": TRAIN, "val_loss": VAL[:5]}))
    assert "h.json: lists shorter than the longest are left out: val_loss (5 of 12)" in str(run.meta["lost"])
    whole = {"train_loss": TRAIN, "val_loss": VAL, "best": [], "names": ["a"]}
    assert not only(tmp_path, "h.json", json.dumps(whole)).meta["lost"]


def test_each_side_may_have_records_of_its_own(tmp_path: Path) -> None:
    sides = {
        "train": [{"step": s, "loss": loss(s)} for s in STEPS],
        "val": [{"step": s, "loss": y} for s, y in zip(STEPS, VAL, strict=True) if s % 4 == 0],
    }
    run = only(tmp_path, "loss_history.json", json.dumps(sides))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), ([4, 8, 12], VAL[3::4]))


def test_the_seconds_of_a_row_do_not_count_where_it_has_a_metric(tmp_path: Path) -> None:
    head = "training_loss, training_acc, val_loss, val_acc, time\n"
    log = tmp_path / "training_log.csv"
    log.write_text(head + printed("{x},0.41,{y},0.72,0.05\n"))
    (run,) = read(log)
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))
    log.write_text("time,loss\n" + printed("{s}.5,{x}\n"))
    with pytest.raises(UnreadableRun, match="no step column"):
        read(log)


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


NANOGPT = "".join(f"iter {s - 1}: loss {loss(s)}, time 9.5ms{{lr}}, mfu 1.5%\n" for s in STEPS)


@pytest.mark.parametrize("form", [", lr:0.0003 ", ", lr 3.0000e-04", ", lr: 0.0003"])
def test_a_learning_rate_that_was_added_to_nanogpts_lines_is_read(tmp_path: Path, form: str) -> None:
    run = only(tmp_path, "train.log", NANOGPT.format(lr=form))
    assert (run.steps.tolist(), run.lr.tolist()) == (list(STEPS), [0.0003] * len(STEPS))
    evals = "".join(f"step {100 * s}: train loss {loss(s)}, val loss {loss(s) + 1}{form}\n" for s in STEPS)
    run = only(tmp_path, "train.log", evals)
    assert (curve(run, "val")[0], np.nanmax(run.lr)) == ([100 * s for s in STEPS], 0.0003)


def test_the_settings_that_nanogpt_prints_are_its_plan(tmp_path: Path) -> None:
    head = (
        "learning_rate = 1e-3 # higher\nmax_iters = 5000\nlr_decay_iters = 5000 # equal to max_iters\nmin_lr = 1e-4\n"
    )
    text = NANOGPT.format(lr="")
    assert "schedule" not in only(tmp_path, "train.log", head + text).meta  # the warm-up is not told
    run = only(tmp_path, "train.log", head + "Overriding: warmup_iters = 100\nOverriding: max_iters = 5000\n" + text)
    assert run.meta["horizon"] == 5001  # it counts from 0 up to that number
    schedule = Schedule.from_dict(run.meta["schedule"])  # type: ignore[arg-type]
    np.testing.assert_allclose(schedule.lr([50, 100, 5001]), [0.5, 1.0, 0.1], rtol=1e-6)
    run = only(tmp_path, "train.log", "max_iters = 20\ndecay_lr = False\n" + text)
    assert Schedule.from_dict(run.meta["schedule"]).lr([1, 20]).tolist() == [1.0, 1.0]  # type: ignore[arg-type]
    assert "horizon" not in only(tmp_path, "train.log", "max_iters = 1e999\n" + text).meta


def test_minimind_counts_within_its_epochs(tmp_path: Path) -> None:
    line = (
        "Epoch:[1/2]({s}/39695), loss: {x}, logits_loss: 9.9, aux_loss: 0.0000, lr: 0.00050000, epoch_time: 130.0min\n"
    )
    run = only(tmp_path, "pretrain.log", printed(line))
    assert (curve(run, "train"), run.lr[0], run.meta["horizon"]) == ((list(STEPS), TRAIN), 0.0005, 79390)


def test_what_is_said_once_an_epoch_is_over_stands_at_its_end(tmp_path: Path) -> None:
    text = "".join(
        f"Epoch: {e} | Batch: {b}/40 | Loss: {loss(40 * e + b)}\n"
        + (f"Epoch: {e} | Average val loss: {loss(40 * e) + 1:.4f}\n" if b == 40 else "")
        for e in range(1, 4)
        for b in range(10, 41, 10)
    )
    assert curve(only(tmp_path, "train.log", text), "val")[0] == [40, 80, 120]


def test_records_among_lines_of_text_are_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    text = "pool: 1870.8M tokens\ntrain.py:146: FutureWarning: deprecated\n" + "".join(
        json.dumps({"step": s, "loss": loss(s), "lr": 1e-4}) + "\n" for s in STEPS
    )
    assert curve(only(tmp_path, "pretrain.log", text), "train") == (list(STEPS), TRAIN)


@pytest.mark.parametrize(
    ("name", "value", "steps", "said"),
    [
        ("loss_history.json", {"steps": [100 * s for s in STEPS], "train": TRAIN, "val": VAL}, 100, ""),
        ("loss_history.json", {"train": TRAIN, "val": VAL}, 1, "steps are epochs"),
        ("loss_history.json", [[100 * s, x, y] for s, x, y in zip(STEPS, TRAIN, VAL, strict=True)], 100, "no names"),
        ("losses.json", {"train_losses": TRAIN, "val_losses": VAL, "track_tokens_seen": [9 * s for s in STEPS]}, 9,
         "steps are tokens"),
    ],
)  # fmt: skip
def test_lists_of_losses_are_read_in_whichever_form(
    tmp_path: Path, name: str, value: object, steps: int, said: str
) -> None:
    run = only(tmp_path, name, json.dumps(value))
    assert (curve(run, "train"), curve(run, "val")[1]) == (([steps * s for s in STEPS], TRAIN), VAL)
    assert said in notes(run)
    (tmp_path / name).rename(tmp_path / "sizes.json")
    if "losses" not in name:
        with pytest.raises(FileNotFoundError, match="no log in"):  # it may be any data
            read(tmp_path)


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("Epoch: {s}, Steps: 68 | Train Loss: {x} Vali Loss: {y} Test Loss: 0.5\n", "epoch"),
        ("Epoch {s} | Train Loss: {x} | Dev Loss: {y}\n", "epoch"),
        ("Epoch {s} | Train Loss: {x} | Test Loss: {y}\n", "epoch"),
        ("Epoch: {s:04d} loss_train: {x} acc_train: 0.1 loss_val: {y} acc_val: 0.35 time: 0.03s\n", "epoch"),
        ("Epoch {s} Train: loss {x} acc 0.5 Val: loss {y} acc 0.4\n", "epoch"),
        ("Train: epoch {s}, loss {x} || Eval: loss {y}\n", "epoch"),
        ("Epoch {s}/40 - 3s - loss: {x} - accuracy: 0.5 - val_loss: {y}\n", "epoch"),
        ("Epoch={s}, TrainLoss={x}, ValLoss={y}\n", "epoch"),
        ("====> Epoch: {s} Average loss: {x}\n====> Test set loss: {y}\n", "epoch"),
        ("{{'epoch': {s}, 'train_loss': {x}, 'val_loss': {y}}}\n", "epoch"),
        ("INFO - step {s} - loss/train {x} - loss/val {y}\n", None),
        ("[train] step {s} loss {x}\n[val] step {s} loss {y}\n", None),
        ("train | step {s} | loss {x}\neval | step {s} | loss {y}\n", None),
        ("Epoch {s} | Loss: {x}\nVal Epoch: {s} Loss: {y}\n", "epoch"),
        ("Train Epoch: {s} Loss: {x}\nTest epoch {s} loss {y}\n", "epoch"),
    ],
)
def test_held_out_losses_are_neither_lost_nor_taken_for_training(tmp_path: Path, line: str, unit: str | None) -> None:
    run = only(tmp_path, "train.log", printed(line))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))
    assert run.meta.get("unit") == unit


def test_a_metric_of_validation_makes_no_loss_of_training_one_of_validation(tmp_path: Path) -> None:
    text = printed("2024 - test - INFO - Epoch {s} | val acc: 0.5 | val - 0.5 | loss: {x}\n")
    run = only(tmp_path, "train.log", text + "Early stopping at epoch 12. Best val loss 0.01\n")
    assert (curve(run, "train"), run.points("val")) == ((list(STEPS), TRAIN), 0)


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("Training Step: {s}  | total loss: {x} | time: 0.1s\n", None),
        ("Loss at step {s}: {x}\n", None),
        ("Cost after iteration {s}: {x}\n", None),
        ("After {s} training step(s), loss on training batch is {x}.\n", None),
        ("Loss after epoch {s}: {x}\n", "epoch"),
        ("Epoch {s} completed. Loss: {x}\n", "epoch"),
        ("2025-10-15 13:37:13,031 - INFO - Epoch {s} completed - Loss: {x}, IoU: 0.4343\n", "epoch"),
        ("Epoch {s} done, loss is {x}\n", "epoch"),
        ("Epoch {s} | MSE Loss: {x}\n", "epoch"),
    ],
)
def test_a_loss_may_stand_in_a_sentence(tmp_path: Path, line: str, unit: str | None) -> None:
    run = only(tmp_path, "train.log", printed(line))
    assert (curve(run, "train"), run.points("val"), run.meta.get("unit")) == ((list(STEPS), TRAIN), 0, unit)


@pytest.mark.parametrize(
    "line",
    [
        "Step {s}/40 - Loss: {x} - LR: 1e-4\n",
        "INFO: step {s}/40, loss = {x} (0.123 sec/batch), lr: 0.003000\n",
        "[TRAIN] epoch: {e}, iter: {s}/40, loss: {x}, lr(LinearWarmup): 0.009991\n",
    ],
)
def test_steps_of_the_whole_run_are_its_horizon(tmp_path: Path, line: str) -> None:
    text = "".join(line.format(s=s, x=loss(s), e=1 + s // 6) for s in STEPS)
    run = only(tmp_path, "train.log", text)
    assert (curve(run, "train"), run.meta["horizon"]) == ((list(STEPS), TRAIN), 40)
    assert np.isfinite(run.lr).all()


@pytest.mark.parametrize(
    "line",
    [
        "Epoch {s}: 100%|██████████| 50/50 [00:10<00:00, 10it/s, loss={x}]\n",
        "Epoch {s} Batch 50/50 Loss {x}\n",
    ],
)
def test_a_row_at_the_end_of_each_epoch_is_no_step_that_comes_again(tmp_path: Path, line: str) -> None:
    run = only(tmp_path, "train.log", printed(line))
    assert curve(run, "train") == ([50 * s for s in STEPS], TRAIN)
    assert (run.meta.get("horizon"), run.meta["lost"]) == (None, [])


def test_a_run_that_was_resumed_has_done_the_epochs_before(tmp_path: Path) -> None:
    at = [(e, b) for e in (352, 353) for b in range(0, 40, 4)]
    line = "Epoch: [{e}/520] Iter:[{b}/40], Time: 5.02, lr: [0.018], Loss: {x}, Acc:0.64\n"
    run = only(tmp_path, "train.log", "".join(line.format(e=e, b=b, x=loss(40 * e + b)) for e, b in at))
    assert curve(run, "train")[0] == [40 * (e - 1) + b + 1 for e, b in at]
    assert (run.meta["horizon"], float(run.lr[0])) == (520 * 40, 0.018)


def test_a_counter_that_goes_on_may_stay_where_an_epoch_begins(tmp_path: Path) -> None:
    at = [(0, 10), (0, 20), (0, 30), (1, 30), (1, 40), (1, 50)]
    text = "".join(f"epoch {e} step {s} loss {loss(s)}\n" for e, s in at)
    assert curve(only(tmp_path, "train.log", text), "train")[0] == [10, 20, 30, 40, 50]


EPOCHS = range(1, 7)
LEARNT = [loss(s) for s in EPOCHS]
HELD_OUT = [round(loss(s) + 0.1, 4) for s in EPOCHS]


def drawn(epoch: int, text: str) -> str:
    """A bar that is drawn three times, each over the one before."""
    return "".join(
        f"\r{text} {k}%|##  | {k}/100 [00:0{k % 7}<00:09, 9.5it/s, loss={9 - epoch}.5]" for k in (1, 50, 100)
    )


@pytest.mark.parametrize(
    "line",
    [
        "Epoch {s}/40\n\tTrain Loss: {x} | Train Acc: 0.71 | Val Loss: {y}\n",
        "Epoch {s}/40\nTrain Loss: {x}, Val Loss: {y}\n",
        "Epoch {s} Summary:\n  Train Loss: {x} | Acc: 71.0%\n  Dev Loss: {y} | Acc: 70.1%\n",
        "Epoch {s}/40\n├─ Train Loss: {x}\n├─ Train Acc:  71.0%\n├─ Val Loss:   {y}\n└─ LR:   0.001000\n\n",
        "2031-01-02 | INFO | fit:12 - Epoch: {s} / 40\n2031-01-02 | INFO | train_epoch:61 - train: Loss: {x}, MAE: 2\n"
        "2031-01-02 | INFO | train_epoch:61 - val: Loss: {y}, MAE: 1.6\n",
        "=====\nÉPOCA {s}/40\n=====\nTrain Loss: {x} | Train Acc: 0.7\nVal Loss:   {y} | Val Acc: 0.6\n",
        "EPOCH {s}/40 TRAIN LOSS: {x} VAL LOSS: {y}\n",
        "Epoch {s}, train loss: {x}\nEpoch {s}, dev results:\nDev Loss: {y}, Dev F1: 0.950\n",
        "Epoch: {s} -- Phase:train -- Loss {x} -- Acc 88.5\nEpoch: {s} -- Phase:val -- Loss {y} -- Acc 86.3\n",
        "epoch{s}: loss: {x}, val loss: {y}\n",
        "[{s}/40] Train Loss: {x}, Valid Loss: {y}, Valid PCC: 0.5\n",
        "  train_loss: {x} - val_loss: {y} - train_acc: 0.78 - valid_acc: 0.81\n",
        "(train) loss: {x}, acc 0.71, val loss: {y}\n",
    ],
)
def test_both_losses_of_an_epoch_are_read_however_they_are_told(tmp_path: Path, line: str) -> None:
    run = only(tmp_path, "train.log", printed(line, EPOCHS))
    assert run.meta["unit"] == "epoch"
    assert (curve(run, "train"), curve(run, "val")) == ((list(EPOCHS), LEARNT), (list(EPOCHS), HELD_OUT))


def test_lines_that_tell_an_epoch_go_before_the_bars_between_them(tmp_path: Path) -> None:
    line = "\nEpoch {s}/9 - Train Loss: {x}, Validation Loss: {y}\n"
    text = "".join(drawn(s, f"Epoch {s}/9:") + printed(line, range(s, s + 1)) for s in EPOCHS)
    run = only(tmp_path, "train.log", text)
    assert (curve(run, "train"), curve(run, "val")) == ((list(EPOCHS), LEARNT), (list(EPOCHS), HELD_OUT))
    assert run.meta["horizon"] == 9


def test_lines_that_come_behind_many_bars_are_found_all_the_same(tmp_path: Path) -> None:
    line = "\nEpoch {s}/9 - Train Loss: {x}, Validation Loss: {y}\n"
    text = "".join(drawn(s, f"Epoch {s}/9:") * 600 + printed(line, range(s, s + 1)) for s in EPOCHS)
    run = only(tmp_path, "train.log", text)
    assert (curve(run, "train"), curve(run, "val")) == ((list(EPOCHS), LEARNT), (list(EPOCHS), HELD_OUT))


def test_bars_alone_are_read_with_the_validation_between_them(tmp_path: Path) -> None:
    bar = "\rEpoch {s}: 100%|##| 50/50 [00:01<00:00, 40.1it/s, loss={x}]\nvalidation loss: {y}\n"
    run = only(tmp_path, "train.log", printed(bar, EPOCHS))
    assert curve(run, "train") == ([50 * s for s in EPOCHS], LEARNT)
    assert curve(run, "val")[1] == HELD_OUT


def test_a_message_that_stands_behind_a_bar_is_read(tmp_path: Path) -> None:
    line = "\r {s}%|█▊  | {s}/90 [04:00<10:18, 8.59s/it]20:33 - INFO - Epoch {s} | Train Loss: {x} | Val Loss: {y}\n"
    run = only(tmp_path, "train.log", printed(line, EPOCHS))
    assert (curve(run, "train"), curve(run, "val")) == ((list(EPOCHS), LEARNT), (list(EPOCHS), HELD_OUT))


def test_a_step_above_its_loss_is_read(tmp_path: Path) -> None:
    run = only(tmp_path, "train.log", "start from 0\n" + printed("current step: {s}th step\nbatch loss:{x}\n"))
    assert curve(run, "train") == (list(STEPS), TRAIN)


@pytest.mark.parametrize(
    "line", ["Batch {s}0/5844 | Loss: {x} | Time: 34.0s\n", "Batch {s}0/900, SNR:15.2dB, Loss:{x}\n"]
)
def test_batches_count_where_nothing_else_does(tmp_path: Path, line: str) -> None:
    assert curve(only(tmp_path, "train.log", printed(line)), "train") == ([10 * s for s in STEPS], TRAIN)


def test_a_validation_below_the_steps_of_its_epoch_is_read(tmp_path: Path) -> None:
    line = (
        "10/21/2031 04:07:08-Train Epoch {s} | Step 1 | Loss {x} | Acc 36.06%\n10:50-Epoch {s} DEV Loss {y} WER 25.1\n"
    )
    run = only(tmp_path, "train.log", printed(line, EPOCHS))
    assert (curve(run, "train")[1], curve(run, "val")[1]) == (LEARNT, HELD_OUT)
    line = "Epoch   0 | Step {s:4d} | Loss {x} | LR 0.000010\n>>> Validation | Loss {y} | Perplexity 8.3654\n"
    run = only(tmp_path, "train.log", printed(line))
    assert (curve(run, "train")[1], curve(run, "val")[1]) == (TRAIN, VAL)


def test_an_accuracy_of_both_sides_is_no_validation_loss(tmp_path: Path) -> None:
    run = only(tmp_path, "train.log", printed("[Epoch {s}] train=0.3{s} val=0.4{s} loss={x} time: 12.7\n", EPOCHS))
    assert curve(run, "train")[1] == LEARNT
    assert curve(run, "val")[1] == []


@pytest.mark.parametrize("name", ["[batch64-lr0.1]", "[step2]", "resnet iter2"])
def test_a_number_in_a_name_is_no_step(tmp_path: Path, name: str) -> None:
    run = only(tmp_path, "train.log", printed(name + " Epoch {s} | loss {x} | val_loss {y}\n"))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))
    run = only(tmp_path, "train.log", printed(name + " | iter {s} | loss {x} | val_loss {y}\n"))
    assert curve(run, "train") == (list(STEPS), TRAIN)


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("Epoch {s} | train loss {x} | val loss {y}\n", "Validation loss: 1.111\n"),
        ("Epoch {s} | loss {x} | val_loss {y}\nVal loss: 9.5 --> {y}, saved\n", ""),
        ("Epoch 1 step {s} | loss {x}\nEpoch 1 val loss {y}\n", "Validation loss: 1.111\n"),
    ],
)
def test_a_validation_loss_that_was_told_is_not_told_anew_below(tmp_path: Path, line: str, end: str) -> None:
    run = only(tmp_path, "train.log", printed(line) + end)
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))


def test_a_validation_loss_that_each_line_repeats_is_older_than_the_one_below(tmp_path: Path) -> None:
    text = "".join(
        f"step {s} | loss {loss(s)} | val_loss {loss(1 + (s - 1) // 4)}\n"
        + (f"val_loss {loss(1 + s // 4)}\n" if s % 4 == 0 else "")
        for s in STEPS
    )
    steps, values = curve(only(tmp_path, "train.log", text), "val")
    assert values[3::4] == [loss(1 + s // 4) for s in steps[3::4]]


@pytest.mark.parametrize(
    "line",
    [
        "With lr {s}e-4 we saw train loss {x} and val loss {y}.\n",
        "Fold {s} - Train Loss: {x} - Val Loss: {y}\n",
        "lr=1e-{s} wd=0.1: train loss: {x}, val loss: {y}\n",
    ],
)
def test_the_ends_of_many_runs_are_no_epochs_of_one(tmp_path: Path, line: str) -> None:
    with pytest.raises(UnreadableRun, match="not in a form that is known"):
        read(write(tmp_path, "train.log", printed(line)))


def test_many_losses_below_one_epoch_are_none_of_it(tmp_path: Path) -> None:
    text = "".join(f"##### Epoch {e} #####\n" + "batch loss: 3.25\n" * 30 for e in (1, 2, 3))
    with pytest.raises(UnreadableRun, match=r"has lines with a loss, as `batch loss: 3\.25`"):
        read(write(tmp_path, "train.log", text))


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_runs_side_by_side_in_one_json_value_are_runs(tmp_path: Path) -> None:
    lists = {
        "config": {"lr": 0.1},
        "LSTM": {"loss": TRAIN, "val_loss": VAL},
        "GRU": {"loss": TRAIN[:9], "val_loss": VAL[:9]},
    }
    records = {f"fold{k}": [{"epoch": e, "train_loss": x} for e, x in enumerate(TRAIN, 1)] for k in (1, 2, 3)}
    for value, names in (
        (lists, ["LSTM", "GRU"]),
        (records, ["fold1", "fold2", "fold3"]),
        ({"all": lists}, ["LSTM", "GRU"]),
    ):
        runs = read(write(tmp_path, "history.json", json.dumps(value)))
        assert [run.name.rpartition("/")[2] for run in runs] == names
        assert curve(runs[0], "train") == (list(STEPS), TRAIN)


def test_sides_and_sets_of_one_run_are_no_runs(tmp_path: Path) -> None:
    for names in (("train", "val"), ("training", "valid_1"), ("validation_0", "validation_1")):
        value = json.dumps({name: {"logloss": TRAIN} for name in names})
        assert len(read(write(tmp_path, "history.json", value))) == 1


def test_sets_beside_the_sides_of_a_run_are_no_runs(tmp_path: Path) -> None:
    value = {name: {"loss": VAL} for name in ("val", "shifted", "noisy")} | {"train": {"loss": TRAIN}}
    run = only(tmp_path, "history.json", json.dumps(value))
    assert (curve(run, "train")[1], curve(run, "val")[1]) == (TRAIN, VAL)


def test_the_steps_of_a_run_and_its_epochs_are_no_two_runs(tmp_path: Path) -> None:
    value = {"per_step": {"loss": TRAIN}, "per_epoch": {"loss": TRAIN[::3]}}
    assert curve(only(tmp_path, "history.json", json.dumps(value)), "train")[1] == TRAIN
    batches = {f"epoch_{e}": {"loss": TRAIN, "val_loss": VAL} for e in EPOCHS}
    with pytest.raises(UnreadableRun, match="an object with 'epoch_1'"):
        read(write(tmp_path, "history.json", json.dumps(batches)))


def test_rates_in_the_plural_are_read(tmp_path: Path) -> None:
    value = {"train_loss": TRAIN, "learning_rates": [0.5] * len(TRAIN)}
    assert only(tmp_path, "history.json", json.dumps(value)).lr.tolist() == [0.5] * len(TRAIN)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "x.json",
            '{"accuracy": 0.5, "names": ["a"]}',
            r"no list of records .* in x\.json: it is an object with 'accuracy', 'names'\.",
        ),
        ("x.json", "[1, 2", r"cannot read x\.json"),
        ("loss.txt", "1.5 2.5 3.5\n" * 9, r"loss\.txt begins with bare numbers\. Write the names of its columns"),
        (
            "a.log",
            "box_loss:4.1; cls_loss:0.1\n" * 9,
            r"a\.log has lines with a loss, as `box_loss:4\.1; cls_loss:0\.1`, but not",
        ),
    ],
)
def test_what_keeps_a_file_from_being_read_is_said(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(UnreadableRun, match=said):
        read(write(tmp_path, name, text))


def test_losses_without_a_colon_below_their_epoch_are_read(tmp_path: Path) -> None:
    """nnU-Net's, whose losses may lie below 0."""
    when = "2025-11-19 00:07:35.259727:"
    text = "".join(
        f"{when} Epoch {s - 1} \n{when} Current learning rate: 0.00935 \n{when} train_loss {loss(s) - 3:.4f} \n"
        f"{when} val_loss {loss(s) - 2:.4f} \n{when} Pseudo dice [np.float32(0.8963)] \n{when} Epoch time: 96.61 s \n"
        for s in STEPS
    )
    run = only(tmp_path, "training_log.txt", text)
    assert curve(run, "train") == (list(STEPS), [round(x - 3, 4) for x in TRAIN])
    assert curve(run, "val") == (list(STEPS), [round(x - 2, 4) for x in TRAIN])
    assert run.lr[0] == 0.00935


def test_the_metrics_of_a_side_are_its_own(tmp_path: Path) -> None:
    line = "Epoch {s}/12\nTrain metrics: Loss: {x} - Acc: 0.9\nValid metrics: Loss: {y} - Acc: 0.8\n"
    run = only(tmp_path, "luz.log", printed(line))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))


def test_lines_of_training_and_of_a_test_that_are_shortened_are_told_apart(tmp_path: Path) -> None:
    run = only(tmp_path, "a.log", printed("trn epoch {s} loss {x}\ntst epoch {s} loss {y}\n"))
    assert (curve(run, "train"), curve(run, "val")) == ((list(STEPS), TRAIN), (list(STEPS), VAL))


@pytest.mark.parametrize(
    "line",
    [
        "{s}|{s}|Loss: {x}:   1%|          | {s}/1367 [05:03<49:53:19, 131.58s/it]\n",  # torchtune
        "I2024 helpers.py:102] Training  [{s:6d}/125000]  eta: 1 day  lr: 0.0002 (0.0001)  total_loss: {x} (9.9)\n",
        "INFO: [Net..][epoch:  9, iter:{s:8,d}, lr:(1.000e-03,)] [eta: 1 day, time (data): 0.4 (0.0)] l_pix: {x} \n",
        "INFO fairseq2 - Train Metrics (step {s}) - NLL Loss: {x} | Gradient Norm: 1.2 | Learning Rate: 3e-05\n",
        "[10:00:01] [{s}]\ttrain-mlogloss:{x}\teval-mlogloss:{y}\n",
        "[{s}]#011train-mlogloss:{x}#011validation-mlogloss:{y}\n",  # XGBoost on SageMaker
        "[1,0]<stdout>:step {s} loss {x}\n[1,1]<stdout>:step {s} loss 9.9\n",  # mpirun --tag-output
    ],
)
def test_the_training_loss_of_further_scripts_is_read(tmp_path: Path, line: str) -> None:
    steps, losses = curve(only(tmp_path, "train.log", printed(line)), "train")
    assert losses == TRAIN
    assert steps in (list(STEPS), [s + 1 for s in STEPS])


def test_a_loss_in_parts_without_its_sum_is_refused(tmp_path: Path) -> None:
    line = "INFO: [Net..][epoch:  9, iter:{s:8,d}, lr:(1.000e-03,)] [eta: 1 day] l_pix: {x} l_fft: {y} \n"
    (tmp_path / "a.log").write_text(printed(line))
    with pytest.raises(UnreadableRun):
        read(tmp_path / "a.log")


def test_an_epoch_of_a_client_is_not_one_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(printed("Round {s}/100, Client 3, Local epoch 5, loss: {x}\n"))
    with pytest.raises(UnreadableRun):
        read(tmp_path / "a.log")


def test_what_stands_below_a_line_of_validation_in_a_table_is_no_training(tmp_path: Path) -> None:
    """NequIP's, which draws its table anew for each side of each epoch."""
    head = "# Epoch batch         loss       loss_f\n"
    line = f"training\n{head} {{s}} 10 {{x}} 0.951\n\nvalidation\n{head} {{s}} 5 {{y}} 0.988\n\n"
    assert curve(only(tmp_path, "log.txt", printed(line)), "train")[1] == TRAIN


def test_trials_of_a_printed_table_are_runs(tmp_path: Path) -> None:
    rule = "+-------------+---------+--------+---------+\n"
    names = f"{rule}| Trial name  | status  |   iter |    loss |\n{rule}"
    rows = "| train_00000 | RUNNING | {s} | {x} |\n| train_00001 | RUNNING | {s} | {y} |\n"
    (tmp_path / "tune.log").write_text(printed(names + rows))
    assert [curve(run, "train")[1] for run in read(tmp_path / "tune.log")] == [TRAIN, VAL]
