"""How much the callback says, where, and under which names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is said, and where.

    Args:
        prefix: of the tags that are logged.
        prefixes: those of all the Trainer's CurveCast callbacks; the first one's writes panels and sidecar.
        monitor: the metric that the user named.
        milestones: shares of the horizon at which the forecast is said.
        log: whether to write to the loggers.
        progress_bar: whether the bar shows the forecast.
        verbose: whether to print and to announce verdicts.
        mute: a trial run (``fast_dev_run``): nothing is written or said.
        train_metric: the training metric that the user named.
        warm_start: "logs": a run that goes on without our state learns its past from its logs.
    """

    prefix: str
    prefixes: tuple[str, ...]
    monitor: str | None
    milestones: tuple[float, ...]
    log: bool
    progress_bar: bool
    verbose: bool
    mute: bool
    train_metric: str | None = None
    warm_start: str | None = None

    @property
    def label(self) -> str:
        """The forecast's name on the progress bar."""
        return self.prefix.replace("curvecast", "forecast", 1)


def prefixes_of(names: Sequence[str | None]) -> tuple[str, ...]:
    """Tags' prefixes of the Trainer's CurveCast callbacks: the first one's is what readers look for.

    Example:
        >>> prefixes_of(["val_loss", "val_b", None])
        ('curvecast', 'curvecast/val_b', 'curvecast/2')
    """
    others = tuple(f"curvecast/{name or index}" for index, name in enumerate(names))[1:]
    return ("curvecast", *others)
