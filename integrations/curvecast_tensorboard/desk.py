"""The plugin's memory: for each run and its settings the watcher that has seen it, fed with what is new."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from curvecast import Run
from curvecast.judge import fit_together
from curvecast.readers import AmbiguousTag, UnknownTag, UnreadableRun
from curvecast.readers.tags import Choices
from curvecast.replay import Replay, judged_to_end
from curvecast_tensorboard import logs
from curvecast_tensorboard.entry import Entry, fed, finish, missing_of, state_of
from curvecast_tensorboard.logs import Member
from curvecast_tensorboard.provider import Index, Points, Scalars, Stamp
from curvecast_tensorboard.query import Known
from curvecast_tensorboard.refusal import Refusal, words

if TYPE_CHECKING:
    from curvecast.fleet import Settings

K = TypeVar("K")
V = TypeVar("V")
_FRESH = 1.0  # seconds for which a look at TensorBoard's index stands
_SERIES, _ENTRIES = 8_192, 2_048  # that are kept
_EMPTY = {
    "what": "The run must have scalars",
    "got": "none",
    "do": "Log a loss with add_scalar or self.log; TensorBoard may also still be reading.",
}


class Store(Generic[K, V]):
    """The last things that were used, up to a number of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is kept under a key."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: K, value: V) -> None:
        """Keep a value; the one that was not used for longest goes."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)


@dataclass(slots=True, eq=False)
class Look:
    """TensorBoard's index at one moment.

    Args:
        scalars: the experiment's door.
        index: the tags of each of its runs.
        runs: training runs, by name.
        plans: what is noted of the plan of each of TensorBoard's runs.
        places: of each of TensorBoard's runs among them all, in the order in which it gives them colours.
        at: when [s].
    """

    scalars: Scalars
    index: Index
    runs: Mapping[str, tuple[Member, ...]]
    plans: Mapping[str, str]
    places: Mapping[str, int]
    at: float

    def stamp(self, name: str, tags: Sequence[str] | None = None) -> tuple[object, ...]:
        """What changes when some tags of a run have grown (all of them where none are named)."""
        found: list[object] = [self.plan(name)]
        for member in self.runs.get(name, ()):
            series = self.index.get(member.run, {})
            found.append(len(series))
            if tags is None:
                found += series.values()
                continue
            size = len(member.prefix)
            found += [series.get(tag[size:]) for tag in tags if tag.startswith(member.prefix)]
        return tuple(found)

    def plan(self, name: str) -> str | None:
        """What is noted of a run's plan."""
        noted = (self.plans.get(member.run) for member in self.runs.get(name, ()))
        return next((plan for plan in noted if plan is not None), None)

    def place(self, name: str) -> int:
        """Where TensorBoard has a run among all: the first of its folders, where there are several."""
        return min((self.places.get(member.run, 0) for member in self.runs.get(name, ())), default=0)

    def tags(self, name: str) -> tuple[str, ...]:
        """The tags of a run."""
        return logs.tags_of(self.runs.get(name, ()), self.index)


class Desk:
    """Everything that views ask for.

    Args:
        provider: TensorBoard's data provider.
        limit: points that TensorBoard keeps of a tag; 0 for all, ``None`` where that is not known.
    """

    def __init__(self, provider: Any, limit: int | None) -> None:
        self.limit = limit
        self.lock = threading.RLock()
        self._provider = provider
        self._looks: Store[str, Look] = Store(4)
        self._series: Store[tuple[str, str, str], tuple[Stamp, Points]] = Store(_SERIES)
        self._entries: Store[tuple[str, str, Known], Entry] = Store(_ENTRIES)
        self._prepared: dict[tuple[str, str, Known], tuple[Entry, Replay | None]] = {}  # for those to be asked for next
        self.kept: Store[object, Any] = Store(16)  # what views keep: tables, families

    def look(self, ctx: Any, experiment: str) -> Look:
        """TensorBoard's index, at most a second old."""
        with self.lock:
            known = self._looks.get(experiment)
            if known is not None and time.monotonic() - known.at < _FRESH:
                return known
            scalars = Scalars(self._provider, ctx, experiment)
            index = scalars.index()
            known_runs = scalars.runs()
            places = {run: place for place, run in enumerate(known_runs)}
            runs = logs.grouped({*index, *known_runs})
            look = Look(scalars, index, runs, scalars.plans(), places, time.monotonic())
            self._looks.put(experiment, look)
            return look

    def is_current(self, look: Look, name: str, known: Known) -> bool:
        """Whether what is kept of a run is what TensorBoard holds."""
        entry = self._entries.get((look.scalars.experiment, name, known))
        return entry is not None and entry.stamp == look.stamp(name, entry.tags or None)

    def entry(self, look: Look, name: str, known: Known) -> Entry:
        """A run under some settings, as it stands now.

        Raises:
            Refusal: if there is no such run, or a setting is not one.
        """
        if name not in look.runs:
            raise Refusal(
                404, "`run` must name a run that TensorBoard has", repr(name), "It may be deleted: reload the table."
            )
        key = look.scalars.experiment, name, known
        with self.lock:
            before = self._entries.get(key)
            if before is not None and before.stamp == look.stamp(name, before.tags or None):
                return before
            begun = self._prepared.pop(key, None)
            if begun is None or begun[0].stamp != look.stamp(name, begun[0].tags or None):  # it has grown since
                begun = self._begun(look, name, known, before)
            entry, replay = begun
            if replay is not None:
                finish(entry, replay)
            entry.version = 1 if before is None else before.version + 1
            self._entries.put(key, entry)
            return entry

    def prepare(self, look: Look, asked: Iterable[tuple[str, Known]]) -> None:
        """Read at once what several runs will need, and fit together those that are new."""
        wanted = [(name, known) for name, known in asked if name in look.runs]
        with self.lock:
            self._read(look, {(name, tag) for name, _ in wanted for tag in logs.rivals(look.tags(name))})
            needs: set[tuple[str, str]] = set()
            for name, known in wanted:
                try:
                    choices = self._chosen(look, name, known)
                except UnknownTag:
                    continue
                needs.update((name, tag) for tag in logs.needed(look.tags(name), choices))
            self._read(look, needs)
            self._prepared.clear()
            for name, known in wanted:
                key = look.scalars.experiment, name, known
                with suppress(Exception):  # said where that run is asked for; it must not take the others with it
                    if not self.is_current(look, name, known):
                        self._prepared[key] = self._begun(look, name, known, self._entries.get(key))
            replays = [replay for _, replay in self._prepared.values() if replay is not None]
            with suppress(Exception):  # then each is fitted alone, and one that cannot be says so
                fit_together([unfitted for each in replays if (unfitted := each.unfitted) is not None])

    def _begun(self, look: Look, name: str, known: Known, before: Entry | None) -> tuple[Entry, Replay | None]:
        """A run under some settings, and what is still to be judged of it."""
        tags = look.tags(name)
        if not tags:
            return Entry(name, "no_scalars", (), look.stamp(name), missing=_EMPTY), None
        settings = known.settings()
        try:
            choices = self._chosen(look, name, known)
        except UnknownTag as error:
            missing = {"what": str(error).partition(". Tags there")[0], "got": "", "do": "Pick one of its tags."}
            return Entry(name, "no_loss", (), look.stamp(name), missing=missing), None
        wanted = logs.needed(tags, choices)
        points = self._points(look, name, wanted)
        try:
            run = _made(look, name, points, choices, settings)
        except UnreadableRun as error:
            state = "ambiguous" if isinstance(error, AmbiguousTag) else "no_loss"
            unread = Entry(name, state, (), look.stamp(name), missing=missing_of(error), choices=choices)
            unread.candidates = choices.tied
            return unread, None
        entry = Entry(name, "ok", wanted, look.stamp(name, wanted), run, choices=choices, points=points)
        entry.wall_time = _last_wall(points)
        if (unique := known.number("dataset_tokens")) is not None:
            run.meta["dataset_tokens"] = unique
        try:
            entry.live = fed(before, run)
            if entry.live is None:
                return entry, settings.replay(run, to_end=True)
            entry.watcher = judged_to_end(entry.live)
            entry.state, entry.missing = state_of(run, entry.watcher)
        except ValueError as error:
            entry.state, entry.missing = "bad_settings", words(error)
        return entry, None

    def _chosen(self, look: Look, name: str, known: Known) -> Choices:
        tags = look.tags(name)
        counted = self._points(look, name, logs.rivals(tags))
        counts = tuple((tag, len(points)) for tag, points in counted.items())
        return logs.chosen(tags, counts, known["train_tag"], known["val_tag"])

    def choices(self, look: Look, name: str, known: Known) -> Choices:
        """Which tags of a run are taken, and why.

        Raises:
            UnknownTag: if one that was asked for is not there.
        """
        with self.lock:
            return self._chosen(look, name, known)

    def _points(self, look: Look, name: str, tags: Sequence[str]) -> dict[str, Points]:
        self._read(look, {(name, tag) for tag in tags})
        found: dict[str, Points] = {}
        for tag in tags:
            member, plain = _home(look, name, tag)
            kept = self._series.get((look.scalars.experiment, member, plain))
            if kept is not None:
                found[tag] = kept[1]
        return found

    def _read(self, look: Look, wanted: Iterable[tuple[str, str]]) -> None:
        """Read what is wanted and not yet known, in as few calls as there are sets of tags."""
        stale: dict[str, set[str]] = {}
        for name, tag in wanted:
            run, plain = _home(look, name, tag)
            kept = self._series.get((look.scalars.experiment, run, plain))
            if kept is None or kept[0] != look.index[run][plain]:
                stale.setdefault(run, set()).add(plain)
        together: dict[frozenset[str], list[str]] = {}
        for run, tags in stale.items():
            together.setdefault(frozenset(tags), []).append(run)
        for common, runs in together.items():
            for run, series in look.scalars.read(runs, sorted(common)).items():
                for tag, points in series.items():
                    self._series.put((look.scalars.experiment, run, tag), (look.index[run][tag], points))


def _made(look: Look, name: str, points: Mapping[str, Points], choices: Choices, settings: Settings) -> Run:
    """The run that a name's series make.

    Raises:
        UnreadableRun: if there is no loss among them, or several may be it.
    """
    if choices.tied:
        raise AmbiguousTag(f"Several tags may be the training loss: got {', '.join(choices.tied)}. Pick one.")
    assert settings.lengths is not None
    return logs.made(
        name,
        look.tags(name),
        points,
        look.plan(name),
        train_tag=settings.train_tag,
        val_tag=settings.val_tag,
        lengths=settings.lengths,
    )


def _home(look: Look, name: str, tag: str) -> tuple[str, str]:
    """TensorBoard's run and tag behind a run's tag."""
    for member in look.runs[name]:
        plain = tag[len(member.prefix) :]
        if tag.startswith(member.prefix) and plain in look.index.get(member.run, {}):
            return member.run, plain
    raise Refusal(404, "the tag must be one of the run's", repr(tag), "It may be deleted: reload the table.")


def _last_wall(points: Mapping[str, Points]) -> float | None:
    last = [float(np.max(each.walls)) for each in points.values() if len(each)]
    return max(last, default=None)
