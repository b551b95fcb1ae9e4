"""Scaling laws: formulas, gradients, constants, units and sources. One law a file; docs/laws.md lists them.

Modules are imported when they are first used.

Example:
    >>> import curvecast
    >>> float(curvecast.laws.kaplan.loss_of_size(1e9).round(2))
    2.38
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

_MODULES = sorted(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"curvecast.laws.{name}")
    raise AttributeError(f"module 'curvecast.laws' has no attribute {name!r}. It has: {', '.join(_MODULES)}.")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
