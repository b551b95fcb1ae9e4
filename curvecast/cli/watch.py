"""``curvecast watch``: a log that is still being written, redrawn in a terminal, line by line in a pipe."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Any

import click

from curvecast.cli.known import known_of_runs, settings_of
from curvecast.cli.shared import OK, UNREADABLE, console_for_messages

if TYPE_CHECKING:
    from rich.console import Console

    from curvecast.fleet import Settings
    from curvecast.readers import Run
    from curvecast.readers.tail import Tail
    from curvecast.sinks.summary import Summary
    from curvecast.watcher import Watcher

_EVERY = click.FloatRange(min=0.05, max=86_400.0)
_PLAN = ("horizon", "schedule", "earlier", "train_tag", "val_tag")  # of a run: where one changes, it is watched anew


def _told(_: click.Context, __: click.Parameter, seconds: float) -> float:
    """A number of seconds; NaN lies in every range that click asks for."""
    if math.isnan(seconds):
        raise click.BadParameter("got nan. Pass 2, say.")
    return seconds


@click.command(short_help="Follow runs while they are written.")
@click.argument("path", metavar="PATH")
@known_of_runs
@click.option("--every", type=_EVERY, default=2.0, callback=_told, show_default=True, help="Seconds between looks.")
@click.option("--polls", type=click.IntRange(min=1), help="End after so many looks; without it, at Ctrl-C.")
@click.pass_context
def watch(
    ctx: click.Context,
    /,
    path: str,
    every: float,
    polls: int | None,
    **known: Any,
) -> None:
    """Follow the runs logged at PATH while they are written, until Ctrl-C.

    In a terminal the table is drawn anew when something has changed; in a pipe every change of a verdict or of a
    forecast is a line. Only what is new is read of event files.

    Exit codes: 0 ended by Ctrl-C, or after --polls; 2 wrong usage, or nothing could be read.
    """
    from curvecast.readers.tail import Tail

    messages = console_for_messages()
    settings = settings_of(known)
    tail = Tail(
        path,
        train_tag=settings.train_tag,
        val_tag=settings.val_tag,
        step_column=settings.step_column,
        lengths=settings.lengths,
    )
    desk, said = _Desk(settings), set[str]()
    try:
        with _Page() as page:
            for look in itertools.count() if polls is None else range(polls):
                if look:
                    time.sleep(every)
                for line in _look(tail, desk, page):
                    if line not in said:  # a log may well begin after its watcher; that is said once
                        said.add(line)
                        messages.print(f"{line} Waiting for it.")
    except KeyboardInterrupt:
        messages.print("watched until interrupted")
    ctx.exit(OK if desk.summaries else UNREADABLE)


def _look(tail: Tail, desk: _Desk, page: _Page) -> list[str]:
    """Take in what is new, and show what has changed; gives what cannot be read, a line each."""
    try:
        desk.take(tail.poll(), page)
    except OSError as error:
        return [str(error)]
    return [f"{name}: {error}" for name, error in (tail.errors | desk.errors).items()]


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
            if run.name.endswith("#1"):  # a second run was appended to the file
                self.summaries.pop(run.name.removesuffix("#1"), None)
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
            watcher.take(sample)
        return watcher
