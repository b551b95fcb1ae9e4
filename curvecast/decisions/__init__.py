"""One reason to stop a file; each is one comparison of two named quantities, with a probability.

What a decision looks at is a `view`, which rests on `foretold`, `turned` and `moment`. These ask `exchange` (at which
rate train loss is traded for validation loss), `rise` and `repeats` (a turn that has come, or will), `validations` and
the `alarm`. What it says is a finding of `base`, with `details`; `choices` are what can be done now, and `saying` makes
the verdict of all findings.
"""

from curvecast.decisions.base import Decision, Finding, Reason, Verdict
from curvecast.decisions.choices import Choice
from curvecast.decisions.compute_efficiency import ComputeEfficiency
from curvecast.decisions.divergence import Divergence
from curvecast.decisions.never import Never
from curvecast.decisions.no_improvement import NoImprovement
from curvecast.decisions.overfitting import Overfitting
from curvecast.decisions.patience import Patience
from curvecast.decisions.plateau import Plateau
from curvecast.decisions.prechelt import GeneralizationLoss, ProgressQuotient, SuccessiveRises
from curvecast.decisions.target import TargetOutOfReach
from curvecast.decisions.view import View

__all__ = [
    "Choice",
    "ComputeEfficiency",
    "Decision",
    "Divergence",
    "Finding",
    "GeneralizationLoss",
    "Never",
    "NoImprovement",
    "Overfitting",
    "Patience",
    "Plateau",
    "ProgressQuotient",
    "Reason",
    "SuccessiveRises",
    "TargetOutOfReach",
    "Verdict",
    "View",
]
