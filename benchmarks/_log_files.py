"""The logs that reading is measured on: written once into a folder, by torch, TensorBoard and this script."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

TAGS = ("train/loss", "train/lr", "train/grad_norm", "perf/mfu", "perf/dt")
TEXTS = {  # what is printed of each step, and the pattern that one writes for it by hand
    "nanogpt": ("iter {s}: loss {x:.4f}, time 101.25ms, mfu 40.12%\n", r"iter (\d+): loss ([\d.]+)"),
    "minimind": (
        "Epoch:[1/2]({s}/900000), loss: {x:.4f}, logits_loss: {x:.4f}, aux_loss: 0.0, lr: 0.0005, epoch_time: 9.0min\n",
        r"\((\d+)/\d+\), loss: ([\d.]+).*lr: ([\d.]+)",
    ),
    "by epoch": ("Epoch {s} - Train Loss: {x:.4f}\n", r"Epoch (\d+) - Train Loss: ([\d.]+)"),
    "by step": (
        "step {s} | loss {x:.4f} | val loss {x:.4f} | lr 0.0003\n",
        r"step (\d+) \| loss ([\d.]+) \| val loss ([\d.]+) \| lr ([\d.]+)",
    ),
}


def event_file(folder: Path, scalars: int) -> Path:
    """Scalars of five tags, written by torch; made once."""
    if not folder.exists():
        module: Any = import_module("torch.utils.tensorboard")
        writer = module.SummaryWriter(str(folder), max_queue=10_000, flush_secs=600)
        for step in range(1, scalars // len(TAGS) + 1):
            for tag in TAGS:
                writer.add_scalar(tag, 2.0 + 3.0 * step**-0.3, step)
        writer.close()
    return next(folder.glob("*tfevents*"))


def tensor_file(folder: Path, scalars: int) -> Path:
    """The same as tensors, written by TensorBoard; made once."""
    if not folder.exists():
        module: Any = import_module("tensorboard.summary")
        writer: Any = module.Writer(str(folder))
        for step in range(1, scalars // len(TAGS) + 1):
            for tag in TAGS:
                writer.add_scalar(tag, 2.0 + 3.0 * step**-0.3, step)
        writer.close()
    return next(folder.glob("*tfevents*"))


def heavy_file(folder: Path, megabytes: int) -> Path:
    """Mostly images and histograms, with a loss among them; made once."""
    if not folder.exists():
        module: Any = import_module("torch.utils.tensorboard")
        rng = np.random.default_rng(0)
        writer = module.SummaryWriter(str(folder), max_queue=100, flush_secs=600)
        images = [rng.integers(0, 256, (3, 128, 128), dtype=np.uint8) for _ in range(4)]
        for step in range(1, megabytes * 18 + 1):  # an image has 49 kB, a histogram some 6 kB
            writer.add_scalar("train/loss", 2.0 + 3.0 * step**-0.3, step)
            writer.add_image("sample", images[step % 4], step)
            writer.add_histogram("weights", rng.normal(size=200), step)
        writer.close()
    return next(folder.glob("*tfevents*"))


def table_file(path: Path, rows: int) -> Path:
    """A CSV and, beside it, lines of JSON with the same numbers."""
    if not path.exists():
        rng = np.random.default_rng(0)
        with path.open("w") as table, path.with_suffix(".jsonl").open("w") as lines:
            table.write("step,train_loss,lr,grad_norm,val_loss\n")
            for step in range(1, rows + 1):
                loss, norm = 2.0 + rng.random(), rng.random()
                val = f"{loss + 0.1!r}" if step % 50 == 0 else ""
                table.write(f"{step},{loss!r},0.001,{norm!r},{val}\n")
                record = {"step": step, "train_loss": loss, "lr": 0.001, "grad_norm": norm}
                lines.write(json.dumps(record | ({"val_loss": loss + 0.1} if val else {})) + "\n")
    return path


def text_file(path: Path, printed: str, lines: int) -> Path:
    """A text log that prints a line of each step; made once."""
    if not path.exists():
        rng = np.random.default_rng(0)
        path.write_text("".join(printed.format(s=step, x=2.0 + rng.random()) for step in range(1, lines + 1)))
    return path
