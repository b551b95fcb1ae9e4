"""N of a model whose parameters are spread over processes is N of the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import nn

from curvecast_lightning import CurveCast, count_parameters

pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*FSDP.*"),
    pytest.mark.filterwarnings("ignore:.*NO_SHARD.*"),
]

VOCABULARY, WIDTH = 101, 8


class Gpt(nn.Module):
    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, WIDTH)
        self.pos_embedding = nn.Parameter(torch.zeros(16, WIDTH))
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(WIDTH, 13), nn.Linear(13, WIDTH)) for _ in range(2)])
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.wte.weight

    def forward(self, tokens: Any) -> Any:
        x = self.wte(tokens) + self.pos_embedding[: tokens.shape[-1]]
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def counts(module: nn.Module) -> tuple[int, ...]:
    count = count_parameters(module)
    assert count is not None
    return count.total, count.embedding, count.head, count.non_embedding, count.trainable


@pytest.fixture(scope="module")
def group() -> Iterator[None]:
    """Rank 0 of two that never meet: wrapping a model whose parameters are equal everywhere needs nobody else."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("use_orig_params", [False, True])
@pytest.mark.parametrize("units", ["whole", "blocks"])
def test_flattened_parameters_are_counted_whole(group: None, tied: bool, use_orig_params: bool, units: str) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    expected = counts(Gpt(tied=tied))
    model = FullyShardedDataParallel(
        Gpt(tied=tied),
        device_id=torch.device("cpu"),
        use_orig_params=use_orig_params,
        auto_wrap_policy=ModuleWrapPolicy({nn.Sequential}) if units == "blocks" else None,
    )
    held = sum(parameter.numel() for parameter in model.parameters())
    assert held < 0.6 * expected[0]  # or nothing was sharded, and this shows nothing
    assert counts(model) == expected
    count = count_parameters(model)
    assert count is not None
    assert "wte.weight" in count.how
    assert "_fsdp" not in count.how


def test_parameters_that_deepspeed_has_emptied_are_counted_whole() -> None:
    model = Gpt()
    expected = counts(model)
    for parameter in model.parameters():  # as ZeRO 3 leaves them between uses
        parameter.ds_shape, parameter.ds_numel = parameter.shape, parameter.numel()  # type: ignore[attr-defined]
        parameter.data = torch.empty(0)
    assert counts(model) == expected


class Sharded(pl.LightningModule):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.gpt = Gpt()

    def configure_model(self) -> None:
        from torch.distributed.fsdp import fully_shard

        assert self.device_mesh is not None
        mesh = self.device_mesh["data_parallel"]
        for block in self.gpt.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(self.gpt, mesh=mesh)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.gpt(batch).square().mean()

    def on_train_end(self) -> None:
        (ours,) = (each for each in self.trainer.callbacks if isinstance(each, CurveCast))  # type: ignore[attr-defined]
        held = sum(parameter.to_local().numel() for parameter in self.parameters())  # type: ignore[attr-defined]
        seen: dict[str, Any] = {"held": held, "failed": ours.failed, "step": self.trainer.global_step, "samples": 0}
        if ours.watcher is not None:
            seen |= {"num_params": ours.watcher.num_params, "samples": int(ours.watcher.bins("train").count.sum())}
        (self.folder / f"rank{self.trainer.global_rank}.json").write_text(json.dumps(seen))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The forking process asks for the trained weights, and does not need them."""
        return {}

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """It is given none."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Fork(ModelParallelStrategy):
    """On the CPU, by fork: no script has to be started anew."""

    def _configure_launcher(self) -> None:
        from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

        self._launcher = _MultiProcessingLauncher(self, start_method="fork")


def test_two_ranks_that_share_their_parameters_train_watched(tmp_path: Path) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=Fork(data_parallel_size=2, tensor_parallel_size=1),
        callbacks=[CurveCast(every_n_steps=2, stop_on={"overfitting"}, verbose=False)],
        max_steps=20,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    rows: Any = torch.zeros(80, 16, dtype=torch.long)
    trainer.fit(Sharded(tmp_path), torch.utils.data.DataLoader(rows, batch_size=2))
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    total, *_, non_embedding, _ = counts(Gpt())
    assert max(first["held"], second["held"]) < 0.6 * total
    assert (first["num_params"], first["samples"]) == (non_embedding, 10)
    assert [first["failed"], second["failed"]] == [False, False]
    assert [first["step"], second["step"], second["samples"]] == [20, 20, 0]
