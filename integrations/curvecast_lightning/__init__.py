"""curvecast in a Lightning Trainer: one callback.

from curvecast_lightning import CurveCast

trainer = Trainer(callbacks=[CurveCast()])
"""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    raise ImportError(
        "`curvecast_lightning` needs `torch` and Lightning: got no torch. Run `pip install curvecast[lightning]`."
    )

from curvecast_lightning.callback import CurveCast
from curvecast_lightning.counting import ParameterCount, count_parameters

__all__ = ["CurveCast", "ParameterCount", "count_parameters"]
