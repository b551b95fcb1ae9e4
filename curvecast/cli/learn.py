"""``curvecast learn``: finished runs become a prior."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curvecast.cli.shared import (
    JSON_FILE,
    STEP_COLUMN,
    TRAIN_TAG,
    VAL_TAG,
    Unusable,
    check_folder,
    console_for_messages,
    load_prior,
    progress_bar,
    read_logs,
    writing,
)
from curvecast.notation import listed, plural

if TYPE_CHECKING:
    from rich.console import Console

    from curvecast.fit.prior import Prior
    from curvecast.learn import Foretold
    from curvecast.readers import Run

_NAMED = 4  # runs; of more, so many and how many others
_FINISHED = 0.95  # of its plan; what is left after that is seldom worth a run's lesson
_NO_CLOSER = " That is no closer: they are too few, or too unlike, to teach one another."


@click.command(short_help="Learn from finished runs, for closer forecasts of the next one.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", type=JSON_FILE, required=True, metavar="FILE", help="Where to write the prior (JSON).")
@click.option("--start", type=JSON_FILE, metavar="FILE", help="Prior to start from, instead of the shipped one.")
@TRAIN_TAG
@VAL_TAG
@STEP_COLUMN
def learn(
    paths: tuple[str, ...],
    output: Path,
    start: Path | None,
    train_tag: str | None,
    val_tag: str | None,
    step_column: str | None,
) -> None:
    """Learn from the finished runs logged at PATH, so that forecasts of the next one are closer.

    A log should hold the learning rate, or have the curvecast.json beside it that the Lightning callback leaves: else
    nothing is known of its decay. Of many runs 32 are taken, evenly; more would add little.

    Example: curvecast learn runs/finished -o prior.json; then: curvecast analyze runs/ --prior prior.json
    """
    from curvecast.fit.prior import Prior
    from curvecast.learn import MOST_RUNS

    messages = console_for_messages()
    belief = load_prior(start, "--start")
    check_folder(output, "--output")
    runs = read_logs(paths, messages, train_tag=train_tag, val_tag=val_tag, step_column=step_column, output=output)
    if not runs:
        raise Unusable(f"No run could be read at {', '.join(paths)}. Pass logs of finished runs.")
    if told := _unfinished(runs):
        messages.print(told)
    if len(runs) > MOST_RUNS:
        messages.print(f"{len(runs)} runs were read, of which {MOST_RUNS} are taken, evenly: more would add little.")
    learnt, closeness, dropped = _learnt(runs, belief, output, messages)
    if len(runs) <= MOST_RUNS:
        messages.print(f"learnt from {listed([run.name for run in runs if run.name not in dropped], _NAMED)}.")
    _say_how_well(messages, closeness)
    # Which runs the shipped one was fitted on is no news here.
    from_what = learnt.source.replace(Prior().source, "the shipped prior", 1)
    messages.print(
        f"written: {output}: {from_what}.\nUse it: curvecast analyze --prior {output} PATH, "
        f"or prior=curvecast.Prior.load({str(output)!r}) in Watcher and CurveCast."
    )


def _unfinished(runs: Sequence[Run]) -> str:
    """What to say of runs whose logs end well before their plans do; empty where none does."""
    short: list[tuple[Run, int, int]] = []
    for run in runs:
        planned, last = run.meta.get("horizon"), int(run.steps[-1])
        if isinstance(planned, int) and last < _FINISHED * planned:
            short.append((run, last, planned))
    if not short:
        return ""
    run, last, planned = short[0]
    ends, they = ("ends", "it teaches") if len(short) == 1 else ("end", "they teach")
    return (
        f"{plural(len(short), 'run')} {ends} before the plan does, as {run.name} at step {last:,} of {planned:,}: "
        f"what {they} is no end of a plan. Leave out what is still training."
    )


def _learnt(
    runs: Sequence[Run], belief: Prior | None, output: Path, messages: Console
) -> tuple[Prior, list[Foretold], set[str]]:
    """The prior that is learnt, and written; how well its runs foretell one another; and names of those left out."""
    from curvecast.learn import MOST_RUNS, foretold, learn_prior

    dropped: set[str] = set()

    def leave_out(run: Any, why: str) -> None:
        dropped.add(run.name)
        messages.print(f"{run.name} is left out: {why}")

    with progress_bar(messages) as progress:
        task = progress.add_task(f"learning from {plural(min(len(runs), MOST_RUNS), 'run')}", total=1.0)
        try:
            learnt = learn_prior(
                runs,
                start=belief,
                progress=lambda share: progress.update(task, completed=share),
                left_out=leave_out,
            )
        except ValueError as error:
            raise Unusable(str(error)) from error
        with writing(output, "--output"):
            learnt.save(output)
        progress.add_task("each run foretold by the others", total=None)  # of runs of many sizes longer than to learn
        return learnt, foretold(learnt), dropped


def _say_how_well(messages: Console, told: Sequence[Foretold]) -> None:
    """How far off the runs were foretold by one another, and how far untaught."""
    for of, count, untaught, taught in told:
        messages.print(
            f"{of} loss: {count} runs, each foretold half-way by what the others teach: {taught:.3g} % off at the "
            f"median, untaught {untaught:.3g} %.{'' if taught < untaught else _NO_CLOSER}"
        )
    if not told:
        messages.print("How well runs teach one another is not known yet: it takes two that are forecast half-way.")
