"""What is printed around images: Keras' progress bar, PyTorch's examples and tutorials, and what grew from them.

Sources: facebookresearch/detectron2 ``CommonMetricPrinter``, open-mmlab/mmengine ``LogProcessor``, huggingface/timm
``train.py``, BVLC/caffe ``solver.cpp``, pjreddie/darknet ``detector.c`` and AlexeyAB's fork, mlfoundations/open_clip,
facebookresearch/dinov2, XPixelGroup/BasicSR.
"""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

DIALECTS = (
    Dialect(
        "Keras",  # its bar is drawn anew with every batch; the last one has the epoch's mean
        (
            line("Epoch ", r"^\s*Epoch (?P<step>\d+)(?:/(?P<epochs>\d+))?\s*$"),
            line(
                "loss:",
                r"^\s*(\d+)/\1 (?!.*\bETA).*?\d(?:m|u|\u00b5)?s(?:/(?:step|epoch|sample)s?)? - (?:\w+: \S+ - )*?"
                r"loss: (?P<train_loss>NUMBER)"
                r"(?:.*? val_loss: (?P<val_loss>NUMBER))?",
            ),
            line(  # without a bar
                "s - ",
                r"^\s*- \d+s(?: \S+)? - (?:\w+: \S+ - )*?loss: (?P<train_loss>NUMBER)"
                r"(?:.*? val_loss: (?P<val_loss>NUMBER))?",
            ),
        ),
        unit="epoch",
    ),
    Dialect(
        "PyTorch's transfer learning tutorial",
        (
            line("Epoch ", r"^\s*Epoch (?P<step>\d+)/(?P<epochs>\d+)\s*$"),
            line(
                "rain ",
                r"^\s*[tT]rain [lL]oss: (?P<train_loss>NUMBER)"
                r"(?:.*?\b(?:[vV]al(?:id(?:ation)?)?|[eE]val|[dD]ev) [lL]oss: (?P<val_loss>NUMBER))?",
            ),
            line(" ", r"^\s*(?:[vV]al(?:id(?:ation)?)?|[eE]val|[dD]ev) [lL]oss:\s+(?P<val_loss>NUMBER)"),
        ),
        unit="epoch",
    ),
    Dialect(
        "PyTorch's quickstart",
        (
            line("Epoch ", r"^\s*Epoch (?P<epoch>\d+)\s*$"),
            line("loss: ", r"^\s*loss: (?P<train_loss>NUMBER)\s+\[\s*(?P<step>\d+)/\s*(?P<epoch_steps>\d+)\]"),
            line("Avg loss: ", r"Avg loss: (?P<val_loss>NUMBER)"),
        ),
        unit="sample",
    ),
    Dialect(
        "PyTorch's training tutorial",
        (
            line("EPOCH ", r"^\s*EPOCH (?P<epoch>\d+):\s*$"),
            line(" loss: ", r"^\s*batch (?P<step>\d+) loss: (?P<train_loss>NUMBER)"),
            line("LOSS train ", r"LOSS train NUMBER valid (?:tensor\()?(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "PyTorch's CIFAR tutorial",
        (line("] loss: ", r"^\s*\[(?P<epoch>\d+),\s*(?P<step>\d+)\] loss: (?P<train_loss>NUMBER)"),),
        {"train_loss": 0},
    ),
    Dialect(
        "PyTorch's MNIST example",
        (
            line(
                "Epoch: ",
                r"Epoch: (?P<epoch>\d+)\s+\[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\s*\([\d.]+%\)\]"
                r"\s+Loss: (?P<train_loss>NUMBER)",
            ),
            line(
                "verage loss",
                r"(?:[vV]al|[vV]alid|[vV]alidation|[eE]val|[dD]ev) set: [aA]verage loss: (?P<val_loss>NUMBER)",
            ),
            line("verage loss", r"[tT]est set: [aA]verage loss: (?P<test_loss>NUMBER)"),
        ),
        unit="sample",
    ),
    Dialect(
        "MMEngine",
        (
            line(
                "Epoch(train)",
                r"Epoch\(train\)\s+\[(?P<epoch>\d+)\]\[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\]"
                r"(?:.*?\blr: (?P<lr>NUMBER))?.*? loss: (?P<train_loss>NUMBER)",
            ),
            line(  # MMCV, which was before it
                "Epoch [",
                r"Epoch \[(?P<epoch>\d+)\]\[(?P<step>\d+)/(?P<epoch_steps>\d+)\]\s+lr: (?P<lr>NUMBER), "
                r".*? loss: (?P<train_loss>NUMBER)",
            ),
            line(
                "Iter(train)",
                r"Iter\(train\)\s+\[\s*(?P<step>\d+)/(?P<horizon>\d+)\]"
                r"(?:.*?\blr: (?P<lr>NUMBER))?.*? loss: (?P<train_loss>NUMBER)",
            ),
        ),
        {"train_loss": 0, "lr": 0},
    ),
    Dialect(
        "PyTorch's ImageNet example",  # and what has grown from it: MoCo, Swin, ...
        (
            line(
                "oss",  # LAVIS' has an outer epoch before it
                r"(?:Epoch|Train|inner epoch)\W{0,3}\[(?P<epoch>\d+)(?:/(?P<epochs>\d+))?\]"
                r"\s*\[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\]"
                r"(?:(?=.*?\b(?:lr|learning_rate)(?:\(\w+\))?:? (?P<lr>NUMBER)))?.*?\b[Ll]oss:? (?P<train_loss>NUMBER)",
            ),
        ),
        offsets={"train_loss": 1, "lr": 1},
    ),
    Dialect(
        "DINOv2",  # the same without epochs
        (
            line(
                "total_loss: ",
                r"Training  \[\s*(?P<step>\d+)/(?P<horizon>\d+)\] (?:(?=.*?\blr: (?P<lr>NUMBER)))?"
                r".*?\btotal_loss: (?P<train_loss>NUMBER)",
            ),
        ),
        {"train_loss": 1, "lr": 1},
    ),
    Dialect(
        "BasicSR",  # where its loss has one part
        (
            line(
                "l_pix: ",
                r"\[epoch:\s*\d+, iter:\s*(?P<step>\d[\d,]*), lr:\((?P<lr>NUMBER),.*?\] "
                r"l_pix: (?P<train_loss>NUMBER)\s*$",
            ),
        ),
        {"train_loss": 0, "lr": 0},
    ),
    Dialect(
        "timm",  # it counts the batches before
        (
            line(
                "Train: ",
                r"Train: (?P<epoch>\d+) \[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\s*\(\s*[\d.]+%\)\]\s+"
                r"Loss:\s*(?P<train_loss>NUMBER)(?:.*?\bLR: (?P<lr>NUMBER))?",
            ),
            line("Test: ", r"Test: \[\s*(\d+)/\1\].*?\bLoss:\s*NUMBER \(\s*(?P<val_loss>NUMBER)\)"),
        ),
        {"train_loss": 1, "lr": 1, "val_loss": 0},
    ),
    Dialect(
        "detectron2",
        (
            line(
                "total_loss: ",
                r"iter: (?P<step>\d+)  total_loss: (?P<train_loss>NUMBER)(?:.*? {2}lr: (?P<lr>NUMBER))?",
            ),
        ),
        {"train_loss": 1, "lr": 1},
    ),
    Dialect(
        "Caffe",  # `Iteration k` is printed before update k + 1
        (
            line("oss = ", r"solver\.cpp:\d+\] Iteration (?P<step>\d+)(?: \([^)]*\))?, loss = (?P<train_loss>NUMBER)"),
            line(", lr = ", r"Iteration (?P<step>\d+), lr = (?P<lr>NUMBER)"),
            line("Testing net (#0)", r"Iteration (?P<step>\d+), Testing net \(#0\)"),
            line("Test net output", r"Test net output #\d+: (?:mbox_)?loss = (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "lr": 1, "val_loss": 0},
    ),
    Dialect(
        "Darknet",
        (
            line(
                " avg",
                r"^\s*(?P<step>\d+): (?P<train_loss>NUMBER), NUMBER avg(?: loss)?, (?P<lr>NUMBER) rate, ",
            ),
        ),
        {"train_loss": 0, "lr": 0},
    ),
    Dialect(
        "OpenCLIP",
        (
            line(
                "Logit",
                r"Train Epoch: (?P<epoch>\d+) \[\s*(?P<step>\d+)/(?P<epoch_steps>\d+) \(\d+%\)\]"
                r"(?=.*?\bLR: (?P<lr>NUMBER)).*?\bLoss: (?P<train_loss>NUMBER)",
            ),
            line("clip_val_loss: ", r"Eval Epoch: \d+ .*?\bclip_val_loss: (?P<val_loss>NUMBER)"),
        ),
        unit="sample",
    ),
)
