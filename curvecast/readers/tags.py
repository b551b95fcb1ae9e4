"""Which tag of a log is the training loss, which the validation loss, which the learning rate."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from curvecast.notation import some_of
from curvecast.readers.base import UnknownTag

OWN = "curvecast/"  # what the live callback logs: exactly what was fed to the watcher, at completed steps
_TAGS_LISTED = 20
_ALIKE = 0.6  # similarity from which on a tag may be a misspelling of another: difflib's own cutoff
ASKED = "as asked"

# Best first, in the form that `_plain` gives. A value per step comes before the mean of an epoch, if it has more rows.
_TRAIN = (
    "train_loss_step train_loss training_loss training_loss_step loss_train trainer_loss train_lm_loss "
    "loss_metrics_global_avg_loss train_ce_loss train_crossentropy_loss reduced_train_loss train_samples_train_loss "
    "loss_train_total loss_step loss lm_loss train_loss_epoch training_loss_epoch loss_epoch epoch_loss "
    "train_epoch_loss train_crossentropyloss train_avg_loss train_mean_loss avg_train_loss mean_train_loss "
    "train_total_loss total_loss loss_total avg_loss mean_loss train_loss_avg train_loss_mean"
)
# No `val_loss_step`: Lightning counts its x in validation batches.
_VAL = (
    "val_loss val_loss_epoch valid_loss valid_loss_epoch validation_loss validation_loss_epoch loss_val "
    "loss_valid loss_validation eval_loss eval_loss_epoch loss_eval dev_loss validation_lm_loss lm_loss_validation "
    "validation_metrics_loss metrics_eval_languagecrossentropy eval_crossentropy_loss eval_ce_loss "
    "validation_epoch_loss epoch_val_loss val_avg_loss val_mean_loss avg_val_loss mean_val_loss val_loss_avg "
    "val_loss_mean"
)
_LR = (
    "lr learning_rate train_lr train_learning_rate train_samples_lr optim_lr optimizer_lr epoch_learning_rate "
    "train_epoch_learning_rate lr_metrics_lr"
)
_TOKENS = (
    "tokens num_tokens tokens_seen n_tokens_seen num_input_tokens_seen train_num_input_tokens_seen consumed_tokens "
    "total_tokens train_tokens throughput_total_tokens time_token"
)
_FLOPS = "flops total_flops total_flos train_total_flos train_total_flops throughput_total_gflops"
_GIGA = 1e9

TRAIN_WORDS = {"train", "training", "tr", "trn"}
TEST_WORDS = {"test", "testing", "tst"}
VAL_WORDS = {"val", "vali", "valid", "validate", "validation", "eval", "evaluation", "dev"}
LOSS_WORDS = {"loss", "languagecrossentropy", "crossentropy", "crossentropyloss", "xent", "nll", "logloss"}
# `vs` is Megatron's second copy of a curve over another x; the last row are parts of a loss, or added to it.
_OTHER_WORDS = {
    *TEST_WORDS,
    *{"predict", "scale", "scaler", "grad", "best", "min", "max", "ema", "avg", "std", "var", "ppl", "perplexity"},
    *{"vs", "iterations", "weight", "weights", "coef"},
    *{"z", "aux", "auxiliary", "balancing", "router", "kl", "reg", "l1", "l2", "penalty", "mtp"},
}
_ERRORS = {"mse", "rmse", "mae", "bpb", "bpc", "error"}  # words of a loss where no usual one is there
_CAMEL = re.compile(r"(?<=[a-z])(?<!ntropy)Loss(?![a-z])")  # the last word of `trainLoss` and `TrainingLoss`
_WHOLE = {"total", "elbo", "combined"}  # words of a sum that stands beside its parts
_CROSS_ENTROPY = re.compile(r"cross[\W_]+entropy")  # one word, however it is written
_NO_LOSS = {"scale", "scaler", "grad"}  # words that a loss which stands alone may not have


@dataclass(frozen=True, slots=True)
class Choice:
    """A tag and why it was taken; ``tag`` is ``None`` where none fits."""

    tag: str | None
    reason: str


_NOT_FED = Choice(None, "only the live callback logs it")


@dataclass(frozen=True, slots=True)
class Choices:
    """The tags of a run's curves.

    Args:
        train, val, lr, tokens, flops: the tag of each.
        seconds, critical_batch: the live callback's own.
        val_sets: every tag that is a validation set of its own, the one that decides first.
        tied: training losses among which nothing decides; empty where something does.
    """

    train: Choice
    val: Choice
    lr: Choice
    tokens: Choice = Choice(None, "no tag looks like the tokens seen")
    flops: Choice = Choice(None, "no tag looks like the compute so far")
    val_sets: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    seconds: Choice = _NOT_FED
    critical_batch: Choice = _NOT_FED


def choose_tags(points: Mapping[str, int], *, train_tag: str | None = None, val_tag: str | None = None) -> Choices:
    """Pick the tags to read.

    Where the live callback's own tags are there, they are taken and nothing is added to them, so that
    replaying the log gives what was seen live.

    Args:
        points: how many rows each tag has.
        train_tag: the training loss's tag, if it is known.
        val_tag: the validation loss's tag, if it is known.

    Raises:
        TypeError: if ``points`` is no mapping.
        UnknownTag: if a tag that was asked for is not in ``points``.

    Example:
        >>> choices = choose_tags({"epoch": 90, "lr-AdamW": 80, "train_loss_step": 80, "val_loss": 10})
        >>> choices.train.tag, choices.val.tag, choices.lr.tag
        ('train_loss_step', 'val_loss', 'lr-AdamW')
    """
    if not isinstance(points, Mapping):
        raise TypeError(f"`points` must say how many rows each tag has: got {points!r:.80}. Pass e.g. {{'loss': 100}}.")
    return _chosen(tuple(points.items()), train_tag, val_tag)


@lru_cache(maxsize=64)  # asked twice of each run, and the runs of a fleet mostly have the same tags
def _chosen(rows: tuple[tuple[str, int], ...], train_tag: str | None, val_tag: str | None) -> Choices:
    points = dict(rows)
    train = _asked(points, "train_tag", train_tag)
    val = _asked(points, "val_tag", val_tag)
    if train is None and f"{OWN}train_loss" in points:
        return Choices(
            _own(points, "train_loss"),
            val or _own(points, "val_loss"),
            _own(points, "lr"),
            seconds=_own_or_none(points, "seconds") or _NOT_FED,
            critical_batch=_own_or_none(points, "critical_batch") or _NOT_FED,
        )
    train = train or _guess_train(points)
    val = val or _own_or_none(points, "val_loss") or _guess_val(points, train)
    if train.tag is None and val.tag is None and len(points) == 1 and (only := _only_loss(next(iter(points)))):
        return only
    return Choices(
        train,
        val,
        _guess_lr(points),
        _known(points, _TOKENS.split(), "the tokens seen"),
        _known(points, _FLOPS.split(), "the compute so far"),
        _val_sets(points, val.tag),
        () if train.reason == ASKED else _tied(points),
    )


def contested(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags whose numbers of rows decide which of them is taken: several that may have a role.

    Example:
        >>> contested(["loss_g", "loss_d", "val_loss", "epoch"]), contested(["train_loss", "loss", "lr"])
        (('loss_g', 'loss_d'), ('train_loss', 'loss'))
    """
    points = dict.fromkeys(tags, 1)
    held_out = _val_candidates(points)
    roles = ((_train_candidates(points), _TRAIN), (held_out, _VAL), (_lr_candidates(points), _LR))
    if not held_out and (tests := _test_candidates(points)):  # one row of it is no curve
        return contested([tag for tag in tags if tag not in tests]) + tuple(tests)
    return tuple(tag for candidates, names in roles for tag in _rivals(candidates, names.split()))


def _rivals(candidates: Sequence[str], names: Sequence[str]) -> list[str]:
    rivals = [tag for tag in candidates if _plain(tag) in names] or list(candidates)
    return rivals if len(rivals) > 1 else []


def _only_loss(tag: str) -> Choices | None:
    """The choices where a log has a single tag, as a chart's export has; held-out data it is where it says test."""
    words = split_words(tag)
    if not words & LOSS_WORDS or words & (VAL_WORDS | _NO_LOSS):
        return None
    taken, none = Choice(tag, "the only tag there"), Choice(None, "there is one tag only")
    return Choices(none, taken, none) if "test" in words else Choices(taken, none, none)


def is_usual_loss(tag: str) -> bool:
    """Whether a loss is often called so, of training or of validation.

    Example:
        >>> is_usual_loss("train_loss"), is_usual_loss("loss_of_run_3")
        (True, False)
    """
    return _plain(tag) in _TRAIN.split() or _plain(tag) in _VAL.split()


def flops_unit(tag: str) -> float:
    """FLOP in one unit of a compute tag."""
    return _GIGA if "gflops" in split_words(tag) else 1.0


def _asked(points: Mapping[str, int], argument: str, tag: str | None) -> Choice | None:
    if tag is None:
        return None
    if tag not in points:
        raise UnknownTag(_unknown(points, argument, tag))
    return Choice(tag, ASKED)


def _unknown(points: Mapping[str, int], argument: str, tag: str) -> str:
    there = sorted(points, key=lambda name: (-difflib.SequenceMatcher(None, tag, name).ratio(), name))
    listed = some_of([repr(name) for name in there], _TAGS_LISTED) or "none"
    alike = bool(there) and difflib.SequenceMatcher(None, tag, there[0]).ratio() >= _ALIKE
    option = f"--{argument.replace('_', '-')} ({argument}=)"  # whoever reads this may have used either
    advice = f" Pass {repr(there[0]) if alike else 'one of them'} as {option}." if there else ""
    return f"tag {tag!r} is not in the log. Tags there: {listed}.{advice}"


def _own(points: Mapping[str, int], name: str) -> Choice:
    return _own_or_none(points, name) or Choice(None, f"nothing was fed to the live callback as {OWN}{name}")


def _own_or_none(points: Mapping[str, int], name: str) -> Choice | None:
    return Choice(OWN + name, "logged by the live callback") if OWN + name in points else None


def _guess_train(points: Mapping[str, int]) -> Choice:
    best = _best(points, _train_candidates(points), _TRAIN.split(), "the training loss")
    if best.tag is None or not best.tag.endswith("_step"):
        return best
    mean = f"{best.tag.removesuffix('_step')}_epoch"  # of Lightning: both have as many where an epoch has few steps
    if points.get(mean, 0) < points[best.tag]:
        return best
    return Choice(mean, f"the mean of an epoch, which was logged as often as {best.tag!r}")


def _train_candidates(points: Mapping[str, int]) -> list[str]:
    usual = [tag for tag in points if _plain(tag) in _TRAIN.split()]  # `global_avg_loss` has a word of the others
    return usual or [
        tag for tag in points if split_words(tag) & LOSS_WORDS and not split_words(tag) & (VAL_WORDS | _OTHER_WORDS)
    ]


def _tied(points: Mapping[str, int]) -> tuple[str, ...]:
    """Several losses of unknown name with as many rows: a GAN's two, for example."""
    candidates = _train_candidates(points)
    if any(_plain(tag) in _TRAIN.split() for tag in candidates):
        return ()
    most = max((points[tag] for tag in candidates), default=0)
    tied = sorted(tag for tag in candidates if points[tag] == most)
    whole = sum(bool(split_words(tag) & _WHOLE) for tag in tied)
    return tuple(tied) if len(tied) > 1 and whole != 1 else ()


def _guess_val(points: Mapping[str, int], train: Choice) -> Choice:
    """The validation loss; beside a training loss, where there is none, the test loss, if it is a curve."""
    best = _best(points, _val_candidates(points), _VAL.split(), "the validation loss")
    tests = _test_candidates(points) if best.tag is None and train.tag is not None else []
    curves = [tag for tag in tests if points[tag] > 1]
    if not curves:
        errors = [tag for tag in points if split_words(tag) & VAL_WORDS and split_words(tag) & _ERRORS]
        hint = f"; pass --val-tag {errors[0]!r} (val_tag=), if it is one" if best.tag is None and errors else ""
        return Choice(best.tag, best.reason + hint)
    return Choice(max(curves, key=lambda tag: points[tag]), "a test loss, there being no validation loss")


def _test_candidates(points: Mapping[str, int]) -> list[str]:
    others = (_OTHER_WORDS | VAL_WORDS | TRAIN_WORDS | {"step"}) - TEST_WORDS
    return [
        tag
        for tag in points
        if split_words(tag) >= {"loss"} and split_words(tag) & TEST_WORDS and not split_words(tag) & others
    ]


def _val_candidates(points: Mapping[str, int]) -> list[str]:
    return [
        tag
        for tag in points
        if (
            split_words(tag) & LOSS_WORDS
            and split_words(tag) & VAL_WORDS
            and not split_words(tag) & (_OTHER_WORDS | {"step"})
        )
        or _plain(tag) in _VAL.split()
    ]


def _val_sets(points: Mapping[str, int], first: str | None) -> tuple[str, ...]:
    """The validation sets, without the second name of one: ``val_loss_epoch`` beside ``val_loss``."""
    if first is None:
        return ()
    sets = {_plain(first).removesuffix("_epoch"): first}
    for tag in sorted(_val_candidates(points)):
        sets.setdefault(_plain(tag).removesuffix("_epoch"), tag)
    return tuple(sets.values())


def _known(points: Mapping[str, int], names: Sequence[str], what: str) -> Choice:
    """A tag of a known name, and no guess: what merely sounds like it would falsify every number made of it."""
    usual = [tag for tag in points if _plain(tag) in names]
    if not usual:
        return Choice(None, f"no tag looks like {what}")
    return Choice(min(usual, key=lambda tag: (names.index(_plain(tag)), tag)), f"a usual name for {what}")


def _guess_lr(points: Mapping[str, int]) -> Choice:
    return _best(points, _lr_candidates(points), _LR.split(), "the learning rate")


def _lr_candidates(points: Mapping[str, int]) -> list[str]:
    return [
        tag
        for tag in points
        if (
            split_words(tag) & {"lr", "lrs"}
            or ("learning" in split_words(tag) and split_words(tag) & {"rate", "rates"})
        )
        and not split_words(tag) & {"momentum", "decay"}
    ]


def _best(points: Mapping[str, int], candidates: Sequence[str], names: Sequence[str], what: str) -> Choice:
    """The first known name; else the candidate with the most rows, the first by name where they tie.

    A single row is no curve where others have several: the mean over a whole run that Hugging Face logs at its end.
    """
    usual = [tag for tag in candidates if _plain(tag) in names]
    if usual:
        curves = [tag for tag in usual if points[tag] > 1]
        best = min(curves or usual, key=lambda tag: (names.index(_plain(tag)), -points[tag], tag))
        return Choice(best, f"a usual name for {what}")
    if not candidates:
        return Choice(None, f"no tag looks like {what}")
    best = min(candidates, key=lambda tag: (-points[tag], not split_words(tag) & _WHOLE, tag))
    others = sorted(set(candidates) - {best})
    beside = f"; also there: {', '.join(map(repr, others[:4]))}" if others else ""
    return Choice(best, f"a guess at {what}, by its name{beside}")


def split_words(name: str) -> set[str]:
    """The words of a name in lower case.

    Example:
        >>> sorted(split_words("Loss/train_step")), sorted(split_words("Cross-Entropy (dev)"))
        (['loss', 'step', 'train'], ['crossentropy', 'dev'])
    """
    return set(_split(name))


@lru_cache(maxsize=4096)
def _plain(tag: str) -> str:
    """A tag's words in lower case, joined by underscores: ``Train/Loss`` and ``train_loss`` are one name."""
    return "_".join(_split(tag))


@lru_cache(maxsize=4096)  # the runs of a fleet have the same tags
def _split(tag: str) -> tuple[str, ...]:
    words = re.split(r"[\W_]+", _CROSS_ENTROPY.sub("crossentropy", _CAMEL.sub("_Loss", tag).lower()))
    return tuple("loss" if word == "losses" else word for word in words if word)
