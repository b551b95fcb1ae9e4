from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from curvecast.readers import read
from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.find import find
from curvecast.readers.frames import walk
from curvecast.readers.tfevents import read_tfevents
from curvecast.readers.trainer_args import planned
from tests.conftest import shut

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hosts' own, at import
    EventAccumulator = import_module("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    make_ndarray = import_module("tensorboard.util.tensor_util").make_ndarray
    from torch.utils.tensorboard import SummaryWriter

WriteEvents = Callable[..., Path]


def as_tensorboard_reads(path: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=False)
    accumulator.Reload()
    tags = accumulator.Tags()
    read = {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags["tensors"]:
        read[tag] = [(e.step, make_ndarray(e.tensor_proto).item()) for e in accumulator.Tensors(tag)]
    return read


def as_we_read(log: Log) -> dict[str, list[tuple[int, float]]]:
    return {tag: list(zip(rows.steps.tolist(), rows.values.tolist(), strict=True)) for tag, rows in log.series.items()}


def same(a: dict[str, list[tuple[int, float]]], b: dict[str, list[tuple[int, float]]]) -> bool:
    """Equal to the last bit, NaN included."""
    return {t: [(s, np.float64(v).tobytes()) for s, v in rows] for t, rows in a.items()} == {
        t: [(s, np.float64(v).tobytes()) for s, v in rows] for t, rows in b.items()
    }


@pytest.mark.parametrize("settings", [{}, {"new_style": True}, {"new_style": True, "double_precision": True}])
def test_values_equal_tensorboard_bit_for_bit(
    tmp_path: Path, write_events: WriteEvents, settings: dict[str, bool]
) -> None:
    rng = np.random.default_rng(0)
    values = [*rng.lognormal(size=200).tolist(), 0.0, -0.0, 1e-45, 3.4e38, math.nan, math.inf, -math.inf]
    steps = [*range(200), 127, 128, 16384, 2**31, 2**40, 0, 5]
    tags = ["loss", "损失/été 🔥", "a" * 200]
    rows = [(tag, v, s) for v, s in zip(values, steps, strict=True) for tag in tags]
    path = write_events(tmp_path, rows, **settings)
    assert same(as_we_read(read_tfevents([path])), as_tensorboard_reads(path))


def test_collected_logs_equal_tensorboard(shared_logs: Path) -> None:
    paths = sorted(shared_logs.rglob("*tfevents*"))
    files = [path for path in paths if path.is_file() and path.stat().st_size]
    assert len(files) >= 12
    for path in files:
        assert same(as_we_read(read_tfevents([path])), as_tensorboard_reads(path)), path
    for path in (path for path in paths if path.is_file() and not path.stat().st_size):
        with pytest.raises(UnreadableRun, match="is empty"):
            read_tfevents([path])


def test_what_is_no_scalar_is_passed_over(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    writer.add_text("note", "hello", 1)
    writer.add_histogram("weights", np.arange(10.0), 1)
    writer.add_image("picture", np.zeros((3, 64, 64)), 1)
    writer.add_scalar("loss", 2.5, 1)
    writer.close()
    assert as_we_read(read_tfevents(list(tmp_path.iterdir()))) == {"loss": [(1, 2.5)]}


def test_truncation_keeps_every_whole_record(tmp_path: Path, write_events: WriteEvents) -> None:
    path = write_events(tmp_path, [("loss", float(step), step) for step in range(1, 11)])
    data = path.read_bytes()
    starts = [start - 12 for start, _ in walk(data)[0]][1:]  # of the scalars; the first record is the version
    cut = tmp_path / "cut.tfevents"
    for size in range(starts[4] + 1, len(data)):
        cut.write_bytes(data[:size])
        log = read_tfevents([cut])
        whole = sum(start <= size for start in starts[1:]) + (size >= len(data))
        assert len(log.series["loss"]) == whole
        assert bool(log.notes.lost) == (size not in starts)


def test_any_flipped_byte_leaves_a_true_beginning(tmp_path: Path, write_events: WriteEvents) -> None:
    path = write_events(tmp_path, [("loss", 1.0 / step, step) for step in range(1, 21)])
    data, truth = path.read_bytes(), as_tensorboard_reads(path)["loss"]
    broken = tmp_path / "broken.tfevents"
    first_scalar = walk(data)[0][2][0]
    for at in range(first_scalar, len(data), 7):
        broken.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        log = read_tfevents([broken])
        read = as_we_read(log)["loss"]
        assert read == truth[: len(read)]
        assert len(log.notes.lost) == 1


def test_a_corrupt_file_does_not_touch_the_next(tmp_path: Path, write_events: WriteEvents) -> None:
    first = write_events(tmp_path, [("loss", 9.0, 1), ("loss", 8.0, 2)])
    second = write_events(tmp_path, [("loss", 7.0, 3), ("loss", 6.0, 4)])
    data = bytearray(first.read_bytes())
    data[walk(bytes(data))[0][-1][0] - 12] ^= 1
    first.write_bytes(data)
    log = read_tfevents([first, second])
    assert as_we_read(log) == {"loss": [(1, 9.0), (3, 7.0), (4, 6.0)]}
    assert "is corrupt" in log.notes.lost[0]
    assert "kept the 1 scalars" in log.notes.lost[0]


def test_files_follow_one_another_in_time_not_by_name(tmp_path: Path, write_events: WriteEvents) -> None:
    early = write_events(tmp_path, [("loss", 9.0, 1)])
    late = write_events(tmp_path, [("loss", 8.0, 2)])
    early = early.rename(tmp_path / "z.tfevents")
    late = late.rename(tmp_path / "a.tfevents")
    rows = read_tfevents([late, early]).series["loss"]
    assert rows.steps.tolist() == [1, 2]
    assert np.all(np.diff(rows.order) > 0)


def test_an_announced_restart_is_read(tmp_path: Path, write_events: WriteEvents) -> None:
    paths = [
        write_events(tmp_path, [("loss", 9.0, 1), ("loss", 8.0, 2)]),
        write_events(tmp_path, [("loss", 7.0, 5)], purge_step=2),
    ]
    log = read_tfevents(paths)
    ((order, step),) = log.restarts
    assert step == 2
    assert log.series["loss"].order.tolist()[1] < order < log.series["loss"].order.tolist()[2]


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"not an event file at all", bytes(range(256)) * 8])
def test_bytes_that_are_no_events_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(content)
    with pytest.raises(UnreadableRun, match=r"no scalars: events.out.tfevents.1 is (empty|cut off|corrupt)"):
        read_tfevents([path])


def test_a_file_without_permission_is_refused(tmp_path: Path, write_events: WriteEvents) -> None:
    path = write_events(tmp_path, [("loss", 9.0, 1)])
    with shut(path), pytest.raises(UnreadableRun, match=r"cannot be read \(Permission denied\)"):
        read_tfevents([path])


def test_what_add_hparams_writes_is_no_run_but_a_folder_named_by_the_time_may_be(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    for step in range(1, 9):
        writer.add_scalar("train_loss", 1.0 / step, step)
    writer.add_hparams({"lr": 0.1}, {"val_loss": 0.5})
    writer.close()
    assert [source.path for source in find(tmp_path)] == [tmp_path]
    (path,) = tmp_path.glob("*tfevents*")
    (tmp_path / "1712345678.1234567").mkdir()
    (tmp_path / "1712345678.1234567" / path.name).write_bytes(path.read_bytes())
    assert len(find(tmp_path)) == 2


@pytest.mark.parametrize(("max_steps", "told"), [(500, {"horizon": 500}), (-1, {"horizon": 300})])
def test_the_trainer_of_hugging_face_notes_its_horizon_in_steps_or_epochs(
    tmp_path: Path, max_steps: int, told: dict[str, int]
) -> None:
    """As transformers' ``TensorBoardCallback`` writes: its arguments as JSON, its model's, then the scalars."""
    writer = SummaryWriter(str(tmp_path))
    args = {"output_dir": "out", "num_train_epochs": 3.0, "max_steps": max_steps, "lr_scheduler_kwargs": {}}
    writer.add_text("args", json.dumps(args, indent=2))
    writer.add_text("model_config", json.dumps({"max_steps": 7}, indent=2))
    for step in range(10, 101, 10):
        writer.add_scalar("train/loss", 2.0 + 1.0 / step, step)
        writer.add_scalar("train/epoch", step / 100.0, step)
    writer.close()
    (run,) = read(tmp_path)
    assert {key: value for key, value in run.meta.items() if key == "horizon"} == told


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], None),
        ([(10, 0.01)], None),  # two digits: between 667 and 2000 steps an epoch
        ([(10, 0.01), (990, 0.99)], {"horizon": 2000}),
        ([(10, 10 / 1009)], {"horizon": 2018}),  # in full
        ([(1009, 1.0), (1514, 1.5)], {"horizon": 2018}),
        ([(0, 0.0), (7, math.nan), (50, 0.0)], None),
    ],
)
def test_the_trainers_epochs_make_a_horizon_once_the_steps_of_one_are_known(
    rows: list[tuple[int, float]], told: dict[str, int] | None
) -> None:
    args, epochs = '{"num_train_epochs": 2, "max_steps": -1}', Series.of([(*row, 0) for row in rows])
    assert planned(args, epochs, Notes()) == (told or {})


@pytest.mark.parametrize(("also", "added"), [(("data_time", "eta_seconds"), 1), (("data_time",), 0)])
def test_detectron2_counts_steps_from_zero_in_its_event_files_too(
    tmp_path: Path, also: tuple[str, ...], added: int
) -> None:
    writer = SummaryWriter(str(tmp_path))
    for step in range(19, 200, 20):
        for tag in ("total_loss", *also):
            writer.add_scalar(tag, 2.0 + 1.0 / step, step)
    writer.close()
    (run,) = read(tmp_path)
    assert run.steps.tolist() == [step + added for step in range(19, 200, 20)]
