"""Never: the baseline that lets every run go on."""

from __future__ import annotations

from dataclasses import dataclass

from curvecast.decisions.base import Finding
from curvecast.decisions.view import View


@dataclass(frozen=True, slots=True)
class Never:
    """Finds nothing, ever: ``Watcher(decisions=[Never()])`` forecasts without judging."""

    def decide(self, view: View) -> Finding | None:
        """Nothing."""
        return None
