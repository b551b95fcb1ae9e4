"""What is odd about the losses of a run, said beside them: pauses, a loss that is dead, one that need not fall."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from curvecast.readers.base import FloatArray, IntArray, Log, Series
from curvecast.readers.merge import WORDS
from curvecast.readers.tags import ASKED, Choice, Choices, split_words

_GAP = 20  # a gap of more than this times the usual distance of rows is a pause in logging
_GAPS_SAID = 3
_DEAD = 5  # losses of exactly 0 at the end that make a run doubtful
_ENOUGH = 5  # rows of which none would be exactly 0 by chance
_REWARDS = {"reward", "rewards"}


def drop_placeholders(log: Log, choices: Choices) -> bool:
    """Leave out the zeros that stand where nothing was measured; whether a tag is gone, so that others may be chosen.

    NGBoost prints a validation loss of 0 where it was given no validation set, llama.cpp a loss of 0 before its first
    step, and a rate that needs more digits than are printed is 0 in every row.

    Args:
        log: its rows are changed in place, and notes say so.
        choices: the tags of its curves.

    Example:
        >>> from curvecast.readers.tags import choose_tags
        >>> zeros = Series.of([(step, 0.0, step) for step in range(9)])
        >>> log = Log(None, "text", {"loss": Series(zeros.steps, zeros.values + 2.5, zeros.order), "val_loss": zeros})
        >>> drop_placeholders(log, choose_tags({"loss": 9, "val_loss": 9})), list(log.series)
        (True, ['loss'])
    """
    train = log.series.get(choices.train.tag or "")
    if train is not None and _begins_with_nothing(train.values):
        log.series[choices.train.tag or ""] = train = train.where(np.arange(len(train)) > 0)
        log.notes.add(f"the first {WORDS['train']} is exactly 0, as before anything is measured: it is left out")
    gone = False
    for role, choice in (("val", choices.val), ("lr", choices.lr)):
        rows = log.series.get(choice.tag or "")
        if rows is None or len(rows) < _ENOUGH or choice.reason == ASKED or rows.values.any():
            continue
        if role == "lr" or (train is not None and train.values.any()):
            del log.series[choice.tag or ""]
            log.notes.add(f"{choice.tag!r} is exactly 0 in every row, which is no {WORDS[role]}: it is left out")
            gone = True
    return gone


def _begins_with_nothing(losses: FloatArray) -> bool:
    """Whether the first loss is exactly 0, and the next one as large as the others: it does not rise from there."""
    if len(losses) < _ENOUGH or losses[0] or not (losses[1:] > 0.0).all():
        return False
    return bool(losses[1] > 0.5 * np.median(losses[1:]))


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
    if role == "train" and train.reason != ASKED and (told := _reward(log, (leader.values < 0.0).any())) is not None:
        log.notes.add(
            f"{train.tag!r} stands beside {told!r}: the loss of a policy, which does not fall as the policy learns. "
            f"Pass --train-tag {train.tag} to forecast it all the same"
        )


def _reward(log: Log, is_below_0: np.bool_) -> str | None:
    """The tag of a reward, where the loss may be a policy's; DPO's, above 0 beside `rewards/chosen`, is none."""
    rewards = [tag for tag in log.series if split_words(tag) & _REWARDS]
    return next((tag for tag in rewards if is_below_0 or tag.rpartition("/")[2] in _REWARDS), None)


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
