from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from jsonargparse import ArgumentParser
from pytorch_lightning import Callback

from curvecast import Prior, fit_family
from curvecast_lightning import CurveCast, host


@pytest.mark.parametrize("name", host.NAMESPACES)
def test_the_namespace_in_use_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in host.NAMESPACES:
        monkeypatch.delitem(sys.modules, other, raising=False)
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert host.namespace() == name


@pytest.mark.parametrize("name", host.NAMESPACES)
def test_the_namespace_installed_is_taken_where_none_is_in_use(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in host.NAMESPACES:
        monkeypatch.delitem(sys.modules, other, raising=False)
    root = name.split(".")[0]
    monkeypatch.setattr(host, "is_installed", lambda package: package == root)
    assert host.namespace() == name


def test_neither_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for other in host.NAMESPACES:
        monkeypatch.delitem(sys.modules, other, raising=False)
    monkeypatch.setattr(host, "is_installed", lambda package: False)
    with pytest.raises(ImportError, match=r"pip install 'curvecast\[lightning\]'"):
        host.namespace()


PROGRAM = Path(__file__).with_name("namespace_program.py")


CASES = [*([name] for name in host.NAMESPACES), [*host.NAMESPACES]]


@pytest.fixture(scope="module")
def trained() -> tuple[dict[str, Any], str]:
    """What was seen under each of the cases, and what was said of errors."""
    cases = [used for used in CASES if all(map(host.is_installed, (name.split(".")[0] for name in used)))]
    command = [sys.executable, str(PROGRAM), *map(",".join, cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    seen = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {" and ".join(told["used"]): told for told in seen}, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("used", CASES, ids=" and ".join)
def test_trains_and_is_taken_from_yaml_under_each_package_alone_and_under_both(
    trained: tuple[dict[str, Any], str], used: list[str]
) -> None:
    for name in used:
        pytest.importorskip(name)
    pytest.importorskip("jsonargparse")
    told, errors = trained
    assert " and ".join(used) in told, errors
    seen = told[" and ".join(used)]
    assert set(seen["loaded"]) == set(used)
    assert len(seen["forecasts"]) == 2 * len(used)
    assert len(set(seen["forecasts"])) == 1


def test_counting_parameters_loads_no_lightning() -> None:
    code = "import sys; from curvecast_lightning import count_parameters; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert not {"lightning", "pytorch_lightning"} & set(done.stdout.split())


def test_a_class_joins_what_is_imported_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class First:
        pass

    class Second:
        pass

    class Ours(First):
        pass

    for name in host.NAMESPACES:
        monkeypatch.delitem(sys.modules, f"{name}.callbacks.callback", raising=False)
    instance = Ours()
    host.join_hosts(Ours)
    assert list(Ours.__bases__) == [First]
    module = ModuleType("pytorch_lightning.callbacks.callback")
    module.Callback = Second  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    host.join_hosts(Ours)
    host.join_hosts(Ours)
    assert list(Ours.__bases__) == [First, Second]
    assert isinstance(instance, Second)


def test_yaml_names_the_files_of_a_prior_and_a_law(tmp_path: Path) -> None:
    prior, law = tmp_path / "prior.json", tmp_path / "family.json"
    Prior(source="elsewhere").save(prior)
    sizes = np.array([1e6, 4e6, 1.6e7, 6.4e7, 2.6e8, 1e9])
    fit_family(num_params=sizes, num_tokens=20 * sizes[::-1], loss=2.0 + sizes**-0.1, bootstraps=2).save(law)
    parser = ArgumentParser()
    parser.add_subclass_arguments(Callback, "callback")
    arguments = {"class_path": "curvecast_lightning.CurveCast", "init_args": {"prior": str(prior), "law": str(law)}}
    callback = parser.instantiate(parser.parse_object({"callback": arguments})).callback
    assert callback._models["prior"].source == "elsewhere"
    assert callback.state_key == "CurveCast{'law': 'Family'}"
    with pytest.raises(ValueError, match=r"`prior` must be the path of a file: got 'nowhere.json' \(No such file"):
        CurveCast(prior="nowhere.json")
    with pytest.raises(ValueError, match=r"`law` must be the path of a file: got 'nowhere.json' \(No such file"):
        CurveCast(law="nowhere.json")
