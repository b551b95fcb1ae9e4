"""The laws across runs: fit a family of them, foretell a larger one.

Runs become `points`, the law is one of `forms`, both make a `problem`, and `fitting` has `solve` solve it and
`held_out` check it. What comes out is a `result`, which is `stored` in a file; `approaches` are Chinchilla's three,
side by side.
"""

from curvecast.family.approaches import Approach, approaches
from curvecast.family.fitting import fit_family
from curvecast.family.held_out import HeldOut
from curvecast.family.result import Family

__all__ = ["Approach", "Family", "HeldOut", "approaches", "fit_family"]
