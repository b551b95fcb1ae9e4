"""What the toolkits print that train on speech, and on pairs of sentences.

Sources: OpenNMT-py, facebookresearch/fairseq's progress bars, espnet's ``reporter.py``.
"""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

DIALECTS = (
    Dialect(
        "OpenNMT",
        (
            line(
                "xent: ",
                r"Step (?P<step>\d+)/\s*(?P<horizon>\d+); .*?\bxent: (?P<train_loss>NUMBER);"
                r"(?: lr: (?P<lr>NUMBER);)?",
            ),
            line("xent: ", r"Validation xent: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "fairseq",  # its losses are in bits
        (
            line(
                "train_inner | epoch",
                r"epoch \d+:\s*\d+ / \d+ loss=(?P<train_loss>NUMBER), .*?\bnum_updates=(?P<step>\d+)"
                r"(?:, lr=(?P<lr>NUMBER))?",
            ),
            line(
                "train_inner | {",
                r'"loss": "(?P<train_loss>NUMBER)".*?"num_updates": "(?P<step>\d+)"(?:.*?"lr": "(?P<lr>NUMBER)")?',
            ),
            line(
                "valid |",
                r"epoch \d+ \| valid on '[^']*' subset \| loss (?P<val_loss>NUMBER) .*?\| num_updates (?P<step>\d+)",
            ),
            line("valid | {", r'"valid_loss": "(?P<val_loss>NUMBER)".*?"valid_num_updates": "(?P<step>\d+)"'),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "ESPnet",
        (
            line(
                "epoch results",
                r"(?P<step>\d+)epoch results: \[train\][^\[]*[ ,]loss=(?P<train_loss>NUMBER)"
                r"(?:.*?\[valid\][^\[]*?[ ,]loss=(?P<val_loss>NUMBER))?",
            ),
        ),
        unit="epoch",
    ),
)
