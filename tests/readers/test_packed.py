"""Logs packed by gzip."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from curvecast.readers import UnreadableRun, find, read
from tests.readers.printed import LOGGED, curve, loss

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
