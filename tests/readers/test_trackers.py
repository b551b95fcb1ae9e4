"""Folders that trackers and toolboxes write, each of them one run: ``samples``, see ``scripts/log_samples``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from curvecast.readers import UnreadableRun, read
from curvecast.readers.sacred import read_metrics

SAMPLES = Path(__file__).parent / "samples"
STEPS = list(range(1, 31))
CURVE = [2 + 2 / step for step in STEPS]


def test_dvclive_has_a_table_for_each_metric() -> None:
    (run,) = read(SAMPLES / "dvclive")
    assert (run.name, run.meta["format"], run.steps.tolist(), run.train_loss.tolist()) == (
        "dvclive",
        "dvclive",
        STEPS,
        CURVE,
    )
    assert [(int(run.steps[at]), run.val_loss[at]) for at in (9, 19, 29)] == [(s, 2.5 + 2 / s) for s in (10, 20, 30)]
    assert run.lr.tolist() == [1e-3] * 30


def test_a_table_of_dvclive_that_is_broken_is_told(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "dvclive", tmp_path / "run")
    (tmp_path / "run/dvclive/plots/metrics/lr.tsv").write_text("step\tlr\nwhat?\n")
    (run,) = read(tmp_path)
    assert (run.train_loss.tolist(), "lr.tsv" in str(run.meta["lost"])) == (CURVE, True)


def test_sacred_keeps_its_metrics_beside_what_was_printed() -> None:
    (run,) = read(SAMPLES / "sacred")
    assert (run.name, run.steps.tolist(), run.train_loss.tolist(), run.meta["horizon"]) == ("1", STEPS, CURVE, 60)
    assert (run.points("val"), run.val_loss[9]) == (3, 2.7)


BROKEN = """

[]
{"a": {"steps": [1]}}
{"a": {"steps": [1, 2], "values": [1]}}
{"a": {"steps": [1e99], "values": [1]}}
{"a": {"steps": ["x"], "values": [1]}}
{"a": {"steps": [[1]], "values": [[1]]}}"""


@pytest.mark.parametrize("text", [*BROKEN.splitlines(), "[" * 9999])
def test_metrics_of_sacred_that_are_broken_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UnreadableRun, match=r"metrics\.json"):
        read_metrics(tmp_path / "metrics.json")


@pytest.mark.parametrize(("kind", "horizon"), [("epoch", None), ("iter", 30)])
def test_the_folder_of_mmengine_is_one_run(kind: str, horizon: int | None) -> None:
    (run,) = read(SAMPLES / "mmengine" / kind)
    assert (run.steps.tolist(), run.meta.get("horizon")) == (list(range(5, 31, 5)), horizon)
    assert (run.meta["train_tag"], run.lr.tolist()) == ("loss", [0.1] * 6)
    (text,) = read(next((SAMPLES / "mmengine" / kind).rglob("*.log")))
    assert (text.steps.tolist(), text.meta["format"]) == (run.steps.tolist(), "text")
    assert abs(text.train_loss - run.train_loss).max() < 1e-4
    (alone,) = read(next((SAMPLES / "mmengine" / kind).rglob("vis_data")))
    assert alone.train_loss.tolist() == run.train_loss.tolist()
