"""The logs that most tests look at, and what ``curvecast analyze`` says of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from curvecast.cli import main
from tests.curvecast_tensorboard.browser.logs import SMALL_RUNS, small_run, write

SEEN = {  # share of each run that has been logged
    "gpt-w88-b6-cosine": 0.5,
    "gpt-w64-b6-cosine": 0.8,
    "gpt-w48-b6-cosine": 1.0,
    "gpt-w32-b6-cosine": 1.0,
    "gpt-slice-16384-cosine": 0.7,
}
WATCHED = "gpt-w88-b6-cosine"
OVERFITS = "gpt-slice-16384-cosine"
SCRIPT = "<script>alert(1)</script>".replace("/", "\u2215")  # a folder's name holds no slash
SCRIPT_LIKE = "gpt-w32-b16-wsd"


def write_demo(folder: Path) -> Path:
    """Event files of small GPTs, part of them still in training."""
    for name, share in SEEN.items():
        write(folder / name, small_run(name, last=share))
    write(folder / SCRIPT, small_run(SCRIPT_LIKE, last=0.5))
    return folder


@cache
def _meta() -> Any:
    return json.loads((SMALL_RUNS / "meta.json").read_text())["runs"]


def plan(name: str) -> dict[str, str]:
    """What the log of a small run does not tell, as the page and the command line take it."""
    meta = _meta()[f"{name}.csv"]
    shape = {"cosine": ",floor=0.1", "wsd": ",decay=0.2", "constant": ""}[meta["schedule"]]
    return {
        "horizon": str(meta["horizon"]),
        "schedule": f"{meta['schedule']}:warmup={meta['warmup']}{shape}",
        "num_params": str(meta["num_params"]),
        "batch_tokens": str(meta["batch_tokens"]),
    }


def plans() -> dict[str, dict[str, str]]:
    """The plan of every run of the demo."""
    return {**{name: plan(name) for name in SEEN}, SCRIPT: plan(SCRIPT_LIKE)}


def analyzed(folder: Path, settings: dict[str, str]) -> Any:
    """What ``curvecast analyze --format json`` says of one run."""
    options = [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", value)]
    result = CliRunner().invoke(main, ["analyze", str(folder), "--format", "json", *options])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["runs"]
    return found
