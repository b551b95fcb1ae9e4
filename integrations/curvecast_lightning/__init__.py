"""curvecast in a Lightning Trainer: one callback.

from curvecast_lightning import CurveCast

trainer = Trainer(callbacks=[CurveCast()])
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if importlib.util.find_spec("torch") is None:
    raise ImportError(
        "`curvecast_lightning` needs `torch` and Lightning: got no torch. Run `pip install 'curvecast[lightning]'`."
    )

from curvecast_lightning.counting import ParameterCount, count_parameters

if TYPE_CHECKING:
    from curvecast_lightning.callback import CurveCast

__all__ = ["CurveCast", "ParameterCount", "count_parameters"]


def __getattr__(name: str) -> Any:
    """The callback is looked up anew each time: meanwhile the other Lightning package may have been imported."""
    if name != "CurveCast":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from curvecast_lightning.callback import CurveCast
    from curvecast_lightning.host import join_hosts

    join_hosts(CurveCast)
    return CurveCast
