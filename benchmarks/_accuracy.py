"""The tables of the README and of docs/accuracy.md, written from the record: a page says what was measured.

Each stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. ``forecast_error.py`` and ``demo_forecast.py`` fill
both pages when they have recorded; run as a script, this does so from the records that are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from _curves import ROOT
from _error_figures import CURVE_FIT, CURVECAST, SIBLINGS
from _record import recorded

PAGES = (ROOT / "README.md", ROOT / "docs" / "accuracy.md")
# What a set is, in the order of the tables; "{}" is the number of its curves.
ALL = {
    "multipowerlaw": "{} runs of 25M to 400M, three sizes, nine schedules (multipowerlaw)",
    "modded_nanogpt": "{} speed runs of the 124M class, with Muon and others (modded_nanogpt)",
    "modded_nanogpt steps": "{} of them by the train loss of every step alone",
    "gemstones": "{} cooldowns, foretold before they began (gemstones)",
    "language models sealed": "{} language models of other laboratories, never looked at",
    "language models open": "{} more of them, which were looked at",
    "public logs sized": "{} first trainings of networks of known size, language models and ResNets",
    "other networks sealed": "{} networks of known size of other data than text, never looked at",
    "other networks open": "{} more of them, which were looked at",
    "public logs sealed": "{} logs from public repositories, never looked at",
    "public logs fresh": "{} more, never looked at, from repositories found later",
    "public logs open": "{} more of them, which were looked at",
    "strangers sealed": "{} small runs, each of another unusual recipe, never looked at",
    "strangers open": "{} more of them, which were looked at",
    "small_runs": "{} small runs of our own: GPTs, CNNs, MLPs",
    "small_runs overfit": "{} of our own that overfit",
    "shakespeare": "{} character models of 10M (nanogpt_shakespeare_ablation)",
    "taskset train": "{} small classifiers and others, train loss (taskset)",
    "taskset val": "the same {}, validation loss",
}
_SHORT = ("multipowerlaw", "modded_nanogpt", "language models sealed", "public logs sealed", "strangers sealed")
SHORT = {name: ALL[name] for name in (*_SHORT, "small_runs")}
_NOISY = "coverage 90%, noise of the truth added"  # an interval is for the loss without that noise
_AT = ("10%", "25%", "50%", "80%")
Cell = Callable[[Mapping[str, Mapping[str, float]]], str]  # of method -> figure -> value


def fill() -> None:
    """Write all tables into both pages."""
    tables = tables_of(recorded("forecast_error"), recorded("demo_forecast"))
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table that it has a place for."""
    places = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return places.sub(lambda place: f"{place[1]}\n{tables[place[2]]}\n\n{place[3]}", page)


def tables_of(errors: Mapping[str, Any], demo: Mapping[str, Any]) -> dict[str, str]:
    """Each table by its name, in Markdown."""
    taught = {name: said for name, said in ALL.items() if _is_taught(errors.get(name))}
    return {
        "short": _by_set(errors, SHORT, _error_and_inside),
        "errors": _by_set(errors, ALL, _errors),
        "intervals": _by_set(errors, ALL, _inside_and_width),
        "learnt": _by_set(errors, taught, _learnt),
        "demo": _demo(demo),
    }


def _is_taught(about: Mapping[str, Any] | None) -> bool:
    return about is not None and any(SIBLINGS in methods for methods in about["forecasts"].values())


def _by_set(errors: Mapping[str, Any], sets: Mapping[str, str], cell: Cell) -> str:
    rows = []
    for name, said in sets.items():
        if about := errors.get(name):
            cells = [cell(about["forecasts"].get(share, {})) for share in _AT]
            rows.append([said.format(about["curves"]), *cells])
    return _table(["", "10 % seen", "25 %", "50 %", "80 %"], rows)


def _error_and_inside(methods: Mapping[str, Mapping[str, float]]) -> str:
    own, by_hand = methods[CURVECAST], methods[CURVE_FIT]
    return f"**{_two(own['median |error|'])}** {_two(by_hand['median |error|'])} ({100 * own[_NOISY]:.0f})"


def _errors(methods: Mapping[str, Mapping[str, float]]) -> str:
    known = [_two(methods[name]["median |error|"]) for name in (CURVECAST, CURVE_FIT, "last value") if name in methods]
    return " ".join([f"**{known[0]}**", *known[1:]]) if known else ""


def _inside_and_width(methods: Mapping[str, Mapping[str, float]]) -> str:
    own = methods.get(CURVECAST)
    return f"{100 * own[_NOISY]:.0f} ({_two(own['width 90%'])})" if own else ""


def _learnt(methods: Mapping[str, Mapping[str, float]]) -> str:
    if SIBLINGS not in methods:
        return ""
    before, after = methods[CURVECAST]["median |error|"], methods[SIBLINGS]["median |error|"]
    return f"{_two(before)} → **{_two(after)}**"


def _demo(runs: Mapping[str, Any]) -> str:
    head = ["seen", "error of the median, seed by seed, %", "inside the 90 % interval", "its width, % of the loss"]
    rows = []
    for share in next(iter(runs.values()))["forecasts"]:
        seeds = [run["forecasts"][share] for run in runs.values()]
        errors = ", ".join(f"{seed['error, %']:+.1f}" for seed in seeds)
        width = np.median([(s["upper"] - s["lower"]) / r["truth"] for s, r in zip(seeds, runs.values(), strict=True)])
        inside = f"{sum(seed['inside'] for seed in seeds)} of {len(seeds)}"
        rows.append([share.replace("%", " %"), errors, inside, f"{100 * width:.0f}"])
    return _table(head, rows)


def _two(value: float) -> str:
    """Two digits."""
    return f"{value:.0f}" if value >= 9.95 else f"{float(f'{value:.2g}'):g}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head), *map(list, rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


if __name__ == "__main__":
    fill()
