"""From TensorBoard's series to a ``Run``: by the same readers, and so the same run, as from the files on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curvecast.readers import Lengths, Run, trainer_args
from curvecast.readers.base import FloatArray, Log, Series
from curvecast.readers.reading import to_run
from curvecast.readers.sidecar import parse_plan
from curvecast.readers.tags import Choices, choose_tags, contested, split_words
from curvecast.readers.tfevents import twins
from curvecast.readers.units import COUNTS
from curvecast_tensorboard.provider import Index, Points

_ROOT = "."  # what TensorBoard calls the run that lies in the log folder itself
_NOTHING = Series.of([])
_TOLD_TWICE = "iterations"  # Keras writes its validation a second time, over iterations
_EPOCH = "epoch"


@dataclass(frozen=True, slots=True)
class Member:
    """One of TensorBoard's runs, of the one or two that are one training run.

    Args:
        run: its name there.
        prefix: what its tags have in front.
    """

    run: str
    prefix: str = ""


def grouped(runs: Iterable[str]) -> dict[str, tuple[Member, ...]]:
    """Training runs by name: Keras' ``train`` and ``validation`` folders, and their like, are one.

    Example:
        >>> [(name, len(members)) for name, members in grouped(["a/train", "a/validation", "b"]).items()]
        [('a', 2), ('b', 1)]
    """
    known = set(runs)
    found: dict[str, tuple[Member, ...]] = {}
    merged: set[str] = set()
    for folder, names in sorted(_folders(known).items()):
        for stem, twin_names in twins(sorted(names), alone=folder not in known):
            members = tuple(Member(_joined(folder, name), f"{name}/") for name in twin_names)
            are_runs = known.issuperset(member.run for member in members)
            if are_runs and folder not in merged:  # what was merged is one run, and has none inside
                found[_joined(folder, stem) if stem else folder] = members
                merged.update(member.run for member in members)
    alone = {run: (Member(run),) for run in known - merged}
    for name in found.keys() & alone.keys():  # a run of its own has the name already
        members = found.pop(name)
        found[f"{name} ({' and '.join(member.prefix[:-1] for member in members)})"] = members
    return dict(sorted((found | alone).items()))


def _folders(runs: Iterable[str]) -> dict[str, set[str]]:
    """The names inside each folder on the way to a run."""
    inside: dict[str, set[str]] = {}
    for run in runs:
        parts = run.split("/") if run != _ROOT else []
        for depth, part in enumerate(parts):
            inside.setdefault("/".join(parts[:depth]) or _ROOT, set()).add(part)
    return inside


def _joined(folder: str, name: str) -> str:
    return name if folder == _ROOT else f"{folder}/{name}"


def tags_of(members: Sequence[Member], index: Index) -> tuple[str, ...]:
    """The tags of a run, each with its member's prefix, in order."""
    return tuple(member.prefix + tag for member in members for tag in index.get(member.run, ()))


@lru_cache(maxsize=256)
def rivals(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Tags that must be counted before the loss is chosen among them."""
    return contested(tags)


@lru_cache(maxsize=256)
def chosen(
    tags: tuple[str, ...], counts: tuple[tuple[str, int], ...], train_tag: str | None, val_tag: str | None
) -> Choices:
    """Which tags are the losses and their like; of a tag that is not counted the number of its rows does not matter.

    Raises:
        UnknownTag: if one that was asked for is not there.
    """
    return choose_tags(dict.fromkeys(tags, 1) | dict(counts), train_tag=train_tag, val_tag=val_tag)


def needed(tags: Sequence[str], choices: Choices) -> tuple[str, ...]:
    """The tags that a run is made of: those chosen, and what tells how their steps count."""
    roles = ("train", "val", "lr", "tokens", "flops", "seconds", "critical_batch")
    found = [tag for role in roles if (tag := getattr(choices, role).tag) is not None]
    by_epoch = any(tag.rpartition("/")[2].startswith("epoch_") for tag in found)
    train = choices.train.tag
    if _EPOCH in tags and choices.val.tag is not None and train is not None and not train.endswith("_step"):
        found.append(_EPOCH)
    if by_epoch:
        found += [tag for tag in tags if _TOLD_TWICE in split_words(tag)]
    if set(COUNTS) <= set(tags):
        found += COUNTS
    if trainer_args.EPOCH in tags:
        found.append(trainer_args.EPOCH)
    return tuple(dict.fromkeys(found))


def made(
    name: str,
    tags: Sequence[str],
    points: Mapping[str, Points],
    plan: str | None,
    *,
    train_tag: str | None,
    val_tag: str | None,
    lengths: Lengths,
) -> Run:
    """The run of some tags' points.

    Args:
        name: of the run.
        tags: all that it has.
        points: those of the tags that are needed.
        plan: what the callback noted, as JSON, or the arguments of Hugging Face's Trainer.
        train_tag: as it was asked for.
        val_tag: likewise.
        lengths: how long an epoch or a batch is.

    Raises:
        UnreadableRun: if no tag looks like a loss; ``AmbiguousTag`` if several do and nothing tells which.
    """
    log = Log(None, "tfevents", {tag: each.rows for tag, each in points.items()})
    if _EPOCH in tags:
        log.series.setdefault(_EPOCH, _NOTHING)  # Lightning's mark
    if not points:
        log.series |= dict.fromkeys(tags[:50], _NOTHING)  # for the message
    if plan is not None:
        epochs = log.series.get(trainer_args.EPOCH)
        of_trainer = trainer_args.planned(plan, epochs, log.notes) if '"schema"' not in plan else None
        log.meta |= parse_plan(plan, log.notes) if of_trainer is None else of_trainer
    return to_run(log, name, train_tag=train_tag, val_tag=val_tag, lengths=lengths)


def clock(run: Run, points: Mapping[str, Points]) -> tuple[FloatArray, FloatArray] | None:
    """``(n,)`` steps and the seconds at each since the run began; ``None`` where its losses tell no time.

    Args:
        run: as it was made of the points.
        points: of its tags.
    """
    for role, of in (("train_tag", run.train_loss), ("val_tag", run.val_loss)):
        series = points.get(str(run.meta.get(role)))
        steps = run.steps[~np.isnan(of)].astype(np.float64)
        if series is None or len(steps) < 2:
            continue
        raw, first = np.unique(series.rows.steps[::-1], return_index=True)
        walls = series.walls[::-1][first]
        if len(raw) != len(steps):  # rows were left out: the ends still stand for each other
            scale = (steps[-1] - steps[0]) / max(float(raw[-1] - raw[0]), 1.0)
            steps = steps[0] + (raw - raw[0]) * scale
        if not np.all(np.isfinite(walls)) or walls[-1] <= walls[0]:
            continue
        walls = np.maximum.accumulate(walls)
        pace = (walls[-1] - walls[0]) / (steps[-1] - steps[0])
        return steps, walls - walls[0] + pace * steps[0]
    return None
