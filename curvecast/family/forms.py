"""The laws that a family can be fitted with, in coordinates in which the fit is easy.

One formula holds them all: a floor, a term in size and one in data, and how the two join:

    L = E + [(A_N N^-alpha_N)^(1/kappa) + (A_D D^-alpha_D)^(1/kappa)]^kappa

With kappa = 1 it is Chinchilla's, with E = 0 and kappa = alpha_D it is Kaplan's L(N, D) (eq. 1.5), with E = 0,
kappa = 1 and steps for data Kaplan's L(N, S) (eq. 1.6), without the term in size Henighan's and GPT-4's law of compute.
Between the two stands ``coupled``, which leaves kappa free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from curvecast.laws.base import FloatArray

Join = Literal["sum", "data", "free"]

_SHAPE_RANGE = (0.06, 1.2)  # exponents between which fits start
_KAPPA_RANGE = (0.3, 1.2)
_GAIN_START = 0.03  # share of the loss that a full decay brings, where fits start
_MOST_CHANGED = 1.0  # a gain is at most e times as large at another size as at the middle one, however far that lies


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a law is evaluated at, with logarithms taken from the middle of the data.

    Args:
        n: ``(T,)`` log of the parameters, less `n0`.
        d: ``(T,)`` log of tokens, steps or compute, less `d0`.
        z: ``(T,)`` how much of a full decay's gain has come, 0 to 1.
        repeats: ``(T,)`` epochs over the data beyond the first, ``D / U - 1``.
        n0, d0: the middle.
    """

    n: FloatArray
    d: FloatArray
    z: FloatArray
    repeats: FloatArray
    n0: float
    d0: float


@dataclass(frozen=True, slots=True)
class Form:
    """A law to fit: which parts it has, what its parameters are called, and where it comes from.

    Args:
        law: its name for `fit_family`.
        source: authors, year, arXiv number.
        floor: whether it has an irreducible loss.
        size: whether it has a term in size.
        join: how the terms in size and data join.
        data: what the second term counts: "tokens", "steps" or "flops".
        scales: whether a term is written ``(N_c / N)^alpha``, as Kaplan does, or ``A N^-alpha``.
        gain: parameters of what a decay of the learning rate brings: 0, 1 (a share of the loss) or 3 (that moves with
            size and data).
        repeating: whether repeated data counts less.

    Example:
        >>> FORMS["chinchilla"].parameters
        ('irreducible_loss', 'A_N', 'alpha_N', 'A_D', 'alpha_D')
        >>> FORMS["kaplan_ns"].parameters
        ('N_c', 'alpha_N', 'S_c', 'alpha_S')
    """

    law: str
    source: str
    floor: bool = True
    size: bool = True
    join: Join = "sum"
    data: Literal["tokens", "steps", "flops"] = "tokens"
    scales: bool = False
    gain: int = 0
    repeating: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of `natural`."""
        letter = {"tokens": "D", "steps": "S", "flops": "C"}[self.data]
        names = ["irreducible_loss" if self.size or self.data == "flops" else "converged_loss"] * self.floor
        for used, x in ((self.size, "N"), (True, letter)):
            names += [f"{x}_c" if self.scales else f"A_{x}", f"alpha_{x}"] * used
        names += ["kappa"] * (self.join == "free") + ["R_D"] * self.repeating
        names += ["annealing_gain", "annealing_alpha_N", "annealing_alpha_D"][: self.gain]
        return tuple(names)

    def __len__(self) -> int:
        return len(self.parameters)

    def columns(self) -> dict[str, int]:
        """Place of each part among the coordinates."""
        order = ["E"] * self.floor + ["a", "alpha"] * self.size + ["b", "beta"]
        order += ["kappa"] * (self.join == "free") + ["R"] * self.repeating + ["g0", "g1", "g2"][: self.gain]
        return {name: k for k, name in enumerate(order)}

    def __call__(self, phi: FloatArray, x: Inputs) -> tuple[FloatArray, FloatArray]:
        """Log of the loss, and its derivative by the coordinates.

        Args:
            phi: ``(K, P)`` coordinates: logarithms of floor, terms and exponents at the middle of the data.
            x: ``T`` points.

        Returns:
            ``(K, T)`` and ``(K, P, T)``.
        """
        at = self.columns()
        J = np.empty((len(phi), len(at), len(x.d)))

        def get(name: str) -> FloatArray:
            return phi[:, at[name], None]

        beta = np.exp(get("beta"))
        d, slope = _worth(x, np.exp(get("R"))) if self.repeating else (x.d, None)
        log_data = get("b") - beta * d
        if self.size:
            alpha = np.exp(get("alpha"))
            term, share, entropy = _joined(get("a") - alpha * x.n, log_data, self._kappa(phi, at, beta))
            J[:, at["a"]] = term * share
            J[:, at["alpha"]] = J[:, at["a"]] * -alpha * x.n
            by_data = term - J[:, at["a"]]
        else:
            term, entropy = np.exp(log_data), None
            by_data = term
        J[:, at["b"]] = by_data
        J[:, at["beta"]] = by_data * -beta * d
        if slope is not None:
            J[:, at["R"]] = by_data * -beta * slope
        if entropy is not None and self.join != "sum":
            by_kappa = term * entropy
            if self.join == "free":
                J[:, at["kappa"]] = by_kappa
            else:
                J[:, at["beta"]] += by_kappa
        loss = term
        if self.floor:
            J[:, at["E"]] = np.exp(get("E"))
            loss = term + J[:, at["E"]]
        used = len(at) - self.gain
        J[:, :used] /= loss[:, None, :]
        log_loss = np.log(loss)
        if self.gain:
            log_loss -= self._taken(phi, x, J)
        return log_loss, J

    def _taken(self, phi: FloatArray, x: Inputs, J: FloatArray) -> FloatArray:
        """``(K, T)`` what decays have taken off the logarithm of the loss; fills their derivatives in."""
        at = self.columns()
        g0, g1, g2 = (phi[:, at[name], None] if name in at else 0.0 for name in ("g0", "g1", "g2"))
        changed = g1 * x.n + g2 * x.d
        taken = np.exp(g0 + np.clip(changed, -_MOST_CHANGED, _MOST_CHANGED)) * x.z
        J[:, at["g0"]] = -taken
        if self.gain == 3:
            moves = taken * (np.abs(changed) < _MOST_CHANGED)
            J[:, at["g1"]], J[:, at["g2"]] = -moves * x.n, -moves * x.d
        return np.asarray(taken)

    def _kappa(self, phi: FloatArray, at: dict[str, int], beta: FloatArray) -> FloatArray | None:
        if self.join == "sum":
            return None
        return beta if self.join == "data" else np.exp(phi[:, at["kappa"], None])

    def kappa(self, phi: FloatArray) -> float:
        """How the two terms join at ``(P,)`` coordinates: 1 where they are added."""
        at = self.columns()
        found = self._kappa(phi[None], at, np.exp(phi[None, at["beta"], None]))
        return 1.0 if found is None else float(found[0, 0])

    def natural(self, phi: FloatArray, x: Inputs) -> FloatArray:
        """The parameters in the law's own units.

        Args:
            phi: ``(K, P)`` coordinates.
            x: any points of the same middle.

        Returns:
            ``(K, P)``, as `parameters` names them.
        """
        at, out = self.columns(), np.exp(phi)
        pairs = [("a", "alpha", x.n0)] * self.size + [("b", "beta", x.d0)]
        for scale, exponent, middle in pairs:
            power = out[:, at[exponent]]
            if self.scales:
                out[:, at[scale]] = np.exp(np.minimum(phi[:, at[scale]] / power + middle, 700.0))
            else:
                out[:, at[scale]] = np.exp(np.minimum(phi[:, at[scale]] + power * middle, 700.0))
        for name in ("g1", "g2"):
            if name in at:
                out[:, at[name]] = phi[:, at[name]]
        return out

    def starts(self, x: Inputs, log_loss: FloatArray, count: int) -> FloatArray:
        """Starts of a fit: exponents spread evenly, everything else by linear least squares.

        Args:
            x: ``T`` points.
            log_loss: ``(T,)``.
            count: K.

        Returns:
            ``(K, P)`` coordinates.
        """
        at = self.columns()
        spread = _spread(count, 3)
        phi = np.zeros((count, len(at)))
        shapes = np.log(_SHAPE_RANGE[0]) + spread[:, :2] * np.log(_SHAPE_RANGE[1] / _SHAPE_RANGE[0])
        phi[:, at["beta"]] = shapes[:, 1]
        terms = [np.ones((count, len(x.n)))] * self.floor
        names = ["E"] * self.floor + ["a"] * self.size + ["b"]
        if self.size:
            phi[:, at["alpha"]] = shapes[:, 0]
            terms.append(np.exp(-np.exp(shapes[:, :1]) * x.n))
        terms.append(np.exp(-np.exp(shapes[:, 1:]) * x.d))
        if self.join == "free":
            phi[:, at["kappa"]] = np.log(_KAPPA_RANGE[0]) + spread[:, 2] * np.log(_KAPPA_RANGE[1] / _KAPPA_RANGE[0])
        if self.repeating:
            phi[:, at["R"]] = np.log(3.0) + spread[:, 2] * np.log(10.0)
        if self.gain:
            phi[:, at["g0"]] = np.log(_GAIN_START)
        loss = np.exp(log_loss)
        columns = np.stack(terms, axis=1) / loss  # relative errors, as those of the logarithm are
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            H = columns @ columns.transpose(0, 2, 1)
            H += 1e-9 * np.eye(len(names)) * np.trace(H, axis1=1, axis2=2)[:, None, None]
        if not (np.isfinite(H).all() and (np.trace(H, axis1=1, axis2=2) > 0.0).all()):  # losses of no unit
            return np.full_like(phi, np.nan)
        linear = np.linalg.solve(H, columns.sum(axis=2)[:, :, None])[:, :, 0]
        linear = np.maximum(linear, 0.02 * loss.min())
        for k, name in enumerate(names):
            phi[:, at[name]] = np.log(linear[:, k])
        return phi


def shaped(form: Form, *, size: bool, gain: int) -> Form:
    """The form as the data can bear it.

    Args:
        form: the law.
        size: whether the runs are of more than one size; of one alone the size is left out of the law.
        gain: as in `Form`.
    """
    if size:
        return replace(form, size=True, gain=gain)
    return replace(form, size=False, gain=gain, floor=True, join="sum", scales=False)


def _worth(x: Inputs, R: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(K, T)`` the logarithm of the tokens that repeated ones are worth, and its derivative by ``log R``.

    Args:
        x: ``T`` points.
        R: ``(K, 1)`` repeats after which a further one hardly counts.

    Source: Muennighoff et al. 2023, arXiv:2305.16264, eq. 5.
    """
    fade = np.exp(-x.repeats / R)
    worth = (1 + R * (1 - fade)) / (1 + x.repeats)
    return x.d + np.log(worth), R * (1 - fade - fade * x.repeats / R) / ((1 + x.repeats) * worth)


def _joined(u: FloatArray, v: FloatArray, kappa: FloatArray | None) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """The two terms as one, the first's share of it, and its derivative by log kappa over itself."""
    if kappa is None:
        first, second = np.exp(u), np.exp(v)
        both = first + second
        return both, first / both, None
    u, v = u / kappa, v / kappa
    both = np.logaddexp(u, v)
    log_share, log_rest = u - both, v - both
    share = np.exp(log_share)
    entropy = -(share * log_share + (1 - share) * log_rest)
    return np.exp(kappa * both), share, kappa * entropy


def _spread(count: int, axes: int) -> FloatArray:
    """``(count, axes)`` points that fill the unit cube evenly, always the same (a Kronecker sequence)."""
    root = 1.0
    for _ in range(32):
        root = (1 + root) ** (1 / (axes + 1))
    return np.asarray((0.5 + np.outer(np.arange(1, count + 1), root ** -np.arange(1.0, axes + 1))) % 1.0)


FORMS = {
    form.law: form
    for form in (
        Form("chinchilla", "Hoffmann et al. 2022, arXiv:2203.15556, eq. 2"),
        Form("kaplan_nd", "Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5", floor=False, join="data", scales=True),
        Form("kaplan_ns", "Kaplan et al. 2020, arXiv:2001.08361, eq. 1.6", floor=False, data="steps", scales=True),
        Form("coupled", "between arXiv:2203.15556, eq. 2, and arXiv:2001.08361, eq. 1.5", join="free"),
        Form("data_constrained", "Muennighoff et al. 2023, arXiv:2305.16264, eq. 6, repeats only", repeating=True),
        Form(
            "compute", "OpenAI 2023, arXiv:2303.08774; Henighan et al. 2020, arXiv:2010.14701", size=False, data="flops"
        ),
    )
}
