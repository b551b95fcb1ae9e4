"""A log becomes the verdicts of the live run.

`logs` finds the run and its plan and has it watched. Where the last verdict is all that is asked for, `backwards` works
that out first, and earlier ones only as far as it depends on them; `feed` then gives a watcher whole columns at once,
to the last bit what one sample after another would make of it.
"""

from __future__ import annotations

from curvecast.replay.backwards import Replay, judged_to_end
from curvecast.replay.logs import watch, watcher_for

__all__ = ["Replay", "judged_to_end", "watch", "watcher_for"]
