"""What is believed of a run before its first step, in units that no run has yet.

Every number is relative: losses to the loss where the run now stands, steps to the steps done so far. So a
curve in bits, or counted in tokens, meets the same prior as the same curve in nats and optimizer steps. How it changes
as a run goes on: ``fit.stages``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.believable import check
from curvecast.fit.kinds import SIZED, blend, check_pairs, smallness

SCHEMA = 6  # another one whenever a file of before would mean something else

_MOST_ANNEALED = 0.8  # share of the loss that even a rare decay may take: some must be left
_RARE = 0.05  # probability of each of the two shares of a decay that lie far off: most laboratories' are alike
GROWTH_IN_FIRST_EPOCH = 0.999  # weight of a validation loss that does not turn up, before data repeat
# What a known size tells of a run that is no pre-training, too: else a wide prior takes the start of one for itself.
_POWER_LAW = ("alpha_log_mean", "alpha_log_sd", "offset")
# Where two priors are weighed the losses wander as under the first, so that they are whitened once.
_WANDER = ("window", "drift", "drift_growth")
_EVEN = 0.5  # probability of either kind, where the size is not known


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior over the shapes (a grid) and the coefficients (Gaussian) of one run's curve.

    Args:
        alpha: Grid of the power law's exponent.
        alpha_log_mean, alpha_log_sd: Log-normal weight of that grid.
        offset: Grid of the offset ``s0`` in ``x = (S1 + s0)^-alpha``, in units of the summed LR so far. A positive one
            is larger before half-way through a plan (``stages.early_by_plan``).
        window: Grid of the start of the law's window, as a share of the steps done; before it the curve wanders.
        drift: Grid of the discrepancy's size: standard deviation of the wander per square root of an e-fold
            of steps, relative to the loss.
        drift_growth: How much more the curve wanders where the loss stood higher: times one plus this times the
            relative loss above the present one.
        annealing_shape: Grid of how an annealing gain arrives: the summed LR in which half of it does, relative to
            the schedule's total, and the power of the LR whose drops count (see ``laws.annealing``).
        converged, converged_sd: ``L_N`` relative to the loss now.
        reducible, reducible_sd: ``A x(now)``, what training at this LR could still take away.
        annealing_log_mean, annealing_log_sd: What a full decay takes away, ``B``, as a share of the loss that the run
            would end at without it: usually ``exp(mean)``, rarely far more or less (``annealing_shares``). A linear
            one over the last fifth of the steps brings the same, about half of it, whatever the shape.
        annealing_speed: More of ``B``, in units of what one more e-fold of steps would bring at the horizon.
        annealing_sd: What ``B`` may differ from both together, relative to the loss.
        gap_sd: Offset of validation against train loss.
        growth: Weight of 'validation loss does not turn up'; the rest is spread over the onsets.
        growth_sd: ``G``, the slope of the rise per doubling of the steps since its onset.
        onset: Grid of where the rise starts, as a share of the steps done.
        drop_error: Standard deviation of the share of a predicted drop that fails to come, at twice the steps;
            it grows with the square root of the doublings.
        lesson_error: As ``drop_error``, of the law whose misses finished runs teach; where that is larger it holds.
        outlier: Probability that a run keeps to no law of this kind.
        outlier_error: As ``drop_error``, of such a run.
        sudden: Probability that a run whose start is all that was seen has a sudden drop ahead, as small networks
            have. It falls in proportion to the share of the way that was seen, to none at ``sudden_until``.
        sudden_size, sudden_sd: That drop, relative to the loss.
        flat: Probability that a run never learns: neither training on nor a decay takes anything away.
        small: What is believed of small networks otherwise: pairs of a field's name and its value.
        wide: What is believed otherwise than of small ones where nothing is known of a network, not even its size:
            pairs likewise.
        other: What is believed otherwise of a network of known size that is no language model (``for_other``): pairs
            likewise.
        beside: What is weighed against this prior by the evidence of both (``for_size``).
        unlike: Its probability beforehand: that a network whose size is known is no language model in pre-training.
        size: Non-embedding parameters of the network that it was made for (``for_size``); ``None`` for any.
        batch: Tokens of a step, likewise, where lessons ask for them.
        lessons: What the forecasts of a team's finished runs missed by (``fit.lessons.Lesson``), by run and place.
        curves: Points of those runs' curves (``fit.paths.Point``), by run.
        source: Where these numbers come from.

    Example:
        >>> Prior().drop_error > 0
        True
    """

    alpha: tuple[float, ...] = (0.15, 0.194, 0.25, 0.323, 0.417, 0.539, 0.696, 0.899, 1.16, 1.5)
    alpha_log_mean: float = -0.66
    alpha_log_sd: float = 0.15
    offset: tuple[float, ...] = (-0.781, 0.0)
    window: tuple[float, ...] = (0.0, 0.02221, 0.1218)
    drift: tuple[float, ...] = (0.0012, 0.007)
    drift_growth: float = 32.32
    annealing_shape: tuple[tuple[float, float], ...] = (
        (0.01, 0.6),
        (0.0035, 0.8),
        (0.01, 0.8),
        (0.03, 0.8),
        (0.01, 1.0),
    )
    converged: float = 0.935
    converged_sd: float = 0.1573
    reducible: float = 0.2467
    reducible_sd: float = 0.2092
    annealing_log_mean: float = -2.69
    annealing_log_sd: float = 0.16
    annealing_speed: float = 0.0
    annealing_sd: float = 0.014
    gap_sd: float = 0.2
    growth: float = 0.95
    growth_sd: float = 0.1
    onset: tuple[float, ...] = (0.1, 0.3, 0.6, 0.85)
    drop_error: float = 0.03329
    lesson_error: float = 0.03329
    outlier: float = 0.05
    outlier_error: float = 0.3
    sudden: float = 0.0
    sudden_until: float = 0.3
    sudden_size: float = 0.2
    sudden_sd: float = 0.1
    flat: float = 0.05
    small: tuple[tuple[str, Any], ...] = (
        ("alpha_log_mean", -0.605),
        ("alpha_log_sd", 0.5),
        ("offset", (-0.7764, 0.3548)),
        ("window", (0.0, 0.01884, 0.108)),
        ("drift", (0.0015, 0.012)),
        ("drift_growth", 20.82),
        ("converged", 0.8325),
        ("converged_sd", 0.1967),
        ("reducible", 0.405),
        ("reducible_sd", 0.2911),
        ("annealing_log_mean", -2.52),
        ("annealing_log_sd", 0.25),
        ("annealing_speed", 0.52),
        ("annealing_sd", 0.04),
        ("drop_error", 0.15),
        ("lesson_error", 0.2424),
        ("outlier", 0.12),
        ("outlier_error", 1.4),
        ("sudden", 0.6248),
        ("sudden_until", 0.2456),
        ("sudden_size", 0.214),
        ("sudden_sd", 0.09139),
    )
    wide: tuple[tuple[str, Any], ...] = (
        ("annealing_log_sd", 0.55),
        ("converged", 0.8),
        ("converged_sd", 0.35),
        ("reducible_sd", 0.7),
        ("drop_error", 0.3),
        ("outlier", 0.25),
        ("outlier_error", 1.0),
        ("sudden", 0.0),
    )
    # By hand, in view of open ResNets, whose decays bring a third of the loss or more (docs/log.md).
    other: tuple[tuple[str, Any], ...] = (("annealing_log_mean", -1.2), ("annealing_log_sd", 0.25))
    beside: Prior | None = None
    unlike: float = 0.05
    size: float | None = None
    batch: float | None = None
    lessons: tuple[tuple[float, ...], ...] = field(default=(), repr=False)  # thousands of numbers, which nobody reads
    curves: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    source: str = "fit_priors.py on multipowerlaw, modded_nanogpt, gemstones; small: small_runs, taskset"

    def __post_init__(self) -> None:
        apart = ("small", "wide", "other", "beside")
        check({f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart})
        if not self.annealing_shares().max() < _MOST_ANNEALED:
            raise ValueError(
                f"A decay cannot take away {self.annealing_shares().max():.0%} of a loss: lower its share."
            )
        if not np.exp(self.alpha_weights()).sum() > 0.0:
            raise ValueError(
                "`alpha` must hold an exponent near exp(`alpha_log_mean`), as `alpha_log_sd` counts: got none. "
                "Widen `alpha_log_sd`."
            )
        if self.small != ():
            check_pairs("small", self.small)
            self._check_grids("small", self.of_small())
        if self.wide != ():
            check_pairs("wide", self.wide)
            self._check_grids("wide", self.of_any())
        if self.other != ():
            check_pairs("other", self.other)
            self._check_grids("other", replace(self, small=(), wide=(), other=(), **dict(self.other)))

    def __hash__(self) -> int:
        """Of a few numbers, in which priors of one run differ: every fit looks up the tables of its own."""
        law = self.alpha_log_mean, self.offset, self.converged, self.drop_error, self.growth, self.unlike
        return hash((*law, self.size, self.batch, len(self.lessons)))

    def _check_grids(self, kind: str, other: Prior) -> None:
        """Whether the grids are as long as this prior's, beside which they are laid or with which they are blended."""
        for name in ("offset", "window", "drift", "annealing_shape"):
            if len(getattr(self, name)) != len(getattr(other, name)):
                raise ValueError(
                    f"`{name}` must be as long for {kind} networks as for large ones: got {getattr(self, kind)!r:.80}."
                )

    def save(self, path: str | Path) -> None:
        """Write the prior as JSON."""
        Path(path).write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Prior:
        """Read a prior that ``save`` wrote.

        Raises:
            ValueError: if it is none, or of another schema.
        """
        try:
            state = json.loads(Path(path).read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"A prior's file must be the JSON that `save` wrote: {path} is not ({error}).") from error
        if not isinstance(state, dict):
            raise ValueError(f"A prior's file must hold an object: got a {type(state).__name__}.")
        return cls.from_dict(state)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Prior:
        """The prior whose plain form this is; unknown keys are left out."""
        held = state.get("schema")
        if state.get("kind") == "curvecast.Family":
            raise ValueError("This is a family's law, which `curvecast fit` wrote: pass it with `--law`, or as `law=`.")
        if held != SCHEMA:
            raise ValueError(
                f"`schema` of a prior must be {SCHEMA}: got {held!r:.40}. "
                "Learn it anew, from the same runs: curvecast learn PATH... -o FILE."
            )
        known = {f.name for f in fields(cls)} - {"beside"}
        beside = state.get("beside")
        return cls(
            **{k: _tuples(v) for k, v in state.items() if k in known},
            beside=cls.from_dict({**beside, "schema": held, "beside": None}) if isinstance(beside, Mapping) else None,
        )

    def annealing_shares(self) -> FloatArray:
        """Three shares, a usual one and two rare ones, with the mean and the variance of the logarithm.

        Example:
            >>> Prior(annealing_log_mean=-3.0, annealing_log_sd=0.2).annealing_shares().round(3).tolist()
            [0.026, 0.05, 0.094]
        """
        reach = self.annealing_log_sd / math.sqrt(2.0 * _RARE)
        return np.exp(self.annealing_log_mean + reach * np.array([-1.0, 0.0, 1.0]))

    def share_weights(self) -> FloatArray:
        """Probability of each of ``annealing_shares``.

        Example:
            >>> Prior().share_weights().tolist()
            [0.05, 0.9, 0.05]
        """
        return np.array([_RARE, 1.0 - 2.0 * _RARE, _RARE])

    def sudden_drop(self, now: float, step: FloatArray) -> FloatArray:
        """``(m,)`` probability of a sudden drop between ``now`` and each of ``(m,)`` steps.

        Example:
            >>> Prior(sudden=0.8, sudden_until=0.2).sudden_drop(500.0, np.array([2500.0, 5000.0])).tolist()
            [0.0, 0.4]
        """
        return np.asarray(self.sudden * np.maximum(1.0 - now / (self.sudden_until * step), 0.0))

    @lru_cache(maxsize=64)  # noqa: B019 - a value, of which there are few
    def for_size(self, num_params: float | None, batch_tokens: float | None = None) -> Prior:
        """The prior of a network whose size is known, or that of a large one where it is not, and a wide one beside it.

        Between 1e5 and 1e7 parameters numbers pass from the small ones' to the large ones' with the logarithm of the
        size, positive ones by their logarithms. The wide prior comes in likewise; where no size is known it has even
        odds. Its losses wander as the first one's.

        Example:
            >>> prior = Prior(drop_error=0.04, wide=(("drop_error", 0.3),)).with_small(Prior(drop_error=0.16))
            >>> [round(prior.for_size(N).drop_error, 3) for N in (1e4, 1e6, 124e6, None)]
            [0.16, 0.08, 0.04, 0.04]
            >>> prior.for_size(None).beside.drop_error, prior.for_size(1e4).beside
            (0.3, None)
            >>> [round(Prior(unlike=0.2).for_size(N).unlike, 3) for N in (1e4, 1e6, 124e6, None)]
            [0.0, 0.1, 0.2, 0.5]
        """
        batch = batch_tokens if self.lessons else None
        if num_params is None and self.beside is not None:
            return replace(self, batch=batch)
        if num_params is None:
            beside = replace(self.of_any(), **{name: getattr(self, name) for name in _WANDER})
            outlier = beside.outlier, beside.outlier_error  # of the run, whichever of the two has its numbers
            large = replace(self, outlier=outlier[0], outlier_error=outlier[1])
            return replace(large, small=(), wide=(), other=(), beside=beside, unlike=_EVEN, batch=batch)
        share = smallness(num_params)
        blended = {name: blend(getattr(self, name), value, share) for name, value in self.small}
        sized = replace(self, small=(), wide=(), other=(), unlike=0.0, size=num_params, batch=batch, **blended)
        unlike = self.unlike * (1.0 - share)
        if not (unlike and self.wide):
            return sized
        own = {name: getattr(sized, name) for name in (*_POWER_LAW, *_WANDER)}
        return replace(sized, unlike=unlike, beside=replace(self.of_any(), **own))

    def for_other(self) -> Prior:
        """The prior of a network of known size that is no language model: that of any, but for what a decay brings.

        Example:
            >>> other, unknown = Prior().for_other(), Prior().for_size(None)
            >>> [prior.annealing_shares()[1].round(2).item() for prior in (other, unknown)]
            [0.3, 0.07]
            >>> other.beside == unknown.beside
            True
        """
        return replace(self.for_size(None), **dict(self.other))

    def in_first_epoch(self) -> Prior:
        """Before data repeats a validation loss has hardly a reason to turn up (Muennighoff et al. 2023)."""
        beside = self.beside and self.beside.in_first_epoch()
        return replace(self, growth=max(self.growth, GROWTH_IN_FIRST_EPOCH), beside=beside)

    @property
    def both(self) -> tuple[Prior, ...]:
        """This prior, and what stands beside it."""
        return (self,) if self.beside is None else (self, self.beside)

    @property
    def untaught(self) -> Prior:
        """This prior with no finished runs to go by: itself where it has none.

        Example:
            >>> Prior().untaught.lessons, (prior := Prior()).untaught is prior
            ((), True)
        """
        return self._without_lessons() if self.lessons else self

    @lru_cache(maxsize=64)  # noqa: B019 - a value, of which there are few
    def _without_lessons(self) -> Prior:
        return replace(self, lessons=(), curves=())

    @property
    def for_lessons(self) -> Prior:
        """This prior as finished runs teach under it: none is an outlier, and the law is doubted by ``lesson_error``.

        What they teach is counted in the law's doubt, so it would be another thing under a law that is surer.

        Example:
            >>> prior = Prior(drop_error=0.1, lesson_error=0.2, outlier=0.1).for_lessons
            >>> prior.drop_error, prior.outlier
            (0.2, 0.0)
        """
        return replace(self, outlier=0.0, drop_error=max(self.drop_error, self.lesson_error))

    def of_small(self) -> Prior:
        """What is believed of small networks."""
        return replace(self, **{**dict(self.small), "small": ()})

    def of_any(self) -> Prior:
        """What is believed of a network of which nothing is known, beside what is believed of a large one."""
        otherwise = {**dict(self.small), **dict(self.wide)}
        otherwise["annealing_shape"] = self.annealing_shape  # both are fitted on one clock
        return replace(self, **otherwise, small=(), wide=(), other=())

    def with_small(self, other: Prior) -> Prior:
        """This prior for large networks, and another for small ones."""
        own = {name: getattr(other, name) for name in SIZED}
        return replace(self, small=tuple((name, v) for name, v in own.items() if v != getattr(self, name)))

    def alpha_weights(self) -> FloatArray:
        """Log-weight of each exponent of the grid, up to a constant."""
        logs = np.log(self.alpha)
        return np.asarray(-0.5 * ((logs - self.alpha_log_mean) / self.alpha_log_sd) ** 2)


@lru_cache(maxsize=1)
def shipped() -> Prior:
    """The prior that comes with curvecast."""
    return Prior()


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
