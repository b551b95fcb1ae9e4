"""What each route answers, as a pure function of the desk and the request; the routes are in ``plugin.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from curvecast import __version__
from curvecast.readers import UnknownTag
from curvecast.readers.tags import Choices
from curvecast_tensorboard.compare import compare_impl
from curvecast_tensorboard.desk import Desk, Look
from curvecast_tensorboard.family import family_impl
from curvecast_tensorboard.query import Query
from curvecast_tensorboard.refusal import Refusal
from curvecast_tensorboard.single import curve_impl, hindsight_impl, narrowing_impl
from curvecast_tensorboard.table import MOST_RUNS, runs_impl
from curvecast_tensorboard.whatif import whatif_impl

View = Callable[[Desk, Look, Query], dict[str, Any]]
MOST_TAGS = 200
_ROLES = ("train", "val", "lr", "tokens", "flops")


def about_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """What the page must know before it asks anything."""
    return {
        "version": __version__,
        "limit": desk.limit,
        "start_sooner": "tensorboard --samples_per_plugin scalars=1000000",
        "max_runs": MOST_RUNS,
    }


def tags_impl(desk: Desk, look: Look, query: Query) -> dict[str, Any]:
    """The tags of a run, those first that are in use or look like a loss, for the picker.

    Raises:
        Refusal: if there is no such run.
    """
    name = query.run()
    if name not in look.runs:
        raise Refusal(404, "`run` must name a run that TensorBoard has", repr(name), "Reload the table.")
    tags = look.tags(name)
    known = query.known_of(name)
    try:
        choices = desk.choices(look, name, known)
    except UnknownTag as error:
        raise Refusal(404, "the tag must be one of the run's", str(error)[:300], "Pick another.") from error
    taken = {getattr(choices, role).tag: role for role in _ROLES if getattr(choices, role).tag is not None}
    if choices.tied:  # none is taken, and each may be it
        taken = dict.fromkeys(choices.tied, "train")
    likely = {*taken, *choices.val_sets}
    piece = (query.get("q") or "").lower()
    found = [tag for tag in tags if piece in tag.lower()]
    found.sort(key=lambda tag: (tag not in taken, tag not in likely, "loss" not in tag.lower(), tag))
    last: dict[str, int] = {}
    for member in look.runs[name]:
        for tag, (step, _) in look.index.get(member.run, {}).items():
            last[member.prefix + tag] = step
    return {
        "run": name,
        "total": len(tags),
        "left_out": max(len(found) - MOST_TAGS, 0),
        "tags": [
            {"tag": tag, "last_step": last[tag], "looks_like": taken.get(tag) or ("val" if tag in likely else None)}
            for tag in found[:MOST_TAGS]
        ],
        "guess": {role: _guess(choices, role) for role in _ROLES},
        "candidates": list(choices.tied),
    }


def _guess(choices: Choices, role: str) -> dict[str, str | None]:
    """The tag that is taken in a role, and why; none where the training loss may be any of several."""
    choice = getattr(choices, role)
    return {"tag": None if role == "train" and choices.tied else choice.tag, "why": choice.reason}


IMPLEMENTED: dict[str, View] = {
    "about": about_impl,
    "runs": runs_impl,
    "tags": tags_impl,
    "curve": curve_impl,
    "hindsight": hindsight_impl,
    "narrowing": narrowing_impl,
    "whatif": whatif_impl,
    "compare": compare_impl,
    "family": family_impl,
}
