"""Trains with one Lightning package, or with both: ``python namespace_program.py FIRST SECOND FIRST,SECOND``.

Each is a process of its own. With one package, the other cannot be imported, as if it were not installed. What each
saw is a line of JSON.
"""

from __future__ import annotations

import importlib
import json
import logging
import multiprocessing
import sys
import tempfile
import warnings
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

ROOTS = {"pytorch_lightning": "pytorch_lightning", "lightning.pytorch": "lightning"}

CONFIG = """
trainer:
  accelerator: cpu
  max_steps: 60
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  enable_model_summary: false
  log_every_n_steps: 2
  callbacks:
    - class_path: curvecast_lightning.CurveCast
      init_args:
        monitor: val_loss
        num_params: 1000
        batch_tokens: 100
        stop_on: [overfitting, diverged]
        milestones: [0.5]
        verbose: false
"""


class Without(MetaPathFinder):
    """Finds what another finder does, but for one package."""

    def __init__(self, finder: Any, root: str) -> None:
        self.finder = finder
        self.root = root

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return None if name.split(".")[0] == self.root else self.finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        """Everything else, such as the finding of distributions, is the other finder's."""
        return getattr(self.finder, name)


def module_of(namespace: str) -> type:
    import torch

    host = importlib.import_module(namespace)

    class Tiny(host.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(8, 8)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.linear(batch).square().mean()

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", self.linear(batch).square().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

        def train_dataloader(self) -> Any:
            torch.manual_seed(0)
            rows: Any = torch.randn(60, 8)
            return torch.utils.data.DataLoader(rows, batch_size=2)

        val_dataloader = train_dataloader

    return Tiny


def from_script(namespace: str) -> Any:
    """Train with a Trainer of this package; the forecast."""
    from curvecast_lightning import CurveCast

    host = importlib.import_module(namespace)
    host.seed_everything(0, verbose=False)
    callback = CurveCast(monitor="val_loss", num_params=1000, batch_tokens=100, verbose=False)
    arguments = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "log_every_n_steps": 2}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    trainer = host.Trainer(max_steps=60, callbacks=[callback], **arguments, **quiet)
    trainer.fit(module_of(namespace)())
    assert not callback.failed
    assert isinstance(callback, host.Callback)
    assert callback.verdict is not None
    return callback.verdict.forecast.median


def from_yaml(namespace: str, folder: Path) -> Any:
    """Train with this package's LightningCLI, which builds the callback from YAML; the forecast."""
    cli = importlib.import_module(f"{namespace}.cli").LightningCLI
    path = folder / "config.yaml"
    path.write_text(CONFIG)
    run = cli(module_of(namespace), args=["fit", "--config", str(path)], save_config_callback=None)
    (callback,) = (each for each in run.trainer.callbacks if type(each).__name__ == "CurveCast")
    assert not callback.failed
    assert (callback.monitor, sorted(callback.stop_on)) == ("val_loss", ["diverged", "overfitting"])
    return callback.verdict.forecast.median


def train(used: list[str]) -> None:
    warnings.simplefilter("ignore")
    for root in ROOTS.values():
        logging.getLogger(f"{root}.pytorch" if root == "lightning" else root).setLevel(logging.ERROR)
    for namespace in set(ROOTS) - set(used):
        sys.meta_path[:] = [Without(finder, ROOTS[namespace]) for finder in sys.meta_path]
    forecasts = []
    with tempfile.TemporaryDirectory() as folder:
        for namespace in used:
            forecasts += [from_script(namespace), from_yaml(namespace, Path(folder))]
    loaded = [namespace for namespace in ROOTS if namespace in sys.modules]
    sys.stdout.write("\n" + json.dumps({"used": used, "forecasts": forecasts, "loaded": loaded}) + "\n")
    sys.stdout.flush()


def main(cases: list[list[str]]) -> None:
    warnings.simplefilter("ignore")
    for shared in ("torch", "torch._dynamo", "torchmetrics", "jsonargparse"):  # most of what either package imports
        importlib.import_module(shared)
    assert not set(ROOTS.values()) & set(sys.modules)
    for used in cases:
        process = multiprocessing.get_context("fork").Process(target=train, args=(used,))
        process.start()
        process.join()


if __name__ == "__main__":
    main([case.split(",") for case in sys.argv[1:]])
