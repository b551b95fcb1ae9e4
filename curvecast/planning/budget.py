"""Compute, machines and hours: what is given, and what follows from it."""

from __future__ import annotations

import math

PEAK_FLOPS = {"a100": 312e12, "h100": 989e12, "h200": 989e12}
"""Dense bfloat16 FLOP/s, as the maker states them."""
MFU = 0.4
"""Share of the peak that is assumed where none is given."""

_AGREE = 0.02  # numbers that were all given may contradict each other by this share


def compute(
    flops: float | None,
    N: float | None,
    D: float | None,
    gpus: float | None,
    hours: float | None,
    mfu: float | None,
    gpu: str,
    notes: list[str],
) -> float | None:
    """The compute that the numbers agree on; ``None`` where they leave it open."""
    told: dict[str, float] = {}
    if flops is not None:
        told["`flops`"] = flops
    if N is not None and D is not None:
        told["6 `num_params` `num_tokens`"] = 6 * N * D
    if gpus is not None and hours is not None and (mfu is not None or not told):
        share = MFU if mfu is None else mfu
        if mfu is None:
            notes.append(f"mfu not given: {MFU:g} of the {gpu}'s {PEAK_FLOPS[gpu]:.3g} FLOP/s is assumed")
        told["`gpus`, `hours` and `mfu`"] = gpus * hours * 3600 * share * PEAK_FLOPS[gpu]
    values = list(told.values())
    if values and max(values) > (1 + _AGREE) * min(values):
        said = ", ".join(f"{name} give {value:.3g}" for name, value in told.items())
        raise ValueError(f"The numbers contradict each other: {said} FLOP. Leave one out, and it is worked out.")
    return values[0] if values else None


def machines(
    C: float, gpus: float | None, hours: float | None, mfu: float | None, gpu: str, notes: list[str]
) -> tuple[float | None, float | None, float | None]:
    """What is missing of machines, hours and their use."""
    if gpus is None and hours is None:
        return None, None, mfu
    busy = C / (3600 * PEAK_FLOPS[gpu])
    if gpus is not None and hours is not None:
        needed = busy / (gpus * hours)
        if needed > 1:
            raise ValueError(
                f"{gpus:g} {gpu} in {hours:g} hours give at most {C / needed:.3g} FLOP at their peak: got {C:.3g}. "
                "Pass more GPUs, more hours, or less compute."
            )
        return gpus, hours, needed
    if mfu is None:
        mfu = MFU
        notes.append(f"mfu not given: {MFU:g} of the {gpu}'s {PEAK_FLOPS[gpu]:.3g} FLOP/s is assumed")
    if gpus is None:
        return busy / (mfu * float(hours or math.nan)), hours, mfu
    return gpus, busy / (mfu * gpus), mfu
