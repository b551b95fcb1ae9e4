"""What the views that draw have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from curvecast import Run
from curvecast.plots import Axis, Theme, Unit, axis
from curvecast.readers.base import FloatArray
from curvecast.sinks.records import plain
from curvecast_tensorboard.entry import Entry
from curvecast_tensorboard.query import Query
from curvecast_tensorboard.refusal import words

UNITS: tuple[Unit, ...] = ("step", "token", "flop", "time")
DRAWABLE = ("ok", "few_points")


def theme_of(query: Query) -> Theme:
    """The page's theme."""
    theme: Theme = "dark" if query.one_of("theme", ("light", "dark")) == "dark" else "light"
    return theme


def plotted(figure: Any) -> dict[str, Any]:
    """A figure as plotly's JavaScript takes it."""
    told: dict[str, Any] = figure.to_plotly_json()
    told["layout"].pop("template", None)
    return plain(told)  # type: ignore[no-any-return]


def axes_of(entry: Entry) -> tuple[dict[Unit, Axis], dict[str, str | None]]:
    """The x-axes that a run can have, and what each of the others needs."""
    run, watcher = entry.seen()
    found: dict[Unit, Axis] = {}
    needs: dict[str, str | None] = {}
    for unit in UNITS:
        try:
            found[unit] = axis(
                unit,
                batch_tokens=watcher.batch_tokens,
                num_params=watcher.num_params,
                tokens=_logged(run, run.tokens),
                flops=_logged(run, run.flops),
                seconds=entry.clock() if unit == "time" else None,
            )
            needs[unit] = None
        except ValueError as error:
            told = words(error)
            needs[unit] = f"{told['what']}. {told['do']}".strip()
    return found, needs


def _logged(run: Run, values: FloatArray | None) -> tuple[FloatArray, FloatArray] | None:
    """What was logged of tokens or compute, from nothing at step 0, if it rises."""
    if values is None:
        return None
    known = np.isfinite(values)
    steps, counted = run.steps[known].astype(np.float64), values[known]
    if not len(steps) or counted[0] <= 0.0 or np.any(np.diff(counted) < 0.0):
        return None
    return np.append(0.0, steps), np.append(0.0, counted)


def came(run: Run, of: str) -> tuple[FloatArray, FloatArray]:
    """The finite losses of one kind: steps and values."""
    losses = run.val_loss if of == "val" else run.train_loss
    finite = np.isfinite(losses)
    return run.steps[finite].astype(np.float64), losses[finite]


def head(entry: Entry) -> dict[str, Any]:
    """What every answer about a run begins with."""
    return {"run": entry.name, "state": entry.state, "missing": entry.missing}
