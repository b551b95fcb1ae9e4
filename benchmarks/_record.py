"""What every benchmark does at its end: show what it found, and write it into ``results/`` with where it ran."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from rich.table import Table

from curvecast import __version__

RESULTS = Path(__file__).parent / "results"


def write(name: str, figures: dict[str, Any], *, source: str) -> Path:
    """Write ``results/NAME.json``: the figures, the machine, the versions, and where the data came from."""
    record = {
        "benchmark": name,
        "source": source,
        "figures": figures,
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "curvecast": __version__,
            "system": f"{platform.system()} {platform.machine()}",
        },
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def recorded(name: str) -> dict[str, Any]:
    """The figures of ``results/NAME.json``; none where there is no such record."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["figures"]) if path.exists() else {}


def table_of_costs(figures: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """What was measured, a figure a row."""
    table = Table("what", "figure", "value", title=f"{title} (CPU time)")
    for what, values in figures.items():
        for name, value in values.items():
            table.add_row(what, name, f"{value:,.3f}" if isinstance(value, float) else f"{value}")
        table.add_section()
    return table
