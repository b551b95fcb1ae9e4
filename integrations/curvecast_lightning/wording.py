"""What is said to the user, as pure functions of the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from curvecast import Choice, Forecast, Reason, Verdict
from curvecast_lightning.horizon import LEAST_SAMPLES

LEVEL = 0.9  # of every interval that is shown
_WITHOUT = {  # what is missing where an argument is; the worst comes first
    "horizon": "; without it nothing is forecast beyond the step that was reached",
    "schedule": " if you know it; else its plausible futures are weighed, and intervals are wider",
    "num_params": "; without it there are no verdicts on compute, and intervals allow for any network",
    "batch_tokens": "; without it nothing is counted in FLOPs",
}

_UNTIL_THEN = "; else the first epoch tells it, and nothing is forecast until that has ended"


def bar_text(verdict: Verdict | None) -> str | None:
    """For the progress bar, where room is short: forecast and interval, and a reason to stop; None before there is one.

    Example:
        >>> bar_text(Verdict(False, Reason.NOT_ENOUGH_DATA, "A verdict needs 12 samples.", 1.0, 3)) is None
        True
    """
    if verdict is None or verdict.forecast is None:
        return None
    return f"{verdict.forecast} {plainly(verdict.reason)}" if verdict.should_stop else str(verdict.forecast)


def plainly(reason: str) -> str:
    """A reason as words.

    Example:
        >>> plainly(Reason.ON_TRACK)
        'on track'
    """
    return str(reason).replace("_", " ")


def change(before: str, verdict: Verdict) -> str:
    """The line said where a verdict has another reason than the one before; one that has fallen is taken back first.

    Example:
        >>> print(change("plateau", Verdict(False, Reason.ON_TRACK, "step 750/3,000: on track.", 0.6, 750)))
        plateau no longer holds; step 750/3,000: on track.
    """
    taken_back = f"{plainly(before)} no longer holds; " if verdict.reason is Reason.ON_TRACK else ""
    return taken_back + verdict.message


def milestone(step: int, horizon: int, name: str, forecast: Forecast, verdict: Verdict) -> str:
    """The line said when a share of the run is done."""
    ahead = f"{name} is forecast to end at {forecast}"
    return f"curvecast at {100 * step / horizon:.3g} % (step {step:,}/{horizon:,}): {ahead}; {plainly(verdict.reason)}"


def cooling(step: int, name: str, choice: Choice) -> str:
    """The line said where a cooldown begins.

    Example:
        >>> cooling(1000, "val_loss", Choice("cool_down", 1100, 2.913, 2.905, 2.921, 100))
        'curvecast: cooling down from step 1,000 to 1,100; val_loss is forecast to end at 2.913 [2.905, 2.921]'
    """
    ahead = f"{name} is forecast to end at {choice.interval_text}"
    return f"curvecast: cooling down from step {step:,} to {choice.step:,}; {ahead}"


def came(name: str, last: float | None, best: tuple[int, float] | None) -> str:
    """What a run ended at.

    Args:
        name: of the loss.
        last: the last validation, else a mean of the last train losses; None where no validation was seen since the
            run was resumed [loss unit].
        best: step and loss of the best validation; None where there was none.

    Example:
        >>> came("val_loss", 0.119, (836, 0.1029)), came("val_loss", 0.1029, (836, 0.1029))
        ('last val_loss 0.119, best 0.1029 at step 836', 'last val_loss 0.1029, its best')
        >>> came("train loss", 0.0172, None)
        'train loss 0.0172 over its last steps'
    """
    if best is None:
        return f"{name} {last:.4g} over its last steps"
    if last == best[1]:
        return f"last {name} {last:.4g}, its best"
    lowest = f"{best[1]:.4g} at step {best[0]:,}"
    return f"best {name} {lowest}" if last is None else f"last {name} {last:.4g}, best {lowest}"


def ended(
    step: int,
    horizon: int | None,
    end: str | None,
    hindsight: Sequence[tuple[float, int, Forecast]],
    verdict: Verdict,
    *,
    every: int = 1,
) -> str:
    """What is said at the end of a run that was not stopped: what came, and what was foretold.

    Args:
        step: completed optimizer steps.
        horizon: planned steps; None where unknown.
        end: what `came` says of it; None where nothing was seen.
        hindsight: what was forecast on the way, and at which step.
        verdict: the last one; what it forecasts is told too where the run did not get there.
        every: steps from sample to sample; where fewer would have given a forecast, that is said.
    """
    at = f"finished at step {step:,}" if horizon and step >= horizon else f"ended at step {step:,}"
    if horizon and step < horizon:
        at += f" of {horizon:,}"
    if end:
        at += f"; {end}"
    said = [(moment, forecast) for _, moment, forecast in hindsight]
    if horizon and step < horizon and verdict.forecast is not None and verdict.forecast.step == horizon:
        said += [(verdict.step, verdict.forecast)] * (verdict.step not in [moment for moment, _ in said])
    told = ", ".join(f"{forecast} at step {moment:,}" for moment, forecast in said)
    if told:
        aim = said[-1][1].step
        of = "" if aim == step else f" for step {aim:,.0f}, which was not reached"
        return f"{at}; forecast on the way{of}: {told}"
    if verdict.forecast is not None:
        return at
    closer = step // LEAST_SAMPLES
    advice = f". CurveCast(every_n_steps={closer}) would see enough of so short a run" if 0 < closer < every else ""
    return f"{at}; no forecast: {verdict.message[0].lower()}{verdict.message[1:-1]}{advice if end else ''}"


def last_verdict(verdict: Verdict, step: int, words: str) -> Verdict:
    """The verdict of a run that is over: how it ended, and then the reason to stop that stands, if one does.

    Args:
        verdict: the last one of the run.
        step: completed optimizer steps.
        words: as `ended` or `stopped` has them.

    Example:
        >>> told = Verdict(False, Reason.ON_TRACK, "step 990/1,000: on track.", 0.6, 990)
        >>> last_verdict(told, 1000, "finished at step 1,000; last val_loss 2.9, its best").message
        'Finished at step 1,000; last val_loss 2.9, its best.'
        >>> risen = Verdict(True, Reason.OVERFITTING, "step 990/1,000: the best lies behind.", 1.0, 990)
        >>> last_verdict(risen, 1000, "ended at step 1,000").message
        'Ended at step 1,000. Step 990/1,000: the best lies behind.'
    """
    reason = f" {_begun(verdict.message)}" if verdict.should_stop else ""
    return replace(verdict, words=f"{_begun(words)}.{reason}", step=step)


def _begun(words: str) -> str:
    """As a sentence begins."""
    return f"{words[0].upper()}{words[1:]}"


def stopped_again(reason: str) -> str:
    """To whoever goes on from the checkpoint of a stop, and is stopped at once.

    Example:
        >>> stopped_again("overfitting")
        "curvecast: the checkpoint stands where the run is to stop (overfitting), so it stops again. To go on all the \
same, leave 'overfitting' out of stop_on, or load an earlier checkpoint."
    """
    return (
        f"curvecast: the checkpoint stands where the run is to stop ({reason.replace('_', ' ')}), so it stops again. "
        f"To go on all the same, leave {reason!r} out of stop_on, or load an earlier checkpoint."
    )


def stopped(
    step: int,
    horizon: int | None,
    reason: str,
    name: str,
    best: tuple[int, float] | None,
    flops_a_step: float | None,
) -> str:
    """What is said at the end of a run that curvecast stopped: why, where it was best, what was saved."""
    plan = f" of {horizon:,}" if horizon else ""
    line = f"stopped at step {step:,}{plan} ({reason})"
    if best:
        line += f"; best {name} {best[1]:.4g} at step {best[0]:,}"
    if horizon:
        saved = max(horizon - step, 0)
        line += f"; {saved:,} steps"
        line += f" and {flops_a_step * saved:.2g} FLOP saved" if flops_a_step else " saved"
    return line


def first_epoch(steps: int, epochs: int, horizon: int) -> str:
    """How long a run is going to be, as its first epoch shows.

    Example:
        >>> print(first_epoch(44, 8, 352))
        curvecast: the first epoch took 44 steps, so 8 take some 352: the horizon from now on. Pass CurveCast(horizon=...) if epochs differ.
    """  # noqa: E501 - as it is printed
    told = f"the first epoch took {steps:,} steps, so {epochs:,} take some {horizon:,}: the horizon from now on"
    return f"curvecast: {told}. Pass CurveCast(horizon=...) if epochs differ."


def replanned(step: int, before: int | None, horizon: int) -> str:
    """What is said where the Trainer's limits were changed on the way.

    Example:
        >>> print(replanned(300, 400, 800))
        curvecast: at step 300 the Trainer is going to take 800 steps, not 400: the horizon from now on.
    """
    instead = "" if before is None else f", not {before:,}"
    return (
        f"curvecast: at step {step:,} the Trainer is going to take {horizon:,} steps{instead}: the horizon from now on."
    )


def strayed(step: int, planned: float, rate: float) -> str:
    """What is said where the optimizer does not keep to the learning rates that its scheduler was to give.

    Example:
        >>> print(strayed(570, 6e-5, 1.23e-3))
        curvecast: the learning rate is 0.00123 at step 570, and its scheduler, run ahead at the start, had 6e-05: \
something else sets it. From now on its plausible futures are weighed; pass CurveCast(schedule=...) if you know it.
    """
    return (
        f"curvecast: the learning rate is {rate:.3g} at step {step:,}, and its scheduler, run ahead at the start, had "
        f"{planned:.3g}: something else sets it. From now on its plausible futures are weighed; "
        "pass CurveCast(schedule=...) if you know it."
    )


def question(unknown: Sequence[tuple[str, str]], *, waits: bool = False) -> str:
    """One request for everything that could not be found out.

    Args:
        unknown: pairs of an argument's name and why it is needed or not known.
        waits: whether the first epoch will tell the horizon.

    Example:
        >>> print(question([("num_params", "all of them are embeddings")]))
        curvecast could not find out `num_params` (all of them are embeddings). Pass CurveCast(num_params=...); without it there are no verdicts on compute, and intervals allow for any network.
    """  # noqa: E501 - as it is printed
    reasons = "; ".join(f"`{name}` ({why})" for name, why in unknown)
    arguments = ", ".join(f"{name}=..." for name, _ in unknown)
    name = next((name for name, _ in unknown if name in _WITHOUT), "")
    without = _UNTIL_THEN if waits and name == "horizon" else _WITHOUT.get(name, "")
    return f"curvecast could not find out {reasons}. Pass CurveCast({arguments}){without}."
