from __future__ import annotations

import sys
from types import ModuleType

import pytest

from curvecast_lightning import host


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
    with pytest.raises(ImportError, match=r"pip install curvecast\[lightning\]"):
        host.namespace()
