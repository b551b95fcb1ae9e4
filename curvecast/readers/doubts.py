"""What is odd about the losses of a run, said beside them: pauses, a loss that is dead, one that need not fall."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from curvecast.readers.base import IntArray, Log, Series
from curvecast.readers.merge import WORDS
from curvecast.readers.tags import ASKED, Choice, split_words

_GAP = 20  # a gap of more than this times the usual distance of rows is a pause in logging
_GAPS_SAID = 3
_DEAD = 5  # losses of exactly 0 at the end that make a run doubtful
_REWARDS = {"reward", "rewards"}


def note_doubts(log: Log, rows: Mapping[str, Series], train: Choice) -> None:
    """Say what is odd about the training loss, or the validation loss where there is none.

    Args:
        log: takes the notes.
        rows: the rows of each role, one a step, in order.
        train: the tag of the training loss, and why it was taken.
    """
    role = "train" if rows.get("train") else "val"
    leader = rows.get(role)
    if leader is None or not len(leader):
        return
    _note_gaps(leader, log)
    if not leader.values[-_DEAD:].any() and len(leader) >= _DEAD:
        alive = np.flatnonzero(leader.values)
        since = leader.steps[alive[-1] + 1 if len(alive) else 0]
        log.notes.add(
            f"the {WORDS[role]} is exactly 0 from step {since:,} on: too small for the digits that are logged, or it "
            f"is not the loss. Pass --{role}-tag with another tag, if so"
        )
    if role == "train" and train.reason != ASKED and (leader.values < 0.0).any():
        told = next((tag for tag in log.series if split_words(tag) & _REWARDS), None)
        if told is not None:
            log.notes.add(
                f"{train.tag!r} goes below 0 beside {told!r}: the loss of a policy, which does not fall as the policy "
                f"learns. Pass --train-tag {train.tag} to forecast it all the same"
            )


def _note_gaps(leader: Series, log: Log) -> None:
    """Say where no loss was logged for long."""
    if len(leader) < 3:
        return
    distance: IntArray = np.diff(leader.steps)
    if distance.max() <= _GAP * distance.min():  # as in nearly every log
        return
    wide = np.flatnonzero(distance > _GAP * np.median(distance))
    for at in wide[:_GAPS_SAID].tolist():
        log.notes.add(f"no loss between step {leader.steps[at]:,} and step {leader.steps[at + 1]:,}")
    if len(wide) > _GAPS_SAID:
        log.notes.add(f"and {len(wide) - _GAPS_SAID} more such gaps")
