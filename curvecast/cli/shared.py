"""What the commands share: options, exit codes, messages."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from curvecast.notation import listed, plural

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from curvecast.family import Family
    from curvecast.fit.prior import Prior
    from curvecast.laws.base import FamilyLaw
    from curvecast.readers import Run, Source
    from curvecast.schedule import Schedule
    from curvecast.sinks.summary import Summary

T = TypeVar("T")
OK, FAILED_ON, UNREADABLE, NOT_ENOUGH = 0, 1, 2, 3
_NAMED = 4  # of many files, so many and how many others


class Unusable(click.ClickException):
    """What was given cannot be used; the exit code says so, for 1 is that of ``--fail-on`` alone."""

    exit_code = UNREADABLE


def in_options(told: str) -> str:
    """What the library says of its arguments, said of the options of the command that is running.

    Example:
        >>> import click
        >>> command = click.Command("plan", params=[click.Option(["--params", "num_params"])])
        >>> with click.Context(command):
        ...     in_options("`num_params` must be positive: got -1. A run's `size` is none of them.")
        "--params must be positive: got -1. A run's `size` is none of them."
    """
    options = {option.name: option.opts[0] for option in click.get_current_context().command.params}
    return re.sub("`([a-z_]+)`", lambda named: options.get(named[1], named[0]), told)


def is_there(path: Path, kind: Callable[[Path], bool] = Path.is_file) -> bool:
    """Whether a path leads to such a thing; it does not where its name is too long, or nobody may look there.

    Example:
        >>> is_there(Path("."), Path.is_dir), is_there(Path(300 * "a"))
        (True, False)
    """
    try:
        return kind(path)
    except OSError:
        return False


JSON_FILE = click.Path(dir_okay=False, path_type=Path)
TRAIN_TAG = click.option(
    "--train-tag", metavar="TAG", help="Name of the training loss in the log, if the guess is wrong."
)
VAL_TAG = click.option(
    "--val-tag", metavar="TAG", help="Name of the validation loss in the log, if the guess is wrong."
)

STEP_COLUMN = click.option(
    "--step-column",
    metavar="NAME",
    help="Column that counts the steps of a table or of records, if it is not found by itself; `row` counts the rows.",
)


def count(text: str) -> int:
    """A whole number of at least 1, also written ``20_000``, ``1.24e8`` or ``124M``.

    Example:
        >>> count("124M")
        124000000
    """
    from curvecast import options

    return _parsed(text, options.whole_number)


def quantity(text: str) -> float:
    """A positive number, also written ``5.76e23``, ``7B`` or ``1.4T``.

    Example:
        >>> quantity("1.4T")
        1400000000000.0
    """
    from curvecast import options

    return _parsed(text, options.positive_number)


def _parsed(text: str, parse: Callable[[str], T]) -> T:
    """What is wrong with a number is wrong usage."""
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def console_for_messages() -> Console:
    """The console that messages go to: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def advice_on(summaries: Iterable[Summary], law: FamilyLaw | None) -> Iterator[str]:
    """What to pass, where the end of runs is not forecast, or the forecast would be closer with it."""
    ahead = [each for each in summaries if each.forecast is not None]
    if endless := sum(each.horizon is None for each in ahead):
        yield (
            f"{plural(endless, 'run')} without a known horizon: forecasts there are of the loss now. "
            "Pass the planned optimizer steps as --horizon."
        )
    if untold := sum(each.is_under_way and not each.is_rate_known for each in ahead):
        yield (
            f"{plural(untold, 'run')} whose learning rates no log tells: intervals allow for a decay to come. "
            "Pass --schedule for a closer forecast."
        )
    lawless = sum(each.num_params is None or each.batch_tokens is None for each in ahead)
    if law is not None and lawless:
        yield (
            f"{plural(lawless, 'run')} to which --law is not applied, for their size or the tokens of their steps are "
            "not known. Pass --num-params and --batch-tokens."
        )
    elif unsized := sum(each.num_params is None and each.is_under_way for each in ahead):
        yield (
            f"{plural(unsized, 'run')} of unknown size: intervals allow for any network, also for fine-tunes. Where a "
            "language model of 10M parameters or more is trained from scratch, pass --num-params for a closer forecast."
        )


def schedule_of(spec: str | None, horizon: int | None) -> Schedule | None:
    """The schedule of ``--schedule``: a kind, and after a colon its numbers; what is wrong is wrong usage.

    Example:
        >>> schedule_of("wsd:decay=0.2", 1000).lr(1000)
        0.0
    """
    if spec is None:
        return None
    from curvecast import options

    try:
        return options.schedule_of(spec, horizon)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--schedule") from error


def load_prior(path: Path | None, option: str = "--prior") -> Prior | None:
    """The prior of an option; one that cannot be read is wrong usage."""
    if path is None:
        return None
    from curvecast.fit.prior import Prior

    return _loaded(path, Prior.load, option, "prior", "curvecast learn")


def load_law(path: Path | None) -> Family | None:
    """The family of ``--law``; one that cannot be read is wrong usage."""
    if path is None:
        return None
    from curvecast.family import Family

    return _loaded(path, Family.load, "--law", "law", "curvecast fit")


def _loaded(path: Path, load: Callable[[Path], T], option: str, what: str, command: str) -> T:
    advice = f"Write one with `{command}`."
    if is_there(path, Path.exists) and not is_there(path):  # a device may never end
        raise click.BadParameter(f"{path} is a device or a pipe, no file. {advice}", param_hint=option)
    try:
        return load(path)
    except OSError as error:
        raise click.BadParameter(f"cannot read {path}: {error.strerror}. {advice}", param_hint=option) from error
    except (ValueError, TypeError) as error:
        why = str(error).rstrip(".")
        advice = "" if "Write" in why else f" {advice}"  # said already
        raise click.BadParameter(f"{path} holds no {what}: {why}.{advice}", param_hint=option) from error


def check_folder(target: Path | None, option: str) -> None:
    """Before the work is done: the folder of the file that an option asks for must be there, and not the file's name.

    Parquet goes to a folder.
    """
    if target is not None and not is_there(target.parent, Path.is_dir):
        raise click.BadParameter(f"there is no folder {target.parent}. Make it first.", param_hint=option)
    if target is not None and target.suffix != ".parquet" and is_there(target, Path.is_dir):
        raise click.BadParameter(f"{target} is a folder. Pass the name of a file in it.", param_hint=option)


def check_spares(target: Path | None, option: str, logs: Iterable[Path]) -> None:
    """Before anything is written: what an option writes must not take the place of what is read."""
    if target is None or not is_there(target):
        return
    own = target.stat()
    for log in logs:
        with suppress(OSError):
            if os.path.samestat(own, log.stat()):
                raise click.BadParameter(f"{target} is read, and would be lost. Pass another file.", param_hint=option)


@contextmanager
def writing(target: Path, option: str) -> Iterator[None]:
    """While the file of an option is written: what the disk or its rights refuse is told, and no bug."""
    try:
        yield
    except OSError as error:
        told = f"cannot write {target}: {error.strerror or error}. Pass a file that may be written."
        raise click.BadParameter(told, param_hint=option) from error


def reasons_of(fail_on: str | None) -> frozenset[str]:
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


def find_logs(
    paths: Sequence[str],
    messages: Console,
    *,
    step_column: str | None,
    writes: Mapping[str, Path | None],
) -> list[tuple[str, Source]]:
    """The logs at each path or glob; a name that stands for two runs gives way to their paths.

    Args:
        paths: files, folders, globs or URLs.
        messages: where it is said that there is nothing at one of them.
        step_column: what counts the steps of tables and records.
        writes: options, with the file that each of them writes: none of the logs may be among these.
    """
    from curvecast.readers.find import find, passed_over, told_apart

    jobs: list[tuple[str, Source]] = []
    for path in dict.fromkeys(paths):
        is_glob = glob.has_magic(path) and "://" not in path and not is_there(Path(path), Path.exists)
        matches = sorted(glob.glob(path, recursive=True)) if is_glob else []  # noqa: PTH207 - of any root
        for found in matches or [path]:
            sources: list[Source] = []
            try:
                sources = find(found, step_column=step_column)
            except OSError as error:
                messages.print(str(error))
            jobs += [(path, source) for source in sources]
            empty, mute = passed_over(found, sources)
            for why, names in (("nothing is written in it yet", empty), ("no losses were found in it", mute)):
                if names:
                    messages.print(f"passed over, for {why}: {listed(names, _NAMED)}")
    files = [file for _, source in jobs for part in source.parts for file in part.files]
    for option, target in writes.items():
        check_spares(target, option, files)
    return list(zip((path for path, _ in jobs), told_apart(source for _, source in jobs), strict=True))


def read_logs(
    paths: Sequence[str],
    messages: Console,
    *,
    train_tag: str | None,
    val_tag: str | None,
    step_column: str | None,
    output: Path | None,
    batch_tokens: float | None = None,
) -> list[Run]:
    """The runs of the logs that `find_logs` finds; what cannot be read, and a copy, is said and left out.

    Args:
        paths: as in `find_logs`.
        messages: likewise, and of what cannot be read.
        train_tag: name of the training loss; ``None`` to find it.
        val_tag: name of the validation loss; likewise.
        step_column: as in `find_logs`.
        output: the file of ``--output``, which none of the logs may be.
        batch_tokens: tokens a step, for logs that count tokens; ``None`` where unknown.
    """
    from curvecast.cli.copies import each_once
    from curvecast.readers import Lengths, UnknownTag, read_source

    runs: list[Run] = []
    lengths = None if batch_tokens is None else Lengths(batch_tokens=batch_tokens)
    for _, source in find_logs(paths, messages, step_column=step_column, writes={"--output": output}):
        try:
            runs += read_source(source, train_tag=train_tag, val_tag=val_tag, step_column=step_column, lengths=lengths)
        except (OSError, ValueError, UnknownTag) as error:
            messages.print(f"{source.name}: {error}")
    kept, copied = each_once(runs)
    for line in copied:
        messages.print(f"{line} It counts once.")
    return kept


def progress_bar(messages: Console) -> Progress:
    """A bar on stderr while work goes on; none where stderr is no terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)
