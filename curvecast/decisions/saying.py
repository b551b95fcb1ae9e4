"""From the findings of the decisions to the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from curvecast.decisions.alarm import RISING, rises_throughout
from curvecast.decisions.base import Finding, Reason, Verdict, spoken
from curvecast.decisions.details import Details, Once
from curvecast.decisions.view import View
from curvecast.forecast import Forecast
from curvecast.notation import plural

_SAID = 0.01  # finished runs that give a smaller share of the forecast give none, in words
_NEAR = 0.5  # least probability at which a run on track is told its likeliest reason to stop
_MAY_TURN = 0.2  # least probability at which a turn ahead is told: the forecast depends on it


def said(finding: Finding, step: int, ahead: Forecast | None) -> Verdict:
    """A finding as the verdict at a step."""
    return Verdict(
        should_stop=finding.fires,
        reason=finding.reason,
        words=finding.message,
        probability=min(max(finding.probability, 0.0), 1.0),  # sums of weights miss one by a rounding
        step=step,
        forecast=ahead,
        details=finding.details,
        offer=finding.offer,
    )


def judged(view: View, findings: Sequence[Finding]) -> Verdict:
    """The first finding that fires; where none does, the run is on track."""
    firing = next((found for found in findings if found.fires), None)
    found = firing or _on_track(view, findings)
    message = Once(lambda: spoken(found.message) + _remarks(view, fires=found.fires))
    return said(replace(found, message=message), view.step, view.outlook)


def _remarks(view: View, *, fires: bool) -> str:
    """What is odd about what the watcher was given; empty where nothing is."""
    remarks = RISING if fires and rises_throughout(view.val if view.of_val else view.train) else ""
    if view.horizon is not None and view.step > view.horizon:
        remarks += f" It is past its horizon, which counts optimizer steps, not epochs: {view.horizon:,} were planned."
    if view.kin is not None and view.kin.is_doubted:
        left = "is left out" if view.kin.is_left_out else f"counts for {view.kin.probability:.0%} of the forecast"
        remarks += (
            f" The law of the family {left}: it foretells {view.kin.loss:.4g} at step {view.end:,}, which this run "
            "contradicts. Compare its unit, tokenizer and count of parameters with the run's."
        )
    return remarks


def not_enough(step: int, needed: int, horizon: int | None, share: float) -> Verdict:
    """Too little was seen: fewer samples than are needed, or less than a share of the plan."""
    soon = ""
    if horizon is not None and share * horizon > needed:  # longer than that many samples take at the least
        soon = f" and {share:.0%} of the {horizon:,} planned steps, which is step {math.ceil(share * horizon):,}"
    message = f"A verdict needs at least {needed} samples of the loss{soon}."
    return Verdict(False, Reason.NOT_ENOUGH_DATA, message, 1.0, step)


def _on_track(view: View, findings: Sequence[Finding]) -> Finding:
    """Nothing speaks against going on; its probability is that of the likeliest reason's opposite."""
    likeliest = max(findings, key=lambda found: found.probability, default=None)
    worst = 0.0 if likeliest is None else likeliest.probability
    details = Details(*(found.details for found in findings))
    said = Once(lambda: _as_planned(view, findings, likeliest))
    return Finding(Reason.ON_TRACK, 1.0 - worst, False, said, details, Once(lambda: view.choices))


def _as_planned(view: View, findings: Sequence[Finding], likeliest: Finding | None) -> str:
    """Where a run on track ends, what it is near to, and what its decisions note."""
    notes = "".join(f" {found.note[0].upper()}{found.note[1:]}" for found in findings if found.note)
    is_over = view.horizon is not None and not view.steps_left  # nothing is left to stop
    if likeliest is not None and likeliest.probability >= _NEAR and not is_over:
        what = str(likeliest.reason).replace("_", " ")
        notes = f" Likeliest reason to stop: {what}, probability {likeliest.probability:.2f}.{notes}"
    return f"{view.where()}: {_ends(view)}.{_turn_ahead(view)}{_teachers(view)}{notes}"


def _turn_ahead(view: View) -> str:
    """The turn of validation that is expected within the plan, where data repeat; empty where it is not probable."""
    if view.behind or (turn := view.turn_ahead) is None or view.epoch is None or turn.probability < _MAY_TURN:
        return ""
    how = "is likely to" if turn.probability >= _NEAR else "may"
    where = f"epoch {turn.middle / view.epoch:.0f}, step {turn.middle:,.0f}"
    return f" Validation {how} turn near {where} ({turn.probability:.0%})."


def _teachers(view: View) -> str:
    """How far the forecast goes by finished runs, where any were learnt from."""
    if not (view.posterior.prior.lessons and view.steps_left) or view.behind:
        return ""
    runs, share = view.teachers
    if not runs:
        return " No finished run that was learnt from is about as large and logged this loss: none counts."
    alike = plural(runs, "finished run") + ("" if view.num_params is None else " of about this size")
    if share < _SAID:
        return f" It owes nothing to {alike}, for none is like it."
    return f" It goes by {alike} for {share:.0%}."


def _ends(view: View) -> str:
    """What the forecast of a run on track is a forecast of: the end, or, where there is none ahead, the loss now."""
    if view.steps_left:
        return f"on track; {view.of} loss at step {view.end:,} is forecast at {view.outlook}"
    if view.horizon is None:
        return f"on track; {view.of} loss now {view.outlook}, and no forecast of the end, for no horizon is known"
    return f"finished; {view.of} loss now {view.outlook}"
