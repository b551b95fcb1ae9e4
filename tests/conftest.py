from __future__ import annotations

import gc
import os
import pickle
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from curvecast import Schedule, Verdict, Watcher
from curvecast.cli import main
from curvecast.testing import SimulatedRun, simulate


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Torch, TensorBoard and thousands of tests stay to the end: no search for garbage need go through them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()  # also in a process that leaves the collection to its workers


Analyze = Callable[..., Result]


@pytest.fixture
def analyze() -> Analyze:
    """``curvecast analyze`` with these arguments."""
    return lambda *arguments: CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def write_log(folder: Path, last: int = 100, *, tag: str = "train_loss", spoil: str = "", above: float = 0.0) -> Path:
    """A folder with the log of a run of so many steps, another for each ``above``; ``spoil`` stands at its end."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{step},{2.0 + above + 3.0 * step**-0.5!r}" for step in range(1, last + 1)]
    (folder / "metrics.csv").write_text(f"step,{tag}\n" + "\n".join(rows) + f"\n{spoil}")
    return folder


@pytest.fixture
def common_path() -> Iterator[Path]:
    """A folder that everybody may enter, as none within pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def shut(path: Path) -> Iterator[None]:
    """Nobody may open it meanwhile: nor may root, who might otherwise, and is nobody for so long.

    What is asked meanwhile should have been asked once before, for nobody may not load every module.
    """
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        if is_root:
            os.seteuid(65534)
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(mode)


@pytest.fixture
def run() -> SimulatedRun:
    """A run drawn from the model, 800 of 3000 steps seen, with train and validation loss."""
    return simulate(1)


@pytest.fixture(scope="session")
def _followed() -> bytes:
    run = simulate(1)
    watcher = Watcher(schedule=run.schedule)
    list(feed(watcher, run))
    return pickle.dumps(watcher)


@pytest.fixture
def followed(_followed: bytes) -> Watcher:
    """A watcher that knows the plan of ``run`` and has seen all of it, each test's own."""
    watcher = pickle.loads(_followed)
    assert isinstance(watcher, Watcher)
    return watcher


def feed(watcher: Watcher, run: SimulatedRun, *, after: int = 0, until: int | None = None) -> Iterator[Verdict]:
    """Walk a simulated run up the staircase, train before validation, as a live run does."""
    for step, train, val in zip(run.steps.astype(int).tolist(), run.train_loss, run.val_loss, strict=True):
        if step <= after or (until is not None and step > until):
            continue
        yield watcher.update(step, train_loss=float(train))
        if np.isfinite(val):
            yield watcher.update(step, val_loss=float(val))


def fed(watcher: Watcher, losses: Iterable[float]) -> Watcher:
    """The watcher, once it has seen a train loss a step."""
    for step, loss in enumerate(losses, 1):
        watcher.update(step, train_loss=loss)
    return watcher


def power_run(steps: int, *, noise: float = 0.01, seed: int = 0, alpha: float = 0.4) -> list[float]:
    """``2 + 3 s^-alpha`` with Gaussian noise."""
    rng = np.random.default_rng(seed)
    s = np.arange(1.0, steps + 1.0)
    return [float(loss) for loss in 2.0 + 3.0 * s**-alpha + noise * rng.standard_normal(steps)]


def cosine(horizon: int) -> Schedule:
    return Schedule.cosine(horizon, warmup=horizon // 50, floor=0.1)
