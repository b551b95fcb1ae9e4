"""The forecast's panel on TensorBoard's 'custom scalars' tab, and the sidecar file beside the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

SIDECAR = "curvecast.json"


def layout(prefixes: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """A margin chart (forecast within its interval) for each set of tags.

    Example:
        >>> layout(["curvecast"])
        {'curvecast': {'forecast': ['Margin', ['curvecast/forecast', 'curvecast/lower', 'curvecast/upper']]}}
    """
    charts = {
        "forecast" if prefix == prefixes[0] else f"forecast {prefix.partition('/')[2]}": [
            "Margin",
            [f"{prefix}/forecast", f"{prefix}/lower", f"{prefix}/upper"],
        ]
        for prefix in prefixes
    }
    return {"curvecast": charts}


def add_panels(loggers: Iterable[Any], prefixes: Sequence[str]) -> None:
    """Write the layout, once a writer, to those loggers that take one."""
    for logger in loggers:
        experiment = getattr(logger, "experiment", None)
        # A dummy logger answers to every name, so the writer is told by its kind: torch's or tensorboardX's.
        if experiment and any(kind.__name__ == "SummaryWriter" for kind in type(experiment).__mro__):
            experiment.add_custom_scalars(layout(prefixes))


def write_sidecar(
    loggers: Iterable[Any], content: Mapping[str, Any], *, failed: Callable[[OSError, str], None]
) -> None:
    """Write the plan beside each log that lies in a folder, local or remote, for the readers to find.

    Args:
        loggers: the Trainer's.
        content: the plan.
        failed: called with the error, and what it kept from being done.
    """
    import fsspec  # type: ignore[import-untyped]  # Lightning depends on it

    for logger in loggers:
        folder = getattr(logger, "log_dir", None)
        if not isinstance(folder, str):
            continue
        try:
            with fsspec.open(f"{folder}/{SIDECAR}", "w", auto_mkdir=True) as file:
                json.dump(content, file)
        except OSError as error:
            failed(error, f"curvecast could not write its plan beside the log, at {folder}")
