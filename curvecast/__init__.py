"""curvecast: where a training run ends, how sure that is, and whether to go on.

    watcher = curvecast.Watcher(horizon=20_000)
    verdict = watcher.update(step, train_loss=loss)
    print(watcher.forecast())

Names are imported when they are first used, so that ``import curvecast`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curvecast import capability, counting, plots  # noqa: F401
    from curvecast.curve import Sample
    from curvecast.decisions import (
        ComputeEfficiency,
        Decision,
        Divergence,
        Never,
        Overfitting,
        Plateau,
        Reason,
        TargetOutOfReach,
        Verdict,
    )
    from curvecast.family import Family, fit_family
    from curvecast.fit.prior import Prior
    from curvecast.forecast import Forecast, Interval, NotEnoughSamples
    from curvecast.laws.base import FamilyLaw
    from curvecast.laws.kaplan import Kaplan
    from curvecast.learn import learn_prior
    from curvecast.readers import Run, read
    from curvecast.replay import watch
    from curvecast.schedule import Schedule
    from curvecast.watcher import Watcher

__version__ = "0.1.0"

_HOME = {
    "ComputeEfficiency": "curvecast.decisions",
    "Decision": "curvecast.decisions",
    "Divergence": "curvecast.decisions",
    "Family": "curvecast.family",
    "FamilyLaw": "curvecast.laws.base",
    "Forecast": "curvecast.forecast",
    "Interval": "curvecast.forecast",
    "Kaplan": "curvecast.laws.kaplan",
    "Never": "curvecast.decisions",
    "NotEnoughSamples": "curvecast.forecast",
    "Overfitting": "curvecast.decisions",
    "Plateau": "curvecast.decisions",
    "Prior": "curvecast.fit.prior",
    "Reason": "curvecast.decisions",
    "Run": "curvecast.readers",
    "Sample": "curvecast.curve",
    "Schedule": "curvecast.schedule",
    "TargetOutOfReach": "curvecast.decisions",
    "Verdict": "curvecast.decisions",
    "Watcher": "curvecast.watcher",
    "PossibleSchedule": "curvecast.infer",
    "fit_family": "curvecast.family",
    "learn_prior": "curvecast.learn",
    "read": "curvecast.readers",
    "watch": "curvecast.replay",
}

__all__ = [
    "ComputeEfficiency",
    "Decision",
    "Divergence",
    "Family",
    "FamilyLaw",
    "Forecast",
    "Interval",
    "Kaplan",
    "Never",
    "NotEnoughSamples",
    "Overfitting",
    "Plateau",
    "Prior",
    "Reason",
    "Run",
    "Sample",
    "Schedule",
    "TargetOutOfReach",
    "Verdict",
    "Watcher",
    "fit_family",
    "learn_prior",
    "read",
    "watch",
]


_ROOMS = ("capability", "counting", "plots")  # modules that are reached by their name


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"curvecast.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'curvecast' has no attribute {name!r}. It has: {', '.join(__all__)}.")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
