"""Text logs as training scripts print them, with what launchers and loggers put before their lines."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from curvecast.readers import Run, read
from curvecast.readers.text import dialect_of

MEGATRON = (
    "0: [default3]: [2026-05-08 12:13:47] iteration       {s}/      50 | consumed samples: 8 | consumed tokens:  {s}000"
    " | elapsed time per iteration (ms): 5368.0 | throughput per GPU (TFLOP/s/GPU): 123.4 | learning rate: 1.5E-04 |"
    " global batch size: 8 | lm loss: {x}E+00 | mtp_1 loss: 9E+00 | loss scale: 1.0 |\n"
)
MEGATRON_ENDS = (
    " validation loss at iteration 2 on validation set | lm loss value: 3.5E+00 | lm loss PPL: 1.5E+04 |\n"
    " validation loss at iteration 2 on test set | lm loss value: 5E+00 | lm loss PPL: 1.5E+04 |\n"
    " test loss at iteration 2 | lm loss value: 3E+00 | lm loss PPL: 2 |\n"
)
NEOX = (
    "10.0.0.1:  samples/sec: 51.2 | iteration {s}/ 50 | elapsed time per iteration (ms): 9.5 | learning rate: 1.5E-04 |"
    " approx flops per GPU: 150.3TFLOPS | lm_loss: {x} | loss scale: 4096.0 | number of skipped iterations: 0 |\n"
)
NEOX_ENDS = " validation results at iteration 2 | lm_loss value: 3.5E+00 | lm_loss_ppl value: 1.004E+03 |\n"
TITAN = (
    "[rank0]:[titan] 2025-12-17 01:18:26,708 - root - INFO - \x1b[31mstep: {s:2d}  \x1b[32mloss: {x:7.4f}  "
    "\x1b[34mgrad_norm:  8.2  memory: 87.87GiB(62.89%)  tps: 945\x1b[39m\n"
)
TITAN_ENDS = "[rank0]:[titan] 2025-12-17 01:18:27,708 - root - INFO - validate step:  2  loss:  3.5  memory: 8GiB(6%)\n"
NANOTRON = (
    "2025-01-01T00:00:00.000 [INFO|DP=0|PP=0|TP=0|ip-26-0]: iteration: {s} / 50 | consumed_tokens: 1.02M | "
    "global_batch_size: 1.02K | lm_loss: {x} | lr: 0.00015 | grad_norm: 1.2 | \n"
)
LITGPT = "Epoch 1 | iter {m} step {s} | loss train: {x}, val: n/a | iter time: 10.0 ms (step) remaining time: 0:00:10\n"
LLMC = "step    {s}/50 | loss {x} (+nanz)| norm 15.3 (+nanz)| lr 1.5e-04 | 1022.05 ms | 53.2% bf16 MFU | 5 tok/s\n"
LLMC_PY = "step    {s}/50 | train loss {x} | norm 30.3 | lr 1.5e-04 | (10.58 ms | 24 tok/s)\n"

# dialect, line, first step in it, what else, losses at completed steps 1 and 2, validation, learning rate, horizon
CASES = [
    ("megatron", MEGATRON, 1, ("", MEGATRON_ENDS), {2: 3.5}, 1.5e-4, 50),
    ("megatron", NEOX, 1, ("", NEOX_ENDS), {2: 3.5}, 1.5e-4, 50),
    ("nanogpt", "2024-01-01 10:00:00,1 - INFO - iter {s}: loss {x}, time 1.0ms\n", 0, ("", ""), {}, None, None),
    ("torchtitan", TITAN, 1, ("", TITAN_ENDS), {2: 3.5}, None, None),
    ("nanotron", NANOTRON, 1, ("", ""), {}, 1.5e-4, 50),
    ("litgpt", LITGPT, 1, ("", "iter 32: val loss 3.5, val time: 10.00 ms\n"), {2: 3.5}, None, None),
    ("llm.c output", LLMC, 1, ("val loss 11.0\n", "val loss 3.5\n"), {2: 3.5}, 1.5e-4, 50),
    ("llm.c output", LLMC_PY, 1, ("val loss 11.0\n", "val loss 3.5\n"), {2: 3.5}, 1.5e-4, 50),
    ("llm.c output on a CPU", "step {s}: train loss {x} (took 19.5 ms)\n", 0, ("val loss 5.3\n", "val loss 3.5\n"),
     {2: 3.5}, None, None),
    ("build-nanogpt output", "step {s:5d} | loss: {x} | lr 1.5e-04 | norm: 1.3 | dt: 1.00ms\n", 0,
     ("validation loss: 10.9\n", "validation loss: 3.5\n"), {2: 3.5}, 1.5e-4, None),
    ("nanochat", "step {s:05d}/00050 (0.00%) | loss: {x} | lrm: 1.00 | dt: 649.22ms | tok/sec: 8,569\n", 0,
     ("Step 00000 | Validation bpb: 3.3\n", ""), {}, None, 50),
]  # fmt: skip


def losses(run: Run, of: str = "train") -> dict[int, float]:
    values = run.train_loss if of == "train" else run.val_loss
    return {int(s): float(v) for s, v in zip(run.steps, values, strict=True) if not math.isnan(v)}


@pytest.mark.parametrize(("name", "line", "first", "around", "val", "lr", "horizon"), CASES)
def test_a_dialect_is_read_at_completed_steps(
    tmp_path: Path,
    name: str,
    line: str,
    first: int,
    around: tuple[str, str],
    val: dict[int, float],
    lr: float | None,
    horizon: int | None,
) -> None:
    printed = [line.format(s=first + k, x=4.5 - k, m=16 * (k + 1)) for k in range(2)]
    (tmp_path / "train.log").write_text("".join(["loading\n", around[0], *printed, around[1]]))
    (run,) = read(tmp_path)
    assert run.meta["notes"][0] == f"the text log of {name}"  # type: ignore[index]
    assert (losses(run), losses(run, "val"), run.meta.get("horizon")) == ({1: 4.5, 2: 3.5}, val, horizon)
    assert run.lr[0] == lr if lr is not None else math.isnan(run.lr[0])


@pytest.mark.parametrize(
    "line",
    [
        "[2024-01-01 00:00:00] step {s} | loss {x} | lr 1.5e-4 | val loss {y}\n",
        "Step: {s}, Loss: {x}, Val Loss: {y}, LR: 0.00015\n",
        "iter={s} train_loss={x} val_loss={y} lr=1.5e-4\n",
    ],
)
def test_lines_of_an_unknown_script_are_read_where_they_name_step_and_loss(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.txt").write_text("".join(line.format(s=10 * k, x=4 / k, y=5 / k) for k in range(1, 6)))
    (run,) = read(tmp_path)
    assert losses(run) == {10 * k: 4 / k for k in range(1, 6)}
    assert losses(run, "val") == {10 * k: 5 / k for k in range(1, 6)}
    assert set(run.lr.tolist()) == {1.5e-4}


def test_a_log_may_begin_with_a_long_listing(tmp_path: Path) -> None:
    lines = "".join(f"step:{s}/9 train_loss:{2 + 1 / s}\n" for s in range(1, 5))
    (tmp_path / "log.txt").write_text("print(f'step:{step} train_loss:{loss}')\n" * 9000 + lines)
    (run,) = read(tmp_path)
    assert losses(run) == {s: 2 + 1 / s for s in range(1, 5)}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_log_is_read_whatever_shell_wrote_it(tmp_path: Path, encoding: str) -> None:
    text = "caf\xe9\r\n" + "".join(f"step:{s}/9 train_loss:{2 + 1 / s}\r\n" for s in range(1, 5))
    (tmp_path / "log.txt").write_bytes(text.encode(encoding))
    (run,) = read(tmp_path)
    assert losses(run) == {s: 2 + 1 / s for s in range(1, 5)}
    assert losses(read(tmp_path / "log.txt")[0]) == losses(run)


@pytest.mark.parametrize(
    "text",
    [
        "step 1 of the recipe: loss of water 3\n" * 9,
        "Epoch 1/3, step {k}, loss: 2.5\n" * 9,  # its steps may begin anew
        "step 5, aux loss: 2.5\n" * 9,
        "step 1.5, loss: 2.5\n" * 9,
        "step 5, loss: 2.5\n" * 4,
        ("step 5, loss: 2.5" + " " * 5000 + "\n") * 9,
    ],
)
def test_other_text_is_no_log(text: str) -> None:
    assert dialect_of(text) is None
