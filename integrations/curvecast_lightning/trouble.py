"""What goes wrong around us, or takes too long: said once, and kept from the training."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SLOW = 0.5  # a sample that takes longer [s of CPU time] is told of,
SHARE = 0.1  # if our samples took more than this share of the run's time
OWN = "curvecast"
log = logging.getLogger("curvecast")


class Trouble:
    """Warns once a cause.

    Example:
        >>> trouble = Trouble()
        >>> trouble.write(["broken"], {"curvecast/lr": 0.1}, step=1)  # warns that a str has no log_metrics
        >>> trouble.write(["broken"], {"curvecast/lr": 0.1}, step=2)
    """

    def __init__(self) -> None:
        self._told: set[object] = set()
        self._given_up: set[int] = set()
        self._began = time.monotonic()
        self._spent = 0.0

    def tell(self, error: BaseException, message: str) -> None:
        """Warn, unless the same cause was told of already: a full disk is one, whoever meets it."""
        cause = error.errno if isinstance(error, OSError) and error.errno is not None else message
        if cause not in self._told:
            self._told.add(cause)
            log.warning("%s: %s: %s. Training goes on.", message, type(error).__name__, error)

    def write(self, loggers: Iterable[Any], scalars: Mapping[str, float], *, step: int) -> None:
        """Log scalars; a logger that fails gets none any more, and keeps none."""
        for logger in loggers:
            if id(logger) in self._given_up:
                continue
            try:
                logger.log_metrics(scalars, step=step)
            except Exception as error:
                self._given_up.add(id(logger))
                _take_back(logger)
                self.tell(error, f"curvecast logs nothing more to {type(logger).__name__}, which failed")

    @contextmanager
    def of_panels(self) -> Iterator[None]:
        """What is drawn beside the scalars may fail, and is then left out."""
        try:
            yield
        except Exception as error:
            self.tell(error, "curvecast could not write its panels")

    def took(self, seconds: float) -> None:
        """Take note of what a sample took, as its thread's time: a busy machine is not our fault.

        No verdict depends on it.
        """
        self._spent += seconds
        if seconds <= SLOW or SLOW in self._told:
            return
        share = self._spent / max(time.monotonic() - self._began, 1e-9)
        if share > SHARE:
            self._told.add(SLOW)
            log.warning(
                "curvecast is slow: a forecast took %.2f s, and all of them %.0f %% of the run's time so far. "
                "Training goes on; CurveCast(every_n_steps=...) with a larger number asks for fewer.",
                seconds,
                100.0 * share,
            )


def _take_back(logger: Any) -> None:
    """Remove our rows from Lightning's CSVLogger, which would fail over them once more at the end of the training."""
    rows = getattr(getattr(logger, "experiment", None), "metrics", None)
    if isinstance(rows, list):
        rows[:] = [row for row in rows if not _is_ours(row)]


def _is_ours(row: Any) -> bool:
    return isinstance(row, Mapping) and all(name == "step" or str(name).startswith(OWN) for name in row)
