"""Hugging Face's ``trainer_state.json``: the history that the Trainer saves with every checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.rows import Records

NAME = "trainer_state.json"
_STEM = "trainer_state"
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_SUMMARY = "train_runtime"  # only the last record has it; its `train_loss` is a mean over the whole run


def read_trainer_state(path: Path) -> Log:
    """Read one ``trainer_state.json``.

    The steps are completed optimizer steps already; a ``loss`` is the mean over the steps since the last one
    logged. ``max_steps`` becomes the horizon, ``num_input_tokens_seen`` and ``total_flos`` what they are.

    Raises:
        UnreadableRun: if the file is no such state, or its history has no step.
    """
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise UnreadableRun(f"{path.name} has no `log_history`: it is not what the Trainer writes.")
    records, notes = Records(), Notes()
    found = [record for record in history if isinstance(record, dict) and _SUMMARY not in record]
    stepped = [record for record in found if "step" in record]
    if 0 < len(stepped) < len(found):  # of `Trainer.predict`, which is no part of the training
        notes.add(f"{len(found) - len(stepped)} records without a step left out, as `Trainer.predict` leaves them")
    for record in stepped or found:
        records.add(record)
    series, _ = records.series()
    if not series:
        raise UnreadableRun(f"the `log_history` of {path.name} has no step with a number.")
    meta: dict[str, object] = {}
    for key, name in (("max_steps", "horizon"), ("trial_name", "trial")):
        value = state.get(key)
        if (isinstance(value, int) and value > 0) or (isinstance(value, str) and value):
            meta[name] = value
    if isinstance(spent := state.get("total_flos"), int | float) and spent > 0:
        meta["total_flops"] = float(spent)
    return Log(path, FORMAT.name, series, notes=notes, meta=meta, offsets=dict.fromkeys(series, 0))


def _claim(folder: Folder) -> Iterator[Part]:
    """The states of a folder and of the checkpoints in it: they are one run. One under another name is its own."""
    for name in folder.files:
        if name != NAME and _STEM in name and name.endswith(".json"):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)
    if _CHECKPOINT.fullmatch(folder.path.name) and not folder.is_root:
        return
    found = [folder.path / NAME] if NAME in folder.files else []
    for name in folder.folders:
        if _CHECKPOINT.fullmatch(name) and (state := folder.path / name / NAME).is_file():
            found.append(state)
    if found:
        yield Part(FORMAT.name, tuple(found))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    """The state that has come furthest: each holds the whole history before it."""
    logs: list[tuple[Path, Log]] = []
    errors: list[UnreadableRun] = []
    for file in files:
        try:
            logs.append((file, read_trainer_state(file)))
        except UnreadableRun as error:
            errors.append(error)
    if not logs:
        raise errors[0]
    path, best = max(logs, key=lambda each: (_last_step(each[1]), each[0].stat().st_mtime))
    for reason in errors:
        best.notes.add(str(reason), lost=True)
    if len(logs) > 1:
        best.notes.add(f"{len(logs)} checkpoints of one run; read the furthest, {path.parent.name}/{NAME}")
    return {"": best}


def _last_step(log: Log) -> int:
    return max(int(series.steps.max()) for series in log.series.values())


def _accepts(path: Path, start: bytes) -> bool:
    return path.name == NAME or (start.lstrip()[:1] == b"{" and b'"log_history"' in start)


FORMAT = Format("huggingface", NAME, _claim, _accepts, _read)
