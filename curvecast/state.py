"""Verdicts, and what stands behind them, as plain types, so that a checkpoint can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from curvecast._settings import number
from curvecast.decisions.base import Reason, Verdict
from curvecast.decisions.choices import Choice
from curvecast.decisions.exchange import Trade
from curvecast.forecast import Forecast

SCHEMA = 1


def check_schema(state: Mapping[str, Any]) -> None:
    """Whether a state is one that this version can read.

    Raises:
        ValueError: if it was written by a version with another schema.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"`state` must come from `state_dict`: got {state!r:.40}. Pass what it gave.")
    if state.get("schema") != SCHEMA:
        raise ValueError(
            f"`state` must have schema {SCHEMA}: got {state.get('schema')!r}. "
            "Load it with the version of curvecast that wrote it, or replay the run's log."
        )


def dump_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain types."""
    return {
        "should_stop": verdict.should_stop,
        "reason": str(verdict.reason),
        "message": verdict.message,
        "probability": verdict.probability,
        "step": verdict.step,
        "details": dict(verdict.details),
        "choices": [choice.to_dict() for choice in verdict.choices],
        "forecast": None if verdict.forecast is None else verdict.forecast.to_dict(),
    }


def load_verdict(state: Mapping[str, Any]) -> Verdict:
    """What ``dump_verdict`` wrote."""
    ahead = state["forecast"]
    return Verdict(
        should_stop=_yes_or_no(state["should_stop"]),
        reason=Reason(state["reason"]),
        words=_sentence(state["message"]),
        probability=float(known(state["probability"])),
        step=int(state["step"]),
        forecast=None if ahead is None else Forecast.from_dict(ahead),
        details=dict(state["details"]),
        offer=tuple(Choice.from_dict(choice) for choice in state["choices"]),
    )


def _sentence(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} for a sentence")
    return value


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r:.40} for true or false")
    return value


def dump_trade(trade: Trade | None) -> list[Any] | None:
    """What the rate of exchange told, as plain lists."""
    return None if trade is None else [trade.behind, [list(end) for end in trade.ends], list(trade.now)]


def load_trade(state: list[Any] | None) -> Trade | None:
    """What ``dump_trade`` wrote."""
    if state is None:
        return None
    behind, ways, here = state
    ends = tuple((float(known(weight)), float(known(end)), float(known(sd))) for weight, end, sd in ways)
    now = tuple(float(known(each)) for each in here)
    if now and len(now) != len(ends):
        raise ValueError(f"{len(now)} numbers for {len(ends)} ways that validation may go")
    return Trade(float(known(behind)), ends, now)


def known(value: object) -> Any:
    """A number of a state, or ``None``.

    Raises:
        ValueError: if it is neither.
    """
    if value is not None and not (isinstance(value, int | float) and abs(number(value)) < math.inf):
        raise ValueError(f"{value!r:.40} for a number")
    return value
