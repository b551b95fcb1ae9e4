"""What ``curvecast analyze`` gives of each run: kept in a file as it comes, and printed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curvecast.cli.shared import writing

if TYPE_CHECKING:
    from rich.console import Console

    from curvecast.cli.copies import Fingerprint
    from curvecast.fleet import Outcome
    from curvecast.readers import Run
    from curvecast.sinks.stream import Sink
    from curvecast.sinks.summary import Summary
    from curvecast.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Digested:
    """What is kept of a run once it is watched; small, since it may come from another process."""

    summary: Summary
    record: dict[str, object]
    page: dict[str, object] | None
    known_by: Fingerprint | None = None


def digest(run: Run, seen: Run, watcher: Watcher, *, page: bool, alone: bool = False) -> Digested:
    """Sum up a run; with what its page of the report shows if that is wanted, and what can be done if it is alone."""
    from curvecast.cli.copies import fingerprint
    from curvecast.sinks.records import record
    from curvecast.sinks.summary import summarise

    drawn = None
    if page:
        from curvecast.sinks.report import page_of

        drawn = page_of(run, seen, watcher)
    return Digested(summarise(seen, watcher, alone=alone), record(seen, watcher), drawn, fingerprint(run))


class Results:
    """What goes to the file of ``--output`` as it comes; nothing, where there is none.

    Args:
        output: the file.
        sink: what writes it.
    """

    def __init__(self, output: Path | None, sink: Sink | None) -> None:
        self.output, self._sink = output, sink
        self.done: frozenset[str] = frozenset(sink.done() if sink else ())  # keys of sources that are in it already

    def keep(self, outcome: Outcome[Digested]) -> None:
        """Write what came of one source."""
        from curvecast import fleet

        if self._sink is not None and self.output is not None:
            with writing(self.output, "--output"):
                self._sink.write(fleet.key(outcome.source), [each.record for each in outcome.digests])

    def close(self) -> None:
        """Write what is still held back."""
        if self._sink is not None and self.output is not None:
            with writing(self.output, "--output"):
                self._sink.close()


@contextmanager
def results_in(output: Path | None, resume: bool) -> Iterator[Results]:
    """The file of ``--output`` while the work is done; what was done by then is in it whatever happens."""
    results = Results(output, None if output is None else _sink(output, resume))
    try:
        yield results
    finally:
        results.close()


def _sink(output: Path, resume: bool) -> Sink:
    from curvecast.sinks.stream import sink_to

    try:
        return sink_to(output, resume=resume)
    except (ImportError, OSError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--output") from error


def print_results(digested: Sequence[Digested], form: str, *, quiet: bool, verbose: bool) -> None:
    """Print the runs as a table, as JSON, as lines of JSON or as CSV.

    Args:
        digested: the runs.
        form: "table", "json", "jsonl" or "csv".
        quiet: whether no table is wanted.
        verbose: whether every reason to stop is wanted below the table.
    """
    from curvecast.sinks.records import as_csv, bundle, to_line

    records = [each.record for each in digested]
    if form == "json":
        click.echo(bundle(records))
    elif form == "jsonl":
        for record in records:
            click.echo(to_line(record))
    elif form == "csv":
        click.echo(as_csv(records), nl=False)
    elif digested and not quiet:
        from curvecast.sinks.table import SENTENCES, render_summaries

        console = _page(len(digested))
        summaries, sentences = [each.summary for each in digested], None if verbose else SENTENCES
        console.print(render_summaries(summaries, width=console.width, sentences=sentences))


def _page(runs: int) -> Console:
    """Where tables go: stdout, as wide as the terminal is or COLUMNS says.

    In a pipe or a file rich would take 80 characters; a name that folds there is not found by ``grep``. One run alone
    reads well in a few lines of these.
    """
    from rich.console import Console

    from curvecast.sinks.table import UNFOLDED

    console = Console(highlight=False)
    told = runs < 2 or console.is_terminal or "COLUMNS" in os.environ
    return console if told else Console(highlight=False, width=UNFOLDED)
