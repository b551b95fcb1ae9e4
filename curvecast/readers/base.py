"""What every reader gives: a ``Log`` of raw rows, and the ``Run`` that becomes of it.

Errors: ``UnreadableRun`` (a ``ValueError``: there is no loss curve in these bytes), of which ``AmbiguousTag`` is
one (several tags may be the loss, and nothing tells which), and ``UnknownTag`` (a ``KeyError``: the tag that was
asked for is not there).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import Sample
from curvecast.schedule.checks import MOST_STEPS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def count_steps(numbers: FloatArray) -> NDArray[np.bool_]:
    """Which numbers may count steps: whole ones that a float tells apart.

    Example:
        >>> count_steps(np.array([1.0, 2.5, 1e300, np.nan])).tolist()
        [True, False, False, False]
    """
    whole: NDArray[np.bool_] = (np.abs(numbers) <= MOST_STEPS) & (numbers == np.floor(numbers))
    return whole


class UnreadableRun(ValueError):  # noqa: N818 - it names what was met, as NotEnoughSamples does
    """A log in which no loss curve can be found; the message says what was there."""


class AmbiguousTag(UnreadableRun):
    """Several tags may be the loss; the message lists them and asks for one."""


class UnknownTag(KeyError):  # noqa: N818 - likewise
    """A tag that was asked for and is not in the log; the message lists those that are."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The rows of one tag, as they were written.

    Args:
        steps: ``(n,)`` steps in the writer's own count, in the order of writing; they may repeat or go back.
        values: ``(n,)`` values, NaN and inf as logged.
        order: ``(n,)`` place of each row among all rows of the log, rising; rows written at once may share
            it.
    """

    steps: IntArray
    values: FloatArray
    order: IntArray

    @classmethod
    def of(cls, rows: Sequence[tuple[int, float, int]]) -> Series:
        """From ``(step, value, order)`` rows.

        Example:
            >>> Series.of([(1, 4.5, 0), (2, 4.25, 1)]).values.tolist()
            [4.5, 4.25]
        """
        steps, values, order = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(np.array(steps, np.int64), np.array(values, np.float64), np.array(order, np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Series]) -> Series:
        """The rows of several parts, one after another."""
        columns = zip(*((part.steps, part.values, part.order) for part in parts), strict=True)
        steps, values, order = (np.concatenate(column) for column in columns)
        return cls(steps, values, order)

    @classmethod
    def in_order(cls, parts: Sequence[Series]) -> Series:
        """The rows of several parts in the order of writing."""
        joined = cls.joined(parts)
        return joined.where(np.argsort(joined.order, kind="stable"))

    def __len__(self) -> int:
        return len(self.steps)

    def where(self, mask: NDArray[np.bool_] | IntArray) -> Series:
        """The rows that ``mask`` picks."""
        return Series(self.steps[mask], self.values[mask], self.order[mask])

    def at(self, steps: IntArray) -> Series:
        """The same rows at other steps."""
        return Series(steps, self.values, self.order)


@dataclass(slots=True)
class Notes:
    """What a reader has to say, one line each.

    Args:
        lines: everything that was dropped, converted or guessed.
        lost: those of the lines that tell of data that is gone.
    """

    lines: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def add(self, line: str, *, lost: bool = False) -> None:
        """Add a line."""
        self.lines.append(line)
        if lost:
            self.lost.append(line)


@dataclass(slots=True, eq=False)
class Log:
    """The raw rows of one log, before steps are converted and rows merged.

    Args:
        path: the file or folder that was read; ``None`` for rows that came from elsewhere than a disk.
        format: the name of the format that was read, "tfevents" or "csv" for example.
        series: the rows of every tag.
        restarts: ``(order, step)``: from here on the writer starts again at ``step``.
        notes: what went wrong while reading.
        meta: what the log tells of its run, with the keys of ``Run.meta``.
        units: what a tag's x-axis counts: "step" (where a tag is missing), "epoch", "sample", "token" or "episode".
        offsets: for tags whose writer is known, what added to its step gives completed optimizer steps.
        axis: the name of what counts the steps; empty where it has none.
    """

    path: Path | None
    format: str
    series: dict[str, Series]
    restarts: list[tuple[int, int]] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    meta: dict[str, object] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    axis: str = ""

    @property
    def folder(self) -> Path | None:
        """Where the log lies."""
        return self.path if self.path is None or self.path.is_dir() else self.path.parent


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One training run as it was logged: aligned arrays over strictly increasing steps.

    Args:
        name: the run's name, for people.
        steps: ``(n,)`` completed optimizer steps, from 1, strictly increasing [steps].
        train_loss: ``(n,)`` training loss; NaN where none was logged, +inf where a NaN or inf was logged.
        val_loss: ``(n,)`` validation loss, likewise.
        lr: ``(n,)`` learning rate that the step used; NaN where none was logged.
        meta: what else is known, every key optional: ``horizon``, ``num_params``, ``batch_tokens``,
            ``dataset_tokens``, ``epoch_steps`` (of one pass over the data), ``schedule`` (as ``Schedule.to_dict`` gives
            it), ``earlier`` (where the run turned off its plan to that schedule: as ``Turn.to_plan`` gives it),
            ``lr_held`` (as ``Watcher`` takes it), ``source``, ``format``, ``train_tag``, ``val_tag``, ``lr_tag``,
            ``tokens_tag``, ``flops_tag``, ``chosen`` (which tags were taken, and why), ``unit`` (what the steps count
            where they are no optimizer steps: "epoch", "sample", "token" or "episode"), ``notes`` (lines on what was
            dropped, converted or guessed) and ``lost`` (those of the notes that tell of data that is gone).
        val_losses: every validation set, by its tag, each as ``val_loss``; the first is ``val_loss`` itself.
        tokens: ``(n,)`` tokens seen so far; NaN where none were logged, ``None`` where they never were [tokens].
        flops: ``(n,)`` compute so far, likewise [FLOP].
        seconds: ``(n,)`` the live callback's clock, likewise [s].
        critical_batch: ``(n,)`` as the live callback measured it, likewise [tokens].

    Raises:
        ValueError: if the arrays differ in length or the steps do not increase from 1.

    Example:
        >>> nan = float("nan")
        >>> losses, val, lr = np.array([9.5, 9.25]), np.array([nan, 9.5]), np.array([nan, nan])
        >>> run = Run("d12", np.array([1, 2]), losses, val, lr)
        >>> [(sample.step, sample.train_loss, sample.val_loss) for sample in run.samples()]
        [(1, 9.5, None), (2, 9.25, None), (2, None, 9.5)]
    """

    name: str
    steps: IntArray
    train_loss: FloatArray
    val_loss: FloatArray
    lr: FloatArray
    meta: dict[str, object] = field(default_factory=dict)
    val_losses: dict[str, FloatArray] = field(default_factory=dict)
    tokens: FloatArray | None = None
    flops: FloatArray | None = None
    seconds: FloatArray | None = None
    critical_batch: FloatArray | None = None

    def __post_init__(self) -> None:
        lengths = [len(a) for a in (self.steps, self.train_loss, self.val_loss, self.lr)]
        if len(set(lengths)) > 1:
            raise ValueError(f"`steps`, `train_loss`, `val_loss` and `lr` must align: got lengths {lengths}.")
        if lengths[0] and (self.steps[0] < 1 or bool(np.any(np.diff(self.steps) <= 0))):
            raise ValueError(
                f"`steps` must increase strictly from 1: got {self.steps[:5].tolist()}... "
                "Sort them, and keep one row a step."
            )

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        train, val = self.points("train"), self.points("val")
        last = int(self.steps[-1]) if len(self) else 0
        return f"Run({self.name!r}, last_step={last}, train={train} points, val={val} points)"

    def points(self, of: str) -> int:
        """How many losses were logged: ``of`` "train" or "val"."""
        return int(np.count_nonzero(~np.isnan(self.train_loss if of == "train" else self.val_loss)))

    def until(self, step: int) -> Run:
        """The run as it stood after ``step`` steps.

        Raises:
            ValueError: if nothing was logged by then.
        """
        kept = slice(int(np.searchsorted(self.steps, step, side="right")))
        if kept.stop == 0:
            first = f"the first row is at step {self.steps[0]}" if len(self.steps) else "there are no rows"
            raise ValueError(f"nothing was logged up to step {step}: {first}.")
        return self._rows(kept)

    def after(self, step: int) -> Run:
        """What was logged from ``step`` on, that step included: its validation may have come since."""
        return self._rows(slice(int(np.searchsorted(self.steps, step, side="left")), None))

    def _rows(self, kept: slice) -> Run:
        return replace(
            self,
            steps=self.steps[kept],
            train_loss=self.train_loss[kept],
            val_loss=self.val_loss[kept],
            lr=self.lr[kept],
            val_losses={tag: values[kept] for tag, values in self.val_losses.items()},
            tokens=_picked(self.tokens, kept),
            flops=_picked(self.flops, kept),
            seconds=_picked(self.seconds, kept),
            critical_batch=_picked(self.critical_batch, kept),
        )

    def samples(self) -> Iterator[Sample]:
        """The run as a live host feeds it: at each step the training loss first, then the validation loss.

        What is told beside them goes with the first of the two.
        """
        nothing = np.full(len(self), np.nan)
        told = (nothing if column is None else column for column in (self.tokens, self.seconds, self.critical_batch))
        arrays: tuple[FloatArray | IntArray, ...] = (self.steps, self.train_loss, self.val_loss, self.lr, *told)
        for step, train, val, *beside in zip(*(column.tolist() for column in arrays), strict=True):
            lr, tokens, seconds, batch = map(_known, beside)
            if not (math.isnan(train) and lr is None):
                yield Sample(step, _known(train), lr=lr, tokens=tokens, seconds=seconds, critical_batch=batch)
                tokens = seconds = batch = None
            if not math.isnan(val):
                yield Sample(step, val_loss=val, tokens=tokens, seconds=seconds, critical_batch=batch)


def shown(text: str) -> str:
    r"""A name as it may be printed and written anywhere: without control characters, and no bytes that are no text.

    Example:
        >>> shown("run\x1b[31m"), shown("caf\udce9")
        ('run?[31m', 'caf?')
    """
    plain = text.encode("utf-8", "replace").decode()
    return plain if plain.isprintable() else "".join(each if each.isprintable() else "?" for each in plain)


def _picked(column: FloatArray | None, kept: slice) -> FloatArray | None:
    return None if column is None else column[kept]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
