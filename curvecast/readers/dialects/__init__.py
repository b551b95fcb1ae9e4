"""The dialects of text logs: what training scripts print, by the field in which they are met."""

from __future__ import annotations

from curvecast.readers.dialects import boosting, frameworks, guesses, pretraining, speech, vision

DIALECTS = (
    *pretraining.DIALECTS,
    *speech.DIALECTS,
    *vision.DIALECTS,
    *boosting.DIALECTS,
    *frameworks.DIALECTS,
    *guesses.DIALECTS,
)
