"""A log is watched as a live run would be: ``watch`` feeds a ``Run`` to a ``Watcher`` in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from curvecast._settings import positive
from curvecast.decisions.base import Decision, Verdict
from curvecast.fit.prior import Prior
from curvecast.laws.base import FamilyLaw
from curvecast.readers import Lengths, Run, read
from curvecast.readers.memory import Columns, is_table
from curvecast.replay.backwards import Replay, keeps_nothing, verdicts
from curvecast.schedule import Schedule
from curvecast.turn import Turn
from curvecast.watcher import Watcher


def watch(
    run_or_path: Run | str | os.PathLike[str] | Columns,
    *,
    horizon: int | None = None,
    schedule: Schedule | None = None,
    num_params: float | None = None,
    batch_tokens: float | None = None,
    dataset_tokens: float | None = None,
    epoch_steps: float | None = None,
    train_tag: str | None = None,
    val_tag: str | None = None,
    step_column: str | None = None,
    prior: Prior | None = None,
    law: FamilyLaw | None = None,
    decisions: Sequence[Decision] | None = None,
    like: Watcher | None = None,
    on_verdict: Callable[[Verdict], None] | None = None,
) -> Watcher:
    """Watch a run that was logged; what is not given is taken from ``run.meta``, if it is known there.

    Without ``on_verdict`` the last verdict is worked out first, and earlier ones only as far as it depends on them. The
    result is the same.

    Args:
        run_or_path: a ``Run``, the path of a log that holds exactly one, or a table: a pandas ``DataFrame`` or a dict
            of columns, a row a moment; where a cell is NaN nothing was logged.
        horizon: planned optimizer steps [steps].
        schedule: relative learning rate at every step, past and planned.
        num_params: non-embedding parameters, as in ``Watcher``.
        batch_tokens: tokens an optimizer step [tokens/step].
        dataset_tokens: unique tokens, where data repeats [tokens].
        epoch_steps: optimizer steps of one pass over the data [steps]; of a log that counts epochs, they become steps.
        train_tag: the training loss's tag in the log; ``None`` to find it.
        val_tag: the validation loss's tag in the log; ``None`` to find it.
        step_column: the column of tables, and of records, that counts steps, or "row" to count their rows; ``None`` to
            find it.
        prior: what past runs have taught; ``None`` for the shipped prior.
        law: law of the family, for the compute verdict; ``None`` for Kaplan's.
        decisions: what is judged; ``None`` for the default.
        like: a watcher that was told all this; what stands above is then not looked at.
        on_verdict: called with each new verdict, in order.

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
        >>> watch({"step": steps, "loss": 2.0 + 3.0 * steps**-0.5}, horizon=1000).step
        400
    """
    if isinstance(run_or_path, Run):
        run = run_or_path
    else:
        batch = positive("batch_tokens", batch_tokens, "the tokens of one optimizer step")
        lengths = Lengths(_epoch_told(epoch_steps), batch_tokens=batch)
        run = _only_run(run_or_path, train_tag, val_tag, step_column, lengths)
    watcher = (
        like.fresh()
        if like is not None
        else watcher_for(
            run,
            horizon=horizon,
            schedule=schedule,
            num_params=num_params,
            batch_tokens=batch_tokens,
            dataset_tokens=dataset_tokens,
            epoch_steps=epoch_steps,
            prior=prior,
            law=law,
            decisions=decisions,
        )
    )
    if on_verdict is None and all(map(keeps_nothing, watcher.decisions)):
        return Replay(watcher, run).finish()
    standing = watcher.verdict
    for verdict in verdicts(watcher, run):
        if verdict is not standing and on_verdict is not None:
            on_verdict(verdict)
        standing = verdict
    return watcher


def watcher_for(
    run: Run,
    *,
    horizon: int | None = None,
    schedule: Schedule | None = None,
    num_params: float | None = None,
    batch_tokens: float | None = None,
    dataset_tokens: float | None = None,
    epoch_steps: float | None = None,
    prior: Prior | None = None,
    law: FamilyLaw | None = None,
    decisions: Sequence[Decision] | None = None,
) -> Watcher:
    """A watcher for a run, of which it has seen nothing yet; what is not given is taken from ``run.meta``.

    Where the run turned off its plan (``meta["earlier"]``) it will do so too, unless it is given another.

    Raises:
        ValueError: if a number is out of range.
    """
    turn, horizon, schedule = _planned(run, horizon, schedule)
    watcher = Watcher(
        horizon=horizon,
        schedule=schedule,
        num_params=_number(run, "num_params") if num_params is None else num_params,
        batch_tokens=_number(run, "batch_tokens") if batch_tokens is None else batch_tokens,
        dataset_tokens=_number(run, "dataset_tokens") if dataset_tokens is None else dataset_tokens,
        epoch_steps=_epoch(run, epoch_steps),
        prior=prior,
        law=law,
        decisions=decisions,
        lr_held=run.meta.get("lr_held") is True,
    )
    watcher.course.expect(turn)
    return watcher


def _planned(
    run: Run, horizon: int | None, schedule: Schedule | None
) -> tuple[Turn | None, int | None, Schedule | None]:
    """The turn off its plan that a run's log tells of, and horizon and schedule up to there; what is given stands."""
    if horizon is None and schedule is None and (turn := Turn.of(run.meta)) is not None:
        return turn, turn.all[0].horizon, turn.all[0].earlier
    if schedule is None and isinstance(planned := run.meta.get("schedule"), dict):
        schedule = Schedule.from_dict(planned)
    if horizon is None and (known := _number(run, "horizon")) is not None:
        horizon = int(known)
    return None, horizon, schedule


def _epoch(run: Run, told: float | None) -> float | None:
    """The steps of one pass over the data: 1 where the steps are epochs, unknown where they are samples, say."""
    told = _epoch_told(told)
    if (unit := run.meta.get("unit")) is not None:
        return 1.0 if unit == "epoch" else None
    return _number(run, "epoch_steps") if told is None else told


def _epoch_told(epoch_steps: float | None) -> float | None:
    return positive("epoch_steps", epoch_steps, "the optimizer steps of one pass over the data")


def _only_run(
    path: str | os.PathLike[str] | Columns,
    train_tag: str | None,
    val_tag: str | None,
    step_column: str | None,
    lengths: Lengths,
) -> Run:
    if not isinstance(path, str | os.PathLike) and not is_table(path):
        raise TypeError(
            f"`run_or_path` must be a run, a path or a table: got a {type(path).__name__}. Pass a curvecast.Run, a log "
            "file, or columns by name, as {'step': [...], 'loss': [...]}."
        )
    runs = read(path, train_tag=train_tag, val_tag=val_tag, step_column=step_column, lengths=lengths)
    if len(runs) > 1:
        names = ", ".join(repr(run.name) for run in runs[:20]) + (", ..." if len(runs) > 20 else "")
        raise ValueError(
            f"`run_or_path` must hold one run: got {len(runs)} in {str(path)!r}: {names}. "
            "Pass one of them, or loop over curvecast.read(path)."
        )
    return runs[0]


def _number(run: Run, key: str) -> float | None:
    value = run.meta.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
