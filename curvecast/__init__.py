"""curvecast: where a training run ends, how sure that is, and whether to go on.

Of a run that trains, step by step:

    >>> import curvecast
    >>> watcher = curvecast.Watcher(schedule=curvecast.Schedule.cosine(2000))
    >>> for step in range(1, 501):
    ...     verdict = watcher.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    >>> verdict.reason.value, verdict.should_stop
    ('on_track', False)
    >>> lower, upper = watcher.forecast().interval(0.9)  # of the loss at the horizon

Of a run that was logged, or lies in a table such as a pandas ``DataFrame``:

    watcher = curvecast.watch("runs/d12", horizon=20_000)
    print(watcher.verdict)
    watcher.plot()

What is here, by what it is for:

- a run: ``Watcher``, ``Schedule``, ``Sample``; what it says: ``Verdict``, ``Reason``, ``Choice``, ``Forecast``,
  ``Interval``, ``NotEnoughSamples``, ``PossibleSchedule``;
- logs: ``read``, ``watch``, ``Run``, ``choose_tags``;
- what is judged: ``Divergence``, ``Overfitting``, ``ComputeEfficiency``, ``Plateau``; on request ``NoImprovement``,
  ``TargetOutOfReach``, ``Patience``, ``GeneralizationLoss``, ``ProgressQuotient``, ``SuccessiveRises``, ``Never``;
  for decisions of your own ``Decision``, ``View``, ``Finding``;
- what finished runs teach: ``learn_prior``, ``Prior``;
- scaling laws: ``fit_family``, ``Family``, ``FamilyLaw``, ``Kaplan``, ``NoiseScale``, and the modules ``laws``,
  ``counting`` and ``capability``; figures: ``plots``.

``curvecast --help`` tells of the command line; ``curvecast_lightning.CurveCast`` is the callback for Lightning.
Names are imported when they are first used, so that ``import curvecast`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curvecast import capability, counting, laws, plots  # noqa: F401
    from curvecast.curve import Sample
    from curvecast.decisions import (
        Choice,
        ComputeEfficiency,
        Decision,
        Divergence,
        Finding,
        GeneralizationLoss,
        Never,
        NoImprovement,
        Overfitting,
        Patience,
        Plateau,
        ProgressQuotient,
        Reason,
        SuccessiveRises,
        TargetOutOfReach,
        Verdict,
        View,
    )
    from curvecast.family import Family, fit_family
    from curvecast.fit.prior import Prior
    from curvecast.forecast import Forecast, Interval, NotEnoughSamples
    from curvecast.laws.base import FamilyLaw
    from curvecast.laws.kaplan import Kaplan
    from curvecast.laws.noise_scale import NoiseScale
    from curvecast.learn import learn_prior
    from curvecast.readers import Run, choose_tags, read
    from curvecast.replay import watch
    from curvecast.schedule import Schedule
    from curvecast.watcher import Watcher

__version__ = "0.1.0"

_HOME = {
    "Choice": "curvecast.decisions",
    "ComputeEfficiency": "curvecast.decisions",
    "Decision": "curvecast.decisions",
    "Divergence": "curvecast.decisions",
    "Family": "curvecast.family",
    "FamilyLaw": "curvecast.laws.base",
    "Finding": "curvecast.decisions",
    "Forecast": "curvecast.forecast",
    "GeneralizationLoss": "curvecast.decisions",
    "Interval": "curvecast.forecast",
    "Kaplan": "curvecast.laws.kaplan",
    "Never": "curvecast.decisions",
    "NoImprovement": "curvecast.decisions",
    "NoiseScale": "curvecast.laws.noise_scale",
    "NotEnoughSamples": "curvecast.forecast",
    "Overfitting": "curvecast.decisions",
    "Patience": "curvecast.decisions",
    "Plateau": "curvecast.decisions",
    "PossibleSchedule": "curvecast.infer",
    "Prior": "curvecast.fit.prior",
    "ProgressQuotient": "curvecast.decisions",
    "Reason": "curvecast.decisions",
    "Run": "curvecast.readers",
    "Sample": "curvecast.curve",
    "Schedule": "curvecast.schedule",
    "SuccessiveRises": "curvecast.decisions",
    "TargetOutOfReach": "curvecast.decisions",
    "Verdict": "curvecast.decisions",
    "View": "curvecast.decisions",
    "Watcher": "curvecast.watcher",
    "choose_tags": "curvecast.readers",
    "fit_family": "curvecast.family",
    "learn_prior": "curvecast.learn",
    "read": "curvecast.readers",
    "watch": "curvecast.replay",
}

__all__ = [
    "Choice",
    "ComputeEfficiency",
    "Decision",
    "Divergence",
    "Family",
    "FamilyLaw",
    "Finding",
    "Forecast",
    "GeneralizationLoss",
    "Interval",
    "Kaplan",
    "Never",
    "NoImprovement",
    "NoiseScale",
    "NotEnoughSamples",
    "Overfitting",
    "Patience",
    "Plateau",
    "PossibleSchedule",
    "Prior",
    "ProgressQuotient",
    "Reason",
    "Run",
    "Sample",
    "Schedule",
    "SuccessiveRises",
    "TargetOutOfReach",
    "Verdict",
    "View",
    "Watcher",
    "choose_tags",
    "fit_family",
    "learn_prior",
    "read",
    "watch",
]


_ROOMS = ("capability", "counting", "laws", "plots")  # modules that are reached by their name
_COMMANDS = {  # of the command line, which somebody who has met it first looks for here
    "analyze": "curvecast.watch(path) judges one run, and [curvecast.watch(run) for run in curvecast.read(path)] many",
    "fit": "it is curvecast.fit_family(curvecast.read(path))",
    "learn": "it is curvecast.learn_prior(curvecast.read(path))",
    "plan": "it is curvecast.planning.plan, after `import curvecast.planning`",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"curvecast.{name}")
    if name in _COMMANDS:
        raise AttributeError(f"`curvecast {name}` is a command of the shell. In Python {_COMMANDS[name]}.")
    if name not in _HOME:
        raise AttributeError(f"module 'curvecast' has no attribute {name!r}. It has: {', '.join(__all__)}.")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
