"""Every format, on files that the real library wrote: see ``scripts/log_samples``."""

from __future__ import annotations

import gzip
import json
import math
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from curvecast.readers import Run, UnreadableRun, find, read, read_source
from curvecast.readers.formats import formats
from curvecast.readers.jsonl import read_jsonl

SAMPLES = Path(__file__).parent / "samples"
STEPS = np.arange(1, 31)
CURVE = 2.0 + 2.0 / STEPS


def losses(run: Run, of: str = "train") -> dict[int, float]:
    values = run.train_loss if of == "train" else run.val_loss
    return {int(s): float(v) for s, v in zip(run.steps, values, strict=True) if not math.isnan(v)}


def notes(run: Run) -> str:
    return "\n".join(str(note) for note in run.meta["notes"])  # type: ignore[attr-defined]


def test_an_offline_wandb_run() -> None:
    (run,) = read(SAMPLES / "wandb")
    assert run.name == "wandb/small run"
    assert losses(run) == dict(zip(STEPS.tolist(), CURVE.tolist(), strict=True))
    assert losses(run, "val") == {10: CURVE[9] + 0.5, 20: CURVE[19] + 0.5, 30: math.inf}
    assert set(run.lr.tolist()) == {1e-3}
    assert run.meta["horizon"] == 60


@pytest.mark.parametrize("cut", [5, 8, 20, 3000, 9000])
def test_a_wandb_file_that_is_cut_off_gives_what_stands_before(tmp_path: Path, cut: int) -> None:
    whole = (SAMPLES / "wandb/run-small.wandb").read_bytes()
    (tmp_path / "a.wandb").write_bytes(whole[:cut])
    if cut < 1000:
        with pytest.raises(UnreadableRun, match=r"does not begin like one|no history"):
            read(tmp_path)
        return
    (run,) = read(tmp_path)
    assert 1 < len(run) < 30
    assert losses(run) == dict(zip(run.steps.tolist(), CURVE.tolist(), strict=False))
    assert f"a.wandb is cut off at byte {cut}" in str(run.meta["lost"])


def test_a_corrupt_wandb_frame_ends_the_reading(tmp_path: Path) -> None:
    whole = bytearray((SAMPLES / "wandb/run-small.wandb").read_bytes())
    whole[5000] ^= 1
    (tmp_path / "a.wandb").write_bytes(whole)
    (run,) = read(tmp_path)
    assert 1 < len(run) < 30
    assert "wrong checksum" in str(run.meta["lost"])


def test_an_mlflow_store_holds_many_runs(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    store.write_bytes(gzip.decompress((SAMPLES / "mlflow/mlflow.db.gz").read_bytes()))
    first, second = read(tmp_path)
    assert first.name == "mlflow/small run"
    assert second.name.startswith("mlflow/small run ")
    assert losses(first) == losses(second) == dict(zip(STEPS.tolist(), CURVE.tolist(), strict=True))
    assert sorted(losses(run, "val")[10] for run in (first, second)) == [CURVE[9], CURVE[9] + 1.0]
    assert losses(second, "val")[20] == math.inf
    assert first.meta["horizon"] == 60
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("kind", ["store", "folder"])
def test_the_plan_that_the_callback_notes_in_mlflow_is_the_runs(tmp_path: Path, kind: str) -> None:
    plan = json.dumps({"schema": 1, "horizon": 240, "epoch_steps": 8.0})  # the run's own parameters say 60 steps
    if kind == "store":
        (tmp_path / "mlflow.db").write_bytes(gzip.decompress((SAMPLES / "mlflow/mlflow.db.gz").read_bytes()))
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store, store:
            for (identity,) in store.execute("select run_uuid from runs").fetchall():
                store.execute("insert into tags values ('curvecast.plan', ?, ?)", (plan, identity))
    else:
        shutil.copytree(SAMPLES / "mlflow" / "mlruns", tmp_path / "mlruns")
        (told,) = tmp_path.glob("mlruns/*/*/tags")
        (told / "curvecast.plan").write_text(plan)
    for run in read(tmp_path):
        assert (run.meta["horizon"], run.meta["epoch_steps"]) == (240, 8.0)


def test_an_mlflow_store_without_tags_is_read(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(gzip.decompress((SAMPLES / "mlflow/mlflow.db.gz").read_bytes()))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store, store:
        store.execute("drop table tags")
    assert [run.meta["horizon"] for run in read(tmp_path)] == [60, 60]


def test_an_mlflow_folder() -> None:
    (run,) = read(SAMPLES / "mlflow" / "mlruns")
    assert run.name.endswith("/small run")
    assert losses(run) == dict(zip(STEPS.tolist(), CURVE.tolist(), strict=True))
    assert losses(run, "val") == {10: CURVE[9], 20: math.inf}
    assert run.meta["horizon"] == 60


def test_a_keras_table_counts_epochs_until_their_length_is_known() -> None:
    from curvecast.readers import Lengths

    (run,) = read(SAMPLES / "keras")
    assert run.steps.tolist() == list(range(1, 13))
    assert (run.points("train"), run.points("val")) == (12, 12)
    assert "Pass --epoch-steps" in notes(run)
    (run,) = read(SAMPLES / "keras", lengths=Lengths(epoch_steps=4))
    assert run.steps.tolist() == list(range(4, 52, 4))
    assert run.meta["epoch_steps"] == 4.0  # which lets a turn of validation be foreseen


def test_keras_tensorboard_folders_are_one_run_and_tell_their_epoch() -> None:
    (run,) = read(SAMPLES / "tensorboard")
    assert run.name == "keras_tensorboard"
    assert run.steps.tolist() == (50 * STEPS).tolist()
    assert np.allclose(run.train_loss, CURVE, rtol=1e-7)
    assert np.allclose(run.val_loss, CURVE + 0.5, rtol=1e-7)


def test_checkpoints_of_one_trainer_are_one_run(tmp_path: Path) -> None:
    (run,) = read(SAMPLES / "huggingface")
    assert run.name == "trainer"
    assert list(losses(run)) == list(range(2, 21, 2))
    assert list(losses(run, "val")) == [5, 10, 15, 20]
    assert list(run.val_losses) == ["eval_a_loss", "eval_b_loss"]
    assert run.meta["horizon"] == 20
    assert "2 checkpoints of one run; read the furthest, checkpoint-20" in notes(run)
    (early,) = read(SAMPLES / "huggingface/trainer/checkpoint-10")
    assert list(losses(early)) == list(range(2, 11, 2))


def test_a_trainers_state_may_have_another_name(tmp_path: Path) -> None:
    state = SAMPLES / "huggingface/trainer/checkpoint-10/trainer_state.json"
    shutil.copy(state, tmp_path / "trainer_state_a.json")
    shutil.copy(state, tmp_path / "b.json")
    (run,) = read(tmp_path)
    assert (run.name, list(losses(run))) == ("trainer_state_a", list(range(2, 11, 2)))
    (other,) = read(tmp_path / "b.json")
    assert losses(other) == losses(run)


def test_one_folder_may_hold_several_formats(tmp_path: Path) -> None:
    for name in ("wandb/run-small.wandb", "keras/keras.csv"):
        shutil.copy(SAMPLES / name, tmp_path)
    (tmp_path / "log.txt").write_text("".join(f"{s} train {2 + 2 / s}\n{s} val 5.5\n" for s in range(1, 20)))
    found = {source.name: [part.format for part in source.parts] for source in find(tmp_path)}
    assert found == {"keras": ["csv"], "log": ["text"], tmp_path.name: ["wandb"]}
    assert len(read(tmp_path)) == 3


def test_a_charts_export_gives_a_run_for_each_column(tmp_path: Path) -> None:
    heads = [f'"{run} - train/loss{edge}"' for run in ("a", "b", "a") for edge in ("", "__MIN", "__MAX")]
    rows = [",".join(['"Step"', *heads]), "0,3,3,3,,,,5,5,5", '1,2,2,2,"NaN",,,4,4,4']
    (tmp_path / "export.csv").write_text("\n".join(rows))
    runs = {run.name: losses(run) for run in read(tmp_path)}
    assert runs == {"export/a": {1: 3.0, 2: 2.0}, "export/b": {1: math.inf}, "export/a (2)": {1: 5.0, 2: 4.0}}


def chart(path: Path, tag: str, runs: dict[str, float], steps: range, *, axis: str = "Step") -> None:
    """A chart of runs that lie above one curve by so much."""
    header = [axis, *(f"{run} - {tag}{edge}" for run in runs for edge in ("", "__MIN", "__MAX"))]
    rows = [[str(s), *(str(2 + 2 / (1 + s) + more) for more in runs.values() for _ in range(3))] for s in steps]
    path.write_text("".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in [header, *rows]))


def test_charts_that_have_a_run_in_common_are_put_together(tmp_path: Path) -> None:
    chart(tmp_path / "a.csv", "train/loss", {"d12": 0, "d24": 1}, range(1, 50))
    chart(tmp_path / "b.csv", "train/loss", {"d12": 0}, range(40, 99))
    chart(tmp_path / "c.csv", "val/loss", {"d12": 2, "d24": 3}, range(10, 99, 10))
    chart(tmp_path / "d.csv", "val/loss", {"e": 2}, range(10, 99, 10))
    runs = {run.name.rpartition("/")[2]: run for run in read(tmp_path)}
    assert list(runs) == ["d12", "d24", "e"]
    assert losses(runs["d12"]) == {s: 2 + 2 / (1 + s) for s in range(1, 99)}
    assert losses(runs["d24"]) == {s: 3 + 2 / (1 + s) for s in range(1, 50)}
    assert [list(losses(runs[name], "val")) for name in ("d12", "d24")] == [list(range(10, 99, 10))] * 2
    assert runs["d12"].meta["source"] == str(tmp_path)
    assert "b.csv tells of the same run" in notes(runs["d12"])


@pytest.mark.parametrize(("more", "axis"), [(1.0, "Step"), (0.0, "epoch")])
def test_charts_that_disagree_are_of_two_runs(tmp_path: Path, more: float, axis: str) -> None:
    chart(tmp_path / "a.csv", "train/loss", {"d12": 0}, range(1, 50))
    chart(tmp_path / "b.csv", "train/loss", {"d12": more}, range(40, 99), axis=axis)
    assert [(run.name, len(run)) for run in read(tmp_path)] == [("a + b/d12", 49), ("a + b/d12 (2)", 59)]


def test_a_chart_that_is_broken_leaves_the_others(tmp_path: Path) -> None:
    chart(tmp_path / "a.csv", "train/loss", {"d12": 0}, range(1, 50))
    chart(tmp_path / "b.csv", "val/loss", {"d12": 0}, range(0))
    (run,) = read(tmp_path)
    assert (len(run), "no numbers in b.csv" in str(run.meta["lost"])) == (49, True)


def test_lines_of_json_with_nested_names_and_bad_lines(tmp_path: Path) -> None:
    lines = [f'{{"step": {s}, "train": {{"loss": {2 + 2 / s!r}}}, "note": "x", "ok": true}}' for s in range(1, 6)]
    lines += ['{"step": 6, "train": {"loss": NaN}}', '{"step": 7.0, "train": {"loss": Infinity}}', "oops", '{"st']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    (run,) = read(tmp_path)
    assert losses(run) == {**{s: 2 + 2 / s for s in range(1, 6)}, 6: math.inf, 7: math.inf}
    assert run.meta["lost"] == ["log.jsonl: 2 lines are no JSON and left out: 8, 9"]


NANOGPT = (
    "number of parameters: 10M\nstep 0: train loss 4.3, val loss 4.4\niter 0: loss 4.25, time 10.00ms, mfu -100.00%\n"
)
NANOGPT += "iter 10: loss 3.25, time 10.00ms, mfu 17.00%\nstep 20: train loss 2.5, val loss 2.75\n"
NANOGPT_HEAD = (
    "Overriding config with config/train_shakespeare_char.py:\nn_layer = 6\nn_head = 6\nn_embd = 384\n\n"
    "tokens per iteration will be: 16,384\nfound vocab_size = 65 (inside data/shakespeare_char/meta.pkl)\n"
    "Initializing a new model from scratch\nnumber of parameters: 10.65M\n"
)
MODDED = "import os\nstep:0/4578 val_loss:10.8 train_time:0ms step_avg:nanms\n"
MODDED += "step:1/4578 train_loss:10.7 train_time:9ms step_avg:nanms\nstep:125/4578 val_loss:6.5 train_time:9ms\n"
LLMC = "s:0 tel:11.0\ns:0 trl:10.9 lr:0.001 norm:5\ns:1 trl:10.5 lr:0.002 norm:5\ns:250 tel:6.0\ns:250 eval:0.25\n"
BUILD = "0 val 10.95\n0 hella 0.2463\n0 train 10.955\n1 train 9.5\n250 val 5.91\n"
MEGATRON = (
    " [2024-03-09 10:00:00] iteration      100/  500000 | consumed samples:        25600 | elapsed time per iteration "
    "(ms): 300.1 | learning rate: 1.500E-04 | global batch size:   256 | lm loss: 9.1E+00 | loss scale: 1.0 |\n"
    " iteration      200/  500000 | consumed samples:        51200 | elapsed time per iteration (ms): 300.1 | "
    "learning rate: 3.000000E-04 | global batch size:   256 | lm loss: 8.1E+00 | loss scale: 1.0 | grad norm: 1 |\n"
    " validation loss at iteration 200 | lm loss value: 8.250000E+00 | lm loss PPL: 3.8E+03 | \n"
)


@pytest.mark.parametrize(
    ("text", "train", "val", "horizon"),
    [
        (NANOGPT, {1: 4.25, 11: 3.25}, {20: 2.75}, None),
        (MODDED, {1: 10.7}, {125: 6.5}, 4578),
        (LLMC, {1: 10.9, 2: 10.5}, {250: 6.0}, None),
        (BUILD, {1: 10.955, 2: 9.5}, {250: 5.91}, None),
        (MEGATRON, {100: 9.1, 200: 8.1}, {200: 8.25}, 500_000),
    ],
    ids=["nanogpt", "modded-nanogpt", "llm.c", "build-nanogpt", "megatron"],
)
def test_text_logs(tmp_path: Path, text: str, train: dict[int, float], val: dict[int, float], horizon: object) -> None:
    (tmp_path / "main.log").write_text(text)
    (run,) = read(tmp_path)
    assert (losses(run), losses(run, "val"), run.meta.get("horizon")) == (train, val, horizon)


def test_text_that_is_no_log_is_passed_over_in_a_folder_and_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("step by step\n" * 100)
    with pytest.raises(FileNotFoundError, match="no log in"):
        find(tmp_path)
    with pytest.raises(
        UnreadableRun, match=r"notes.txt is no text log that is known\. Such a log has at least five lines"
    ):
        read(tmp_path / "notes.txt")


def test_a_git_lfs_pointer_is_recognised(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:7dcd\nsize 793878\n"
    for name in ("main.log", "metrics.csv", "events.out.tfevents.1", "trainer_state.json"):
        (tmp_path / name).write_text(pointer)
        with pytest.raises(UnreadableRun, match=f"{name} is a git-LFS pointer, .*`git lfs pull`"):
            read(tmp_path / name)
    assert len(find(tmp_path)) == 4


def test_every_shared_log_is_read_or_says_why(shared_logs: Path) -> None:
    runs: list[Run] = []
    reasons: list[str] = []
    for source in find(shared_logs):
        try:
            runs += read_source(source)
        except UnreadableRun as error:
            reasons.append(str(error))
    by_format = {name: [run for run in runs if run.meta["format"] == name] for name in ("huggingface", "wandb_csv")}
    (trainer,) = by_format["huggingface"]
    assert (int(trainer.steps[-1]), len(trainer.val_losses), trainer.meta["horizon"]) == (12030, 6, 12030)
    assert len(by_format["wandb_csv"]) == 18
    assert sum("git-LFS" in reason for reason in reasons) == 1
    assert sum("is empty" in reason for reason in reasons) == 2
    assert all(any(word in reason for word in ("git-LFS", "is empty", "no tag looks like")) for reason in reasons)


PLUGIN = """
from curvecast.readers.base import Log, Series
from curvecast.readers.formats import Format, Part
FORMAT = Format(
    "pairs",
    "pairs (*.pairs)",
    lambda folder: [Part("pairs", (folder.path / name,), name) for name in folder.files if name.endswith(".pairs")],
    lambda path, start: path.suffix == ".pairs",
    lambda files: {"": Log(files[0], "pairs", {"train_loss": Series.of([(1, 2.5, 0), (2, 2.25, 1)])})},
)
"""


def test_a_third_partys_reader_comes_through_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pairs_plugin.py").write_text(PLUGIN + "PLUGIN = 1\n")
    info = tmp_path / "pairs_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pairs_plugin\nVersion: 1\n")
    entries = "pairs = pairs_plugin:FORMAT\nbroken = pairs_plugin:NOTHING\nwrong = pairs_plugin:PLUGIN"
    (info / "entry_points.txt").write_text(f"[curvecast.readers]\n{entries}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/run.pairs").write_text("")
    formats.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"pairs_plugin:(NOTHING|PLUGIN)") as said:
            (run,) = read(tmp_path / "logs")
        assert len(said) == 2
        assert losses(run) == {1: 2.5, 2: 2.25}
    finally:
        formats.cache_clear()


@pytest.mark.parametrize("with_arrow", [True, False])
@pytest.mark.parametrize(
    "spoil", ["", '{"step": 99, "train": {"loss": NaN}}', '{"step": 99, "tra', '{"step": 1.2.3}\n', "\n7\n"]
)
@pytest.mark.parametrize(
    "build",
    [
        '{{"step": {s}, "train": {{"loss": {x!r}, "x": "a"}}, "ok": true, "lr": 1e-05, "none": null}}\n',
        '{{"step": {s}, "top-5,E": {x}, "train_loss": {x!r}, "time": "2024-01-{s}, E", "val_loss": NaN}}\n',
        '{{"train_loss": {x:.3e},"step":{s},"b":{{}},"c":[1,{s}]}}\r\n',
        '{{"step": {s}, "train_loss": -Infinity, "lr": {x}E+5, "e-1": {s}}}\n',
    ],
)
def test_lines_that_are_built_alike_are_read_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: str, spoil: str, with_arrow: bool
) -> None:
    if not with_arrow:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    lines = [build.format(s=s, x=2 + 2 / s) for s in range(1, 90)]
    lines[10] = '{"step": 11, "val_loss": 2.5}\n'
    lines[40] = lines[40].replace('"step"', '"train_loss"', 1)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(lines) + spoil, newline="")
    fast = read_jsonl(path)
    monkeypatch.setattr("curvecast.readers.alike._SAME", 1 << 30)
    slow = read_jsonl(path)
    assert fast.series.keys() == slow.series.keys()
    for tag, series in slow.series.items():
        for name in ("steps", "values", "order"):
            np.testing.assert_array_equal(getattr(fast.series[tag], name), getattr(series, name))
    assert fast.notes == slow.notes


def test_a_block_ends_within_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f'{{"step": {s}, "loss": {2 + 2 / s!r}}}\n' for s in range(1, 500)))
    whole = read_jsonl(path).series["loss"]
    for size in (7, 1000, 5000):
        monkeypatch.setattr("curvecast.readers.jsonl._BLOCK_BYTES", size)
        cut = read_jsonl(path).series["loss"]
        assert (cut.steps.tolist(), cut.values.tolist()) == (whole.steps.tolist(), whole.values.tolist())


@pytest.mark.parametrize(
    ("old", "new", "size"),
    [
        ("", "", 10_650_000 - 65 * 384),
        ("n_embd = 384", "n_embd = 400", None),  # another shape than its parameters
        ("a new model from scratch", "from OpenAI GPT-2 weights: gpt2", None),
        ("found vocab_size", "vocab", None),
        ("10.65M", "lots", None),
    ],
)
def test_nanogpt_tells_its_size_without_embeddings(tmp_path: Path, old: str, new: str, size: int | None) -> None:
    (tmp_path / "train.log").write_text(NANOGPT_HEAD.replace(old, new) + NANOGPT.partition("\n")[2])
    (run,) = read(tmp_path)
    assert (run.meta.get("num_params"), run.meta["batch_tokens"]) == (size, 16_384)
