from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from curvecast.readers import read
from curvecast.readers.base import UnreadableRun
from curvecast.readers.tabular import read_table

Table = dict[str, list[tuple[int, float]]]


def write(folder: Path, text: str, name: str = "metrics.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table(path: Path) -> Table:
    series = read_table(path).series
    return {t: list(zip(rows.steps.tolist(), rows.values.tolist(), strict=True)) for t, rows in series.items()}


def test_blanks_are_not_logged(tmp_path: Path) -> None:
    path = write(tmp_path, "epoch,step,train_loss,val_loss\r\n0,0,2.5,\r\n0,1,2.25,\r\n0,1,,2.375\r\n")
    assert table(path) == {
        "epoch": [(0, 0.0), (1, 0.0), (1, 0.0)],
        "train_loss": [(0, 2.5), (1, 2.25)],
        "val_loss": [(1, 2.375)],
    }


def test_values_are_read_to_the_last_digit(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 2.0**-149]
    path = write(tmp_path, "step,loss\n" + "\n".join(f"{i},{v!r}" for i, v in enumerate(values)) + "\n")
    assert [v for _, v in table(path)["loss"]] == values


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "Infinity", " NAN "])
def test_nan_and_inf_are_logged_values(tmp_path: Path, text: str) -> None:
    ((step, value),) = table(write(tmp_path, f"step,loss\n7,{text}\n"))["loss"]
    assert step == 7
    assert not math.isfinite(value)


@pytest.mark.parametrize("step", ["100", "100.0", "1e2", " 100 ", '"100"'])
def test_steps_may_be_written_as_floats(tmp_path: Path, step: str) -> None:
    assert table(write(tmp_path, f"step,loss\n{step},2.5\n")) == {"loss": [(100, 2.5)]}


@pytest.mark.parametrize("name", ["step", "Step", "global_step", "_step", "iteration", "iter"])
def test_usual_step_columns_are_known(tmp_path: Path, name: str) -> None:
    assert table(write(tmp_path, f"loss,{name}\n2.5,3\n")) == {"loss": [(3, 2.5)]}


def test_dots_between_thousands_are_none_before_decimals(tmp_path: Path) -> None:
    german = "step;loss;lr\n900;1.234,5;0,1\n1.000;4,25;0,1\n12.345.678;4,0;0,1\n"
    assert table(write(tmp_path, german))["loss"] == [(900, 1234.5), (1000, 4.25), (12345678, 4.0)]
    saved = "step\tloss\n1.000\t4.250\n2.000\t4.000\n"  # as numpy.savetxt writes it with "%.3f"
    assert table(write(tmp_path, saved, "metrics.tsv"))["loss"] == [(1, 4.25), (2, 4.0)]


def test_of_columns_of_one_name_the_first_is_read_and_that_is_said(tmp_path: Path) -> None:
    log = read_table(write(tmp_path, "step,loss,loss,,\n1,2.5,9.0,,\n2,2.25,9.0,,\n"))
    assert log.series["loss"].values.tolist() == [2.5, 2.25]
    assert log.notes.lost == ["metrics.csv: 'loss' names more than one column: the first is read"]


def test_rows_behind_a_quote_that_is_never_closed_are_said_to_be_left_out(tmp_path: Path) -> None:
    rows = "".join(f"{step},2.5,fine\n" for step in range(3, 9))
    log = read_table(write(tmp_path, f'step,loss,note\n1,2.5,"two\nlines"\n2,2.5,"odd\n{rows}'))
    assert log.series["loss"].steps.tolist() == [1, 2]
    assert log.notes.lost == ["metrics.csv: a quote in line 4 is never closed: what follows is left out"]
    assert read_table(write(tmp_path, 'step,loss,note\n1,2.5,"two\nlines"\n')).notes.lines == []


def test_step_goes_before_other_counts(tmp_path: Path) -> None:
    assert table(write(tmp_path, "iter,step,loss\n9,3,2.5\n"))["loss"] == [(3, 2.5)]


def test_a_byte_order_mark_and_tabs_are_read(tmp_path: Path) -> None:
    assert table(write(tmp_path, "\ufeffstep\tloss\n3\t2.5\n", "log.tsv")) == {"loss": [(3, 2.5)]}


def test_text_among_numbers_is_left_out_and_told(tmp_path: Path) -> None:
    log = read_table(write(tmp_path, "step,loss\n1,2.5\n2,oops\n3,1_0\n4,2.25\n"))
    assert log.series["loss"].steps.tolist() == [1, 4]
    assert log.notes.lost == [
        "metrics.csv: 2 entries left out: line 3 has 'oops' for 'loss'; line 4 has '1_0' for 'loss'"
    ]


def test_a_column_of_text_is_a_label(tmp_path: Path) -> None:
    log = read_table(write(tmp_path, "step,host,loss\n1,a,2.5\n2,b,2.25\n"))
    assert set(log.series) == {"loss"}
    assert log.notes.lines == []


@pytest.mark.parametrize("step", ["", "x", "0.5", "nan", "inf", "1e300"])
def test_a_row_without_a_step_is_left_out_and_told(tmp_path: Path, step: str) -> None:
    log = read_table(write(tmp_path, f"step,loss\n1,2.5\n{step},9\n2,2.25\n"))
    assert log.series["loss"].steps.tolist() == [1, 2]
    assert "line 3 has" in log.notes.lost[0]


def test_a_number_cut_short_is_no_number_though_most_rows_leave_it_blank(tmp_path: Path) -> None:
    log = read_table(write(tmp_path, "step,train_loss,val_loss\n1,2.75,\n2,2.5,2.625\n3,2.25,\n4,2.125,2"))
    assert log.series["val_loss"].values.tolist() == [2.625]
    assert log.notes.lost == ["metrics.csv: the last row breaks off, and is left out"]


def test_a_row_cut_short_is_left_out_and_told(tmp_path: Path) -> None:
    log = read_table(write(tmp_path, "step,loss,lr\n1,2.5,0.1\n2,2.2"))
    assert log.series["loss"].steps.tolist() == [1]
    assert "line 3 has 2 cells for 3 columns" in log.notes.lost[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "metrics.csv is empty"),
        ("\n", "no step column in metrics.csv: .* got no header at all"),
        ("time,train_loss\n1,2.5\n", "looked for 'step', .* got 'time', 'train_loss'"),
        ("step,loss\n", "no numbers in metrics.csv"),
        ("step,loss\nx,y\n", "no numbers in metrics.csv"),
        ("\0\1\2\3", "no step column"),
        ("step,loss\n1," + "9" * 200_000 + "\n", "cannot read metrics.csv: field larger"),
    ],
    ids=["empty", "no header", "no step", "no rows", "all text", "binary", "a huge cell"],
)
def test_tables_that_hold_no_curve_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableRun, match=message):
        read_table(write(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(bytes(range(256)) * 16)
    with pytest.raises(UnreadableRun, match="no step column"):
        read_table(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_table_in_utf16_says_that_it_is(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes("\ufeffstep,loss\n1,2.5\n".encode(encoding))
    with pytest.raises(UnreadableRun, match=r"metrics.csv is written in UTF-16. Save it as UTF-8."):
        read_table(path)


@pytest.mark.parametrize("spoil", ["", "7,oops,,\n", "7,1_0,,\n", "7,2\n", ",2,,\n", "7.5,2,,\n", '"9"," 2.5 ",NaN,\n'])
def test_a_large_table_is_read_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str) -> None:
    pytest.importorskip("pyarrow")
    rows = [
        f"{s},{2 + 1 / s!r},{2.5 if s % 3 == 0 else ''},{['nan', 'inf', '-inf', 'NaN'][s % 4]}" for s in range(1, 50)
    ]
    path = write(tmp_path, "step,loss,val_loss,grad\n" + "\n".join(rows) + "\n" + spoil)
    slow = read_table(path)
    monkeypatch.setattr("curvecast.readers.arrow._LARGE", 0)
    fast = read_table(path)
    assert list(fast.series) == list(slow.series)
    for tag, series in slow.series.items():
        for one, other in ((series.steps, fast.series[tag].steps), (series.values, fast.series[tag].values)):
            assert one.tobytes() == other.tobytes() or (
                one.size == other.size and str(one.tolist()) == str(other.tolist())
            )
    assert fast.notes.lost == slow.notes.lost


@pytest.mark.parametrize(
    "cell", ["a", "2024-01-{s:02d} 10:00:00", "2024-01-01T10:00:{s:02d}Z", "true", "n/a", "1_0", ""]
)
def test_a_large_table_with_labels_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str) -> None:
    pytest.importorskip("pyarrow")
    rows = "".join(f"{s},{2 + 1 / s!r},{cell.format(s=s)},{s}e-3\n" for s in range(1, 50))
    path = write(tmp_path, "step,loss,label,lr\n" + rows)
    slow = read_table(path)
    monkeypatch.setattr("curvecast.readers.arrow._LARGE", 0)
    monkeypatch.setattr("curvecast.readers.layout.Layout.rows", lambda *_: pytest.fail("read row by row"))
    fast = read_table(path)
    assert list(fast.series) == list(slow.series) == ["loss", "lr"]
    for tag, series in slow.series.items():
        assert fast.series[tag].steps.tolist() == series.steps.tolist()
        assert fast.series[tag].values.tolist() == series.values.tolist()
    assert fast.notes.lost == slow.notes.lost


@pytest.mark.parametrize("column", ["type", "dataset", "run", "split", "phase"])
def test_a_large_table_with_a_column_of_words_is_read_alike_by_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    pytest.importorskip("pyarrow")
    rows = "".join(f"{s},{(' train', 'val', 'train')[s % 3]},{3 - 0.001 * s:.3f},0.1\n" for s in range(1, 200))
    path = write(tmp_path, f"step,{column},loss,lr\n{rows}")
    slow = read(path)
    monkeypatch.setattr("curvecast.readers.arrow._LARGE", 0)
    fast = read(path)
    assert [run.name for run in slow] == [run.name for run in fast]
    for one, other in zip(slow, fast, strict=True):
        for of in ("steps", "train_loss", "val_loss", "lr"):
            assert np.array_equal(getattr(one, of), getattr(other, of), equal_nan=True)
