"""What frameworks print: each text in the form that its framework gives it, of a curve that is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np

from curvecast.readers import Run, read

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


IN_EPOCHS: dict[str, Callable[[int, int], str]] = {
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


VALIDATED = {
    "timm": "Test: [   0/97]  Time: 0.2 (0.2)  Loss: 9.9 (9.9)  Acc@1: 50 (50)\n"
    "Test: [  97/97]  Time: 0.2 (0.2)  Loss: 9.9 (  3.1)  Acc@1: 50 (50)\n"
    "Test (EMA): [  97/97]  Loss: 9.9 (  3.3)\n",
    "icefall": "INFO [train.py:932] (0/4) Epoch 1, validation: loss=3.1, simple_loss=0.4, over 9440.00 frames. \n",
    "wenet": "2023-01-01 10:00:00,000 INFO Epoch 0 CV info cv_loss 3.1\n",
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
