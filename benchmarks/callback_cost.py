"""What the Lightning callback costs: time a step, memory, and reads from the device.

The times are paired: one Trainer trains one small network, and calls every hook of every step three times: with no
callback, with an empty ``Callback``, and with ours. Beside them the network's ``self.log(..., on_step=True)`` is
timed. Whatever else the machine does falls on all of them alike. CPU time.

    python benchmarks/callback_cost.py
    python benchmarks/callback_cost.py --only gpu  # where there is one: no wait between two samples, and the cost
"""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytorch_lightning as pl
import torch
from _record import RESULTS, write
from pytorch_lightning.trainer import call
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from curvecast.curve import FloatArray
from curvecast_lightning import CurveCast

BLOCK = 50  # steps: what lies between two samples, so that every block of ours has one drain
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
HORIZON = 20_000
ROUNDS = 3  # of the runs whose samples are timed
MEGABYTE = 2**20


class Batches(IterableDataset[Any]):
    """The same batch for ever: the data costs nothing."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        batch = torch.zeros(4, 16, dtype=torch.long)
        while True:
            yield batch


class Small(pl.LightningModule):
    """A step of about a millisecond, most of it Lightning's own; its loss falls as a power of the step."""

    def __init__(self, horizon: int, *, scheduler: str | None = "cosine") -> None:
        super().__init__()
        self.horizon, self.scheduler = horizon, scheduler
        self.linear = torch.nn.Linear(8, 8)
        self.inputs: torch.Tensor
        self.law: torch.Tensor
        self.register_buffer("inputs", torch.ones(4, 8))
        rng = np.random.default_rng(0)
        steps = np.arange(1.0, horizon + 2.0)
        self.register_buffer("law", torch.tensor(2.0 + 3.0 * steps**-0.4 + 0.02 * rng.standard_normal(len(steps))))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.linear(self.inputs).square().mean() * 0.0 + self.law[batch_idx % len(self.law)]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.law[self.trainer.global_step - 1] + 0.02)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-3)
        if self.scheduler is None:
            return optimizer
        if self.scheduler == "plateau":  # cannot be foreseen, so that all plausible futures are weighed
            waits = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return [optimizer], [{"scheduler": waits, "monitor": "val_loss", "strict": False}]
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.horizon)
        return [optimizer], [{"scheduler": cosine, "interval": "step"}]


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


def trainer(steps: int, *callbacks: pl.Callback, **arguments: Any) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "max_steps": steps,
            "logger": False,
            "callbacks": list(callbacks),
            **quiet,
            **arguments,
        }
    )


def fit(module: Small, steps: int, *callbacks: pl.Callback, **arguments: Any) -> pl.Trainer:
    run = trainer(steps, *callbacks, **arguments)
    batches = DataLoader(Batches(), batch_size=None)
    validates = "val_check_interval" in arguments
    run.fit(module, batches, DataLoader(TensorDataset(torch.zeros(1))) if validates else None)
    return run


def watched(**settings: Any) -> CurveCast:
    return CurveCast(**{"verbose": False, "num_params": 10**6, "batch_tokens": 2**14, **settings})


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


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what waits for a device: values read from a tensor, and tensors copied to another device."""

    NAMES = ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        copies = func.overloadpacket is torch.ops.aten._to_copy and (kwargs or {}).get("device") is not None
        self.count += func.overloadpacket is torch.ops.aten._local_scalar_dense or copies
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> Any:
        self.plain = {name: getattr(torch.Tensor, name) for name in self.NAMES}
        for name, method in self.plain.items():
            setattr(torch.Tensor, name, self._counting(method))
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for name, method in self.plain.items():
            setattr(torch.Tensor, name, method)

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def read(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return method(*args, **kwargs)

        return read


class Strict(CurveCast):
    """Counts the reads of its own hooks, in those steps that end a window and in all others."""

    reads: dict[bool, int]
    calls: dict[bool, int]

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        drains = (trainer.global_step + 1) % BLOCK == 0
        self._counted(drains, lambda: super(Strict, self).on_before_optimizer_step(trainer, pl_module, optimizer))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        drains = trainer.global_step % BLOCK == 0
        end = super().on_train_batch_end
        self._counted(drains, lambda: end(trainer, pl_module, outputs, batch, batch_idx))

    def _counted(self, drains: bool, hook: Callable[[], None]) -> None:
        if "reads" not in self.__dict__:
            self.reads, self.calls = {True: 0, False: 0}, {True: 0, False: 0}
        on_gpu = torch.cuda.is_available()
        if on_gpu and not drains:
            torch.cuda.set_sync_debug_mode("error")
        try:
            with Reads() as reads:
                hook()
        finally:
            if on_gpu:
                torch.cuda.set_sync_debug_mode("default")
        self.reads[drains] += reads.count
        self.calls[drains] += 1


def device_reads(steps: int, accelerator: str) -> dict[str, Any]:
    """Reads from the device in our hooks; on a GPU any wait between drains ends the run with an error."""
    ours = Strict(verbose=False, num_params=10**6, batch_tokens=2**14)
    fit(Small(steps), steps, ours, accelerator=accelerator)
    assert not ours.failed, "a read between drains was refused"
    return {
        "steps": steps,
        "reads between drains": ours.reads[False],
        "hooks between drains": ours.calls[False],
        "reads at drains": ours.reads[True],
        "drains": steps // BLOCK,
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
    path = RESULTS / f"{NAME}.json"
    figures: dict[str, Any] = json.loads(path.read_text())["figures"] if only and path.exists() else {}
    table = Table("what", "figure", "value", title="What the callback costs (CPU time)")
    for what in only or parts:
        figures[what] = parts[what]()
        write(NAME, figures, source="a network of one layer, losses of a power law, seed 0")
        for name, value in figures[what].items():
            table.add_row(what, name, f"{value:,.2f}" if isinstance(value, float) else f"{value}")
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
