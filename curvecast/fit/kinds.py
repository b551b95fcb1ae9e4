"""Large networks and small ones: what may differ between them, and what lies between."""

from __future__ import annotations

import math
from typing import Any

# What small networks may have otherwise than large ones.
SIZED = (
    "alpha_log_mean",
    "alpha_log_sd",
    "offset",
    "window",
    "drift",
    "drift_growth",
    "annealing_shape",
    "converged",
    "converged_sd",
    "reducible",
    "reducible_sd",
    "annealing_log_mean",
    "annealing_log_sd",
    "annealing_speed",
    "annealing_sd",
    "drop_error",
    "lesson_error",
    "outlier",
    "outlier_error",
    "sudden",
    "sudden_until",
    "sudden_size",
    "sudden_sd",
)
_LARGE, _SMALL = 1e7, 1e5  # non-embedding parameters: from here on a network is large, from here down it is small
# Passes over its data that no language model is trained for from scratch, and image networks nearly always are: those
# of public logs went 1 to 10 times over it, ResNets 30 to 250 times.
_PASSES = 15.0


def smallness(num_params: float | None) -> float:
    """How small a network is: from 1 at 1e5 parameters to 0 at 1e7, with the logarithm; 0.5 where unknown.

    Example:
        >>> [round(smallness(N), 3) for N in (1e4, 1e6, None, 124e6)]
        [1.0, 0.5, 0.5, 0.0]
    """
    share = 0.5 if num_params is None else math.log(_LARGE / num_params) / math.log(_LARGE / _SMALL)
    return min(max(share, 0.0), 1.0)


def is_other(num_params: float | None, batch_tokens: float | None, passes: float) -> bool:
    """Whether a network of known size, not a small one, is taken for one that is no language model.

    Args:
        num_params: Non-embedding parameters, or ``None``.
        batch_tokens: Tokens of a step; who tells them trains a language model.
        passes: How often it is to see its data; 0 where nobody tells.

    Example:
        >>> is_other(25e6, None, 90.0), is_other(25e6, None, 3.0), is_other(25e6, 5e5, 90.0), is_other(1e4, None, 90.0)
        (True, False, False, False)
    """
    return num_params is not None and num_params > _SMALL and batch_tokens is None and passes >= _PASSES


def blend(large: Any, small: Any, share: float) -> Any:
    """``share`` of the small value, entry by entry of a grid; on the logarithmic scale where both are positive."""
    if isinstance(large, tuple):
        return tuple(blend(a, b, share) for a, b in zip(large, small, strict=True))
    if large > 0.0 and small > 0.0:
        return float(large ** (1.0 - share) * small**share)
    return float((1.0 - share) * large + share * small)


def check_pairs(field_name: str, pairs: Any) -> None:
    """Whether these are numbers that networks may have otherwise."""
    if not (isinstance(pairs, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)):
        raise ValueError(f"`{field_name}` must hold pairs of a field's name and its value: got {pairs!r:.80}.")
    if strange := [name for name, _ in pairs if name not in SIZED]:
        raise ValueError(f"`{field_name}` must hold some of {', '.join(SIZED)}: got {', '.join(map(str, strange))}.")
