from __future__ import annotations

import json
from pathlib import Path

import pytest

from curvecast.readers.base import Notes
from curvecast.readers.sidecar import NAME, read_sidecar
from curvecast.schedule import Schedule
from curvecast.turn import Turn

GOOD = {
    "schema": 1,
    "horizon": 5000,
    "num_params": 331_000,
    "batch_tokens": 2048.0,
    "dataset_tokens": None,
    "epoch_steps": 62.5,
    "schedule": Schedule.cosine(5000, warmup=100).to_dict(),
    "counted": "non-embedding",
    "monitor": "val_loss",
}


def test_known_entries_are_read(tmp_path: Path) -> None:
    notes = Notes()
    (tmp_path / NAME).write_text(json.dumps(GOOD | {"added_later": 1}))
    meta = read_sidecar(tmp_path, notes)
    assert meta == {k: v for k, v in GOOD.items() if k != "schema" and v is not None}
    assert isinstance(meta["batch_tokens"], int)
    assert notes.lines == []


def test_a_turn_is_read_beside_the_schedule_that_it_led_to(tmp_path: Path) -> None:
    plan = Schedule.constant(5000)
    turn = Turn(1000, False, 5000, plan, plan.cooldown(start=1000, steps=100), 5000.0)
    notes = Notes()
    (tmp_path / NAME).write_text(json.dumps(GOOD | turn.to_plan()))
    meta = read_sidecar(tmp_path, notes)
    assert Turn.of(meta) == turn
    assert meta["horizon"] == 1100
    (tmp_path / NAME).write_text(json.dumps(GOOD | turn.to_plan() | {"schedule": None}))
    assert "earlier" not in read_sidecar(tmp_path, notes)


def test_without_a_sidecar_nothing_is_said(tmp_path: Path) -> None:
    notes = Notes()
    assert read_sidecar(tmp_path, notes) == {}
    assert notes.lines == []


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "could not be read"),
        (b"[1]", "has schema None"),
        (b'{"schema": 2}', "has schema 2, this version reads 1"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_sidecar_is_a_note(tmp_path: Path, content: bytes, note: str) -> None:
    notes = Notes()
    (tmp_path / NAME).write_bytes(content)
    assert read_sidecar(tmp_path, notes) == {}
    assert note in notes.lost[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("horizon", 0),
        ("horizon", -5),
        ("horizon", "many"),
        ("horizon", True),
        ("num_params", 1.5),
        ("batch_tokens", float("inf")),
        ("schedule", [1, 2]),
        ("schedule", {"steps": [1, 2]}),
        ("schedule", {"steps": [2, 1], "lr": [1.0, 1.0]}),
        ("schedule", {"steps": "ab", "lr": "cd"}),
        ("monitor", 3),
        ("earlier", [1]),
        ("earlier", {"step": 100}),
        ("earlier", {"step": 0, "after_val": True, "horizon": None, "schedule": None, "total": 1.0}),
        ("earlier", {"step": 9, "after_val": True, "horizon": None, "schedule": None, "total": float("nan")}),
    ],
)
def test_a_bad_entry_is_left_out_alone(tmp_path: Path, key: str, value: object) -> None:
    notes = Notes()
    (tmp_path / NAME).write_text(json.dumps(GOOD | {key: value}))
    meta = read_sidecar(tmp_path, notes)
    assert key not in meta
    assert set(meta) == {name for name, kept in GOOD.items() if name not in ("schema", key) and kept is not None}
    assert notes.lost[0].startswith(f"{NAME}: {key} could not be used")
