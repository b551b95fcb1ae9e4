"""What every law of the package keeps to, found by looking."""

from __future__ import annotations

import importlib
import pickle
import pkgutil

import numpy as np
import pytest

import curvecast.laws
from curvecast.laws.base import FamilyLaw, Law

MODULES = [
    importlib.import_module(f"curvecast.laws.{found.name}") for found in pkgutil.iter_modules(curvecast.laws.__path__)
]
LAWS = {value.name: value for module in MODULES for value in vars(module).values() if isinstance(value, Law)}
FAMILIES = {
    value.name: value
    for module in MODULES
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, FamilyLaw) and value is not FamilyLaw
}


def test_the_laws_are_found() -> None:
    assert {"power law", "Kaplan L(N, S)", "multi-power law", "momentum law"} <= LAWS.keys()
    assert "Kaplan" in FAMILIES


@pytest.mark.parametrize("name", LAWS)
def test_gradient_is_the_finite_difference(name: str) -> None:
    law = LAWS[name]
    theta, inputs = np.array(law.example[0]), law.example[1]
    gradient = law.gradient(theta, *inputs)
    assert gradient.shape == (*law.loss(theta, *inputs).shape, len(law.parameters))
    for k, value in enumerate(theta):
        step = np.zeros_like(theta)
        step[k] = 1e-5 * value
        change = (law.loss(theta + step, *inputs) - law.loss(theta - step, *inputs)) / (2e-5 * value)
        # What one step of the parameter's own size does, in nats: parameters run from 0.05 to 1e14.
        assert gradient[..., k] * value == pytest.approx(change * value, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", LAWS)
def test_laws_change_neither_their_arguments_nor_their_answer(name: str) -> None:
    law = LAWS[name]
    theta = np.array(law.example[0])
    inputs = [np.array(x) for x in law.example[1]]
    copies = [theta.copy(), *(x.copy() for x in inputs)]
    for array in (theta, *inputs):
        array.flags.writeable = False
    first, again = law.loss(theta, *inputs), law.loss(theta, *inputs)
    assert np.array_equal(first, again)
    assert np.array_equal(law.gradient(theta, *inputs), law.gradient(theta, *inputs))
    assert all(np.array_equal(a, b) for a, b in zip(copies, [theta, *inputs], strict=True))


@pytest.mark.parametrize("name", LAWS)
def test_laws_can_be_pickled_and_are_finite(name: str) -> None:
    law = pickle.loads(pickle.dumps(LAWS[name]))
    assert law == LAWS[name]
    theta, inputs = law.example
    assert len(theta) == len(law.parameters)
    assert np.isfinite(law.loss(theta, *inputs)).all()
    assert "arXiv:" in law.source


@pytest.mark.parametrize("name", FAMILIES)
def test_families_find_their_own_frontier(name: str) -> None:
    law = FAMILIES[name]()  # type: ignore[call-arg]
    R = 1.3
    N_term = R * np.linspace(0.001, 0.999, 5001)
    excess = law.compute_excess(N_term, R - N_term)
    efficient = R / (1 + law.efficient_ratio)
    assert N_term[np.argmin(excess)] == pytest.approx(efficient, rel=1e-3)
    assert law.compute_excess(efficient, R - efficient) == pytest.approx(1)
    assert "arXiv:" in law.source
