"""Read every log under a folder and give the verdicts that a live watcher would have given."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

import curvecast


@click.command(help=__doc__)
@click.argument("folder", default="runs", type=click.Path(exists=True))
@click.option("--share", default=0.25, show_default=True, help="Of each run, for the verdict in hindsight.")
def main(folder: str, share: float) -> None:
    console = Console(highlight=False)
    table = Table("run", "steps", f"forecast at {share:.0%}", "forecast at the end", "verdict")
    messages = []
    for run in curvecast.read(folder):
        said: list[curvecast.Verdict] = []
        watcher = curvecast.watch(run, on_verdict=said.append)
        early = [v.forecast for v in said if v.step <= share * watcher.step and v.forecast]
        table.add_row(
            run.name,
            f"{watcher.step:,} of {watcher.horizon:,}" if watcher.horizon else f"{watcher.step:,}",
            str(early[-1]) if early else "too early",
            str(watcher.verdict.forecast or "too short"),
            watcher.verdict.reason.value,
        )
        messages.append(f"{run.name}: {watcher.verdict.message}")
    console.print(table, *messages, sep="\n")


if __name__ == "__main__":
    main()
