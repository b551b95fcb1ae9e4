"""What the Trainer of Hugging Face notes of its arguments in an event file: how long the run is to be.

Its ``TensorBoardCallback`` writes them as JSON, once, as a text summary of the tag "args".
"""

from __future__ import annotations

import math
import re

import numpy as np

from curvecast.readers.base import Notes, Series

ARGS = "args/text_summary"
EPOCH = "train/epoch"  # a scalar that it writes beside every loss
_MAX_STEPS = re.compile(r'"max_steps": (-?\d{1,15})\b')  # -1: epochs end the run
_EPOCHS = re.compile(r'"num_train_epochs": (\d{1,9}(?:\.\d{1,9})?)\b')
_ROUNDED = 0.005  # older versions tell the epoch to two digits
_SURE = 0.02  # share of an epoch's steps: if they are known less closely, they give no horizon


def planned(args: str, epochs: Series | None, notes: Notes) -> dict[str, object]:
    """The horizon as an entry of a log's ``meta``; nothing where the arguments and the epochs so far do not tell it.

    Args:
        args: text that begins with the arguments, or without any.
        epochs: the epoch at each logged step, where it was logged.
        notes: what is taken for granted is added here.

    Example:
        >>> half = Series.of([(50, 0.25, 0), (100, 0.5, 1)])
        >>> planned('{"max_steps": -1, "num_train_epochs": 3.0}', half, Notes())
        {'horizon': 600}
    """
    if (told := _MAX_STEPS.search(args)) and int(told[1]) > 0:
        return {"horizon": int(told[1])}
    wanted, steps = _EPOCHS.search(args), None if epochs is None else _steps_of_an_epoch(epochs)
    if wanted is None or steps is None or not float(wanted[1]):
        return {}
    horizon = math.ceil(float(wanted[1]) * steps - 1e-6)
    notes.add(f"horizon: {horizon:,} steps, for the Trainer's {float(wanted[1]):g} epochs of {steps:,}")
    return {"horizon": horizon}


def _steps_of_an_epoch(epochs: Series) -> int | None:
    """The whole number that all rows agree on best; ``None`` while they leave too much open."""
    counted = (epochs.values > 0.0) & (epochs.steps > 0)  # nan is not
    steps, epoch = epochs.steps[counted].astype(np.float64), epochs.values[counted]
    off = _ROUNDED if np.allclose(epoch, epoch.round(2), rtol=1e-6, atol=0.0) else 0.0
    if not (epoch > off).any():
        return None
    least, most = float((steps / (epoch + off)).max()), float((steps / (epoch - off))[epoch > off].min())
    middle = 0.5 * (least + most)
    return round(middle) if 0.5 <= middle < math.inf and abs(most - least) <= _SURE * middle else None
