"""The page as a place to work in: filters, keys, a narrow window, growing logs, logs that are odd."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.curvecast_tensorboard.browser.conftest import Board, OpenTab, StartBoard, Tab
from tests.curvecast_tensorboard.browser.demo import OVERFITS, SEEN, WATCHED, plan, plans
from tests.curvecast_tensorboard.browser.logs import Row, Writer, power_law, small_run, write

NARROW = 420


def names(tab: Tab) -> list[str]:
    return tab.frame.locator("#runs tbody td.name").all_inner_texts()


def test_the_table_is_filtered_by_a_regular_expression(tab: Tab) -> None:
    frame = tab.open(own=plans())
    frame.locator("#filter").fill("w(48|32)")
    assert names(tab) == ["gpt-w32-b6-cosine", "gpt-w48-b6-cosine"]
    frame.locator("#filter").fill("w(48")
    expect(frame.locator("#filter")).to_have_attribute("aria-invalid", "true")
    assert len(names(tab)) == len(SEEN) + 1
    frame.locator("#filter").fill("nothing is called this")
    expect(frame.get_by_text("No run fits the filter")).to_be_visible()
    frame.get_by_role("button", name="Show all runs").click()
    assert len(names(tab)) == len(SEEN) + 1


def test_the_table_is_sorted_by_a_column_both_ways(tab: Tab) -> None:
    frame = tab.open(own=plans())
    frame.get_by_role("button", name="now").click()
    rising = [float(text) for text in frame.locator("[data-cell=loss]").all_inner_texts()]
    frame.get_by_role("button", name="now").click()
    falling = [float(text) for text in frame.locator("[data-cell=loss]").all_inner_texts()]
    assert rising == sorted(rising)
    assert falling == rising[::-1]


def test_each_verdict_is_counted_among_the_runs_that_fit_the_filter(tab: Tab) -> None:
    frame = tab.open(own=plans())
    every = frame.locator("[data-kind='']")
    expect(every).to_have_text(f"all {len(SEEN) + 1}")
    frame.locator("#filter").fill("w(48|32)")
    expect(every).to_have_text("all 2")


def test_what_the_table_shows_is_saved_with_all_its_digits(tab: Tab) -> None:
    frame = tab.open(own=plans(), q="w(48|32)", sort="forecast")
    with tab.page.expect_download() as found:
        frame.get_by_role("button", name="CSV").click()
    assert found.value.suggested_filename == "curvecast-runs.csv"
    rows = list(csv.DictReader(found.value.path().read_text().splitlines()))
    assert [row["run"] for row in rows] == names(tab)
    for row in rows:
        assert float(row["forecast"]) == pytest.approx(float(tab.cell(row["run"], "median")), abs=5.1e-4)
        assert float(row["lower_90"]) < float(row["forecast"]) < float(row["upper_90"])


def test_a_name_is_neither_markup_in_the_page_nor_a_formula_in_a_spreadsheet(
    start_board: StartBoard, open_tab: OpenTab, tmp_path: Path
) -> None:
    run = '=1+1,"<img src=x onerror=alert(1)>'
    for name in (run, "other"):
        write(tmp_path / name, power_law(300))
    tab = open_tab(start_board(tmp_path))
    frame = tab.open(picked=[run, "other"])
    expect(frame.locator("#runs tbody tr")).to_have_count(2)
    with tab.page.expect_download() as found:
        frame.get_by_role("button", name="CSV").click()
    with found.value.path().open(newline="") as file:
        assert {row["run"] for row in csv.DictReader(file)} == {f"'{run}", "other"}
    tab.go("Compare")
    tab.settled()
    expect(frame.locator("[data-table=compared], #comparison .main-svg").first).to_be_visible()
    assert frame.locator("img").count() == 0


def test_tab_stops_at_one_row_of_the_table(tab: Tab) -> None:
    frame = tab.open(own=plans())
    stops = frame.locator("#runs tbody tr[tabindex='0']")
    expect(stops).to_have_attribute("data-run", names(tab)[0])
    stops.press("ArrowDown")
    expect(stops).to_have_attribute("data-run", names(tab)[1])
    frame.locator("#filter").fill(OVERFITS)
    expect(stops).to_have_attribute("data-run", OVERFITS)


MANY = [f"lr={rate} seed={seed}" for rate in ("0.0001", "0.001", "0.02") for seed in range(10)]


def test_the_table_stays_where_it_is_while_a_run_grows(
    start_board: StartBoard, open_tab: OpenTab, tmp_path: Path
) -> None:
    for name in MANY[1:]:
        write(tmp_path / name, power_law(40))
    writer = Writer(tmp_path / MANY[0]).extend(power_law(40))
    tab = open_tab(start_board(tmp_path), height=560)
    frame = tab.open()
    expect(tab.row(MANY[0])).to_contain_text("40 / ?")
    assert names(tab) == MANY  # by their numbers, not by their digits
    tab.row(MANY[20]).focus()
    box = frame.locator(".scroll.tall")
    place = box.evaluate("node => node.scrollTop = 333")
    writer.extend(power_law(60)[40:])
    expect(tab.row(MANY[0])).to_contain_text("60 / ?")
    assert box.evaluate("node => node.scrollTop") == place
    expect(tab.row(MANY[20])).to_be_focused()
    tab.row(MANY[20]).press("Enter")
    expect(frame.locator("#run")).to_have_value(MANY[20])
    frame.locator("#view").press("1")  # and back
    expect(tab.row(MANY[20])).to_be_focused()
    assert box.evaluate("node => node.scrollTop") == place
    writer.close()


def test_a_curve_is_asked_for_once_while_the_table_is_fitted(
    start_board: StartBoard, open_tab: OpenTab, tmp_path: Path
) -> None:
    for name in MANY:
        write(tmp_path / name, power_law(300))
    tab = open_tab(start_board(tmp_path))
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url) if "/curve?" in request.url else None)
    frame = tab.open(view="Curve", run=MANY[-1])
    expect(frame.locator(".facts")).to_contain_text("step 300")
    tab.go("Runs")
    expect(frame.locator("#count")).to_have_text("30 runs")  # and none of them still being fitted
    assert len(asked) == 1


def test_what_was_unfolded_stays_so_while_a_run_grows(
    start_board: StartBoard, open_tab: OpenTab, tmp_path: Path
) -> None:
    writer = Writer(tmp_path / "live").extend(small_run(WATCHED, last=0.3))
    frame = open_tab(start_board(tmp_path)).open(view="Curve", run="live")
    frame.get_by_text("How the log was read").click()
    writer.extend(small_run(WATCHED, first=0.3, last=0.4))
    expect(frame.locator(".facts")).to_contain_text("step 1,000")
    expect(frame.locator("aside details")).to_have_attribute("open", "")
    writer.close()


def test_where_no_horizon_is_known_the_table_says_so_and_leads_to_the_plan(tab: Tab) -> None:
    hint = tab.open().locator("#endless")
    expect(hint).to_contain_text(f"{len(SEEN) + 1} runs without a known horizon: forecasts there are of the loss now.")
    hint.get_by_role("button").click()
    expect(tab.frame.get_by_role("dialog", name="Plan")).to_be_visible()
    expect(tab.open(own=plans()).locator("#endless")).to_be_hidden()


def test_a_run_on_track_whose_plan_is_over_is_finished(tab: Tab) -> None:
    tab.open(own=plans())
    for name in (name for name, share in SEEN.items() if share == 1.0):
        expect(tab.row(name).locator(".chip")).to_contain_text("finished")
    expect(tab.row(WATCHED).locator(".chip")).to_contain_text("on track")


def test_the_filter_tells_finished_runs_from_those_on_track(tab: Tab) -> None:
    frame = tab.open(own=plans())
    finished = [name for name, share in SEEN.items() if share == 1.0]
    frame.locator("[data-kind=over]").click()
    expect(frame.locator("#runs tbody tr")).to_have_count(len(finished))
    for name in finished:
        expect(tab.row(name)).to_be_visible()
    expect(frame.locator("[data-kind=over]")).to_have_text(f"finished {len(finished)}")
    frame.locator("[data-kind=go]").click()
    expect(tab.row(WATCHED)).to_be_visible()
    expect(tab.row(finished[0])).to_be_hidden()


def test_of_a_run_that_diverged_no_number_passes_for_its_present(
    start_board: StartBoard, open_tab: OpenTab, tmp_path: Path
) -> None:
    write(tmp_path / "gone", [*power_law(300), *((s, {"train/loss": math.nan}) for s in range(301, 380))])
    tab = open_tab(start_board(tmp_path))
    frame = tab.open()
    expect(frame.locator("[data-fact=loss]")).to_have_text("not finite")
    expect(frame.locator("[data-fact=loss]").locator("..")).to_contain_text("last training loss")
    tab.go("Runs")
    expect(tab.row("gone").locator("[data-cell=loss]")).to_have_text("not finite")
    tab.go("What if")
    expect(frame.locator("[data-fact=diverged]")).to_contain_text("go back to a checkpoint first")


def test_a_folder_of_one_run_opens_on_its_curve_until_somebody_asks_for_the_table(
    start_board: StartBoard, open_tab: OpenTab, tmp_path: Path
) -> None:
    write(tmp_path / "alone", power_law(200))
    tab = open_tab(start_board(tmp_path))
    frame = tab.open()
    expect(frame.get_by_role("tab", name="Curve", exact=True)).to_have_attribute("aria-selected", "true")
    tab.go("What if")
    expect(frame.locator("[data-fact=endless]")).to_contain_text("nothing is planned yet: move the slider")
    tab.go("Runs")
    tab.page.reload()
    expect(tab.row("alone")).to_be_visible()


def test_verdicts_are_told_in_words_and_picked_by_kind(tab: Tab) -> None:
    frame = tab.open(own=plans())
    frame.get_by_role("button", name="stop").click()
    assert OVERFITS in names(tab)
    words = frame.locator("#runs tbody .chip").all_inner_texts()
    assert all("stop: " in text for text in words)


def test_the_keys_do_what_the_help_says(tab: Tab) -> None:
    frame = tab.open(own=plans())
    view = frame.locator("main")
    frame.locator("#runs tbody tr").first.press("ArrowDown")
    frame.locator("#runs tbody tr").nth(1).press(" ")
    frame.locator("#runs tbody td.box").nth(2).click(position={"x": 3, "y": 3})  # beside the tick
    expect(frame.get_by_role("button", name="Compare 2")).to_be_visible()
    second = names(tab)[1]
    frame.locator("#runs tbody tr").nth(1).press("Enter")
    expect(view).to_have_attribute("aria-label", "Curve")
    expect(frame.locator("#run")).to_have_value(second)
    frame.locator("#view").press("]")
    expect(frame.locator("#run")).not_to_have_value(second)
    for key, name in zip("3456", ("Hindsight", "What if", "Compare", "Family"), strict=True):
        frame.locator("#view").press(key)
        expect(view).to_have_attribute("aria-label", name)
    frame.get_by_role("tab", name="Family").press("ArrowRight")
    expect(view).to_have_attribute("aria-label", "Runs")
    frame.locator("#view").press("/")
    expect(frame.locator("#filter")).to_be_focused()
    frame.locator("#filter").press("Escape")
    frame.locator("#view").press("?")
    expect(frame.get_by_role("dialog", name="keys")).to_be_visible()


def test_a_reload_shows_what_was_shown(tab: Tab) -> None:
    frame = tab.open(own=plans())
    tab.row(WATCHED).click()
    tab.go("What if")
    tab.page.reload()
    expect(frame.locator("main")).to_have_attribute("aria-label", "What if")
    expect(frame.locator("#run")).to_have_value(WATCHED)


def test_a_reload_asks_what_was_asked(tab: Tab) -> None:
    frame = tab.open(view="What if", run=WATCHED, own=plans())
    frame.get_by_label("train to step: exactly").fill("4k")
    frame.get_by_label("train to step: exactly").press("Enter")
    tab.settled()
    longer = tab.fact("whatif")
    assert longer != tab.fact("base")
    expect(frame.locator(".fact", has_text="what if")).to_contain_text("at 4,000")
    tab.go("Hindsight")
    slider = frame.get_by_label("as of step")
    slider.fill("60")
    tab.settled()
    said = tab.fact("then")
    tab.page.reload()
    expect(slider).to_have_value("60")
    tab.settled()
    assert tab.fact("then") == said
    tab.go("What if")
    assert tab.fact("whatif") == longer
    expect(frame.get_by_label("train to step: exactly")).to_have_value("4,000")
    frame.locator("#view").press("]")  # another run, of which nothing was asked
    tab.settled()
    expect(frame.get_by_role("button", name="Back to the plan")).to_be_hidden()


def test_a_link_to_another_state_is_followed(tab: Tab) -> None:
    frame = tab.open(own=plans())
    tab.open(view="Curve", run=OVERFITS, own=plans())
    expect(frame.locator("main")).to_have_attribute("aria-label", "Curve")
    expect(frame.locator("#run")).to_have_value(OVERFITS)


def test_a_narrow_window_needs_no_scrolling_sideways(open_tab: OpenTab, board: Board) -> None:
    tab = open_tab(board, width=NARROW, height=860)
    frame = tab.open(run=WATCHED, own=plans())
    for view in ("Runs", "Curve", "Hindsight", "What if", "Compare", "Family"):
        tab.go(view)
        widths = frame.locator("html").evaluate("node => [node.scrollWidth, node.clientWidth]")
        assert widths[0] <= widths[1] <= NARROW, view
        tab.picture(f"{view.lower().replace(' ', '-')}-narrow")


def test_the_theme_follows_tensorboard_while_the_page_is_open(tab: Tab) -> None:
    frame = tab.open(view="Curve", run=WATCHED, own=plans())
    tab.page.get_by_label("Menu for changing light or dark theme").click()
    tab.page.get_by_role("menuitem", name="Dark").click()
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    tab.settled()
    expect(frame.locator("#curve .main-svg").first).to_be_visible()


def test_the_plan_can_be_given_in_the_page(tab: Tab) -> None:
    frame = tab.open(view="Curve", run=WATCHED)
    before = tab.fact("forecast")
    frame.get_by_role("button", name="Plan", exact=True).click()
    frame.get_by_text(WATCHED).last.click()
    for name in ("horizon", "schedule"):
        frame.locator(f"dialog input[name={name}]").fill(plan(WATCHED)[name])
    frame.get_by_role("button", name="Apply").click()
    tab.settled()
    assert tab.fact("forecast") != before
    assert "at 2,500" in frame.locator(".fact", has_text="forecast").inner_text()
    tab.picture("curve-with-a-plan")  # which the README shows


@pytest.mark.parametrize("fast", [True, False], ids=["fast server", "Python server"])
def test_a_growing_run_is_followed_without_a_reload(
    start_board: StartBoard, open_tab: OpenTab, tmp_path: Path, fast: bool
) -> None:
    writer = Writer(tmp_path / "live").extend(small_run(WATCHED, last=0.3))
    tab = open_tab(start_board(tmp_path, fast=fast))
    frame = tab.open(own={"live": plan(WATCHED)})
    expect(tab.row("live")).to_contain_text("750 / 2,500")
    before = tab.cell("live", "median")
    writer.extend(small_run(WATCHED, first=0.3, last=0.5))
    expect(tab.row("live")).to_contain_text("1,250 / 2,500")
    assert tab.cell("live", "median") != before
    tab.go("Curve")
    assert "1,250" in frame.locator(".facts").inner_text()
    writer.extend(small_run(WATCHED, first=0.5, last=0.6))
    expect(frame.locator(".facts")).to_contain_text("step 1,500")
    write(tmp_path / "another", small_run("gpt-w48-b6-cosine", last=0.4))
    tab.go("Runs")
    expect(tab.row("another")).to_be_visible()
    writer.close()


def many_tags() -> list[Row]:
    extra = {f"metric/{i:05d}": 1.0 for i in range(10_000)}
    return [(step, {**values, **(extra if step == 1 else {})}) for step, values in power_law(200)]


ODD: dict[str, tuple[list[Row], str]] = {
    "nothing": ([(1, {})], "no scalars"),
    "one point": ([(1, {"train/loss": 3.0})], "not enough data"),
    "only NaN": ([(s, {"train/loss": float("nan")}) for s in range(1, 60)], "diverged"),
    "no loss": ([(s, {"accuracy": 0.1}) for s in range(1, 60)], "no loss found"),
    "損失 потеря خسارة": (power_law(300), ""),
    "many tags": (many_tags(), ""),
}


@pytest.fixture(scope="module")
def odd_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    folder = tmp_path_factory.mktemp("odd")
    for name, (rows, _) in ODD.items():
        write(folder / name, rows)
    with closing(Board(folder)) as board:
        yield board


def test_odd_runs_say_what_is_missing(open_tab: OpenTab, odd_board: Board) -> None:
    tab = open_tab(odd_board)
    frame = tab.open()
    for name, (_, words) in ODD.items():
        if words:
            expect(tab.row(name).locator(".chip")).to_contain_text(words)
    for name in ("one point", "only NaN", "no loss"):
        tab.go("Runs")
        tab.row(name).click()
        for view in ("Curve", "Hindsight", "What if"):
            tab.go(view)
            told = frame.locator(".told .notice")
            expect(told).to_be_visible()
            assert told.locator("p").first.inner_text(), f"{name}, {view}: says what to do"
    tab.picture("odd-no-loss")


def test_a_loss_can_be_picked_among_ten_thousand_tags(open_tab: OpenTab, odd_board: Board) -> None:
    tab = open_tab(odd_board)
    frame = tab.open(view="Curve", run="many tags")
    frame.get_by_role("button", name="change").click()
    tags = frame.get_by_role("dialog").get_by_role("listitem")
    expect(tags.first).to_contain_text("train/loss")
    assert tags.count() <= 200
    frame.get_by_label("search tags").fill("metric/04321")
    expect(tags).to_have_count(1)
    tags.get_by_role("button", name="validation loss").click()
    tab.settled()
    assert "metric/04321" in tab.fact("tags")


def test_an_empty_folder_says_what_to_do(open_tab: OpenTab, start_board: StartBoard, tmp_path: Path) -> None:
    tab = open_tab(start_board(tmp_path))
    frame = tab.open()
    for view in ("Runs", "Curve", "Hindsight", "What if", "Compare"):
        tab.go(view)
        expect(frame.locator(".notice").first).to_contain_text("o")
    tab.go("Runs")
    expect(frame.locator(".notice")).to_contain_text("tensorboard --logdir")
    write(tmp_path / "first", small_run("gpt-w48-b6-cosine", last=0.4))
    expect(tab.row("first")).to_be_visible()


@pytest.mark.parametrize("fast", [True, False], ids=["fast server", "Python server"])
def test_a_deleted_run_leaves_the_page(open_tab: OpenTab, start_board: StartBoard, tmp_path: Path, fast: bool) -> None:
    for name in ("stays", "goes"):
        write(tmp_path / name, small_run("gpt-w48-b6-cosine", last=0.4))
    tab = open_tab(start_board(tmp_path, fast=fast))
    frame = tab.open(view="Curve", run="goes")
    shutil.rmtree(tmp_path / "goes")
    expect(frame.get_by_text("There is no run goes any more")).to_be_visible()
    tab.go("Runs")
    assert names(tab) == ["stays"]


def test_a_stopped_tensorboard_is_told(open_tab: OpenTab, start_board: StartBoard, tmp_path: Path) -> None:
    write(tmp_path / "run", power_law(200))
    board = start_board(tmp_path)
    tab = open_tab(board)
    frame = tab.open()
    board.close()
    expect(frame.get_by_role("alert")).to_contain_text("TensorBoard does not answer")
    tab.errors.clear()  # the browser itself notes that nobody answers


def test_a_plan_that_cannot_be_says_what_to_do(tab: Tab) -> None:
    frame = tab.open(settings={"horizon": "-3"})
    alert = frame.get_by_role("alert")
    expect(alert).to_contain_text("Got: ")
    alert.get_by_role("button", name="Change the plan").click()
    frame.locator("dialog input[name=horizon]").fill("2500")
    frame.get_by_role("button", name="Apply").click()
    expect(alert).to_have_count(0)
    expect(tab.row(WATCHED)).to_contain_text("1,250 / 2,500")
    tab.errors.clear()  # the browser itself notes that a question was refused
