from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curvecast.family import Family, fit_family
from curvecast.fit.prior import Prior
from tests.family.runs import SIZES, SMALL, constant_run, grid, some_runs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "no family of schema"),
        ("[]", "holds no family"),
        ("x", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (json.dumps(asdict(Prior())), r"This is a prior, .* with `--prior`"),
    ],
)
def test_a_file_without_a_family_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "family.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Family.load(tmp_path / "family.json")


def test_runs_without_a_size_or_a_batch_are_all_named() -> None:
    good, bad, worse = constant_run(1e8), constant_run(2e8, seed=1), constant_run(4e8, seed=2)
    del bad.meta["num_params"], worse.meta["num_params"], worse.meta["batch_tokens"]
    with pytest.raises(ValueError, match=r"num_params of 2e\+08-1, 4e\+08-2; batch_tokens of 4e\+08-2"):
        fit_family([good, bad, worse])


def test_a_run_without_the_loss_that_is_asked_for_is_named() -> None:
    with pytest.raises(ValueError, match=r"1e\+08-0 has no finite val loss\. Leave it out, or pass of='train'"):
        fit_family([constant_run(1e8), constant_run(2e8)], of="val")


@pytest.mark.parametrize("bent", [lambda y: 0.0 * y, lambda y: -y, lambda y: y - y[len(y) // 2]])
def test_a_run_whose_loss_goes_down_to_nought_is_named(bent: Any) -> None:
    runs = [constant_run(N) for N in SIZES]
    runs[1] = replace(runs[1], train_loss=bent(runs[1].train_loss))
    with pytest.raises(ValueError, match=rf"`loss` must be positive: got -?\d.* of {re.escape(runs[1].name)}\. Leave"):
        fit_family(runs, of="train")


def test_units_that_differ_are_refused() -> None:
    runs = [constant_run(N) for N in SIZES]
    runs[0].meta["unit"], runs[1].meta["unit"] = "nats/token", "bits/byte"
    with pytest.raises(ValueError, match="must have one unit: got bits/byte"):
        fit_family(runs)
    data = grid()
    data["loss"][::7] /= np.log(2)
    with pytest.raises(ValueError, match="mixed units: those of"):
        fit_family(**data, bootstraps=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"law": "hoffman"}, "`law` must be one of best, chinchilla"),
        ({"loss": None}, "got no loss"),
        ({"num_tokens": 1e9}, "every run has the same tokens"),
        ({"num_params": -1.0}, "`num_params` must be positive and finite: got -1.0"),
        ({"law": "data_constrained"}, "needs runs that repeat"),
        ({"law": "kaplan_ns"}, "needs the steps"),
        ({"names": ["a"]}, "`names` must name every row"),
    ],
)
def test_bad_input_is_told_what_and_what_to_do(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_family(**{**grid(), **change})


def test_too_few_losses_are_refused_and_runs_and_arrays_do_not_mix() -> None:
    data = {name: values[::5] for name, values in grid().items()}
    with pytest.raises(ValueError, match="has 5 parameters: got 5 losses"):
        fit_family(**data)
    with pytest.raises(ValueError, match="not both: got runs and num_params"):
        fit_family([constant_run(1e8)], num_params=1e8)
    with pytest.raises(ValueError, match="at least one run"):
        fit_family([])
    with pytest.raises(KeyError, match="is not a parameter of 'chinchilla'"):
        fit_family(**grid(), bootstraps=0).interval("beta")
    with pytest.raises(ValueError, match="no intervals without bootstraps"):
        fit_family(**grid(), bootstraps=0).interval("alpha_N")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([1e8, 1e9], [1e9, 1e9, 1e9], [3.0, 2.0]), r"equally long.*num_params \(2,\), num_tokens \(3,\), loss \(2,\)"),
        (([], [], []), r"must be flat, with a value for each run: got num_params \(0,\)"),
        ((np.ones((2, 2)), 1e9, np.ones((2, 2))), "must be flat"),
        ((["small", "large"], [1e9, 1e9], [3.0, 2.0]), "`num_params` must hold numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_told(arrays: tuple[Any, Any, Any], message: str) -> None:
    num_params, num_tokens, loss = arrays
    with pytest.raises(ValueError, match=message):
        fit_family(num_params=num_params, num_tokens=num_tokens, loss=loss)


@pytest.mark.parametrize("runs", ["runs/", [1, 2]])
def test_what_is_no_run_is_told(runs: Any) -> None:
    with pytest.raises(TypeError, match=r"`runs` must (hold|be a list of) runs: got .* Pass e\.g\. curvecast"):
        fit_family(runs)


@pytest.mark.parametrize("name", ["bootstraps", "seed"])
def test_a_negative_count_is_told(name: str) -> None:
    options: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 0: got -1"):
        fit_family(num_params=[1e8], num_tokens=[1e9], loss=[3.0], **options)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"starts": 0}, "`starts` must be a whole number of at least 1: got 0"),
        ({"bootstraps": 1.5}, "`bootstraps` must be a whole number of at least 0: got 1.5"),
        ({"delta": float("nan")}, "`delta` must be positive: got nan"),
        ({"of": "test"}, "`of` must be 'train', 'val' or None: got 'test'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_family(num_params=[1e8, 1e9], num_tokens=[1e9, 1e10], loss=[3.0, 2.5], **setting)


@pytest.mark.parametrize(
    ("name", "garbled"),
    [
        ("form", {}),
        ("units", None),
        ("best", [1.0]),
        ("middle", []),
        ("scatter", None),
        ("drift", math.nan),
        ("seen", 5),
        ("seen", [-1e8, 1e9, 1e9, 1e10]),
        ("reference", [0.5, 0.0]),
        ("draws", [[math.nan] * 5]),
        ("provenance", None),
        ("outliers", []),
    ],
)
def test_a_family_that_was_garbled_is_told(tmp_path: Path, name: str, garbled: object) -> None:
    whole = fit_family(**some_runs(), **SMALL).to_dict()
    for state in (whole | {name: garbled}, {key: value for key, value in whole.items() if key != name}):
        (tmp_path / "family.json").write_text(json.dumps(state))
        with pytest.raises(ValueError, match="This is no whole family: got one that lacks or garbles"):
            Family.load(tmp_path / "family.json")


@pytest.mark.parametrize(("unit", "length"), [("epoch", "epoch_steps"), ("sample", "batch_samples")])
def test_logs_that_count_no_steps_are_refused(unit: str, length: str) -> None:
    runs = [constant_run(N) for N in SIZES]
    runs[1].meta["unit"] = unit
    with pytest.raises(ValueError, match=f"counts {unit}s. Tell how many steps they are: pass `{length}`"):
        fit_family(runs)


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_losses_of_no_unit_are_told(unit: float) -> None:
    runs = some_runs()
    with pytest.raises(ValueError, match="The law cannot be fitted to these losses"):
        fit_family(**runs | {"loss": unit * runs["loss"]}, **SMALL)


def test_tokens_without_end_are_not_foretold() -> None:
    with pytest.raises(ValueError, match="`num_tokens` must be finite: got inf"):
        fit_family(**some_runs(), **SMALL).predict(num_params=1e9, num_tokens=math.inf)
