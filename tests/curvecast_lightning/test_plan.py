from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

from curvecast import Kaplan
from curvecast_lightning import CurveCast, count_parameters
from curvecast_lightning.counting import batch_tokens, has_no_tokens, told_of_batch
from curvecast_lightning.horizon import planned_steps, replicas, steps_of_epoch
from curvecast_lightning.plan import Plan, with_remembered


def trainer(**changes: Any) -> Any:
    defaults: dict[str, Any] = {
        "global_step": 0,
        "max_steps": -1,
        "max_epochs": -1,
        "num_training_batches": 10,
        "accumulate_grad_batches": 1,
        "callbacks": [],
    }
    return SimpleNamespace(**{**defaults, **changes})


DATA = TensorDataset(torch.zeros(80, 1))
GROWING = pl.callbacks.GradientAccumulationScheduler({1: 2, 3: 5})


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_steps": 500}, 500),
        ({"max_epochs": 3}, 30),
        ({"max_epochs": 3, "max_steps": 25}, 25),
        ({"max_epochs": 3, "accumulate_grad_batches": 4}, 9),
        ({"max_epochs": 5, "callbacks": [GROWING]}, 10 + 5 + 5 + 2 + 2),
        ({"max_epochs": 1000, "max_steps": 10**6}, 10_000),
        ({"max_epochs": 3, "num_training_batches": math.inf, "max_steps": 70}, 70),
        ({}, None),
        ({"max_epochs": 1000}, None),
        ({"max_epochs": 3, "num_training_batches": math.inf}, None),
    ],
)
def test_horizon_is_what_the_limits_allow(limits: dict[str, Any], expected: int | None) -> None:
    horizon, why = planned_steps(trainer(**limits), automatic=True)
    assert horizon == expected
    assert expected is not None or why


def test_a_limit_that_may_be_lightnings_own_is_told_in_steps() -> None:
    assert planned_steps(trainer(max_epochs=1000), automatic=True)[1].endswith("; where they are meant, it is 10000")


@pytest.mark.parametrize(("limits", "expected"), [({"max_steps": 500}, 500), ({"max_epochs": 3}, None)])
def test_horizon_in_manual_optimization_is_known_in_steps_only(limits: dict[str, Any], expected: int | None) -> None:
    assert planned_steps(trainer(**limits), automatic=False)[0] == expected


@pytest.mark.parametrize("accumulate", [1, 4])
def test_horizon_agrees_with_lightnings_estimate(fit: Any, accumulate: int) -> None:
    callback = CurveCast(every_n_steps=1)
    limits = {"max_epochs": 2, "max_steps": -1, "batches": 10, "val_check_interval": 10}
    host = fit(callback, accumulate_grad_batches=accumulate, **limits)
    assert callback.watcher is not None
    assert callback.watcher.horizon == host.estimated_stepping_batches == host.global_step


def test_horizon_that_is_unknown_is_asked_for_once(fit: Any, caplog: pytest.LogCaptureFixture) -> None:
    class StopSoon(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.global_step >= 40

    callback = CurveCast()
    fit(callback, StopSoon(), max_steps=-1, max_epochs=-1)
    asked = [record.message for record in caplog.records if "could not find out" in record.message]
    assert len(asked) == 1
    assert "CurveCast(horizon=...)" in asked[0]
    assert callback.watcher is not None
    assert callback.watcher.horizon is None
    assert callback.verdict is not None
    assert callback.verdict.forecast is not None
    assert callback.hindsight == []


def test_what_the_user_gives_is_never_overruled(fit: Any) -> None:
    callback = CurveCast(horizon=200, num_params=7, batch_tokens=5, dataset_tokens=11, epoch_steps=13)
    fit(callback, max_steps=20)
    watcher = callback.watcher
    assert watcher is not None
    assert (watcher.horizon, watcher.num_params, watcher.batch_tokens) == (200, 7, 5)
    assert (watcher.dataset_tokens, watcher.epoch_steps) == (11, 13)


def test_batch_tokens_count_accumulated_batches(fit: Any) -> None:
    callback = CurveCast()
    fit(callback, max_steps=5, accumulate_grad_batches=4)
    assert callback.watcher is not None
    assert callback.watcher.batch_tokens == 2 * 8 * 4


def test_an_epoch_is_one_pass_over_the_data(fit: Any) -> None:
    callback = CurveCast()
    fit(callback, max_steps=-1, max_epochs=3, batches=10, accumulate_grad_batches=4, val_check_interval=10)
    assert callback.watcher is not None
    assert callback.watcher.epoch_steps == 3.0


def test_the_tokens_of_the_data_say_how_long_an_epoch_is_where_they_are_told(fit: Any) -> None:
    """One pass over a loader that draws windows of a text at random sees it many times."""
    callback = CurveCast(dataset_tokens=64)
    fit(callback, max_steps=-1, max_epochs=1, batches=20, val_check_interval=10)
    assert callback.watcher is not None
    assert (callback.watcher.epoch_steps, callback.watcher.dataset_tokens) == (None, 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"limit_train_batches": 0.5},
        {"limit_train_batches": 1},
        {"reload_dataloaders_every_n_epochs": 2},
        {"num_training_batches": math.inf},
        {"callbacks": [GROWING], "max_epochs": 5},
        {"train_dataloader": DataLoader(DATA, sampler=RandomSampler(DATA, num_samples=10))},
        {"train_dataloader": {"a": DataLoader(DATA, sampler=WeightedRandomSampler([1.0] * 80, 100))}},
    ],
)
def test_an_epoch_that_is_another_each_time_has_no_length(changes: dict[str, Any]) -> None:
    whole = DataLoader(DATA, sampler=RandomSampler(DATA, num_samples=80))
    told = {"limit_train_batches": 1.0, "reload_dataloaders_every_n_epochs": 0, "train_dataloader": [whole]}
    told |= {"overfit_batches": 0.0}
    assert steps_of_epoch(trainer(**told), automatic=True) == 10.0
    assert steps_of_epoch(trainer(**told | changes), automatic=True) is None


def test_an_epoch_over_the_same_part_of_the_data_each_time_has_a_length() -> None:
    part = DataLoader(DATA, sampler=SubsetRandomSampler(range(40)))
    told = {"limit_train_batches": 1.0, "reload_dataloaders_every_n_epochs": 0, "train_dataloader": part}
    told |= {"overfit_batches": 0.0}
    assert steps_of_epoch(trainer(**told), automatic=True) == 10.0


@pytest.mark.parametrize("part", [0.25, 5])
def test_a_part_of_the_data_that_comes_again_each_time_is_an_epoch(fit: Any, loader: Any, part: float) -> None:
    callback = CurveCast()
    train = DataLoader(loader(20).dataset, batch_size=2, shuffle=True)
    limits = {"max_epochs": 4, "max_steps": -1, "val_check_interval": None, "check_val_every_n_epoch": 1}
    trainer = fit(callback, train=train, val=loader(20), overfit_batches=part, **limits)
    assert callback.watcher is not None
    assert (callback.watcher.epoch_steps, callback.watcher.horizon, trainer.global_step) == (5.0, 20, 20)


def test_ranks_that_share_a_batch_count_once() -> None:
    shared = SimpleNamespace(distributed_sampler_kwargs={"num_replicas": 2})
    assert replicas(SimpleNamespace(world_size=8, strategy=shared)) == 2
    assert replicas(SimpleNamespace(world_size=8, strategy=SimpleNamespace())) == 8


def test_sidecar_lies_beside_every_log(fit: Any, tmp_path: Any) -> None:
    loggers = [CSVLogger(str(tmp_path), "a"), TensorBoardLogger(str(tmp_path), "b")]
    fit(CurveCast(monitor="val_loss"), logger=loggers, max_steps=20)
    contents = [json.loads(path.read_text()) for path in tmp_path.glob("*/version_0/curvecast.json")]
    assert len(contents) == 2
    assert contents[0] == contents[1]
    expected = {"schema": 1, "horizon": 20, "num_params": 20, "batch_tokens": 16, "monitor": "val_loss"}
    assert expected.items() <= contents[0].items()
    assert contents[0]["counted"].startswith("non-embedding: 20 of 60 parameters")


def test_nothing_is_written_where_log_is_off(fit: Any, tmp_path: Any) -> None:
    logger = CSVLogger(str(tmp_path), "a")
    fit(CurveCast(log=False), logger=logger, max_steps=20)
    assert not list(tmp_path.glob("**/curvecast.json"))
    assert "curvecast" not in (tmp_path / "a/version_0/metrics.csv").read_text()


class Gpt(nn.Module):
    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.wte = nn.Embedding(100, 8)
        self.pos_embedding = nn.Parameter(torch.zeros(16, 8))
        self.block = nn.Linear(8, 8)
        self.head = nn.Linear(8, 100, bias=False)
        if tied:
            self.head.weight = self.wte.weight


@pytest.mark.parametrize(("tied", "total", "head"), [(True, 1000, 0), (False, 1800, 800)])
def test_parameters_are_counted_once_and_embeddings_apart(tied: bool, total: int, head: int) -> None:
    count = count_parameters(Gpt(tied=tied))
    assert count is not None
    assert (count.total, count.embedding, count.head, count.non_embedding) == (total, 928, head, 72)


def test_parameters_that_cannot_be_seen_are_not_counted() -> None:
    assert count_parameters(nn.LazyLinear(3)) is None


@pytest.mark.parametrize("kind", ["averaged", "ema", "model_ema"])
def test_a_moving_average_of_the_weights_is_no_part_of_the_model(kind: str) -> None:
    model = nn.Module()
    model.net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4))
    average = AveragedModel(model.net) if kind == "averaged" else copy.deepcopy(model.net).requires_grad_(False)
    setattr(model, kind, average)
    count = count_parameters(model)
    assert count is not None
    assert (count.total, count.trainable, count.non_embedding) == (60, 60, 20)


class ModelEmaV2(nn.Module):
    """A copy that asks for gradients and is in no optimizer, as timm keeps one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)


@pytest.mark.parametrize("name", ["averaged", "ema", "of_all"])
def test_a_copy_is_no_part_of_the_model_where_its_class_says_that_it_averages(name: str) -> None:
    model = nn.Module()
    model.net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4))
    model.head = nn.Linear(4, 2)
    setattr(model, name, ModelEmaV2(model if name == "of_all" else model.net))
    count = count_parameters(model)
    assert count is not None
    assert (count.total, count.trainable, count.non_embedding) == (70, 70, 30)


class MultiHeadEMA(nn.Module):
    """A layer that averages what it is fed, and is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(4, 2))
        self.mixed = nn.Linear(4, 4)


def test_layers_that_average_what_they_are_fed_are_counted() -> None:
    blocks = [nn.ModuleDict({"ema": MultiHeadEMA(), "linear": nn.Linear(4, 4)}) for _ in range(2)]
    count = count_parameters(nn.ModuleList(blocks))
    assert count is not None
    assert count.total == 2 * (8 + 20 + 20)


def test_frozen_parameters_are_counted_apart() -> None:
    model = Gpt(tied=True)
    model.block.weight.requires_grad = False
    count = count_parameters(model)
    assert count is not None
    assert (count.total, count.trainable) == (1000, 936)


IDS = torch.zeros(3, 5, dtype=torch.long)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (IDS, 15),
        ((IDS, IDS), 15),
        ([IDS.int(), 3], 15),
        ({"input_ids": IDS, "labels": IDS}, 15),
        ({"labels": IDS}, None),
        (IDS.float(), None),
        (IDS.bool(), None),
        (IDS[0], None),
        (torch.zeros(3, 3, 8, 8, dtype=torch.uint8), None),
        ((IDS, torch.zeros(3, 3, 8, 8)), None),
        ((), None),
        ("text", None),
        (None, None),
    ],
)
def test_tokens_of_a_batch(batch: Any, expected: int | None) -> None:
    assert batch_tokens(batch) == expected


IMAGES, LABELS = torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long)
SERIES = torch.zeros(2, 9, 4)


class Graph:
    """As PyTorch Geometric's batches are."""

    def __init__(self, x: torch.Tensor, edge_index: torch.Tensor) -> None:
        self.x, self.edge_index = x, edge_index


@dataclass
class Described:
    """A batch with names that nobody else gives."""

    seen: torch.Tensor
    wanted: torch.Tensor


@dataclass
class Text:
    tokens: torch.Tensor


def test_tokens_of_a_dataclass() -> None:
    assert batch_tokens(Text(IDS)) == IDS.numel()
    assert not has_no_tokens(Text(IDS))


def test_what_is_said_of_a_batch_is_true_of_it() -> None:
    assert "a dict of 'src' and 'tgt', has no integer tensor (batch, length) called" in told_of_batch(
        {"src": IDS, "tgt": IDS}
    )
    assert told_of_batch("text") == "the first batch, a str, does not show an integer tensor (batch, length)"
    assert told_of_batch((LABELS,)) == "the first batch, a tuple, does not begin with an integer tensor (batch, length)"


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ((IMAGES, LABELS), True),
        ([IMAGES.to(torch.uint8), LABELS], True),
        ({"y": LABELS, "x": IMAGES.flatten(1)}, True),
        (((IMAGES, IMAGES), LABELS), True),
        ({"pixel_values": IMAGES, "labels": IDS}, True),  # captions
        ({"pixel_values": IMAGES, "input_ids": IDS}, True),
        ((IDS, {"image": IMAGES}), True),
        ({"encoder_cat": IDS, "encoder_cont": SERIES, "time_idx": IDS}, True),  # of a library for time series
        (({"encoder_cat": IDS, "encoder_cont": SERIES}, (SERIES, None)), True),
        ({"input_features": SERIES, "labels": IDS, "id": ["a", "b"]}, True),  # sound, and what was said
        ({"x": SERIES[0], "id": ["a", "b"], "labels": [LABELS, LABELS]}, True),
        ({"mel": SERIES, "tokens": IDS}, True),
        ({"image": [IMAGES[0], IMAGES[0]], "label": LABELS}, True),
        ({"labelled": (IMAGES, LABELS), "unlabelled": [IMAGES, LABELS]}, True),
        ({"clean": [SERIES, LABELS], "noisy": [SERIES, LABELS]}, True),
        ((LABELS, LABELS, torch.zeros(2)), True),  # users, items and ratings
        (Graph(SERIES[0], IDS), True),
        ((Graph(SERIES[0], IDS), LABELS), True),
        ({"x": SERIES[0], "edge_index": IDS}, True),
        (Described(SERIES, LABELS), True),
        (Described(IDS, LABELS), False),
        ({"tokens": IDS, "mask": SERIES}, False),
        ({"src": IDS, "tgt": IDS, "src_mask": SERIES.bool()}, False),
        ({"input_ids": IDS, "teacher_logits": SERIES}, False),
        ({"text": IDS, "emb": SERIES}, False),
        ((LABELS, LABELS), False),
        ({"sentence": ["a", "b"]}, False),
        (LABELS, False),  # it may be a text without padding
        ({"ids": IDS, "weight": IDS.float()}, False),
        ({"input_ids": IDS, "attention_mask": IMAGES}, False),  # of pairs of tokens
        ((IDS, IMAGES.bool()), False),
        ({"labels": LABELS}, False),
        ((), False),
        ("text", False),
    ],
)
def test_numbers_and_pictures_have_no_tokens(batch: Any, expected: bool) -> None:
    assert has_no_tokens(batch) is expected


@pytest.mark.parametrize(("of_numbers", "questions"), [(True, 0), (False, 1)])
def test_tokens_are_asked_for_only_where_there_may_be_some(
    of_numbers: bool, questions: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Vectors(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 1)

        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            return torch.mean(self.linear(batch[0].float().reshape(-1, 4)) ** 2)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    inputs = torch.ones(8, 4) if of_numbers else torch.ones(32, dtype=torch.long)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs), batch_size=4)
    callback = CurveCast()
    quiet: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False, "logger": False}
    pl.Trainer(max_steps=20, max_epochs=-1, accelerator="cpu", callbacks=[callback], **quiet).fit(Vectors(), data)
    assert sum("`batch_tokens`" in record.message for record in caplog.records) == questions
    assert callback.watcher is not None
    assert (callback.watcher.batch_tokens, callback.watcher.num_params) == (None, 5)


def test_lazy_parameters_are_counted_once_the_first_batch_has_shaped_them(
    fit: Any, tiny: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Lazy(tiny):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.LazyLinear(4)

    callback = CurveCast()
    fit(callback, module=Lazy(), num_sanity_val_steps=0)
    assert not [record.message for record in caplog.records if "could not find out" in record.message]
    assert callback.watcher is not None
    assert callback.watcher.num_params == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stop_on": {"bored"}}, "`stop_on` must hold reasons to stop for: got 'bored'"),
        ({"stop_on": "on_track"}, "`stop_on` must hold reasons to stop for: got 'on_track'"),
        ({"every_n_steps": 0}, "`every_n_steps` must be at least 1 optimizer step, and whole: got 0"),
        ({"milestones": (0.5, 1.5)}, "`milestones` must lie between 0 and 1: got 1.5"),
        ({"horizon": -3}, "`horizon` must be positive: got -3"),
        ({"num_params": 0}, "`num_params` must be positive: got 0"),
    ],
)
def test_a_bad_argument_is_refused_at_construction(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CurveCast(**arguments)


class Tower(pl.LightningModule):
    """More than 1e5 parameters, of pictures or of text."""

    def __init__(self, *, of_text: bool, frozen: bool = False) -> None:
        super().__init__()
        self.begin = torch.nn.Embedding(100, 400) if of_text else torch.nn.Flatten()
        self.middle = torch.nn.Linear(400, 400).requires_grad_(not frozen)
        self.end = torch.nn.Linear(400, 1)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return torch.mean(self.end(self.middle(self.begin(batch[0]))) ** 2)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-4)


TOWER = 400 * 400 + 400 + 401


def trained(tower: Tower, callback: CurveCast, **limits: Any) -> Any:
    inputs = torch.ones(8, 5, dtype=torch.long) if isinstance(tower.begin, nn.Embedding) else torch.ones(8, 1, 20, 20)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs), batch_size=4)
    quiet: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False, "logger": False}
    host = pl.Trainer(**{"max_steps": 20, **quiet, **limits}, max_epochs=-1, accelerator="cpu", callbacks=[callback])
    host.fit(tower, data)
    assert callback.watcher is not None
    return callback.watcher


@pytest.mark.parametrize(
    ("tower", "told", "expected"),
    [
        (Tower(of_text=True), {}, TOWER),
        (Tower(of_text=False), {}, None),
        (Tower(of_text=True, frozen=True), {}, None),
        (Tower(of_text=False), {"num_params": 3_000_000}, 3_000_000),
        (Tower(of_text=False, frozen=True), {"law": Kaplan()}, TOWER),
    ],
    ids=["text", "pictures", "a frozen part", "told", "a law of sizes"],
)
def test_size_counts_only_where_it_tells_how_a_network_learns(
    tower: Tower, told: dict[str, Any], expected: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert trained(tower, CurveCast(**told)).num_params == expected
    assert not [record for record in caplog.records if "`num_params`" in record.message]


def test_plan_says_why_a_size_is_left_out(tmp_path: Any) -> None:
    trained(Tower(of_text=False), CurveCast(), logger=CSVLogger(str(tmp_path), "a"))
    plan = json.loads((tmp_path / "a/version_0/curvecast.json").read_text())
    assert plan["num_params"] is None
    assert plan["counted"].endswith("left out, for it is fed no text")


def test_law_of_sizes_has_the_size_that_was_left_out_before_there_was_one() -> None:
    plan, left_out = Plan(num_params=TOWER, counted="all parameters"), {"num_params": None}
    assert with_remembered(plan, left_out).num_params is None
    assert with_remembered(plan, left_out, sized=True).num_params == TOWER
