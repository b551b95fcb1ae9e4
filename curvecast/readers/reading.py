"""``read``: any log, or a folder of logs, to runs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

from curvecast.readers.base import Log, Run, UnknownTag, UnreadableRun
from curvecast.readers.find import Source, find
from curvecast.readers.merge import align, drop_orphans, last_at_each_step
from curvecast.readers.sidecar import read_sidecar
from curvecast.readers.steps import completed_steps
from curvecast.readers.tabular import read_table
from curvecast.readers.tags import Choices, choose_tags
from curvecast.readers.tfevents import read_tfevents


def read(path: str | os.PathLike[str], *, train_tag: str | None = None, val_tag: str | None = None) -> list[Run]:
    """Read the runs that were logged at a path.

    Args:
        path: a log (a TensorBoard event file, Lightning's ``metrics.csv``, another CSV with a step column),
            or a folder, which is searched for them.
        train_tag: the training loss's tag; ``None`` to find it.
        val_tag: the validation loss's tag; ``None`` to find it.

    Returns:
        The runs, at completed optimizer steps; what was dropped, converted or guessed stands in
        ``meta["notes"]``. A run that cannot be read while others can gives a warning.

    Raises:
        FileNotFoundError: if there is no log at ``path``.
        UnreadableRun: if none of the logs can be read.
        UnknownTag: if none of them has the tag that was asked for.
    """
    runs: list[Run] = []
    errors: list[tuple[str, UnreadableRun | UnknownTag]] = []
    for source in find(path):
        try:
            runs.append(read_source(source, train_tag=train_tag, val_tag=val_tag))
        except (UnreadableRun, UnknownTag) as error:
            errors.append((source.name, error))
    if not runs:
        kind = UnknownTag if any(isinstance(reason, UnknownTag) for _, reason in errors) else UnreadableRun
        raise kind("\n".join(f"{name}: {reason}" for name, reason in errors))
    for name, reason in errors:
        warnings.warn(f"{name} is left out: {reason}", stacklevel=2)
    return runs


def read_source(source: Source, *, train_tag: str | None = None, val_tag: str | None = None) -> Run:
    """Read one run; of an event file and a table side by side, the one with more losses, or the event file.

    Raises:
        UnreadableRun: if there is no loss in its files.
        UnknownTag: if a tag that was asked for is not there.
    """
    readers: list[Callable[[], Log]] = []
    if source.events:
        readers.append(lambda: read_tfevents(source.events))
    if (table := source.table) is not None:
        readers.append(lambda: read_table(table))
    runs: list[Run] = []
    errors: list[UnreadableRun | UnknownTag] = []
    for reader in readers:
        try:
            runs.append(to_run(reader(), source.name, train_tag=train_tag, val_tag=val_tag))
        except (UnreadableRun, UnknownTag) as error:
            errors.append(error)
    if not runs:
        raise errors[0]
    best = max(runs, key=lambda run: run.points("train") + run.points("val"))
    if len(readers) > 1:
        why = f"the other could not be read: {errors[0]}" if errors else "they tell of the same run"
        notes = best.meta["notes"]
        assert isinstance(notes, list)
        notes.append(f"the folder holds an event file and a table; read the {best.meta['format']} ({why})")
    return best


def to_run(log: Log, name: str, *, train_tag: str | None = None, val_tag: str | None = None) -> Run:
    """Choose the tags of a log, convert and merge its rows.

    Raises:
        UnreadableRun: if no tag looks like a loss.
        UnknownTag: if a tag that was asked for is not there.
    """
    choices = choose_tags({tag: len(rows) for tag, rows in log.series.items()}, train_tag=train_tag, val_tag=val_tag)
    if choices.train.tag is None and choices.val.tag is None:
        there = ", ".join(map(repr, sorted(log.series)[:20]))
        raise UnreadableRun(
            f"no tag looks like a loss. Tags there: {there}. Pass one as train_tag or val_tag, if it is one."
        )
    tags = {role: tag for role, tag in _tags(choices).items() if tag is not None}
    raw = drop_orphans({role: log.series[tag] for role, tag in tags.items()}, log.restarts, log.notes)
    rows = completed_steps(log, {role: (tags[role], series) for role, series in raw.items()})
    rows = {role: last_at_each_step(role, series, log.notes) for role, series in rows.items()}
    steps, curves = align(rows)
    return Run(name, steps, curves["train"], curves["val"], curves["lr"], _meta(log, choices))


def _tags(choices: Choices) -> dict[str, str | None]:
    return {"train": choices.train.tag, "val": choices.val.tag, "lr": choices.lr.tag}


def _meta(log: Log, choices: Choices) -> dict[str, object]:
    folder = log.path if log.path.is_dir() else log.path.parent
    meta = read_sidecar(folder, log.notes)
    meta |= {"source": str(log.path), "format": log.format}
    meta |= {f"{role}_tag": tag for role, tag in _tags(choices).items() if tag is not None}
    for role, choice in (("train_loss", choices.train), ("val_loss", choices.val), ("lr", choices.lr)):
        log.notes.add(f"{role}: {choice.tag!r} ({choice.reason})" if choice.tag else f"{role}: none ({choice.reason})")
    return meta | {"notes": log.notes.lines, "lost": log.notes.lost}
