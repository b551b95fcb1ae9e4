"""What frameworks print and write by themselves, each in its own form, of a curve that is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curvecast.readers import UnreadableRun, read
from tests.readers.printed import LOGGED, curve, each, loss, notes, only

STEPS, HUNDREDS = list(LOGGED), [s for s in LOGGED if s % 100 == 0]
TRAIN, VAL = [loss(s) for s in STEPS], [round(loss(s) + 0.1, 4) for s in HUNDREDS]
EPOCHS = range(1, 21)


def val(step: float) -> float:
    return round(loss(step) + 0.1, 4)


def glog(text: str) -> str:
    return f"I0331 11:06:34.916335 24302 {text}\n"


# the text, what its training losses and its validations are after, and whether it tells the rate
PRINTED = {
    "Estimator": (
        each(
            lambda s: f"INFO:tensorflow:loss = {loss(s)}, step = {s} (1.2 sec)\nINFO:tensorflow:global_step/sec: 8.1\n",
            lambda s: (
                f"INFO:tensorflow:Saving dict for global step {s}: accuracy = 0.5, average_loss = 9.9, "
                f"global_step = {s}, loss = {val(s)}\n"
            ),
        ),
        (0, 0),
        False,
    ),
    "object detection": (
        each(
            lambda s: (
                f"INFO:tensorflow:Step {s} per-step time 0.352s\n"
                f"I0331 11:06:34.9 24302 model_lib_v2.py:705] Step {s} per-step time 0.352s\n"
                f"INFO:tensorflow:{{'Loss/classification_loss': 9.9,\n 'Loss/total_loss': {loss(s)},\n"
                " 'learning_rate': 0.0319994}\n"
            ),
            lambda s: f"INFO:tensorflow:Eval metrics at step {s}\nINFO:tensorflow:\t+ Loss/total_loss: {val(s)}\n",
        ),
        (0, 0),
        True,
    ),
    "Caffe": (
        "".join(
            (
                glog(f"solver.cpp:337] Iteration {s}, Testing net (#0)")
                + glog("solver.cpp:404]     Test net output #0: accuracy = 0.0963")
                + glog(f"solver.cpp:404]     Test net output #1: loss = {val(s)} (* 1 = {val(s)} loss)")
            )
            * (s % 100 == 0)
            + glog(f"solver.cpp:218] Iteration {s} (23.1 iter/s, 4.3s/100 iters), loss = {loss(s)}")
            + glog("solver.cpp:237]     Train net output #0: loss = 9.9 (* 1 = 9.9 loss)")
            + glog(f"sgd_solver.cpp:105] Iteration {s}, lr = 0.001")
            for s in LOGGED
        ),
        (1, 0),
        True,
    ),
    "OpenNMT-tf": (
        each(
            lambda s: f"INFO:tensorflow:Step = {s} ; steps/s = 1.2 ; Learning rate = 0.0001 ; Loss = {loss(s)}\n",
            lambda s: f"INFO:tensorflow:Evaluation result for step {s}: loss = {val(s)} ; perplexity = 12.1\n",
        ),
        (0, 0),
        True,
    ),
    "Tacotron 2": (
        each(
            lambda s: f"Train loss {s} {loss(s)} Grad Norm 1.326766 1.15s/it\n",
            lambda s: f"Validation loss {s}: {val(s):9f}  \n",
        ),
        (1, 1),
        False,
    ),
}


@pytest.mark.parametrize("name", PRINTED)
def test_what_a_framework_prints_is_read(tmp_path: Path, name: str) -> None:
    text, (after, val_after), has_rate = PRINTED[name]
    run = only(tmp_path, "train.log", text)
    assert curve(run, "train") == ([s + after for s in STEPS], TRAIN)
    assert curve(run, "val") == ([s + val_after for s in HUNDREDS], VAL)
    assert bool(np.isfinite(run.lr).any()) == has_rate


@pytest.mark.parametrize("tail", ["avg", "avg loss"])
def test_darknet_prints_each_batch_and_its_mean(tmp_path: Path, tail: str) -> None:
    line = "{s}: {x}, {y} {tail}, 0.001000 rate, 21.5 seconds, 640 images\nLoaded: 0.000063 seconds\n"
    text = "".join(line.format(s=s, x=loss(s), y=val(s), tail=tail) for s in STEPS)
    run = only(tmp_path, "train.log", "Region 106 Avg IOU: 0.78, Class: 0.99, count: 103\n" + text)
    assert (curve(run, "train"), set(run.lr.tolist())) == ((STEPS, TRAIN), {0.001})


def test_deeplearning4j_calls_it_a_score(tmp_path: Path) -> None:
    line = "o.d.o.l.ScoreIterationListener - Score at iteration {s} is {x}\n"
    assert curve(only(tmp_path, "out.log", "".join(line.format(s=s, x=loss(s)) for s in STEPS)), "train")[0] == STEPS


def test_sagemaker_prints_the_epoch_beside_its_batches(tmp_path: Path) -> None:
    line = "[02/25/2022 07:10:50 INFO 139] #quality_metric: host=algo-1, epoch={e}, {of} <loss>={x}\n"
    text = "".join(
        line.format(e=e, of="batch=0 train loss", x=9.9)
        + line.format(e=e, of="train loss", x=loss(e + 1))
        + line.format(e=e, of="validation loss", x=val(e + 1))
        for e in range(20)
    )
    run = only(tmp_path, "out.log", text)
    assert curve(run, "train") == (list(EPOCHS), [loss(e) for e in EPOCHS])
    assert curve(run, "val") == (list(EPOCHS), [val(e) for e in EPOCHS])


def test_flair_validates_after_each_epoch(tmp_path: Path) -> None:
    date = "2023-01-01 10:00:00,1"
    text = "".join(
        "".join(
            f"{date} epoch {e} - iter {b}/100 - loss {loss(100 * e - 100 + b)} - lr: 0.100000\n"
            for b in range(10, 101, 10)
        )
        + f"{date} EPOCH {e} done: loss 9.9 - lr: 0.1\n{date} DEV : loss {val(100 * e)} - f1-score (micro avg)  0.5\n"
        for e in range(1, 4)
    )
    run = only(tmp_path, "training.log", text)
    steps = list(range(10, 301, 10))
    assert curve(run, "train") == (steps, [loss(s) for s in steps])
    assert curve(run, "val") == ([100, 200, 300], [val(s) for s in (100, 200, 300)])


def test_open_clip_counts_samples(tmp_path: Path) -> None:
    line = (
        "2023-04-21,12:03:13 | INFO | Train Epoch: {e} [{s:7d}/51200 (1%)] Data (t): 90.938 LR: 0.000100 "
        "Logit Scale: 14.286 Contrastive_loss: 9.9 (9.9) Loss: {x} (9.9)\n"
    )
    at = [(e, b) for e in range(2) for b in range(1, 100, 10)]
    run = only(tmp_path, "out.log", "".join(line.format(e=e, s=512 * b, x=loss(100 * e + b)) for e, b in at))
    assert curve(run, "train") == ([512 * (100 * e + b) for e, b in at], [loss(100 * e + b) for e, b in at])
    assert run.meta["unit"] == "sample"


@pytest.mark.parametrize(
    "line",
    [
        "Epoch {e}/20\n - 3s - loss: {x} - acc: 0.5 - val_loss: {y} - val_acc: 0.4\n",
        "Epoch {e}/20\n100/100 - 3s - loss: {x} - acc: 0.5 - val_loss: {y} - 3s/epoch - 30ms/step\n",
        "Epoch {e}/20\n900/900 [=====] - ETA: 0s - loss: 9.9\n900/900 [=====] - 3s - loss: {x} - val_loss: {y}\n",
    ],
)
def test_keras_is_read_in_all_that_it_has_printed(tmp_path: Path, line: str) -> None:
    run = only(tmp_path, "out.log", "".join(line.format(e=e, x=loss(e), y=val(e)) for e in EPOCHS))
    assert curve(run, "train") == (list(EPOCHS), [loss(e) for e in EPOCHS])
    assert curve(run, "val") == (list(EPOCHS), [val(e) for e in EPOCHS])
    assert (run.meta["horizon"], "logged again" in notes(run)) == (20, False)


@pytest.mark.parametrize(
    "line",
    [
        "steps:  10%|███ | {s}/600 [05:25<1:01:21, 1.42s/it, avr_loss={x}]",
        "Steps:  10%|███ | {s}/600 [00:04<08:00,  4.80s/it, lr=1e-5, step_loss={x}]",
        "Training progress:  10%|███ | {s}/600 [00:10<01:00, 50.1it/s, Loss={x}]",
    ],
)
def test_a_bar_of_all_steps_tells_the_horizon(tmp_path: Path, line: str) -> None:
    run = only(tmp_path, "train.log", "".join("\r" + line.format(s=s, x=loss(s)) for s in STEPS) + "\n")
    assert (curve(run, "train"), run.meta["horizon"]) == ((STEPS, TRAIN), 600)
    assert bool(np.isfinite(run.lr).any()) == ("lr=" in line)


def test_the_table_of_matlab_has_names_in_two_lines(tmp_path: Path) -> None:
    head = (
        "Training on single CPU.\n|=======|\n"
        "|  Epoch  |  Iteration  |  Time Elapsed  |  Mini-batch  |  Validation  |  Base Learning  |\n"
        "|         |             |   (hh:mm:ss)   |     Loss     |     Loss     |      Rate       |\n|=======|\n"
    )
    row = "| {e:7d} | {s:11d} |       00:00:05 | {x:12.4f} | {y:>12} |          0.0100 |\n"
    text = "".join(row.format(e=1 + s // 100, s=s, x=loss(s), y="" if s % 100 else val(s)) for s in STEPS)
    run = only(tmp_path, "train.txt", head + text)
    assert (curve(run, "train"), curve(run, "val")) == ((STEPS, TRAIN), (HUNDREDS, VAL))
    assert set(run.lr.tolist()) == {0.01}


def test_spacy_sums_its_losses_between_two_rows(tmp_path: Path) -> None:
    head = (
        "\u2139 Pipeline: ['tok2vec', 'ner']\n"
        "E    #       LOSS TOK2VEC  LOSS NER  SCORE \n---  ------  ------------  --------  ------\n"
    )
    rows = "".join(f"{s // 100:3d}  {s:6d}  {9.9:12.2f}  {loss(s):8.4f}    0.59\n" for s in STEPS)
    log = tmp_path / "train.log"
    log.write_text(head + "  0       0          0.00      0.01    0.59\n" + rows)
    with pytest.raises(UnreadableRun, match="'LOSS NER', 'LOSS TOK2VEC'"):
        read(log)
    (run,) = read(log, train_tag="LOSS NER")
    assert curve(run, "train") == (STEPS, TRAIN)
    assert "the first one, of a single batch, is left out" in notes(run)


def test_allennlp_writes_a_file_an_epoch(tmp_path: Path) -> None:
    for e in range(12):  # `10` comes before `2` by name
        record = {"epoch": e, "training_loss": loss(e + 1), "validation_loss": val(e + 1), "best_validation_loss": 0.1}
        (tmp_path / f"metrics_epoch_{e}.json").write_text(json.dumps(record, indent=2))
    (tmp_path / "metrics_epoch_12.json").write_text("{")
    (run,) = read(tmp_path)
    assert curve(run, "train") == (list(range(1, 13)), [loss(e) for e in range(1, 13)])
    assert curve(run, "val")[1] == [val(e) for e in range(1, 13)]
    assert (run.meta["unit"], "metrics_epoch_12.json cannot be read" in str(run.meta["lost"])) == ("epoch", True)


def test_chainer_writes_a_list_without_a_suffix(tmp_path: Path) -> None:
    records = [{"main/loss": loss(e), "validation/main/loss": val(e), "epoch": e, "iteration": 600 * e} for e in EPOCHS]
    run = only(tmp_path, "log", json.dumps(records, indent=4))
    assert curve(run, "train") == ([600 * e for e in EPOCHS], [loss(e) for e in EPOCHS])
    assert read(tmp_path / "log")[0].points("val") == len(EPOCHS)


def test_lists_within_names_are_read(tmp_path: Path) -> None:
    x, y = [loss(e) for e in EPOCHS], [val(e) for e in EPOCHS]
    for value, unit in (
        ({"history": {"loss": x, "val_loss": y}, "params": {"epochs": 20}}, "epoch"),
        ({"train": {"loss": x, "acc": y}, "val": {"loss": y, "acc": x}}, "epoch"),
        (
            {"training": {"combined": {"loss": x}, "label": {"loss": y}}, "validation": {"combined": {"loss": y}}},
            "epoch",
        ),
        ({"train": {"logloss": x}, "valid": {"logloss": y}}, None),  # a row for each tree
    ):
        run = only(tmp_path, "history.json", json.dumps(value))
        assert (curve(run, "train")[1], curve(run, "val")[1], run.meta.get("unit")) == (x, y, unit)
    run = only(tmp_path, "history.json", json.dumps({"validation_0": {"logloss": x}, "validation_1": {"logloss": y}}))
    assert (run.points("train"), curve(run, "val")[1]) == (0, y)  # the first may be the training set


ROWS = [{"epoch": e, "train_loss": loss(e), "val_loss": val(e)} for e in EPOCHS]
COLUMNS = {"train_losses": [loss(e) for e in EPOCHS], "val_losses": [val(e) for e in EPOCHS]}


@pytest.mark.parametrize(
    "value",
    [
        {"history": ROWS},
        {"config": {"lr": 0.1, "layers": [1, 2]}, "log": ROWS, "results": {"test_loss": 0.1}},
        {"best_epoch": 5, "betas": None, **COLUMNS},
        {"config": {"lr": 0.1, "layers": [1, 2, 3]}, "history": COLUMNS, "final": {"test_acc": 0.9}},
        {str(row["epoch"]): row for row in ROWS},
        {f"epoch_{row['epoch']}": {"train": {"loss": row["train_loss"]}, "val_loss": row["val_loss"]} for row in ROWS},
        {
            "train_log": [{"epoch": row["epoch"], "loss": row["train_loss"]} for row in ROWS],
            "eval_log": [{"epoch": row["epoch"], "loss": row["val_loss"]} for row in ROWS],
        },
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_run_is_found_among_settings_and_results(tmp_path: Path, value: object, indent: int | None) -> None:
    run = only(tmp_path, "training_log.json", json.dumps(value, indent=indent))
    assert curve(run, "train") == (list(EPOCHS), [loss(e) for e in EPOCHS])
    assert curve(run, "val") == (list(EPOCHS), [val(e) for e in EPOCHS])
    assert run.meta["lost"] == []


@pytest.mark.parametrize(
    "value",
    [
        {"loss_weights": [1.0, 0.5, 2.0], "loss": "mse"},
        {"results": {"acc": 0.9, "loss": 0.5}, "train": {"acc": 0.9, "loss": 0.5}},
        {"trials": [{"number": k, "loss": 0.5} for k in range(9)]},
        {"best": {"epoch": 3, "loss": 0.5}},
    ],
)
def test_settings_and_results_are_no_run(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(FileNotFoundError, match="no log in"):
        read(tmp_path)
