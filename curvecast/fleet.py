"""Many runs: read, watched and summarised in batches, over cores or over the machines of a cluster.

A run is worked on where it is read, and only what ``digest`` makes of it travels back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from curvecast.fit.prior import Prior
from curvecast.judge import fit_together
from curvecast.laws.base import FamilyLaw
from curvecast.readers import Lengths, Run, Source, UnknownTag, read_source
from curvecast.readers.base import shown
from curvecast.replay import Replay, watcher_for
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

log = logging.getLogger("curvecast")

T = TypeVar("T")
Digest = Callable[[Run, Run, Watcher], T]
_AHEAD = 4  # tasks for each worker that are handed out in advance
_MOST_TOGETHER, _MOST_BYTES = 64, 64 << 20  # sources that are worked on together, and bytes of their files, at most


@dataclass(frozen=True, slots=True)
class Settings:
    """What is known of every run, or asked of it.

    Args:
        horizon: planned optimizer steps [steps].
        schedule: the learning rate's plan.
        num_params: non-embedding parameters, as in ``Watcher``.
        batch_tokens: tokens an optimizer step [tokens/step].
        prior: what past runs have taught.
        law: law of the family; ``None`` for Kaplan's.
        train_tag: the training loss's tag.
        val_tag: the validation loss's tag.
        step_column: the column of tables, and of records, that counts steps.
        lengths: how long an epoch or a batch is.
        until: a step, or a share of the horizon (of the last step where that is unknown) below 1: what comes after
            it is not watched.
    """

    horizon: int | None = None
    schedule: Schedule | None = None
    num_params: float | None = None
    batch_tokens: float | None = None
    prior: Prior | None = None
    law: FamilyLaw | None = None
    train_tag: str | None = None
    val_tag: str | None = None
    step_column: str | None = None
    lengths: Lengths | None = None
    until: float | None = None

    def watch(self, run: Run) -> Watcher:
        """A watcher that has seen a run, under these settings."""
        return self.replay(run).finish()

    def replay(self, run: Run, *, to_end: bool = False) -> Replay:
        """A run on its way through a watcher, under these settings; ``to_end`` as in ``Replay``."""
        watcher = watcher_for(
            run,
            horizon=self.horizon,
            schedule=self.schedule,
            num_params=self.num_params,
            batch_tokens=self.batch_tokens,
            epoch_steps=self.lengths.epoch_steps if self.lengths else None,
            prior=self.prior,
            law=self.law,
        )
        return Replay(watcher, run, to_end=to_end)


@dataclass(slots=True)
class Outcome(Generic[T]):
    """What came of one source.

    Args:
        source: the source.
        digests: one for each of its runs.
        errors: why a run, or all of it, is left out; one line each.
    """

    source: Source
    digests: list[T] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def analyse(sources: Sequence[Source], settings: Settings, digest: Digest[T]) -> list[Outcome[T]]:
    """Read sources, watch their runs, and digest each; what the runs need of fits is done together.

    A run's verdict is on all that was watched of it, also what came since one was last due.

    Args:
        sources: of ``readers.find``; their runs are held in memory all at once.
        settings: what holds for every run.
        digest: makes of ``(the whole run, the run as far as it was watched, its watcher)`` what is wanted.

    Returns:
        The outcomes in order; a run that cannot be read or watched becomes a line in the ``errors`` of its own.
    """
    outcomes: list[Outcome[T]] = [Outcome(source) for source in sources]
    # Each step of the way for all runs before the next: what a step needs so stays in the processor's caches.
    found = [(outcome, *runs) for outcome in outcomes for runs in _read(outcome, settings)]
    begun: list[tuple[Outcome[T], Run, Run, Replay]] = []
    for outcome, run, seen in found:
        with _noted(outcome, run.name):
            begun.append((outcome, run, seen, settings.replay(seen, to_end=True)))
    with suppress(Exception):  # one that cannot be fitted says so below, and the others are fitted alone
        fit_together([unfitted for *_, replay in begun if (unfitted := replay.unfitted) is not None])
    for outcome, run, seen, replay in begun:
        with _noted(outcome, run.name):
            outcome.digests.append(digest(run, seen, replay.finish()))
    return outcomes


def _read(outcome: Outcome[Any], settings: Settings) -> Iterator[tuple[Run, Run]]:
    """Each run of a source, and as far as it is watched."""
    source, runs = outcome.source, list[Run]()
    with _noted(outcome, source.name):
        runs = read_source(
            source,
            train_tag=settings.train_tag,
            val_tag=settings.val_tag,
            step_column=settings.step_column,
            lengths=settings.lengths,
        )
    for run in runs:
        with _noted(outcome, run.name):
            yield run, _seen(run, settings)


@contextmanager
def _noted(outcome: Outcome[Any], name: str) -> Iterator[None]:
    """What is wrong with a source or a run becomes a line of its errors."""
    try:
        yield
    except (ValueError, UnknownTag, OSError) as error:
        outcome.errors.append(f"{name}: {error}")
    except Exception as error:  # of ours, or of a reader from outside: one run must not take the others with it
        log.debug("%s is left out", name, exc_info=True)
        outcome.errors.append(f"{name}: {type(error).__name__}: {error}")


def _seen(run: Run, settings: Settings) -> Run:
    """The part of a run that is watched."""
    if settings.until is None or not len(run):
        return run
    if settings.until >= 1.0:
        return run.until(int(settings.until))
    known = run.meta.get("horizon")
    end = settings.horizon or (known if isinstance(known, int) else None) or int(run.steps[-1])
    return run.until(int(settings.until * min(end, 2**62)))


def each(sources: Iterable[Source], settings: Settings, digest: Digest[T], *, jobs: int = 1) -> Iterator[Outcome[T]]:
    """The outcomes of many sources in their order, a handful at a time.

    Args:
        sources: from ``readers.find``.
        settings: what holds for every run.
        digest: as in ``analyse``; with several jobs it must be picklable.
        jobs: processes; -1 for one a core. Inside ``joblib.parallel_config`` (Dask, Ray) that backend's workers.
    """
    handfuls = _handfuls(sources)
    if jobs == 1:
        for some in handfuls:
            yield from analyse(some, settings, digest)
        return
    from joblib import Parallel, delayed

    tasks = (delayed(analyse)(some, settings, digest) for some in handfuls)
    for outcomes in Parallel(n_jobs=jobs, return_as="generator", pre_dispatch=f"{_AHEAD}*n_jobs")(tasks):
        yield from outcomes


def _handfuls(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Sources that are worked on together: a few at first, so that something is there soon, and none too large."""
    some: list[Source] = []
    size, most = 0, 1
    for source in sources:
        size += _bytes(source)
        if some and size > _MOST_BYTES:
            yield some
            some, size = [], _bytes(source)
        some.append(source)
        if len(some) == most:
            yield some
            some, size, most = [], 0, min(2 * most, _MOST_TOGETHER)
    if some:
        yield some


def _bytes(source: Source) -> int:
    """How long the files of a source are [bytes]; one that cannot be looked at counts as none."""
    total = 0
    for file in (file for part in source.parts for file in part.files):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def cluster(backend: str | None, address: str | None) -> AbstractContextManager[object]:
    """Inside it, ``each`` with several jobs runs on a cluster.

    Args:
        backend: "dask", "ray", or ``None`` for this machine's cores.
        address: of the cluster's scheduler.

    Raises:
        ValueError: for another backend.
        ImportError: if the backend is not installed; the message says how to.
    """
    if backend is None:
        return nullcontext()
    from joblib import parallel_config

    if backend == "dask":
        try:
            from distributed import Client
        except ImportError as error:
            raise ImportError("`--backend dask` needs distributed. Run `pip install distributed`.") from error
        connect: Any = Client
        connect(address, set_as_default=True)
        backend_of_dask: AbstractContextManager[object] = parallel_config("dask", wait_for_workers_timeout=60)
        return backend_of_dask
    if backend == "ray":
        try:
            import ray
            from ray.util.joblib import register_ray
        except ImportError as error:
            raise ImportError("`--backend ray` needs ray. Run `pip install 'ray[default]'`.") from error
        ray.init(address=address or "auto", ignore_reinit_error=True)
        register_ray()
        backend_of_ray: AbstractContextManager[object] = parallel_config("ray")
        return backend_of_ray
    raise ValueError(f"`backend` must be 'dask' or 'ray': got {backend!r}.")


def key(source: Source) -> str:
    """What a source is known by in a file of results."""
    return shown(f"{source.path}#{source.name}")
