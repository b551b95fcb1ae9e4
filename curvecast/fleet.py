"""Many runs: read, watched and digested one after another, over cores, or over the machines of a cluster.

A run is worked on where it is read, and only what ``digest`` makes of it travels back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from curvecast.decisions.base import Verdict
from curvecast.fit.prior import Prior
from curvecast.readers import Lengths, Run, Source, UnknownTag, read_source
from curvecast.replay import watch
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

T = TypeVar("T")
Digest = Callable[[Run, Run, Watcher], T]
_AHEAD = 4  # tasks a worker that are handed out before their turn


@dataclass(frozen=True, slots=True)
class Settings:
    """What is known of every run, or asked of it.

    Args:
        horizon: planned optimizer steps [steps].
        schedule: the learning rate's plan.
        num_params: non-embedding parameters.
        batch_tokens: tokens an optimizer step [tokens/step].
        prior: what past runs have taught.
        train_tag: the training loss's tag.
        val_tag: the validation loss's tag.
        lengths: how long an epoch or a batch is.
        until: a step, or a share of the horizon (of the last step where that is unknown) below 1: what comes after
            it is not watched.
    """

    horizon: int | None = None
    schedule: Schedule | None = None
    num_params: float | None = None
    batch_tokens: float | None = None
    prior: Prior | None = None
    train_tag: str | None = None
    val_tag: str | None = None
    lengths: Lengths | None = None
    until: float | None = None

    def watch(self, run: Run, on_verdict: Callable[[Verdict], None] | None = None) -> Watcher:
        """A watcher that has seen a run, under these settings."""
        return watch(
            run,
            horizon=self.horizon,
            schedule=self.schedule,
            num_params=self.num_params,
            batch_tokens=self.batch_tokens,
            prior=self.prior,
            on_verdict=on_verdict,
        )


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


def analyse(
    source: Source,
    settings: Settings,
    digest: Digest[T],
    on_verdict: Callable[[Run, Verdict], None] | None = None,
) -> Outcome[T]:
    """Read a source, watch its runs, and digest each.

    Args:
        source: one of ``readers.find``.
        settings: what holds for every run.
        digest: makes of ``(the whole run, the run as far as it was watched, its watcher)`` what is wanted.
        on_verdict: called with each new verdict.

    Returns:
        The outcome; a run that cannot be read or watched becomes a line in its ``errors``.
    """
    outcome: Outcome[T] = Outcome(source)
    try:
        runs = read_source(source, train_tag=settings.train_tag, val_tag=settings.val_tag, lengths=settings.lengths)
    except (ValueError, UnknownTag, OSError) as error:
        outcome.errors.append(f"{source.name}: {error}")
        return outcome
    for run in runs:
        try:
            seen = _seen(run, settings)
            said = None if on_verdict is None else _of(run, on_verdict)
            watcher = settings.watch(seen, said)
            outcome.digests.append(digest(run, seen, watcher))
        except ValueError as error:
            outcome.errors.append(f"{run.name}: {error}")
    return outcome


def _of(run: Run, on_verdict: Callable[[Run, Verdict], None]) -> Callable[[Verdict], None]:
    return lambda verdict: on_verdict(run, verdict)


def _seen(run: Run, settings: Settings) -> Run:
    """The part of a run that is watched."""
    if settings.until is None or not len(run):
        return run
    if settings.until >= 1.0:
        return run.until(int(settings.until))
    known = run.meta.get("horizon")
    end = settings.horizon or (known if isinstance(known, int) else None) or int(run.steps[-1])
    return run.until(int(settings.until * min(end, 2**62)))


def each(
    sources: Iterable[Source],
    settings: Settings,
    digest: Digest[T],
    *,
    jobs: int = 1,
    on_verdict: Callable[[Run, Verdict], None] | None = None,
) -> Iterator[Outcome[T]]:
    """The outcomes of many sources in their order, each as soon as it is there.

    Args:
        sources: from ``readers.find``.
        settings: what holds for every run.
        digest: as in ``analyse``; with several jobs it must be picklable.
        jobs: processes; -1 for one a core. Inside ``joblib.parallel_config`` (Dask, Ray) that backend's workers.
        on_verdict: called with each new verdict, where there is one job.
    """
    if jobs == 1:
        for source in sources:
            yield analyse(source, settings, digest, on_verdict)
        return
    from joblib import Parallel, delayed

    tasks = (delayed(analyse)(source, settings, digest) for source in sources)
    yield from Parallel(n_jobs=jobs, return_as="generator", pre_dispatch=f"{_AHEAD}*n_jobs")(tasks)


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
    return f"{source.path}#{source.name}"
