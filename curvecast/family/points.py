"""What runs tell of their family: losses by size and data, each with how far its learning rate has decayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curvecast.curve import FinishedRun
from curvecast.laws.annealing import annealing_gain
from curvecast.laws.base import FloatArray
from curvecast.notation import listed
from curvecast.schedule import Schedule

# The multi-power law's shape, which 25M, 100M and 400M models nearly share (arXiv:2503.12811), and its C of the 25M
# model at a peak of 3e-4 as a rate in relative learning rates: 2.07 * 3e-4^(1 - 0.64).
ANNEALING = {"beta": 0.6, "gamma": 0.64, "C": 0.11}
FIRST = 0.2  # share of a run before which its losses are left out: they still fall from its start
BINS = 16  # losses taken of a run at a constant learning rate, evenly in log steps
UNKNOWN_RATE = "learning rate not known"
_LENGTHS = {"epoch": "epoch_steps", "sample": "batch_samples", "token": "batch_tokens"}  # what an axis may count
_FLAT = 0.999
_FLAT_END = 0.05  # runs that end with at most this share of a full decay's gain count as held
_HELD = (
    "no run ends with its learning rate decayed: what a decay takes off the loss, 3.5 to 20 % of it in other families, "
    "is not told"
)
_SEVERAL = 4  # losses of a run of which the first may be left out
_TAIL = 0.01  # share of the steps over which the last train losses are averaged


class RunLike(FinishedRun, Protocol):
    """What is needed of a run; ``curvecast.Run`` has it."""

    @property
    def name(self) -> str:
        """For people."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Losses of a family.

    Args:
        num_params: ``(T,)``.
        num_tokens: ``(T,)`` tokens, those at a lower learning rate counted in proportion.
        loss: ``(T,)``.
        annealed: ``(T,)`` how much of a full decay's gain has come, 0 to 1.
        unique: ``(T,)`` tokens of the data set; inf where none repeats.
        steps: ``(T,)`` optimizer steps, counted as the tokens are; NaN where unknown.
        group: ``(T,)`` index of the run.
        names: of the runs.
        last: ``(T,)`` whether the point is its run's last.
        ratio: ``(T,)`` `num_tokens` over the tokens that were seen.
        notes: what was assumed of runs.
    """

    num_params: FloatArray
    num_tokens: FloatArray
    loss: FloatArray
    annealed: FloatArray
    unique: FloatArray
    steps: FloatArray
    group: NDArray[np.intp]
    names: tuple[str, ...]
    last: NDArray[np.bool_]
    ratio: FloatArray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    def where(self, mask: NDArray[np.bool_]) -> Points:
        """The points that a mask picks; runs without any are left out."""
        kept, group = np.unique(self.group[mask], return_inverse=True)
        arrays = {
            name: getattr(self, name)[mask]
            for name in ("num_params", "num_tokens", "loss", "annealed", "unique", "steps", "last", "ratio")
        }
        return Points(**arrays, group=group, names=tuple(self.names[k] for k in kept))

    @property
    def sizes(self) -> FloatArray:
        """Different sizes, rising; those within 1 % of each other count as one."""
        return distinct(self.num_params)


class _Row(NamedTuple):
    """One point of a run, as `Points` has them in columns."""

    num_params: float
    num_tokens: float
    loss: float
    annealed: float
    unique: float
    steps: float
    last: bool
    ratio: float


def distinct(values: FloatArray) -> FloatArray:
    """Values that differ by more than 1 %, rising.

    Example:
        >>> distinct(np.array([100.0, 100.5, 200.0])).tolist()
        [100.0, 200.0]
    """
    ordered = np.unique(values)
    keep = [ordered[0]]
    for value in ordered[1:]:
        if value > 1.01 * keep[-1]:
            keep.append(value)
    return np.array(keep)


def from_arrays(
    num_params: ArrayLike,
    num_tokens: ArrayLike,
    loss: ArrayLike,
    *,
    unique_tokens: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    names: Sequence[str] | None = None,
) -> Points:
    """Points from plain arrays: one run each, unless `names` says which belong together.

    Raises:
        ValueError: if the arrays do not align, or a value is not positive and finite.
    """
    arrays = _aligned({"num_params": num_params, "num_tokens": num_tokens, "loss": loss})
    N, D, L = arrays.values()
    labels = [f"[{k}]" for k in range(len(L))] if names is None else [str(name) for name in names]
    if len(labels) != len(L):
        raise ValueError(f"`names` must name every row: got {len(labels)} for {len(L)} losses.")
    for name, values in arrays.items():
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0))).tolist()
        if bad:
            where = ", ".join(labels[k] for k in bad[:8])
            raise ValueError(f"`{name}` must be positive and finite: got {values[bad[0]]} at {where}. Leave them out.")
    order, group = np.unique(labels, return_inverse=True)
    unlimited = np.inf if unique_tokens is None else unique_tokens
    unknown = np.nan if steps is None else steps
    return Points(
        num_params=N.copy(),
        num_tokens=D.copy(),
        loss=L.copy(),
        annealed=np.zeros(len(L)),
        unique=np.broadcast_to(np.asarray(unlimited, dtype=np.float64), L.shape),
        steps=np.broadcast_to(np.asarray(unknown, dtype=np.float64), L.shape),
        group=group,
        names=tuple(order.tolist()),
        last=_furthest(group, D),
        ratio=np.ones(len(L)),
    )


def _aligned(given: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    """The arrays as columns of one length, by name.

    Raises:
        ValueError: if they hold something else than numbers, or do not align.
    """
    columns = {name: _column(name, values) for name, values in given.items()}
    told = ", ".join(f"{name} {values.shape}" for name, values in columns.items())
    try:
        aligned = np.broadcast_arrays(*columns.values())
    except ValueError:
        raise ValueError(f"The arrays must be equally long, a value for each run: got {told}.") from None
    if aligned[0].ndim > 1 or not len(aligned[0]):
        raise ValueError(f"The arrays must be flat, with a value for each run: got {told}. Pass e.g. loss.ravel().")
    return dict(zip(columns, aligned, strict=True))


def _furthest(group: NDArray[np.intp], D: FloatArray) -> NDArray[np.bool_]:
    """``(n,)`` whether a row is the one of its run with the most tokens."""
    last = np.zeros(len(D), dtype=bool)
    for k in np.unique(group):
        members = np.flatnonzero(group == k)
        last[members[np.argmax(D[members])]] = True
    return last


def _column(name: str, values: ArrayLike) -> FloatArray:
    try:
        return np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (ValueError, TypeError) as error:
        raise ValueError(f"`{name}` must hold numbers, one for each run: {error}. Pass e.g. [1e8, 1e9].") from error


def from_runs(runs: Iterable[RunLike], *, of: str | None = None) -> Points:
    """Points from runs: their ends, and what they passed on the way at a constant learning rate.

    A run whose learning rate is not known gives its end alone. Losses before a fifth of a run are left out.

    Args:
        runs: finished or not.
        of: ``"train"`` or ``"val"``; ``None`` for val, if every run has it.

    Raises:
        TypeError: if what it is given are no runs.
        ValueError: if there is no run, units differ, a run has no loss, or one that is not positive, or parameters or
            batches are not known.
    """
    known = list(runs)
    if strange := [run for run in known if not isinstance(getattr(run, "meta", None), Mapping)]:
        raise TypeError(f"`runs` must hold runs: got {strange[0]!r} among them. Pass e.g. curvecast.read(path).")
    if not known:
        raise ValueError("`runs` must hold at least one run: got none. Pass runs, e.g. curvecast.read(path).")
    _check_sizes(known)
    _check_steps(known)
    _check_units(known)
    if of is None:
        of = "val" if all(np.isfinite(run.val_loss).any() for run in known) else "train"
    blind = [run.name for run in known if schedule_of(run) is None]
    rows: list[_Row] = []
    group: list[int] = []
    names: dict[str, int] = {}
    for run in known:
        place = names.setdefault(str(run.meta.get("group") or run.name), len(names))
        found = _rows(run, of)
        if (lowest := min(row.loss for row in found)) <= 0.0:
            raise ValueError(f"`loss` must be positive: got {lowest:.4g} of {run.name}. Leave it out.")
        rows += found
        group += [place] * len(found)
    notes = _of_rates(blind)
    columns = dict(zip(_Row._fields, np.array(rows, dtype=np.float64).T, strict=True))
    if not blind and columns["annealed"].max() <= _FLAT_END:
        notes.append(_HELD)
    return Points(
        **columns | {"last": columns["last"] > 0.0},
        group=np.array(group, dtype=np.intp),
        names=tuple(names),
        notes=tuple(notes),
    )


def _of_rates(blind: Sequence[str]) -> list[str]:
    """What is said of runs whose learning rate is not known."""
    if not blind:
        return []
    return [
        f"{UNKNOWN_RATE} of {listed(blind, 8)}: their last losses alone are used, as if it was held "
        "(run.meta['schedule'], or --schedule, tells it)"
    ]


def _check_sizes(runs: Sequence[RunLike]) -> None:
    """Refuse runs of unknown size or batch; the first of them are named."""
    lacking = {
        key: [run.name for run in runs if not _positive(run.meta.get(key))] for key in ("num_params", "batch_tokens")
    }
    missing = [f"{key} of {listed(names, 3)}" for key, names in lacking.items() if names]
    if missing:
        raise ValueError(
            f"A family needs the size of every run and the tokens of its steps: missing {'; '.join(missing)}. "
            "Set run.meta['num_params'] and run.meta['batch_tokens'], or note them in curvecast.json beside the log."
        )


def _check_steps(runs: Sequence[RunLike]) -> None:
    """Refuse runs whose logs count something else than optimizer steps: their tokens would be wrong by far."""
    for run in runs:
        if (unit := run.meta.get("unit")) in _LENGTHS:
            raise ValueError(
                f"A family needs optimizer steps: the log of {run.name} counts {unit}s. Tell how many steps they are: "
                f"pass `{_LENGTHS[unit]}` to `curvecast.read`, in its `lengths`, or note it in curvecast.json beside "
                "the log."
            )


def _check_units(runs: Sequence[RunLike]) -> None:
    """Refuse losses of several units, as far as runs tell theirs."""
    units = {str(run.meta["unit"]): run.name for run in runs if run.meta.get("unit")}
    if len(units) > 1:
        told = ", ".join(f"{unit} ({name})" for unit, name in sorted(units.items()))
        raise ValueError(
            f"All losses must have one unit: got {told}. Convert them: bits/token times 0.6931 is nats/token."
        )


def _rows(run: RunLike, of: str) -> list[_Row]:
    """A run's points: means on its way at a constant learning rate, and its end."""
    loss = run.val_loss if of == "val" else run.train_loss
    seen = np.isfinite(loss)
    if not seen.any():
        raise ValueError(
            f"{run.name} has no finite {of} loss. Leave it out, or pass of={'train' if of == 'val' else 'val'!r}."
        )
    steps, loss = run.steps[seen].astype(np.float64), loss[seen]
    if of == "train" and _comes_late(steps):
        steps, loss = steps[1:], loss[1:]
    N, B = float(run.meta["num_params"]), float(run.meta["batch_tokens"])
    unique = float(run.meta.get("dataset_tokens") or np.inf)
    plan, end = schedule_of(run), float(steps[-1])
    # One train loss is noisy, so its end is a mean over the last steps; a validation loss is a mean already.
    ending = steps > (1 - _TAIL) * end if of == "train" and plan is not None else steps == end
    where, level = float(steps[ending].mean()), float(loss[ending].mean())
    if plan is None:
        return [_Row(N, B * end, level, 0.0, unique, end, last=True, ratio=1.0)]
    summed = plan.summed(steps)
    flat = _at_peak(plan, steps)
    rows = [
        _Row(N, B * S, L, 0.0, unique, S, last=False, ratio=ratio)
        for S, L, ratio in _binned(steps[flat], summed[flat], loss[flat])
    ]
    gain = float(annealing_gain(plan, [where], **ANNEALING)[0])
    if rows and gain == 0.0:  # it never decayed: its last mean is its end
        return [*rows[:-1], rows[-1]._replace(last=True)]
    S = float(plan.summed(where))
    return [*rows, _Row(N, B * S, level, gain, unique, S, last=True, ratio=S / where)]


def _comes_late(steps: FloatArray) -> bool:
    """Whether the first train loss may be the mean over all steps before it, high by what the start cost.

    Example:
        >>> _comes_late(np.array([500.0, 1000.0, 1500.0, 2000.0])), _comes_late(np.array([1.0, 501.0, 1001.0, 1501.0]))
        (True, False)
    """
    return len(steps) >= _SEVERAL and bool(2 * steps[0] >= steps[1])


def _at_peak(plan: Schedule, steps: FloatArray) -> NDArray[np.bool_]:
    """``(n,)`` whether a step, after the run's beginning, is at the peak rate and nothing has decayed yet."""
    knots, lrs = plan.knots
    lr, peak = plan.lr(steps), knots[int(np.argmax(lrs >= _FLAT))]
    decayed = np.cumsum((lr < _FLAT) & (steps > peak)) > 0  # what comes after a decay has its gain
    return np.asarray((lr >= _FLAT) & (steps >= max(peak, FIRST * steps[-1])) & ~decayed)


def _binned(steps: FloatArray, summed: FloatArray, loss: FloatArray) -> list[tuple[float, float, float]]:
    """Means over bins that are even in log steps: S1, loss, and S1 over steps."""
    if not len(steps):
        return []
    edges = np.geomspace(steps[0], steps[-1] * (1 + 1e-9), BINS + 1)
    place = np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, BINS - 1)
    found = []
    for k in np.unique(place):
        inside = place == k
        S = float(np.exp(np.log(summed[inside]).mean()))
        found.append((S, float(loss[inside].mean()), float((summed[inside] / steps[inside]).mean())))
    return found


def schedule_of(run: RunLike) -> Schedule | None:
    """The schedule of a run: the one noted, or read off the learning rates that were logged."""
    noted = run.meta.get("schedule")
    if isinstance(noted, Schedule):
        return noted
    if isinstance(noted, Mapping):
        return Schedule.from_dict(noted)
    known = np.isfinite(run.lr) & (run.lr >= 0)
    if not known.any() or run.lr[known].max() <= 0:
        return None
    every = np.arange(1, int(run.steps[-1]) + 1)
    return Schedule.from_array(np.interp(every, run.steps[known], run.lr[known]))


def _positive(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value)) and float(value) > 0
