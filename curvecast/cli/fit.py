"""``curvecast fit``: one law for the runs of a family."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from curvecast.cli.shared import (
    STEP_COLUMN,
    TRAIN_TAG,
    VAL_TAG,
    Unusable,
    check_folder,
    check_spares,
    console_for_messages,
    in_options,
    quantity,
    read_logs,
    schedule_of,
    writing,
)
from curvecast.cli.tables import is_table, lacking_sizes, note_sizes, table
from curvecast.notation import listed

if TYPE_CHECKING:
    from curvecast.family import Approach, Family
    from curvecast.forecast import Forecast
    from curvecast.readers import Run

_LAWS = ("best", "chinchilla", "coupled", "kaplan_nd", "kaplan_ns", "data_constrained", "compute")
_COMPARED = ("runs", "num_params", "num_tokens", "loss", "names")


@click.command(short_help="Fit a scaling law to runs of several sizes.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--law",
    type=click.Choice(_LAWS),
    default="best",
    show_default=True,
    help="best is coupled, or chinchilla where the runs cannot tell the two apart.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the law (JSON).")
@click.option(
    "--of", type=click.Choice(["train", "val"]), help="Which loss to fit.  [default: val, where every run has it]"
)
@click.option(
    "--sizes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For logs that do not tell their size: a CSV with the columns run, num_params and, where they differ, "
    "batch_tokens.",
)
@click.option(
    "--batch-tokens", type=quantity, metavar="B", help="Tokens per optimizer step, for logs that do not tell it."
)
@click.option(
    "--schedule",
    metavar="SPEC",
    help="Learning-rate schedule of the logs that do not tell their rate, to the end of each: constant, "
    "cosine:floor=0.1 or wsd:decay=0.2, say.",
)
@click.option("--unit", default="nats/token", show_default=True, help="Unit of the losses, for what is printed.")
@click.option(
    "--predict",
    nargs=2,
    type=quantity,
    multiple=True,
    metavar="N D",
    help="Also forecast the loss of N parameters on D tokens; may be repeated.",
)
@click.option(
    "--compare",
    type=quantity,
    metavar="C",
    help="Also compare Chinchilla's three approaches to the best size for C FLOP.",
)
@click.option(
    "--bootstraps",
    type=click.IntRange(min=0),
    default=400,
    show_default=True,
    help="Number of bootstrap fits, for the intervals.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the bootstraps.")
@TRAIN_TAG
@VAL_TAG
@STEP_COLUMN
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def fit(
    paths: tuple[str, ...],
    law: str,
    output: Path | None,
    of: Literal["train", "val"] | None,
    sizes: Path | None,
    batch_tokens: float | None,
    schedule: str | None,
    unit: str,
    predict: Sequence[tuple[float, float]],
    compare: float | None,
    bootstraps: int,
    seed: int,
    train_tag: str | None,
    val_tag: str | None,
    step_column: str | None,
    form: str,
) -> None:
    """Fit a scaling law to the runs logged at PATH, or to the rows of a CSV with num_params, num_tokens and loss.

    The size of each run is needed: it is taken from the curvecast.json that the Lightning callback leaves beside a log;
    else pass --sizes and --batch-tokens. A CSV may also have the columns name, unique_tokens, steps and batch_tokens.

    Example: curvecast fit runs/small -o law.json
    """
    from curvecast.family import approaches, fit_family

    check_folder(output, "--output")
    paths = tuple(dict.fromkeys(paths))
    options = {"law": law, "of": of, "bootstraps": bootstraps, "seed": seed, "unit": unit}
    tags = {"train_tag": train_tag, "val_tag": val_tag, "step_column": step_column}
    try:
        given = _given(paths, sizes, batch_tokens, schedule, output, tags)
        family = fit_family(**given, **options)  # type: ignore[arg-type]
        common = {name: value for name, value in given.items() if name in _COMPARED}
        ways = () if compare is None else approaches(flops=compare, **common)
        ahead = [(N, D, family.predict(num_params=N, num_tokens=D)) for N, D in predict]
    except (ValueError, OSError) as error:
        raise Unusable(in_options(str(error))) from error
    if output is not None:
        with writing(output, "--output"):
            family.save(output)
        _, most_params, _, most_tokens = family.seen
        larger = 10 * 6 * most_params * most_tokens  # the next run, an order of magnitude above the largest of these
        click.echo(f"written: {output}. Use it: curvecast plan --law {output} --flops {larger:.0e}", err=True)
    _print(family, ahead, ways, form)


def _given(
    paths: Sequence[str],
    sizes: Path | None,
    batch_tokens: float | None,
    schedule: str | None,
    output: Path | None,
    tags: Mapping[str, str | None],
) -> dict[str, Any]:
    """What a law is to be fitted to, as ``fit_family`` takes it: the columns of tables, or runs with their sizes.

    Raises:
        ValueError: if there are both, no run can be read, or the size or batch of one is not known.
    """
    tables = [path for path in paths if is_table(path)]
    if tables and len(tables) < len(paths):
        raise ValueError(f"Logs and tables cannot be mixed: got the table {tables[0]} among logs. Pass one kind.")
    check_spares(output, "--output", [*map(Path, tables), *([sizes] if sizes else [])])
    if tables:
        return table(tables)
    runs = read_logs(paths, console_for_messages(), output=output, batch_tokens=batch_tokens, **tags)
    if not runs:
        raise ValueError(
            f"No run could be read at {', '.join(paths)}. "
            "Pass logs, or a CSV with the columns num_params, num_tokens and loss."
        )
    _note_sizes(runs, sizes, batch_tokens)
    if schedule is not None:
        _note_schedules(runs, schedule)
    return {"runs": runs}


def _note_sizes(runs: Sequence[Run], sizes: Path | None, batch_tokens: float | None) -> None:
    """Give the runs the sizes and batches that their logs do not tell; what is lost of a log is said.

    Raises:
        ValueError: if the size or batch of a run is still not known.
    """
    unknown = [] if sizes is None else note_sizes(runs, sizes)
    for run in runs:
        lost = run.meta.get("lost")
        for note in lost if isinstance(lost, list) else []:
            click.echo(f"{run.name}: {note}", err=True)
        if batch_tokens is not None:
            run.meta.setdefault("batch_tokens", batch_tokens)
    if advice := lacking_sizes(runs):
        raise ValueError(advice + (f" No log is called {listed(unknown, 3)}, as {sizes} has it." if unknown else ""))


def _note_schedules(runs: Sequence[Run], spec: str) -> None:
    """Give the runs whose learning rate is not known the schedule of that description, to the end of each."""
    from curvecast.family.points import schedule_of as known

    for run in runs:
        if known(run) is None:
            run.meta["schedule"] = schedule_of(spec, int(run.steps[-1]))


def _print(family: Family, ahead: Sequence[tuple[float, float, Forecast]], ways: Sequence[Approach], form: str) -> None:
    from curvecast.notation import amount

    if form == "json":
        told = {"forecasts": [_forecast(*each) for each in ahead], "approaches": [_approach(way) for way in ways]}
        from curvecast.sinks.records import plain

        click.echo(json.dumps(plain(family.to_dict() | told), indent=1, allow_nan=False))
        return
    click.echo(family.summary())
    for N, D, forecast in ahead:
        click.echo(f"{amount(N)} parameters, {amount(D)} tokens: {forecast} {family.unit}")
    for way in ways:
        best = f"N ~ C^{way.exponent:.3f}: {amount(way.num_params)} parameters, {amount(way.num_tokens)} tokens"
        click.echo(f"{way.name:10} {way.note if math.isnan(way.exponent) else best}")


def _forecast(N: float, D: float, forecast: Forecast) -> dict[str, object]:
    """A forecast in plain types, for JSON."""
    lower, upper = forecast.interval(0.9).lower, forecast.interval(0.9).upper
    return {"num_params": N, "num_tokens": D, "loss": forecast.median, "interval_90": [lower, upper]}


def _approach(way: Approach) -> dict[str, object]:
    """Hoffmann's approaches in plain types, for JSON, which has no NaN."""
    return {key: None if isinstance(each, float) and math.isnan(each) else each for key, each in asdict(way).items()}
