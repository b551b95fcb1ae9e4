"""Are the verdicts on strangers' runs, and on logs that strangers published, true?

Each is streamed once, and what was said is held against what came.

In hindsight a verdict was **false** if, after it was said,

- ``overfitting``: a later validation lay 0.2 % of the loss below the best one that it called past;
- ``diverged``: the losses came back to within 10 % of the best level that they had left;
- ``plateau``: the train loss still fell by 0.5 % and by two standard errors;
- ``compute_efficient_point_passed``: the loss that was asked about ended more than 12 % lower.

**Missed** is overfitting where the last tenth of validations ends 5 % above the lowest one, which lies before 80 % of
the run, while the train loss has fallen since; and divergence where the run ends above its first loss (of public logs,
whose losses are noisy, the median of the last five more than 10 % above that of the first five), or its losses are no
numbers any more.

    python benchmarks/stranger_verdicts.py
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
import numpy as np
from _curve import Curve, FloatArray
from _curves import PUBLIC_LOGS, STRANGER_RUNS, public_log, public_logs, strange, stranger_runs
from _record import write
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from curvecast import Verdict, Watcher

PARTS = ("open", "sealed", "public logs open", "public logs sealed")
_PAST = 0.002  # of the loss: a later validation so far below the best is a better one
_BACK, _GAIN, _LOWER = 0.1, 0.005, 0.12
_RISEN, _LATEST = 0.05, 0.8
_ERRORS, _FEW = 2.0, 5


def watched(curve: Curve, *, planned: bool) -> dict[str, Verdict]:
    """The first verdict of each reason that advises to stop."""
    told = curve.told if planned else {"horizon": curve.horizon}
    watcher = Watcher(**told, num_params=curve.num_params)
    said: dict[str, Verdict] = {}
    for sample in curve.finished().samples():
        verdict = watcher.update(sample.step, sample.train_loss, sample.val_loss, sample.lr)
        if verdict.should_stop:
            said.setdefault(verdict.reason.value, verdict)
    return said


def is_true(curve: Curve, reason: str, step: int) -> bool:
    """Whether what was said at a step holds in hindsight."""
    before, after = curve.steps <= step, curve.steps > step
    train, val = curve.train_loss, curve.val_loss
    decides = val if curve.of == "val" else train
    if reason == "overfitting":
        return lowest(val[after]) >= moved(lowest(val[before]), -_PAST)
    if reason == "diverged":
        losses = train if np.isfinite(train).any() else val
        return not lowest(losses[after]) <= moved(lowest(losses[before]), _BACK)
    if reason == "plateau":
        return not falls(known(train[before]), known(train[after]))
    if reason == "compute_efficient_point_passed":
        return curve.truth >= moved(float(np.mean(known(decides[before])[-5:])), -_LOWER)
    raise ValueError(f"`reason` must be one that is said by default: got {reason}. Say when it is true.")


def falls(before: FloatArray, after: FloatArray) -> bool:
    """Whether the last losses lie below those that a plateau was said of."""
    last = before[-max(len(before) // 20, 5) :], after[-max(len(after) // 10, 5) :]
    if min(map(len, last)) < 2:
        return False
    gain = float(last[0].mean() - last[1].mean())
    error = float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in last)))
    return gain > _GAIN * abs(float(last[0].mean())) and gain > _ERRORS * error


def missed(curve: Curve, said: dict[str, Verdict]) -> list[str]:
    """What should have been said."""
    found = []
    val = known(curve.val_loss)
    if len(val) >= 10:
        end, best = float(np.mean(val[-len(val) // 10 :])), int(np.argmin(val))
        rises = end > moved(float(val[best]), _RISEN) and best < _LATEST * len(val)
        if rises and has_fallen(curve, best) and "overfitting" not in said:
            found.append("overfitting")
    return found + (["diverged"] if has_diverged(curve) and "diverged" not in said else [])


def has_fallen(curve: Curve, best: int) -> bool:
    """Whether train ends below where it stood at a validation: else both rise, and nothing is learnt by heart."""
    at = curve.steps[np.isfinite(curve.val_loss)][best]
    before, train = known(curve.train_loss[curve.steps <= at]), known(curve.train_loss)
    return len(before) == 0 or float(train[-_FEW:].mean()) < float(before[-_FEW:].mean())


def has_diverged(curve: Curve) -> bool:
    losses = curve.train_loss[~np.isnan(curve.train_loss)]
    if curve.noise:
        return len(losses) > _FEW and not np.median(losses[-_FEW:]) <= moved(float(np.median(losses[:_FEW])), _BACK)
    return bool(len(losses)) and not losses[-1] < losses[0]


def moved(loss: float, share: float) -> float:
    """A loss and a share of its size more."""
    return loss + share * abs(loss)


def known(losses: FloatArray) -> FloatArray:
    return losses[np.isfinite(losses)]


def lowest(losses: FloatArray) -> float:
    """Of the finite ones."""
    return float(np.min(known(losses), initial=np.inf))


def curves_of(part: str) -> list[Curve]:
    """The runs of a part, those that diverged too."""
    half = part.split()[-1]
    if half == part:
        return [strange(file, about, part) for file, about in stranger_runs(half, diverged=True)]
    return [public_log(file, about, part) for file, about in public_logs(half, diverged=True)]


def plans_of(part: str) -> tuple[str, ...]:
    """What is told of the schedule; of public logs what the log tells, as a user would."""
    return ("known", "not known") if part in ("open", "sealed") else ("as logged",)


def judged(curves: list[Curve], *, planned: bool) -> list[dict[str, Any]]:
    """What was said of each run and what was not."""
    rows: list[dict[str, Any]] = []
    for curve in curves:
        said = watched(curve, planned=planned)
        for reason, verdict in said.items():
            share = verdict.step / curve.horizon
            true = is_true(curve, reason, verdict.step)
            rows.append({"run": curve.name, "reason": reason, "at": share, "p": verdict.probability, "true": true})
        rows += [{"run": curve.name, "reason": reason, "missed": True} for reason in missed(curve, said)]
    return rows


def figures_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How often each reason was said rightly, wrongly, or not at all where it should have been."""
    counts = Counter(
        (row["reason"], "missed" if "missed" in row else "true" if row["true"] else "false") for row in rows
    )
    reasons = sorted({reason for reason, _ in counts})
    return {reason: {kind: counts[reason, kind] for kind in ("true", "false", "missed")} for reason in reasons}


@click.command(help=__doc__.partition("\n    python")[0])
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), default=PARTS, help="Only this half.")
@click.option("--record/--no-record", default=True, help="Whether to write results/.")
def main(parts: tuple[str, ...], record: bool) -> None:
    console, figures = Console(width=120), {}
    for part in parts:
        curves = curves_of(part)
        for plan in plans_of(part):
            rows, runs = judged(curves, planned=plan != "not known"), len(curves)
            wrong = [row for row in rows if not row.get("true")]
            figures[f"{part}, schedule {plan}"] = {"runs": runs, "verdicts": figures_of(rows)}
            console.print(table_of(f"{part}, schedule {plan}: {runs} runs", figures_of(rows)))
            if part.endswith("open"):  # of the sealed ones nothing but the count is looked at
                figures[f"{part}, schedule {plan}"]["wrong"] = wrong
                for row in wrong:
                    console.print("  ", row)
    if record:
        print("written:", write("stranger_verdicts", figures, source=f"{STRANGER_RUNS.name}, {PUBLIC_LOGS.name}"))


def table_of(title: str, figures: dict[str, dict[str, int]]) -> Table:
    table = Table("reason", "true", "false", "missed", title=title, box=SIMPLE_HEAD)
    for reason, counts in figures.items():
        table.add_row(reason, *(str(count) for count in counts.values()))
    return table


if __name__ == "__main__":
    main()
