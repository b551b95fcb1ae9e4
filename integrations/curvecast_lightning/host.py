"""Which of Lightning's two packages to build on: the one that the program already uses, or both."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

NAMESPACES = ("lightning.pytorch", "pytorch_lightning")


def namespace() -> str:
    """Name of the Lightning package to import from; the other one is left alone.

    Returns:
        'lightning.pytorch' or 'pytorch_lightning': the one already imported, else the one installed.

    Raises:
        ImportError: if neither is installed.

    Example:
        >>> namespace() in NAMESPACES
        True
    """
    for name in NAMESPACES:
        if name in sys.modules:
            return name
    for name in reversed(NAMESPACES):
        if is_installed(name.split(".")[0]):
            return name
    raise ImportError(
        "The callback needs `pytorch-lightning` or `lightning`: got neither. Run `pip install 'curvecast[lightning]'`."
    )


def is_installed(package: str) -> bool:
    """Whether a top-level package could be imported."""
    return importlib.util.find_spec(package) is not None


def callback_class() -> Any:
    """The ``Callback`` class of `namespace`."""
    return importlib.import_module(f"{namespace()}.callbacks").Callback


def join_hosts(cls: type) -> None:
    """Make a class, and so its instances, a callback of every Lightning package that is imported by now.

    Each package's Trainer and command line ask for its own ``Callback``. Neither is imported here: a program
    that uses one of them does not pay for the other.

    Args:
        cls: a class derived from the ``Callback`` of one of them.
    """
    for name in NAMESPACES:
        module = sys.modules.get(f"{name}.callbacks.callback")
        host = getattr(module, "Callback", None)
        if host is not None and not issubclass(cls, host):
            cls.__bases__ = (*cls.__bases__, host)
