"""``read``: any log, or a folder of logs, to runs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curvecast.readers.axis import counted_by
from curvecast.readers.base import AmbiguousTag, Log, Run, UnknownTag, UnreadableRun, shown
from curvecast.readers.doubts import drop_placeholders, note_doubts
from curvecast.readers.epochs import PLANNED, planned_steps, unroll
from curvecast.readers.find import Source, find
from curvecast.readers.formats import Part, formats
from curvecast.readers.merge import align, drop_orphans, is_val, last_at_each_step
from curvecast.readers.parts import add_totals
from curvecast.readers.several import runs_in
from curvecast.readers.sidecar import read_sidecar
from curvecast.readers.steps import completed_steps
from curvecast.readers.tags import ASKED, Choices, choose_tags, flops_unit
from curvecast.readers.units import Lengths, to_steps
from curvecast.schedule.checks import MOST_STEPS

if TYPE_CHECKING:
    from curvecast.readers.memory import Columns

_REWARD = "rollout/ep_rew_mean"  # Stable-Baselines3's


def read(
    path: str | os.PathLike[str] | Columns,
    *,
    train_tag: str | None = None,
    val_tag: str | None = None,
    step_column: str | None = None,
    lengths: Lengths | None = None,
) -> list[Run]:
    r"""Read the runs that were logged at a path.

    Args:
        path: a log of any known format, a folder, which is searched for them, or the URL of either
            (``s3://...``; what fsspec can open); or a table in memory, as ``watch`` takes it.
        train_tag: the training loss's tag; ``None`` to find it.
        val_tag: the validation loss's tag; ``None`` to find it.
        step_column: the column of tables, and of records, that counts steps, or "row" to count their rows; ``None`` to
            find it.
        lengths: how long an epoch or a batch is, for logs whose x-axis counts epochs, samples or tokens.

    Returns:
        The runs, at completed optimizer steps; what was dropped, converted or guessed stands in
        ``meta["notes"]``. A run that cannot be read while others can gives a warning.

    Raises:
        FileNotFoundError: if there is no log at ``path``.
        TypeError: if it is neither a path nor a table.
        UnreadableRun: if none of the logs can be read.
        UnknownTag: if none of them has the tag that was asked for.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "d12" / "metrics.csv"
        ...     table.parent.mkdir()
        ...     written = table.write_text("step,train_loss,val_loss\n1,4.5,\n2,4.25,4.75\n")
        ...     read(folder)
        [Run('d12', last_step=2, train=2 points, val=1 points)]
    """
    from curvecast.readers.memory import is_table, run_of  # it makes runs by what stands here

    if is_table(path):
        return [run_of(path, train_tag=train_tag, val_tag=val_tag, step_column=step_column, lengths=lengths)]
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"`path` must be a path or a table: got a {type(path).__name__}. Pass a log file, a folder of runs, or "
            "columns by name, as {'step': [...], 'loss': [...]}."
        )
    runs: list[Run] = []
    errors: list[tuple[str, UnreadableRun | UnknownTag]] = []
    for source in find(path, step_column=step_column):
        try:
            runs += read_source(source, train_tag=train_tag, val_tag=val_tag, step_column=step_column, lengths=lengths)
        except (UnreadableRun, UnknownTag) as error:
            errors.append((source.name, error))
    if not runs:
        kind = UnknownTag if any(isinstance(reason, UnknownTag) for _, reason in errors) else UnreadableRun
        raise kind("\n".join(f"{name}: {reason}" for name, reason in errors))
    for name, reason in errors:
        warnings.warn(f"{name} is left out: {reason}", stacklevel=2)
    return runs


def read_source(
    source: Source,
    *,
    train_tag: str | None = None,
    val_tag: str | None = None,
    step_column: str | None = None,
    lengths: Lengths | None = None,
    read_events: Callable[[Sequence[Path]], Log] | None = None,
) -> list[Run]:
    """Read the runs of one source: nearly always one, several where one file holds many.

    Where a folder holds a run in several formats, the one with the most losses is taken, or the first.
    ``read_events`` reads event files in another way than anew.

    Raises:
        UnreadableRun: if there is no loss in its files.
        UnknownTag: if a tag that was asked for is not there.
    """
    found: list[list[Run]] = []
    errors: list[UnreadableRun | UnknownTag] = []
    for part in source.parts:
        runs: list[Run] = []
        try:
            for log_name, log in _logs(part, step_column, read_events).items():
                name = shown(f"{source.name}/{log_name}" if log_name else source.name)
                for called, one in _several(name, log, train_tag, val_tag):
                    try:
                        runs.append(to_run(one, called, train_tag=train_tag, val_tag=val_tag, lengths=lengths))
                    except (UnreadableRun, UnknownTag) as error:
                        errors.append(error)
        except UnreadableRun as error:
            errors.append(error)
        except OSError as error:  # it was there when it was found
            errors.append(UnreadableRun(f"cannot be read: {error}."))
        if runs:
            found.append(runs)
    if not found:
        raise errors[0]
    best = max(found, key=lambda runs: sum(run.points("train") + run.points("val") for run in runs))
    if len(source.parts) > 1:
        why = f"another could not be read: {errors[0]}" if errors else "they tell of the same run"
        _add_note(best[0], f"the folder holds the run in several formats; read the {best[0].meta['format']} ({why})")
    elif errors and len(best) + len(errors) > 1:
        _add_note(best[0], f"{len(errors)} runs of this file are left out: {errors[0]}")
    return best


def _logs(
    part: Part, step_column: str | None, read_events: Callable[[Sequence[Path]], Log] | None
) -> Mapping[str, Log]:
    """What the files of one format hold, by the name within the source; nearly always one log, without a name."""
    if read_events is not None and part.format == "tfevents":
        return {"": read_events(part.files)}
    with counted_by(step_column):
        return formats()[part.format].read(part.files)


def _several(name: str, log: Log, train_tag: str | None, val_tag: str | None) -> list[tuple[str, Log]]:
    """The runs of a log, by name; it alone where its tags are in doubt, which is said where its run is made."""
    with suppress(UnknownTag):
        choices = choose_tags(
            {tag: len(rows) for tag, rows in log.series.items()}, train_tag=train_tag, val_tag=val_tag
        )
        if leader := choices.train.tag or choices.val.tag:
            runs = runs_in(log, leader)
            return [(f"{name}#{number}" if len(runs) > 1 else name, run) for number, run in enumerate(runs, 1)]
    return [(name, log)]


def _add_note(run: Run, line: str) -> None:
    notes = run.meta["notes"]
    assert isinstance(notes, list)
    notes.append(line)


def to_run(
    log: Log,
    name: str,
    *,
    train_tag: str | None = None,
    val_tag: str | None = None,
    lengths: Lengths | None = None,
) -> Run:
    """Choose the tags of a log, convert and merge its rows.

    Raises:
        AmbiguousTag: if several tags may be the training loss, and nothing tells which.
        UnreadableRun: if no tag looks like a loss.
        UnknownTag: if a tag that was asked for is not there.
    """
    parts = add_totals(log)
    choices = choose_tags({tag: len(rows) for tag, rows in log.series.items()}, train_tag=train_tag, val_tag=val_tag)
    if drop_placeholders(log, choices):
        points = {tag: len(rows) for tag, rows in log.series.items()}
        choices = choose_tags(points, train_tag=train_tag, val_tag=val_tag)
    if parts:
        sets = (tag for tag in choices.val_sets if tag == choices.val.tag or tag not in parts)
        choices = replace(choices, val_sets=tuple(sets))
    _check(choices, log)
    leader = choices.train.tag or choices.val.tag or ""
    if "horizon" not in log.meta and (planned := planned_steps(log, leader, lengths or Lengths())) is not None:
        log.meta["horizon"] = planned
    unroll(log, leader)
    meta = _meta(log, choices)
    tags = dict(_roles(choices))
    raw = drop_orphans({role: log.series[tag] for role, tag in tags.items()}, log.restarts, log.notes)
    raw = to_steps(log, {role: (tags[role], series) for role, series in raw.items()}, lengths or _lengths(meta))
    meta |= {name: log.meta[name] for name in ("unit", "epoch_steps") if name in log.meta}  # found on the way
    rows = completed_steps(log, {role: (tags[role], series) for role, series in raw.items()})
    rows = {role: last_at_each_step(role, series, log.notes) for role, series in rows.items()}
    note_doubts(log, rows, choices.train)
    steps, curves = align(rows)
    val_losses = {tags[role]: curves[role] for role in rows if is_val(role)}
    if "flops" in rows:
        curves["flops"] *= flops_unit(tags["flops"])
    return Run(
        name,
        steps,
        curves["train"],
        curves["val"],
        curves["lr"],
        meta,
        val_losses,
        curves.get("tokens"),
        curves.get("flops"),
        curves.get("seconds"),
        curves.get("critical_batch"),
    )


def _check(choices: Choices, log: Log) -> None:
    if _REWARD in log.series and choices.train.tag is not None and choices.train.reason != ASKED:
        raise UnreadableRun(
            f"{choices.train.tag!r} is a loss of reinforcement learning ({_REWARD!r} is there), which does not fall as "
            "the policy learns. Pass it as --train-tag (train_tag=), if it is to be forecast all the same."
        )
    there = ", ".join(map(repr, sorted(log.series)[:20]))
    if choices.tied:
        tied = ", ".join(map(repr, choices.tied))
        dead = not any(np.isfinite(log.series[tag].values).any() for tag in choices.tied)
        raise AmbiguousTag(
            f"several tags may be the training loss: {tied}. Pass --train-tag (train_tag=) with one of them, "
            f"and --val-tag (val_tag=) where it is not found.{' None of their numbers is finite.' * dead} "
            f"Tags there: {there}."
        )
    if choices.train.tag is None and choices.val.tag is None:
        raise UnreadableRun(
            f"no tag looks like a loss. Tags there: {there}. Pass one as --train-tag "
            "(train_tag=) or --val-tag (val_tag=), if it is one."
        )


def _roles(choices: Choices) -> Iterator[tuple[str, str]]:
    for role in ("train", "val", "lr", "tokens", "flops", "seconds", "critical_batch"):
        tag = getattr(choices, role).tag
        if tag is not None:
            yield role, tag
    for tag in choices.val_sets[1:]:
        yield f"val:{tag}", tag


def _lengths(meta: Mapping[str, object]) -> Lengths:
    tokens = meta.get("batch_tokens")
    return Lengths(batch_tokens=tokens if isinstance(tokens, int | float) else None)


def _meta(log: Log, choices: Choices) -> dict[str, object]:
    meta = log.meta | ({} if log.folder is None else read_sidecar(log.folder, log.notes))
    meta.pop(PLANNED, None)
    planned = meta.get("horizon", 1)
    if not (isinstance(planned, int | float) and 1 <= planned < MOST_STEPS):
        log.notes.add(f"the log plans {planned!r:.40} steps, which no run takes; the horizon is taken for unknown")
        del meta["horizon"]  # such as sys.maxsize, where epochs or the clock end a run
    meta |= {"source": shown(str(log.path or "")), "format": log.format}
    meta |= {f"{role}_tag": tag for role, tag in _roles(choices) if ":" not in role}
    chosen = []
    for role, choice in (("train_loss", choices.train), ("val_loss", choices.val), ("lr", choices.lr)):
        chosen.append(f"{role}: {choice.tag!r} ({choice.reason})" if choice.tag else f"{role}: none ({choice.reason})")
    if len(choices.val_sets) > 1:
        chosen.append(f"further validation sets: {', '.join(map(repr, choices.val_sets[1:]))}")
    log.notes.lines += chosen
    return meta | {"chosen": chosen, "notes": log.notes.lines, "lost": log.notes.lost}
