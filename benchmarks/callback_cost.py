"""What the Lightning callback costs: time a step, memory, and reads from the device.

The times are paired: one Trainer trains one small network, and calls every hook of every step three times: with no
callback, with an empty ``Callback``, and with ours. Beside them the network's ``self.log(..., on_step=True)`` is
timed. Whatever else the machine does falls on all of them alike. CPU time.

    python benchmarks/callback_cost.py
    python benchmarks/callback_cost.py --only gpu  # where there is one: no wait between two samples, and the cost
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytorch_lightning as pl
import torch
from _callback_runs import BLOCK, HORIZON, Small, fit, watched
from _device_reads import device_reads
from _record import recorded, table_of_costs, write
from pytorch_lightning.trainer import call
from rich.console import Console

from curvecast.curve import FloatArray
from curvecast_lightning import CurveCast

NAME = "callback_cost"
KINDS = ("none", "empty", "ours", "log")
STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
ROUNDS = 3  # of the runs whose samples are timed
MEGABYTE = 2**20


class Turns:
    """Calls each hook of each step once for every set of callbacks, in changing order, and takes the times."""

    def __init__(self, sets: dict[str, list[pl.Callback]], clock: Callable[[], float]) -> None:
        self.sets, self.clock = sets, clock
        self.steps: list[dict[str, float]] = []
        self.open = dict.fromkeys(KINDS, 0.0)
        self.plain = call._call_callback_hooks
        self.order = list(sets)

    def __enter__(self) -> Turns:
        call._call_callback_hooks = self.hooks  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        call._call_callback_hooks = self.plain

    def hooks(self, trainer: Any, name: str, *args: Any, **kwargs: Any) -> None:
        if name not in STEP_HOOKS:
            return self.plain(trainer, name, *args, **kwargs)
        self.order.append(self.order.pop(0))
        for kind in self.order:
            trainer.callbacks[:] = self.sets[kind]
            began = self.clock()
            self.plain(trainer, name, *args, **kwargs)
            self.open[kind] += self.clock() - began
        trainer.callbacks[:] = self.sets["ours"]
        if name == STEP_HOOKS[-1]:
            self.steps.append(self.open)
            self.open = dict.fromkeys(KINDS, 0.0)
        return None

    def blocks(self, kind: str) -> FloatArray:
        """``(n,)`` microseconds a step, of each block of steps but the first."""
        times = np.array([step[kind] for step in self.steps])
        kept = times[BLOCK : len(times) // BLOCK * BLOCK]
        return np.asarray(kept.reshape(-1, BLOCK).mean(axis=1) * 1e6)


class Logging(Small):
    """Logs its loss, and takes the time of the call: what Lightning does with the value afterwards comes on top."""

    def __init__(self, horizon: int, turns: Turns) -> None:
        super().__init__(horizon)
        self.turns = turns

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        began = self.turns.clock()
        self.log("loss", loss, on_step=True)
        self.turns.open["log"] += self.turns.clock() - began
        return loss


class Unrefreshed(CurveCast):
    """Everything but the forecast: what is left is the cost of a step."""

    def _feed_train(self, trainer: Any, loss: float | None) -> None:
        pass


def step_cost(steps: int, accelerator: str = "cpu", clock: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Microseconds that each kind adds to a step of the same run; the forecast's refresh stands apart."""
    ours = Unrefreshed(verbose=False, num_params=10**6, batch_tokens=2**14)
    turns = Turns({"none": [], "empty": [pl.Callback()], "ours": [ours]}, clock)
    with turns:
        fit(Logging(steps, turns), steps, ours, accelerator=accelerator)
    kept = {kind: turns.blocks(kind) for kind in KINDS}
    kept["log"] += kept["none"]
    added = {kind: float(np.median(kept[kind] - kept["none"])) for kind in KINDS[1:]}
    return {
        "steps": steps,
        "rounds": len(kept["none"]),
        "us added by an empty Callback": added["empty"],
        "us added by ours": added["ours"],
        "us added by self.log": added["log"],
        "ours over an empty Callback": added["ours"] / added["empty"],
        "self.log over ours": added["log"] / added["ours"],
    }


class Timed(CurveCast):
    """Takes the time of each of its samples."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.spent: list[float] = []

    def _feed_train(self, trainer: Any, loss: float | None) -> None:
        began = time.process_time()
        super()._feed_train(trainer, loss)
        self.spent.append(time.process_time() - began)

    def _feed_val(self, trainer: Any, module: Any, loss: float | None) -> None:
        began = time.process_time()
        super()._feed_val(trainer, module, loss)
        self.spent.append(time.process_time() - began)


def refresh_cost(steps: int, *, scheduler: str | None, val_every: int | None = None) -> dict[str, float]:
    """What samples, forecasts and verdicts cost over a whole run, a step.

    The run is repeated, and the median is taken of each sample's times: what else the machine does comes and goes.
    What does not go slows the Trainer's own step down alike, so the share of that one is told, too.
    """
    validation = {"val_check_interval": val_every, "check_val_every_n_epoch": None} if val_every else {}
    rounds, whole = [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        ours = Timed(verbose=False, num_params=10**6, batch_tokens=2**14, horizon=steps)
        fit(Small(steps, scheduler=scheduler), steps, ours, **validation)
        whole.append(time.process_time() - began - sum(ours.spent))
        assert ours.watcher is not None
        rounds.append(ours.spent)
    per_step = float(np.median(rounds, axis=0).sum()) / steps * 1e6
    own = float(np.median(whole)) / steps * 1e6
    return {
        "steps": steps,
        "rounds": ROUNDS,
        "us a step": per_step,
        "share of a 1 ms step, %": per_step / 10.0,
        "us of the Trainer's own step": own,
        "share of the Trainer's own step, %": 100.0 * per_step / own,
    }


class Peak(pl.Callback):
    """Peak of the resident memory from a warm start on, at each of some steps [bytes]."""

    WARM = 500

    def __init__(self, at: tuple[int, ...]) -> None:
        self.at = at
        self.peaks: list[int] = []

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.WARM:
            gc.collect()
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            self.start = status("VmRSS")
        if trainer.global_step in self.at:
            self.peaks.append(status("VmHWM") - self.start)


def status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def peaks(at: tuple[int, ...], *, ours: bool) -> list[int]:
    """In a process of its own, so that no run inherits what another has left."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_peaks, (at, ours))


def _peaks(at: tuple[int, ...], ours: bool) -> list[int]:
    peak = Peak(at)
    fit(Small(HORIZON), at[-1], *([watched(horizon=at[-1])] if ours else []), peak)
    return peak.peaks


def memory(short: int, long: int) -> dict[str, float]:
    """Megabytes of the peak over a warm start, with us and without, and with us ten times further on."""
    without, ours = peaks((short,), ours=False), peaks((short, long), ours=True)
    return {
        f"MB at {short} steps without": without[0] / MEGABYTE,
        f"MB at {short} steps with ours": ours[0] / MEGABYTE,
        f"MB at {long} steps with ours": ours[1] / MEGABYTE,
        "MB of ours": (ours[0] - without[0]) / MEGABYTE,
        "MB gained from there on": (ours[1] - ours[0]) / MEGABYTE,
    }


def gpu(steps: int) -> dict[str, Any]:
    """The same on a GPU, where there is one."""
    if not torch.cuda.is_available():
        return {"skipped": "no NVIDIA GPU here that PyTorch sees (torch.cuda.is_available() is False)"}
    return {
        "device": torch.cuda.get_device_name(),
        **device_reads(2000, "gpu"),
        **{f"{name}, wall": value for name, value in step_cost(steps, "gpu", time.perf_counter).items()},
    }


@click.command()
@click.option("--steps", default=HORIZON, help="Steps of the timed runs.")
@click.option(
    "--long", default=100_000, help="Steps of the longest run, for its memory; a tenth of them is the shorter one."
)
@click.option("--only", multiple=True, help="A part to measure anew; the others keep their last figures.")
def main(steps: int, long: int, only: tuple[str, ...]) -> None:
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "curvecast"):
        logging.getLogger(name).setLevel(logging.ERROR)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "step": lambda: step_cost(steps),
        "refresh, cosine": lambda: refresh_cost(steps, scheduler="cosine"),
        "refresh, cosine and validation": lambda: refresh_cost(steps, scheduler="cosine", val_every=1000),
        "refresh, no scheduler": lambda: refresh_cost(steps, scheduler=None),
        "refresh, ReduceLROnPlateau": lambda: refresh_cost(steps, scheduler="plateau"),
        "reads": lambda: device_reads(2000, "cpu"),
        "memory": lambda: memory(long // 10, long),
        "gpu": lambda: gpu(steps),
    }
    figures = recorded(NAME) if only else {}
    for what in only or parts:
        figures[what] = parts[what]()
        write(NAME, figures, source="a network of one layer, losses of a power law, seed 0")
    measured = {what: figures[what] for what in only or parts}
    Console().print(table_of_costs(measured, "What the callback costs"))


if __name__ == "__main__":
    main()
