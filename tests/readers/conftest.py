from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the hosts' own, at import
    from torch.utils.tensorboard import SummaryWriter

Rows = list[tuple[str, float, int]]
WriteEvents = Callable[..., Path]


@pytest.fixture
def write_events() -> WriteEvents:
    """Write ``(tag, value, step)`` rows with torch's writer; gives the event file."""

    def write(folder: Path, rows: Rows, *, purge_step: int | None = None, **settings: Any) -> Path:
        before = set(folder.glob("*tfevents*"))
        writer = SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".{len(before)}")
        for tag, value, step in rows:
            writer.add_scalar(tag, value, step, **settings)
        writer.close()
        (path,) = set(folder.glob("*tfevents*")) - before
        return path

    return write


@pytest.fixture
def shared_logs() -> Path:
    """Logs that others wrote, where they lie beside the checkout."""
    for parent in Path(__file__).parents:
        if (parent / "shared" / "logs").is_dir():
            return parent / "shared" / "logs"
    pytest.skip("the shared logs are not here")
