"""What the callback leaves in an event file for a TensorBoard without our tab."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from torch.utils.data import DataLoader

from curvecast_lightning import CurveCast, panels
from tests.curvecast_lightning.conftest import TinyModule, Tokens


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("logs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's, of workers and of small data
        logger = TensorBoardLogger(str(folder), name="", version="")
        trainer = pl.Trainer(
            max_steps=100,
            logger=logger,
            callbacks=[CurveCast(every_n_steps=1, verbose=False)],
            log_every_n_steps=1,
            limit_val_batches=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            accelerator="cpu",
        )
        trainer.fit(TinyModule(validates=False), DataLoader(Tokens(400), batch_size=4))
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def text(events: Any, tag: str) -> list[str]:
    return [event.tensor_proto.string_val[0].decode() for event in events.Tensors(f"{tag}/text_summary")]


def test_fans_reach_ahead_under_tags_of_their_own(events: Any) -> None:
    for share in ("0.25", "0.5", "0.75"):
        steps = [event.step for event in events.Scalars(f"curvecast/as_of_{share}/median")]
        assert steps[0] == pytest.approx(float(share) * 100, abs=1)
        assert steps == sorted(set(steps))
        assert steps[-1] == 100


def test_the_plan_and_the_verdicts_stand_as_text(events: Any) -> None:
    assert '"horizon": 100' in text(events, "curvecast/plan")[0]
    assert any("on track" in told for told in text(events, "curvecast/verdict"))


def test_charts_and_metrics_are_laid_out_once(events: Any) -> None:
    assert len(events.Tensors("custom_scalars__config__")) == 1
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= set(events.Tags()["tensors"])


@pytest.mark.parametrize("hook", ["setup", "on_fit_start", "on_train_start"])
def test_charts_that_the_module_has_laid_out_stay(fit: Any, tmp_path: Path, hook: str) -> None:
    mine = {"mine": {"both losses": ["Multiline", ["train_loss", "val_loss"]]}}
    module = TinyModule()
    setattr(module, hook, lambda *_, **__: module.logger.experiment.add_custom_scalars(mine))  # type: ignore[union-attr]
    logger = TensorBoardLogger(str(tmp_path), name="", version="")
    for steps in (30, 60):  # the second run writes to the first one's folder
        fit(CurveCast(), module=module, logger=logger, max_steps=steps)
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    accumulator.Reload()
    last = accumulator.Tensors("custom_scalars__config__")[-1]
    layout = layout_pb2.Layout.FromString(last.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["mine", "curvecast"]
    assert [len(category.chart) for category in layout.category] == [1, 2]


def test_the_forecasts_path_is_in_order(events: Any) -> None:
    for tag in ("curvecast/forecast", "curvecast/lower", "curvecast/upper"):
        steps = [event.step for event in events.Scalars(tag)]
        assert steps == sorted(set(steps))


def test_the_folder_is_a_run_like_any_other(events: Any) -> None:
    from curvecast import read

    (run,) = read(Path(events.path))
    assert run.meta["train_tag"] == "curvecast/train_loss"


class Folders:
    """What W&B's run and MLflow's client are to the callback."""

    def __init__(self, folder: Path) -> None:
        self.dir, self.tags = str(folder / "offline-run-1" / "files"), list[tuple[str, ...]]()

    def set_tag(self, *tag: str) -> None:
        self.tags.append(tag)


@pytest.mark.parametrize("kind", ["WandbLogger", "MLFlowLogger"])
def test_the_plan_goes_to_where_the_readers_of_a_logger_without_a_folder_look(tmp_path: Path, kind: str) -> None:
    experiment = Folders(tmp_path)
    logger = type(kind, (), {"experiment": experiment, "run_id": "a1", "log_dir": None})()
    panels.write_sidecar([logger], {"horizon": 240}, failed=lambda error, what: None)
    panels.tag_stores([logger], {"horizon": 240})
    beside = tmp_path / "offline-run-1" / "curvecast.json"  # not among the files, which W&B uploads
    assert beside.exists() == (kind == "WandbLogger")
    assert experiment.tags == ([("a1", "curvecast.plan", '{"horizon": 240}')] if kind == "MLFlowLogger" else [])
