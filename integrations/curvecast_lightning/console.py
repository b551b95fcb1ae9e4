"""A line on the terminal that leaves the progress bar whole."""

from __future__ import annotations

import logging
import sys
from typing import Any

log = logging.getLogger("curvecast")


def say(trainer: Any, line: str) -> None:
    """Print a line above the progress bar, or plainly where there is none.

    Lightning's tqdm bar drops what it is given to print while none of its bars is on the screen.

    Args:
        trainer: the Trainer.
        line: without a line end.
    """
    bar = trainer.progress_bar_callback
    if bar is not None and getattr(bar, "is_enabled", False) and _is_drawn(bar):
        bar.print(line)
    else:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def announce(trainer: Any, message: str, *, alarming: bool = False) -> None:
    """Log a message; print it where no logging is set up: its last resort would break the bar's line."""
    if log.hasHandlers():
        log.log(logging.WARNING if alarming else logging.INFO, message)
    else:
        say(trainer, message)


def _is_drawn(bar: Any) -> bool:
    names = ("_train_progress_bar", "_val_progress_bar")
    if not any(hasattr(bar, name) for name in names):
        return True
    tqdm_bars = [getattr(bar, name, None) for name in names]
    return any(b is not None and not b.disable for b in tqdm_bars)
