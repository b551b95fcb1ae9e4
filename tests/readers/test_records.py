"""Tables and records in the forms that people give them."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from curvecast.readers import UnreadableRun, read
from curvecast.readers.alike import Lines, read_alike
from curvecast.readers.formats import formats
from curvecast.readers.rows import Records
from tests.readers.printed import EPOCHS, LOGGED, curve, each, loss, only


@pytest.mark.parametrize("name", ["log.csv", "log.tsv"])
def test_decimal_commas_are_read(tmp_path: Path, name: str) -> None:
    mark = ";" if name.endswith("csv") else "\t"
    rows = [mark.join([f"{s},0" if s % 20 else str(s), str(loss(s)).replace(".", ",")]) for s in LOGGED]
    run = only(tmp_path, name, "\r\n".join([f"step{mark}train_loss", *rows]) + "\r\n")
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])


@pytest.mark.parametrize(
    "remarks", ["# seed 3\n# it's \"quoted\nstep,loss\n", "# step,loss\n", "#step,loss\n", "\ufeff# a\nstep,loss\n"]
)
def test_remarks_before_a_table_are_passed_over(tmp_path: Path, remarks: str) -> None:
    run = only(tmp_path, "log.csv", remarks + "".join(f"{s},{loss(s)}\n" for s in LOGGED))
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])


def test_a_large_table_with_decimal_commas_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curvecast.readers.arrow._LARGE", 0)
    text = "step;train_loss\n" + "".join(f"{s};{str(loss(s)).replace('.', ',')}\n" for s in LOGGED)
    assert curve(only(tmp_path, "log.csv", text), "train")[1] == [loss(s) for s in LOGGED]


def test_the_log_of_llama_factory_is_read_with_its_plan(tmp_path: Path) -> None:
    record = {"total_steps": 600, "lr": 1e-4, "epoch": 0.5, "percentage": 1.0, "elapsed_time": "0:01"}
    text = each(
        lambda s: json.dumps({"current_steps": s, "loss": loss(s), **record}) + "\n",
        lambda s: json.dumps({"current_steps": s, "eval_loss": round(loss(s) + 0.1, 4), **record}) + "\n",
    )
    run = only(tmp_path, "trainer_log.jsonl", text)
    assert (curve(run, "train")[0], len(curve(run, "val")[0]), run.meta["horizon"]) == (list(LOGGED), 6, 600)


def test_tensorboard_s_downloads_as_json_are_one_run(tmp_path: Path) -> None:
    for tag, shift in (("train_loss", 0.0), ("val_loss", 0.1)):
        triples = [[1.7e9 + s, s, loss(s) + shift] for s in LOGGED]
        (tmp_path / f"run-d12-tag-{tag}.json").write_text(json.dumps(triples))
    (run,) = read(tmp_path)
    assert (run.name, curve(run, "train")[0], len(curve(run, "val")[0])) == ("d12", list(LOGGED), len(LOGGED))


@pytest.mark.parametrize(
    "text", ["[[1, 2, 3], 4]", "[[1.0, 2, 3], [1e99, 2, 3]]", "[[1, 2, 3], [1, 2, 1e999]", "[" * 9999]
)
def test_a_download_that_is_broken_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run-d12-tag-train_loss.json"
    path.write_text(text)
    with pytest.raises(UnreadableRun, match=r"run-d12-tag-train_loss.json"):
        formats()["tag_csv"].read([path])


SIDED = {
    "log.jsonl": lambda s, side, value: json.dumps({"split": side, "step": s, "loss": value}) + "\n",
    "log.csv": lambda s, side, value: (
        ("step,phase,loss\n" if (s, side) == (10, "train") else "") + f"{s},{side},{value}\n"
    ),
    "tidy.csv": lambda s, side, value: (
        ("step,tag,value\n" if (s, side) == (10, "train") else "") + f"{s},{side}/loss,{value}\n"
    ),
    "both.csv": lambda s, side, value: (
        ("step,split,metric,value\n" if (s, side) == (10, "train") else "")
        + f"{s},{side},loss,{value}\n{s},{side},accuracy,0.5\n"
    ),
}


@pytest.mark.parametrize("form", ["{}-1", "{}_2.0", "{} 1E", "{}"])
def test_sides_are_told_apart_whatever_digits_stand_in_words(tmp_path: Path, form: str) -> None:
    text = "".join(
        json.dumps({"time": f"2023-01-01 10:00:{s:02d}", "step": s, "split": form.format(side), "loss": loss(s) + more})
        + "\n"
        for s in range(1, 60)
        for side, more in (("train", 0.0), ("val", 1.0))
    )
    run = only(tmp_path, "log.jsonl", text)
    assert curve(run, "train") == (list(range(1, 60)), [loss(s) for s in range(1, 60)])
    assert curve(run, "val") == (list(range(1, 60)), [loss(s) + 1 for s in range(1, 60)])


TIDY = {
    "log.jsonl": lambda s, tag, value: {"step": s, "metric": tag, "value": value},
    "mlflow.json": lambda s, tag, value: {"key": tag, "value": value, "timestamp": 1700000000000 + s, "step": s},
    "comet.json": lambda s, tag, value: {
        "metricName": tag.partition("/")[2], "metricValue": str(value), "timestamp": 1700000000000 + s, "step": s,
        "epoch": None, "runContext": "train" if tag.startswith("train") else "validate",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", TIDY)
def test_records_of_one_number_are_named_by_the_word_beside_it(tmp_path: Path, name: str) -> None:
    pairs = [(s, f"{side}/{metric}", value) for s in LOGGED for side, more in (("train", 0.0), ("val", 0.1))
             for metric, value in (("loss", round(loss(s) + more, 4)), ("top1", 0.5), ("top5", 0.6))]  # fmt: skip
    records = [TIDY[name](s, tag, value) for s, tag, value in pairs]
    text = json.dumps(records) if name.endswith(".json") else "".join(json.dumps(each) + "\n" for each in records)
    run = only(tmp_path, name, text)
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert curve(run, "val") == (list(LOGGED), [round(loss(s) + 0.1, 4) for s in LOGGED])


@pytest.mark.parametrize("name", SIDED)
@pytest.mark.parametrize("val", ["val", "valid", "validation", "eval"])
def test_losses_of_one_name_are_told_apart_by_their_side(tmp_path: Path, name: str, val: str) -> None:
    sides = (("train", 0.0), (val, 0.1))
    text = "".join(SIDED[name](s, side, round(loss(s) + more, 4)) for s in LOGGED for side, more in sides)
    run = only(tmp_path, name, text)
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert curve(run, "val") == (list(LOGGED), [round(loss(s) + 0.1, 4) for s in LOGGED])


@pytest.mark.parametrize("header", ["run,step,loss", "run_id,step,key,value"])
def test_a_table_of_several_runs_gives_each(tmp_path: Path, header: str) -> None:
    tag = "train_loss," if "key" in header else ""
    rows = "".join(f"{run},{s},{tag}{loss(s) + more}\n" for run, more in (("a", 0), ("b", 1)) for s in LOGGED)
    (tmp_path / "all.csv").write_text(f"{header}\n{rows}")
    runs = read(tmp_path)
    assert [run.name for run in runs] == ["all/a", "all/b"]
    assert [curve(run, "train") for run in runs] == [
        (list(LOGGED), [loss(s) + more for s in LOGGED]) for more in (0, 1)
    ]


@pytest.mark.parametrize("last", [1, 9])
def test_a_table_of_many_runs_gives_each_where_they_have_rows(tmp_path: Path, last: int) -> None:
    """A word in each row, such as a time, is the name of none; the first is read by row, the second by column."""
    for name, blank in (("rows.csv", "-"), ("columns.csv", "")):
        rows = "".join(f"r{k},{s},{2.0 + k + 1 / s},{blank}\n" for k in range(300) for s in range(1, last + 1))
        (tmp_path / name).write_text("run,step,loss,note\n" + rows)
        runs = read(tmp_path / name)
        assert len(runs) == (300 if last > 1 else 1)
        if last > 1:
            assert all(run.train_loss.tolist() == [2.0 + k + 1 / s for s in range(1, 10)] for k, run in enumerate(runs))
        else:
            assert any("'run' holds too many words" in note for note in runs[0].meta["notes"])  # type: ignore[attr-defined]


def test_a_table_whose_batches_begin_anew_goes_on(tmp_path: Path) -> None:
    rows = "".join(f"{e},{b},{loss(e * 500 + b + 1)}\n" for e in range(4) for b in range(0, 500, 50))
    run = only(tmp_path, "log.csv", "epoch,batch,loss\n" + rows)
    assert curve(run, "train")[0] == list(range(1, 2001, 50))


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_batch_that_stays_the_same_is_its_size(tmp_path: Path, name: str) -> None:
    records = [{"epoch": e, "batch": 64, "loss": loss(e)} for e in EPOCHS]
    text = "epoch,batch,loss\n" + "".join(",".join(map(str, record.values())) + "\n" for record in records)
    if name.endswith("jsonl"):
        text = "".join(json.dumps(record) + "\n" for record in records)
    assert curve(only(tmp_path, name, text), "train") == (list(EPOCHS), [loss(e) for e in EPOCHS])


def test_an_epoch_that_is_no_number_begins_nothing_anew(tmp_path: Path) -> None:
    records = [{"epoch": epoch, "step": s, "loss": loss(s)} for epoch in (1, math.inf, math.inf) for s in LOGGED]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [curve(run, "train")[0] for run in read(tmp_path)] == [list(LOGGED)] * 3  # three runs, for the loss tells


def test_a_counter_may_be_written_with_its_total(tmp_path: Path) -> None:
    text = each(
        lambda s: json.dumps({"loss": loss(s), "epoch": s / 150, "global_step/max_steps": f"{s}/600"}) + "\n",
        lambda s: json.dumps({"eval_loss": loss(s) + 1, "epoch": s / 150, "global_step/max_steps": f"{s}/600"}) + "\n",
    )
    run = only(tmp_path, "logging.jsonl", text)
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])
    assert (curve(run, "val")[0], run.meta["horizon"]) == ([100, 200, 300, 400, 500, 600], 600)


def test_epochs_in_fractions_count_nothing(tmp_path: Path) -> None:
    text = "".join(
        json.dumps({"loss": loss(s), "epoch": round(s / 77, 2)})
        + "\n"
        + (json.dumps({"eval_loss": loss(s) + 1, "epoch": round(s / 77, 2)}) + "\n") * (s % 100 == 0)
        for s in LOGGED
    )
    run = only(tmp_path, "log.jsonl", text)
    assert curve(run, "train") == (list(range(1, 61)), [loss(s) for s in LOGGED])
    assert curve(run, "val")[0] == [10, 20, 30, 40, 50, 60]
    assert "the records of the training loss are counted" in str(run.meta["notes"])
    (tmp_path / "h.json").write_text(json.dumps([json.loads(line) for line in text.splitlines()]))
    assert curve(read(tmp_path / "h.json")[0], "train")[0] == list(range(1, 61))


@pytest.mark.parametrize(
    ("head", "record"),
    [
        ("json_stats: ", {"eta": "1:00:00", "iter": 1, "loss": "2.5", "loss_bbox": "0.1", "lr": 0.0025}),
        ("2024-01-01 10:00:00,123 - INFO - ", {"step": 1, "train_loss": 2.5, "note": "a: b"}),
        ("DLLL ", {"timestamp": "1", "elapsedtime": "1", "step": [1, 1], "data": {"train_loss": 2.5}}),
    ],
)
def test_records_behind_what_a_logger_puts_before_them_are_read(
    tmp_path: Path, head: str, record: dict[str, object]
) -> None:
    def line(step: int) -> str:
        told = json.dumps(record).replace("2.5", str(loss(step)))
        return (
            head
            + told.replace('"iter": 1', f'"iter": {step}')
            .replace('"step": 1', f'"step": {step}')
            .replace("[1, 1]", f"[1, {step}]")
            + "\n"
        )

    run = only(tmp_path, "log.txt", "loading {1} of {2}\n" * 60 + "".join(map(line, LOGGED)))
    assert curve(run, "train") == (list(LOGGED), [loss(s) for s in LOGGED])


@pytest.mark.parametrize(("before", "after"), [("DLLL ", ""), ("\x1b[32mDLLL \x1b[0m", "\x1b[0m")])
def test_a_counter_of_epoch_and_step_goes_on_with_each_epoch(tmp_path: Path, before: str, after: str) -> None:
    steps = range(400)
    told = [{"step": [s // 100, s % 100], "data": {"train_loss": loss(s + 1)}} for s in steps]
    run = only(tmp_path, "log.txt", "".join(f"{before}{json.dumps(row)}{after}\n" for row in told))
    assert curve(run, "train") == ([s + 1 for s in steps], [loss(s + 1) for s in steps])


def test_a_loss_in_camel_case_is_one(tmp_path: Path) -> None:
    text = "".join(json.dumps({"epoch": e, "trainLoss": loss(e), "valLoss": loss(e) + 1}) + "\n" for e in EPOCHS)
    run = only(tmp_path, "log.jsonl", text)
    assert (curve(run, "train")[1], run.points("val")) == ([loss(e) for e in EPOCHS], len(EPOCHS))


@pytest.mark.parametrize(("name", "unit"), [("round", None), ("samples_seen", "sample")])
def test_what_counts_may_have_a_rarer_name(tmp_path: Path, name: str, unit: str | None) -> None:
    run = only(tmp_path, "log.csv", f"{name},train_loss\n" + "".join(f"{s},{loss(s)}\n" for s in LOGGED))
    assert (curve(run, "train")[0], run.meta.get("unit")) == (list(LOGGED), unit)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ({"type": "train"}, {"type": "eval"}),
        ({"event": "TRAIN"}, {"event": "EVAL"}),
        ({"msg": "train_step"}, {"msg": "validation"}),
        ({"dataset": "train"}, {"dataset": "val"}),
        ({"is_train": True}, {"is_train": False}),
        ({"split": "train"}, {"split": "val"}),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("count", [60, 600])  # many records are read alike
def test_the_side_of_a_record_stands_under_many_names(
    tmp_path: Path, train: dict[str, object], held_out: dict[str, object], nested: bool, count: int
) -> None:
    def record(of: dict[str, object], step: int, value: float) -> str:
        return json.dumps({**of, "step": step, **({"metrics": {"loss": value}} if nested else {"loss": value})}) + "\n"

    steps = range(1, count + 1)
    text = "".join(record(train, s, loss(s)) + record(held_out, s, loss(s) + 1) * (s % 10 == 0) for s in steps)
    run = only(tmp_path, "log.jsonl", text)
    assert curve(run, "train") == (list(steps), [loss(s) for s in steps])
    assert curve(run, "val")[0] == list(range(10, count + 1, 10))


def test_a_word_that_says_more_than_its_side_is_a_label(tmp_path: Path) -> None:
    text = "".join(json.dumps({"name": "test run", "event": "log", "step": s, "loss": loss(s)}) + "\n" for s in LOGGED)
    assert curve(only(tmp_path, "log.jsonl", text), "train")[0] == list(LOGGED)


def test_the_side_of_a_row_stands_under_many_names(tmp_path: Path) -> None:
    rows = "".join(f"{s},train,{loss(s)}\n{s},eval,{loss(s) + 1}\n" for s in LOGGED)
    run = only(tmp_path, "log.csv", "step,type,loss\n" + rows)
    assert (curve(run, "train")[1], run.points("val")) == ([loss(s) for s in LOGGED], 60)
    rows = "".join(f"{s},adam,{loss(s)}\n" for s in LOGGED)
    assert curve(only(tmp_path, "log.csv", "step,name,loss\n" + rows), "train")[1] == [loss(s) for s in LOGGED]


@pytest.mark.parametrize("name", ["test", "eval", "train"])
@pytest.mark.parametrize("under", ["name", "dataset", "tag"])
@pytest.mark.parametrize("count", [20, 600])  # many records are read alike
def test_a_run_may_be_called_by_a_side(tmp_path: Path, name: str, under: str, count: int) -> None:
    steps = range(1, count + 1)
    text = "".join(json.dumps({under: name, "step": s, "loss": loss(s), "val_loss": loss(s) + 1}) + "\n" for s in steps)
    run = only(tmp_path, "log.jsonl", text)
    assert (curve(run, "train")[1], curve(run, "val")[1]) == ([loss(s) for s in steps], [loss(s) + 1 for s in steps])


def test_a_side_under_a_label_tells_apart_what_else_has_none(tmp_path: Path) -> None:
    text = "".join(
        json.dumps({"step": s, "loss": loss(s)})
        + "\n"
        + json.dumps({"tag": "val", "step": s, "loss": loss(s) + 1})
        + "\n"
        for s in LOGGED
    )
    run = only(tmp_path, "log.jsonl", text)
    assert (curve(run, "train")[1], curve(run, "val")[1]) == ([loss(s) for s in LOGGED], [loss(s) + 1 for s in LOGGED])


ROWS = [{"step": s, "loss": loss(s)} for s in LOGGED]


def test_records_of_several_runs_side_by_side_are_not_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "meta.json"
    path.write_text(json.dumps({"runs": {"a": {"endpoints": ROWS}, "b": {"endpoints": ROWS[:9]}}}))
    with pytest.raises(FileNotFoundError, match="no log in"):
        read(tmp_path)


def test_records_of_both_sides_within_others_are_one_run(tmp_path: Path) -> None:
    held_out = [{"step": s, "loss": loss(s) + 1} for s in LOGGED]
    run = only(tmp_path, "log.json", json.dumps({"train": {"epochs": ROWS}, "val": {"epochs": held_out}}))
    assert (curve(run, "train")[1], curve(run, "val")[1]) == ([loss(s) for s in LOGGED], [loss(s) + 1 for s in LOGGED])


def test_results_of_many_numbers_are_looked_at_in_no_time(tmp_path: Path) -> None:
    """A pattern that may read blanks in two ways tries them all: two to the power of the names before the loss."""
    numbers = ",\n".join(f'      "quantity_{k}": {k}.5' for k in range(29))
    (tmp_path / "results.json").write_text('{"rows": {\n' + numbers + ',\n      "name": "a"\n    }\n}')
    with pytest.raises(FileNotFoundError, match="no log in"):
        read(tmp_path)


@pytest.mark.parametrize("first", ["start no. 1", "gpt-2", "RUN 1E-3"])
@pytest.mark.parametrize("words", [("train", "val"), ("TRAIN", "EVAL")])
def test_a_first_word_with_digits_does_not_hide_the_sides_of_later_records(
    tmp_path: Path, first: str, words: tuple[str, str]
) -> None:
    steps = range(1, 600)
    rows = [
        {"event": word, "step": s, "loss": loss(s) + more}
        for s in steps
        for word, more in zip(words, (0, 1), strict=True)
    ]
    text = "".join(json.dumps(row) + "\n" for row in [{"event": first, "step": 0, "loss": 9.5}, *rows])
    run = only(tmp_path, "log.jsonl", text)
    assert curve(run, "val")[1] == [loss(s) + 1 for s in steps]


def test_the_name_of_a_run_keeps_no_records_from_being_read_alike() -> None:
    records, lines = Records(), b'{"name": "gpt-2", "step": 1, "loss": 2.5}\n' * 40
    assert not list(read_alike(Lines(lines), 0, records))
    assert int(records.columns["loss"].there(40).sum()) == 40


def test_a_file_of_one_long_line_is_passed_over_in_no_time(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text("[" + "1," * 40_000 + "1]")
    begun = time.process_time()
    with pytest.raises(UnreadableRun, match=r"no list of records with a step.* in vocabulary\.json"):
        read(path)
    assert time.process_time() - begun < 2.0  # each name was looked for among all
