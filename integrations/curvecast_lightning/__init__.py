"""curvecast in a Lightning Trainer: one callback.

from curvecast_lightning import CurveCast

trainer = Trainer(callbacks=[CurveCast()])
"""

from __future__ import annotations

from curvecast_lightning.callback import CurveCast
from curvecast_lightning.counting import ParameterCount, count_parameters

__all__ = ["CurveCast", "ParameterCount", "count_parameters"]
