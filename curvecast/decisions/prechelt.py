"""Prechelt's stopping criteria: how far, how fast and how often validation loss has risen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curvecast.decisions.base import Finding, Reason, check_number
from curvecast.decisions.validations import KEPT, Recent
from curvecast.decisions.view import View


def generalization_loss(seen: Recent) -> float:
    r"""``GL(t) = 100 (E_va(t) / min_{t' <= t} E_va(t') - 1)``: how far the loss stands above its lowest [%].

    Args:
        seen: The validation losses, at least one, positive.

    Example:
        >>> from curvecast.decisions.validations import Recent
        >>> round(generalization_loss(Recent(np.array([3.0, 2.0, 2.1]), np.zeros(3))), 6)
        5.0

    Source: Prechelt 1998, Early stopping - but when?, section 2.1.
    """
    lowest = min(seen.lowest_before, float(seen.val.min()))
    return 100.0 * (float(seen.val[-1]) / lowest - 1.0)


def progress(seen: Recent, strip: int) -> float:
    r"""``P_k(t)``: how far the mean train loss of the last ``strip`` validations stands above its lowest [per mille].

    Args:
        seen: The validation losses, with the train losses that led to them, positive.
        strip: ``k``, in validations.

    Example:
        >>> from curvecast.decisions.validations import Recent
        >>> round(progress(Recent(np.zeros(3), np.array([9.0, 1.1, 1.0])), 2), 6)
        50.0

    Source: Prechelt 1998, Early stopping - but when?, section 2.1.
    """
    train = seen.train[-strip:]
    return 1000.0 * (float(train.mean()) / float(train.min()) - 1.0)


def successive_rises(seen: Recent, strip: int) -> int:
    """How many strips in a row, counted back from the newest loss, ended higher than they began.

    Args:
        seen: The validation losses.
        strip: ``k``, in validations.

    Example:
        >>> from curvecast.decisions.validations import Recent
        >>> successive_rises(Recent(np.array([5.0, 3.0, 4.0, 3.5, 4.5]), np.zeros(5)), 2)
        1

    Source: Prechelt 1998, Early stopping - but when?, section 2.2.
    """
    ends = seen.val[::-1][::strip]
    falls = np.flatnonzero(np.diff(ends) >= 0.0)  # newest first: a strip that rose has its earlier end lower
    return int(falls[0]) if len(falls) else len(ends) - 1


@dataclass(frozen=True, slots=True)
class GeneralizationLoss:
    """GL: fires when the validation loss stands more than ``alpha`` per cent above its lowest.

    Args:
        alpha: [%].

    Raises:
        ValueError: if ``alpha`` is not positive.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(decisions=[GeneralizationLoss(alpha=5.0)])
        >>> for step in range(1, 41):
        ...     verdict = watcher.update(step, val_loss=2.0 + abs(step - 20) / 100)
        >>> str(verdict.reason), round(verdict.details["generalization_loss"], 6)
        ('no_improvement', 10.0)

    Source: Prechelt 1998, Early stopping - but when?, section 2.1.
    """

    alpha: float = 5.0

    def __post_init__(self) -> None:
        _check_positive("alpha", self.alpha)

    def decide(self, view: View) -> Finding | None:
        """``None`` without a validation loss, or where losses are not positive."""
        if not _measurable(view.recent):
            return None
        loss = generalization_loss(view.recent)
        words = f"the validation loss stands {loss:.3g} % above its lowest, more than {self.alpha:.3g} %"
        return _found(view, loss > self.alpha, words, {"generalization_loss": loss})


@dataclass(frozen=True, slots=True)
class ProgressQuotient:
    """PQ: fires when the generalization loss is more than ``alpha`` times the training progress.

    Args:
        alpha: [%/per mille].
        strip: ``k``: validations over which progress is measured.

    Raises:
        ValueError: if ``alpha`` is not positive, or ``strip`` not between 1 and 255.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(decisions=[ProgressQuotient(alpha=0.5)])
        >>> for step in range(1, 41):
        ...     verdict = watcher.update(step, train_loss=2.0 - step / 100, val_loss=2.0 + abs(step - 20) / 100)
        >>> str(verdict.reason), round(verdict.details["progress_quotient"], 2)
        ('no_improvement', 0.8)

    Source: Prechelt 1998, Early stopping - but when?, section 2.1.
    """

    alpha: float = 1.0
    strip: int = 5

    def __post_init__(self) -> None:
        _check_positive("alpha", self.alpha)
        _check_count("strip", self.strip, most=KEPT - 1)

    def decide(self, view: View) -> Finding | None:
        """``None`` before the first strip, or where the strip has no train loss, or losses are not positive."""
        seen = view.recent
        if len(seen) < self.strip or not (_measurable(seen) and float(seen.train[-self.strip :].min()) > 0.0):
            return None
        loss, rate = generalization_loss(seen), progress(seen, self.strip)
        quotient = loss / rate if rate > 0.0 else math.inf * loss if loss > 0.0 else 0.0
        times = f"{quotient:.3g} times the training progress, more than {self.alpha:.3g}"
        if math.isinf(quotient):
            times = "and training makes no progress"
        words = f"the validation loss stands {loss:.3g} % above its lowest, {times}"
        return _found(view, quotient > self.alpha, words, {"progress_quotient": quotient})


@dataclass(frozen=True, slots=True)
class SuccessiveRises:
    """UP: fires when the validation loss has risen over ``strips`` successive strips.

    Args:
        strips: ``s``.
        strip: ``k``: validations a strip.

    Raises:
        ValueError: if one is not positive, or both together ask for more than 255 validations.

    Example:
        >>> from curvecast import Watcher
        >>> watcher = Watcher(decisions=[SuccessiveRises(strips=3, strip=5)])
        >>> for step in range(1, 41):
        ...     verdict = watcher.update(step, val_loss=2.0 + abs(step - 20) / 100)
        >>> str(verdict.reason), verdict.details["successive_rises"]
        ('no_improvement', 4.0)

    Source: Prechelt 1998, Early stopping - but when?, section 2.2.
    """

    strips: int = 4
    strip: int = 5

    def __post_init__(self) -> None:
        _check_count("strips", self.strips, most=KEPT - 1)
        _check_count("strip", self.strip, most=(KEPT - 1) // self.strips)

    def decide(self, view: View) -> Finding | None:
        """``None`` without a validation loss."""
        if not len(view.recent):
            return None
        rises = successive_rises(view.recent, self.strip)
        words = f"the validation loss has risen over {rises} successive strips of {self.strip} validations"
        return _found(view, rises >= self.strips, words, {"successive_rises": float(rises)})


def _measurable(seen: Recent) -> bool:
    """Ratios of losses need positive losses."""
    return len(seen) > 0 and min(seen.lowest_before, float(seen.val.min())) > 0.0


def _found(view: View, fires: bool, words: str, details: dict[str, float]) -> Finding:
    """Certain once it fires: it is an observation, not a forecast."""
    if not fires:
        return Finding(Reason.NO_IMPROVEMENT, 0.0, False, details=details)
    return view.stop(Reason.NO_IMPROVEMENT, 1.0, lambda: f"{view.where()}: {words}.", details, back=True)


def _check_positive(name: str, value: float) -> None:
    if not (check_number(name, value) > 0.0 and math.isfinite(value)):
        raise ValueError(f"`{name}` must be positive: got {value}. Prechelt tried 1 to 5 for GL and 0.5 to 3 for PQ.")


def _check_count(name: str, value: int, *, most: int) -> None:
    if not 1 <= check_number(name, value) <= most or value != int(value):
        raise ValueError(f"`{name}` must be a whole number from 1 to {most}: got {value}. {KEPT} validations are kept.")
