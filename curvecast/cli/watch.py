"""``curvecast watch``: a log that is still being written, redrawn in a terminal, line by line in a pipe."""

from __future__ import annotations

import itertools
import math
import os
import select
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

import click

from curvecast.cli.known import known_of_runs, settings_of
from curvecast.cli.shared import OK, UNREADABLE, advice_on, console_for_messages, progress_bar

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
@click.option("--polls", type=click.IntRange(min=1), help="Stop after this many looks; without it, at Ctrl-C.")
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

    In a terminal the table is redrawn when something has changed; in a pipe every new verdict or forecast is a line.
    The options are those of `curvecast analyze`.

    Example: curvecast watch runs/d12 --horizon 20000

    Exit codes: 0 ended by Ctrl-C, after --polls, or when nobody reads its output any more; 2 wrong usage, or
    nothing could be read or written.
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
    desk = _Desk(settings)
    try:
        with _Page() as page:
            for look in itertools.count() if polls is None else range(polls):
                if look:
                    time.sleep(every)
                    page.check()
                desk.look(tail, messages, shows_bar=page.is_drawn and not look)
                page.show(list(desk.summaries.values()), desk.changed)
    except KeyboardInterrupt:
        messages.print("watched until interrupted")
    except BrokenPipeError:  # nobody reads on, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered goes nowhere, and quietly
    ctx.exit(OK if desk.summaries else UNREADABLE)


class _Page:
    """Where the state of the runs is shown."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console: Console = Console(highlight=False)
        self._live = None
        self._shown: list[Summary] = []
        self._pipe = _poll_of(sys.stdout)
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self.console, auto_refresh=False)

    @property
    def is_drawn(self) -> bool:
        """Whether there is a table, which is drawn anew; else there are lines."""
        return self._live is not None

    def __enter__(self) -> _Page:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def check(self) -> None:
        """Whether somebody reads on: a pipe tells only who writes to it, and there may be nothing to write for hours.

        Raises:
            BrokenPipeError: if nobody does.
        """
        if self._pipe is not None and any(event & select.POLLERR for _, event in self._pipe.poll(0)):
            raise BrokenPipeError

    def show(self, summaries: list[Summary], changed: list[Summary]) -> None:
        """Draw the table anew in a terminal; a line for each change of a verdict or forecast elsewhere."""
        from curvecast.sinks.table import line, render_summaries

        if self._live is not None and summaries != self._shown:
            self._shown = summaries
            self._live.update(render_summaries(summaries, width=self.console.width), refresh=True)
        for summary in () if self._live is not None else changed:
            click.echo(line(summary))


def _poll_of(stream: TextIO) -> select.poll | None:
    """What tells of errors at a stream's other end; ``None`` where it has none, or the system does not tell."""
    try:
        found = select.poll()
        found.register(stream.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return None
    return found


class _Desk:
    """Keeps a watcher for each run, and feeds it what is new.

    Attributes:
        summaries: of all runs that were ever there, by name.
        changed: of those whose verdict or forecast the last look has changed.
        errors: what of the last look cannot be watched, by name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._watchers: dict[str, Watcher] = {}
        self._known: dict[str, list[object]] = {}
        self._said: dict[str, tuple[int, str]] = {}  # of each run, when its live verdict was given, and what is shown
        self.summaries: dict[str, Summary] = {}
        self.changed: list[Summary] = []
        self.errors: dict[str, str] = {}
        self._lines: set[str] = set()  # that were said: a log may well begin after its watcher
        self._advised = False

    def look(self, tail: Tail, messages: Console, *, shows_bar: bool) -> None:
        """Take in what is new; what cannot be read, and what would help, is said once.

        Args:
            tail: reads on.
            messages: where that is said.
            shows_bar: whether a bar is drawn meanwhile, for a first look at many runs takes its time.
        """
        for line in self.poll(tail, messages if shows_bar else None):
            if line not in self._lines:
                self._lines.add(line)
                messages.print(f"{line} Waiting for it.")
        for advice in () if self._advised else advice_on(self.summaries.values(), self._settings.law):
            self._advised = True
            messages.print(advice)

    def poll(self, tail: Tail, messages: Console | None) -> list[str]:
        """Take in what is new; gives what cannot be read, a line each. A bar is drawn where there are messages."""
        gone: list[str] = []
        try:
            runs = tail.poll()
        except OSError as error:
            runs, gone = [], [str(error)]
        alone = len({run.name for run in runs} | set(self.summaries)) == 1
        if messages is None or not runs:
            self.take(runs, alone=alone)
        else:
            with progress_bar(messages) as bar:
                self.take(bar.track(runs, description=""), alone=alone)
        return gone or [f"{name}: {error}" for name, error in (tail.errors | self.errors).items()]

    def take(self, runs: Iterable[Run], *, alone: bool = False) -> None:
        """Feed the runs' new samples to their watchers; what is shown is judged at the last of them, as by `analyze`.

        In a pipe it is said anew where a live run would have a new verdict, or the reason has become another.

        Args:
            runs: those with something new.
            alone: whether there is one run, of which it is said what can be done now.
        """
        from curvecast.replay import judged_to_end
        from curvecast.sinks.summary import summarise

        self.changed, self.errors = [], {}
        for run in runs:
            try:
                watcher = self._fed(run)
                summary = summarise(run, judged_to_end(watcher), alone=alone)
            except ValueError as error:
                self.errors[run.name] = str(error)
                continue
            if run.name.endswith("#1"):  # a second run was appended to the file
                self.summaries.pop(run.name.removesuffix("#1"), None)
            self.summaries[run.name] = summary
            said = (int(watcher.verdict.step), summary.reason)
            if self._said.get(run.name) != said:
                self.changed.append(summary)
            self._said[run.name] = said

    def _fed(self, run: Run) -> Watcher:
        watcher, known = self._watchers.get(run.name), [*(run.meta.get(name) for name in _PLAN), _beginning(run)]
        went_back = watcher is not None and len(run) and int(run.steps[-1]) < watcher.step
        if watcher is None or went_back or known != self._known[run.name]:
            watcher = self._watchers[run.name] = self._settings.watch(run)
            self._known[run.name] = known
            return watcher
        for sample in run.after(watcher.step).samples():
            watcher.take(sample)
        return watcher


def _beginning(run: Run) -> list[str]:
    """By what a run is known again: where another has taken its place in the log, that is to be watched anew."""
    return [str(column[:1]) for column in (run.steps, run.train_loss, run.val_loss)]
