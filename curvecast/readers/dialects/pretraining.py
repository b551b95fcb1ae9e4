"""What the scripts print that train language models.

Sources: the ``print`` statements of karpathy/nanoGPT ``train.py``, karpathy/build-nanogpt ``train_gpt2.py``,
jingyaogong/minimind ``train_pretrain.py``,
karpathy/llm.c ``train_gpt2.cu``, ``.c`` and ``.py`` and its ``main.log``, KellerJordan/modded-nanogpt
``train_gpt2.py``, karpathy/nanochat ``base_train.py``, NVIDIA/Megatron-LM ``training_log`` and EleutherAI/gpt-neox',
huggingface/nanotron, pytorch/torchtitan ``metrics.py``, pytorch/torchtune's recipes,
Lightning-AI/litgpt ``pretrain.py``, NVIDIA-NeMo/NeMo's
progress printer, google/CommonLoopUtils, allenai/OLMo ``train.py``, mosaicml/composer's console logger,
microsoft/DeepSpeed ``engine.py``, AI-Hypercomputer/maxtext ``metric_logger.py``, and the Trainer of PaddleNLP.
"""

from __future__ import annotations

from curvecast.readers.dialects.base import Dialect, line

_NANOGPT_MEANS = r"step (?P<step>\d+): train loss (?P<mean_train_loss>NUMBER), val loss (?P<val_loss>NUMBER)"
_NANOGPT_EVAL = r"iter (?P<step>\d+): train (?P<mean_train_loss>NUMBER),? val (?P<val_loss>NUMBER)"  # a fork's
_NANOGPT_LOSS = r"iter (?P<step>\d+): loss (?P<train_loss>NUMBER)"

DIALECTS = (
    Dialect(
        "megatron",
        (
            line(
                "iteration",
                r"iteration\s+(?P<step>\d+)(?:\s*\[\s*\d+\s*\])?\s*/\s*(?P<horizon>\d+)\s*\|"
                r"(?=.*?\blm[ _]loss:\s*(?P<train_loss>NUMBER)\s*\|)"
                r"(?:(?=.*?consumed tokens:\s*(?P<consumed_tokens>\d+)\s*\|))?"
                r"(?:(?=.*?learning rate:\s*(?P<lr>NUMBER)\s*\|))?",
            ),
            line(
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
            line(" lr", rf"{_NANOGPT_MEANS}.*?\blr:? ?(?P<lr>NUMBER)"),  # which some have added
            line(" lr", rf"{_NANOGPT_LOSS}.*?\blr:? ?(?P<lr>NUMBER)"),
            line("val loss", _NANOGPT_MEANS),
            line(" val ", rf"{_NANOGPT_EVAL}(?:.*?\blr:? ?(?P<lr>NUMBER))?"),
            line("iter ", _NANOGPT_LOSS),
        ),
        {"train_loss": 1, "val_loss": 0, "mean_train_loss": 0, "lr": 1},
    ),
    Dialect(
        "MiniMind",
        (
            line(
                "](",
                r"Epoch:\s?\[(?P<epoch>\d+)/(?P<epochs>\d+)\]\((?P<step>\d+)/(?P<epoch_steps>\d+)\),? "
                r"loss:\s?(?P<train_loss>NUMBER)(?:.*?\blr:\s?(?P<lr>NUMBER))?",
            ),
        ),
        {"train_loss": 0, "lr": 0},
    ),
    Dialect(
        "modded-nanogpt",
        (
            line(
                "step:",
                r"step:(?P<step>\d+)/(?P<horizon>\d+) (?:train_loss:(?P<train_loss>NUMBER)|loss:(?P<loss>NUMBER))",
            ),
            line("val_loss:", r"step:(?P<step>\d+)/(?P<horizon>\d+) val_loss:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "loss": 0},
    ),
    Dialect(
        "llm.c",  # `s:k trl` is the loss of update k + 1, `s:k tel` is measured before it
        (
            line("trl:", r"s:(?P<step>\d+) trl:(?P<train_loss>NUMBER)(?: lr:(?P<lr>NUMBER))?"),
            line("tel:", r"s:(?P<step>\d+) tel:(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "lr": 1},
    ),
    Dialect(
        "llm.c output",
        (
            line(
                "loss ",
                r"step\s+(?P<step>\d+)/(?P<horizon>\d+) \| (?:train )?loss (?P<train_loss>NUMBER)"
                r"(?:.*?\| lr (?P<lr>NUMBER))?",
            ),
            line("val loss", r"^val loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "llm.c output on a CPU",
        (
            line("(took", r"step (?P<step>\d+): train loss (?P<train_loss>NUMBER) \(took"),
            line("val loss", r"^val loss:? (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0},
    ),
    Dialect(
        "build-nanogpt",
        (
            line(" train ", r"^(?P<step>\d+) train (?P<train_loss>NUMBER)\s*$"),
            line(" val ", r"^(?P<step>\d+) val (?P<val_loss>NUMBER)\s*$"),
        ),
        {"train_loss": 1, "val_loss": 0},
    ),
    Dialect(
        "build-nanogpt output",
        (
            line("| loss: ", r"step\s+(?P<step>\d+) \| loss: (?P<train_loss>NUMBER)(?: \| lr:? (?P<lr>NUMBER))?"),
            line("validation loss: ", r"^validation loss: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 0, "lr": 1},
    ),
    Dialect(
        "nanochat",
        (
            line("| loss: ", r"step (?P<step>\d+)/(?P<horizon>\d+) \([\d.]+%\) \| loss: (?P<train_loss>NUMBER)"),
            line("Validation bpb", r"Step (?P<step>\d+) \| Validation bpb: (?P<val_bpb>NUMBER)"),
        ),
        {"train_loss": 1, "val_bpb": 0},
    ),
    Dialect(
        "torchtitan",
        (
            line("validate step:", r"validate step:\s*(?P<step>\d+)\s+loss:\s*(?P<val_loss>NUMBER)\s"),
            line(
                "step:",
                r"(?<!validate )step:\s*(?P<step>\d+)(?:/(?P<horizon>\d+)[ =\d.%]*)?\s+"
                r"loss:\s*(?P<train_loss>NUMBER)\s+(?:grad_norm|memory):",
            ),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "torchtune",  # what stands before its bar, drawn anew with each batch
        (line("|Loss: ", r"^\W*\d+\|(?P<step>\d+)\|Loss: (?P<train_loss>NUMBER)"),),
        {"train_loss": 0},
    ),
    Dialect(
        "nanotron",
        (
            line(
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
            line("iter ", r"iter \d+ step (?P<step>\d+)(?: \| loss train: |: loss )(?P<train_loss>NUMBER)"),
            line("val loss", r"iter \d+: val loss (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "NeMo",
        (
            line(
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
            line("[step=", r"\[step=(?P<step>\d+)(?:/(?P<horizon>\d+))?"),
            line("train/C", r"^\s*train/(?:CrossEntropyLoss|CE loss)=(?P<train_loss>NUMBER)"),
            line("optim/", r"^\s*optim/(?:learning_rate_group0|LR(?: \(group 0\))?)=(?P<lr>NUMBER)"),
            line("c4_en", r"^\s*eval/\S*c4_en[^=/]*/(?:CrossEntropyLoss|CE loss)=(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "Composer",
        (
            line("[batch=", r"^\s*\[batch=(?P<step>\d+)/(?P<horizon>\d+)\]"),
            line("][batch=", r"^\s*\[epoch=(?P<epoch>\d+)\]\[batch=(?P<step>\d+)/(?P<epoch_steps>\d+)\]"),
            line("loss/train/total", r"Train loss/train/total: (?P<train_loss>NUMBER)"),
            line("Train lr-", r"Train lr-\S+: (?P<lr>NUMBER)"),
            line("metrics/eval/", r"Eval metrics/eval/LanguageCrossEntropy: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0, "lr": 0},
    ),
    Dialect(
        "DeepSpeed",
        (line("iter time", r"steps: (?P<step>\d+) loss: (?P<train_loss>NUMBER) iter time"),),
        {"train_loss": 0},
    ),
    Dialect(
        "clu",  # Flax's and t5x' writer
        (
            line("train_loss=", r"\[(?P<step>\d+)\] (?:.*?, )?train_loss=(?P<train_loss>NUMBER)"),
            line("eval_loss=", r"\[(?P<step>\d+)\] (?:.*?, )?eval_loss=(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "val_loss": 0},
    ),
    Dialect(
        "MaxText",  # its first step is 0
        (
            line("completed step: ", r"completed step: (?P<step>\d+), .*?\bloss: (?P<train_loss>NUMBER)"),
            line("eval metrics", r"eval metrics after step: (?P<step>\d+), loss=(?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 1, "val_loss": 1},
    ),
    Dialect(
        "PaddleNLP",
        (
            line(
                "global_step: ",
                r"loss: (?P<train_loss>NUMBER), learning_rate: (?P<lr>NUMBER), global_step: (?P<step>\d+)",
            ),
            line("eval_loss: ", r"eval_loss: (?P<val_loss>NUMBER)"),
        ),
        {"train_loss": 0, "lr": 0, "val_loss": 0},
    ),
)
