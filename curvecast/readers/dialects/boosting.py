"""What libraries print that boost trees, and scikit-learn; of several metrics the first that is a loss.

Sources: ``xgboost.train`` (its sets have the names that the user gives; of those that are not for training the last
one decides there, too), ``lightgbm.log_evaluation``, CatBoost's ``verbose``, ``SGDClassifier`` of scikit-learn.
"""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

_XGBOOST = r"(?:m?logloss|rmsle|rmse|mae|mphe|[a-z]+-nloglik)"
_TAB = r"(?:\s+|#011)"
_LIGHTGBM = (
    r"(?:binary_logloss|multi_logloss|cross_entropy\w*|l1|l2|rmse|huber|fair|poisson|quantile|mape|gamma|tweedie)"
)

DIALECTS = (
    Dialect(
        "XGBoost",
        (
            line(
                ("]\t", "]#011"),  # SageMaker writes the tab as a syslog does
                rf"^(?:\S{{0,80}} )?\[(?P<step>\d+)\](?={_TAB}\S+?-\S+:)"
                rf"(?:(?=.*?{_TAB}train\w*-{_XGBOOST}:(?P<train_loss>NUMBER)))?"
                rf"(?:(?=.*{_TAB}(?!train)\w+?-{_XGBOOST}:(?P<val_loss>NUMBER)))?",
            ),
        ),
        {"train_loss": 1, "val_loss": 1},
    ),
    Dialect(
        "LightGBM",
        (
            line(
                "]\t",
                rf"^\[(?P<step>\d+)\](?=\s+\S+'s )(?:(?=.*?\strain\w*'s {_LIGHTGBM}: (?P<train_loss>NUMBER)))?"
                rf"(?:(?=.*?\s(?!train)\w+'s {_LIGHTGBM}: (?P<val_loss>NUMBER)))?",
            ),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "CatBoost",
        (line("learn: ", r"^(?P<step>\d+):\s+learn: (?P<train_loss>NUMBER)(?:\s+test: (?P<val_loss>NUMBER))?"),),
        {"train_loss": 1, "val_loss": 1},
    ),
    Dialect(
        "scikit-learn's SGD",
        (
            line("-- Epoch", r"^-- Epoch (?P<step>\d+)\s*$"),
            line("Avg. loss", r"Avg\. loss: (?P<train_loss>NUMBER)"),
        ),
        unit="epoch",
    ),
)
