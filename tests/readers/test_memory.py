"""A table in memory is read as the same table in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import curvecast
from curvecast.readers import UnreadableRun
from curvecast.readers.memory import run_of
from curvecast.readers.units import Lengths

STEPS = np.arange(0, 4000, 10)
LOSSES = 2.0 + 3.0 * (STEPS + 1.0) ** -0.5
VAL = np.where(STEPS % 100 == 50, LOSSES + 0.1, np.nan)


class Frame:
    """As much of a pandas ``DataFrame`` as is asked for: iterating it gives names, and its index has one."""

    class Index:
        name = "Step"

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
            return np.asarray(STEPS, dtype=dtype)

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns, self.index = columns, self.Index()

    def keys(self) -> list[str]:
        return list(self.columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]


def numbers(watcher: curvecast.Watcher) -> tuple[Any, ...]:
    ahead = watcher.forecast()
    return watcher.step, watcher.horizon, str(watcher.verdict), ahead.median, ahead.interval(0.9).lower


def test_columns_are_watched_as_the_file_that_holds_them(tmp_path: Path) -> None:
    columns = {"train/loss": LOSSES, "val/loss": VAL, "lr": np.full(len(STEPS), 1e-3), "host": ["a"] * len(STEPS)}
    rows = [
        f"{step},{loss},{'' if np.isnan(val) else val},0.001"
        for step, loss, val in zip(STEPS, LOSSES, VAL, strict=True)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["step,train/loss,val/loss,lr", *rows]))
    expected = numbers(curvecast.watch(tmp_path / "log.csv", horizon=10_000))
    assert numbers(curvecast.watch({"step": STEPS, **columns}, horizon=10_000)) == expected
    assert numbers(curvecast.watch({"step": list(STEPS), **columns}, horizon=10_000)) == expected
    assert numbers(curvecast.watch(Frame(columns), horizon=10_000)) == expected


def test_what_is_watched_can_be_read_as_well() -> None:
    (run,) = curvecast.read({"epoch": np.arange(30), "loss": LOSSES[:30]}, lengths=Lengths(50))
    assert (run.name, run.steps[-1], run.points("train")) == ("table", 1500, 30)
    with pytest.raises(UnreadableRun, match="no column of the table counts steps"):
        curvecast.read({})


def test_epochs_become_steps_and_rows_count_where_that_is_asked_for() -> None:
    losses = LOSSES[:30]
    table = {"epoch": np.arange(30), "loss": losses, "val_loss": losses + 0.1}
    assert curvecast.watch(table, epoch_steps=50).step == 1500
    assert curvecast.watch({"loss": losses}, step_column="row").step == 30
    assert curvecast.watch({"update no.": np.arange(1, 31), "loss": losses}, step_column="update no.").step == 30


def test_a_loss_that_was_no_number_is_inf_and_a_blank_is_none() -> None:
    losses = [*LOSSES[:50], *[np.inf] * 5, np.nan]
    run = run_of({"step": np.arange(1, 57), "loss": losses})
    assert run.points("train") == 55
    assert curvecast.watch(run).verdict.reason == "diverged"


def test_what_is_masked_was_not_logged() -> None:
    losses = np.ma.masked_array(LOSSES[:40], np.arange(40) % 2 == 0)
    run = run_of({"step": np.arange(1, 41), "loss": losses})
    assert run.points("train") == 20
    assert run.train_loss.tolist() == list(LOSSES[1:40:2])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            {"loss": LOSSES, "noise": LOSSES},
            r"no column of the table counts steps: it has \['loss', 'noise'\]\. Pass the",
        ),
        ({"step": STEPS, "loss": LOSSES[:3]}, r"must be of one length: got 'step' 400, 'loss' 3\. Pass a row a moment"),
        ({"step": STEPS, "accuracy": LOSSES}, "no tag looks like a loss"),
        ({}, "no column of the table counts steps"),
        ({"step": [], "loss": []}, r"no numbers in the table: it has columns \['loss'\], but no row that can be read"),
        ({"step": [np.nan, 2.0**63], "loss": [2.0, 2.0]}, "but no row that can be read"),
        ({"step": STEPS, "loss": [10**400] * len(STEPS)}, "no tag looks like a loss"),
        ({"step": STEPS, "loss": np.asarray(LOSSES) + 1j}, "no tag looks like a loss"),
    ],
)
def test_what_cannot_be_a_run_is_refused_with_what_to_do(table: dict[str, Any], said: str) -> None:
    with pytest.raises(UnreadableRun, match=said):
        curvecast.watch(table)


def test_what_is_neither_a_run_nor_a_path_nor_a_table_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must be a run, a path or a table: got a list\. Pass a curvecast\.Run"):
        curvecast.watch([1.0, 2.0])  # type: ignore[arg-type]
