"""From a law and a budget to a plan."""

from curvecast.planning.budget import MFU, PEAK_FLOPS
from curvecast.planning.laboratories import Answer, answers
from curvecast.planning.laws import PlanLaw, law_of
from curvecast.planning.optimum import VALLEY, Choice, best_size, valley
from curvecast.planning.outlook import Budget, Trial
from curvecast.planning.plan import Plan, plan

__all__ = [
    "MFU",
    "PEAK_FLOPS",
    "VALLEY",
    "Answer",
    "Budget",
    "Choice",
    "Plan",
    "PlanLaw",
    "Trial",
    "answers",
    "best_size",
    "law_of",
    "plan",
    "valley",
]
