"""The laws across runs: fit a family of them, foretell a larger one."""

from curvecast.family.approaches import Approach, approaches
from curvecast.family.fitting import fit_family
from curvecast.family.held_out import HeldOut
from curvecast.family.result import Family

__all__ = ["Approach", "Family", "HeldOut", "approaches", "fit_family"]
