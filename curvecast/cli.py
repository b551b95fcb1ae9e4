"""The command line: read, watch, print. Data goes to stdout, messages to stderr.

Everything but click is imported inside the command, so that ``curvecast --help`` answers at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curvecast import __version__

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from curvecast.decisions.base import Verdict
    from curvecast.fit.prior import Prior
    from curvecast.readers import Run, Source
    from curvecast.watcher import Watcher

    Pair = tuple[Run, Watcher]

OK, FAILED_ON, UNREADABLE, NOT_ENOUGH = 0, 1, 2, 3
PRIOR = click.Path(dir_okay=False, path_type=Path)
TRAIN_TAG = click.option("--train-tag", metavar="TAG", help="Tag of the training loss, if it is not found by itself.")
VAL_TAG = click.option("--val-tag", metavar="TAG", help="Tag of the validation loss, if it is not found by itself.")
_UNITS = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def count(text: str) -> int:
    """A whole number of at least 1, also written ``20_000``, ``1.24e8`` or ``124M``.

    Example:
        >>> count("124M")
        124000000
    """
    unit = _UNITS.get(text[-1:].lower(), 1)
    try:
        number = float(text[:-1] if unit > 1 else text) * unit
        whole = int(number)
    except (ValueError, OverflowError):
        number = whole = 0
    if whole < 1 or whole != number:
        raise click.BadParameter(f"must be a whole number of at least 1: got {text!r}. Pass e.g. 20000 or 124M.")
    return whole


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="curvecast")
def main() -> None:
    """Forecast where training runs end, and say when to stop them."""


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--horizon", type=count, help="Planned optimizer steps.")
@click.option("--num-params", type=count, help="Non-embedding parameters, for compute verdicts.")
@click.option("--batch-tokens", type=count, help="Tokens an optimizer step.")
@click.option("--prior", type=PRIOR, metavar="FILE", help="What past runs have taught: see `curvecast learn`.")
@TRAIN_TAG
@VAL_TAG
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--fail-on", metavar="REASONS", help="Exit with 1 on these verdicts, e.g. diverged,overfitting.")
@click.option("-v", "--verbose", is_flag=True, help="Also say what was converted, dropped and guessed.")
@click.pass_context
def analyze(
    ctx: click.Context,
    paths: tuple[str, ...],
    horizon: int | None,
    num_params: int | None,
    batch_tokens: int | None,
    prior: Path | None,
    train_tag: str | None,
    val_tag: str | None,
    form: str,
    fail_on: str | None,
    verbose: bool,
) -> None:
    """Forecast and judge the runs logged at PATH: event files, metrics.csv, or folders of them.

    What is not given is read from curvecast.json beside the log, where the live callback left one.

    Exit codes: 0 analysed; 1 a verdict of --fail-on stands; 2 wrong usage, or a PATH without a readable run;
    3 no run has enough data yet.
    """
    from rich.console import Console

    from curvecast.readers import UnknownTag, read_source
    from curvecast.replay import watch

    failing, belief = _reasons(fail_on), _load_prior(prior)
    messages = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    jobs = _find(paths, messages)
    pairs: list[Pair] = []
    readable: set[str] = set()
    with _progress(messages) as progress:
        task = progress.add_task("watching", total=len(jobs))
        for index, (path, source) in enumerate(jobs):
            progress.update(task, completed=index, description=source.name)
            try:
                (run,) = read_source(source, train_tag=train_tag, val_tag=val_tag)
                watcher = watch(
                    run,
                    horizon=horizon,
                    num_params=num_params,
                    batch_tokens=batch_tokens,
                    prior=belief,
                    on_verdict=partial(_advance, progress, task, index, run),
                )
            except (ValueError, UnknownTag) as error:
                messages.print(f"{source.name}: {error}")
                continue
            readable.add(path)
            pairs.append((run, watcher))
            _say_notes(run, messages, verbose=verbose)
    _print(pairs, form)
    ctx.exit(_exit_code(pairs, failing, all_readable=readable == set(paths)))


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", type=PRIOR, required=True, metavar="FILE", help="Where to write the prior (JSON).")
@click.option("--start", type=PRIOR, metavar="FILE", help="The prior to start from, if not the shipped one.")
@TRAIN_TAG
@VAL_TAG
def learn(paths: tuple[str, ...], output: Path, start: Path | None, train_tag: str | None, val_tag: str | None) -> None:
    """Learn from finished runs how the next one will go: event files, metrics.csv, or folders of them.

    The learning rate must be in the log, or the plan in the curvecast.json that the live callback leaves beside it.
    """
    from rich.console import Console

    from curvecast.learn import learn_prior
    from curvecast.readers import UnknownTag, read_source

    messages = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    belief = _load_prior(start, "--start")
    if not output.parent.is_dir():
        raise click.BadParameter(f"there is no folder {output.parent}. Make it first.", param_hint="--output")
    runs: list[Run] = []
    for _, source in _find(paths, messages):
        try:
            runs += read_source(source, train_tag=train_tag, val_tag=val_tag)
        except (ValueError, UnknownTag) as error:
            messages.print(f"{source.name}: {error}")
    with _progress(messages) as progress:
        task = progress.add_task(f"learning from {len(runs)} runs", total=1.0)
        try:
            learnt = learn_prior(runs, start=belief, progress=lambda share: progress.update(task, completed=share))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    learnt.save(output)
    messages.print(
        f"{learnt.source}: {output}\nUse it: curvecast analyze --prior {output} PATH, "
        f"or prior=curvecast.Prior.load({str(output)!r}) in Watcher and CurveCast."
    )


def _load_prior(path: Path | None, option: str = "--prior") -> Prior | None:
    """The prior of an option; one that cannot be read is wrong usage."""
    if path is None:
        return None
    from curvecast.fit.prior import Prior

    try:
        return Prior.load(path)
    except (OSError, ValueError, TypeError) as error:
        raise click.BadParameter(f"{path}: {error} Write one with `curvecast learn`.", param_hint=option) from error


def _reasons(fail_on: str | None) -> frozenset[str]:
    """The reasons of ``--fail-on``; unknown ones are wrong usage."""
    if fail_on is None:
        return frozenset()
    from curvecast.decisions.base import Reason

    asked = frozenset(reason.strip() for reason in fail_on.split(","))
    if unknown := sorted(asked - set(Reason)):
        raise click.BadParameter(
            f"got {', '.join(map(repr, unknown))}. Pass some of {','.join(Reason)}.", param_hint="--fail-on"
        )
    return asked


def _find(paths: Sequence[str], messages: Console) -> list[tuple[str, Source]]:
    """The logs at each path; a name that stands for two runs gives way to their paths."""
    from curvecast.readers import find

    jobs: list[tuple[str, Source]] = []
    for path in dict.fromkeys(paths):
        try:
            jobs += [(path, source) for source in find(path)]
        except OSError as error:
            messages.print(str(error))
    names = Counter(source.name for _, source in jobs)
    return [(p, replace(s, name=str(s.path)) if names[s.name] > 1 else s) for p, s in jobs]


def _progress(messages: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)


def _advance(progress: Progress, task: TaskID, done: int, run: Run, verdict: Verdict) -> None:
    """A run counts by the share of its steps that has been watched."""
    progress.update(task, completed=done + verdict.step / int(run.steps[-1]))


def _say_notes(run: Run, messages: Console, *, verbose: bool) -> None:
    notes = run.meta.get("notes" if verbose else "lost")
    for note in notes if isinstance(notes, list) else []:
        messages.print(f"{run.name}: {note}")


def _print(pairs: Sequence[Pair], form: str) -> None:
    if form == "json":
        from curvecast.sinks.records import to_json

        click.echo(to_json(pairs))
    elif pairs:
        from rich.console import Console

        from curvecast.sinks.table import render

        page = Console(highlight=False)
        page.print(render(pairs, width=page.width))


def _exit_code(pairs: Sequence[Pair], failing: frozenset[str], *, all_readable: bool) -> int:
    reasons = {str(watcher.verdict.reason) for _, watcher in pairs}
    if not all_readable:
        return UNREADABLE
    if reasons & failing:
        return FAILED_ON
    return NOT_ENOUGH if reasons == {"not_enough_data"} else OK
