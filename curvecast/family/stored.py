"""A family in a file: plain types with units and provenance, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from curvecast.family.forms import FORMS, shaped
from curvecast.family.held_out import HeldOut

if TYPE_CHECKING:
    from curvecast.family.result import Family

SCHEMA = 2  # another one whenever a file of before would mean something else
_NUMBERS = 11  # numbers of a family's file: its middle (2), scatter, drift (2), its reference (2), what was seen (4)


def plain(family: Family) -> dict[str, Any]:
    """A family in plain types, for JSON."""
    form = {"law": family.form.law, "gain": family.form.gain, "size": family.form.size}
    intervals = {
        name: [interval.lower, interval.upper]
        for name in (family.form.parameters if len(family.draws) else ())
        for interval in [family.interval(name)]
    }
    held_out = None
    if family.held_out is not None:
        held_out = {key: getattr(family.held_out, key) for key in HeldOut.__slots__}
    return {
        "schema": SCHEMA,
        "kind": "curvecast.Family",
        "form": form,
        "source": family.form.source,
        "units": {"loss": family.unit, "num_params": family.counts, "num_tokens": family.form.data},
        "parameters": family.parameters,
        "intervals_90": intervals,
        "of": family.of,
        "best": family.best.tolist(),
        "draws": [[float(f"{value:.8g}") for value in row] for row in family.draws.tolist()],
        "middle": [family.n0, family.d0],
        "scatter": family.scatter,
        "drift": list(family.drift),
        "reference": list(family.reference),
        "seen": list(family.seen),
        "held_out": held_out,
        "outliers": dict(family.outliers),
        "residuals": dict(family.residuals),
        "notes": list(family.notes),
        "provenance": dict(family.provenance),
    }


def parts_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a family is made of, by its plain form; what is missing or garbled raises what reading it raises."""
    about = state["form"]
    form = shaped(FORMS[about["law"]], size=about["size"], gain=about["gain"])
    best = np.array(state["best"], dtype=np.float64).reshape(len(form))
    known = [*state["middle"], state["scatter"], *state["drift"], *state["reference"], *state["seen"]]
    draws = np.array(state["draws"], dtype=np.float64).reshape(-1, len(form))
    if len(known) != _NUMBERS or not np.isfinite(np.array([*known, *best.tolist(), *draws.ravel()], np.float64)).all():
        raise ValueError("its numbers")
    if min(state["scatter"], *state["drift"]) < 0.0 or min(state["reference"][1], *state["seen"]) <= 0.0:
        raise ValueError("its numbers")
    for name in ("outliers", "provenance"):
        if not isinstance(state[name], dict):
            raise ValueError(f"its {name}")
    held_out = None if state["held_out"] is None else HeldOut(**state["held_out"])
    return {
        "form": form,
        "best": best,
        "draws": draws,
        "n0": state["middle"][0],
        "d0": state["middle"][1],
        "scatter": state["scatter"],
        "drift": tuple(state["drift"]),
        "reference": (state["reference"][0], state["reference"][1]),
        "seen": tuple(state["seen"]),
        "of": state["of"],
        "unit": state["units"]["loss"],
        "counts": state["units"]["num_params"],
        "held_out": held_out,
        "outliers": state["outliers"],
        "residuals": state["residuals"],
        "notes": tuple(state["notes"]),
        "provenance": state["provenance"],
    }
