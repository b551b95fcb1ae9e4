"""Where validation loss is lowest, past or to come."""

from __future__ import annotations

import numpy as np

from curvecast.decisions.view import View

_FIRST, _STEPS, _DRAWS = 0.02, 120, 400  # from this share of the plan on, at so many steps, on so many curves


def best_step(view: View, level: float) -> tuple[float, float, float]:
    """The step of the lowest validation loss: median, and the ends of the interval [steps].

    Args:
        view: Of a run with a validation loss.
        level: Probability that the step lies inside.
    """
    steps = np.geomspace(max(_FIRST * view.end, 1.0), view.end, _STEPS)
    best = steps[np.argmin(view.draw(steps, _DRAWS, val=True), axis=1)]
    if view.behind and view.best_val is not None:  # with that probability the law no longer holds
        kept = np.linspace(0, _DRAWS - 1, round((1.0 - view.behind) * _DRAWS)).astype(np.intp)
        best = np.append(best[kept], np.full(_DRAWS - len(kept), float(view.best_val[0])))
    median, lower, upper = np.quantile(best, [0.5, 0.5 - 0.5 * level, 0.5 + 0.5 * level]).tolist()
    return median, lower, upper
