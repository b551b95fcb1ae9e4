"""Which curves a benchmark asks of, from which siblings they may learn, and under which prior."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _curve import Curve
from _curves import ROOT, load
from rich.console import Console

from curvecast import Prior, Run

PRIORS = ROOT / "benchmarks" / "priors"
_MOST_SIBLINGS = 8


def gather(sets: Sequence[str], folder: Path, taskset: int, console: Console) -> dict[str, list[Curve]]:
    """The curves of the sets that are at hand; of the others it is said why not."""
    if not folder.exists():
        console.print(f"{folder.name} is not there: the public curves are left out, small_runs remain.")
    found: dict[str, list[Curve]] = {}
    for name in sets:
        try:
            curves = load(name, folder, sample=taskset)
        except ModuleNotFoundError as error:
            console.print(f"{name} is left out: it needs {(error.name or '').split('.')[0]}, which is not installed.")
            continue
        if curves:
            found[name] = curves
    return found


def drawn(curves: list[Curve], limit: int | None) -> list[Curve]:
    """A seeded sample of the curves, in their order."""
    if limit is None:
        return curves
    places = np.random.default_rng(0).permutation(len(curves))[:limit]
    return [curves[k] for k in sorted(places.tolist())]


def siblings_of(curve: Curve, group: Sequence[Curve], most: int = _MOST_SIBLINGS) -> list[Run]:
    """Up to eight other runs of the group, one a stream, none that shares samples with the curve."""
    longest: dict[str, Curve] = {}
    for other in group:
        if other.trunk != curve.trunk and len(other.steps) >= len(longest.get(other.stream, other).steps):
            longest[other.stream] = other
    others = list(longest.values())
    drawn = np.random.default_rng(zlib.crc32(curve.trunk.encode())).permutation(len(others))[:most]
    return [others[k].finished() for k in sorted(drawn.tolist())]


def prior_of(name: str, one: Path | None, folder: Path) -> tuple[Prior, str]:
    """The prior that a set is forecast with, and what to call it."""
    path = one or folder / f"{name.split()[0]}.json"
    if not path.exists():
        return Prior(), f"the shipped prior ({Prior().source})"
    kind = "given" if one else "fitted without this set"
    return Prior.load(path), f"{path.name}, {kind}"
