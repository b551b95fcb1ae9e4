"""What a run's configuration tells of its plan, under the names that training scripts use."""

from __future__ import annotations

import re
from collections.abc import Mapping

from curvecast.schedule import Schedule
from curvecast.schedule.checks import MOST_STEPS

_HORIZONS = "max_steps max_iters total_steps num_iterations train_iters train_steps num_train_steps max_train_steps"
_NANOGPT = re.compile(
    r"(?m)^\s*(?:Overriding: )?(max_iters|lr_decay_iters|warmup_iters|learning_rate|min_lr|decay_lr)"
    r"\s*=\s*(True|False|[-+.\de]{1,20})(?![\w.])"
)
_SIZES = re.compile(
    r"tokens per iteration will be: (?P<batch>\d[\d,]{0,20})|number of parameters: (?P<millions>\d{1,8}\.\d{2})M"
    r"|(?:found vocab_size = |defaulting to vocab_size of GPT-2 to )(?P<vocab>\d{1,8})"
)
_SHAPE = re.compile(r"(?m)^\s*(?:Overriding: )?(n_layer|n_embd)\s*=\s*(\d{1,6})\b")
_GPT2 = {"n_layer": 12, "n_embd": 768}  # of nanoGPT, where nothing else is told
_NEAR = 0.02  # share that biases, norms, and what was rounded may come to
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
    if not 1.0 <= values.get("max_iters", 0.0) < MOST_STEPS or not values["max_iters"].is_integer():
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


def nanogpt_size(head: str) -> dict[str, object]:
    r"""The entries of ``Run.meta`` that tell the size of a model which nanoGPT trains from scratch, and of its batch.

    What it prints as the number of parameters has the embedding of the tokens in it, which ``num_params`` has not; it
    is left out where the shape is known that the rest must have, told or nanoGPT's own.

    Source: ``get_num_params`` in ``model.py``, and ``train.py`` of karpathy/nanoGPT.

    Example:
        >>> told = "tokens per iteration will be: 491,520\ndefaulting to vocab_size of GPT-2 to 50304\n"
        >>> nanogpt_size(told + "Initializing a new model from scratch\nnumber of parameters: 123.59M\n")
        {'batch_tokens': 491520, 'num_params': 84956528}
    """
    told = {str(match.lastgroup): match[match.lastindex or 0].replace(",", "") for match in _SIZES.finditer(head)}
    meta: dict[str, object] = {"batch_tokens": int(told["batch"])} if "batch" in told else {}
    if "Initializing a new model from scratch" not in head or not told.keys() >= {"millions", "vocab"}:
        return meta
    shape = _GPT2 | {name: int(number) for name, number in _SHAPE.findall(head)}
    rest = round(float(told["millions"]) * 1e6) - int(told["vocab"]) * shape["n_embd"]
    blocks = 12 * shape["n_layer"] * shape["n_embd"] ** 2
    return meta | ({"num_params": rest} if abs(rest / max(blocks, 1) - 1.0) < _NEAR else {})


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
