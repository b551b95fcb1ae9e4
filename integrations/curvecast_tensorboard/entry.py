"""One run under some settings: what is known of it, how it is judged, and how it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from curvecast import NotEnoughSamples, Run, Watcher
from curvecast.readers import AmbiguousTag, UnreadableRun
from curvecast.readers.base import FloatArray
from curvecast.readers.tags import Choices
from curvecast.replay import Replay
from curvecast_tensorboard import logs
from curvecast_tensorboard.provider import Points
from curvecast_tensorboard.refusal import too_few, words

_ALL_NAN = {
    "what": "A loss must be a finite number",
    "got": "NaN or infinity at every step",
    "do": "Look at the first steps of the run, or pick another tag.",
}


@dataclass(slots=True, eq=False)
class Entry:
    """One run under some settings.

    Args:
        name: of the run.
        state: one of those in ``http_api.md``.
        tags: those that it is made of.
        stamp: of these tags, when it was made.
        run, watcher: where there is a loss; the watcher's verdict is on all of it.
        live: the one that is fed as the run grows, once it has.
        missing: what is missing, where the state is not "ok".
        candidates: tags that may be the loss, where it is not known which.
        choices: which tags were taken, and why.
        points: of these tags.
        wall_time: of the last point [s since 1970].
        version: raised with every change.
    """

    name: str
    state: str
    tags: tuple[str, ...]
    stamp: tuple[object, ...]
    run: Run | None = None
    watcher: Watcher | None = None
    live: Watcher | None = None
    missing: dict[str, str] | None = None
    candidates: tuple[str, ...] = ()
    choices: Choices | None = None
    points: Mapping[str, Points] = field(default_factory=dict)
    wall_time: float | None = None
    version: int = 0

    def seen(self) -> tuple[Run, Watcher]:
        """The run and its watcher, where there is a loss to be drawn."""
        assert self.run is not None
        assert self.watcher is not None
        return self.run, self.watcher

    def clock(self) -> tuple[FloatArray, FloatArray] | None:
        """The run's steps and the seconds at each."""
        return None if self.run is None else logs.clock(self.run, self.points)


def finish(entry: Entry, replay: Replay) -> None:
    """Judge a run."""
    assert entry.run is not None
    try:
        entry.watcher = replay.finish()
        entry.state, entry.missing = state_of(entry.run, entry.watcher)
    except ValueError as error:
        entry.state, entry.missing = "bad_settings", words(error)


def missing_of(error: UnreadableRun) -> dict[str, str]:
    """What a run lacks in whose tags no loss was found, or several."""
    told = words(error)
    if isinstance(error, AmbiguousTag):
        return told
    return {"what": "A run needs a loss", "got": str(error).partition(" Pass one")[0], "do": "Pick one of its tags."}


def state_of(run: Run, watcher: Watcher) -> tuple[str, dict[str, str] | None]:
    """The state of a run that is watched, and what is missing where it is not "ok"."""
    if not (np.isfinite(run.train_loss).any() or np.isfinite(run.val_loss).any()):
        return "not_finite", _ALL_NAN
    if watcher.verdict.forecast is not None:
        return "ok", None
    try:
        watcher.forecast()
    except NotEnoughSamples as error:
        return "few_points", too_few(error)
    return "ok", None


def fed(before: Entry | None, run: Run) -> Watcher | None:
    """The watcher of before, fed with what is new; ``None`` where the run is another than it has seen."""
    if before is None or before.watcher is None or before.run is None or not _goes_on(before.run, run):
        return None
    live = before.live
    if live is None:  # what was read at once was judged at its end, where no live run is
        return Replay(before.watcher.fresh(), run).finish()
    for sample in run.after(live.step).samples():
        live.take(sample)
    return live


def _goes_on(old: Run, new: Run) -> bool:
    """Whether a run is an older one with more behind it; rows that TensorBoard has since dropped may be missing."""
    if not len(old) or not len(new) or new.steps[-1] < old.steps[-1]:
        return False
    if any(old.meta.get(key) != new.meta.get(key) for key in ("train_tag", "val_tag", "lr_tag", "horizon", "schedule")):
        return False
    last = int(old.steps[-1])
    head = int(np.searchsorted(new.steps, last, side="right"))
    place = np.minimum(np.searchsorted(old.steps, new.steps[:head]), len(old) - 1)
    if not np.array_equal(old.steps[place], new.steps[:head]):
        return False
    for name in ("train_loss", "val_loss", "lr"):
        was, now = getattr(old, name)[place], getattr(new, name)[:head]
        same = (was == now) | np.isnan(now)
        same[-1:] |= np.isnan(was[-1:])  # a validation of the last step may have come since
        if not same.all():
            return False
    return True
