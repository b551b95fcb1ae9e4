"""What frameworks print: each text in the form that its framework gives it, of a curve that is known."""

from __future__ import annotations

import gzip
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from curvecast.readers import Run, UnreadableRun, find, read
from curvecast.readers.formats import formats
from curvecast.readers.tail import Tail

LOGGED = range(10, 610, 10)
EPOCHS = range(1, 31)


def loss(step: float) -> float:
    return round(2 + 5 * math.pow(step, -0.3), 4)


def each(line: Callable[[int], str], val: Callable[[int], str]) -> str:
    """A line for every tenth step, and one for every hundredth."""
    return "".join(line(step) + ("" if step % 100 else val(step)) for step in LOGGED)


def trainer(*, bars: bool, quoted: bool) -> str:
    """Hugging Face's Trainer, with tqdm's bars for training and for evaluation."""

    def bar(step: int) -> str:
        return f"\r{step // 6:3d}%|{'█' * (step // 60):10s}| {step}/600 [00:10<08:15,  2.00it/s]" if bars else ""

    def shown(value: float) -> str:
        return f"'{value:.4f}'" if quoted else f"{value:.4f}"

    text = ""
    for step in range(1, 601):
        text += bar(step) if step % 7 == 0 else ""
        if step % 10 == 0:
            text += f"\r{' ' * 40}\r{{'loss': {shown(loss(step))}, 'grad_norm': nan, 'learning_rate': 5e-05}}\n"
            text += bar(step)
        if step % 100 == 0:
            text += "".join(f"\r {5 * k}%|█  | {k}/20 [00:01<00:10, 15.00it/s]\x1b[A" for k in range(1, 21)) * bars
            text += f"\r{' ' * 40}\r{{'eval_loss': {shown(loss(step) + 0.1)}, 'eval_runtime': 3.1, 'epoch': 0.1}}\n"
            text += bar(step)
    return text + "{'train_runtime': 100.0, 'train_loss': 2.9, 'epoch': 3.0}\n"


NEMO = "[NeMo I 2024-01-01 10:00:00 nemo_logging:381] Training epoch 0, iteration"
FAIRSEQ = "2023-01-01 10:00:00 | INFO |"
STEPWISE = {
    "nemo": each(
        lambda s: (
            f"{NEMO} {s - 1}/599 | lr: 0.0003 | global_batch_size: 32 | global_step: {s - 1} | "
            f"reduced_train_loss: {loss(s)} | consumed_samples: {s * 32}"
            + (f" | val_loss: {loss(s // 100 * 100) + 0.1:.4f}\n" if s >= 100 else "\n")
        ),
        lambda s: "",
    ),
    "olmo": each(
        lambda s: (
            f"2024-01-01 10:00:00.1\thost:0\tolmo.train:900\tINFO\t[step={s}/600,epoch=0]\n"
            f"    train/CrossEntropyLoss={loss(s)}\n    train/Perplexity=22.1\n    optim/learning_rate_group0=0.0003\n"
        ),
        lambda s: (
            f"    eval/c4_en-validation/CrossEntropyLoss={loss(s) + 0.1:.4f}\n    eval/pile/CrossEntropyLoss=9.9\n"
        ),
    ),
    "composer": each(
        lambda s: f"[batch={s}/600]:\n\t Train time/batch: {s - 1}\n\t Train loss/train/total: {loss(s)}\n",
        lambda s: (
            f"[Eval batch=10/10] Eval on eval data:\n\t Eval metrics/eval/LanguageCrossEntropy: {loss(s) + 0.1:.4f}\n"
        ),
    ),
    "fairseq": each(
        lambda s: (
            f"{FAIRSEQ} train_inner | epoch {1 + s // 400:03d}: {s % 400:6d} / 400 loss={loss(s)}, nll_loss=3, "
            f"ppl=30, wps=1000, num_updates={s}, lr=1e-05, gnorm=1.2\n"
        ),
        lambda s: (
            f"{FAIRSEQ} valid | epoch 001 | valid on 'valid' subset | loss {loss(s) + 0.1:.4f} | nll_loss 3.1 | "
            f"ppl 20 | num_updates {s} | best_loss 4.1\n"
        ),
    ),
    "fairseq_json": each(
        lambda s: (
            f"{FAIRSEQ} train_inner | "
            + json.dumps({"epoch": 1, "loss": str(loss(s)), "nll_loss": "3.1", "num_updates": str(s), "lr": "1e-05"})
            + "\n"
        ),
        lambda s: (
            f"{FAIRSEQ} valid | "
            + json.dumps({"valid_loss": f"{loss(s) + 0.1:.4f}", "valid_num_updates": str(s), "valid_best_loss": "3"})
            + "\n"
        ),
    ),
    "opennmt": each(
        lambda s: f"[2023-01-01 10:00:00,000 INFO] Step {s}/  600; acc: 50.1; xent: {loss(s)}; lr: 0.00030; sents: 9\n",
        lambda s: f"Train xent: 9.9\nValidation perplexity: 10.1\nValidation xent: {loss(s) + 0.1:.4f}\n",
    ),
    "clu": each(
        lambda s: (
            f"I0101 140 logging_writer.py:48] [{s}] learning_rate=0.0003, train_loss={loss(s)}, steps_per_second=1.2\n"
        ),
        lambda s: f"I0101 140 logging_writer.py:48] [{s}] eval_accuracy=0.5, eval_loss={loss(s) + 0.1:.4f}\n",
    ),
    "table": "step,train_loss,val_loss\n"
    + each(lambda s: f"{s},{loss(s)},{round(loss(s) + 0.1, 4) if s % 100 == 0 else ''}\n", lambda s: ""),
    "mlx": each(
        lambda s: f"Iter {s}: Train loss {loss(s)}, Learning Rate 1.000e-05, It/sec 1.2, Trained Tokens {s * 500}\n",
        lambda s: f"Iter {s}: Val loss {loss(s) + 0.1:.4f}, Val took 10.1s\n",
    ),
    "transformer_xl": each(
        lambda s: (
            f"| epoch   1 step {s:8d} |  {s:6d} batches | lr 0.00025 | ms/batch 100.1 | loss {loss(s):7.4f} | ppl 30\n"
        ),
        lambda s: (
            f"{'-' * 99}\n| Eval {s // 100:3d} at step {s:8d} | time: 10.1s | valid loss {loss(s) + 0.1:7.4f} |\n"
        ),
    ),
    "thousands": each(
        lambda s: f"step {s * 100:,} | loss {loss(s)} | lr 1e-4\n",
        lambda s: f"step {s * 100:,} | val loss {loss(s) + 0.1:.4f}\n",
    ),
    "colours": each(
        lambda s: f"\x1b[32m[INFO]\x1b[0m step \x1b[1m{s}\x1b[0m | loss \x1b[33m{loss(s)}\x1b[0m\r\n",
        lambda s: f"step {s} | val loss {loss(s) + 0.1:.4f}\r\n",
    ),
    "dictionaries": each(
        lambda s: str({"step": s, "loss": loss(s)}) + "\n",
        lambda s: str({"step": s, "val_loss": round(loss(s) + 0.1, 4)}) + "\n",
    ),
    "maxtext": each(
        lambda s: (
            f"completed step: {s - 1}, seconds: 3.1, TFLOP/s/device: 9.1, total_weights: 65536, loss: {loss(s)}\n"
        ),
        lambda s: f"eval metrics after step: {s - 1}, loss={loss(s) + 0.1:.4f}, total_weights=1000\n",
    ),
    "paddlenlp": each(
        lambda s: f"[2023-01-01] [    INFO] - loss: {loss(s)}, learning_rate: 1e-05, global_step: {s}, epoch: 0.1\n",
        lambda s: f"[2023-01-01] [    INFO] - eval_loss: {loss(s) + 0.1:.4f}, eval_accuracy: 0.5, epoch: 0.1\n",
    ),
    "marian": each(
        lambda s: (
            f"[2023-01-01] Ep. 1 : Up. {s} : Sen. {s * 64:,} : Cost {loss(s)} * 500,000 after 10,000 : Time 1.0s\n"
        ),
        lambda s: f"[2023-01-01] [valid] Ep. 1 : Up. {s} : ce-mean-words : {loss(s) + 0.1:.4f} : new best\n",
    ),
    "trainer": trainer(bars=True, quoted=False),
    "trainer_quoted": trainer(bars=True, quoted=True),
}


def only(tmp_path: Path, name: str, text: str) -> Run:
    (tmp_path / name).write_bytes(text.encode())
    (run,) = read(tmp_path)
    return run


def notes(run: Run) -> str:
    return "; ".join(map(str, cast("list[str]", run.meta["notes"])))


def curve(run: Run, of: str) -> tuple[list[int], list[float]]:
    losses = run.train_loss if of == "train" else run.val_loss
    there = ~np.isnan(losses)
    return run.steps[there].tolist(), losses[there].tolist()


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


BY_EPOCH = {
    "keras": "".join(
        f"Epoch {e}/30\n"
        + "".join(f"\r{b}/100 ━━━ 0s 5ms/step - accuracy: 0.8 - loss: {loss(e) + 0.1 * b}" for b in range(90, 0, -10))
        + f"\r\x1b[1m100/100\x1b[0m ━━━ 1s 6ms/step - acc: 0.8 - loss: {loss(e)} - val_acc: 0.7"
        f" - val_loss: {loss(e) + 0.1:.4f}\n"
        for e in EPOCHS
    ),
    "espnet": "".join(
        f"(trainer:338) INFO: {e}epoch results: [train] loss_ctc=1.2, loss={loss(e)}, total_count={e * 100} "
        f"[valid] loss_ctc=1.2, loss={loss(e) + 0.1:.4f}, acc=0.6\n"
        for e in EPOCHS
    ),
    "speechbrain": "".join(
        f"epoch: {e}, lr: 1.00e-03, steps: {e * 100}, optimizer: Adam - train loss: {loss(e)} - "
        f"valid loss: {loss(e) + 0.1:.4f}, valid WER: 45.1\n"
        for e in EPOCHS
    )
    + "Epoch loaded: 30 - test loss: 1.0, test WER: 4.1\n",
    "lines": "".join(
        f"Epoch {e}/30, Train Loss: {loss(e)}, Val Loss: {loss(e) + 0.1:.4f}, Val Acc: 0.5\n" for e in EPOCHS
    ),
    "two_lines": "".join(
        f"Epoch {e} | train loss: {loss(e)} | lr 1e-4\nEpoch {e} | val loss: {loss(e) + 0.1:.4f}\n" for e in EPOCHS
    ),
    "tabs": "".join(f"Epoch: {e} \tTraining Loss: {loss(e)} \tValidation Loss: {loss(e) + 0.1:.4f}\n" for e in EPOCHS),
    "tutorial": "".join(
        f"Epoch {e}/30\n{'-' * 10}\ntrain Loss: {loss(e)} Acc: 0.5\nval Loss: {loss(e) + 0.1:.4f} Acc: 0.5\n\n"
        for e in EPOCHS
    ),
}


@pytest.mark.parametrize("name", BY_EPOCH)
def test_what_is_printed_by_epoch_is_read_as_epochs(tmp_path: Path, name: str) -> None:
    run = only(tmp_path, "out.log", BY_EPOCH[name])
    assert curve(run, "train") == (list(EPOCHS), [loss(e) for e in EPOCHS])
    assert curve(run, "val") == (list(EPOCHS), [round(loss(e) + 0.1, 4) for e in EPOCHS])
    assert "steps are epochs" in notes(run)


IN_EPOCHS = {
    "tutorial.txt": lambda e, b: f"Epoch [{e}/4], Step [{b}/500], Loss: {loss((e - 1) * 500 + b)}\n",
    "mmcv.log.json": lambda e, b: (
        json.dumps({"mode": "train", "epoch": e, "iter": b, "loss": loss((e - 1) * 500 + b)}) + "\n"
    ),
    "imagenet.log": lambda e, b: (
        f"Epoch: [{e}][{b:4d}/500]\tTime  0.1 (0.2)\tLoss {loss((e - 1) * 500 + b)} (2.5)\tAcc 5\n"
    ),
    "swin.log": lambda e, b: (
        f"INFO Train: [{e}/30][{b}/500]\teta 0:10:00 lr 0.0001\tloss {loss((e - 1) * 500 + b)} (9.9)\n"
    ),
    "mmengine.log": lambda e, b: (
        f"2023/01/01 10:00:00 - mmengine - INFO - Epoch(train)  [{e}][{b:3d}/500]  base_lr: 2.0000e-03 lr: 1.9820e-03  "
        f"eta: 0:10:00  time: 0.5556  data_time: 0.0113  loss: {loss((e - 1) * 500 + b)}  loss_cls: 0.8  loss_bbox: 1\n"
    ),
    "mmcv.log": lambda e, b: (
        f"2021-01-01 10:00:00,000 - mmdet - INFO - Epoch [{e}][{b}/500]\tlr: 9.9e-03, eta: 1 day, 1:00:00, time: 0.5, "
        f"loss_cls: 0.5, loss_bbox: 0.1, loss: {loss((e - 1) * 500 + b)}\n"
    ),
    "timm.log": lambda e, b: (
        f"Train: {e - 1} [{b:>4d}/500 ({b / 5:3.0f}%)]  Loss: {loss((e - 1) * 500 + b)} (9.9)  Time: 0.3s,  60.00/s  "
        "(0.3s,  60.00/s)  LR: 1.000e-06  Data: 0.0 (0.1)\n"
    ),
    "icefall.log": lambda e, b: (
        f"2023-01-01 10:00:00,000 INFO [train.py:900] (0/4) Epoch {e}, batch {b}, loss[loss={loss((e - 1) * 500 + b)}, "
        "simple_loss=0.5, over 7000.00 frames. ], tot_loss[loss=9.9, over 340000.00 frames. ], lr: 3e-03\n"
    ),
    "wenet.log": lambda e, b: (
        f"2023-01-01 DEBUG TRAIN Batch {e - 1}/{b} loss {loss((e - 1) * 500 + b)} loss_att 20.1 lr 0.1 rank 0\n"
    ),
    "cifar.out": lambda e, b: f"[{e}, {b:5d}] loss: {loss((e - 1) * 500 + b)}\n",
    "training.out": lambda e, b: (
        ("" if b > 50 else f"EPOCH {e}:\n")
        + f"  batch {b} loss: {loss((e - 1) * 500 + b)}\n"
        + ("" if b < 500 else "LOSS train 0.9 valid 0.8\n")
    ),
    "headed.log": lambda e, b: (
        ("" if b > 50 else f"===== Epoch {e}/4 =====\n") + f"  iteration {b}, loss = {loss((e - 1) * 500 + b)}\n"
    ),
    "composer.log": lambda e, b: f"[epoch={e}][batch={b}/500]:\n\t Train loss/train/total: {loss((e - 1) * 500 + b)}\n",
    "table.csv": lambda e, b: (
        ("epoch,step,loss\n" if e == 1 and b == 50 else "") + f"{e},{b},{loss((e - 1) * 500 + b)}\n"
    ),
    "bars.err": lambda e, b: (
        f"\rTraining:  10%|██   | {b}/500 [00:10<01:00, 5.0it/s, loss={loss((e - 1) * 500 + b)}, lr=1e-4]"
    ),
    "lightning.err": lambda e, b: (
        f"\rEpoch {e}:  10%|██  | {b}/500 [00:10<01:00, 5.0it/s, v_num=0, train_loss={loss((e - 1) * 500 + b)}]"
    ),
}


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


VALIDATED = {
    "timm": "Test: [   0/97]  Time: 0.2 (0.2)  Loss: 9.9 (9.9)  Acc@1: 50 (50)\n"
    "Test: [  97/97]  Time: 0.2 (0.2)  Loss: 9.9 (  3.1)  Acc@1: 50 (50)\n"
    "Test (EMA): [  97/97]  Loss: 9.9 (  3.3)\n",
    "icefall": "INFO [train.py:932] (0/4) Epoch 1, validation: loss=3.1, simple_loss=0.4, over 9440.00 frames. \n",
    "wenet": "2023-01-01 10:00:00,000 INFO Epoch 0 CV info cv_loss 3.1\n",
}


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
    records = [{"iteration": s - 1, "loss_cls": 0.5, "lr": 0.1, "total_loss": loss(s)} for s in LOGGED]
    (tmp_path / "metrics.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    (run,) = read(tmp_path)
    assert curve(run, "train")[1] == [loss(s) for s in LOGGED]


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


PACKED = {
    "log.csv": "step,loss\n" + "".join(f"{s},{loss(s)}\n" for s in LOGGED),
    "log.jsonl": "".join(json.dumps({"step": s, "loss": loss(s)}) + "\n" for s in LOGGED),
    "out.log": "".join(f"step:{s}/600 train_loss:{loss(s)} train_time:1ms\n" for s in LOGGED),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_log_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(PACKED[name].encode()))
    for run in (read(tmp_path)[0], read(path)[0]):
        assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
        assert run.meta["source"] == str(path)


def test_a_packed_log_that_is_cut_off_gives_what_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    text = "step,loss\n" + "".join(f"{s},{loss(s) + s % 7 / 100}\n" for s in range(1, 20_000))
    path.write_bytes(gzip.compress(text.encode())[:-5000])
    (run,) = read(tmp_path)
    assert 1000 < run.steps[-1] < 20_000
    assert "log.csv.gz is cut off or damaged" in str(run.meta["lost"])


def test_a_packed_log_with_a_wrong_checksum_says_so(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(PACKED["log.csv"].encode()))
    packed[-8] ^= 1
    (tmp_path / "log.csv.gz").write_bytes(packed)
    (run,) = read(tmp_path)
    assert curve(run, "train")[0] == list(LOGGED)
    assert "log.csv.gz is cut off or damaged: CRC check failed" in str(run.meta["lost"])


def test_packed_files_that_are_no_logs_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "words.txt.gz").write_bytes(gzip.compress(b"no loss at all\n" * 100))
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(FileNotFoundError, match="no log in"):
        find(tmp_path)
    with pytest.raises(UnreadableRun, match=r"cannot unpack broken.csv.gz"):
        read(tmp_path / "broken.csv.gz")


@pytest.mark.parametrize("name", ["log.csv", "log.tsv"])
def test_decimal_commas_are_read(tmp_path: Path, name: str) -> None:
    mark = ";" if name.endswith("csv") else "\t"
    rows = [mark.join([f"{s},0" if s % 20 else str(s), str(loss(s)).replace(".", ",")]) for s in LOGGED]
    run = only(tmp_path, name, "\r\n".join([f"step{mark}train_loss", *rows]) + "\r\n")
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])


@pytest.mark.parametrize(
    "remarks", ["# seed 3\n# it's \"quoted\nstep,loss\n", "# step,loss\n", "#step,loss\n", "\ufeff# a\nstep,loss\n"]
)
def test_remarks_before_a_table_are_passed_over(tmp_path: Path, remarks: str) -> None:
    run = only(tmp_path, "log.csv", remarks + "".join(f"{s},{loss(s)}\n" for s in LOGGED))
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])


def test_a_large_table_with_decimal_commas_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curvecast.readers.tabular._LARGE", 0)
    text = "step;train_loss\n" + "".join(f"{s};{str(loss(s)).replace('.', ',')}\n" for s in LOGGED)
    assert curve(only(tmp_path, "log.csv", text), "train")[1] == [loss(s) for s in LOGGED]


def test_the_log_of_llama_factory_is_read_with_its_plan(tmp_path: Path) -> None:
    record = {"total_steps": 600, "lr": 1e-4, "epoch": 0.5, "percentage": 1.0, "elapsed_time": "0:01"}
    text = each(
        lambda s: json.dumps({"current_steps": s, "loss": loss(s), **record}) + "\n",
        lambda s: json.dumps({"current_steps": s, "eval_loss": round(loss(s) + 0.1, 4), **record}) + "\n",
    )
    run = only(tmp_path, "trainer_log.jsonl", text)
    assert (curve(run, "train")[0], len(curve(run, "val")[0]), run.meta["horizon"]) == (list(LOGGED), 6, 600)


def test_tensorboard_s_downloads_as_json_are_one_run(tmp_path: Path) -> None:
    for tag, shift in (("train_loss", 0.0), ("val_loss", 0.1)):
        triples = [[1.7e9 + s, s, loss(s) + shift] for s in LOGGED]
        (tmp_path / f"run-d12-tag-{tag}.json").write_text(json.dumps(triples))
    (run,) = read(tmp_path)
    assert (run.name, curve(run, "train")[0], len(curve(run, "val")[0])) == ("d12", list(LOGGED), len(LOGGED))


@pytest.mark.parametrize(
    "text", ["[[1, 2, 3], 4]", "[[1.0, 2, 3], [1e99, 2, 3]]", "[[1, 2, 3], [1, 2, 1e999]", "[" * 9999]
)
def test_a_download_that_is_broken_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run-d12-tag-train_loss.json"
    path.write_text(text)
    with pytest.raises(UnreadableRun, match=r"run-d12-tag-train_loss.json"):
        formats()["tag_csv"].read([path])


SIDED = {
    "log.jsonl": lambda s, side, value: json.dumps({"split": side, "step": s, "loss": value}) + "\n",
    "log.csv": lambda s, side, value: (
        ("step,phase,loss\n" if (s, side) == (10, "train") else "") + f"{s},{side},{value}\n"
    ),
    "tidy.csv": lambda s, side, value: (
        ("step,tag,value\n" if (s, side) == (10, "train") else "") + f"{s},{side}/loss,{value}\n"
    ),
    "both.csv": lambda s, side, value: (
        ("step,split,metric,value\n" if (s, side) == (10, "train") else "")
        + f"{s},{side},loss,{value}\n{s},{side},accuracy,0.5\n"
    ),
}


@pytest.mark.parametrize("form", ["{}-1", "{}_2.0", "{} 1E", "{}"])
def test_sides_are_told_apart_whatever_digits_stand_in_words(tmp_path: Path, form: str) -> None:
    text = "".join(
        json.dumps({"time": f"2023-01-01 10:00:{s:02d}", "step": s, "split": form.format(side), "loss": loss(s) + more})
        + "\n"
        for s in range(1, 60)
        for side, more in (("train", 0.0), ("val", 1.0))
    )
    run = only(tmp_path, "log.jsonl", text)
    assert curve(run, "train") == (list(range(1, 60)), [loss(s) for s in range(1, 60)])
    assert curve(run, "val") == (list(range(1, 60)), [loss(s) + 1 for s in range(1, 60)])


TIDY = {
    "log.jsonl": lambda s, tag, value: {"step": s, "metric": tag, "value": value},
    "mlflow.json": lambda s, tag, value: {"key": tag, "value": value, "timestamp": 1700000000000 + s, "step": s},
    "comet.json": lambda s, tag, value: {
        "metricName": tag.partition("/")[2], "metricValue": str(value), "timestamp": 1700000000000 + s, "step": s,
        "epoch": None, "runContext": "train" if tag.startswith("train") else "validate",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", TIDY)
def test_records_of_one_number_are_named_by_the_word_beside_it(tmp_path: Path, name: str) -> None:
    pairs = [(s, f"{side}/{metric}", value) for s in LOGGED for side, more in (("train", 0.0), ("val", 0.1))
             for metric, value in (("loss", round(loss(s) + more, 4)), ("top1", 0.5), ("top5", 0.6))]  # fmt: skip
    records = [TIDY[name](s, tag, value) for s, tag, value in pairs]
    text = json.dumps(records) if name.endswith(".json") else "".join(json.dumps(each) + "\n" for each in records)
    run = only(tmp_path, name, text)
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert curve(run, "val") == (list(LOGGED), [round(loss(s) + 0.1, 4) for s in LOGGED])


@pytest.mark.parametrize("name", SIDED)
@pytest.mark.parametrize("val", ["val", "valid", "validation", "eval"])
def test_losses_of_one_name_are_told_apart_by_their_side(tmp_path: Path, name: str, val: str) -> None:
    sides = (("train", 0.0), (val, 0.1))
    text = "".join(SIDED[name](s, side, round(loss(s) + more, 4)) for s in LOGGED for side, more in sides)
    run = only(tmp_path, name, text)
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert curve(run, "val") == (list(LOGGED), [round(loss(s) + 0.1, 4) for s in LOGGED])


@pytest.mark.parametrize("header", ["run,step,loss", "run_id,step,key,value"])
def test_a_table_of_several_runs_gives_each(tmp_path: Path, header: str) -> None:
    tag = "train_loss," if "key" in header else ""
    rows = "".join(f"{run},{s},{tag}{loss(s) + more}\n" for run, more in (("a", 0), ("b", 1)) for s in LOGGED)
    (tmp_path / "all.csv").write_text(f"{header}\n{rows}")
    runs = read(tmp_path)
    assert [run.name for run in runs] == ["all/a", "all/b"]
    assert [curve(run, "train") for run in runs] == [
        (list(LOGGED), [loss(s) + more for s in LOGGED]) for more in (0, 1)
    ]


def test_a_table_whose_batches_begin_anew_goes_on(tmp_path: Path) -> None:
    rows = "".join(f"{e},{b},{loss(e * 500 + b + 1)}\n" for e in range(4) for b in range(0, 500, 50))
    run = only(tmp_path, "log.csv", "epoch,batch,loss\n" + rows)
    assert curve(run, "train")[0] == list(range(1, 2001, 50))


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_batch_that_stays_the_same_is_its_size(tmp_path: Path, name: str) -> None:
    records = [{"epoch": e, "batch": 64, "loss": loss(e)} for e in EPOCHS]
    text = "epoch,batch,loss\n" + "".join(",".join(map(str, record.values())) + "\n" for record in records)
    if name.endswith("jsonl"):
        text = "".join(json.dumps(record) + "\n" for record in records)
    assert curve(only(tmp_path, name, text), "train") == (list(EPOCHS), [loss(e) for e in EPOCHS])


def test_an_epoch_that_is_no_number_begins_nothing_anew(tmp_path: Path) -> None:
    records = [{"epoch": epoch, "step": s, "loss": loss(s)} for epoch in (1, math.inf, math.inf) for s in LOGGED]
    run = only(tmp_path, "log.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    assert curve(run, "train")[0] == list(LOGGED)


@pytest.mark.parametrize("value", ["{:,.2f}", "{:,.0f}", "{:.2f}", "{:.2f},0.5"])
def test_losses_of_thousands_are_read_whole(tmp_path: Path, value: str) -> None:
    losses = [float(f"{1000 * loss(s):{'.0f' if '0f' in value else '.2f'}}") for s in LOGGED]
    lines = (f"step {s} | loss {value.format(given)}\n" for s, given in zip(LOGGED, losses, strict=True))
    assert curve(only(tmp_path, "out.log", "".join(lines)), "train") == (list(LOGGED), losses)


def test_a_loss_with_a_decimal_comma_is_not_taken_for_a_whole_number(tmp_path: Path) -> None:
    (tmp_path / "out.log").write_text("".join(f"step {s} | loss {str(loss(s)).replace('.', ',')}\n" for s in LOGGED))
    with pytest.raises(FileNotFoundError, match="no log in"):
        find(tmp_path)


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
