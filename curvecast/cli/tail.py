"""``curvecast watch``: a log that is still being written, redrawn in a terminal, line by line in a pipe."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curvecast.cli.shared import (
    BATCH_SAMPLES,
    BATCH_TOKENS,
    EPOCH_STEPS,
    HORIZON,
    LAW_OPTION,
    NUM_PARAMS,
    OK,
    PRIOR_OPTION,
    SCHEDULE,
    TRAIN_TAG,
    UNREADABLE,
    VAL_TAG,
    console_for_messages,
    load_law,
    load_prior,
    schedule_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from curvecast.fleet import Settings
    from curvecast.readers import Run
    from curvecast.sinks.summary import Summary
    from curvecast.watcher import Watcher

_EVERY = click.FloatRange(min=0.05, max=86_400.0)
_PLAN = ("horizon", "schedule", "earlier")  # of a run: where one changes, as by a cooldown, it is watched anew


def _told(_: click.Context, __: click.Parameter, seconds: float) -> float:
    """A number of seconds; NaN lies in every range that click asks for."""
    if math.isnan(seconds):
        raise click.BadParameter("got nan. Pass 2, say.")
    return seconds


@click.command(short_help="Follow runs while they are written.")
@click.argument("path", metavar="PATH")
@HORIZON
@SCHEDULE
@NUM_PARAMS
@BATCH_TOKENS
@EPOCH_STEPS
@BATCH_SAMPLES
@PRIOR_OPTION
@LAW_OPTION
@TRAIN_TAG
@VAL_TAG
@click.option("--every", type=_EVERY, default=2.0, callback=_told, show_default=True, help="Seconds between looks.")
@click.option("--polls", type=click.IntRange(min=1), help="End after so many looks; without it, at Ctrl-C.")
@click.pass_context
def watch(
    ctx: click.Context,
    path: str,
    horizon: int | None,
    schedule: str | None,
    num_params: int | None,
    batch_tokens: int | None,
    epoch_steps: int | None,
    batch_samples: int | None,
    prior: Path | None,
    law: Path | None,
    train_tag: str | None,
    val_tag: str | None,
    every: float,
    polls: int | None,
) -> None:
    """Follow the runs logged at PATH while they are written, until Ctrl-C.

    In a terminal the table is drawn anew when something has changed; in a pipe every change of a verdict or of a
    forecast is a line. Only what is new is read of event files.

    Exit codes: 0 ended by Ctrl-C, or after --polls; 2 wrong usage, or nothing could be read.
    """
    from curvecast.fleet import Settings
    from curvecast.readers import Lengths
    from curvecast.readers.tail import Tail

    messages = console_for_messages()
    lengths = Lengths(epoch_steps, batch_samples, batch_tokens)
    settings = Settings(
        horizon=horizon,
        schedule=schedule_of(schedule, horizon),
        num_params=num_params,
        batch_tokens=batch_tokens,
        prior=load_prior(prior),
        law=load_law(law),
        train_tag=train_tag,
        val_tag=val_tag,
    )
    tail = Tail(path, train_tag=train_tag, val_tag=val_tag, lengths=lengths)
    desk = _Desk(settings)
    looks, said = 0, set[str]()
    try:
        with _page() as page:
            while polls is None or looks < polls:
                if looks:
                    time.sleep(every)
                looks += 1
                try:
                    desk.take(tail.poll(), page)
                    errors = [f"{name}: {error}" for name, error in (tail.errors | desk.errors).items()]
                except OSError as error:
                    errors = [str(error)]
                for line in errors:  # a log may well begin after its watcher; that is said once
                    if line not in said:
                        said.add(line)
                        messages.print(f"{line} Waiting for it.")
    except KeyboardInterrupt:
        messages.print("watched until interrupted")
    ctx.exit(OK if desk.summaries else UNREADABLE)


class _Page:
    """Where the state of the runs is shown."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console: Console = Console(highlight=False)
        self._live = None
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self.console, auto_refresh=False)

    def __enter__(self) -> _Page:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, summaries: list[Summary], changed: list[Summary]) -> None:
        """Draw the table anew in a terminal; a line for each change elsewhere."""
        from curvecast.sinks.table import line, render_summaries

        if self._live is not None:
            self._live.update(render_summaries(summaries, width=self.console.width), refresh=True)
            return
        for summary in changed:
            click.echo(line(summary))


def _page() -> _Page:
    return _Page()


class _Desk:
    """Keeps a watcher for each run, and feeds it what is new."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._watchers: dict[str, Watcher] = {}
        self._plans: dict[str, list[object]] = {}
        self.summaries: dict[str, Summary] = {}
        self.errors: dict[str, str] = {}

    def take(self, runs: list[Run], page: _Page) -> None:
        """Feed the runs' new samples to their watchers, and show what has changed; ``errors`` says what cannot be."""
        from curvecast.sinks.summary import summarise

        changed: list[Summary] = []
        self.errors = {}
        for run in runs:
            try:
                summary = summarise(run, self._fed(run))
            except ValueError as error:
                self.errors[run.name] = str(error)
                continue
            before = self.summaries.get(run.name)
            self.summaries[run.name] = summary
            if before is None or (before.decided_at, before.reason) != (summary.decided_at, summary.reason):
                changed.append(summary)
        if runs:
            page.show(list(self.summaries.values()), changed)

    def _fed(self, run: Run) -> Watcher:
        watcher, plan = self._watchers.get(run.name), [run.meta.get(name) for name in _PLAN]
        went_back = watcher is not None and len(run) and int(run.steps[-1]) < watcher.step
        if watcher is None or went_back or plan != self._plans[run.name]:
            watcher = self._watchers[run.name] = self._settings.watch(run)
            self._plans[run.name] = plan
            return watcher
        for sample in run.after(watcher.step).samples():
            watcher.update(**asdict(sample))
        return watcher
