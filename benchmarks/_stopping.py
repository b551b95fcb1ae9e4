"""Runs and policies for ``stopping_regret``: when each would have stopped, and what that gave up and saved."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _curve import Curve, FloatArray, columns_of, curve_of, runs_in
from _curves import EVALUATION, decaying, load

from curvecast import Decision, Divergence, Finding, Forecast, NoImprovement, Overfitting, Schedule, View, Watcher
from curvecast.decisions.patience import waited
from curvecast.decisions.prechelt import generalization_loss, progress, successive_rises
from curvecast.decisions.validations import Recent

RISE = 0.02  # a run overfits if its validation loss ends so far above its lowest
_WINDOW = 5  # evaluations of taskset that are averaged: a single one is noisy
_CLEAR = 4.0  # standard errors of such a mean: what rises by more, rises clearly
_WORTH = 1e3  # far more than any gain: then a probability tells the gain
_NO_TRAIN = ("multipowerlaw", "gemstones")  # one loss only, which is watched as validation is


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A run with the loss that a stopping rule watches.

    Args:
        name, set: as in ``Curve``.
        curve: the run.
        steps, val, train: ``(n,)`` evaluations: step, the loss that is watched, the mean train loss since the last.
        overfits: the label.
    """

    name: str
    set: str
    curve: Curve
    steps: FloatArray
    val: FloatArray
    train: FloatArray
    overfits: bool

    @property
    def last(self) -> float:
        """Last step of the run."""
        return float(self.steps[-1])

    @property
    def best_step(self) -> float:
        """Step of the lowest loss."""
        return float(self.steps[self.val.argmin()])


def cases(name: str, folder: Path, sample: int) -> list[Case]:
    """The runs of a set, labelled.

    Shakespeare: the last validation loss stands more than 2 % above the lowest (the data set's own label). TaskSet:
    the mean of the last five does so above the lowest mean of five in a row, by more than four standard errors, and
    the train loss has fallen since. The other sets do not overfit.

    Args:
        name: of the set.
        folder: where the public curves lie.
        sample: runs of each of taskset's tasks that do not overfit; all that do are taken.
    """
    if name == "taskset":
        return list(_taskset(folder, sample))
    curves = _constant(folder) if name == "gemstones" else load(name, folder)
    found = [_case(curve, name) for curve in curves]
    return [run for run in found if len(run.val) > 2 * _WINDOW]


def _case(curve: Curve, name: str) -> Case:
    if name in _NO_TRAIN:
        none = np.full(len(curve.steps), math.nan)
        curve = replace(curve, val_loss=curve.train_loss, train_loss=none)
    seen = np.isfinite(curve.val_loss)
    steps, val = curve.steps[seen].astype(float), curve.val_loss[seen]
    edges = np.searchsorted(curve.steps, np.append(0.0, steps), side="right")
    train = np.array([_mean(curve.train_loss[a:b]) for a, b in pairwise(edges)])
    overfits = {"shakespeare": _rise(val, 1) > RISE, "taskset": _clearly(val, train)}.get(name, False)
    return Case(curve.name, name, curve, steps, val, train, overfits)


def _constant(folder: Path) -> list[Curve]:
    """Gemstones' whole constant runs, at both learning rates."""
    curves = []
    for file in sorted((folder / "gemstones").glob("*.csv")):
        data = columns_of(file)
        plan = Schedule.constant(int(data["step"][-1]))
        curves.append(curve_of(file, {}, {**data, "lr": np.ones(len(data["step"]))}, "gemstones", plan, "train"))
    return curves


def _taskset(folder: Path, sample: int) -> Iterator[Case]:
    """All runs that overfit, and a seeded sample of the others; blown-up ones are none: their losses rise together."""
    for file, about in runs_in(folder / "taskset"):
        table = importlib.import_module("pyarrow.parquet").read_table(file).to_pydict()
        shape = (int(about["n_runs"]), int(about["n_points"]))
        train, val = (np.array(table[f"{name}_loss"], np.float64).reshape(shape)[:, 1:] for name in ("train", "val"))
        settings = json.loads(file.with_suffix(".hp.json").read_text(encoding="utf-8"))
        finite = np.flatnonzero(np.isfinite(train).all(axis=1) & np.isfinite(val).all(axis=1))
        labels = {k: (_clearly(val[k], train[k]), _rises(val[k])) for k in finite.tolist()}
        others = [k for k, (_, rises) in labels.items() if not rises]
        drawn = set(np.random.default_rng(0).permutation(others)[:sample].tolist())
        for k in (k for k, (overfits, _) in labels.items() if overfits or k in drawn):
            steps = EVALUATION * np.arange(1.0, shape[1])
            plan = decaying(settings[k], int(steps[-1]))
            data = {"step": steps, "train_loss": train[k], "val_loss": val[k], "lr": np.asarray(plan.lr(steps))}
            yield _case(curve_of(file, {}, data, "taskset", plan, "val", name=f"{file.stem} {k}"), "taskset")


def _clearly(val: FloatArray, train: FloatArray) -> bool:
    if not _rises(val):
        return False
    val, train = _smooth(val, _WINDOW), _smooth(train, _WINDOW)
    return bool(train[-1] < train[val.argmin()])


def _rises(val: FloatArray) -> bool:
    noise = float(np.median(np.abs(np.diff(val, n=2)))) / 0.6745 / math.sqrt(6.0)
    means = _smooth(val, _WINDOW)
    rise = float(means[-1] - means.min())
    return rise > max(_CLEAR * noise * math.sqrt(2.0 / _WINDOW), RISE * float(means.min()))


def _smooth(values: FloatArray, window: int) -> FloatArray:
    return np.convolve(values, np.full(window, 1.0 / window), mode="valid")


def _rise(val: FloatArray, window: int) -> float:
    """How far the last ``window`` evaluations stand above the lowest so many in a row, relative."""
    means = _smooth(val, window)
    return float(means[-1] / means.min() - 1.0)


def _mean(values: FloatArray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


@dataclass(eq=False)
class Trace:
    """What one decision found along a run: steps and probabilities."""

    of: Decision
    steps: list[float] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    going_on: Forecast | None = None

    def decide(self, view: View) -> Finding | None:
        """The decision's own finding, written down; and what going on would bring where it is first said."""
        found = self.of.decide(view)
        if found is not None:
            self.steps.append(float(view.step))
            self.probability.append(found.probability)
            if found.fires and view.steps_left and self.going_on is None:
                self.going_on = view.outlook
        return None

    def stop(self, level: float) -> float | None:
        """First step at which the decision says stop."""
        return next((s for s, p in zip(self.steps, self.probability, strict=True) if p >= level), None)


TRACED: dict[str, Callable[[], Decision]] = {
    "overfitting": Overfitting,
    "any rise": lambda: Overfitting(min_rise=0.0),
    "no improvement": lambda: NoImprovement(worth=_WORTH),
}


def asking(worth: float) -> float:
    """Level at which the trace of a ``NoImprovement`` says what one that asks for ``worth`` says at its usual level."""
    return 1.0 - (1.0 - NoImprovement().level) * worth / _WORTH


def watch(run: Case) -> dict[str, Trace]:
    """The decisions' probabilities along a run, up to where it is said to diverge."""
    curve = run.curve
    traces = {name: Trace(make()) for name, make in TRACED.items()}
    watcher = Watcher(schedule=curve.plan or curve.schedule, decisions=[Divergence(), *traces.values()])
    for step, train, val in zip(curve.steps.tolist(), curve.train_loss, curve.val_loss, strict=True):
        if math.isfinite(train):
            watcher.update(step, train_loss=float(train))
        if math.isfinite(val):
            watcher.update(step, val_loss=float(val))
    return traces


def told_to_stop(run: Case, *, told: bool) -> set[str]:
    """Reasons for which the decisions that stand without being asked for say stop at all, along a run.

    Args:
        run: watched up to its end.
        told: whether the watcher knows the schedule; else it sees the learning rates.
    """
    curve = run.curve
    settings: dict[str, Any] = {"num_params": curve.num_params, "batch_tokens": curve.batch_tokens}
    watcher = Watcher(schedule=(curve.plan or curve.schedule) if told else None, **settings)
    found = set()
    for step, train, val, lr in zip(curve.steps.tolist(), curve.train_loss, curve.val_loss, curve.lr, strict=True):
        losses = {"train_loss": train, "val_loss": val, "lr": math.nan if told else lr}
        verdict = watcher.update(step, **{name: float(x) for name, x in losses.items() if math.isfinite(x)})
        if verdict.to_stop_for is not None:
            found.add(str(verdict.reason))
    return found


def counted(run: Case, fires: Callable[[Recent], bool]) -> float | None:
    """First evaluation at which a rule that counts evaluations says stop."""
    for k in range(1, len(run.val) + 1):
        if fires(Recent(run.val[:k], run.train[:k])):
            return float(run.steps[k - 1])
    return None


def _patient(checks: int, seen: Recent) -> bool:
    return waited(seen) >= checks


def _lost(alpha: float, seen: Recent) -> bool:
    return generalization_loss(seen) > alpha


def _outweighed(alpha: float, seen: Recent) -> bool:
    return _quotient(seen) > alpha


def _risen(strips: int, strip: int, seen: Recent) -> bool:
    return successive_rises(seen, strip) >= strips


Rule = Callable[[Recent], bool]
PATIENCE: dict[str, Rule] = {f"patience {n}": partial(_patient, n) for n in (3, 5, 10, 20)}
PRECHELT: dict[str, Rule] = {
    **{f"GL {alpha:g}": partial(_lost, alpha) for alpha in (1.0, 2.0, 3.0, 5.0)},
    **{f"PQ {alpha:g}": partial(_outweighed, alpha) for alpha in (0.5, 0.75, 1.0, 2.0, 3.0)},
    **{f"UP {s} of {k}": partial(_risen, s, k) for k in (1, 5) for s in (2, 3, 4, 6, 8) if s * k <= 20},
}


def _quotient(seen: Recent) -> float:
    if len(seen) < 5 or not np.isfinite(seen.train[-5:]).all():
        return 0.0
    rate = progress(seen, 5)
    return generalization_loss(seen) / rate if rate > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What stopping a run at a step gives up and saves.

    Args:
        lost: best loss before the stop over the best of all, less 1.
        saved: share of all steps that are not done.
        after_best: share of the steps after the best one that are not done; NaN where the best is the last.
        stopped: whether it was stopped before its end.
    """

    lost: float
    saved: float
    after_best: float
    stopped: bool


def outcome(run: Case, stop: float | None) -> Outcome:
    """Score a stop; ``None`` for never."""
    at = run.last if stop is None else min(stop, run.last)
    seen = run.val[run.steps <= at]
    lowest = float(run.val.min())
    lost = (float(seen.min()) if len(seen) else float(run.val[0])) / lowest - 1.0
    rest = run.last - run.best_step
    after = (run.last - max(at, run.best_step)) / rest if rest > 0.0 else math.nan
    return Outcome(lost, 1.0 - at / run.last, after, at < run.last)


def went_on(runs: Sequence[Case], traces: Sequence[Mapping[str, Trace]]) -> dict[str, float]:
    """What the flag's forecast of going on was worth: against the mean of the run's last validations."""
    misses, inside = [], []
    for run, trace in zip(runs, traces, strict=True):
        if (ahead := trace["overfitting"].going_on) is not None:
            truth = float(run.val[-_WINDOW if run.set == "taskset" else -1 :].mean())
            misses.append(100.0 * (float(ahead.median) / truth - 1.0))
            inside.append(truth in ahead.interval(0.9))
    return {
        "flagged before the end": float(len(misses)),
        "inside the 90 % interval": float(np.mean(inside)) if inside else math.nan,
        "median error %": float(np.median(misses)) if misses else math.nan,
        "median size of the error %": float(np.median(np.abs(misses))) if misses else math.nan,
    }


def macro_f1(truth: Iterable[bool], said: Iterable[bool]) -> float:
    """Mean of the F1 of both classes."""
    pairs = list(zip(truth, said, strict=True))
    scores = []
    for kind in (True, False):
        hits = sum(t is kind and s is kind for t, s in pairs)
        total = sum((t is kind) + (s is kind) for t, s in pairs)
        scores.append(2.0 * hits / total if total else 1.0)
    return sum(scores) / 2.0
