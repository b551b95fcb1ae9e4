"""A fitted family: its parameters and what it foretells."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from curvecast.family.forms import Form, Inputs
from curvecast.family.held_out import HeldOut
from curvecast.family.points import ANNEALING
from curvecast.family.stored import SCHEMA, parts_of, plain
from curvecast.forecast import Forecast, Interval
from curvecast.laws.annealing import annealing_gain
from curvecast.laws.base import LEAST_EXPONENT, MOST_EXPONENT, FamilyLaw, FloatArray, Foretold
from curvecast.notation import with_interval
from curvecast.schedule import Schedule


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Family(FamilyLaw):
    """What `fit_family` found: one law for all sizes, with its doubts. It serves as a Watcher's ``law``, too.

    Args:
        form: the law.
        best: ``(P,)`` coordinates of the fit.
        draws: ``(M, P)`` coordinates of the bootstraps.
        n0, d0: middle of the data, in logs.
        scatter: standard deviation of a run about the law, as a share of the loss [1].
        drift: what the law may be off for each factor of e beyond its sizes, and beyond its data, as a share of the
            loss [1].
        reference: how far a run's learning rate decays where no schedule is given: share of a full decay's gain, and
            tokens weighted by learning rate over tokens seen.
        seen: smallest and largest parameters and tokens of the data.
        of: which loss, "train" or "val".
        unit: of the loss.
        counts: what `num_params` counts.
        held_out: the check on the largest runs; ``None`` where there are too few sizes.
        outliers: runs that lie far off the law, with their share of the loss.
        residuals: each run's mean of ``log(loss) - log(law)``.
        notes: what the data could not tell, and what was assumed.
        provenance: how it was fitted, and from what.

    Example:
        >>> from curvecast.family import fit_family
        >>> from curvecast.laws.chinchilla import EPOCH
        >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
        >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=EPOCH.loss(N, D).ravel())
        >>> round(family.parameters["alpha_N"], 3), round(family.parameters["irreducible_loss"], 3)
        (0.348, 1.817)
        >>> family.predict(num_params=7e10, num_tokens=1.4e12)
        Forecast(step=1400000000000.0, of='val': 1.974 [...])
    """

    form: Form
    best: FloatArray
    draws: FloatArray
    n0: float
    d0: float
    scatter: float
    drift: tuple[float, float]
    reference: tuple[float, float]
    seen: tuple[float, float, float, float]
    of: Literal["train", "val"]
    unit: str
    counts: str
    held_out: HeldOut | None
    outliers: Mapping[str, float]
    residuals: Mapping[str, float]
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]

    name: ClassVar[str] = "family"
    source: ClassVar[str] = "fitted by curvecast.fit_family"

    @property
    def law(self) -> str:
        """Name of the law that was fitted."""
        return self.form.law

    @property
    def parameters(self) -> dict[str, float]:
        """The law's parameters, in the law's own units."""
        values = self.form.natural(self.best[None], self._inputs(1.0, 1.0))[0]
        return dict(zip(self.form.parameters, values.tolist(), strict=True))

    def interval(self, name: str, level: float = 0.9) -> Interval:
        """Bootstrap interval of a parameter, which reaches to the estimate at least.

        Where a few runs decide, most draws lack one of them, and may all lie to one side of the fit to all runs.

        Args:
            name: one of `parameters`.
            level: probability, inside (0, 1).

        Raises:
            KeyError: if there is no such parameter.
            ValueError: if the level is not inside (0, 1), or there were no bootstraps.

        Example:
            >>> from curvecast.family import fit_family
            >>> from curvecast.laws.chinchilla import EPOCH
            >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
            >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=EPOCH.loss(N, D).ravel())
            >>> family.parameters["alpha_N"] in family.interval("alpha_N")
            True
        """
        if name not in self.form.parameters:
            raise KeyError(f"{name!r} is not a parameter of {self.law!r}. It has: {', '.join(self.form.parameters)}.")
        if not 0.0 < level < 1.0:
            raise ValueError(f"`level` must lie inside (0, 1): got {level}. Pass 0.9 for a 90 % interval.")
        if not len(self.draws):
            raise ValueError("There are no intervals without bootstraps: got 0. Fit with bootstraps=400.")
        drawn = self.form.natural(self.draws, self._inputs(1.0, 1.0))[:, self.form.parameters.index(name)]
        return reaching(self.parameters[name], drawn, level)

    def loss(
        self,
        num_params: ArrayLike,
        num_tokens: ArrayLike,
        *,
        unique_tokens: ArrayLike = np.inf,
        schedule: Schedule | None = None,
    ) -> FloatArray:
        """The law itself at its best parameters.

        Args:
            num_params: N, counted as in the fit.
            num_tokens: tokens seen; steps for the law "kaplan_ns". Broadcasts with `num_params`.
            unique_tokens: tokens of the data set, for the law "data_constrained".
            schedule: as in `predict`.

        Returns:
            Loss [`unit`], of the arguments' common shape.

        Raises:
            ValueError: as `predict` does.

        Example:
            >>> from curvecast.family import fit_family
            >>> from curvecast.laws.chinchilla import EPOCH
            >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
            >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=EPOCH.loss(N, D).ravel())
            >>> bool(np.allclose(family.loss([1e9, 7e10], 1.4e12), EPOCH.loss([1e9, 7e10], 1.4e12), rtol=1e-3))
            True
        """
        N, D, U = self._checked(num_params, num_tokens, unique_tokens)
        x = self._inputs(N.ravel(), D.ravel(), U.ravel(), schedule)
        return np.asarray(np.exp(self.form(self.best[None], x)[0][0]).reshape(N.shape))

    def predict(
        self,
        *,
        num_params: ArrayLike,
        num_tokens: ArrayLike,
        unique_tokens: ArrayLike = np.inf,
        schedule: Schedule | None = None,
    ) -> Forecast:
        """Forecast the last loss of a run of this family.

        The interval holds the doubt of the parameters (bootstraps), the scatter of runs about the law, and what the
        law may be off beyond its data, as checks on the largest and the longest runs tell.

        Args:
            num_params: N, counted as in the fit; a number or ``(m,)``.
            num_tokens: tokens seen; steps for the law "kaplan_ns". A number or ``(m,)``.
            unique_tokens: tokens of the data set, for the law "data_constrained".
            schedule: the learning rate to the run's end; ``None`` for one that ends as those of the fit did.

        Returns:
            The forecast; its ``step`` is `num_tokens`.

        Raises:
            ValueError: if a number is not positive, or the family has one size and another one is asked for.

        Example:
            >>> from curvecast.family import fit_family
            >>> from curvecast.laws.chinchilla import EPOCH
            >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
            >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=EPOCH.loss(N, D).ravel())
            >>> EPOCH.loss(7e10, 1.4e12) in family.predict(num_params=7e10, num_tokens=1.4e12).interval(0.9)
            True
        """
        N, D, _ = self._checked(num_params, num_tokens, unique_tokens)
        means = self.drawn(num_params, num_tokens, unique_tokens=unique_tokens, schedule=schedule)
        share = np.hypot(self.scatter, beyond(self.drift, self.distance(N.ravel(), D.ravel())))
        # Far out a law of few sizes may foretell a loss of nothing in one of its draws: that is no certainty.
        stds = np.maximum(means, 1e-3 * means.max(axis=0)) * np.maximum(share, 1e-9)
        weight = np.full(means.shape, 1 / len(means))
        step = float(D) if D.ndim == 0 else D.ravel()
        return Forecast(step, self.of, weight, means, stds)

    def drawn(
        self,
        num_params: ArrayLike,
        num_tokens: ArrayLike,
        *,
        unique_tokens: ArrayLike = np.inf,
        schedule: Schedule | None = None,
    ) -> FloatArray:
        """The law itself at the parameters of each bootstrap: what the fit leaves open, losses beside one another.

        Args:
            num_params: ``(m,)`` as in `loss`.
            num_tokens: ``(m,)`` as there.
            unique_tokens: as there.
            schedule: as there.

        Returns:
            ``(M, m)`` losses [`unit`]; one row, at the best parameters, where there were no bootstraps.

        Raises:
            ValueError: as `predict` does.

        Example:
            >>> from curvecast.family import fit_family
            >>> from curvecast.laws.chinchilla import EPOCH
            >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
            >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=EPOCH.loss(N, D).ravel())
            >>> family.drawn([1e9, 7e10], 1.4e12).shape
            (400, 2)
        """
        N, D, U = self._checked(num_params, num_tokens, unique_tokens)
        x = self._inputs(N.ravel(), D.ravel(), U.ravel(), schedule)
        draws = self.draws if len(self.draws) else self.best[None]
        return np.asarray(np.exp(self.form(draws, x)[0]))

    def foretold(
        self, *, num_params: float, num_tokens: float, num_steps: float, unique_tokens: float, schedule: Schedule | None
    ) -> Foretold | None:
        """Where a run of the family ends: `predict`, for a watcher; ``None`` of another size where there was but one.

        Example:
            >>> from curvecast.family import fit_family
            >>> from curvecast.laws.chinchilla import EPOCH
            >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
            >>> family = fit_family(num_params=N.ravel(), num_tokens=D.ravel(), loss=EPOCH.loss(N, D).ravel())
            >>> end = family.foretold(num_params=2e9, num_tokens=4e10, num_steps=1e5, unique_tokens=1e12, schedule=None)
            >>> bool(abs(end.loss / EPOCH.loss(2e9, 4e10) - 1.0) < 1e-3)
            True
        """
        amount = num_steps if self.law == "kaplan_ns" else num_tokens
        limit = unique_tokens if self.law == "data_constrained" else np.inf
        try:
            end = self.predict(num_params=num_params, num_tokens=amount, unique_tokens=limit, schedule=schedule)
        except ValueError:
            return None
        return Foretold(self.of == "val", float(end.mean), float(end.std))

    def distance(self, N: ArrayLike, D: ArrayLike) -> FloatArray:
        """``(2, m)`` factors of e that ``(m,)`` sizes, and ``(m,)`` tokens, lie beyond those of the fit."""
        _, N_most, _, D_most = self.seen
        N, D = np.broadcast_arrays(N, D)
        return np.maximum(np.log(np.stack([N / N_most, D / D_most])), 0.0)

    def _checked(self, N: ArrayLike, D: ArrayLike, U: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        values = []
        for name, value in (("num_params", N), ("num_tokens", D), ("unique_tokens", U)):
            values.append(np.asarray(value, dtype=np.float64))
            if not np.all(values[-1] > 0):
                raise ValueError(f"`{name}` must be positive: got {np.min(values[-1]):g}.")
            if name != "unique_tokens" and np.isinf(values[-1]).any():
                raise ValueError(f"`{name}` must be finite: got {np.max(values[-1]):g}. Pass what a run has.")
        N, D, U = np.broadcast_arrays(*values)
        least, most = self.seen[:2]
        if not self.form.size and self.form.data != "flops" and not np.all((0.99 * least <= N) & (1.01 * most >= N)):
            raise ValueError(
                f"This family has one size, {most:.4g} parameters, and cannot tell of others: got {np.max(N):.4g}. "
                "Fit runs of at least two sizes, better four."
            )
        return N, D, U

    def _inputs(self, N: ArrayLike, D: ArrayLike, U: ArrayLike = np.inf, schedule: Schedule | None = None) -> Inputs:
        N, D = np.broadcast_arrays(np.atleast_1d(np.asarray(N, np.float64)), np.asarray(D, np.float64))
        z, ratio = self.reference
        if schedule is not None and self.form.gain:
            end = float(schedule.horizon)
            z = float(annealing_gain(schedule, [end], **ANNEALING)[0])
            ratio = schedule.summed(end) / end
        with np.errstate(over="ignore"):
            data = 6 * N * D if self.form.data == "flops" else D * ratio
        repeats = np.maximum(D / np.asarray(U, dtype=np.float64) - 1, 0.0)
        return Inputs(np.log(N) - self.n0, np.log(data) - self.d0, np.full(len(N), z), repeats, self.n0, self.d0)

    def summary(self) -> str:
        """The fit in a few lines.

        Returns:
            Text with a line for each parameter, the check on the largest runs, outliers and notes.

        Example:
            >>> from curvecast.family import fit_family
            >>> from curvecast.laws.chinchilla import EPOCH
            >>> N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9, 1e10], [3e9, 1e10, 5e10, 2e11])
            >>> sizes, losses = {"num_params": N.ravel(), "num_tokens": D.ravel()}, EPOCH.loss(N, D).ravel()
            >>> print(fit_family(loss=losses, law="chinchilla", bootstraps=0, **sizes).summary().splitlines()[0])
            chinchilla (Hoffmann et al. 2022, arXiv:2203.15556, eq. 2), fitted to 20 runs [nats/token]
        """
        runs, intervals = self.provenance.get("runs", "?"), "; in brackets 90 % intervals" if len(self.draws) else ""
        lines = [f"{self.law} ({self.form.source}), fitted to {runs} runs [{self.unit}]{intervals}"]
        for name, value in self.parameters.items():
            told = f"{value:.4g}"
            if len(self.draws):
                interval = self.interval(name)
                told = with_interval(value, float(interval.lower), float(interval.upper))
            lines.append(f"  {name:18} {told}")
        lines.append(f"  scatter of runs    {100 * self.scatter:.2f} % of the loss")
        lines.append(f"held out: {self.held_out or 'too few sizes for a check on the largest'}")
        lines += [f"outlier: {name}, {100 * off:+.1f} %" for name, off in self.outliers.items()]
        return "\n".join([*lines, *self.notes])

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value:.4g}" for name, value in self.parameters.items())
        return f"Family({self.law}: {told})"

    def to_dict(self) -> dict[str, Any]:
        """Plain types, with units and provenance, for JSON."""
        return plain(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Family:
        """The family whose plain form this is.

        Raises:
            ValueError: if it is not one, or of a later version.
        """
        if "alpha_log_mean" in state:
            raise ValueError(
                "This is a prior, which `curvecast learn` wrote: pass it to `curvecast analyze` with `--prior`, or as "
                "`prior=`. Write a family with `curvecast fit`."
            )
        if state.get("kind") != "curvecast.Family" or state.get("schema") != SCHEMA:
            raise ValueError(
                f"This is no family of schema {SCHEMA}: got kind={state.get('kind')!r}, "
                f"schema={state.get('schema')!r}. Write one with `curvecast fit` or Family.save."
            )
        try:
            return make(**parts_of(state))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"This is no whole family: got one that lacks or garbles {error}. Write one with `curvecast fit`."
            ) from error

    def save(self, path: str | Path) -> None:
        """Write it as JSON, for `load`, and for ``--law`` of the command line.

        Args:
            path: the file.
        """
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Family:
        """Read what `save`, or `curvecast fit`, wrote.

        Args:
            path: the file.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it holds no family.
        """
        try:
            state = json.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON: {error}. Write a family with `curvecast fit -o`.") from error
        if not isinstance(state, dict):
            raise ValueError(
                f"{path} holds no family: got a {type(state).__name__}. Write one with `curvecast fit -o`."
            )
        return cls.from_dict(state)


def reaching(estimate: float, drawn: FloatArray, level: float = 0.9) -> Interval:
    """Interval of what bootstraps found, which reaches to the estimate at least.

    Example:
        >>> interval = reaching(0.0, np.arange(1.0, 102.0))
        >>> float(interval.lower), float(interval.upper)
        (0.0, 96.0)
    """
    lower, upper = np.quantile(drawn, [0.5 - 0.5 * level, 0.5 + 0.5 * level]).tolist()
    return Interval(min(lower, estimate), max(upper, estimate), level)


def beyond(drift: tuple[float, float], distance: FloatArray) -> FloatArray:
    """What a law may be off beyond its runs, as a share of the loss: in size and in data, each on its own.

    Args:
        drift: as in `Family`.
        distance: ``(2, ...)`` factors of e beyond the runs, as `Family.distance` gives them.

    Returns:
        ``(...)`` shares [1].

    Example:
        >>> beyond((0.03, 0.01), np.array([[0.0, 1.0, 1.0], [2.0, 0.0, 4.0]])).tolist()
        [0.02, 0.03, 0.05]
    """
    return np.asarray(np.hypot(drift[0] * distance[0], drift[1] * distance[1]))


PUBLISHED_ALPHA_N = 0.32
"""Exponent in size where the data has one size: Hoffmann's, Epoch's and Muennighoff's lie between 0.339 and 0.353."""


def make(**parts: Any) -> Family:
    """A family with the exponents that its law has."""
    form: Form = parts["form"]
    at, best = form.columns(), parts["best"]
    alpha_N = math.exp(best[at["alpha"]]) if "alpha" in at else PUBLISHED_ALPHA_N
    floor = math.exp(best[at["E"]]) if "E" in at and (form.size or form.data == "flops") else 0.0
    alpha_N, alpha_S, kappa = (
        min(max(each, LEAST_EXPONENT), MOST_EXPONENT)  # of flat losses a fit runs off to any
        for each in (alpha_N, math.exp(best[at["beta"]]), form.kappa(best) if form.size else 1.0)
    )
    return Family(
        alpha_N=alpha_N,
        alpha_S=alpha_S,
        irreducible_loss=floor,
        kappa=kappa,
        **parts,
    )
