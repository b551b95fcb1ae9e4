"""Logs as frameworks and exports write them, in the variants that are met."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from curvecast.readers import Lengths, Run, UnreadableRun, read

Losses = dict[int, float]
WALLS = "Wall time,Step,Value\n1700000000.5,9,2.5\n1700000001.5,19,2.25\n"


def losses(run: Run, of: str = "train") -> Losses:
    values = run.train_loss if of == "train" else run.val_loss
    return {int(s): float(v) for s, v in zip(run.steps, values, strict=True) if not math.isnan(v)}


# name, file, text, training and validation losses, learning rate or None, tokens or None
TABLES = [
    ("OLMo", "h.csv", "_step,train/CrossEntropyLoss,train/Perplexity,eval/c4_en-validation/CrossEntropyLoss,"
     "optim/learning_rate_group0,throughput/total_tokens\n1,2.5,9,,0.1,100\n2,2.25,9,2.75,0.1,200\n", 0.1, 100),
    ("OLMo-core", "h.csv", "_step,train/CE loss,train/Z loss,eval/lm/c4_en-validation/CE loss,optim/LR (group 0),"
     "throughput/total tokens\n1,2.5,1,,0.1,100\n2,2.25,1,2.75,0.1,200\n", 0.1, 100),
    ("gpt-neox", "h.csv", "_step,train/lm_loss,validation/lm_loss,validation/lm_loss_ppl,train/learning_rate\n"
     "1,2.5,,,0.1\n2,2.25,2.75,13,0.1\n", 0.1, None),
    ("Composer", "h.csv", "_step,time/token,loss/train/total,metrics/train/LanguageCrossEntropy,"
     "metrics/eval/LanguageCrossEntropy,lr-DecoupledAdamW/group0\n1,100,2.5,9,,0.1\n2,200,2.25,9,2.75,0.1\n", 0.1, 100),
    ("torchtitan", "h.csv", "_step,loss_metrics/global_avg_loss,loss_metrics/global_max_loss,validation_metrics/loss,"
     "n_tokens_seen,lr\n1,2.5,3,,100,0.1\n2,2.25,3,2.75,200,0.1\n", 0.1, 100),
    ("NeMo", "h.csv", "_step,trainer/global_step,reduced_train_loss,val_loss,lr\n9,0,2.5,,0.1\n9,1,2.25,2.75,0.1\n",
     0.1, None),
    ("a history of W&B", "metrics.csv", ",_step,_runtime,_timestamp,train/loss,val/loss,epoch\n"
     "0,1,0.5,1700000000.5,2.5,,0\n1,2,1.5,1700000001.5,2.25,2.75,0\n", None, None),
    ("a mean at the end", "h.csv", "step,loss,eval_loss,train_loss\n1,2.5,,\n2,2.25,2.75,\n2,,,9.5\n", None, None),
    ("semicolons", "h.csv", "step;loss;val_loss\n1;2.5;\n2;2.25;2.75\n", None, None),
    ("a padded header", "h.csv", "   step,    train/loss ,  val/loss\n  1,  2.5,\n  2,  2.25,  2.75\n", None, None),
    ("steps as floats", "h.csv", "step,avg_loss,val_loss\n1.0,2.5,\n2e0,2.25,2.75\n", None, None),
    ("detectron2", "metrics.json", '{"iteration": 1, "total_loss": 2.5, "loss_cls": 1, "loss_box": 1, "lr": 0.1}\n'
     '{"iteration": 2, "total_loss": 2.25, "loss_cls": 1, "loss_box": 1, "val_loss": 2.75, "lr": 0.1}\n', 0.1, None),
    ("lines of JSON in a text", "log.txt", '{"step": 1, "train_loss": 2.5, "lr": 0.1}\n'
     '{"step": 2, "train_loss": 2.25, "val_loss": 2.75, "lr": 0.1}\n', 0.1, None),
    ("numbers as text", "h.jsonl", '{"num_updates": "1", "loss": "2.5", "lr": "0.1"}\n'
     '{"num_updates": "2", "loss": "2.25", "valid_loss": "2.75"}\n', 0.1, None),
    ("Levanter", "h.jsonl", '{"event": "log", "step": 1, "metrics": {"train/loss": 2.5, "optim/learning_rate": 0.1}}\n'
     '{"event": "log", "step": 2, "metrics": {"train/loss": 2.25, "eval/loss": 2.75}}\n', 0.1, None),
    ("a list of records", "h.json", '[{"step": 1, "loss": 2.5}, {"step": 2, "loss": 2.25, "val_loss": 2.75}]', None,
     None),
    ("lists", "h.json", '{"steps": [1, 2], "loss": [2.5, 2.25], "val_loss": [null, 2.75], "best": [1]}', None, None),
    ("a chart over another axis", "h.csv", '"global_step","a - _step","a - _step__MIN","a - _step__MAX","a - loss",'
     '"a - loss__MIN","a - loss__MAX","a - val_loss","a - val_loss__MIN","a - val_loss__MAX"\n'
     "1,7,7,7,2.5,2.5,2.5,,,\n2,8,8,8,2.25,2,3,2.75,2.75,2.75\n", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "text", "lr", "tokens"), TABLES, ids=[table[0] for table in TABLES])
def test_a_variant_is_read(
    tmp_path: Path, name: str, file: str, text: str, lr: float | None, tokens: int | None
) -> None:
    (tmp_path / file).write_text(text)
    (run,) = read(tmp_path)
    assert (losses(run), losses(run, "val")) == ({1: 2.5, 2: 2.25}, {2: 2.75})
    assert run.lr[0] == lr if lr is not None else math.isnan(run.lr[0])
    assert (None if run.tokens is None else run.tokens[0]) == tokens


YOLO = {
    "YOLOv8": ("epoch,time,{0},metrics/mAP50(B),{1},lr/pg0,lr/pg1", "box cls dfl", 1),
    "its masks": ("epoch,time,{0},metrics/mAP50(M),{1},lr/pg0,lr/pg1", "box seg cls dfl", 1),
    "YOLOv5": ("               epoch,{0},   metrics/mAP_0.5,{1},      x/lr0,      x/lr1", "box obj cls", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", YOLO)
def test_the_loss_of_yolo_is_the_sum_of_its_parts(tmp_path: Path, name: str) -> None:
    header, parts, first = YOLO[name]
    columns = (",".join(f"      {side}/{part}_loss" for part in parts.split()) for side in ("train", "val"))
    time = "9.5," if "time" in header else ""
    lines = [header.format(*columns)]
    for epoch in (first, first + 1):
        train, val = (",".join([str(more + 1 / (1 + epoch))] * len(parts.split())) for more in (1, 2))
        lines.append(f"{epoch:20d},{time}{train},0.5,{val},0.1,0.1")
    (tmp_path / "results.csv").write_text("\n".join(lines) + "\n")
    (run,) = read(tmp_path)
    count = len(parts.split())
    assert list(losses(run).values()) == [count * (1 + 1 / (1 + first + k)) for k in (0, 1)]
    assert list(losses(run, "val").values()) == [count * (2 + 1 / (1 + first + k)) for k in (0, 1)]
    assert (run.steps.tolist(), run.lr.tolist()) == ([1, 2], [0.1, 0.1])
    assert "as YOLO minimises it" in str(run.meta["notes"])
    assert losses(read(tmp_path, train_tag="train/box_loss")[0])[1] == 1 + 1 / (1 + first)


def test_the_rate_of_yolo_is_that_of_most_groups_and_the_parts_are_no_further_sets(tmp_path: Path) -> None:
    names = [f"{side}/{part}_loss" for side in ("train", "val") for part in ("box", "cls", "dfl")]
    rows = "".join(f"{e}{',1.5' * 6},{0.07 / e},{e / 256},{e / 256}\n" for e in range(1, 4))
    (tmp_path / "results.csv").write_text(f"epoch,{','.join(names)},lr/pg0,lr/pg1,lr/pg2\n{rows}")
    (run,) = read(tmp_path)
    assert run.lr.tolist() == [1 / 256, 2 / 256, 3 / 256]
    assert list(run.val_losses) == ["val/loss"]


def test_downloads_of_tensorboard_are_one_run_where_their_names_say_so(tmp_path: Path) -> None:
    for name in ("run-a_b-tag-train_loss", "run-a_b-tag-val_loss", "run-c-tag-train_loss", "run-c-tag-accuracy"):
        (tmp_path / f"{name}.csv").write_text(WALLS)
    first, second = read(tmp_path)
    assert (first.name, losses(first), losses(first, "val")) == ("a_b", {9: 2.5, 19: 2.25}, {9: 2.5, 19: 2.25})
    assert (second.name, second.points("val")) == ("c", 0)
    (alone,) = read(tmp_path / "run-c-tag-train_loss.csv")
    assert losses(alone) == {9: 2.5, 19: 2.25}


def test_downloads_named_by_their_loss_are_the_folders_run(tmp_path: Path) -> None:
    (tmp_path / "d12").mkdir()
    for name in ("train_loss", "validation_loss"):
        (tmp_path / "d12" / f"{name}.csv").write_text(WALLS)
    (run,) = read(tmp_path)
    assert (run.name, run.points("train"), run.points("val")) == ("d12", 2, 2)


def test_an_index_of_pandas_counts_in_a_file_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_text(",train_loss,val_loss\n0,2.5,\n1,2.25,2.75\n")
    (run,) = read(path)
    assert (losses(run), losses(run, "val")) == ({1: 2.5, 2: 2.25}, {2: 2.75})
    assert "the number of the row is taken for it" in str(run.meta["notes"])
    with pytest.raises(FileNotFoundError, match="no log in"):  # it may be a table of runs
        read(tmp_path)


def test_deepspeeds_monitor_counts_samples(tmp_path: Path) -> None:
    (tmp_path / "Train_Samples_train_loss.csv").write_text("step,train_loss\n32,2.5\n64,2.25\n")
    (tmp_path / "Train_Samples_lr.csv").write_text("step,lr\n32,0.1\n64,0.2\n")
    (run,) = read(tmp_path)
    assert "steps are samples: the batch is not known. Pass --batch-samples" in str(run.meta["notes"])
    (run,) = read(tmp_path, lengths=Lengths(batch_samples=32))
    assert (losses(run), run.lr.tolist()) == ({1: 2.5, 2: 2.25}, [0.1, 0.2])


def test_litgpts_micro_batches_become_optimizer_steps(tmp_path: Path, write_events: Callable[..., Path]) -> None:
    rows = []
    for step in range(1, 5):
        at = 4 * step - 1  # a step has four micro-batches
        rows += [("loss", 4.5 - step, at), ("iter", at + 1, at), ("step", step, at), ("epoch", 0, at)]
        rows += [("learning_rate", 0.5, at), ("total_tokens", 4096 * step, at)]
    write_events(tmp_path, [*rows, ("val_loss", 1.5, 15)])
    (run,) = read(tmp_path)
    assert (losses(run), losses(run, "val")) == ({s: 4.5 - s for s in range(1, 5)}, {4: 1.5})
    assert run.tokens is not None
    assert run.tokens.tolist() == [4096, 8192, 12288, 16384]


def test_what_panels_wrote_beside_litgpts_micro_batches_stands_at_its_steps(
    tmp_path: Path, write_events: Callable[..., Path]
) -> None:
    rows = [
        row
        for step in range(1, 5)
        for row in (("iter", 4 * step, 4 * step - 1), ("step", step, 4 * step - 1), ("curvecast/train_loss", 4.0, step))
    ]
    write_events(tmp_path, rows)
    (run,) = read(tmp_path)
    assert losses(run) == dict.fromkeys(range(1, 5), 4.0)


def test_lists_without_a_step_count_epochs(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text(json.dumps({"loss": [2.5, 2.25], "val_loss": [2.75, 2.5]}))
    (run,) = read(tmp_path)
    assert (losses(run), losses(run, "val")) == ({1: 2.5, 2: 2.25}, {1: 2.75, 2: 2.5})
    assert "steps are epochs" in str(run.meta["notes"])


def test_a_chart_over_time_is_refused(tmp_path: Path) -> None:
    heads = '"Relative Time (Process)","a - loss","a - loss__MIN","a - loss__MAX"\n0.5,2.5,2.5,2.5\n'
    (tmp_path / "h.csv").write_text(heads)
    with pytest.raises(UnreadableRun, match=r"is over 'Relative Time \(Process\)'. Export the chart over steps."):
        read(tmp_path)


@pytest.mark.parametrize(
    "text", ["[1, 2]", '{"loss": "high"}', '[{"loss": 2.5}]', '{"model": {"loss": "mse"}}', '{"weights": [1, 2]}']
)
def test_other_json_is_no_log(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises((FileNotFoundError, UnreadableRun)):
        read(tmp_path)


@pytest.mark.parametrize("row", ["{loss:.18e}", "{step:.18e} {loss:.18e}", "{step}\t{loss!r}", "{step},{loss!r}"])
def test_bare_numbers_are_read_where_their_file_is_named_for_a_loss(tmp_path: Path, row: str) -> None:
    for name, more in (("train_loss.txt", 0), ("val_loss.dat", 1), ("loss_of_a.txt", 2), ("numbers.txt", 3)):
        rows = (row.format(step=s, loss=2 + 1 / s + more) for s in range(1, 21))
        (tmp_path / name).write_text("# a remark\n" + "\n".join(rows) + "\n")
    runs = {run.name: run for run in read(tmp_path)}
    assert list(runs) == ["loss_of_a", tmp_path.name]
    assert losses(runs[tmp_path.name]) == {s: 2 + 1 / s for s in range(1, 21)}
    assert losses(runs[tmp_path.name], "val") == {s: 3 + 1 / s for s in range(1, 21)}
    assert losses(runs["loss_of_a"])[20] == 4.05
    assert ("lines are counted" in str(runs["loss_of_a"].meta["notes"])) == ("step" not in row)


def test_bare_numbers_with_something_else_among_them_are_told(tmp_path: Path) -> None:
    (tmp_path / "loss.txt").write_text("1 2.5\n2 2.25\n3 2.2\n4 2.1\n5 2.0\nwhat?\n7 1.9 1\n8.5 3.5\n9 1.75\n10 1")
    (run,) = read(tmp_path)
    assert list(losses(run)) == [1, 2, 3, 4, 5, 9]
    assert "3 lines are no numbers and left out: 6, 7, 8" in str(run.meta["lost"])


def test_a_series_of_neptune_is_named_by_its_file(tmp_path: Path) -> None:
    rows = "".join(f"{s - 1},{s}.0,{2 + 1 / s},2023-01-01 10:00:00\n" for s in range(1, 21))
    (tmp_path / "train_loss.csv").write_text(",step,value,timestamp\n" + rows)
    (run,) = read(tmp_path)
    assert (run.meta["train_tag"], losses(run)[20]) == ("train_loss", 2.05)


def test_the_loss_of_reinforcement_learning_is_read_only_where_it_is_asked_for(
    tmp_path: Path, write_events: Callable[..., Path]
) -> None:
    rows = [(tag, 1.0 + s, s) for s in range(2048, 20480, 2048) for tag in ("rollout/ep_rew_mean", "train/loss")]
    write_events(tmp_path, rows)
    with pytest.raises(UnreadableRun, match="loss of reinforcement learning"):
        read(tmp_path)
    assert len(read(tmp_path, train_tag="train/loss")[0]) == 9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wall", ["9007199254740993", "1e300", "-inf", "nan"])
def test_a_wall_time_that_is_none_leaves_the_losses_in_their_order(tmp_path: Path, wall: str) -> None:
    (tmp_path / "loss.csv").write_text(WALLS.replace("1700000001.5", wall))
    assert losses(read(tmp_path / "loss.csv")[0]) == {9: 2.5, 19: 2.25}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.csv", "_step,trainer/global_step,train_loss\n0,49,2.5\n1,99,2.25\n"),
        ("a.jsonl", '{"trainer/global_step": 49, "loss": 2.5}\n{"trainer/global_step": 99, "loss": 2.25}\n'),
        ("a.csv", "trainer/global_step,a - loss,a - loss__MIN,a - loss__MAX\n49,2.5,2.5,2.5\n99,2.25,2.25,2.25\n"),
        ("a.json", '[{"trainer/global_step": 49, "loss": 2.5}, {"trainer/global_step": 99, "loss": 2.25}]'),
        ("a.csv", "run,trainer/global_step,loss\na,49,2.5\na,99,2.25\nb,49,2.5\nb,99,2.25\n"),
    ],
    ids=["a table", "records", "a chart", "a list", "a table of two runs"],
)
def test_lightning_counts_from_zero_where_wandb_has_its_count(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    run = read(tmp_path / file)[-1]
    assert run.steps.tolist() == [50, 100]
    assert "Lightning counts steps from 0: 1 added" in run.meta["notes"]  # type: ignore[operator]


def test_a_history_in_memory_counts_as_a_file_of_it() -> None:
    (run,) = read({"trainer/global_step": [49, 99], "train_loss": [2.5, 2.25]})
    assert run.steps.tolist() == [50, 100]


def test_two_rows_tell_that_steps_begin_anew(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,step,train_loss\n1,100,2.5\n2,100,2.25\n")
    (run,) = read(tmp_path / "a.csv")
    assert run.steps.tolist() == [100, 200]
