"""Logs of training runs that strangers published: the losses as they were logged, and where each log lies.

They had no part in curvecast: no prior was fitted on them. A run's part depends on nothing but the name of the
repository that it was found in (in AlgoPerf's, of the submission and the workload): *open* runs may be looked at, and
what is wrong may be learnt from; *sealed* ones are scored, and no more. First trainings of large networks whose size is
known are a part of their own, *sized*, which may be looked at. So are the *fresh* ones, which are sealed too: they were
chosen by rules that were written down before any of them was forecast (``README.md`` beside this script). And so are
*language models* of known size, chosen by such rules as well, and *other* networks of known size, which learn something
else; half of each are open and half sealed.

Each is ``public_logs/NAME.csv`` (``step,train_loss,val_loss,lr``, a blank where nothing was logged in that row), and
``public_logs/meta.json`` says of each its repository, path and commit, and what is known of the run. Without an
option the folder is checked; ``--add`` takes runs over from a folder where each is a CSV and a line of ``about.jsonl``.

    python benchmarks/public_logs.py
    python benchmarks/public_logs.py --add FOLDER
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import click

FOLDER = Path(__file__).parent / "public_logs"
COLUMNS = ("step", "train_loss", "val_loss", "lr")
PARTS = ("open", "sealed")
SIZED, FRESH, LANGUAGE, OTHER = "sized", "fresh", "language", "other"

_MOST_BYTES = 1_000_000  # of all files together
_LEAST_TRAIN, _LEAST_VAL = 20, 12  # losses, of which one of the two must be there
_LEAST_DECIDING = 8  # validations, where they decide
_ALGOPERF = "mlcommons/submissions_algorithms"  # many submissions and workloads in one repository
_OF_SIZED, _OF_FRESH, _OF_LANGUAGE = ("num_params", "batch_tokens", "schedule"), ("found",), ("group",)
_OF_OTHER = ("learns",)
_KNOWN = ("repo", "path", "commit", "licence", "framework", "task", "of", "unit", "horizon", "thinned", "notes")

ABOUT = {
    "made_by": "benchmarks/public_logs.py",
    "data": "losses as public repositories' logs have them, to five digits; each run names its source",
    "columns": {
        "step": "completed optimizer steps or epochs, from 1: see unit",
        "train_loss": "as logged",
        "val_loss": "as logged",
        "lr": "as logged; blank where the log does not tell it",
    },
    "thinned": "of so many train losses in a row one was kept (the last ten all; validations all)",
    "horizon": "the planned last step, where the log tells it",
    "part": "open: may be looked at and learnt from; sealed: is only scored. By the parity of the SHA-256 of the "
    "repository's name (of AlgoPerf: of submission and workload). sized: a first training of a network of known size. "
    "fresh: chosen by rules written down before any was forecast, and sealed. language open, language sealed: language "
    "models of known size, chosen by such rules; by the parity of the SHA-256 of repository and group. other open, "
    "other sealed: networks of known size that learn something else, likewise; by that of the repository's name",
    "found": "of fresh runs, language models and other networks: the day on which they were written down; none was "
    "forecast before",
    "group": "of language models: the experiment, or the author, that the run is of",
    "learns": "of other networks: what they learn from",
    "num_params": "of sized runs, language models and other networks: parameters without embeddings",
    "batch_tokens": "of these: tokens of an optimizer step, where they are known",
    "schedule": "of those that log no rate: the plan, as curvecast analyze --schedule takes it, where it is known",
}


def part_of(about: Mapping[str, Any]) -> str:
    """Which half a run belongs to.

    Example:
        >>> [part_of({"repo": f"somebody/{name}", "path": "log.csv"}) for name in ("one", "two")]
        ['open', 'sealed']
    """
    named = str(about["repo"])
    if about.get("group"):
        return f"{LANGUAGE} {_half_of(' '.join((named, about['group'])))}"
    if about.get("learns"):
        return f"{OTHER} {_half_of(named)}"
    if about.get("found"):
        return FRESH
    if about.get("num_params"):
        return SIZED
    if named == _ALGOPERF:
        *_, submission, _study, workload, _trial, _file = PurePosixPath(about["path"]).parts
        named = f"{re.sub(r'_(jax|pytorch)$', '', workload)} {submission}"
    return _half_of(named)


def _half_of(named: str) -> str:
    return PARTS[hashlib.sha256(named.encode()).digest()[-1] % 2]


def faults(folder: Path) -> Iterator[str]:
    """What is wrong with a folder of logs, in words; nothing where all is well.

    Args:
        folder: holds ``meta.json`` and the files that it names.
    """
    runs: dict[str, dict[str, Any]] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["runs"]
    files = sorted(folder.glob("*.csv"))
    for name in sorted(runs.keys() ^ {file.name for file in files}):
        yield f"{name}: it must be both a file and a run of meta.json"
    for file in files:
        if (about := runs.get(file.name)) is not None:
            yield from (f"{file.name}: {fault}" for fault in (*faults_of_source(about), *faults_of_rows(file, about)))
    sources = Counter((about.get("repo"), about.get("path")) for about in runs.values())
    yield from (f"{repo}: {path} is there {count} times" for (repo, path), count in sources.items() if count > 1)
    if (size := sum(file.stat().st_size for file in folder.iterdir())) > _MOST_BYTES:
        yield f"all files together must have at most {_MOST_BYTES:,} bytes: got {size:,}"


def faults_of_source(about: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with what is said of a run."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(about.get("repo"))) or not about.get("path"):
        yield "its repository and path must be named"
    elif about.get("part") != part_of(about):
        yield f"it must be in the part {part_of(about)!r}: got {about.get('part')!r}"
    if not re.fullmatch(r"[0-9a-f]{40}", str(about.get("commit"))):
        yield f"the commit must be 40 hexadecimal digits: got {about.get('commit')!r}"
    if about.get("unit") not in ("step", "epoch") or about.get("of") not in ("train", "val"):
        yield f"unit and loss must be known: got {about.get('unit')!r}, {about.get('of')!r}"
    if not _is_day(about.get("found", "2026-01-01")):
        yield f"the day must be written as 2026-01-31: got {about['found']!r}"
    if not isinstance(about.get("horizon"), int | None):
        yield f"the planned last step must be a whole number, or null: got {about['horizon']!r}"


def faults_of_rows(file: Path, about: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a table."""
    try:
        header, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    except ValueError:
        yield "it must be a table in UTF-8: got an empty file, or other bytes"
        return
    if tuple(header) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        yield f"the columns must be {','.join(COLUMNS)} in every row"
        return
    steps = [row[0] for row in rows]
    if not all(step.isdecimal() and int(step) >= 1 for step in steps):
        yield "steps must be whole numbers from 1"
    elif any(int(after) <= int(before) for before, after in pairwise(steps)):
        yield "steps must rise from row to row"
    if bad := [cell for row in rows for cell in row[1:] if cell and not _is_finite(cell)]:
        yield f"losses and rates must be finite or blank: got {bad[0]!r}"
    trains, vals = (sum(bool(row[column]) for row in rows) for column in (1, 2))
    if trains < _LEAST_TRAIN and vals < _LEAST_VAL:
        yield f"it must have {_LEAST_TRAIN} train losses or {_LEAST_VAL} validations: got {trains} and {vals}"
    if (about.get("of") == "val") != (vals >= _LEAST_DECIDING):
        yield f"validation decides from {_LEAST_DECIDING} of them on: got {about.get('of')!r} with {vals}"
    last = int(steps[-1]) if steps and steps[-1].isdecimal() else 0
    if isinstance(planned := about.get("horizon") or last, int) and planned < last:
        yield f"the planned end lies before the last step: {planned} before {last}"


def _is_day(told: object) -> bool:
    try:
        return bool(date.fromisoformat(str(told)))
    except ValueError:
        return False


def _is_finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def taken_over(source: Path, folder: Path) -> Iterator[str]:
    """Copy the runs of a folder, and say which were left out for what is wrong with them.

    Args:
        source: holds a CSV a run, and ``about.jsonl`` with a line of each, which has its ``name``.
        folder: that of all logs; a run that is there already is written anew.
    """
    meta = folder / "meta.json"
    runs: dict[str, Any] = json.loads(meta.read_text(encoding="utf-8"))["runs"] if meta.exists() else {}
    for number, line in enumerate((source / "about.jsonl").read_text(encoding="utf-8").splitlines(), 1):
        try:
            file, about = _offered(source, line)
            found = [*faults_of_source(about), *faults_of_rows(file, about)]
        except (OSError, KeyError, TypeError, ValueError) as error:
            yield f"line {number} of about.jsonl is left out: {type(error).__name__}: {error}"
            continue
        name = re.sub(r"^[a-z]+_\d+_", "", file.name)
        if name in runs and any(runs[name][key] != about[key] for key in ("repo", "path")):
            found.append("another run has its name")
        elsewhere = {known["repo"].lower() for known in runs.values() if known["part"] != FRESH}
        if about["part"] == FRESH and about["repo"].lower() in elsewhere:
            found.append("its repository is in another part")
        if found:
            yield f"{file.name} is left out: {'; '.join(found)}"
            continue
        (folder / name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        runs[name] = about
    meta.write_text(json.dumps({**ABOUT, "runs": dict(sorted(runs.items()))}, indent=1) + "\n", encoding="utf-8")


def _offered(source: Path, line: str) -> tuple[Path, dict[str, Any]]:
    """A run's table, and what is said of it, by its line of ``about.jsonl``."""
    told = json.loads(line)
    file = source / told["name"]
    last = file.read_bytes().rstrip().rpartition(b"\n")[2].partition(b",")[0]
    if last.isdigit() and told.get("horizon") == int(last) - 1:  # planned steps were counted from zero
        told["horizon"] = int(last)
    of_kind = ("num_params", _OF_SIZED), ("found", _OF_FRESH), ("group", _OF_LANGUAGE), ("learns", _OF_OTHER)
    known = _KNOWN + tuple(name for key, names in of_kind if told.get(key) for name in names)
    return file, {name: told.get(name) for name in known} | {"part": part_of(told)}


@click.command(help=__doc__.partition("\n    python")[0])
@click.option(
    "--add",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Take the runs of a folder over.",
)
def main(add: Sequence[Path]) -> None:
    for source in add:
        for left_out in taken_over(source, FOLDER):
            print(left_out)
    if found := list(faults(FOLDER)):
        raise click.ClickException("\n".join(found))
    runs = json.loads((FOLDER / "meta.json").read_text(encoding="utf-8"))["runs"]
    counts = Counter(about["part"] for about in runs.values())
    print(f"{len(runs)} runs, all well: {', '.join(f'{count} {part}' for part, count in sorted(counts.items()))}")


if __name__ == "__main__":
    main()
