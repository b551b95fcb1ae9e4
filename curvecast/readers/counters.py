"""Counters of a record that are no bare numbers: ``"step": "10/300"``, or ``"global_step/max_steps"``, or a list.

Sources: the ``logging.jsonl`` of modelscope/ms-swift, facebookresearch/pycls (``"epoch": "1/100", "iter": "10/390"``),
and NVIDIA's DLLogger, whose ``step`` is a list of the epoch and the step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from curvecast.readers.layout import STEP_COLUMNS

OF_TOTAL = re.compile(r"(\d{1,15})\s?/\s?(\d{1,15})")
_EPOCH, _OF_EPOCH, _OF_RUN = "epoch", "epoch_steps", "total_steps"


def with_counts(record: Mapping[str, object]) -> Mapping[str, object]:
    """A record whose counters are numbers, each beside the total that it was written with.

    Example:
        >>> with_counts({"loss": 2.5, "global_step/max_steps": "10/300"})
        {'loss': 2.5, 'global_step': 10, 'max_steps': 300}
        >>> with_counts({"epoch": "1/100", "iter": "10/390"}), with_counts({"step": [2, 79]})
        ({'epoch': 1, 'iter': 10, 'epoch_steps': 390}, {'epoch': 2, 'step': 79})
    """
    for name, value in record.items():  # most have none, and there are many
        if value.__class__ is float or value.__class__ is int:
            continue
        if (isinstance(value, str) and "/" in value) or (isinstance(value, list) and name in STEP_COLUMNS):
            in_epoch = _EPOCH in record
            return dict(pair for name, value in record.items() for pair in _counts(name, value, in_epoch=in_epoch))
    return record


def _counts(name: str, value: object, *, in_epoch: bool) -> Iterator[tuple[str, object]]:
    """What a pair of a record tells; itself, where it counts nothing."""
    if isinstance(value, list) and name in STEP_COLUMNS:
        yield from zip((_EPOCH, name), value, strict=False)
    elif isinstance(value, str) and (told := OF_TOTAL.fullmatch(value)) is not None:
        count, total = int(told[1]), int(told[2])
        own, _, of = name.partition("/")
        if own in STEP_COLUMNS and of:
            yield from ((own, count), (of, total))
        elif name in STEP_COLUMNS:
            yield from ((name, count), (_OF_EPOCH if in_epoch else _OF_RUN, total))
        else:
            yield name, count if name == _EPOCH else value
    else:
        yield name, value
