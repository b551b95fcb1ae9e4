"""The check of a family on its own largest runs."""

from __future__ import annotations

from dataclasses import dataclass

from curvecast.notation import amount


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
        >>> print(HeldOut(56_000, 25_000, 1, 0.006, 0.006, 1.0))
        fitted up to 25k parameters, the end of a run of 56k was foretold +0.60 % off, inside its 90 % interval
    """

    num_params: float
    trained_up_to: float
    runs: int
    error: float
    bias: float
    covered: float

    def __str__(self) -> str:
        fitted = f"fitted up to {amount(self.trained_up_to)} parameters"
        if self.runs == 1:
            inside = "inside" if self.covered else "outside"
            return (
                f"{fitted}, the end of a run of {amount(self.num_params)} was foretold {100 * self.bias:+.2f} % off, "
                f"{inside} its 90 % interval"
            )
        return (
            f"{fitted}, {self.runs} last losses of runs of up to {amount(self.num_params)} were foretold "
            f"{100 * self.error:.2f} % off at the median ({100 * self.bias:+.2f} %), {100 * self.covered:.0f} % of "
            "them inside the 90 % interval"
        )
