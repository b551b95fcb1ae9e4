"""The steps of records that tell none, as those that Hugging Face's Trainer prints: by its bars, or by its epochs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from curvecast.readers.tags import VAL_WORDS, split_words

_ROUND = (1000, 500, 100, 50, 20, 10, 5, 2, 1)  # what logging intervals are multiples of, the likeliest first
_COARSEST = 0.005  # epochs: half of the last digit that is printed; `1.0` may stand for 1.00
_NEAR = 0.2  # share of an epoch by which a number of epochs may be off
_MOST = 10_000_000  # most steps between two records, and most epochs

Bar = tuple[int, int]  # step and total; zeros where there is none


@dataclass(slots=True)
class Told:
    """What stands beside the records of a log.

    Args:
        records: the numbers of each.
        epochs: each record's epoch, as it was printed.
        before: the bar before each record.
        after: the bar behind it.
        last: the last bar.
        ended: the epoch with which the run has ended, if it has.
    """

    records: list[dict[str, float]] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    before: list[Bar] = field(default_factory=list)
    after: list[Bar] = field(default_factory=list)
    last: Bar = (0, 0)
    ended: float | None = None

    def steps(self) -> tuple[list[int], int] | None:
        """The step of each record, and the last one planned; ``None`` where nothing tells.

        The bar is drawn anew after each record. Where their epochs contradict the bars, the records came late.
        """
        totals = Counter(total for record, (_, total) in zip(self.records, self.after, strict=True) if "loss" in record)
        total = max(totals, key=lambda each: totals[each] if each else 0, default=0)
        by_bar = self._by_bar(total) if total else None
        total = total or self.last[1]
        by_epoch = self._by_epoch(total, by_bar) if total else None
        found = by_epoch or by_bar
        return None if found is None else (found, total)

    def _by_bar(self, total: int) -> list[int]:
        steps, last = [], 0
        for before, after in zip(self.before, self.after, strict=True):
            last = after[0] if after[1] == total else before[0] if before[1] == total else last
            steps.append(last)
        return steps

    def _by_epoch(self, total: int, by_bar: Sequence[int] | None) -> list[int] | None:
        """The steps that the epochs tell; ``None`` where they do not, or the bars agree with them."""
        if not self.records or any("epoch" not in record for record in self.records):
            return None
        epochs = [record["epoch"] for record in self.records]
        if not all(0.0 <= epoch < _MOST for epoch in epochs):
            return None
        planned = self.ended or _epochs(total, epochs[-1], by_bar)
        if planned is None or not max(epochs) <= 2.0 * planned:
            return None
        length = total / planned
        about = [epoch * length for epoch in epochs]
        decimals = (len(text.partition(".")[2]) for text in self.epochs)
        doubt = [min(0.5 * 10.0**-digits, _COARSEST) * length for digits in decimals]
        losses = [k for k, record in enumerate(self.records) if "loss" in record]
        if by_bar is not None and 2 * sum(abs(by_bar[k] - about[k]) > doubt[k] + 1.0 for k in losses) <= len(losses):
            return None
        steps = [round(step) for step in about]
        apart = _interval([about[k] for k in losses], [doubt[k] for k in losses])
        for count, k in enumerate(losses, 1):
            steps[k] = count * apart if apart else steps[k]
        return steps


def _epochs(total: int, epoch: float, by_bar: Sequence[int] | None) -> float | None:
    """How many epochs a run will have that has not ended, from its last record; ``None`` where that is in doubt."""
    if not by_bar or by_bar[-1] < 1:
        return None
    about = total * epoch / by_bar[-1]
    return float(round(about)) if about > 0.5 and abs(about - round(about)) < _NEAR else None


def _interval(about: Sequence[float], doubt: Sequence[float]) -> int | None:
    """The steps between two records, where a whole number fits all that is known; the roundest of them.

    Example:
        >>> _interval([510.2, 997.2, 1507.4], [11.6, 11.6, 11.6])
        500
    """
    if not about:
        return None
    low = max((step - wide) / count for count, (step, wide) in enumerate(zip(about, doubt, strict=True), 1))
    high = min((step + wide) / count for count, (step, wide) in enumerate(zip(about, doubt, strict=True), 1))
    for unit in _ROUND if high < _MOST else ():
        multiple = int(high // unit) * unit
        if multiple >= max(low, 1.0):
            return multiple
    return None


def counted(records: Sequence[Mapping[str, float]]) -> list[int]:
    """How many records with a training loss there were up to each.

    Example:
        >>> counted([{"loss": 2.5}, {"eval_loss": 2.75}, {"loss": 2.25}])
        [1, 1, 2]
    """
    steps, count = [], 0
    for record in records:
        count += any("loss" in split_words(name) and not split_words(name) & VAL_WORDS for name in record)
        steps.append(count)
    return steps
