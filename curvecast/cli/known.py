"""What is known of runs beside their logs: the options of ``analyze`` and ``watch``, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from curvecast.cli.shared import JSON_FILE, STEP_COLUMN, TRAIN_TAG, VAL_TAG, count, load_law, load_prior, schedule_of

if TYPE_CHECKING:
    from curvecast.fleet import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--horizon", type=count, help="Planned optimizer steps: where the loss is forecast."),
    click.option(
        "--schedule",
        metavar="SPEC",
        help="Learning-rate schedule, e.g. cosine:warmup=500,floor=0.1 or wsd:decay=0.2; needs --horizon. Without it, "
        "it is inferred from the learning rates in the log.",
    ),
    click.option(
        "--num-params",
        type=count,
        help="Parameters without embeddings, for verdicts on compute, and closer forecasts of networks trained from "
        "scratch: language models, or others by epochs.",
    ),
    click.option("--batch-tokens", type=count, help="Tokens per optimizer step."),
    click.option(
        "--epoch-steps",
        type=count,
        help="Optimizer steps per epoch: where the log counts epochs, and to foresee overfitting.",
    ),
    click.option("--batch-samples", type=count, help="Samples per optimizer step, where the log counts samples."),
    click.option("--prior", type=JSON_FILE, metavar="FILE", help="Learnt from finished runs by `curvecast learn`."),
    click.option(
        "--law",
        type=JSON_FILE,
        metavar="FILE",
        help="Scaling law from `curvecast fit`; forecasts of runs whose size is known take it into account.",
    ),
    TRAIN_TAG,
    VAL_TAG,
    STEP_COLUMN,
)


def known_of_runs(command: Command) -> Command:
    """Give a command the options that say what is known of its runs; it takes them as ``**known``."""
    for option in reversed(_OPTIONS):  # the last decorator is the first option of the help
        command = option(command)
    return command


def settings_of(known: Mapping[str, Any]) -> Settings:
    """The settings of a command's runs, from its ``**known`` options."""
    from curvecast.fleet import Settings
    from curvecast.readers import Lengths

    return Settings(
        horizon=known["horizon"],
        schedule=schedule_of(known["schedule"], known["horizon"]),
        num_params=known["num_params"],
        batch_tokens=known["batch_tokens"],
        prior=load_prior(known["prior"]),
        law=load_law(known["law"]),
        train_tag=known["train_tag"],
        val_tag=known["val_tag"],
        step_column=known["step_column"],
        lengths=Lengths(known["epoch_steps"], known["batch_samples"], known["batch_tokens"]),
        until=known.get("until"),
    )
