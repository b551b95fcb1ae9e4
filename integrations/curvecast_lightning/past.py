"""A past that no checkpoint brought: what this run's own logs still tell of the steps before."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import curvecast
from curvecast import Run
from curvecast_lightning.recorder import Recorder


def find_past(trainer: Any, step: int, *, val_tag: str | None, train_tag: str | None) -> tuple[Run, Path] | None:
    """The log that tells most of the steps up to `step`.

    Looked for where the checkpoint lies, where the Trainer's loggers write, and among their earlier versions.

    Args:
        trainer: a Trainer that goes on at `step`.
        step: the last step done.
        val_tag: the validation loss's name; None, or one that is not there: the reader finds it.
        train_tag: likewise the training loss's.

    Returns:
        The run and its folder, or None where no log tells of a loss up to there.
    """
    best: tuple[int, Run, Path] | None = None
    for folder in _folders(trainer):
        for run in _runs(folder, val_tag, train_tag):
            last = max((sample.step for sample in run.samples() if sample.step <= step), default=0)
            if last > (best[0] if best else 0):
                best = last, run, folder
    return None if best is None else best[1:]


def replay(recorder: Recorder, run: Run, step: int) -> int:
    """Feed a recorder the samples of a log up to a step; their number."""
    samples = [sample for sample in run.samples() if sample.step <= step]
    for sample in samples:
        val_loss = None if isinstance(sample.val_loss, Mapping) else sample.val_loss
        recorder.feed(sample.step, train_loss=sample.train_loss, val_loss=val_loss, lr=sample.lr)
    return len(samples)


def _folders(trainer: Any) -> Iterator[Path]:
    """Folders that may hold this run's log, the likeliest first; a folder of several runs is not one."""
    likely: list[Path] = []
    if isinstance(checkpoint := getattr(trainer, "ckpt_path", None), str | Path):
        folder = Path(checkpoint).parent
        likely.append(folder)
        if folder.name == "checkpoints":  # Lightning's own, in the log's folder
            likely.append(folder.parent)
    told = [getattr(logger, "log_dir", None) for logger in trainer.loggers]
    logged = [Path(folder) for folder in told if isinstance(folder, str)]
    likely += logged
    for folder in logged:
        versions = folder.parent.glob("version_*")
        likely += sorted(versions, key=lambda version: version.stat().st_mtime, reverse=True)
    yield from (folder for folder in dict.fromkeys(likely) if folder.is_dir())


def _runs(folder: Path, val_tag: str | None, train_tag: str | None) -> list[Run]:
    for val, train in ((val_tag, train_tag), (None, None)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of logs beside this one that cannot be read
                runs = curvecast.read(folder, val_tag=val, train_tag=train)
        except (ValueError, KeyError, OSError):
            continue
        return runs if len(runs) == 1 else []
    return []
