"""What a run's configuration tells of its plan, under the names that training scripts use."""

from __future__ import annotations

from collections.abc import Mapping

_HORIZONS = "max_steps max_iters total_steps num_iterations train_iters train_steps num_train_steps max_train_steps"
_DEEPEST = 4  # levels of nesting; deeper stands no plan, and a configuration may be any data


def plan_of(config: Mapping[str, object]) -> dict[str, object]:
    """The entries of ``Run.meta`` that a configuration gives: so far the horizon, where just one number is named.

    Example:
        >>> plan_of({"optimizer": {"lr": 1e-3}, "trainer": {"max_steps": 20_000}})
        {'horizon': 20000}
    """
    found = {number for name, number in _numbers(config, _DEEPEST) if name in _HORIZONS.split() and number >= 1}
    return {"horizon": found.pop()} if len(found) == 1 else {}


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
