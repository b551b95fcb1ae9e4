"""Lines of any other script: a step or an epoch, and a loss, by the words before them."""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

_COUNT = r"[ :=\[#(.]{0,12}(?P<step>\d{1,3}(?:,\d{3})+|\d+)(?![.,]?\d)"
_STEP = rf"(?<![\w/-])(?:global[_ ])?(?:step|iter|iteration)\b{_COUNT}"
_IN_EPOCH = rf"(?<![\w/-])(?:global[_ ])?(?:step|iter|iteration|batch)\b{_COUNT}(?:\s*(?:/|of)\s*(?P<epoch_steps>\d+))?"
_EPOCH = r"(?<![\w/-])epoch\b[ :=#\[]{0,12}"
_OF_EPOCHS = r"(?:\s*(?:/|of)\s*(?P<epochs>\d+))?"  # how many are planned
_NO_STEP = r"(?!.*(?:\b(?:step|iter|iteration|batch)\b|\d%\|))"
_BY_EPOCH = rf"{_NO_STEP}(?=.*?{_EPOCH}(?P<step>\d+)(?![.,]?\d){_OF_EPOCHS})"
_ABOVE = rf"(?i)^\W*epoch\b\W{{0,12}}(?P<epoch>\d+){_OF_EPOCHS}\W*$"  # a line of its own, above those of the epoch
_HELD_OUT = r"(?<![a-zA-Z])(?i:val|valid\w*|eval\w*|test\w*|dev)\b(?![ _/-]?(?i:loss))"
_VALUE = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![.,]?\d)|\d+\.\d+(?=,\d)|NUMBER(?![.,]?\d))"
_LOSS = (  # behind two spaces, however many there are: no more of them are looked at than tells
    r"(?:[|,;\])}]:?\s?|\d\s?:?\s|\d\s{0,4}-\s|\s\s)(?:(?:train(?:ing)?|average|avg|mean|batch)[_ /])*loss[ :=]{1,12}"
    rf"(?P<train_loss>{_VALUE})"
)
_OF_VAL = r"(?<![\w/-])(?:val|valid|validation|eval)[_ /]loss[ :=]{1,12}"
_VAL = rf"{_OF_VAL}(?P<val_loss>{_VALUE})"
_BARE_VAL = rf"(?=.*?\sval=(?P<val_loss>{_VALUE}))"  # only beside a loss
_CHINESE = (  # its words for a loss of training and of validation
    rf"(?:(?=.*?训练损失[ :=：]{{1,12}}(?P<train_loss>{_VALUE})))?(?=.*?验证损失[ :=：]{{1,12}}(?P<val_loss>{_VALUE}))"
)
_LR = r"(?<![\w/-])(?:lr|learning[ _]rate)[ :=]{1,3}(?P<lr>NUMBER)"

DIALECTS = (
    Dialect(
        "lines with a step and a loss",  # any other script's
        (
            line(" val=", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_LOSS}){_BARE_VAL}"),
            line("oss", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?(?:(?=.*?{_LR}))?"),
            line("oss", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_VAL})"),
            line("oss", rf"(?i)^\W*{_VAL}"),  # below a line with the step
            line(" val ", rf"(?i)^\W*eval{_COUNT}:(?=.*?\btrain {_VALUE})(?=.*?\bval (?P<val_loss>{_VALUE}))"),
            line("poch", _ABOVE),
            line("max iterations", r"(?P<horizon>\d+) max iterations"),  # TransUNet's, and what grew from it
        ),
        enough=5,
        is_guess=True,
    ),
    Dialect(
        "lines with an epoch, a step and a loss",  # the steps may begin anew with the epoch
        (
            line(
                "poch",
                rf"(?i)^(?=.*?{_EPOCH}(?P<epoch>\d+){_OF_EPOCHS})(?=.*?{_IN_EPOCH})(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?(?:(?=.*?{_LR}))?",
            ),
            line("oss", rf"(?i)^(?=.*?{_STEP})(?=.*?{_VAL})"),
            line("oss", rf"(?i)^{_NO_STEP}(?=.*?{_EPOCH}\d)(?=.*?{_VAL})"),  # what it says once an epoch is over
            line("验证损失", rf"(?i)^(?=.*?{_EPOCH}\d){_CHINESE.replace('train_loss', 'mean_train_loss')}"),
        ),
        enough=5,
        is_guess=True,
    ),
    Dialect(
        "bars with a loss",  # tqdm's
        (
            line(
                "loss",
                rf"^(?!.*{_HELD_OUT}[^|.]{{0,40}}\d%\|)(?:.*?(?i:epoch)\W{{0,3}}(?P<epoch>\d+)(?:/(?P<epochs>\d+))?)?.*?\d%\|[^|]*\|\s*"
                r"(?P<step>\d+)/(?P<epoch_steps>\d+) \[[^\]]*?[ ,'](?:train[_/]|av[gr]_|step_)?loss(?:_step)?'?[=:] ?"
                r"(?P<train_loss>NUMBER)(?:[^\]]*?[ ,']val_loss(?:_epoch)?'?[=:] ?(?P<val_loss>NUMBER))?[^\]]*\]",
            ),
        ),
        enough=5,
        held=frozenset({"val_loss"}),
        is_guess=True,
        begins_anew=True,
    ),
    Dialect(
        "lines with an epoch and a loss",
        (
            line(" val=", rf"(?i)^{_BY_EPOCH}(?=.*?{_LOSS}){_BARE_VAL}"),
            line("poch", rf"(?i)^{_BY_EPOCH}(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?(?:(?=.*?{_LR}))?"),
            line("poch", rf"(?i)^{_BY_EPOCH}(?=.*?{_VAL})"),
            line("验证损失", rf"(?i)^{_BY_EPOCH}{_CHINESE}"),
        ),
        enough=5,
        unit="epoch",
        is_guess=True,
    ),
    Dialect(
        "a line with an epoch above one with its loss",
        (
            line("poch", _ABOVE.replace("<epoch>", "<step>")),
            line("oss", rf"(?i)^\s*(?:(?:train(?:ing)?|average|avg|mean)[_ ])*loss\s?[:=]\s?(?P<train_loss>{_VALUE})"),
            line("oss", rf"(?i)^\s*{_VAL}"),
        ),
        enough=5,
        unit="epoch",
        is_guess=True,
    ),
)
