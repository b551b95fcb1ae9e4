"""What is printed around images: Keras' progress bar, PyTorch's examples and tutorials, and what grew from them."""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

DIALECTS = (
    Dialect(
        "Keras",  # its bar is drawn anew with every batch; the last one has the epoch's mean
        (
            line("Epoch ", r"^\s*Epoch (?P<step>\d+)(?:/\d+)?\s*$"),
            line(
                "loss:",
                r"^\s*(\d+)/\1 .*?\d(?:m|u|\u00b5)?s/(?:step|epoch|sample)s? - (?:\w+: \S+ - )*?"
                r"loss: (?P<train_loss>NUMBER)"
                r"(?:.*? val_loss: (?P<val_loss>NUMBER))?",
            ),
        ),
        unit="epoch",
    ),
    Dialect(
        "PyTorch's transfer learning tutorial",
        (
            line("Epoch ", r"^\s*Epoch (?P<step>\d+)/\d+\s*$"),
            line("rain ", r"^\s*[tT]rain [lL]oss: (?P<train_loss>NUMBER)"),
            line("al ", r"^\s*[vV]al [lL]oss: (?P<val_loss>NUMBER)"),
        ),
        unit="epoch",
    ),
    Dialect(
        "PyTorch's MNIST example",
        (
            line(
                "Epoch: ",
                r"Epoch: (?P<epoch>\d+)\s+\[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\s*\([\d.]+%\)\]"
                r"\s+Loss: (?P<train_loss>NUMBER)",
            ),
            line("Average loss", r"Test set: Average loss: (?P<val_loss>NUMBER)"),
        ),
        unit="sample",
    ),
    Dialect(
        "PyTorch's ImageNet example",  # and what has grown from it: MoCo, Swin, ...
        (
            line(
                "oss",
                r"(?:Epoch|Train)\W{0,3}\[(?P<epoch>\d+)(?:/\d+)?\]\s*\[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\]"
                r".*?\b[Ll]oss:? (?P<train_loss>NUMBER)",
            ),
        ),
        offsets={"train_loss": 1},
    ),
)
