"""Keras, with any of its backends, watched by curvecast in a callback of a dozen lines: copy `CurveCastCallback`.

A small network learns scikit-learn's digits, on a CPU, in less than a minute. You need: pip install keras scikit-learn
and one of Keras' backends, such as jax; KERAS_BACKEND=jax names it.
"""

from __future__ import annotations

from typing import Any

import click
import keras
import numpy as np
from sklearn.datasets import load_digits

import curvecast

STOP_ON = {"diverged", "overfitting"}
BATCH, TRAIN = 32, 1400


class CurveCastCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Says after every epoch where the loss will end, and stops the training for the reasons in `STOP_ON`."""

    def __init__(self, watcher: curvecast.Watcher) -> None:
        super().__init__()
        self.watcher, self.step, self.mean = watcher, 0, 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Keras tells the mean loss of the epoch so far; its last part is the loss of this batch."""
        before, self.mean = self.mean if batch else 0.0, float(logs["loss"])
        self.step += 1
        self.watcher.update(self.step, train_loss=(batch + 1) * self.mean - batch * before)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """The validation loss, where there is one, is told here."""
        verdict = self.watcher.update(self.step, val_loss=logs.get("val_loss"))
        print(verdict.message)
        if verdict.should_stop and verdict.reason in STOP_ON:
            self.model.stop_training = True


@click.command(help=__doc__)
@click.option("--epochs", default=20, show_default=True, type=click.IntRange(min=1))
def main(epochs: int) -> None:
    keras.utils.set_random_seed(0)
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    pixels, labels = pixels[order] / 16, labels[order]

    steps = epochs * -(-TRAIN // BATCH)
    decay = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    schedule = curvecast.Schedule.from_array([float(decay(step)) for step in range(steps)])

    layers: list[Any] = [keras.layers.Dense(64, "gelu"), keras.layers.Dropout(0.1), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(decay), loss)
    watcher = curvecast.Watcher(schedule=schedule)
    model.fit(
        pixels[:TRAIN],
        labels[:TRAIN],
        batch_size=BATCH,
        epochs=epochs,
        validation_data=(pixels[TRAIN:], labels[TRAIN:]),
        callbacks=[CurveCastCallback(watcher)],
        verbose=0,
    )


if __name__ == "__main__":
    main()
