"""Which of Lightning's two packages to build on: the one that the program already uses."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

NAMESPACES = ("lightning.pytorch", "pytorch_lightning")


def namespace() -> str:
    """Name of the Lightning package to import from; the other one is left alone.

    A callback of either package runs in a Trainer of the other, so the choice only has to avoid a second
    import of many seconds.

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
        "The callback needs `pytorch-lightning` or `lightning`: got neither. Run `pip install curvecast[lightning]`."
    )


def is_installed(package: str) -> bool:
    """Whether a top-level package could be imported."""
    return importlib.util.find_spec(package) is not None


def callback_class() -> Any:
    """The ``Callback`` class of `namespace`."""
    return importlib.import_module(f"{namespace()}.callbacks").Callback
