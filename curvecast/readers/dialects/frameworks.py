"""What frameworks print by themselves, whatever is trained with them.

Sources: ``LoggingTensorHook`` and ``Estimator.evaluate`` of tensorflow/estimator, ``model_lib_v2.py`` of
tensorflow/models' object detection, ``ScoreIterationListener`` of eclipse/deeplearning4j, and the quality metrics of
Amazon SageMaker's own algorithms.
"""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

DIALECTS = (
    Dialect(
        "TensorFlow's Estimator",
        (
            line(", step = ", r"loss = (?P<train_loss>NUMBER), step = (?P<step>\d+)"),
            line("Saving dict", r"Saving dict for global step (?P<step>\d+): (?:.*?, )?loss = (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "TensorFlow's object detection",
        (
            line("per-step time", r"Step (?P<step>\d+) per-step time [\d.]+s(?: loss=(?P<train_loss>NUMBER))?"),
            line("'Loss/total_loss'", r"'Loss/total_loss': (?P<train_loss>NUMBER)"),
            line("'learning_rate'", r"'learning_rate': (?P<lr>NUMBER)"),
            line("Eval metrics at step", r"Eval metrics at step (?P<step>\d+)"),
            line("+ Loss/total_loss", r"\+ Loss/total_loss: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "lr": 0, "val_loss": 0},
    ),
    Dialect(
        "Deeplearning4j",
        (line("Score at iteration", r"Score at iteration (?P<step>\d+) is (?P<train_loss>NUMBER)"),),
        enough=5,
    ),
    Dialect(
        "SageMaker",
        (
            line(
                "#quality_metric",
                r"#quality_metric: host=\S+, epoch=(?P<step>\d+), train \S*(?:loss|objective) <loss>="
                r"(?P<train_loss>NUMBER)",
            ),
            line(
                "#quality_metric",
                r"#quality_metric: host=\S+, epoch=(?P<step>\d+), validation \S*(?:loss|objective) <loss>="
                r"(?P<val_loss>NUMBER)",
            ),
        ),
        unit="epoch",
    ),
)
