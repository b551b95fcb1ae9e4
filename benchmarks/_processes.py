"""Work that is spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from rich.progress import track

T = TypeVar("T")
R = TypeVar("R")


def spread(run: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R]:
    """What comes of each task, in no order; a bar shows how many are done."""
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(run, task) for task in tasks]
        for future in track(as_completed(futures), "runs", total=len(futures), transient=True):
            yield future.result()
