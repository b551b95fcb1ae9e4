from __future__ import annotations

import pytest

from curvecast.readers import UnknownTag
from curvecast.readers.tags import choose_tags, contested


@pytest.mark.parametrize(
    ("tags", "train", "val", "lr"),
    [
        ("train_loss val_loss", "train_loss", "val_loss", None),
        ("train_loss_step train_loss_epoch val_loss epoch lr-SGD", "train_loss_epoch", "val_loss", "lr-SGD"),
        ("train/loss val/loss learning_rate", "train/loss", "val/loss", "learning_rate"),
        ("Loss/train Loss/valid", "Loss/train", "Loss/valid", None),
        ("loss valid_loss lr", "loss", "valid_loss", "lr"),
        ("train_loss_epoch val_loss_epoch val_loss_step", "train_loss_epoch", "val_loss_epoch", None),
        ("training_loss validation_loss test_loss", "training_loss", "validation_loss", None),
        ("loss lr-AdamW/pg1 lr-AdamW/pg2 lr-AdamW-momentum", "loss", None, "lr-AdamW/pg1"),
        ("loss lr-SGD-weight_decay", "loss", None, None),
        ("val_loss/dataloader_idx_0 val_loss/dataloader_idx_1", None, "val_loss/dataloader_idx_0", None),
        ("ce_loss", "ce_loss", None, None),
        ("val_loss_step", None, None, None),
        ("loss_scale grad_loss test_loss best_val_loss", None, None, None),
        ("accuracy glossary floss", None, None, None),
        ("lm loss|lm loss validation|lm loss vs samples|lm loss validation ppl|learning-rate|load_balancing_loss",
         "lm loss", "lm loss validation", "learning-rate"),
        ("train/lm_loss validation/lm_loss train/learning_rate", "train/lm_loss", "validation/lm_loss",
         "train/learning_rate"),
        ("loss_metrics/global_avg_loss loss_metrics/global_max_loss validation_metrics/loss lr",
         "loss_metrics/global_avg_loss", "validation_metrics/loss", "lr"),
        ("train/CE loss|train/Z loss|optim/LR (group 0)", "train/CE loss", None, "optim/LR (group 0)"),
        ("train/cross_entropy_loss eval/cross_entropy_loss", "train/cross_entropy_loss",
         "eval/cross_entropy_loss", None),
        ("reduced_train_loss val_loss lr", "reduced_train_loss", "val_loss", "lr"),
        ("Train/Samples/train_loss Train/Samples/lr", "Train/Samples/train_loss", None, "Train/Samples/lr"),
        ("loss/train/total metrics/eval/LanguageCrossEntropy", "loss/train/total",
         "metrics/eval/LanguageCrossEntropy", None),
        ("train/epoch_loss validation/epoch_loss validation/evaluation_loss_vs_iterations", "train/epoch_loss",
         "validation/epoch_loss", None),
        ("eval_wiki_loss eval_code_loss loss learning_rate", "loss", "eval_code_loss", "learning_rate"),
        ("test-tokens/avg_loss", None, "test-tokens/avg_loss", None),
        ("train_losses val_losses", "train_losses", "val_losses", None),
        ("training_loss testing_loss", "training_loss", "testing_loss", None),
        ("train_loss test_loss val_loss", "train_loss", "val_loss", None),
        ("train_loss test_loss_step test_train_loss", "train_loss", None, None),
        ("loss predict_loss eval_loss", "loss", "eval_loss", None),
        ("train_elbo_loss train_recon_loss val_elbo_loss val_recon_loss", "train_elbo_loss", "val_elbo_loss", None),
        ("curvecast/train_loss curvecast/val_loss curvecast/lr train_loss val_loss lr-SGD",
         "curvecast/train_loss", "curvecast/val_loss", "curvecast/lr"),
        ("curvecast/train_loss train_loss val_loss lr-SGD", "curvecast/train_loss", None, None),
        ("curvecast/val_loss val_loss train_loss", "train_loss", "curvecast/val_loss", None),
    ],
)  # fmt: skip
def test_tags_are_found_by_name(tags: str, train: str | None, val: str | None, lr: str | None) -> None:
    choices = choose_tags(dict.fromkeys(tags.split("|" if "|" in tags else None), 10))
    assert (choices.train.tag, choices.val.tag, choices.lr.tag) == (train, val, lr)


def test_of_unknown_names_the_one_with_most_points_is_a_guess() -> None:
    choice = choose_tags({"a_loss": 5, "b_loss": 50, "c_loss": 5}).train
    assert choice.tag == "b_loss"
    assert choice.reason == "a guess at the training loss, by its name; also there: 'a_loss', 'c_loss'"


def test_a_tag_that_is_asked_for_goes_before_all_others() -> None:
    points = dict.fromkeys(["train_loss", "curvecast/train_loss", "perplexity", "val_loss"], 1)
    choices = choose_tags(points, train_tag="perplexity", val_tag="train_loss")
    assert (choices.train.tag, choices.val.tag) == ("perplexity", "train_loss")
    assert choices.train.reason == "as asked"


def test_an_unknown_tag_lists_what_is_there_nearest_first() -> None:
    points = dict.fromkeys(["epoch", "train/loss", "val/loss", "損失"], 1)
    with pytest.raises(UnknownTag, match=r"tag 'loss' is not in the log. Tags there: 'val/loss', 'train/loss'.*'損失'"):
        choose_tags(points, train_tag="loss")
    with pytest.raises(KeyError, match=r"Pass 'val/loss' as --val-tag \(val_tag=\)\.$"):
        choose_tags(points, val_tag="val_loss")


def test_a_long_list_of_tags_is_cut() -> None:
    with pytest.raises(UnknownTag, match="and 80 more"):
        choose_tags({f"tag{i}": 1 for i in range(100)}, train_tag="loss")


def test_losses_that_nothing_tells_apart_are_named() -> None:
    assert choose_tags({"loss_d": 5, "loss_g": 5}).tied == ("loss_d", "loss_g")
    assert choose_tags({"loss_d": 5, "loss_g": 5}, train_tag="loss_d").tied == ()
    assert choose_tags({"loss": 5, "loss_g": 5}).tied == ()


def test_the_second_name_of_a_validation_set_is_no_set_of_its_own() -> None:
    points = dict.fromkeys(["val_loss", "val_loss_epoch", "val_loss/wiki", "loss"], 3)
    assert choose_tags(points).val_sets == ("val_loss", "val_loss/wiki")


@pytest.mark.parametrize(
    ("steps", "epochs", "taken"), [(80, 9, "step"), (9, 9, "epoch"), (2, 8, "epoch"), (1, 0, "step")]
)
def test_of_lightnings_two_names_the_one_with_more_rows_is_taken_and_else_the_mean(
    steps: int, epochs: int, taken: str
) -> None:
    points = {"train_loss_step": steps, "train_loss_epoch": epochs}
    choice = choose_tags({tag: count for tag, count in points.items() if count}).train
    assert choice.tag == f"train_loss_{taken}"


def test_an_error_of_validation_is_named_where_no_loss_is_there() -> None:
    assert "pass --val-tag 'Valid MSE'" in choose_tags({"Train loss": 9, "Valid MSE": 9}).val.reason
    assert "pass" not in choose_tags({"Train loss": 9, "Valid MSE": 9, "val_loss": 9}).val.reason


def test_a_test_at_the_end_is_no_curve_of_validation() -> None:
    assert choose_tags({"train_loss": 50, "test_loss": 1}).val.tag is None
    assert choose_tags({"train_loss": 50, "test_loss": 9}).val.reason == "a test loss, there being no validation loss"
    assert contested(["train_loss", "test_loss"]) == ("test_loss",)
