"""One real training curve as a benchmark asks for it, and how it is made of a table."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from curvecast import Prior, Run, Schedule, Watcher
from curvecast.curve import Series

FloatArray = NDArray[np.float64]
Target = Literal["train", "val"]

FRACTIONS = (0.1, 0.25, 0.5, 0.8)
AVERAGED = 10  # losses that are there at least, where the truth is a mean
_TAIL = 0.01  # of the steps: what a noisy train loss is averaged over at the end


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One run, what is asked of it, and what came.

    Args:
        name: what to call it.
        set: the set it is reported with; its first word names the data set.
        group: curves of one group are siblings: a team would have them at hand.
        stream: curves of one stream hold the same samples, as far as both go.
        trunk: curves of one trunk share a part of their samples, and so are no siblings.
        steps: ``(n,)`` completed optimizer steps, from 1.
        train_loss, val_loss, lr: ``(n,)``, NaN where none was logged.
        schedule: the plan that led to the truth, known from the start.
        horizon: the step that is asked for.
        truth: the loss there.
        of: which loss.
        noise: standard deviation of the truth, as second differences have it; 0 where they do not tell.
        plan: the plan the watcher is told where it is not ``schedule``; that one is then asked as another future.
        is_planned: whether the plan is known; else the watcher is told its end alone, and ``schedule`` is constant.
        end: the step that is told as the planned end, where the log breaks off a little before it.
        num_params, batch_tokens, epoch_steps: where they are known.
        fractions: of the horizon: where a forecast is asked.
    """

    name: str
    set: str
    group: str
    stream: str
    trunk: str
    steps: NDArray[np.int64]
    train_loss: FloatArray
    val_loss: FloatArray
    lr: FloatArray
    schedule: Schedule
    horizon: int
    truth: float
    of: Target
    noise: float = 0.0
    plan: Schedule | None = None
    is_planned: bool = True
    end: int | None = None
    num_params: float | None = None
    batch_tokens: float | None = None
    epoch_steps: float | None = None
    fractions: tuple[float, ...] = FRACTIONS

    @property
    def told(self) -> dict[str, Any]:
        """What a watcher is told of the plan."""
        return {
            "horizon": self.end or self.horizon,
            "schedule": (self.plan or self.schedule) if self.is_planned else None,
        }

    def watcher(self, prior: Prior, *, planned: bool = True) -> Watcher:
        """A watcher that is told what there is to tell of the run; of the plan, unless asked otherwise."""
        return Watcher(
            **(self.told if planned else {"horizon": self.horizon}),
            num_params=self.num_params,
            batch_tokens=self.batch_tokens,
            epoch_steps=self.epoch_steps,
            prior=prior,
        )

    def future(self, watcher: Watcher) -> Schedule | None:
        """What a forecast of the end is told to come: the decay that was made, where the plan was another."""
        return self.schedule if self.plan is not None and watcher.schedule is not None else None

    def samples(self, last: float) -> int:
        """How many losses there are up to the step `last`."""
        seen = self.steps <= last
        return int(np.isfinite(self.train_loss[seen]).sum() + np.isfinite(self.val_loss[seen]).sum())

    def finished(self) -> Run:
        """The whole run, as others may learn from it."""
        meta: dict[str, object] = {"horizon": self.horizon}
        meta |= {"schedule": self.schedule.to_dict()} if self.is_planned else {}
        meta |= {"num_params": self.num_params} if self.num_params else {}
        meta |= {"batch_tokens": self.batch_tokens} if self.batch_tokens else {}
        meta |= {"epoch_steps": self.epoch_steps} if self.epoch_steps else {}
        return Run(self.name, self.steps, self.train_loss, self.val_loss, self.lr, meta)


def curve_of(
    file: Path,
    about: Mapping[str, Any],
    data: Mapping[str, FloatArray],
    set_: str,
    schedule: Schedule,
    of: Target,
    *,
    name: str = "",
    group: str = "",
    stream: str = "",
    trunk: str = "",
    truth: float = math.nan,
    plan: Schedule | None = None,
    fractions: tuple[float, ...] = FRACTIONS,
) -> Curve:
    """A curve without the row of step 0, before which no step was completed."""
    kept = {column: data[column][data["step"] >= 1] for column in ("step", "train_loss", "val_loss", "lr")}
    stream = stream or f"{set_}: {file.stem}"
    num_params, batch_tokens = (about.get("num_params") or about.get("n_params")), about.get("batch_tokens")
    epoch_steps = about.get("epoch_steps")
    return Curve(
        name=name or file.stem,
        set=set_,
        group=group or set_,
        stream=stream,
        trunk=trunk or stream,
        steps=kept["step"].astype(np.int64),
        train_loss=kept["train_loss"],
        val_loss=kept["val_loss"],
        lr=kept["lr"],
        schedule=schedule,
        horizon=schedule.horizon,
        truth=_truth(kept, of) if math.isnan(truth) else truth,
        of=of,
        noise=_noise(kept, of) if math.isnan(truth) else 0.0,
        plan=plan,
        num_params=float(num_params) if num_params else None,
        batch_tokens=float(batch_tokens) if batch_tokens else None,
        epoch_steps=float(epoch_steps) if epoch_steps else None,
        fractions=fractions,
    )


def _truth(data: Mapping[str, FloatArray], of: Target) -> float:
    """The last loss, or, where more than one lies in the last 1 % of the steps, their mean (of train losses)."""
    return float(_last(data, of).mean())


def _noise(data: Mapping[str, FloatArray], of: Target) -> float:
    """What is left of the noise of a single loss in their mean."""
    known = np.isfinite(data[f"{of}_loss"])
    series = Series()
    series.extend(data["step"][known].astype(np.int64), data[f"{of}_loss"][known])
    variance = series.bins().noise
    return 0.0 if math.isnan(variance) else math.sqrt(variance / len(_last(data, of)))


def _last(data: Mapping[str, FloatArray], of: Target) -> FloatArray:
    losses = data[f"{of}_loss"]
    known = np.isfinite(losses)
    steps, losses = data["step"][known], losses[known]
    late = steps > (1.0 - _TAIL) * steps[-1]
    return losses[late] if of == "train" and late.sum() >= AVERAGED else losses[-1:]


def plan_of(data: Mapping[str, FloatArray], horizon: int) -> Schedule:
    """The plan, read off the learning rates that were logged."""
    known = np.isfinite(data["lr"])
    return Schedule.from_array(np.interp(np.arange(1, horizon + 1), data["step"][known], data["lr"][known]))


def runs_in(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The runs of a data set and what its ``meta.json`` says of each."""
    if not (folder / "meta.json").exists():
        return
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    for name, about in sorted(meta.get("runs", meta).items()):
        if (folder / name).exists():
            yield folder / name, about


def columns_of(file: Path) -> dict[str, FloatArray]:
    """The columns of a table, NaN where a cell is blank."""
    return dict(_columns(file))


@cache
def _columns(file: Path) -> dict[str, FloatArray]:
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    header, *rows = csv.reader(raw.decode("utf-8").splitlines())
    places = {name: header.index(name) for name in ("step", "train_loss", "val_loss", "lr")}
    return {name: np.array([float(row[place] or "nan") for row in rows]) for name, place in places.items()}
