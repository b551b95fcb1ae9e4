"""What is believed of a run before its first step, in units that no run has yet.

Every number is relative: losses to the loss where the run now stands, steps to the steps done so far. So a
curve in bits, or counted in tokens, meets the same prior as the same curve in nats and optimizer steps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from curvecast.curve import FloatArray

SCHEMA = 1
_SETTLED = 5.0  # times what was seen: as far as a curve tells of what is to come


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior over the shapes (a grid) and the coefficients (Gaussian) of one run's curve.

    Args:
        alpha: Grid of the power law's exponent.
        alpha_log_mean, alpha_log_sd: Log-normal weight of that grid.
        offset: Grid of the offset ``s0`` in ``x = (S1 + s0)^-alpha``, in units of the summed LR so far.
        window: Grid of the start of the law's window, as a share of the steps done; before it the curve wanders.
        drift: Grid of the discrepancy's size: standard deviation of the wander per square root of an e-fold
            of steps, relative to the loss.
        drift_growth: How much more the curve wanders where the loss stood higher: times one plus this times the
            relative loss above the present one.
        annealing_time: Grid of the summed LR in which half of an annealing gain arrives, relative to the
            schedule's total.
        converged, converged_sd: ``L_N`` relative to the loss now.
        reducible, reducible_sd: ``A x(now)``, what training at this LR could still take away.
        annealing: ``(speed, weight)``: what a full decay takes away, ``B``, in units of what one more e-fold of
            steps would bring at the horizon. It is a mixture; 1 means that a decay is worth 2.7 times the steps.
        annealing_sd: What ``B`` may differ from that, relative to the loss.
        gap_sd: Offset of validation against train loss.
        growth: Weight of 'validation loss does not turn up'; the rest is spread over the onsets.
        growth_sd: ``G``, the slope of the rise per doubling of the steps since its onset.
        onset: Grid of where the rise starts, as a share of the steps done.
        drop_error: Standard deviation of the share of a predicted drop that fails to come, at twice the steps;
            it grows with the square root of the doublings.
        sudden: Probability that a run whose start is all that was seen has a sudden drop ahead, as small networks
            have. It falls in proportion to the share of the way that was seen, to none at a fifth.
        sudden_size, sudden_sd: That drop, relative to the loss.
        source: Where these numbers come from.

    Example:
        >>> Prior().drop_error > 0
        True
    """

    alpha: tuple[float, ...] = (0.1, 0.137, 0.188, 0.257, 0.352, 0.483, 0.661, 0.906, 1.24, 1.7)
    alpha_log_mean: float = -0.8
    alpha_log_sd: float = 0.45
    offset: tuple[float, ...] = (-0.9, 0.2)
    window: tuple[float, ...] = (0.0, 0.03, 0.15)
    drift: tuple[float, ...] = (0.0015, 0.006)
    drift_growth: float = 20.0
    annealing_time: tuple[float, ...] = (0.003, 0.05)
    converged: float = 0.8
    converged_sd: float = 0.25
    reducible: float = 0.2
    reducible_sd: float = 0.18
    annealing: tuple[tuple[float, float], ...] = ((0.8, 0.5), (1.5, 0.5))
    annealing_sd: float = 0.022
    gap_sd: float = 0.2
    growth: float = 0.95
    growth_sd: float = 0.1
    onset: tuple[float, ...] = (0.1, 0.3, 0.6, 0.85)
    drop_error: float = 0.2
    sudden: float = 0.4
    sudden_size: float = 0.25
    sudden_sd: float = 0.12
    source: str = "set by hand"

    def save(self, path: str | Path) -> None:
        """Write the prior as JSON."""
        Path(path).write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Prior:
        """Read a prior that ``save`` wrote."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Prior:
        """The prior whose plain form this is; unknown keys are left out."""
        if state.get("schema") != SCHEMA:
            raise ValueError(f"`schema` of a prior must be {SCHEMA}: got {state.get('schema')!r}. Learn it anew.")
        known = {f.name for f in fields(cls)}
        return cls(**{k: _tuples(v) for k, v in state.items() if k in known})

    def sudden_drop(self, now: float, step: FloatArray) -> FloatArray:
        """``(m,)`` probability of a sudden drop between ``now`` and each of ``(m,)`` steps.

        Example:
            >>> Prior().sudden_drop(500.0, np.array([2500.0, 5000.0])).tolist()
            [0.0, 0.2]
        """
        return np.asarray(self.sudden * np.maximum(1.0 - _SETTLED * now / step, 0.0))

    def alpha_weights(self) -> FloatArray:
        """Log-weight of each exponent of the grid, up to a constant."""
        logs = np.log(self.alpha)
        return np.asarray(-0.5 * ((logs - self.alpha_log_mean) / self.alpha_log_sd) ** 2)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
