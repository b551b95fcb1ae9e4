"""``curvecast analyze``: the verdicts of logs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from curvecast.cli.copies import copies, said
from curvecast.cli.known import known_of_runs, settings_of
from curvecast.cli.results import Digested, Results, digest, print_results, results_in
from curvecast.cli.shared import (
    FAILED_ON,
    NOT_ENOUGH,
    OK,
    UNREADABLE,
    advice_on,
    check_folder,
    console_for_messages,
    find_logs,
    progress_bar,
    reasons_of,
    writing,
)
from curvecast.notation import plural

if TYPE_CHECKING:
    from rich.console import Console

    from curvecast.fleet import Outcome, Settings
    from curvecast.readers import Source

FILE = click.Path(path_type=Path)
_NOTES = ("notes", "lost")
_MANY = 10  # runs, from which on their verdicts are counted
_OUTPUTS = (".jsonl", ".parquet")


def share_or_step(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """``--until``: a step, or a share below 1."""
    if text is None:
        return None
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        value = 0.0
    if not 0.0 < value < 2**62 or (value >= 1.0 and value != int(value)):
        raise click.BadParameter(f"must be a step, or a share between 0 and 1: got {text!r}. Pass 5000 or 0.25.")
    return value


@click.command(short_help="Forecast and judge runs by their logs.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@known_of_runs
@click.option(
    "--until",
    callback=share_or_step,
    metavar="STEP|SHARE",
    help="Use the log only up to there, to see what would have been forecast then.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "jsonl", "csv"]), default="table", show_default=True
)
@click.option("--html", type=FILE, metavar="FILE", help="Write a report: one HTML page that needs no network.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write results as they come: .jsonl, or .parquet.")
@click.option("--resume", is_flag=True, help="Skip runs that are in the --output file already.")
@click.option(
    "--jobs",
    type=int,
    default=1,
    show_default=True,
    help="Number of processes, at most one per core; -1 for one per core.",
)
@click.option(
    "--backend", type=click.Choice(["dask", "ray"]), help="Work on a cluster instead of this machine's cores."
)
@click.option("--address", metavar="URL", help="The cluster's scheduler, e.g. tcp://head:8786.")
@click.option("--fail-on", metavar="REASONS", help="Exit with 1 on these verdicts, e.g. diverged,overfitting.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Also say what was converted, dropped and guessed, and every reason to stop.",
)
@click.pass_context
def analyze(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    form: str,
    html: Path | None,
    output: Path | None,
    resume: bool,
    jobs: int,
    backend: str | None,
    address: str | None,
    fail_on: str | None,
    verbose: bool,
    **known: Any,
) -> None:
    """Forecast and judge the runs logged at PATH: files, folders, globs, or URLs such as s3://bucket/runs.

    Every folder that holds a log is a run. It reads TensorBoard event files, CSV and JSON of Lightning, Keras and
    others, trainer_state.json, W&B's offline runs and exports, MLflow's runs, Jupyter notebooks, and what nanoGPT,
    llm.c, Megatron, NeMo, fairseq, Hugging Face's Trainer and many other scripts print.

    Options that are not given are taken from the curvecast.json that the Lightning callback leaves beside a log.

    Example: curvecast analyze runs/ --horizon 20000 --html report.html

    Exit codes: 0 analysed; 1 a verdict of --fail-on was given; 2 wrong usage, or a PATH without a readable run;
    3 no run has enough data yet; 130 stopped by Ctrl-C.
    """
    failing, settings = reasons_of(fail_on), settings_of(known)
    workers = _Workers(jobs, backend, address)
    check_folder(html, "--html")
    _check_output(output, resume=resume)
    workers.check()
    messages = console_for_messages()
    found = find_logs(paths, messages, step_column=settings.step_column, writes={"--html": html, "--output": output})
    desk = _Desk(messages, settings, verbose=verbose)
    try:
        with results_in(output, resume) as results:
            passed_over = _work(found, settings, desk, results, workers, page=html is not None)
    except KeyboardInterrupt:
        if output is not None:
            messages.print(f"what was done is in {output}: --resume goes on with the rest")
        raise
    desk.say_tags()
    print_results(desk.digested, form, quiet=output is not None and form == "table", verbose=verbose)
    desk.sum_up()  # last, where a table of many runs does not push it off the screen
    if html is not None:
        _write_report(html, desk.digested)
        messages.print(f"report: {html}")
    if output is not None:
        messages.print(f"results: {output}")
    readable = desk.readable | passed_over
    ctx.exit(_exit_code(desk.digested, failing, all_readable=set(paths) <= readable))


def _check_output(output: Path | None, *, resume: bool) -> None:
    """Refuse a file that cannot be written, or gone on with."""
    check_folder(output, "--output")
    if output is not None and output.suffix not in _OUTPUTS:
        raise click.BadParameter(f"must end in {' or '.join(_OUTPUTS)}: got {output}.", param_hint="--output")
    if resume and output is None:
        raise click.BadParameter("there is nothing to go on with. Pass --output too.", param_hint="--resume")


def _write_report(html: Path, digested: Sequence[Digested]) -> None:
    from curvecast.sinks.report import write_report

    with writing(html, "--html"):
        write_report(html, [each.page for each in digested if each.page is not None])


class _Desk:
    """Takes the outcomes as they come: keeps the digests, says the messages."""

    def __init__(self, messages: Console, settings: Settings, *, verbose: bool) -> None:
        self.messages, self.until, self.law, self.verbose = messages, settings.until, settings.law, verbose
        self.digested: list[Digested] = []
        self.readable: set[str] = set()
        self._tags: Counter[str] = Counter()
        self._left_out = 0

    def take(self, path: str, outcome: Outcome[Digested]) -> None:
        for error in outcome.errors:
            self.messages.print(error)
        self._left_out += len(outcome.errors)
        for each in outcome.digests:
            self.readable.add(path)
            self.digested.append(each)
            if each.summary.horizon is not None and each.summary.step > each.summary.horizon:
                self.messages.print(
                    f"{each.summary.name}: the log goes on to step {each.summary.step:,}, past the horizon of "
                    f"{each.summary.horizon:,}. Pass the planned optimizer steps as --horizon."
                )
            if self.until is not None and each.summary.step < self.until:
                self.messages.print(
                    f"{each.summary.name}: the log ends at step {each.summary.step:,}, before --until: it is all taken"
                )
            for note in self._told(each.record):
                self.messages.print(f"{each.summary.name}: {note}")
            self._tags[_chosen(each.record)] += 1

    def _told(self, entry: Mapping[str, object]) -> list[str]:
        """What is gone, and what asks for an option, is always told; the rest where it is asked for."""
        notes, lost = ([str(n) for n in found] if isinstance(found := entry.get(key), list) else [] for key in _NOTES)
        return [note for note in notes if self.verbose or note in lost or "Pass --" in note]

    def say_tags(self) -> None:
        """Which tags were taken, once for all the runs that have the same."""
        for words, count in self._tags.items():
            if words and not self.verbose:
                self.messages.print(f"{plural(count, 'run')}: {words}")

    def sum_up(self) -> None:
        """What would make forecasts better; and how many runs there are of each verdict, where they are many."""
        summaries = [each.summary for each in self.digested]
        copied = copies([each.known_by for each in self.digested]).items()
        for line in said((summaries[k].name, summaries[of].name) for k, of in copied):
            self.messages.print(line)
        if young := sum(each.reason == "not_enough_data" and each.horizon is not None for each in summaries):
            self.messages.print(
                f"{plural(young, 'run')} too young for a forecast: look again later (`curvecast watch` does). "
                "Where fewer steps are planned, pass these as --horizon."
            )
        for advice in advice_on(summaries, self.law):
            self.messages.print(advice)
        if len(summaries) > _MANY:
            counts = Counter(summary.words for summary in summaries).most_common()
            self.messages.print(f"{plural(len(summaries), 'run')}: {', '.join(f'{n} {words}' for words, n in counts)}")
            if self._left_out:
                self.messages.print(f"{plural(self._left_out, 'log')} left out, for the reasons above")


def _chosen(entry: Mapping[str, object]) -> str:
    chosen = entry.get("chosen")
    losses = [line for line in chosen if "_loss: " in line] if isinstance(chosen, list) else []
    return "; ".join(losses)


def _work(
    found: Sequence[tuple[str, Source]],
    settings: Settings,
    desk: _Desk,
    results: Results,
    workers: _Workers,
    *,
    page: bool,
) -> set[str]:
    """Analyse what is found; gives the paths of which something was done by an earlier run already."""
    from curvecast import fleet

    todo = [(path, source) for path, source in found if fleet.key(source) not in results.done]
    if skipped := len(found) - len(todo):
        desk.messages.print(f"{skipped} of {len(found)} logs are in {results.output} already")
    with progress_bar(desk.messages) as progress, workers.cluster():
        task = progress.add_task("watching", total=len(todo))
        sources, work = [source for _, source in todo], partial(digest, page=page, alone=len(found) == 1)
        outcomes = fleet.each(sources, settings, work, jobs=workers.at_a_time(len(todo)))
        for index, ((path, _), outcome) in enumerate(zip(todo, outcomes, strict=True)):
            progress.update(task, completed=index + 1, description=outcome.source.name)
            results.keep(outcome)
            desk.take(path, outcome)
    return {path for path, source in found if fleet.key(source) in results.done}


class _Workers(NamedTuple):
    """Who does the work: processes of this machine, or a cluster, as the options of the same names have it."""

    jobs: int
    backend: str | None
    address: str | None

    def check(self) -> None:
        """Refuse options that contradict one another."""
        if self.jobs == 0:
            raise click.BadParameter("got 0. Pass at least 1, or -1 for one per core.", param_hint="--jobs")
        if self.address is not None and self.backend is None:
            raise click.BadParameter("an address is of no use alone. Pass --backend too.", param_hint="--address")

    def at_a_time(self, todo: int) -> int:
        """How many logs are worked on at a time.

        Where nobody said, as many as a cluster has workers. On this machine a thousand processes would only halt it.
        """
        if self.backend:
            return -1 if self.jobs == 1 else self.jobs
        return min(self.jobs, max(todo, 1), os.cpu_count() or 1)

    def cluster(self) -> Any:
        """The cluster, for as long as it is needed; nothing where the work is done here."""
        from curvecast.fleet import cluster

        try:
            return cluster(self.backend, self.address)
        except ImportError as error:
            raise click.BadParameter(str(error), param_hint="--backend") from error
        except (OSError, ValueError) as error:
            told = f"{error}. Pass the address of a scheduler that runs as --address."
            raise click.BadParameter(told, param_hint="--backend") from error


def _exit_code(digested: Sequence[Digested], failing: frozenset[str], *, all_readable: bool) -> int:
    reasons = {each.summary.reason for each in digested}
    if not all_readable:
        return UNREADABLE
    if reasons & failing:
        return FAILED_ON
    return NOT_ENOUGH if reasons == {"not_enough_data"} else OK
