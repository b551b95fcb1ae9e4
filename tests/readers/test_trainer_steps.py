"""Where the records of Hugging Face's Trainer stand that tell no step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curvecast.readers import read
from tests.readers.printed import curve, loss, notes, only


def record(step: int, epochs: str, name: str = "loss") -> str:
    return f"{{'{name}': '{loss(step)}', 'learning_rate': '5e-05', 'epoch': '{epochs}'}}\n"


@pytest.mark.parametrize("form", ["{:.4g}", "{:.2f}"])
def test_records_that_come_late_stand_where_their_epochs_say(tmp_path: Path, form: str) -> None:
    """As where the output is held back: each stands behind the bar of the next one."""
    text = ""
    for step in range(10, 1201, 10):
        text += f"\r 5%|#   | {step}/1226 [00:10<08:15,  2.00it/s]"
        text += record(step - 10, form.format((step - 10) / 613)) if step > 10 else ""
        text += f"\r 5%|#   | {step}/1226 [00:10<08:15,  2.00it/s]"
    for ended in ("", "{'train_runtime': '1360', 'train_loss': '0.6', 'epoch': '2'}\n"):
        run = only(tmp_path, "train.log", text + ended)
        assert curve(run, "train") == (list(range(10, 1191, 10)), [loss(s) for s in range(10, 1191, 10)])
        assert run.meta["horizon"] == 1226


@pytest.mark.parametrize("first", ["", "  1%|#    | 50/50 [00:10<08:15,  2.00it/s]\n"])  # a bar of something else
def test_without_a_bar_beside_them_their_epochs_and_the_last_bar_tell(tmp_path: Path, first: str) -> None:
    steps = range(500, 6957, 500)
    text = first + "".join(
        record(s, f"{s / 2319:.2f}") + (record(s, f"{s // 2319}.0", "eval_loss") if s % 2319 < 500 < s else "")
        for s in steps
    )
    text += (
        "{'train_runtime': 2331.9, 'train_loss': 0.12, 'epoch': 3.0}\n100%|####| 6957/6957 [38:51<00:00,  2.98it/s]\n"
    )
    run = only(tmp_path, "train_log.txt", text)
    assert curve(run, "train") == (list(steps), [loss(s) for s in steps])
    assert curve(run, "val")[0] == [2319, 4638]
    assert (run.meta["horizon"], run.points("val")) == (6957, 2)


def test_bars_that_agree_with_the_epochs_are_believed(tmp_path: Path) -> None:
    text = "".join(
        f"\r 5%|# | {s}/600 [00:10<08:15]\n{record(s, f'{s / 200:.2f}')}\r 5%|# | {s}/600 [00:10<08:15]"
        for s in range(7, 600, 7)
    )
    run = only(tmp_path, "train.log", text)
    assert curve(run, "train")[0] == list(range(7, 600, 7))


def test_records_that_are_counted_say_so(tmp_path: Path) -> None:
    run = only(tmp_path, "train.log", "".join(record(s, f"{s / 200:.2f}") for s in range(10, 200, 10)))
    assert curve(run, "train")[0] == list(range(1, 20))
    assert "are counted. Pass --horizon in the same count" in notes(run)


def test_what_a_prediction_leaves_in_the_history_is_no_training(tmp_path: Path) -> None:
    history: list[dict[str, float]] = []
    for epoch in range(1, 6):
        history.append({"epoch": epoch - 0.5, "learning_rate": 1e-5, "loss": loss(100 * epoch), "step": 100 * epoch})
        history.append({"epoch": epoch, "eval_loss": loss(100 * epoch) + 1, "step": 100 * epoch + 50})
        history.append({"epoch": epoch, "predict_loss": 0.5, "predict_runtime": 9.5})
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history, "max_steps": 550}))
    (run,) = read(tmp_path)
    assert curve(run, "train") == ([100 * e for e in range(1, 6)], [loss(100 * e) for e in range(1, 6)])
    assert curve(run, "val")[0] == [100 * e + 50 for e in range(1, 6)]
    assert run.lr[0] == 1e-5
    assert "5 records without a step left out" in notes(run)
