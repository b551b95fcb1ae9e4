"""What the toolkits print that train on speech, on sentences, and on pairs of them.

Sources: OpenNMT-py, facebookresearch/fairseq's progress bars, espnet's ``reporter.py``,
speechbrain's ``FileTrainLogger``, k2-fsa/icefall's ``train.py``, wenet's executor, marian-nmt,
OpenNMT-tf ``training.py``, flairNLP/flair's trainer, NVIDIA/tacotron2 ``train.py``.
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
                '"num_updates": "',  # with hydra other marks stand before the record
                r'train_inner\b[^{]*\{.*?"loss": "(?P<train_loss>NUMBER)".*?"num_updates": "(?P<step>\d+)"'
                r'(?:.*?"lr": "(?P<lr>NUMBER)")?',
            ),
            line(
                "valid |",
                r"epoch \d+ \| valid on '[^']*' subset \| loss (?P<val_loss>NUMBER) .*?\| num_updates (?P<step>\d+)",
            ),
            line(
                '"valid_num_updates": "', r'"valid_loss": "(?P<val_loss>NUMBER)".*?"valid_num_updates": "(?P<step>\d+)"'
            ),
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
    Dialect(
        "SpeechBrain",
        (
            line(
                "train ",
                r"epoch: (?P<step>\d+)\b(?:[^-]*?\blr: (?P<lr>NUMBER))?.*? - train .*?\bloss: (?P<train_loss>NUMBER)"
                r"(?:.*? - valid .*?\bloss: (?P<val_loss>NUMBER))?",
            ),
        ),
        unit="epoch",
    ),
    Dialect(
        "icefall",  # it counts the batches before
        (
            line(
                "batch ",
                r"Epoch (?P<epoch>\d+), batch (?P<step>\d+), loss\[loss=(?P<train_loss>NUMBER),"
                r"(?:.*?\blr: (?P<lr>NUMBER))?",
            ),
            line("validation", r"Epoch \d+, validation: loss=(?P<val_loss>NUMBER),"),
        ),
        {"train_loss": 1, "lr": 1, "val_loss": 0},
    ),
    Dialect(
        "WeNet",
        (
            line(
                "TRAIN Batch",
                r"TRAIN Batch (?P<epoch>\d+)/(?P<step>\d+) loss (?P<train_loss>NUMBER)(?:.*?\blr (?P<lr>NUMBER))?",
            ),
            line("cv_loss", r"Epoch \d+ CV info cv_loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "lr": 1, "val_loss": 0},
    ),
    Dialect(
        "Marian",
        (
            line("Cost ", r"Ep\. [\d.]+ : Up\. (?P<step>\d+) : .*?\bCost (?P<train_loss>NUMBER)"),
            line("ce-mean-words", r"\[valid\] Ep\. [\d.]+ : Up\. (?P<step>\d+) : ce-mean-words : (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "OpenNMT-tf",
        (
            line(
                " ; Loss = ",
                r"Step = (?P<step>\d+) ; (?:.*?Learning rate = (?P<lr>NUMBER) ; )?.*?Loss = (?P<train_loss>NUMBER)",
            ),
            line("Evaluation result", r"Evaluation result for step (?P<step>\d+): .*?\bloss = (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "lr": 0, "val_loss": 0},
    ),
    Dialect(
        "Flair",
        (
            line(
                " - iter ",
                r"epoch (?P<epoch>\d+) - iter (?P<step>\d+)/(?P<epoch_steps>\d+) - loss (?P<train_loss>NUMBER)"
                r"(?:.*? - lr: (?P<lr>NUMBER))?",
            ),
            line("DEV : loss ", r"DEV : loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "lr": 0, "val_loss": 0},
    ),
    Dialect(
        "Tacotron 2",  # it counts the batches before
        (
            line(" Grad Norm ", r"Train loss (?P<step>\d+) (?P<train_loss>NUMBER) Grad Norm"),
            line("Validation loss ", r"Validation loss (?P<step>\d+):\s+(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 1},
    ),
)
