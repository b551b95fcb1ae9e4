from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from curvecast.curve import Sample
from curvecast.readers import Run

NAN = math.nan


def make(steps: list[int], train: list[float], val: list[float], lr: list[float]) -> Run:
    return Run("d12", np.array(steps), np.array(train), np.array(val), np.array(lr))


def test_samples_come_train_first_then_val() -> None:
    run = make([1, 2, 3], [9.0, NAN, 7.0], [NAN, 8.5, 7.5], [0.1, NAN, NAN])
    assert list(run.samples()) == [
        Sample(1, train_loss=9.0, lr=0.1),
        Sample(2, val_loss=8.5),
        Sample(3, train_loss=7.0),
        Sample(3, val_loss=7.5),
    ]


def test_a_learning_rate_alone_is_a_sample() -> None:
    assert list(make([4], [NAN], [NAN], [0.1]).samples()) == [Sample(4, lr=0.1)]


def test_a_loss_that_was_not_finite_is_fed_as_inf() -> None:
    (sample,) = make([4], [math.inf], [NAN], [NAN]).samples()
    assert sample.train_loss == math.inf


def test_points_count_what_was_logged() -> None:
    run = make([1, 2, 3], [9.0, NAN, math.inf], [NAN, 8.5, NAN], [NAN] * 3)
    assert (run.points("train"), run.points("val"), len(run)) == (2, 1, 3)
    assert repr(run) == "Run('d12', last_step=3, train=2 points, val=1 points)"


@pytest.mark.parametrize("steps", [[0, 1], [1, 1], [2, 1]])
def test_steps_must_increase_from_one(steps: list[int]) -> None:
    with pytest.raises(ValueError, match=r"`steps` must increase strictly from 1: got \["):
        make(steps, [1.0, 1.0], [NAN, NAN], [NAN, NAN])


def test_arrays_must_align() -> None:
    with pytest.raises(ValueError, match=r"must align: got lengths \[2, 2, 1, 2\]"):
        make([1, 2], [1.0, 1.0], [NAN], [NAN, NAN])


def test_a_run_survives_pickling() -> None:
    run = make([1, 2], [9.0, 8.0], [NAN, 8.5], [0.1, 0.1])
    assert list(pickle.loads(pickle.dumps(run)).samples()) == list(run.samples())
