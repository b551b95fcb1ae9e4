"""How sets of runs that the repository makes itself are written: a curve a file, and what is said of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = tuple[int, float | None, float | None, float]  # step, train loss, validation loss, learning rate


def as_csv(rows: Iterable[Row]) -> str:
    """The rows that hold a loss, to five digits."""
    lines = ["step,train_loss,val_loss,lr"]
    for step, train_loss, val_loss, lr in rows:
        if train_loss is not None or val_loss is not None:
            lines.append(f"{step},{_five(train_loss)},{_five(val_loss)},{_five(lr)}")
    return "\n".join(lines) + "\n"


def _five(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def write_meta(folder: Path, about: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Describe the set, and every run of it by its name."""
    described = {f"{name}.csv": run for name, run in runs.items()}
    (folder / "meta.json").write_text(json.dumps({**about, "runs": described}, indent=1) + "\n", encoding="utf-8")
