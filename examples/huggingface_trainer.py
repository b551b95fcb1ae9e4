"""The Trainer of Hugging Face, watched by curvecast in a callback of a dozen lines: copy `CurveCastCallback`.

A small GPT-2 learns the bytes of Python's standard library on a CPU, in about a minute. Nothing is downloaded; you
need what a Trainer needs: pip install transformers accelerate
"""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

import curvecast

STOP_ON = {"diverged", "overfitting"}
CONTEXT, ASCII, ROWS = 64, 128, 8


class CurveCastCallback(TrainerCallback):  # type: ignore[misc]
    """Says where the loss will end at every evaluation, and stops the training for the reasons in `STOP_ON`."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The Trainer knows its scheduler, its horizon and its model by now, and what a resumed run has logged."""
        scheduler, known = kwargs["lr_scheduler"], [logs for logs in state.log_history if "learning_rate" in logs]
        steps = [*(logs["step"] for logs in known), state.global_step]
        rates = [*(logs["learning_rate"] for logs in known), scheduler.get_last_lr()[0]]
        past = np.interp(np.arange(1, state.global_step + 1), steps, rates)
        schedule = curvecast.Schedule.from_torch(scheduler, steps=state.max_steps, past=past)
        num_params = kwargs["model"].num_parameters(exclude_embeddings=True)
        self.watcher = curvecast.Watcher(schedule=schedule, num_params=num_params)
        for logs in state.log_history:
            self.watcher.update(logs["step"], train_loss=logs.get("loss"), val_loss=logs.get("eval_loss"))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """Pass on what is logged. All processes are told the same losses, so all of them decide alike."""
        verdict = self.watcher.update(state.global_step, train_loss=logs.get("loss"), val_loss=logs.get("eval_loss"))
        if "eval_loss" in logs and state.is_world_process_zero:
            tqdm.write(verdict.message)
        if verdict.should_stop and verdict.reason in STOP_ON:
            control.should_training_stop = True


class Windows(Dataset[dict[str, Tensor]]):
    """A text cut into windows of `CONTEXT` bytes."""

    def __init__(self, text: bytes) -> None:
        read = np.frombuffer(text, dtype=np.uint8).clip(max=ASCII - 1)
        self.windows = torch.tensor(read[: len(read) // CONTEXT * CONTEXT], dtype=torch.long).view(-1, CONTEXT)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.windows[index], "labels": self.windows[index]}


def sources() -> tuple[Windows, Windows]:
    """The top level of Python's standard library, to learn from and, one file in ten, to be held against."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    held_out = set(files[::10])
    parts = ([f for f in files if f not in held_out], sorted(held_out))
    train, val = (b"\n".join(f.read_bytes() for f in part) for part in parts)
    return Windows(train), Windows(val[: 200 * CONTEXT])


@click.command(help=__doc__)
@click.option("--steps", default=1000, show_default=True, type=click.IntRange(min=100))
@click.option("--output", default="runs/huggingface", show_default=True, help="Where the Trainer writes.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint there.")
def main(steps: int, output: str, resume: bool) -> None:
    torch.set_num_threads(1)
    train, held_out = sources()
    shape = GPT2Config(vocab_size=ASCII, n_positions=CONTEXT, n_embd=64, n_layer=2, n_head=2, bos_token_id=0)
    arguments = TrainingArguments(
        output,
        max_steps=steps,
        per_device_train_batch_size=ROWS,
        learning_rate=3e-3,
        lr_scheduler_type="cosine",
        warmup_steps=steps // 20,
        logging_steps=steps // 100,
        eval_strategy="steps",
        eval_steps=steps // 10,
        save_steps=steps // 2,
        report_to="none",
        use_cpu=True,
    )
    model = GPT2LMHeadModel(shape)
    trainer = Trainer(model, arguments, train_dataset=train, eval_dataset=held_out, callbacks=[CurveCastCallback()])
    trainer.train(resume_from_checkpoint=resume)


if __name__ == "__main__":
    main()
