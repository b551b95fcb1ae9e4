"""The report of many runs: its size, and how long a headless Chromium takes to open it.

The pages are those of simulated runs, each drawn anew with its own noise; 1,000 runs repeat them under other names.
Times count from the request for the file: until the table can be read, and until the first run's figure is drawn.

    python benchmarks/report.py --runs 1000
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
from _record import write
from rich.console import Console
from rich.table import Table

from curvecast.fleet import Settings
from curvecast.readers import Run
from curvecast.schedule import Schedule
from curvecast.sinks.report import page_of, write_report

STEPS = 2_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TABLE_READ = "document.querySelectorAll('#runs tbody tr').length > 0"
FIGURE_DRAWN = "document.querySelectorAll('#figure .main-svg').length > 0"
WATCH = """
    const told = {};
    const look = () => {
        if (told.table === undefined && %s) told.table = performance.now();
        if (told.figure === undefined && %s) told.figure = performance.now();
        if (told.figure === undefined) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    window.told = told;
"""


def simulated(seed: int) -> Run:
    """A run of 2,000 steps on a cosine of 4,000, with a validation every 50 steps."""
    rng = np.random.default_rng(seed)
    steps = np.arange(1, STEPS + 1)
    train = 2.0 + 3.0 * steps ** -rng.uniform(0.25, 0.5) + 0.03 * rng.standard_normal(STEPS)
    val = np.where(steps % 50 == 0, train + 0.05, np.nan)
    schedule = Schedule.cosine(2 * STEPS, warmup=100, floor=0.1)
    return Run(f"run {seed}", steps, train, val, np.full(STEPS, np.nan), {"schedule": schedule.to_dict()})


def pages(runs: int, distinct: int) -> list[dict[str, object]]:
    """The pages of so many runs, of which so many differ in more than their name."""
    drawn = []
    for seed in range(distinct):
        run = simulated(seed)
        drawn.append(page_of(run, run, Settings().watch(run)))
    return [{**drawn[k % distinct], "name": f"sweep/lr={1e-4 * (1 + k % 20):.1e}/seed={k}"} for k in range(runs)]


def opened(chromium: str, path: Path, rounds: int) -> dict[str, float]:
    """Seconds until the table and the figure are there, the median of so many fresh browsers."""
    api: Any = import_module("playwright.sync_api")
    table, figure = [], []
    with api.sync_playwright() as playwright:
        for _ in range(rounds):
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page()
            page.add_init_script(WATCH % (TABLE_READ, FIGURE_DRAWN))
            page.goto(path.as_uri())
            page.wait_for_function("window.told.figure !== undefined", timeout=120_000)
            told = page.evaluate("window.told")
            browser.close()
            table.append(told["table"] / 1e3)
            figure.append(told["figure"] / 1e3)
    return {"seconds_table": statistics.median(table), "seconds_figure": statistics.median(figure)}


@click.command(help=__doc__)
@click.option("--runs", default=1000, show_default=True)
@click.option("--distinct", default=40, show_default=True, help="Runs that differ in more than their name.")
@click.option("--rounds", default=5, show_default=True, help="Fresh browsers.")
def main(runs: int, distinct: int, rounds: int) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or find_spec("playwright") is None:
        raise click.ClickException("needs Chromium and playwright. Install Chromium, and `pip install playwright`.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        write_report(path, pages(runs, distinct))
        figures = {"runs": float(runs), "MB": path.stat().st_size / 1e6, **opened(chromium, path, rounds)}
    table = Table("figure", "value", title="The report, in a headless Chromium")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}")
    Console().print(table)
    print("written:", write("report", {"opening": figures}, source="simulated runs, seeds from 0"))


if __name__ == "__main__":
    main()
