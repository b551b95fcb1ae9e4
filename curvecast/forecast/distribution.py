"""What a forecast says: the distribution of the loss at a step, with its median and its intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from curvecast.curve import FloatArray
from curvecast.forecast.mixture import Mixture
from curvecast.notation import with_interval

Target = Literal["train", "val"]

_USUAL_LEVEL = 0.9
_DRAWN = 96  # so many quantiles of one forecast are held against another


class NotEnoughSamples(ValueError):  # noqa: N818 - the contract's name; it is a state, not a mistake
    """A forecast was asked for before the curve can carry one.

    Args:
        seen: Samples seen so far.
        needed: Samples that the first fit needs.

    Example:
        >>> from curvecast import Watcher
        >>> try:
        ...     Watcher(horizon=1000).forecast()
        ... except NotEnoughSamples as early:
        ...     print(early.seen, early.needed)
        0 12
    """

    def __init__(self, seen: int, needed: int) -> None:
        super().__init__(
            f"A forecast needs at least {needed} samples: got {seen} so far. Go on with `update`, "
            "or look at `verdict.reason` first."
        )
        self.seen = seen
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Interval:
    """Central interval of a forecast.

    Args:
        lower, upper: Its ends [loss unit]; arrays where the forecast is one.
        level: Probability that the truth lies inside.

    Example:
        >>> lower, upper = Interval(1.3, 1.5, 0.9)
        >>> lower, upper, 1.4 in Interval(1.3, 1.5, 0.9)
        (1.3, 1.5, True)
    """

    lower: float | FloatArray
    upper: float | FloatArray
    level: float

    @property
    def width(self) -> float | FloatArray:
        """``upper - lower`` [loss unit]."""
        return self.upper - self.lower

    def __iter__(self) -> Iterator[float | FloatArray]:
        return iter((self.lower, self.upper))

    def __contains__(self, loss: float) -> bool:
        return bool(np.all((np.asarray(self.lower) <= loss) & (loss <= np.asarray(self.upper))))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Forecast:
    """Distribution of the loss at one step or several: a mixture of Gaussians, cut off at a floor.

    A watcher's is of what the log will show there (``logged``): a validation, or a mean of train losses.

    Args:
        step: The step, or ``(m,)`` steps, that it is for [steps].
        of: Which loss: ``"val"`` or ``"train"``.
        weight: ``(K, m)`` weights of the mixture, summing to 1 at each step.
        means: ``(K, m)`` means [loss unit].
        stds: ``(K, m)`` standard deviations [loss unit].
        floor: No loss lies below it [loss unit].

    Example:
        >>> import numpy as np
        >>> f = Forecast(100, "val", np.ones((1, 1)), np.array([[2.0]]), np.array([[0.1]]))
        >>> round(f.median, 6), round(f.interval(0.9).upper, 3)
        (2.0, 2.164)
        >>> early = Forecast(100, "val", np.ones((1, 1)), np.array([[1.0]]), np.array([[1.0]]), floor=0.0)
        >>> early.interval(0.9).lower > 0.0
        True
    """

    step: float | FloatArray
    of: Target
    weight: FloatArray
    means: FloatArray
    stds: FloatArray
    floor: float = -math.inf
    _kept: dict[str, FloatArray] = field(default_factory=dict, init=False)  # what log, bar and message all ask for

    def above(self, floor: float) -> Forecast:
        """The same, given that no loss lies below ``floor``: itself where none of it does."""
        return replace(self, floor=floor) if floor > self.floor and self.mixture.reaches(floor) else self

    @property
    def mixture(self) -> Mixture:
        """The mixture itself, a column a step."""
        return Mixture(self.weight, self.means, self.stds, self.floor)

    @property
    def last(self) -> Forecast:
        """The last step alone, of several."""
        weight, means, stds = (each[:, -1:] for each in (self.weight, self.means, self.stds))
        return Forecast(float(np.atleast_1d(self.step)[-1]), self.of, weight, means, stds, self.floor)

    @property
    def left(self) -> FloatArray:
        """``(m,)`` probability that its weights leave to another forecast: none, not less, where they sum to 1."""
        return np.asarray(np.maximum(1.0 - np.add.reduce(self.weight), 0.0))

    @property
    def mean(self) -> float | FloatArray:
        """Mean of the mixture [loss unit]."""
        return self._shaped(self.mixture.above_floor().mean())

    @property
    def std(self) -> float | FloatArray:
        """Standard deviation of the mixture [loss unit]."""
        kept = self.mixture.above_floor()
        return self._shaped(kept.std(kept.mean()))

    @property
    def median(self) -> float | FloatArray:
        """The loss that is as likely undershot as overshot [loss unit]."""
        return self._shaped(self._usual_quantiles()[1])

    def quantile(self, q: float) -> float | FloatArray:
        """Loss that is undershot with probability ``q`` [loss unit].

        Args:
            q: Probability, inside (0, 1); 0.5 for the median.

        Returns:
            A number, or ``(m,)`` of a forecast for ``m`` steps.

        Raises:
            ValueError: if ``q`` is not inside (0, 1).

        Example:
            >>> forecast = Forecast(100, "val", np.ones((1, 1)), np.array([[2.0]]), np.array([[0.1]]))
            >>> round(forecast.quantile(0.9), 3)
            2.128
        """
        if not is_share(q):
            raise ValueError(f"`q` must lie inside (0, 1): got {q!r:.40}. Pass 0.5 for the median.")
        return self._shaped(self._quantiles(q)[0])

    def interval(self, level: float = 0.9) -> Interval:
        """Central interval that holds the truth with probability ``level``.

        Args:
            level: Probability, inside (0, 1).

        Returns:
            The interval, which unpacks into its ends [loss unit]; each is ``(m,)`` of a forecast for ``m`` steps.

        Raises:
            ValueError: if ``level`` is not inside (0, 1).

        Example:
            >>> forecast = Forecast(100, "val", np.ones((1, 1)), np.array([[2.0]]), np.array([[0.1]]))
            >>> lower, upper = forecast.interval(0.9)
            >>> round(lower, 3), round(upper, 3)
            (1.836, 2.164)
        """
        if not is_share(level):
            raise ValueError(f"`level` must lie inside (0, 1): got {level!r:.40}. Pass 0.9 for a 90 % interval.")
        if level == _USUAL_LEVEL:
            lower, _, upper = self._usual_quantiles()
        else:
            lower, upper = self._quantiles(0.5 - 0.5 * level, 0.5 + 0.5 * level)
        return Interval(self._shaped(lower), self._shaped(upper), level)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON and checkpoints.

        Example:
            >>> f = Forecast(100.0, "val", np.ones((1, 1)), np.array([[2.0]]), np.array([[0.1]]))
            >>> f.to_dict()
            {'step': 100.0, 'of': 'val', 'weight': [[1.0]], 'means': [[2.0]], 'stds': [[0.1]]}
        """
        mixture = {name: getattr(self, name).tolist() for name in ("weight", "means", "stds")}
        floor = {} if self.floor == -math.inf else {"floor": self.floor}
        return {"step": np.asarray(self.step).tolist(), "of": self.of, **mixture, **floor}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Forecast:
        """The forecast whose plain form this is.

        Raises:
            KeyError, TypeError, ValueError: if it is none.
        """
        step = state["step"]
        weight, means, stds = (np.array(state[name], dtype=np.float64) for name in ("weight", "means", "stds"))
        at = np.array(step) if isinstance(step, list) else step
        if not weight.shape == means.shape == stds.shape == (len(weight), np.size(at)):
            raise ValueError(
                f"a forecast of shapes {weight.shape}, {means.shape} and {stds.shape} at {np.size(at)} steps"
            )
        if not (np.isfinite([weight, means, stds]).all() and np.all(stds > 0.0)):
            raise ValueError("a forecast with numbers that are not finite, or with a width that is not positive")
        return cls(at, state["of"], weight, means, stds, state.get("floor", -math.inf))

    def _usual_quantiles(self) -> FloatArray:
        """``(3, m)``: the ends of the usual interval and, between them, the median; found once."""
        if "usual" not in self._kept:
            self._kept["usual"] = self._quantiles(0.5 - 0.5 * _USUAL_LEVEL, 0.5, 0.5 + 0.5 * _USUAL_LEVEL)
        return self._kept["usual"]

    def _quantiles(self, *q: float) -> FloatArray:
        """``(Q, m)``; the table that they begin with is made once."""
        if "table" not in self._kept:
            self._kept["table"] = self.mixture.table()
        return self.mixture.quantiles(np.array(q), self._kept["table"])

    def probability_below(self, loss: ArrayLike) -> float | FloatArray:
        """Probability that the loss ends at or below ``loss``.

        Args:
            loss: A loss; or ``(m,)``, one for each step of the forecast [loss unit].

        Returns:
            A number, or ``(m,)`` of a forecast for ``m`` steps.

        Raises:
            TypeError: if it is no number.

        Example:
            >>> forecast = Forecast(100, "val", np.ones((1, 1)), np.array([[2.0]]), np.array([[0.1]]))
            >>> round(forecast.probability_below(2.1), 2)
            0.84
        """
        try:
            losses = np.asarray(loss, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"`loss` must be a number: got {loss!r:.40}. Pass the loss that is asked about.") from error
        return self._shaped(self.mixture.below(losses))

    def probability_less(self, other: Forecast) -> float:
        """Probability that this loss ends below another's, both being independent.

        Args:
            other: of another run; where a forecast is for several steps, the first is taken.

        Example:
            >>> import numpy as np
            >>> one, sure = np.ones((1, 1)), np.array([[0.1]])
            >>> low, high = (Forecast(100, "val", one, np.array([[loss]]), sure) for loss in (2.0, 2.1))
            >>> round(low.probability_less(high), 2), round(low.probability_less(low), 2)
            (0.76, 0.5)
            >>> early = Forecast(100, "val", one, np.array([[1.0]]), np.array([[1.0]]), floor=0.0)
            >>> round(early.probability_less(early), 2)
            0.5
        """
        losses = self.mixture.quantiles((np.arange(_DRAWN) + 0.5) / _DRAWN)[:, 0]
        return min(max(float(np.mean(1.0 - other.mixture.first().below(losses))), 0.0), 1.0)  # rounding leaves -1e-17

    def _shaped(self, values: FloatArray) -> float | FloatArray:
        return float(values[0]) if np.ndim(self.step) == 0 else values

    def __repr__(self) -> str:
        return f"Forecast(step={self.step!r}, of={self.of!r}: {self})"

    def __str__(self) -> str:
        if np.ndim(self.step):
            medians = np.atleast_1d(self.median)
            return f"{len(medians)} medians from {medians[0]:.4g} to {medians[-1]:.4g}"
        interval = self.interval(0.9)
        return with_interval(float(self.median), float(interval.lower), float(interval.upper))


def is_share(value: object) -> bool:
    """Whether a value is one number inside (0, 1)."""
    return isinstance(value, int | float | np.floating) and bool(0.0 < value < 1.0)
