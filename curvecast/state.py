"""Verdicts as plain types, so that a checkpoint can hold the standing one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from curvecast.decisions.base import Reason, Verdict
from curvecast.forecast import Forecast

SCHEMA = 1


def dump_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain types."""
    return {
        "should_stop": verdict.should_stop,
        "reason": str(verdict.reason),
        "message": verdict.message,
        "probability": verdict.probability,
        "step": verdict.step,
        "details": dict(verdict.details),
        "forecast": None if verdict.forecast is None else _dump_forecast(verdict.forecast),
    }


def load_verdict(state: Mapping[str, Any]) -> Verdict:
    """What ``dump_verdict`` wrote."""
    ahead = state["forecast"]
    return Verdict(
        should_stop=state["should_stop"],
        reason=Reason(state["reason"]),
        message=state["message"],
        probability=state["probability"],
        step=state["step"],
        forecast=None if ahead is None else _load_forecast(ahead),
        details=dict(state["details"]),
    )


def _dump_forecast(ahead: Forecast) -> dict[str, Any]:
    return {
        "step": np.asarray(ahead.step).tolist(),
        "of": ahead.of,
        "weight": ahead.weight.tolist(),
        "means": ahead.means.tolist(),
        "stds": ahead.stds.tolist(),
    }


def _load_forecast(state: Mapping[str, Any]) -> Forecast:
    step = state["step"]
    return Forecast(
        np.array(step) if isinstance(step, list) else step,
        state["of"],
        np.array(state["weight"]),
        np.array(state["means"]),
        np.array(state["stds"]),
    )
