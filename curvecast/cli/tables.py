"""Tables beside the logs: a family's runs, a row each, or the sizes that logs do not note."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curvecast.cli.shared import is_there, quantity
from curvecast.notation import listed

if TYPE_CHECKING:
    from curvecast.readers import Run

COLUMNS = {
    "num_params": ("num_params", "n", "params", "parameters"),
    "num_tokens": ("num_tokens", "d", "tokens"),
    "loss": ("loss", "l", "final_loss", "val_loss"),
    "unique_tokens": ("unique_tokens", "u"),
    "steps": ("steps", "s"),
    "batch_tokens": ("batch_tokens", "b"),
    "names": ("name", "run"),
}
_NAMED = 3  # runs; of more, so many and how many others
_OPTIONS = {
    "num_params": "--sizes FILE, a CSV with the columns run and num_params",
    "batch_tokens": "--batch-tokens B",
}


def is_table(path: str) -> bool:
    """Whether a file is a table of sizes, tokens and losses, and no log."""
    file = Path(path)
    if file.suffix.lower() != ".csv" or not is_there(file):
        return False
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        try:
            header = {name.strip().lower() for name in next(csv.reader(lines), [])}
        except csv.Error:
            return False
    return "step" not in header and all(header & set(COLUMNS[name]) for name in ("num_params", "loss"))


def table(paths: Sequence[str]) -> dict[str, list[float] | list[str]]:
    """The columns of the tables, one below another; a column that no row fills is none."""
    rows = _rows(paths)
    columns = {name: [_first(row, spellings) for _, row in rows] for name, spellings in COLUMNS.items()}
    there = {name: column for name, column in columns.items() if any(column)}
    needed = ("num_params", "loss", "steps" if "steps" in there else "num_tokens")
    if lacking := [name for name in needed if name not in there]:
        raise ValueError(
            f"{', '.join(paths)} must have a column {lacking[0]!r}: got {', '.join(rows[0][1])}. "
            f"Add it; {' and '.join(COLUMNS[lacking[0]][1:])} are understood as well."
        )
    found: dict[str, list[float] | list[str]] = {}
    for name, column in there.items():
        if not all(column):
            where = rows[column.index("")][0]
            raise ValueError(
                f"Column {name!r} must be filled in every row: {where} has none. Fill it, or leave it out."
            )
        numbers = [_cell(name, cell, where) for cell, (where, _) in zip(column, rows, strict=True) if name != "names"]
        found[name] = numbers or column
    return {"names": [where for where, _ in rows]} | found


def note_sizes(runs: Sequence[Run], path: Path) -> list[str]:
    """Note in the runs what a table says of their sizes and batches; what they note themselves stands.

    A row may name a run by the last part of its name, by the folder that it lies in, or by its file.

    Returns:
        The names in the table that no run has.

    Raises:
        ValueError: if the table has no such columns, or names no run.
    """
    rows = _rows([str(path)])
    named = {_first(row, COLUMNS["names"]): (where, row) for where, row in rows}
    if "" in named:
        raise ValueError(f"{path} must name a run in every row, in a column 'run': got none at {named[''][0]}.")
    matched: set[str] = set()
    for run in runs:
        parts = [*run.name.split("/"), Path(str(run.meta.get("source") or "")).name]
        name = next((name for name in named if name == run.name or name in parts), None)
        if name is None:
            continue
        matched.add(name)
        where, row = named[name]
        for key in ("num_params", "batch_tokens"):
            if cell := _first(row, COLUMNS[key]):
                run.meta.setdefault(key, _cell(key, cell, where))
    if not matched:
        got, there = listed(list(named), _NAMED), listed([run.name for run in runs], _NAMED)
        raise ValueError(f"{path} must name the runs: got {got}, and the logs are {there}.")
    return [name for name in named if name not in matched]


def lacking_sizes(runs: Sequence[Run]) -> str:
    """What to do where runs note no size or no batch; empty where all do."""
    advice = [
        f"missing {key} of {listed(names, _NAMED)}: pass {option}"
        for key, option in _OPTIONS.items()
        if (names := [run.name for run in runs if not run.meta.get(key)])
    ]
    told = "A law of the family needs every run's size and the tokens of its steps; "
    return told + "; ".join(advice) + "." if advice else ""


def _rows(paths: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of the tables, each with where it stands."""
    rows: list[tuple[str, dict[str, str]]] = []
    for path in paths:
        with Path(path).open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            reader = csv.DictReader(lines)
            try:
                for row in reader:
                    cells = {key.strip().lower(): (cell or "").strip() for key, cell in row.items() if key}
                    rows.append((f"line {reader.line_num} of {path}", cells))
            except csv.Error as error:
                where = f"line {reader.line_num} of {path}"
                raise ValueError(
                    f"{where} cannot be read as a table: {error}. Close its quotes, or leave it out."
                ) from error
    if not rows:
        raise ValueError(f"{', '.join(paths)} must have a row for each run: got a header alone.")
    return rows


def _first(row: Mapping[str, str], spellings: Sequence[str]) -> str:
    return next((row[spelling] for spelling in spellings if row.get(spelling)), "")


def _cell(name: str, cell: str, where: str) -> float:
    """A number of a table; sizes and tokens may be written 7B, as everywhere on the command line."""
    try:
        return float(cell) if name == "loss" else quantity(cell)
    except (ValueError, click.BadParameter):
        known = "number" if name == "loss" else "positive number such as 124000000 or 124M"
        raise ValueError(f"{where}: {name!r} must be a {known}: got {cell!r}.") from None
