"""Loops found in the bytes of event files: whatever they log, and whatever comes between, as a parse by the book."""

from __future__ import annotations

import struct
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from curvecast.readers.cycles import Loops
from curvecast.readers.frames import crc32c, length_crc, masked_one, walk
from curvecast.readers.scan import EventFile
from curvecast.readers.templates import Kinds

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hosts' own, at import
    Event = import_module("tensorboard.compat.proto.event_pb2").Event

Row = tuple[int, int, bytes, bytes]  # record, step, and the bytes of value and wall time


def framed(payload: bytes) -> bytes:
    head = struct.pack("<QI", len(payload), length_crc(len(payload)))
    return head + payload + struct.pack("<I", masked_one(crc32c(payload)))


def scalar(tag: str, step: int, value: float, *, wall: float = 0.0, as_tensor: bool = False) -> bytes:
    event = Event(wall_time=wall, step=step)
    entry = event.summary.value.add(tag=tag)
    if as_tensor:
        entry.tensor.dtype = 2
        entry.tensor.tensor_shape.SetInParent()
        entry.tensor.double_val.append(value)
    else:
        entry.simple_value = value
    return bytes(event.SerializeToString())


def by_the_book(data: bytes) -> dict[bytes, list[Row]]:
    rows: dict[bytes, list[Row]] = {}
    for record, (start, stop) in enumerate(walk(data)[0]):
        event = Event.FromString(data[start:stop])
        for entry in event.summary.value:
            value = entry.tensor.double_val[0] if entry.HasField("tensor") else entry.simple_value
            row = (record, event.step, struct.pack("d", value), struct.pack("d", event.wall_time))
            rows.setdefault(entry.tag.encode(), []).append(row)
    return rows


def scanned(path: Path) -> dict[bytes, list[Row]]:
    rows: dict[bytes, list[Row]] = {}
    for block in EventFile(path, timed=True).poll():
        for tag, series in block.series.items():
            columns = (series.order.tolist(), series.steps.tolist(), series.values, block.walls[tag])
            found = ((*row[:2], row[2].tobytes(), row[3].tobytes()) for row in zip(*columns, strict=True))
            rows.setdefault(tag, []).extend(found)
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_a_loop_is_read_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr("curvecast.readers.scan.BLOCK_BYTES", int(rng.choice([1 << 12, 1 << 16, 1 << 22])))
    tags = ["a" * int(rng.integers(1, 30)) + str(k % 3) for k in range(rng.integers(1, 7))]  # the same one twice, too
    tensors, timed = rng.random(len(tags)) < rng.choice([0.0, 0.3, 1.0]), rng.random(len(tags)) < rng.choice([0.5, 1.0])
    odd, records = float(rng.choice([0.0, 0.01, 0.2])), [b""]
    step = int(rng.choice([0, 100, 16_000, 2**31, 2**62]))
    for _ in range(int(rng.integers(1, 1500))):
        step += int(rng.integers(1, 3))
        for tag, as_tensor, has_wall in zip(tags, tensors, timed, strict=True):
            if rng.random() < odd:
                records.append(scalar("odd", step, 1.5))
            wall = 1.7e9 + step if has_wall else 0.0
            records.append(scalar(tag, step, float(rng.normal()), wall=wall, as_tensor=bool(as_tensor)))
    data = b"".join(map(framed, records))
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    assert scanned(path) == by_the_book(data)


def loose(data: bytes) -> int:
    loops = Loops(Kinds())
    buffer = bytearray(data + bytes(1024))
    turns = list(loops.turns(np.frombuffer(buffer, np.uint8), memoryview(buffer), len(data), 0))
    assert turns
    assert loops.at == len(data)
    return len(loops.frames)


def test_a_validation_now_and_then_does_not_end_a_loop() -> None:
    records = []
    for step in range(200, 2200):
        records += [scalar(tag, step, 1.0 / step) for tag in ("loss", "lr", "grad_norm")]
        records += [scalar("val_loss", step, 2.0)] if step % 50 == 0 else []
    assert loose(b"".join(map(framed, records))) <= 2 * 40  # its own record, and what stands before it in its turn


def test_what_is_no_loop_is_given_up_soon() -> None:
    rng = np.random.default_rng(0)
    records = [scalar("t" * int(rng.integers(1, 60)), step, 1.0) for step in range(5000)]
    data = b"".join(map(framed, records))
    loops, buffer = Loops(Kinds()), bytearray(data + bytes(1024))
    list(loops.turns(np.frombuffer(buffer, np.uint8), memoryview(buffer), len(data), 0))
    assert len(loops.frames) < 200


@pytest.mark.parametrize("count", [1, 3, 100])
def test_a_step_of_more_bits_than_there_are_is_read_as_protobuf_does(tmp_path: Path, count: int) -> None:
    record = scalar("loss", 1, 2.5, wall=1e9).replace(b"\x10\x01", b"\x10" + b"\xff" * 9 + b"\x7f", 1)
    data = framed(record) * count
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    assert scanned(path) == by_the_book(data)


@pytest.mark.parametrize("at", range(0, 150, 3))
def test_a_wrong_byte_anywhere_in_a_turn_ends_the_file_there(tmp_path: Path, at: int) -> None:
    records = [scalar(tag, step, 1.0 / step, wall=1e9 + step) for step in range(200, 1000) for tag in ("loss", "lr")]
    data = bytearray(b"".join(map(framed, records)))
    truth = by_the_book(bytes(data))
    data[60_000 + at] ^= 0x10
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    file = EventFile(path)
    assert list(file.poll())
    assert file.damage is not None
    frames = walk(b"".join(map(framed, records)))[0]
    wrong = next(k for k, (_, stop) in enumerate(frames) if stop + 4 > 60_000 + at)
    assert scanned(path) == {tag: [row for row in rows if row[0] < wrong] for tag, rows in truth.items()}
