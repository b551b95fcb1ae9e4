"""``curvecast plan``: from a law and a budget to size, tokens, batch and steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curvecast.cli.shared import check_folder, check_spares, in_options, quantity, writing

if TYPE_CHECKING:
    from rich.console import Console

    from curvecast.planning import Plan


@click.command(short_help="Plan size, tokens, batch and steps of a run by a scaling law.")
@click.option("--flops", type=quantity, metavar="C", help="Training compute [FLOP].")
@click.option("--params", "num_params", type=quantity, metavar="N", help="Parameters, counted as the law does.")
@click.option("--tokens", "num_tokens", type=quantity, metavar="D", help="Training tokens.")
@click.option("--gpus", type=quantity, help="Number of GPUs; with --hours they give the compute.")
@click.option("--hours", type=quantity, help="Hours of training.")
@click.option(
    "--mfu", type=quantity, help="Model FLOPs utilization: share of the GPUs' peak that is reached.  [default: 0.4]"
)
@click.option("--gpu", default="h100", show_default=True, help="a100, h100 or h200.")
@click.option(
    "--law",
    default="chinchilla",
    show_default=True,
    metavar="LAW",
    help="chinchilla, hoffmann, hoffmann_rounded, muennighoff, kaplan, or a file from `curvecast fit`.",
)
@click.option(
    "--unique-tokens", type=quantity, metavar="U", help="Unique tokens of the data set, if it may be repeated."
)
@click.option(
    "--inference-tokens",
    type=quantity,
    help="Tokens the model will serve: also find the model that is cheapest over training and inference.",
)
@click.option(
    "--batch-tokens", type=quantity, metavar="B", help="Tokens per optimizer step.  [default: the critical batch]"
)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Also draw the IsoFLOP curves (HTML).")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def plan(
    flops: float | None,
    num_params: float | None,
    num_tokens: float | None,
    gpus: float | None,
    hours: float | None,
    mfu: float | None,
    gpu: str,
    law: str,
    unique_tokens: float | None,
    inference_tokens: float | None,
    batch_tokens: float | None,
    picture: Path | None,
    form: str,
) -> None:
    """Plan a training run by a scaling law.

    Give the compute, the size, the tokens, or GPUs and hours; the rest is chosen so that the loss is least. Numbers may
    be written 5.76e23, 7B or 1.4T.

    Example: curvecast plan --gpus 8 --hours 24
    """
    from curvecast.planning import law_of
    from curvecast.planning import plan as make

    check_folder(picture, "--picture")
    check_spares(picture, "--picture", [Path(law)])
    try:
        chosen = law_of(law)
        made = make(
            chosen,
            flops=flops,
            num_params=num_params,
            num_tokens=num_tokens,
            gpus=gpus,
            hours=hours,
            mfu=mfu,
            gpu=gpu,
            unique_tokens=unique_tokens,
            inference_tokens=inference_tokens,
            batch_tokens=batch_tokens,
        )
    except (ValueError, OSError) as error:
        raise click.UsageError(in_options(str(error))) from error
    if picture is not None:
        from curvecast.isoflop import isoflop_figure

        with writing(picture, "--picture"):
            isoflop_figure(made, chosen).write_html(picture, include_plotlyjs=True)
        click.echo(f"written: {picture}", err=True)
    if form == "json":
        from curvecast.sinks.records import plain

        click.echo(json.dumps(plain(made.to_dict()), indent=1, allow_nan=False))
    else:
        _print(made)


def _lines(made: Plan) -> list[tuple[str, str]]:
    """What a plan says of the run, a name and a value each."""
    from curvecast.notation import amount, with_interval

    loss = f"{made.loss:.3f} {made.unit}"
    if made.interval is not None:
        loss = f"{with_interval(made.loss, *made.interval)} {made.unit}, with its 90 % interval"
    ratio = made.num_tokens / made.num_params
    size = amount(made.num_params)
    if made.size_interval is not None:
        lower, upper = made.size_interval
        size += f"; the best is {amount(lower)} to {amount(upper)}"
    lines = [
        ("law", f"{made.law}: {made.source}"),
        ("parameters", f"{size} ({made.counts})"),
        ("tokens", f"{amount(made.num_tokens)}, {f'{ratio:.1f}' if ratio < 1000 else amount(ratio)} a parameter"),
        ("compute", f"{made.flops:.3g} FLOP"),
        ("expected loss", loss),
        ("batch", f"{amount(made.batch_tokens)} tokens"),
        ("steps", f"{made.steps:,.0f}"),
    ]
    if made.epochs is not None:
        lines.append(("epochs", f"{made.epochs:.2f}"))
    if made.gpus is not None:
        lines.append(("machines", f"{made.gpus:.4g} {made.gpu} for {made.hours:.4g} hours at an MFU of {made.mfu:.2f}"))
    if made.in_use is not None:
        use = made.in_use
        told = f"{amount(use['num_params'])} parameters, {amount(use['num_tokens'])} tokens: the same loss"
        lines.append(("with its use", f"{told}, {use['saved']:.0%} less compute over training and use"))
    return lines


def _print(made: Plan) -> None:
    from rich.console import Console
    from rich.table import Table

    from curvecast.notation import amount

    page = Console(highlight=False)
    top = Table(show_header=False, box=None, pad_edge=False)
    for line in _lines(made):
        top.add_row(*line)
    page.print(top)
    near = Table("size", "parameters", "tokens", "loss", "above the least", title="At the same compute")
    best = min(made.valley, key=lambda row: row.loss).num_params
    for row in made.valley:
        near.add_row(
            f"{row.num_params / best:.2f}x",
            amount(row.num_params),
            amount(row.num_tokens),
            f"{row.loss:.3f}",
            f"{row.excess:+.2%}",
        )
    page.print(near)
    _print_budgets(made, page)
    if made.trials:
        _print_trials(made, page)
    if made.interval is None:  # a published law; of one's own data, in whatever unit, theirs says nothing
        _print_answers(made, page)
    for note in made.notes:
        page.print(f"- {note}")


def _print_budgets(made: Plan, page: Console) -> None:
    """What less and more compute would bring."""
    from rich.table import Table

    from curvecast.notation import amount

    rows = Table("compute", "FLOP", "parameters", "tokens", "loss", "against this plan", title="With other computes")
    for row in made.budgets:
        change = f"{row.change:+.1%}"
        if row.interval is not None:
            change += f" [{row.interval[0]:+.1%}, {row.interval[1]:+.1%}]"
        size, tokens = amount(row.num_params), amount(row.num_tokens)
        rows.add_row(f"{row.times:g}x", f"{row.flops:.2g}", size, tokens, f"{row.loss:.3f}", change)
    page.print(rows)


def _print_trials(made: Plan, page: Console) -> None:
    """Which smaller run would make the plan surer."""
    from rich.table import Table

    from curvecast.notation import amount

    title = "One more run of the family that would make this surer"
    rows = Table("compute", "FLOP", "parameters", "tokens", "the interval's width", title=title)
    for row in made.trials:
        size, tokens = amount(row.num_params), amount(row.num_tokens)
        rows.add_row(f"{row.share:g}x", f"{row.flops:.2g}", size, tokens, f"{row.narrows - 1:+.0%}")
    page.print(rows)


def _print_answers(made: Plan, page: Console) -> None:
    """What OpenAI and DeepMind would have answered, and why they differ."""
    from rich.table import Table

    from curvecast.notation import amount

    both = Table("who", "parameters", "tokens", "loss", "law", title="Two answers to this compute")
    for answer in made.answers:
        both.add_row(answer.who, amount(answer.num_params), amount(answer.num_tokens), f"{answer.loss:.3f}", answer.law)
    page.print(both)
    page.print(made.why)
