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
    """

    num_params: float
    trained_up_to: float
    runs: int
    error: float
    bias: float
    covered: float

    def __str__(self) -> str:
        return (
            f"fitted up to {self.trained_up_to:.3g} parameters, {self.runs} last losses of runs of up to "
            f"{self.num_params:.3g} were foretold {100 * self.error:.2f} % off at the median "
            f"({100 * self.bias:+.2f} %), {100 * self.covered:.0f} % of them inside the 90 % interval"
        )
