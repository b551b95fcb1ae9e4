"""A log walks up the same staircase as a live run: ``watch`` feeds a ``Run`` to a ``Watcher``, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from curvecast.decisions.base import Decision, Verdict
from curvecast.fit.prior import Prior
from curvecast.laws.base import FamilyLaw
from curvecast.readers import Run, read
from curvecast.schedule import Schedule
from curvecast.watcher import Watcher

_DECIDED_AT = (0.5, 0.75, 1.0)  # shares of the samples
_NEVER = 1 << 62


def watch(
    run_or_path: Run | str | os.PathLike[str],
    *,
    horizon: int | None = None,
    schedule: Schedule | None = None,
    num_params: float | None = None,
    batch_tokens: float | None = None,
    dataset_tokens: float | None = None,
    train_tag: str | None = None,
    val_tag: str | None = None,
    prior: Prior | None = None,
    law: FamilyLaw | None = None,
    decisions: Sequence[Decision] | None = None,
    on_verdict: Callable[[Verdict], None] | None = None,
    sparing: bool = False,
) -> Watcher:
    """Watch a run that was logged; what is not given is taken from ``run.meta``, if it is known there.

    Args:
        run_or_path: a ``Run``, or the path of a log that holds exactly one.
        horizon: planned optimizer steps [steps].
        schedule: relative learning rate at every step, past and planned.
        num_params: non-embedding parameters.
        batch_tokens: tokens an optimizer step [tokens/step].
        dataset_tokens: unique tokens, where data repeats [tokens].
        train_tag: the training loss's tag in the log; ``None`` to find it.
        val_tag: the validation loss's tag in the log; ``None`` to find it.
        prior: what past runs have taught; ``None`` for the shipped prior.
        law: law of the family, for the compute verdict; ``None`` for Kaplan's.
        decisions: what is judged; ``None`` for the default.
        on_verdict: called with each new verdict, in order.
        sparing: decide at the half, at three quarters and at the end alone, some ten times faster. The forecast is
            the same; a divergence that came and went is not told.

    Returns:
        A watcher that has seen it all: it stands where it would stand had it watched the run live.

    Raises:
        ValueError: if the path holds several runs, or none that can be read, or a number is out of range.
        FileNotFoundError: if there is no log at the path.

    Example:
        >>> import numpy as np
        >>> from curvecast.readers import Run
        >>> steps = np.arange(1, 401)
        >>> nothing = np.full(400, np.nan)
        >>> run = Run("d12", steps, 2.0 + 3.0 * steps**-0.5, nothing, nothing, {"horizon": 1000})
        >>> watcher = watch(run)
        >>> watcher.step, watcher.horizon
        (400, 1000)
    """
    run = run_or_path if isinstance(run_or_path, Run) else _only_run(run_or_path, train_tag, val_tag)
    if schedule is None and isinstance(planned := run.meta.get("schedule"), dict):
        schedule = Schedule.from_dict(planned)
    known_horizon = _number(run, "horizon")
    watcher = Watcher(
        horizon=horizon if horizon is not None or known_horizon is None else int(known_horizon),
        schedule=schedule,
        num_params=_number(run, "num_params") if num_params is None else num_params,
        batch_tokens=_number(run, "batch_tokens") if batch_tokens is None else batch_tokens,
        dataset_tokens=_number(run, "dataset_tokens") if dataset_tokens is None else dataset_tokens,
        prior=prior,
        law=law,
        decisions=decisions,
    )
    if on_verdict is None and not sparing:
        watcher.catch_up(run.samples())
        return watcher
    standing = watcher.verdict
    pauses = _pauses(run) if sparing else None
    for at, sample in enumerate(run.samples()):
        if pauses is not None and (at in pauses or at - 1 in pauses or at == 0):
            _put_off(watcher, forever=at not in pauses)
            standing = watcher.verdict
        verdict = watcher.update(
            sample.step,
            train_loss=sample.train_loss,
            val_loss=sample.val_loss,
            lr=sample.lr,
            tokens=sample.tokens,
        )
        if verdict is not standing and on_verdict is not None:
            on_verdict(verdict)
        standing = verdict
    return watcher


def _pauses(run: Run) -> set[int]:
    """The samples, counted from 0, at which a sparing watch decides."""
    count = sum(1 for _ in run.samples())
    return {max(round(share * count) - 1, 0) for share in _DECIDED_AT}


def _put_off(watcher: Watcher, *, forever: bool) -> None:
    """Have a watcher decide at its next sample, or at none."""
    state = watcher.state_dict()
    state["next"] = [_NEVER, _NEVER] if forever else [1, 1]
    watcher.load_state_dict(state)


def _only_run(path: str | os.PathLike[str], train_tag: str | None, val_tag: str | None) -> Run:
    runs = read(path, train_tag=train_tag, val_tag=val_tag)
    if len(runs) > 1:
        names = ", ".join(repr(run.name) for run in runs[:20]) + (", ..." if len(runs) > 20 else "")
        raise ValueError(
            f"`run_or_path` must hold one run: got {len(runs)} in {os.fspath(path)!r}: {names}. "
            "Pass one of them, or loop over curvecast.read(path)."
        )
    return runs[0]


def _number(run: Run, key: str) -> float | None:
    value = run.meta.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
