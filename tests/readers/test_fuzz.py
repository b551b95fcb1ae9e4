"""Whatever bytes a reader meets, it gives a log or says why not: no other error, no hang, no wild allocation."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from curvecast.readers import UnreadableRun, read
from curvecast.readers.base import Log, Notes
from curvecast.readers.formats import formats
from curvecast.readers.frames import crc32c, length_crc, masked_one, walk
from curvecast.readers.history import read_history
from curvecast.readers.huggingface import read_trainer_state
from curvecast.readers.jsonl import read_jsonl
from curvecast.readers.mlflow import read_store
from curvecast.readers.notebook import read_notebook
from curvecast.readers.numbers import read_numbers
from curvecast.readers.printed import read_printed
from curvecast.readers.sacred import read_metrics
from curvecast.readers.tabular import read_table
from curvecast.readers.tag_csv import read_triples
from curvecast.readers.text import read_text
from curvecast.readers.tfevents import read_tfevents
from curvecast.readers.wandb import frames, read_wandb
from curvecast.readers.wandb_csv import read_chart

SAMPLES = Path(__file__).parent / "samples"
EVENTS = next((SAMPLES / "tensorboard/keras_tensorboard/validation").iterdir()).read_bytes()
WANDB = (SAMPLES / "wandb/run-small.wandb").read_bytes()
TABLE = b"step,loss,host,val_loss\n" + b"".join(
    b"%d,%.3e,a,%s\n" % (s, 2 / s, b"" if s % 3 else b"nan") for s in range(1, 20)
)


def read_large(path: Path) -> Log:
    """A table read as a large one is, which must give what it gives read row by row."""
    slow = read_table(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curvecast.readers.arrow._LARGE", 0)
        fast = read_table(path)
    assert list(fast.series) == list(slow.series)
    assert fast.notes.lost == slow.notes.lost
    for tag, series in slow.series.items():
        assert fast.series[tag].steps.tolist() == series.steps.tolist()
        np.testing.assert_array_equal(fast.series[tag].values, series.values)
    return fast


SEEDS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "tfevents": (EVENTS, lambda path: read_tfevents([path])),
    "wandb": (WANDB, read_wandb),
    "csv": ((SAMPLES / "keras/keras.csv").read_bytes(), read_table),
    "large table": (TABLE, read_large),
    "chart": (b'"Step","a - loss","a - loss__MIN","a - loss__MAX"\n0,3,3,3\n1,2,2,2\n', read_chart),
    "jsonl": (b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": NaN}\n', read_jsonl),
    "lines": (b"".join(b'{"step": %d, "a-1": {"loss": %.3e}, "t": "9"}\n' % (s, 2 / s) for s in range(1, 60)),
              read_jsonl),
    "history": (b'{"step": [1, 2, 3], "loss": [2.5, 2.25, NaN], "val_loss": [null, 2.5, 2.25]}', read_history),
    "text": (b"step:1/9 train_loss:2.5 t\nstep:2/9 train_loss:2.4 t\n", read_text),
    "printed": (b" 1%|# | 1/9 [00:01<1, 1it/s]{'loss': 2.5, 'lr': nan}\n" * 6 + b"{'step': 1, 'loss': '2'}",
                read_printed),
    "bars": (b"Epoch 1: 10%|# | 1/9 [00:01<1, 1it/s, loss=2.5, val_loss=2]\r" * 6, read_text),
    "epochs": (b"| Epoch [1/10], Step [1/99], Loss: 2.5, val loss: 2.5, lr: 1\n" * 6, read_text),
    "padded": (b"  step    train loss  val_loss\n" + b"%4d  2.5e-1 2.25\n" * 6 % (*range(6),), read_table),
    "drawn": (b"| step | loss | val_loss |\n|---|:-:|--|\n" + b"| %d | 2.5 | nan |\n" * 6 % (*range(6),), read_table),
    "cut": (TABLE[:-1], read_large),
    "numbers": (b"# loss\n" + b"%d 2.5e-1\n" * 9 % (*range(9),), lambda path: read_numbers([path])),
    "notebook": ((SAMPLES / "notebook/run.ipynb").read_bytes(), read_notebook),
    "sacred": (b'{"loss": {"steps": [1, 2], "timestamps": ["", ""], "values": [2.5, 2.25]}}', read_metrics),
    "xgboost": ((SAMPLES / "boosting/xgboost.log").read_bytes(), read_text),
    "mmengine": (next((SAMPLES / "mmengine/epoch").rglob("*.log")).read_bytes()[-1500:], read_text),
    "packed": (gzip.compress(TABLE, mtime=0), lambda path: formats()["gzip"].read([path])),
    "remarks": (b"# a\n# step;loss\n" + b"1;2,5\n2;2,25\n" * 3, read_table),
    "triples": (b"[[1.5, 1, 2.5], [2.5, 2, NaN]]", read_triples),
    "trainer": (next((SAMPLES / "huggingface/trainer").iterdir()).joinpath("trainer_state.json").read_bytes(),
                read_trainer_state),
    "mlflow": (gzip.decompress((SAMPLES / "mlflow/mlflow.db.gz").read_bytes())[:200_000], read_store),
}  # fmt: skip
EXAMPLES = int(os.environ.get("CURVECAST_FUZZ", "60"))  # a format; more of them are drawn anew each time
LIMIT = 64 << 20  # bytes; the largest seed has 200 kB


def spoilt(seed: bytes, edits: list[tuple[float, int, bytes]], cut: float) -> bytes:
    """The seed with bytes overwritten, inserted or dropped, and its end cut off."""
    data = bytearray(seed)
    for where, kind, piece in edits:
        at = int(where * len(data))
        if kind == 0:
            data[at : at + len(piece)] = piece
        elif kind == 1:
            data[at:at] = piece
        else:
            del data[at : at + len(piece)]
    return bytes(data[: int(cut * len(data)) + 1])


def event_file(payloads: list[bytes]) -> bytes:
    """An event file of these records, every checksum right."""
    heads = (struct.pack("<QI", len(each), length_crc(len(each))) for each in payloads)
    feet = (struct.pack("<I", masked_one(crc32c(each))) for each in payloads)
    return b"".join(b"".join(frame) for frame in zip(heads, payloads, feet, strict=True))


def wandb_file(records: list[bytes]) -> bytes:
    """A ``.wandb`` file of these records, every checksum right; they fit into one block."""
    crcs = (zlib.crc32(each, zlib.crc32(b"\1")) for each in records)
    heads = (struct.pack("<IHB", crc, len(each), 1) for crc, each in zip(crcs, records, strict=True))
    return WANDB[:7] + b"".join(head + each for head, each in zip(heads, records, strict=True))


def records_of(seed: bytes) -> tuple[list[bytes], Callable[[list[bytes]], bytes]]:
    """The records of a framed file, and what frames them again."""
    if seed is WANDB:
        return list(frames(seed, Notes(), "seed")), wandb_file
    return [seed[start:stop] for start, stop in walk(seed)[0]], event_file


EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.binary(max_size=16)), max_size=6)


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=EXAMPLES, deadline=20_000, derandomize=EXAMPLES <= 60, suppress_health_check=list(HealthCheck))
@given(edits=EDITS, cut=st.floats(0, 1), raw=st.one_of(st.none(), st.none(), st.binary(max_size=300)))
@example(edits=[], cut=0.0, raw=b"\r\x00")
def test_any_bytes_are_read_or_refused(
    tmp_path: Path, name: str, edits: list[tuple[float, int, bytes]], cut: float, raw: bytes | None
) -> None:
    seed, read_file = SEEDS[name]
    path = tmp_path / ("run-a-tag-loss.json" if name == "triples" else "log.csv.gz" if name == "packed" else "log")
    path.write_bytes(spoilt(seed, edits, cut) if raw is None else raw)
    check(path, read_file)


FILES = {
    "run.ipynb": SEEDS["notebook"][0],
    "results.csv": b"epoch,train/box_loss,train/cls_loss,train/dfl_loss\n" + b"%d,1,2,3\n" * 9 % (*range(9),),
    "plots/metrics/train/loss.tsv": b"step\tloss\n" + b"%d\t2.5\n" * 9 % (*range(9),),
    "vis_data/scalars.json": b'{"loss": 2.5, "iter": 1, "step": 1}\n{"loss": 2.25, "iter": 2, "step": 2}\n',
    "learn_error.tsv": (SAMPLES / "boosting/catboost_info/learn_error.tsv").read_bytes(),
    "metrics.json": SEEDS["sacred"][0],
    "comet.json": b'[{"metricName": "loss", "metricValue": "2.5", "step": 1, "runContext": "train"}]',
    "key.jsonl": b'{"key": "loss", "value": 2.5, "step": 1}\n' * 40,
    "train_loss.txt": SEEDS["numbers"][0],
    "table.out": SEEDS["drawn"][0],
    "chart.csv": SEEDS["chart"][0],
    "twice.csv": b"epoch,loss,val_loss\n" + b"%d,2.5,3\n" * 9 % (*range(9),) + b"%d,2.25,3\n" * 9 % (*range(9),),
    "epochs.log": b"".join(b"Epoch [%d/3], Step [%d/40], Loss: 2.%d\n" % (e, b, 9 - e) for e in (1, 2, 1, 2)
                           for b in (10, 20, 30, 40)),
    "commas.log": b"".join(b"step %d: train loss 2,%d (took 1 ms)\n" % (s, 90 - s) for s in range(9)),
    "above.txt": b"".join(b"epoch %d\nloss: 2.%d\nval loss: 3.5\n" % (s, 90 - s) for s in range(9)),
    "nanogpt.log": b"max_iters = 50\nlr_decay_iters = 50\nmin_lr = 1e-4\nlearning_rate = 1e-3\nwarmup_iters = 9\n"
    + b"".join(b"iter %d: loss 2.%d, time 9ms, lr:0.1\n" % (s, 90 - s) for s in range(9)),
    "trainer.out": b"".join(b" 1%%|# | %d/50 [00:01<1]{'loss': 2.5, 'epoch': 0.%d}" % (s + 5, s) for s in range(9))
    + b"{'train_runtime': 9.5, 'epoch': 1.0}\n",
    "loss.json": b"[" + b",".join(b"[%d, 2.5, 2.%d]" % (s, 90 - s) for s in range(9)) + b"]",
    "log.txt": b"[d2.utils.events]:  iter: 19  total_loss: 2.5  lr: 0.1\n" * 3,
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=EXAMPLES, deadline=20_000, derandomize=EXAMPLES <= 60, suppress_health_check=list(HealthCheck))
@given(edits=EDITS, cut=st.floats(0, 1), raw=st.one_of(st.none(), st.none(), st.binary(max_size=300)))
@example(edits=[], cut=1.0, raw=None)
def test_any_bytes_in_a_folder_are_read_or_passed_over(
    tmp_path: Path, name: str, edits: list[tuple[float, int, bytes]], cut: float, raw: bytes | None
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(spoilt(FILES[name], edits, cut) if raw is None else raw)
    for where in (tmp_path, path):
        with suppress(UnreadableRun, FileNotFoundError):
            assert read(where)


@pytest.mark.parametrize("name", ["tfevents", "wandb"])
@settings(max_examples=EXAMPLES, deadline=20_000, derandomize=EXAMPLES <= 60, suppress_health_check=list(HealthCheck))
@given(edits=st.lists(st.tuples(st.floats(0, 0.999), EDITS, st.floats(0, 1)), min_size=1, max_size=3))
def test_any_record_under_a_right_checksum_is_read_or_refused(
    tmp_path: Path, name: str, edits: list[tuple[float, list[tuple[float, int, bytes]], float]]
) -> None:
    seed, read = SEEDS[name]
    records, framed = records_of(seed)
    assert framed(records) == seed
    for where, edit, cut in edits:
        at = int(where * len(records))
        records[at] = spoilt(records[at], edit, cut)
    path = tmp_path / "log"
    path.write_bytes(framed(records))
    check(path, read)


def check(path: Path, read: Callable[[Path], object]) -> None:
    """A file gives a log or is refused, in bounded memory."""
    tracemalloc.start()
    try:
        found = read(path)
    except UnreadableRun as error:
        found = str(error)
    if isinstance(found, Log):
        assert all(series.steps.dtype == np.int64 for series in found.series.values())
    assert found
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LIMIT
