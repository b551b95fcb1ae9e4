"""Whatever bytes a reader meets, it gives a log or says why not: no other error, no hang, no wild allocation."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from curvecast.readers import UnreadableRun
from curvecast.readers.base import Log
from curvecast.readers.huggingface import read_trainer_state
from curvecast.readers.jsonl import read_jsonl
from curvecast.readers.mlflow import read_store
from curvecast.readers.tabular import read_table
from curvecast.readers.text import read_text
from curvecast.readers.tfevents import read_tfevents
from curvecast.readers.wandb import read_wandb
from curvecast.readers.wandb_csv import read_chart

SAMPLES = Path(__file__).parent / "samples"
EVENTS = next((SAMPLES / "tensorboard/keras_tensorboard/validation").iterdir()).read_bytes()
SEEDS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "tfevents": (EVENTS, lambda path: read_tfevents([path])),
    "wandb": ((SAMPLES / "wandb/run-small.wandb").read_bytes(), read_wandb),
    "csv": ((SAMPLES / "keras/keras.csv").read_bytes(), read_table),
    "chart": (b'"Step","a - loss","a - loss__MIN","a - loss__MAX"\n0,3,3,3\n1,2,2,2\n', read_chart),
    "jsonl": (b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": NaN}\n', read_jsonl),
    "lines": (b"".join(b'{"step": %d, "a-1": {"loss": %.3e}, "t": "9"}\n' % (s, 2 / s) for s in range(1, 60)),
              read_jsonl),
    "text": (b"step:1/9 train_loss:2.5 t\nstep:2/9 train_loss:2.4 t\n", read_text),
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


EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.binary(max_size=16)), max_size=6)


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=EXAMPLES, deadline=20_000, derandomize=EXAMPLES <= 60, suppress_health_check=list(HealthCheck))
@given(edits=EDITS, cut=st.floats(0, 1), raw=st.one_of(st.none(), st.none(), st.binary(max_size=300)))
@example(edits=[], cut=0.0, raw=b"\r\x00")
def test_any_bytes_are_read_or_refused(
    tmp_path: Path, name: str, edits: list[tuple[float, int, bytes]], cut: float, raw: bytes | None
) -> None:
    seed, read = SEEDS[name]
    path = tmp_path / "log"
    path.write_bytes(spoilt(seed, edits, cut) if raw is None else raw)
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
