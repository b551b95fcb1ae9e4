"""What libraries of boosted trees and scikit-learn print: ``samples/boosting``, see ``scripts/log_samples``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from curvecast.readers import read

SAMPLES = Path(__file__).parent / "samples/boosting"
NAN = float("nan")
# rounds, first and last loss of training, and of what was held out, as they stand in the files
LOSSES = {
    "xgboost": (12, [0.51533, 0.11651], [0.55281, 0.42550]),
    "lightgbm": (12, [0.625948, 0.33059], [0.631681, 0.420778]),
    "catboost": (12, [0.6632012, 0.3874345], [0.6718810, 0.4903385]),
    "mlp": (12, [0.70616758, 0.60140124], [NAN, NAN]),
    "gradient_boosting": (10, [1.2498, 0.6946], [NAN, NAN]),
    "sgd": (12, [4.763507, 1.144312], [NAN, NAN]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_printed_round_by_round_is_read(name: str) -> None:
    (run,) = read(SAMPLES / f"{name}.log")
    rounds, train, val = LOSSES[name]
    assert run.steps.tolist() == list(range(1, rounds + 1))
    assert run.train_loss[[0, -1]].tolist() == train
    np.testing.assert_array_equal(run.val_loss[[0, -1]], val)
    assert run.meta["lost"] == []


@pytest.mark.parametrize("held_out", [True, False])
def test_the_folder_of_catboost_is_one_run(tmp_path: Path, held_out: bool) -> None:
    shutil.copytree(SAMPLES / "catboost_info", tmp_path / "catboost_info")
    if not held_out:
        (tmp_path / "catboost_info/test_error.tsv").unlink()
    (run,) = read(tmp_path)
    assert (run.name, run.steps.tolist()) == ("catboost_info", list(range(1, 13)))
    np.testing.assert_allclose(run.train_loss[[0, -1]], [0.6632012, 0.3874345], atol=1e-7)
    np.testing.assert_allclose(run.val_loss[[0, -1]], [0.6718810, 0.4903385] if held_out else [NAN, NAN], atol=1e-7)
    assert "train_loss: Logloss, by learn_error.tsv" in str(run.meta["notes"])
