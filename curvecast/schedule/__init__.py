"""The learning rate of a run, past and planned.

A `schedule` is a `polyline` through a few `knots`, and the ways to make one; `checks` says what may be one, and
`scheduler` runs one of torch's ahead.
"""

from __future__ import annotations

from curvecast.schedule.knots import DecayShape
from curvecast.schedule.schedule import Schedule
from curvecast.schedule.scheduler import is_conditional, replay_lrs

__all__ = ["DecayShape", "Schedule", "is_conditional", "replay_lrs"]
