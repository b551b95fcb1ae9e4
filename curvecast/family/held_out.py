"""The check of a family on its own largest runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How the largest runs were foretold by a fit of the smaller ones.

    Args:
        num_params: of the largest run that was foretold.
        trained_up_to: parameters of the largest run in that fit.
        runs: how many last losses were foretold.
        error: median of ``|forecast / truth - 1|`` over their last losses [1].
        bias: median of ``forecast / truth - 1`` [1].
        covered: share of these losses inside the 90 % interval.

    Example:
        >>> print(HeldOut(5.6e4, 2.5e4, 1, 0.006, 0.006, 1.0))
        fitted up to 2.5e+04 parameters, the end of a run of 5.6e+04 was foretold +0.60 % off, inside its 90 % interval
    """

    num_params: float
    trained_up_to: float
    runs: int
    error: float
    bias: float
    covered: float

    def __str__(self) -> str:
        fitted = f"fitted up to {self.trained_up_to:.3g} parameters"
        if self.runs == 1:
            inside = "inside" if self.covered else "outside"
            return (
                f"{fitted}, the end of a run of {self.num_params:.3g} was foretold {100 * self.bias:+.2f} % off, "
                f"{inside} its 90 % interval"
            )
        return (
            f"{fitted}, {self.runs} last losses of runs of up to {self.num_params:.3g} were foretold "
            f"{100 * self.error:.2f} % off at the median ({100 * self.bias:+.2f} %), {100 * self.covered:.0f} % of "
            "them inside the 90 % interval"
        )
