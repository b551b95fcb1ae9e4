"""Lines of any other script: a step or an epoch, and a loss, by the words before them."""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

_SHORT = r"(?-i:[kKM])(?![\w/])"  # of 1K, 1.2M: no m, which may be a minute
_COUNT = (
    rf"[ :=\[#(.]{{0,12}}(?P<step>\d{{1,3}}(?:,\d{{3}})+|\d+(?:\.\d{{1,3}})?{_SHORT}|\d+)(?![.,]?\d|{_SHORT}|e[-+]?\d)"
)
_OF_STEPS = r"(?:\s*(?:/|of)\s*(?P<epoch_steps>\d+)(?![.,]?\d))?"  # of an epoch, or of the run where none is told
_STEP = rf"(?<![\w/-])(?:global[_ ])?(?:step|iter|iteration)\b{_COUNT}"
_IN_EPOCH = rf"(?<![\w/-])(?:global[_ ])?(?:step|iter|iteration|batch)\b{_COUNT}{_OF_STEPS}"
_WORD = "(?:epoch|[eé]poca)"
_EPOCH = (  # behind a time and a hyphen, but not as an option; nor that of a client, in federated training
    rf"(?<![\w/])(?<!\D-)(?<!local[ _]){_WORD}[ :=#\[]{{0,12}}"
)
_EPOCHS, _LOSSES = ("poch", "POCH", "poca", "POCA"), ("oss", "OSS")
_OF_EPOCHS = r"(?:\s*(?:/|of)\s*(?P<epochs>\d+))?"  # how many are planned
_NO_STEP = r"(?!.*(?:\b(?:step|iter|iteration|batch)\b|\d%\|))"
_BY_EPOCH = rf"{_NO_STEP}(?=.*?{_EPOCH}(?P<step>\d+)(?![.,]?\d){_OF_EPOCHS})"
_BRACKETS = (
    rf"(?=.*?{_EPOCH}(?P<epoch>\d+){_OF_EPOCHS}[\]) ,:-]{{0,4}}\[\s*(?P<step>\d+)\s*/\s*(?P<epoch_steps>\d+)"
    r"(?:\s*samples)?\s*(?:\(\s*[\d.]+\s*%\s*\))?\s*\])"
)
_LOGGED = r"(?:.{0,200}?(?:\s[-|>]|[\]:])\s{1,4})?"  # what a logger puts before a line
_ABOVE = (  # a line of its own, above those of the epoch
    rf"(?i)^{_LOGGED}(?:\W{{0,80}}|\W{{0,80}}starting )epoch\b\W{{0,12}}(?P<epoch>\d+){_OF_EPOCHS}"
    r"\W{0,12}(?:summary|results?|metrics|report)?\W{0,80}$"
).replace("epoch\\b", _WORD)
_COUNT_ABOVE = (
    r"(?i)^\W*(?:current |global |train(?:ing)? )?(?:step|iter|iteration)(?![a-z_])[ :=\[#(]{0,12}(?P<step>\d+)"
    r"(?:st|nd|rd|th)?(?:\s(?:step|iter|iteration))?(?:\s*(?:/|of)\s*(?P<horizon>\d+))?\W*$"
)
_HELD_OUT = r"(?<![a-zA-Z])(?i:val|valid\w*|eval\w*|test\w*|dev)\b(?![ _/-]?(?i:loss))"
_VALUE = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![.,]?\d)|\d+\.\d+(?=,\d)|NUMBER(?![.,]?\d))"
_OF_TRAIN = r"(?:train(?:ing)?|average|avg|mean|batch|running|total|mse)"
_LOSS = (  # behind two spaces, however many there are: no more of them are looked at than tells
    r"(?:(?:[|,;\])}]:?\s?|\d\s?:?\s|\ds?\s{0,4}-\s|[a-z]\.\s|\bwith\s|(?:completed?|finished|done|train(?:ing)?)\s-\s|--\s|\s\s)"
    rf"(?:(?:{_OF_TRAIN}[_ /])*loss(?:[_ /]train(?:ing)?)?|train(?:ing)?loss)"
    r"|\btrain(?:ing)?\W{1,3}loss|(?<![\w/-])loss[_ /]train(?:ing)?)"
    rf"(?:[ :=]{{1,12}}|\sis\s)(?P<train_loss>{_VALUE})"
)
_NAMED = (  # for what it is, where it is the only one
    rf"(?<![\w/-])(?:nll|lm|ce|ctc|cross[ _-]entropy)[ _]loss[ :=]{{1,12}}(?P<train_loss>{_VALUE})"
)
_SIDE = r"(?:vali?|valid|validation|validating|evaluation|evaluating|eval|dev)"
_OF_VAL = (
    rf"(?<![\w/-])(?<!best )(?<!lowest )(?:{_SIDE}(?:[_ /]|\W{{1,3}})?loss|loss[_ /]{_SIDE})(?:[ :=]{{1,12}}|\sis\s)"
)
_VAL = rf"{_OF_VAL}(?P<val_loss>{_VALUE})"
_OF_TEST = rf"test(?:ing)?(?:[_ /]|\W{{1,3}})loss[ :=]{{1,12}}(?P<test_loss>{_VALUE})"
_TEST = rf"(?:(?=.*?(?<![\w/-])test[_ /]loss[ :=]{{1,12}}(?P<test_loss>{_VALUE})))?"
_OF_OTHERS = (  # a line whose head says that it is of held-out data, so that its loss is; no metric of theirs alone
    # What does not stand behind the first such word stands behind no later one: they are not tried.
    r"(?!.*?\btrain)(?=(?>.*?(?<![\w/-])SIDE\b(?=\s*(?:[\])|:MARK](?!\s*[.\d])|(?:epoch|step|iter|batch|set|phase|metrics|results))))"
    rf".*?(?<![\w/-])(?:(?:avg|average|mean)[ _])?loss[ :=]{{1,12}}(?P<NAME>{_VALUE}))"
)
_HELD = (
    _OF_OTHERS.replace("SIDE", _SIDE).replace("MARK", "-").replace("NAME", "val_loss"),
    _OF_OTHERS.replace("SIDE", "te?st(?:ing)?")
    .replace("MARK", "")
    .replace("NAME", "test_loss"),  # loggers are called so
)
_OF_NO_OTHERS = rf"(?!(?:(?!loss|train).)*?(?<![\w/-])(?:{_SIDE}|test(?:ing)?)\b(?![./]))"  # nothing says so before it
_AFTER = (
    r"(?i)^.*?(?<![\w-])(?:loss|cost) (?:after|at) (?:COUNTED) #?(?P<step>\d+)\s?(?:[:=]|is) ?"
    rf"(?P<train_loss>{_VALUE})"
)
_STEPWISE, _EPOCHWISE = _AFTER.replace("COUNTED", "step|iter|iteration"), _AFTER.replace("COUNTED", "epoch")
_HAVING_DONE = (
    r"(?i)^.*?(?<![\w-])after (?P<step>\d+) (?:training )?(?:step|iteration)(?:s|\(s\))?\b[^:=]{0,60}?"
    rf"\b(?:loss|cost|cross entropy)\b[^:=\d]{{0,40}}(?:[:=]|\bis) ?(?P<train_loss>{_VALUE})"
)
_BARE_VAL = rf"(?!.*?\btrain=)(?=.*?\sval=(?P<val_loss>{_VALUE}))"  # only beside a loss; beside `train=` it is no loss
_OF_ONE_RUN = (  # what may stand before the losses of a line that tells no epoch; not that of a grid or of folds
    r"(?!.*?\b(?:folds?|seeds?|trials?|lr|wd|config|split|client|task)\b.*?loss)"
    rf"(?={_LOGGED}\W{{0,12}}(?:ep\b\W{{0,3}})?(?:\d+\s?(?:/\s?\d+)?)?\W{{0,12}}(?:{_OF_TRAIN}(?:_|\W{{1,3}})){{0,3}}loss)"
)
_CHINESE = (  # its words for a loss of training and of validation
    rf"(?:(?=.*?训练损失[ :=：]{{1,12}}(?P<train_loss>{_VALUE})))?(?=.*?验证损失[ :=：]{{1,12}}(?P<val_loss>{_VALUE}))"
)
_LR = r"(?<![\w/-])(?:lr|learning[ _]rate)(?:\(\w+\))?[ :=]{1,3}\[?(?P<lr>NUMBER)"
_OF_STEPS_BAR = (  # a bar's bracket, unless its rate says that it counts samples or tokens
    r"\[(?![^,\]]*,\s{0,3}[\d.?]+[kM]?\s?(?:sample|sentence|image|img|token|tok|example|ex)s?/s)"
)
_BESIDE_BAR = (  # what tqdm puts behind its bar
    rf"{_OF_STEPS_BAR}"
    r"(?:(?=[^\]]*?[ ,']lr'?[=:] ?(?P<lr>NUMBER)))?"
    r"[^\]]*?[ ,'](?:train[_/]|av[gr]_|step_)?[lL]oss(?:_step)?'?[=:] ?(?P<train_loss>NUMBER)"
    r"(?:[^\]]*?[ ,']val_loss(?:_epoch)?'?[=:] ?(?P<val_loss>NUMBER))?[^\]]*\]"
)
_BEFORE_BAR = (  # what tqdm puts before its bar, as its description
    rf"^(?!.{{0,200}}?{_HELD_OUT}[^|]{{0,60}}\d%\|)(?!.{{0,200}}?\b(?i:best|lowest)\b)"
    r"(?:[^|]{0,80}?(?i:epoch)\W{0,3}(?P<epoch>\d+)(?:/(?P<epochs>\d+))?)?"
    r"[^%]{0,200}?(?:^|[|,;:\])}(]\s{0,2}|\d\s|-\s|\s\s)"
    r"(?i:(?:train(?:ing)?|average|avg|mean|running|batch)[_ /]){0,2}(?i:loss)"
    r"[=: ]{1,3}(?P<train_loss>NUMBER)(?![\d.])[^%]{0,200}?\d%\|[^|]*\|\s*(?P<step>\d+)/(?P<epoch_steps>\d+) "
    rf"{_OF_STEPS_BAR}"
)

DIALECTS = (
    Dialect(
        "lines with a step and a loss",  # any other script's
        (
            *(line(_LOSSES, rf"(?i)^(?!.*epoch){held}(?=.*?{_STEP})") for held in _HELD),
            line(" val=", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_LOSS}){_BARE_VAL}"),
            line(
                _LOSSES,
                rf"(?i)^(?!.*epoch)(?=.*?{_STEP}{_OF_STEPS})(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?{_TEST}(?:(?=.*?{_LR}))?",
            ),
            line(_LOSSES, rf"(?i)^(?!.*epoch)(?!.*loss.*loss)(?=.*?{_STEP})(?=.*?{_NAMED})"),
            line(_LOSSES, rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_VAL})"),
            line(_LOSSES, rf"(?i)^\W*{_VAL}"),  # below a line with the step
            line(" a", _STEPWISE),
            line("fter ", _HAVING_DONE),
            line(" val ", rf"(?i)^\W*eval{_COUNT}:(?=.*?\btrain {_VALUE})(?=.*?\bval (?P<val_loss>{_VALUE}))"),
            line(_EPOCHS, _ABOVE),
            line("max iterations", r"(?P<horizon>\d+) max iterations"),  # TransUNet's, and what grew from it
            line("cfg.steps=", r"cfg\.steps=(?P<horizon>\d+)"),  # LeRobot's
        ),
        enough=5,
        is_guess=True,
    ),
    Dialect(
        "lines with an epoch, a step and a loss",  # the steps may begin anew with the epoch
        (
            *(
                line(_EPOCHS, rf"(?i)^{held}(?=.*?{_EPOCH}(?P<epoch>\d+){_OF_EPOCHS})(?=.*?{_IN_EPOCH})")
                for held in _HELD
            ),
            line(
                _EPOCHS,
                rf"(?i)^(?=.*?{_EPOCH}(?P<epoch>\d+){_OF_EPOCHS})(?=.*?{_IN_EPOCH})(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?"
                rf"{_TEST}(?:(?=.*?{_LR}))?",
            ),
            line(_LOSSES, rf"(?i)^(?=.*?{_STEP})(?=.*?{_VAL})"),
            line(_LOSSES, rf"(?i)^{_NO_STEP}(?=.*?{_EPOCH}\d)(?=.*?{_VAL})"),  # what it says once an epoch is over
            line(_LOSSES, rf"(?i)^(?!.*%\|)\W*{_VAL}"),
            line("验证损失", rf"(?i)^(?=.*?{_EPOCH}\d){_CHINESE.replace('train_loss', 'mean_train_loss')}"),
        ),
        enough=5,
        is_guess=True,
    ),
    Dialect(
        "lines with an epoch, a count in brackets and a loss",  # of samples or of batches: `units.in_brackets` tells
        (
            *(line(_EPOCHS, rf"(?i)^{held}{_BRACKETS}") for held in _HELD),
            line(_EPOCHS, rf"(?i)^{_BRACKETS}(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?{_TEST}(?:(?=.*?{_LR}))?"),
            line(_LOSSES, rf"(?i)^{_NO_STEP}(?=.*?{_EPOCH}\d)(?=.*?{_VAL})"),  # what it says once an epoch is over
            line(_LOSSES, rf"(?i)^(?!.*%\|)\W*{_VAL}"),
            line(
                ("est set", "alid", "val"),
                rf"(?i)^\W*{_SIDE} set\b.{{0,40}}?\b(?:average|avg) loss[ :=]{{1,4}}(?P<val_loss>{_VALUE})",
            ),
            line("est set", rf"(?i)^\W*test set\b.{{0,40}}?\b(?:average|avg) loss[ :=]{{1,4}}(?P<test_loss>{_VALUE})"),
        ),
        enough=5,
        unit="sample",
        is_guess=True,
        in_brackets=True,
    ),
    Dialect(
        "bars with a loss",  # tqdm's
        (
            line(  # of the whole run, as those of diffusers and kohya_ss are
                "%|",
                r"^\W*(?:[sS]teps|Training progress)\b[^|]{0,12}\d%\|[^|]*\|\s*(?P<step>\d+)/(?P<horizon>\d+) "
                rf"{_BESIDE_BAR}",
            ),
            line(
                "%|",
                rf"^(?!.*{_HELD_OUT}[^|.]{{0,40}}\d%\|)"
                r"(?:.*?(?i:epoch)\W{0,3}(?P<epoch>\d+)(?:/(?P<epochs>\d+))?)?.*?\d%\|[^|]*\|\s*"
                rf"(?P<step>\d+)/(?P<epoch_steps>\d+) {_BESIDE_BAR}",
            ),
            line("%|", _BEFORE_BAR),
            line(_LOSSES, rf"(?i)^(?!.*%\|)(?!.*\bbest\b)(?=.*?{_VAL})"),  # what is said once an epoch is over
        ),
        enough=5,
        held=frozenset({"val_loss"}),
        is_guess=True,
        is_last=True,
        begins_anew=True,
    ),
    Dialect(
        "lines with an epoch and a loss",
        (
            *(line(_EPOCHS, rf"(?i)^{held}{_BY_EPOCH}") for held in _HELD),
            line(" val=", rf"(?i)^{_BY_EPOCH}(?=.*?{_LOSS}){_BARE_VAL}"),
            line(_EPOCHS, rf"(?i)^{_BY_EPOCH}(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?{_TEST}(?:(?=.*?{_LR}))?"),
            line(_EPOCHS, rf"(?i)^{_BY_EPOCH}(?=.*?{_VAL})"),
            line("验证损失", rf"(?i)^{_BY_EPOCH}{_CHINESE}"),
            line("est set loss", rf"(?i)^\W*test set loss[:=]\s?(?P<test_loss>{_VALUE})"),  # as PyTorch's VAE does
            line(" a", _EPOCHWISE),
            line(_LOSSES, rf"(?i)^(?!.*%\|)\W*{_VAL}"),  # below a line with the epoch
        ),
        enough=5,
        unit="epoch",
        is_guess=True,
    ),
    Dialect(
        "a line with an epoch above one with its loss",
        (
            line(_EPOCHS, _ABOVE.replace("<epoch>", "<step>")),
            *(line(_LOSSES, rf"(?i)^{_NO_STEP}(?!.*{_WORD}){held}") for held in _HELD),
            line(_LOSSES, rf"(?i)^(?!.*?loss.*?loss){_LOGGED}\W{{0,12}}{_VAL}"),  # `val: loss: 0.3`
            line(_LOSSES, rf"(?i)^(?!.*?loss.*?loss){_LOGGED}\W{{0,12}}{_OF_TEST}"),
            line(
                _LOSSES,
                rf"(?i)^{_OF_NO_OTHERS}{_LOGGED}\W{{0,12}}(?:{_OF_TRAIN}(?:_|\W{{1,3}})){{0,3}}loss\s?[:=]\s{{0,12}}"
                rf"(?P<train_loss>{_VALUE})"
                rf"(?:(?=.*?{_VAL}))?{_TEST}(?:(?=.*?{_LR}))?",
            ),
            line(_LOSSES, rf"(?i)^{_LOGGED}train(?:ing)?[_ ]loss\s{{1,4}}(?P<train_loss>{_VALUE})\s*$"),  # nnU-Net's
            line(_LOSSES, rf"(?i)^{_LOGGED}\W{{0,12}}{_VAL}"),
            line(("ate", "LR", "lr"), rf"(?i)^(?:{_LOGGED}current )?\W*{_LR}"),
        ),
        enough=5,
        unit="epoch",
        in_blocks=True,
        is_guess=True,
    ),
    Dialect(
        "a line with a step above one with its loss",
        (
            line(("tep", "ter", "STEP", "ITER"), _COUNT_ABOVE),
            line(_LOSSES, rf"(?i)^\W{{0,12}}(?:{_OF_TRAIN}[_ ])*loss\s?[:=]\s{{0,12}}(?P<train_loss>{_VALUE})"),
            line(_LOSSES, rf"(?i)^\W*{_VAL}"),
        ),
        enough=5,
        in_blocks=True,
        is_guess=True,
        is_last=True,
    ),
    Dialect(
        "lines with a batch and a loss",
        (
            *(line(("atch", "ATCH"), rf"(?i)^(?!.*{_WORD}){held}(?=.*?(?<![\w/-])batch\b{_COUNT})") for held in _HELD),
            line(
                ("atch", "ATCH"),
                rf"(?i)^(?!.*{_WORD})(?!.*(?:%\||\bcv\b))(?=.*?(?<![\w/-])batch\b{_COUNT}"
                r"(?:\s*(?:/|of)\s*(?P<epoch_steps>\d+)(?![.,]?\d)))"
                rf"(?=.*?{_LOSS})(?:(?=.*?{_LR}))?",
            ),
            line(_LOSSES, rf"(?i)^(?!.*%\|)(?!.*\bbest\b)(?=.*?{_VAL})"),
        ),
        enough=5,
        is_guess=True,
        is_last=True,
        begins_anew=True,
    ),
    Dialect(  # one that validates says both once an epoch
        "lines with a loss of training and one of validation",
        (
            line(
                _LOSSES,
                rf"(?i)^{_NO_STEP}(?!.*(?:{_WORD}\b|\bbest\b|%\|)){_OF_ONE_RUN}"
                rf"(?=.*?(?:{_LOSS}|(?<![\w/-])train(?:ing)?[_ /]loss[ :=]{{1,12}}(?P<loss>{_VALUE})))(?=.*?{_VAL})",
            ),
        ),
        enough=5,
        unit="epoch",
        is_guess=True,
        is_last=True,
        counts="val_loss",
    ),
)
