"""Runs side by side: each with its fan, and how probably one ends below another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from curvecast import NotEnoughSamples, Reason
from curvecast.overlays import COLOURS, Shown, comparison
from curvecast.plots import Axis, Unit
from curvecast.sinks.records import plain
from curvecast_tensorboard.desk import Desk, Look
from curvecast_tensorboard.drawing import DRAWABLE, axes_of, theme_of
from curvecast_tensorboard.entry import Entry
from curvecast_tensorboard.query import Query
from curvecast_tensorboard.refusal import Refusal, words
from curvecast_tensorboard.rows import row

MOST = len(COLOURS)
# TensorBoard's seven colours in its order, each as the one of ours that is of its hue: three of its own have a contrast
# below 3 on white (cyan 2.5, yellow 1.9, light green 2.5).
_HUES = ("#7b848f", "#0f9b9b", "#d6409f", "#b8860b", "#a463f2", "#7c8b1f", "#e5732b")
_SPARE = tuple(colour for colour in COLOURS if colour not in _HUES)
_UNITS: tuple[Unit, ...] = ("step", "token", "flop")
_NONE = {"what": "Runs to compare must have a loss", "got": "none that has", "do": "Select two runs in the table."}
_DIVERGED = {
    "what": "Both must be on their way to an end",
    "got": "a run that has diverged",
    "do": "Go back to a checkpoint, and compare what follows.",
}
_OTHER = {"what": "Both must forecast the same kind of loss", "got": "train and val", "do": "Pick the same tags."}


def compare_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """Up to twelve runs on one axis.

    Raises:
        Refusal: if none is named, or too many are.
    """
    theme, names = theme_of(query), query.runs(MOST)
    if not names:
        raise Refusal(400, f"`run` must be given 1 to {MOST} times", "none", "Select runs in the table.")
    align = query.one_of("align", _UNITS)
    with desk.lock:
        desk.prepare(look, [(name, query.known_of(name)) for name in names])
        entries, left_out = _drawable(desk, look, query, names)
        axes = {name: axes_of(entry) for name, entry in entries.items()}
        needs = _needs(axes)
        used = next(unit for unit in _UNITS if unit == (align if needs[align] is None else "step"))
        told: dict[str, Any] = {
            "state": "ok" if entries else "no_loss",
            "missing": None if entries else _NONE,
            "align": used,
            "axes": needs,
            "figure": None,
            "rows": [row(entry, desk.limit) for entry in entries.values()],
            "colors": _colours({name: look.place(name) for name in entries}),
            "below": _below(entries),
            "left_out": left_out,
        }
        if not entries:
            return plain(told)  # type: ignore[no-any-return]
        shown = {
            name: Shown(entry.seen()[1], axes[name][0][used], told["colors"][name]) for name, entry in entries.items()
        }
        figure = comparison(shown, log_x=query.flag("log_x"), log_y=query.flag("log_y"), theme=theme)
        return plain(told) | {"figure": figure.to_json()}  # type: ignore[no-any-return]


def _colours(places: Mapping[str, int]) -> dict[str, str]:
    """The colour of each run: that which TensorBoard has it in, or one that it has none in where that is taken.

    So a run keeps its colour when another is added or leaves, but for a run whose colour was taken.

    Args:
        places: of each run among all of TensorBoard's.

    Example:
        >>> _colours({"first": 0, "eighth": 7, "second": 1})
        {'first': '#7b848f', 'second': '#0f9b9b', 'eighth': '#2f81f7'}
    """
    found: dict[str, str] = {}
    for name, place in places.items():
        hue = _HUES[place % len(_HUES)]
        if hue not in found.values():
            found[name] = hue
    left = iter([*_SPARE, *_HUES])
    for name in places:
        if name not in found:
            found[name] = next(colour for colour in left if colour not in found.values())
    return found


def _drawable(
    desk: Desk, look: Look, query: Query, names: Sequence[str]
) -> tuple[dict[str, Entry], list[dict[str, Any]]]:
    """The runs that have a loss, by name, and why the others are left out."""
    entries: dict[str, Entry] = {}
    left_out: list[dict[str, Any]] = []
    for name in names:
        if name not in look.runs:
            gone = {"what": "the run is gone", "got": repr(name), "do": "Reload the table."}
            left_out.append({"run": name, "state": "gone", "missing": gone})
            continue
        entry = desk.entry(look, name, query.known_of(name))
        if entry.state in DRAWABLE:
            entries[name] = entry
        else:
            left_out.append({"run": name, "state": entry.state, "missing": entry.missing})
    return entries, left_out


def _needs(axes: Mapping[str, tuple[Mapping[Unit, Axis], Mapping[str, str | None]]]) -> dict[str, str | None]:
    """What an axis for all of the runs still needs."""
    found: dict[str, str | None] = {}
    for unit in _UNITS:
        lacking = [(name, needs[unit]) for name, (_, needs) in axes.items() if needs[unit] is not None]
        found[unit] = None if not lacking else f"{', '.join(name for name, _ in lacking[:4])}: {lacking[0][1]}"
    return found


def _below(entries: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """For each pair the probability that the first ends below the second."""
    ahead, missing = {}, {}
    for name, entry in entries.items():
        watcher = entry.seen()[1]
        if watcher.verdict.reason is Reason.DIVERGED:  # what it has seen may still be fitted: it tells of no end
            missing[name] = _DIVERGED
            continue
        try:
            ahead[name] = watcher.forecast()
        except (NotEnoughSamples, ValueError) as error:
            missing[name] = words(error)
    found: list[dict[str, Any]] = []
    for first, second in combinations(entries, 2):
        pair: dict[str, Any] = {"a": first, "b": second, "probability": None, "of": None, "missing": None}
        if first in missing or second in missing:
            pair["missing"] = missing.get(first) or missing.get(second)
        elif ahead[first].of != ahead[second].of:
            pair["missing"] = _OTHER
        else:
            pair |= {"probability": ahead[first].probability_less(ahead[second]), "of": ahead[first].of}
        found.append(pair)
    return found
