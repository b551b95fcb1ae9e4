"""Real training curves in one form, whatever laboratory they come from.

The public ones lie in a folder beside the repository (``meta.json`` there says where each was taken from and
under which licence); small runs of our own lie in ``benchmarks/small_runs`` and ``benchmarks/stranger_runs``, logs
that strangers published in ``benchmarks/public_logs``. Of the logs there are eight sets: *open*, *sealed*, *fresh*,
which is sealed too, first trainings *of known size*, where the size is told, and the plan where it is known, and
*language models*, and *other networks*, of known size and plan, open and sealed.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _curve import AVERAGED, FRACTIONS, Curve, FloatArray, Target, columns_of, curve_of, plan_of, runs_in

from curvecast import Schedule
from curvecast.options import schedule_of

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = ROOT.parent / "shared" / "curves"
SMALL_RUNS = ROOT / "benchmarks" / "small_runs"
STRANGER_RUNS = ROOT / "benchmarks" / "stranger_runs"
PUBLIC_LOGS = ROOT / "benchmarks" / "public_logs"

_COOLDOWN = 1.1  # gemstones: a branch that ends at a step left the constant run at that step over this
EVALUATION = 200  # taskset: optimizer steps from one evaluation to the next (google-research, task_set/train_inner.py)
_NOMINAL = {"track_1_short": 84934656.0, "track_2_medium": 201326592.0}  # modded_nanogpt: GPT-2's small and medium
_BLOWN_UP = 1.1  # taskset, strangers, public logs: times the first loss; a run that ends above that has diverged
_SHAKESPEARE = 1_003_854  # characters to learn from (karpathy/nanoGPT, data/shakespeare_char/prepare.py)
_LATE = 0.05  # public logs: of the steps, of which at most ten train losses are the truth
_RATES, _EARLY = 8, 0.1  # public logs: so many rates, from so early to so late, tell the plan


def multipowerlaw(folder: Path, sample: int) -> list[Curve]:
    """Three sizes, nine schedules each; the loss is smooth, and the truth is its last value."""
    return [_multipowerlaw(file, about) for file, about in runs_in(folder / "multipowerlaw")]


def _multipowerlaw(file: Path, about: Mapping[str, Any]) -> Curve:
    data = columns_of(file)
    schedule = _warmed_up(plan_of(data, int(data["step"][-1])), 2160)  # no row is from the warm-up, but it took place
    size = file.name.split("__")[0]
    return curve_of(file, about, data, "multipowerlaw", schedule, "train", trunk=f"{size} from {data['train_loss'][0]}")


def _warmed_up(schedule: Schedule, steps: int) -> Schedule:
    """The same plan with a linear warm-up."""
    every = np.arange(1, schedule.horizon + 1)
    return Schedule.from_array(schedule.lr(every) * np.minimum(every / steps, 1.0))


def modded_nanogpt(folder: Path, sample: int) -> list[Curve]:
    """Speed runs of the 124M class, of which the learning rate is known: the last validation loss."""
    return [_modded(file, about, "modded_nanogpt", "val") for file, about in _modded_runs(folder)]


def modded_nanogpt_steps(folder: Path, sample: int) -> list[Curve]:
    """Those that logged every step's train loss: that alone is seen, and its mean at the end is the truth."""
    known = [(file, about) for file, about in _modded_runs(folder) if about["n_train"] > 1000]
    return [_modded(file, about, "modded_nanogpt steps", "train") for file, about in known]


def _modded_runs(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    runs = list(runs_in(folder / "modded_nanogpt"))
    return [(file, about) for file, about in runs if np.isfinite(columns_of(file)["lr"]).sum() > 1]


def _modded(file: Path, about: Mapping[str, Any], set_: str, of: Target) -> Curve:
    data = columns_of(file)
    schedule = plan_of(data, int(data["step"][-1]))
    if of == "train":
        data["val_loss"] = np.full_like(data["val_loss"], np.nan)
    size = about["n_params"] or _NOMINAL[about["track"]]
    return curve_of(file, {**about, "n_params": size}, data, set_, schedule, of, group=file.name.split("__")[1])


def gemstones(folder: Path, sample: int) -> list[Curve]:
    """Constant runs of 20 shapes, and the losses that they reach when cooled down from ten places each."""
    curves = []
    for file, about in runs_in(folder / "gemstones"):
        data = columns_of(file)
        data["lr"] = np.ones(len(data["step"]))
        constant = Schedule.constant(int(data["step"][-1]))
        for end in about.get("cooldown_endpoints", ()):
            curves.append(_gemstone(file, about, data, constant, end))
    return curves


def _gemstone(
    file: Path, about: Mapping[str, Any], data: Mapping[str, FloatArray], constant: Schedule, end: Mapping[str, float]
) -> Curve:
    step, truth = int(end["step"]), float(end["loss"])
    start = round(step / _COOLDOWN)
    branch = {name: column[data["step"] <= start] for name, column in data.items()}
    last = {"step": step, "train_loss": truth, "val_loss": math.nan, "lr": 0.0}
    branch = {name: np.append(branch[name], value) for name, value in last.items()}
    return curve_of(
        file,
        about,
        branch,
        "gemstones",
        constant.cooldown(start=start, steps=step - start),
        "train",
        name=f"{file.stem} at {step}",
        truth=truth,
        plan=constant,
        stream=file.stem,
        trunk=file.stem,
        fractions=(*FRACTIONS[1:], 1.0 / _COOLDOWN),
    )


def shakespeare(folder: Path, sample: int) -> list[Curve]:
    """A small GPT on Tiny Shakespeare, most of whose runs overfit: the last validation loss."""
    curves = []
    for file, about in runs_in(folder / "nanogpt_shakespeare_ablation"):
        plan = Schedule.cosine(int(about["total_steps"]), warmup=100, floor=0.1)
        told = about | {"epoch_steps": _SHAKESPEARE / float(about["batch_tokens"])}
        curves.append(curve_of(file, told, columns_of(file), "shakespeare", plan, "val"))
    return curves


def taskset_train(folder: Path, sample: int) -> list[Curve]:
    """Small text classifiers with all kinds of hyperparameters, of which most do not learn: the final train loss."""
    return _taskset(folder / "taskset", sample, "taskset train", "train")


def taskset_val(folder: Path, sample: int) -> list[Curve]:
    """The same runs: the final validation loss."""
    return _taskset(folder / "taskset", sample, "taskset val", "val")


def _taskset(folder: Path, sample: int, set_: str, of: Target) -> list[Curve]:
    curves = []
    for file, about in runs_in(folder):
        columns = importlib.import_module("pyarrow.parquet").read_table(file).to_pydict()
        shape = (int(about["n_runs"]), int(about["n_points"]))
        losses = {name: np.array(columns[name], np.float64).reshape(shape) for name in ("train_loss", "val_loss")}
        settings = json.loads(file.with_suffix(".hp.json").read_text(encoding="utf-8"))
        train, val = losses["train_loss"], losses["val_loss"]
        sound = np.isfinite(train).all(axis=1) & np.isfinite(val).all(axis=1) & (train[:, -1] < _BLOWN_UP * train[:, 0])
        runs = np.random.default_rng(0).permutation(np.flatnonzero(sound))[:sample]
        for run in sorted(runs.tolist()):
            data = {
                "train_loss": train[run],
                "val_loss": val[run],
                "step": EVALUATION * np.arange(shape[1], dtype=float),
            }
            schedule = decaying(settings[run], int(data["step"][-1]))
            data["lr"] = np.asarray(schedule.lr(np.maximum(data["step"], 1.0)))
            name = f"{file.stem} {run}"
            curves.append(curve_of(file, {}, data, set_, schedule, of, group=file.stem, name=name, stream=name))
    return curves


def decaying(setting: Mapping[str, float], horizon: int) -> Schedule:
    """TaskSet's Adam8P: the product of a linear and an exponential decay (task_set/optimizers/adam8p.py)."""
    steps = np.arange(horizon)
    linear = np.maximum(1.0 - setting["linear_decay"] * steps, 0.0)
    return Schedule.from_array(linear * np.exp(-setting["exponential_decay"] * steps))


def small_runs(folder: Path, sample: int) -> list[Curve]:
    """Small runs of our own: the last validation loss, or the mean train loss at the end where there is none."""
    return [_small_run(file, about, "small_runs") for file, about in runs_in(SMALL_RUNS) if not about.get("overfits")]


def small_runs_overfit(folder: Path, sample: int) -> list[Curve]:
    """Those that are meant to overfit."""
    return [
        _small_run(file, about, "small_runs overfit") for file, about in runs_in(SMALL_RUNS) if about.get("overfits")
    ]


def _small_run(file: Path, about: Mapping[str, Any], set_: str) -> Curve:
    data = columns_of(file)
    of: Target = "val" if np.isfinite(data["val_loss"]).any() else "train"
    schedule = plan_of(data, int(about.get("horizon") or data["step"][-1]))
    return curve_of(file, about, data, set_, schedule, of, group=str(about.get("group", "all")))


_SEALED, _PUBLIC_SEALED = "strangers sealed", "public logs sealed"
_PUBLIC_SIZED, _PUBLIC_FRESH = "public logs sized", "public logs fresh"
_LANGUAGE, _LANGUAGE_SEALED = "language models open", "language models sealed"
_OTHER, _OTHER_SEALED = "other networks open", "other networks sealed"
# Of these nothing but figures of a whole set is to be seen.
SEALED = (_SEALED, _PUBLIC_SEALED, _PUBLIC_FRESH, _LANGUAGE_SEALED, _OTHER_SEALED)
_CHALLENGE = "parameter-golf"  # in a repository's name: all runs of this challenge have one script and data


def strangers_open(folder: Path, sample: int) -> list[Curve]:
    """Recipes that had no part in curvecast; their curves may be looked at."""
    return [strange(file, about, "strangers open") for file, about in stranger_runs("open")]


def strangers_sealed(folder: Path, sample: int) -> list[Curve]:
    """The other half of them, which is only scored."""
    return [strange(file, about, _SEALED) for file, about in stranger_runs("sealed")]


def stranger_runs(part: str, *, diverged: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The strangers of one part, those that diverged only where they are asked for."""
    for file, about in runs_in(STRANGER_RUNS):
        train = columns_of(file)["train_loss"]
        train = train[~np.isnan(train)]
        if about["part"] == part and (diverged or train[-1] < train[0] + (_BLOWN_UP - 1.0) * abs(train[0])):
            yield file, about


def strange(file: Path, about: Mapping[str, Any], set_: str) -> Curve:
    """A stranger as a curve of a set."""
    data = columns_of(file)
    of: Target = "val" if np.isfinite(data["val_loss"]).any() else "train"
    schedule = plan_of(data, int(about["horizon"]))
    losses = data[f"{of}_loss"][np.isfinite(data[f"{of}_loss"])]
    truth = float(losses[-1] if of == "val" else losses[-AVERAGED:].mean())  # a single batch would be noise
    return curve_of(file, about, data, set_, schedule, of, group=file.stem, truth=truth)


def public_logs_open(folder: Path, sample: int) -> list[Curve]:
    """Logs that strangers published; these may be looked at."""
    return [public_log(file, about, "public logs open") for file, about in public_logs("open")]


def public_logs_sealed(folder: Path, sample: int) -> list[Curve]:
    """The other half of them, which is only scored."""
    return [public_log(file, about, _PUBLIC_SEALED) for file, about in public_logs("sealed")]


def public_logs_fresh(folder: Path, sample: int) -> list[Curve]:
    """Further logs, chosen by rules that were written down before any was forecast; they are only scored."""
    return [public_log(file, about, _PUBLIC_FRESH) for file, about in public_logs("fresh")]


def public_logs_sized(folder: Path, sample: int) -> list[Curve]:
    """First trainings of large networks, whose size is told, and their plan where that is known."""
    return [public_log(file, about, _PUBLIC_SIZED) for file, about in public_logs("sized")]


def language_models_open(folder: Path, sample: int) -> list[Curve]:
    """First trainings of language models, of known size and plan, that had no part in curvecast; to be looked at."""
    return [public_log(file, about, _LANGUAGE) for file, about in public_logs("language open")]


def language_models_sealed(folder: Path, sample: int) -> list[Curve]:
    """The other half of them, which is only scored."""
    return [public_log(file, about, _LANGUAGE_SEALED) for file, about in public_logs("language sealed")]


def other_networks_open(folder: Path, sample: int) -> list[Curve]:
    """First trainings of networks of known size and plan that are no language models; to be looked at."""
    return [public_log(file, about, _OTHER) for file, about in public_logs("other open")]


def other_networks_sealed(folder: Path, sample: int) -> list[Curve]:
    """The other half of them, which is only scored."""
    return [public_log(file, about, _OTHER_SEALED) for file, about in public_logs("other sealed")]


def public_logs(part: str, *, diverged: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The public logs of one part, those that diverged only where they are asked for."""
    for file, about in runs_in(PUBLIC_LOGS):
        losses = columns_of(file)[f"{about['of']}_loss"]
        losses = losses[~np.isnan(losses)]
        if about["part"] == part and (diverged or losses[-1] < losses[0] + (_BLOWN_UP - 1.0) * abs(losses[0])):
            yield file, about


def public_log(file: Path, about: Mapping[str, Any], set_: str) -> Curve:
    """A public log as a curve: of many the plan is not known, as it is not to `curvecast analyze`."""
    data, of = columns_of(file), about["of"]
    losses = data[f"{of}_loss"]
    steps, losses = data["step"][np.isfinite(losses)], losses[np.isfinite(losses)]
    rated = data["step"][np.isfinite(data["lr"])]
    horizon = int(steps[-1])
    is_planned = len(rated) >= _RATES and rated[0] <= _EARLY * horizon and rated[-1] >= (1.0 - _EARLY) * horizon
    schedule = plan_of(data, horizon) if is_planned else Schedule.constant(horizon)
    if planned := about.get("schedule"):
        is_planned, schedule = True, schedule_of(planned, about["horizon"] or horizon)
    late = int((steps > (1.0 - _LATE) * horizon).sum()) if of == "train" and about["unit"] == "step" else 1
    ended = losses[-min(late, AVERAGED) :]
    told = {**about, "epoch_steps": 1.0 if about["unit"] == "epoch" else None}
    group = about.get("group", file.stem)
    if "group" in about and _CHALLENGE in about["repo"].lower():
        group = _CHALLENGE
    found = curve_of(file, told, data, set_, schedule, of, group=group, truth=float(ended.mean()))
    end = None if is_planned and not planned else about["horizon"]
    return replace(
        found, horizon=horizon, is_planned=is_planned, end=end, noise=_wiggle(losses) / math.sqrt(len(ended))
    )


def _wiggle(losses: FloatArray) -> float:
    """The standard deviation of one loss, by the second differences of the last quarter."""
    return math.sqrt(float(np.mean(np.diff(losses[-max(len(losses) // 4, 8) :], 2) ** 2)) / 6.0)


SETS: dict[str, Callable[[Path, int], list[Curve]]] = {
    "multipowerlaw": multipowerlaw,
    "modded_nanogpt": modded_nanogpt,
    "modded_nanogpt steps": modded_nanogpt_steps,
    "gemstones": gemstones,
    "shakespeare": shakespeare,
    "taskset train": taskset_train,
    "taskset val": taskset_val,
    "small_runs": small_runs,
    "small_runs overfit": small_runs_overfit,
    "strangers open": strangers_open,
    _SEALED: strangers_sealed,
    "public logs open": public_logs_open,
    _PUBLIC_SEALED: public_logs_sealed,
    _PUBLIC_FRESH: public_logs_fresh,
    _PUBLIC_SIZED: public_logs_sized,
    _LANGUAGE: language_models_open,
    _LANGUAGE_SEALED: language_models_sealed,
    _OTHER: other_networks_open,
    _OTHER_SEALED: other_networks_sealed,
}


def load(name: str, folder: Path = PUBLIC, *, sample: int = 20) -> list[Curve]:
    """The curves of a set; an empty list where its data are not there.

    Args:
        name: one of ``SETS``.
        folder: where the public curves lie.
        sample: runs to take of each of taskset's thousands.
    """
    return SETS[name](folder, sample)
