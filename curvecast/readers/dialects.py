"""The dialects of text logs: what training scripts print, as patterns of lines, and how their steps are counted.

Sources: the ``print`` statements of karpathy/nanoGPT ``train.py``, karpathy/build-nanogpt ``train_gpt2.py``,
karpathy/llm.c ``train_gpt2.cu``, ``.c`` and ``.py`` and its ``main.log``, KellerJordan/modded-nanogpt
``train_gpt2.py``, karpathy/nanochat ``base_train.py``, NVIDIA/Megatron-LM ``training_log`` and EleutherAI/gpt-neox',
huggingface/nanotron, pytorch/torchtitan ``metrics.py``, Lightning-AI/litgpt ``pretrain.py``, NVIDIA-NeMo/NeMo's
progress printer, OpenNMT-py, google/CommonLoopUtils, allenai/OLMo ``train.py``, mosaicml/composer's console logger,
microsoft/DeepSpeed ``engine.py``, facebookresearch/fairseq's progress bars, espnet's ``reporter.py``, Keras' progress
bar, and the examples and tutorials of PyTorch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_ENOUGH = 2  # lines of a dialect: one may be chance
PLACES = {"step", "horizon", "epoch", "epoch_steps"}  # groups that tell where a line stands
_LONGEST = 4096  # characters; no script prints so much of a step, and patterns would search it for long
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|[nN]a[nN]|NAN|[iI]nf)"


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """How one training script prints.

    Args:
        name: the script.
        lines: words that stand in a line, which are quickly found, and its pattern: the group ``step``, ``horizon``
            where it is printed, and a group for each tag. A line without a step belongs to the steps that were
            complete when the last line with one was printed.
        offsets: what added to a tag's step gives completed optimizer steps; empty where the script is not known.
        enough: lines by which the dialect is recognised.
        unit: what the step counts.
        held: tags that are printed anew with every line until there is another value.
        is_guess: whether no script is known by it, so that a dialect that is known goes before.
        begins_anew: whether a step that goes back begins an epoch, though no epoch is printed.
    """

    name: str
    lines: tuple[tuple[str, re.Pattern[str]], ...]
    offsets: Mapping[str, int] = field(default_factory=dict)
    enough: int = _ENOUGH
    unit: str = "step"
    held: frozenset[str] = frozenset()
    is_guess: bool = False
    begins_anew: bool = False

    def matches(self, line: str) -> re.Match[str] | None:
        """The first pattern that is found in the line."""
        if len(line) > _LONGEST:
            return None
        for words, pattern in self.lines:
            if words in line and (match := pattern.search(line)) is not None:
                return match
        return None

    def speaks(self, line: str) -> bool:
        """Whether a line tells a number beside its step."""
        match = self.matches(line)
        return match is not None and any(match[tag] is not None for tag in match.re.groupindex if tag not in PLACES)

    def may_speak(self, text: str) -> bool:
        """Whether a text has the words of any of its lines."""
        return any(words in text for words, _ in self.lines)


def _line(words: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    r"""A pattern that begins at a word: launchers and loggers put ranks, dates and levels before the script's words."""
    anchor = "" if pattern.startswith(("^", "(?i)^")) else r"(?<![\w-])"
    return words, re.compile((anchor + pattern).replace("NUMBER", _NUMBER))


_COUNT = r"[ :=\[#(.]{0,12}(?P<step>\d{1,3}(?:,\d{3})+|\d+)(?![.,]?\d)"
_STEP = rf"(?<![\w/-])(?:global[_ ])?(?:step|iter|iteration)\b{_COUNT}"
_IN_EPOCH = rf"(?<![\w/-])(?:global[_ ])?(?:step|iter|iteration|batch)\b{_COUNT}(?:\s*(?:/|of)\s*(?P<epoch_steps>\d+))?"
_EPOCH = r"(?<![\w/-])epoch\b[ :=#\[]{0,12}"
_BY_EPOCH = rf"(?!.*(?:\b(?:step|iter|iteration|batch)\b|\d%\|))(?=.*?{_EPOCH}(?P<step>\d+)(?![.,]?\d))"
_HELD_OUT = r"(?<![a-zA-Z])(?i:val|valid\w*|eval\w*|test\w*|dev)\b(?![ _/-]?(?i:loss))"
_VALUE = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![.,]?\d)|\d+\.\d+(?=,\d)|NUMBER(?![.,]?\d))"
_LOSS = (  # behind two spaces, however many there are: no more of them are looked at than tells
    r"(?:[|,;\])}]\s?|\d:?\s|\d\s{0,4}-\s|\s\s)(?:(?:train(?:ing)?|average|avg|mean|batch)[_ /])*loss[ :=]{1,12}"
    rf"(?P<train_loss>{_VALUE})"
)
_VAL = rf"(?<![\w/-])(?:val|valid|validation|eval)[_ /]loss[ :=]{{1,12}}(?P<val_loss>{_VALUE})"
_LR = r"(?<![\w/-])(?:lr|learning[ _]rate)[ :=]{1,3}(?P<lr>NUMBER)"

DIALECTS = (
    Dialect(
        "megatron",
        (
            _line(
                "iteration",
                r"iteration\s+(?P<step>\d+)(?:\s*\[\s*\d+\s*\])?\s*/\s*(?P<horizon>\d+)\s*\|"
                r"(?=.*?\blm[ _]loss:\s*(?P<train_loss>NUMBER)\s*\|)"
                r"(?:(?=.*?consumed tokens:\s*(?P<consumed_tokens>\d+)\s*\|))?"
                r"(?:(?=.*?learning rate:\s*(?P<lr>NUMBER)\s*\|))?",
            ),
            _line(
                "lm",
                r"valid(?:ation)? (?:loss|results) at iteration\s+(?P<step>\d+)(?![^|]*\btest\b)[^|]*\|"
                r"\s*lm[ _]loss value:\s*(?P<val_loss>NUMBER)\s*\|",
            ),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0, "consumed_tokens": 0},
    ),
    Dialect(
        "nanogpt",  # `step k` is measured before update k + 1, `iter k` within it
        (
            _line(
                "val loss", r"step (?P<step>\d+): train loss (?P<mean_train_loss>NUMBER), val loss (?P<val_loss>NUMBER)"
            ),
            _line("iter ", r"iter (?P<step>\d+): loss (?P<train_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "mean_train_loss": 0},
    ),
    Dialect(
        "modded-nanogpt",
        (
            _line(
                "step:",
                r"step:(?P<step>\d+)/(?P<horizon>\d+) (?:train_loss:(?P<train_loss>NUMBER)|loss:(?P<loss>NUMBER))",
            ),
            _line("val_loss:", r"step:(?P<step>\d+)/(?P<horizon>\d+) val_loss:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "loss": 0},
    ),
    Dialect(
        "llm.c",  # `s:k trl` is the loss of update k + 1, `s:k tel` is measured before it
        (
            _line("trl:", r"s:(?P<step>\d+) trl:(?P<train_loss>NUMBER)(?: lr:(?P<lr>NUMBER))?"),
            _line("tel:", r"s:(?P<step>\d+) tel:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "lr": 1},
    ),
    Dialect(
        "llm.c output",
        (
            _line(
                "loss ",
                r"step\s+(?P<step>\d+)/(?P<horizon>\d+) \| (?:train )?loss (?P<train_loss>NUMBER)"
                r"(?:.*?\| lr (?P<lr>NUMBER))?",
            ),
            _line("val loss", r"^val loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "llm.c output on a CPU",
        (
            _line("(took", r"step (?P<step>\d+): train loss (?P<train_loss>NUMBER) \(took"),
            _line("val loss", r"^val loss:? (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0},
    ),
    Dialect(
        "build-nanogpt",
        (
            _line(" train ", r"^(?P<step>\d+) train (?P<train_loss>NUMBER)\s*$"),
            _line(" val ", r"^(?P<step>\d+) val (?P<val_loss>NUMBER)\s*$"),
        ),
        {"train_loss": 1, "val_loss": 0},
    ),
    Dialect(
        "build-nanogpt output",
        (
            _line("| loss: ", r"step\s+(?P<step>\d+) \| loss: (?P<train_loss>NUMBER)(?: \| lr:? (?P<lr>NUMBER))?"),
            _line("validation loss: ", r"^validation loss: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "lr": 1},
    ),
    Dialect(
        "nanochat",
        (
            _line("| loss: ", r"step (?P<step>\d+)/(?P<horizon>\d+) \([\d.]+%\) \| loss: (?P<train_loss>NUMBER)"),
            _line("Validation bpb", r"Step (?P<step>\d+) \| Validation bpb: (?P<val_bpb>NUMBER)"),
        ),
        {"train_loss": 1, "val_bpb": 0},
    ),
    Dialect(
        "torchtitan",
        (
            _line("validate step:", r"validate step:\s*(?P<step>\d+)\s+loss:\s*(?P<val_loss>NUMBER)\s"),
            _line(
                "step:",
                r"(?<!validate )step:\s*(?P<step>\d+)(?:/(?P<horizon>\d+)[ =\d.%]*)?\s+"
                r"loss:\s*(?P<train_loss>NUMBER)\s+(?:grad_norm|memory):",
            ),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "nanotron",
        (
            _line(
                "lm_loss",
                r"iteration: (?P<step>\d+) / (?P<horizon>\d+) \|.*?\| lm_loss: (?P<train_loss>NUMBER) \|"
                r"(?:.*?\blr: (?P<lr>NUMBER) \|)?",
            ),
        ),
        {"train_loss": 0, "lr": 0},
    ),
    Dialect(
        "litgpt",  # `iter` counts micro-batches, `step` completed optimizer steps
        (
            _line("iter ", r"iter \d+ step (?P<step>\d+)(?: \| loss train: |: loss )(?P<train_loss>NUMBER)"),
            _line("val loss", r"iter \d+: val loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "NeMo",
        (
            _line(
                "reduced_train_loss",
                r"iteration \d+/\d+ \|(?=.*?\bglobal_step: (?P<step>\d+))"
                r"(?=.*?\breduced_train_loss: (?P<train_loss>NUMBER))"
                r"(?:(?=.*?\blr: (?P<lr>NUMBER)))?(?:(?=.*?\bval_loss: (?P<val_loss>NUMBER)))?",
            ),
        ),
        {"train_loss": 1, "val_loss": 1, "lr": 1},
        held=frozenset({"val_loss"}),
    ),
    Dialect(
        "OLMo",
        (
            _line("[step=", r"\[step=(?P<step>\d+)(?:/(?P<horizon>\d+))?"),
            _line("train/C", r"^\s*train/(?:CrossEntropyLoss|CE loss)=(?P<train_loss>NUMBER)"),
            _line("optim/", r"^\s*optim/(?:learning_rate_group0|LR(?: \(group 0\))?)=(?P<lr>NUMBER)"),
            _line("c4_en", r"^\s*eval/\S*c4_en[^=/]*/(?:CrossEntropyLoss|CE loss)=(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "Composer",
        (
            _line("[batch=", r"^\s*\[batch=(?P<step>\d+)/(?P<horizon>\d+)\]"),
            _line("][batch=", r"^\s*\[epoch=(?P<epoch>\d+)\]\[batch=(?P<step>\d+)/(?P<epoch_steps>\d+)\]"),
            _line("loss/train/total", r"Train loss/train/total: (?P<train_loss>NUMBER)"),
            _line("Train lr-", r"Train lr-\S+: (?P<lr>NUMBER)"),
            _line("metrics/eval/", r"Eval metrics/eval/LanguageCrossEntropy: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "DeepSpeed",
        (_line("iter time", r"steps: (?P<step>\d+) loss: (?P<train_loss>NUMBER) iter time"),),
        {"train_loss": 0},
    ),
    Dialect(
        "OpenNMT",
        (
            _line(
                "xent: ",
                r"Step (?P<step>\d+)/\s*(?P<horizon>\d+); .*?\bxent: (?P<train_loss>NUMBER);"
                r"(?: lr: (?P<lr>NUMBER);)?",
            ),
            _line("xent: ", r"Validation xent: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "clu",  # Flax's and t5x' writer
        (
            _line("train_loss=", r"\[(?P<step>\d+)\] (?:.*?, )?train_loss=(?P<train_loss>NUMBER)"),
            _line("eval_loss=", r"\[(?P<step>\d+)\] (?:.*?, )?eval_loss=(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "fairseq",  # its losses are in bits
        (
            _line(
                "train_inner | epoch",
                r"epoch \d+:\s*\d+ / \d+ loss=(?P<train_loss>NUMBER), .*?\bnum_updates=(?P<step>\d+)"
                r"(?:, lr=(?P<lr>NUMBER))?",
            ),
            _line(
                "train_inner | {",
                r'"loss": "(?P<train_loss>NUMBER)".*?"num_updates": "(?P<step>\d+)"(?:.*?"lr": "(?P<lr>NUMBER)")?',
            ),
            _line(
                "valid |",
                r"epoch \d+ \| valid on '[^']*' subset \| loss (?P<val_loss>NUMBER) .*?\| num_updates (?P<step>\d+)",
            ),
            _line("valid | {", r'"valid_loss": "(?P<val_loss>NUMBER)".*?"valid_num_updates": "(?P<step>\d+)"'),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "ESPnet",
        (
            _line(
                "epoch results",
                r"(?P<step>\d+)epoch results: \[train\][^\[]*[ ,]loss=(?P<train_loss>NUMBER)"
                r"(?:.*?\[valid\][^\[]*?[ ,]loss=(?P<val_loss>NUMBER))?",
            ),
        ),
        unit="epoch",
    ),
    Dialect(
        "Keras",  # its bar is drawn anew with every batch; the last one has the epoch's mean
        (
            _line("Epoch ", r"^\s*Epoch (?P<step>\d+)(?:/\d+)?\s*$"),
            _line(
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
            _line("Epoch ", r"^\s*Epoch (?P<step>\d+)/\d+\s*$"),
            _line("rain ", r"^\s*[tT]rain [lL]oss: (?P<train_loss>NUMBER)"),
            _line("al ", r"^\s*[vV]al [lL]oss: (?P<val_loss>NUMBER)"),
        ),
        unit="epoch",
    ),
    Dialect(
        "PyTorch's MNIST example",
        (
            _line(
                "Epoch: ",
                r"Epoch: (?P<epoch>\d+)\s+\[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\s*\([\d.]+%\)\]"
                r"\s+Loss: (?P<train_loss>NUMBER)",
            ),
            _line("Average loss", r"Test set: Average loss: (?P<val_loss>NUMBER)"),
        ),
        unit="sample",
    ),
    Dialect(
        "PyTorch's ImageNet example",  # and what has grown from it: MoCo, Swin, ...
        (
            _line(
                "oss",
                r"(?:Epoch|Train)\W{0,3}\[(?P<epoch>\d+)(?:/\d+)?\]\s*\[\s*(?P<step>\d+)/(?P<epoch_steps>\d+)\]"
                r".*?\b[Ll]oss:? (?P<train_loss>NUMBER)",
            ),
        ),
        offsets={"train_loss": 1},
    ),
    Dialect(
        "lines with a step and a loss",  # any other script's
        (
            _line("oss", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?(?:(?=.*?{_LR}))?"),
            _line("oss", rf"(?i)^(?!.*epoch)(?=.*?{_STEP})(?=.*?{_VAL})"),
        ),
        enough=5,
        is_guess=True,
    ),
    Dialect(
        "lines with an epoch, a step and a loss",  # the steps may begin anew with the epoch
        (
            _line(
                "poch",
                rf"(?i)^(?=.*?{_EPOCH}(?P<epoch>\d+))(?=.*?{_IN_EPOCH})(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?(?:(?=.*?{_LR}))?",
            ),
            _line("oss", rf"(?i)^(?=.*?{_STEP})(?=.*?{_VAL})"),
        ),
        enough=5,
        is_guess=True,
    ),
    Dialect(
        "bars with a loss",  # tqdm's
        (
            _line(
                "loss",
                rf"^(?!.*{_HELD_OUT}[^|.]{{0,40}}\d%\|)(?:.*?(?i:epoch)\W{{0,3}}(?P<epoch>\d+))?.*?\d%\|[^|]*\|\s*"
                r"(?P<step>\d+)/(?P<epoch_steps>\d+) \[[^\]]*?[ ,'](?:train_|train/|avg_)?loss(?:_step)?'?[=:] ?"
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
            _line("poch", rf"(?i)^{_BY_EPOCH}(?=.*?{_LOSS})(?:(?=.*?{_VAL}))?(?:(?=.*?{_LR}))?"),
            _line("poch", rf"(?i)^{_BY_EPOCH}(?=.*?{_VAL})"),
        ),
        enough=5,
        unit="epoch",
        is_guess=True,
    ),
)
