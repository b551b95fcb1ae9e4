"""What a run's configuration tells of its plan, under the names that training scripts use."""

from __future__ import annotations

import re
from collections.abc import Mapping

from curvecast.schedule import Schedule

_HORIZONS = "max_steps max_iters total_steps num_iterations train_iters train_steps num_train_steps max_train_steps"
_NANOGPT = re.compile(
    r"(?m)^\s*(?:Overriding: )?(max_iters|lr_decay_iters|warmup_iters|learning_rate|min_lr|decay_lr)"
    r"\s*=\s*(True|False|[-+.\de]{1,20})(?![\w.])"
)
_MOST = 2**53  # most steps that are believed
_DEEPEST = 4  # levels of nesting; deeper stands no plan, and a configuration may be any data


def plan_of(config: Mapping[str, object]) -> dict[str, object]:
    """The entries of ``Run.meta`` that a configuration gives: so far the horizon, where just one number is named.

    Example:
        >>> plan_of({"optimizer": {"lr": 1e-3}, "trainer": {"max_steps": 20_000}})
        {'horizon': 20000}
    """
    found = {number for name, number in _numbers(config, _DEEPEST) if name in _HORIZONS.split() and number >= 1}
    return {"horizon": found.pop()} if len(found) == 1 else {}


def nanogpt_plan(head: str) -> dict[str, object]:
    r"""The entries of ``Run.meta`` that the settings give which nanoGPT prints before it trains, as far as it does.

    It makes one update more than ``max_iters``, for it counts them from 0 up to that number.

    Source: ``train.py`` and ``configurator.py`` of karpathy/nanoGPT.

    Example:
        >>> nanogpt_plan("Overriding: max_iters = 2000\ndecay_lr = False\n")["horizon"]
        2001
    """
    told = dict(_NANOGPT.findall(head))
    values = {name: number for name, text in told.items() if (number := _number(text)) is not None}
    if not 1.0 <= values.get("max_iters", 0.0) < _MOST or not values["max_iters"].is_integer():
        return {}
    horizon = int(values["max_iters"]) + 1
    meta: dict[str, object] = {"horizon": horizon}
    if told.get("decay_lr") == "False":
        return meta | {"schedule": Schedule.constant(horizon).to_dict()}
    if not values.keys() >= {"learning_rate", "min_lr", "warmup_iters"}:
        return meta
    if values.get("lr_decay_iters") != values["max_iters"]:
        return meta
    try:
        floor, warmup = values["min_lr"] / values["learning_rate"], int(values["warmup_iters"])
        return meta | {"schedule": Schedule.cosine(horizon, warmup=warmup, floor=floor).to_dict()}
    except (ValueError, ZeroDivisionError, OverflowError):
        return meta


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _numbers(config: Mapping[str, object], depth: int) -> list[tuple[str, int]]:
    numbers: list[tuple[str, int]] = []
    for name, value in config.items():
        if isinstance(value, Mapping) and depth:
            numbers += _numbers({str(key): inner for key, inner in value.items()}, depth - 1)
        elif isinstance(value, int) and not isinstance(value, bool):
            numbers.append((name.rpartition("/")[2], value))
        elif isinstance(value, str) and value.isdecimal() and len(value) < 16:  # MLflow keeps text
            numbers.append((name.rpartition("/")[2], int(value)))
    return numbers
