"""The fast scan against a parse by the book, bit for bit, and what is left when a file is not whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from curvecast.readers.frames import walk
from curvecast.readers.scan import EventFile
from curvecast.readers.tail import Tail

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hosts' own, at import
    Event = import_module("tensorboard.compat.proto.event_pb2").Event
    make_ndarray = import_module("tensorboard.util.tensor_util").make_ndarray
    Writer = import_module("tensorboard.summary").Writer
    from torch.utils.tensorboard import SummaryWriter

WriteEvents = Callable[..., Path]
Rows = dict[str, list[tuple[int, int, bytes]]]  # (record, step, value's bytes) by tag


def by_the_book(path: Path) -> Rows:
    """Every scalar as TensorBoard's own protobuf classes read it."""
    data, rows = path.read_bytes(), Rows()
    for record, (start, stop) in enumerate(walk(data)[0]):
        event = Event.FromString(data[start:stop])
        for value in event.summary.value:
            number: Any = None
            if value.HasField("simple_value"):
                number = value.simple_value
            elif value.HasField("tensor") and not value.tensor.tensor_shape.dim and value.tensor.dtype in (1, 2):
                number = make_ndarray(value.tensor).item()
            if number is not None:
                rows.setdefault(value.tag, []).append((record, event.step, np.float64(number).tobytes()))
    return rows


def scanned(path: Path) -> Rows:
    rows = Rows()
    for block in EventFile(path).poll():
        for tag, series in block.series.items():
            columns = zip(series.order.tolist(), series.steps.tolist(), series.values, strict=True)
            rows.setdefault(tag.decode(errors="replace"), []).extend((o, s, v.tobytes()) for o, s, v in columns)
    return {tag: of_tag for tag, of_tag in rows.items() if of_tag}


def test_collected_files_are_read_bit_for_bit(shared_logs: Path) -> None:
    files = [path for path in shared_logs.rglob("*tfevents*") if path.is_file() and path.stat().st_size]
    assert len(files) >= 12
    for path in files:
        assert scanned(path) == by_the_book(path), path


@pytest.mark.parametrize("block", [1 << 12, 1 << 14, 1 << 22])
def test_a_varied_file_is_read_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr("curvecast.readers.scan.BLOCK_BYTES", block)
    rng = np.random.default_rng(0)
    writer = SummaryWriter(str(tmp_path))
    tags = ["train/loss", "train/lost", "lr", "損失 🔥", "a" * 200]
    for step in [*range(0, 300), *range(16_300, 16_500), 2**31, 2**40, 2**62]:
        for tag in tags[: 2 + step % 4]:
            writer.add_scalar(tag, float(rng.choice([rng.normal(), np.nan, np.inf, 0.0, -0.0])), step)
        if step % 50 == 0:
            writer.add_scalar("val/loss", 2.5, step)
            writer.add_histogram("weights", rng.normal(size=500), step)
            writer.add_image("image", rng.random((3, 40, 40)), step)
            writer.add_text("text", "words", step)
    writer.close()
    (path,) = tmp_path.iterdir()
    assert scanned(path) == by_the_book(path)


def test_scalar_tensors_are_read_bit_for_bit(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path))
    for step in range(3000):
        writer.add_scalar("loss", 1.0 / (step + 1), step)
        if step % 100 == 0:
            writer.add_scalar("val_loss", 2.0, step)
    writer.close()
    (path,) = tmp_path.iterdir()
    rows = scanned(path)
    assert rows == by_the_book(path)
    assert {tag: len(of_tag) for tag, of_tag in rows.items()} == {"loss": 3000, "val_loss": 30}


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_bit_or_a_cut_leaves_a_true_beginning(tmp_path: Path, write_events: WriteEvents, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(tag, 4.0 / s, s) for s in range(1, 400) for tag in ("loss", "lr", "grad")]
    path = write_events(tmp_path, rows)
    truth, data = by_the_book(path), bytearray(path.read_bytes())
    if seed % 2:
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    else:
        del data[int(rng.integers(len(data))) :]
    path.write_bytes(data)
    file = EventFile(path)
    found = [block.series for block in file.poll()]
    assert file.damage is not None or sum(len(s) for b in found for s in b.values()) == 0 or seed % 2 == 0
    for tag, of_tag in scanned(path).items():
        assert of_tag == truth[tag][: len(of_tag)]
    last = max((row[0] for of_tag in scanned(path).values() for row in of_tag), default=0)
    assert all(len(scanned(path).get(t, [])) == sum(r[0] <= last for r in of_tag) for t, of_tag in truth.items())


def test_what_is_appended_is_read_alone(tmp_path: Path, write_events: WriteEvents) -> None:
    whole = write_events(tmp_path / "whole", [("loss", 4.0 / s, s) for s in range(1, 500)]).read_bytes()
    path = tmp_path / "growing.tfevents"
    path.write_bytes(b"")
    file, steps, cuts = EventFile(path), list[int](), [0, 7, 100, 5000, 5010, 20_000, len(whole)]
    for begin, end in pairwise(cuts):
        with path.open("ab") as out:
            out.write(whole[begin:end])
        for block in file.poll():
            steps += block.series[b"loss"].steps.tolist() if b"loss" in block.series else []
        assert (file.damage is None) == (end == len(whole))
    assert steps == list(range(1, 500))
    assert list(file.poll()) == []


def test_a_file_that_shrinks_is_said_and_ends(tmp_path: Path, write_events: WriteEvents) -> None:
    path = write_events(tmp_path, [("loss", 4.0 / s, s) for s in range(1, 50)])
    file = EventFile(path)
    assert len(list(file.poll())) == 1
    path.write_bytes(path.read_bytes()[:100])
    assert list(file.poll()) == []
    assert file.damage is not None
    assert file.damage.startswith("has shrunk from ")


def test_an_event_file_that_is_replaced_is_read_from_its_beginning(tmp_path: Path, write_events: WriteEvents) -> None:
    path = write_events(tmp_path / "live", [("loss", 4.0 / s, s) for s in range(1, 50)])
    tail = Tail(str(path))
    (before,) = tail.poll()
    other = write_events(tmp_path / "other", [("loss", 9.0 / s, s) for s in range(1, 90)])
    other.replace(path)
    (after,) = tail.poll()
    assert (len(before), len(after)) == (49, 89)
    assert after.train_loss[0] == 9.0
    path.write_bytes(path.read_bytes()[:900])
    (cut,) = tail.poll()
    assert 0 < len(cut) < 49


def test_memory_does_not_grow_with_the_file(tmp_path: Path, write_events: WriteEvents) -> None:
    import tracemalloc

    body = write_events(tmp_path, [("loss", 4.0 / s, s) for s in range(1, 20_000)]).read_bytes()
    peaks = []
    for times in (10, 60):
        path = tmp_path / f"{times}.tfevents"
        path.write_bytes(body * times)
        tracemalloc.start()
        count = sum(len(s) for block in EventFile(path).poll() for s in block.series.values())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == 19_999 * times
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("missing", [0, 7, 1000])
def test_a_file_that_shrinks_while_it_is_read_ends(
    tmp_path: Path, write_events: WriteEvents, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    path = write_events(tmp_path, [("loss", 4.0 / s, s) for s in range(1, 50)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - missing])
    told = SimpleNamespace(st_size=len(data) + 5000, st_dev=1, st_ino=1)
    monkeypatch.setattr("curvecast.readers.scan.os.stat", lambda _: told)
    file = EventFile(path)
    count = sum(len(block.series.get(b"loss", [])) for block in file.poll())
    assert count == {0: 49, 7: 48}.get(missing, count)
    assert (file.damage is None) == (missing == 0)
