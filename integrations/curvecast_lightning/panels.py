"""What TensorBoard shows of the callback without a tab of ours, and the sidecar file beside the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from curvecast import Watcher
from curvecast_tensorboard.panels import add_fan, add_hparams, add_layout, add_plan, moment_of, told

SIDECAR = "curvecast.json"
PLAN_TAG = "curvecast.plan"
_HPARAMS = ("horizon", "num_params", "batch_tokens", "dataset_tokens", "epoch_steps")


def add_panels(loggers: Iterable[Any], prefixes: Sequence[str], milestones: Sequence[float]) -> None:
    """Lay the charts out, once a writer, with those loggers that take a layout."""
    for writer in writers(loggers):
        with suppress(ImportError):  # tensorboardX writes without tensorboard, which knows what a layout is
            add_layout(writer, prefixes, milestones)


def writers(loggers: Iterable[Any]) -> Iterator[Any]:
    """The ``SummaryWriter`` of each logger that has one: torch's or tensorboardX's.

    A dummy logger answers to every name, so a writer is told by its kind.
    """
    for logger in loggers:
        experiment = getattr(logger, "experiment", None)
        if experiment and any(kind.__name__ == "SummaryWriter" for kind in type(experiment).__mro__):
            yield experiment


def note_plan(loggers: Iterable[Any], content: Mapping[str, Any], step: int) -> None:
    """Note the plan inside the event files, for readers that have nothing else: the tab, a hosted TensorBoard."""
    for writer in writers(loggers):
        add_plan(writer, content, step)


def note_hparams(loggers: Iterable[Any], content: Mapping[str, Any]) -> None:
    """Make the plan a run of the dashboard 'hparams', unless Lightning has listed the metrics there already."""
    for logger in loggers:
        for writer in writers([logger]):
            given = dict(getattr(logger, "hparams", None) or {})
            if not given or not getattr(logger, "_default_hp_metric", True):
                known = given | {name: content[name] for name in _HPARAMS if content.get(name)}
                with suppress(ImportError):
                    add_hparams(writer, known)


def tell(loggers: Iterable[Any], prefix: str, watcher: Watcher, *, step: int, moment: float | None) -> None:
    """Write what scalars cannot say: the verdict as text, and, at a milestone, the fan.

    Args:
        loggers: the Trainer's.
        prefix: of the tags.
        watcher: what speaks.
        step: completed optimizer steps.
        moment: share of the horizon that has just been passed, for a fan from here on.
    """
    for writer in writers(loggers):
        writer.add_text(f"{prefix}/verdict", told(watcher.verdict), step)
        if moment is not None:
            add_fan(writer, watcher, f"{prefix}/{moment_of(moment)}")


def write_sidecar(
    loggers: Iterable[Any], content: Mapping[str, Any], *, failed: Callable[[OSError, str], None]
) -> None:
    """Write the plan beside each log that lies in a folder, local or remote, for the readers to find.

    Args:
        loggers: the Trainer's.
        content: the plan.
        failed: called with the error, and what it kept from being done.
    """
    import fsspec  # type: ignore[import-untyped]  # Lightning depends on it

    for logger in loggers:
        folder = _wandb_folder(logger) or getattr(logger, "log_dir", None)
        if not isinstance(folder, str):
            continue
        try:
            with fsspec.open(f"{folder}/{SIDECAR}", "w", auto_mkdir=True) as file:
                json.dump(content, file)
        except OSError as error:
            failed(error, f"curvecast could not write its plan beside the log, at {folder}")


def tag_stores(loggers: Iterable[Any], content: Mapping[str, Any]) -> None:
    """Note the plan among the tags of MLflow's runs: a store holds many of them, and has no place beside each."""
    for logger in loggers:
        if _is_a(logger, "MLFlowLogger"):
            logger.experiment.set_tag(logger.run_id, PLAN_TAG, json.dumps(content))


def _wandb_folder(logger: Any) -> str | None:
    """Where W&B writes a run's log: beside the files of the run, not among them, for those are uploaded."""
    files = getattr(logger.experiment, "dir", None) if _is_a(logger, "WandbLogger") else None
    return str(Path(files).parent) if isinstance(files, str) else None


def _is_a(logger: Any, name: str) -> bool:
    """Whether a logger is of a kind of Lightning's, of either package, or of one that is made from it."""
    return any(kind.__name__ == name for kind in type(logger).__mro__)
