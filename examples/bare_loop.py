"""A bare numpy training loop, watched by curvecast in four lines: no framework, a few seconds."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

import curvecast

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
CONTEXT, WIDTH, HIDDEN, BATCH, PEAK_LR = 8, 12, 96, 256, 2.0
WEIGHTS = (CONTEXT * WIDTH + 256) * HIDDEN  # besides the embedding


def text() -> Bytes:
    """The top level of Python's standard library, as bytes."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return np.frombuffer(b"\n".join(f.read_bytes() for f in files), dtype=np.uint8)


def draw(data: Bytes, count: int, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Random places of the text: ``(count, CONTEXT)`` bytes, and the ``(count,)`` bytes that follow."""
    at = rng.integers(len(data) - CONTEXT, size=count)
    windows = data[at[:, None] + np.arange(CONTEXT + 1)]
    return windows[:, :-1], windows[:, -1]


def loss_and_gradients(p: dict[str, Floats], x: Bytes, y: Bytes) -> tuple[float, dict[str, Floats]]:
    """Cross-entropy of the next byte [nats/byte] of a two-layer network, and its gradients."""
    rows = np.arange(len(y))
    seen = p["bytes"][x].reshape(len(y), -1)
    hidden = np.tanh(seen @ p["in"])
    logits = hidden @ p["out"]
    logits -= logits.max(axis=1, keepdims=True)
    probability = np.exp(logits)
    probability /= probability.sum(axis=1, keepdims=True)
    loss = -float(np.log(probability[rows, y]).mean())
    probability[rows, y] -= 1.0
    d_logits = probability / len(y)
    d_hidden = (d_logits @ p["out"].T) * (1.0 - hidden**2)
    d_bytes = np.zeros_like(p["bytes"])
    np.add.at(d_bytes, x.reshape(-1), (d_hidden @ p["in"].T).reshape(-1, WIDTH))
    return loss, {"bytes": d_bytes, "in": seen.T @ d_hidden, "out": hidden.T @ d_logits}


@click.command()
@click.option("--steps", default=2000, show_default=True, type=click.IntRange(min=200))
@click.option("--seed", default=0, show_default=True)
def main(steps: int, seed: int) -> None:
    """Train a small network on the standard library and forecast its last loss on the way."""
    rng = np.random.default_rng(seed)
    data = text()
    shapes = {"bytes": (256, WIDTH), "in": (CONTEXT * WIDTH, HIDDEN), "out": (HIDDEN, 256)}
    params = {name: rng.normal(size=shape) / shape[0] ** 0.5 for name, shape in shapes.items()}

    schedule = curvecast.Schedule.cosine(steps, warmup=steps // 50, floor=0.05)
    watcher = curvecast.Watcher(schedule=schedule, num_params=WEIGHTS, batch_tokens=BATCH)
    recent: list[float] = []
    for step in range(1, steps + 1):
        loss, gradients = loss_and_gradients(params, *draw(data, BATCH, rng))
        for name, gradient in gradients.items():
            params[name] -= PEAK_LR * float(schedule.lr(step)) * gradient

        verdict = watcher.update(step, train_loss=loss)
        recent = [*recent[-steps // 50 :], loss]
        if step in (steps // 10, steps // 4, steps // 2, 3 * steps // 4):
            print(f"{step / steps:4.0%}  loss now {np.mean(recent):.3f}, at step {steps}: {watcher.forecast()}")
    loss, _ = loss_and_gradients(params, *draw(data, 20_000, rng))
    print(f"done  a large sample comes to {loss:.3f}\n{verdict.message}")


if __name__ == "__main__":
    main()
