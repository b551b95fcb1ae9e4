"""Each view opens on real logs, and says what the command line says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, expect

from tests.curvecast_tensorboard.browser.conftest import Board, OpenTab, StartBoard, Tab
from tests.curvecast_tensorboard.browser.demo import OVERFITS, SCRIPT, SEEN, WATCHED, analyzed, plan, plans
from tests.curvecast_tensorboard.browser.logs import power_law, write

VIEWS = {
    "Runs": "#runs tbody tr",
    "Curve": "#curve .main-svg",
    "Hindsight": "#narrowing .main-svg",
    "What if": "#whatif .main-svg",
    "Compare": "#comparison .main-svg",
    "Family": "#isoflop .main-svg",
}
FINISHED = ["gpt-w48-b6-cosine", "gpt-w32-b6-cosine"]


def numbers(text: str) -> list[float]:
    """The numbers in a text as the page writes them."""
    return [float(word) for word in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text.replace(",", "").replace("\u2212", "-"))]


def shows(text: str, *values: float) -> None:
    """Hold what is shown against the numbers, to the digits that are shown."""
    words = re.findall(r"-?\d+\.?\d*", text.replace(",", "").replace("\u2212", "-"))
    assert len(words) == len(values), text
    for word, value in zip(words, values, strict=True):
        unit = 10.0 ** -len(word.partition(".")[2])
        assert float(word) == pytest.approx(value, abs=0.501 * unit), text


def opens_all(tab: Tab, *, dark: bool = False, name: str) -> None:
    frame = tab.open(dark=dark, run=WATCHED, own=plans())
    for view, sign in VIEWS.items():
        tab.go(view)
        expect(frame.locator(sign).first).to_be_visible()
        expect(frame.get_by_role("alert")).to_have_count(0)
        tab.picture(f"{view.lower().replace(' ', '-')}-{name}")


def says_as_much(tab: Tab, run: str, said: Any) -> None:
    """Hold a line of the table against a run of ``curvecast analyze``."""
    kind = "train" if said["val_loss"] is None else "val"
    forecast, verdict = said["forecast"], said["verdict"]
    shows(tab.cell(run, "loss"), said[f"{kind}_loss"])
    shows(tab.cell(run, "median"), forecast["median"])
    shows(tab.cell(run, "interval"), forecast["lower"], forecast["upper"])
    shows(tab.cell(run, "probability"), *[100 * verdict["probability"]] * verdict["should_stop"])
    over = verdict["reason"] == "on_track" and said["horizon"] is not None and said["step"] >= said["horizon"]
    word = "finished" if over else verdict["reason"].replace("_", " ")
    expect(tab.row(run).locator(".chip")).to_contain_text(word)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_view_opens_in_both_themes(tab: Tab, dark: bool) -> None:
    opens_all(tab, dark=dark, name="dark" if dark else "light")
    shade = tab.frame.locator("body").evaluate("node => getComputedStyle(node).backgroundColor")
    assert (max(numbers(shade)[:3]) < 80) is dark


@pytest.mark.parametrize("fast", [True, False], ids=["fast server", "Python server"])
def test_the_table_says_what_the_command_line_says(
    open_tab: OpenTab, start_board: StartBoard, board: Board, logdir: Path, fast: bool
) -> None:
    tab = open_tab(board if fast else start_board(logdir, fast=False))
    if not fast:
        opens_all(tab, name="python-server")
        tab.go("Runs")
    else:
        tab.open(own=plans())
    for run in SEEN:
        says_as_much(tab, run, analyzed(logdir / run, plan(run)))


def test_logs_of_other_people_are_read_as_the_command_line_reads_them(
    open_tab: OpenTab, start_board: StartBoard, shared_logs: Path
) -> None:
    tab = open_tab(start_board(shared_logs / "tfevents"))
    tab.open(q="tensorboard_runs")
    for number in (1, 2, 3):
        run = f"janosh+tensorboard-reducer/tests/tensorboard_runs/run_{number}"
        says_as_much(tab, run, analyzed(shared_logs / "tfevents" / run, {}))
    tab.frame.locator("#filter").fill("strict/run_1")
    expect(tab.frame.locator("#runs tbody .chip")).to_contain_text("no loss found")


def test_the_curve_says_what_the_command_line_says(tab: Tab, logdir: Path) -> None:
    tab.open(view="Curve", run=OVERFITS, own=plans())
    said = analyzed(logdir / OVERFITS, plan(OVERFITS))
    assert tab.fact("message") == said["verdict"]["message"]
    shows(tab.fact("forecast"), said["forecast"]["median"])
    shows(tab.fact("points"), said["points"]["train"], said["points"]["val"])
    marks = tab.frame.locator("[data-table=marks]").inner_text()
    shows(marks.partition("best validation step")[2].splitlines()[0], round(said["verdict"]["details"]["best_step"]))


def test_a_figure_offers_nothing_that_leaves_the_machine(tab: Tab) -> None:
    frame = tab.open(view="Curve", run=WATCHED, own=plans())
    frame.locator("#curve .main-svg").first.hover()
    offered = frame.locator("#curve .modebar-btn").evaluate_all("nodes => nodes.map(node => node.dataset.title)")
    assert len(offered) == 4
    assert not any("Share" in title or "cloud" in title.lower() for title in offered)


def test_a_curve_is_drawn_over_each_axis(tab: Tab) -> None:
    frame = tab.open(view="Curve", run=WATCHED, own=plans())
    for axis in ("tokens", "FLOP", "time", "steps"):
        frame.get_by_role("radio", name=axis).check(force=True)
        for logarithmic in (True, False):
            for name in ("log x", "log y"):
                frame.get_by_label(name).set_checked(logarithmic)
            tab.settled()
            kinds = frame.locator("#curve").evaluate("node => [node.layout.xaxis.type, node.layout.yaxis.type]")
            assert kinds == 2 * ["log" if logarithmic else "linear"], axis
        expect(frame.get_by_role("radio", name=axis)).to_be_checked()


def test_the_slider_of_hindsight_moves_what_was_said_then(tab: Tab) -> None:
    frame = tab.open(view="Hindsight", run=WATCHED, own=plans())
    slider = frame.get_by_label("as of step")
    said = []
    for place in ("60", "90"):
        steps = int(slider.get_attribute("max") or 0)
        slider.fill(str(steps * int(place) // 100))
        tab.settled()
        said.append((tab.fact("then"), tab.fact("outcome")))
    assert said[0] != said[1]
    assert all("90 % interval" in outcome for _, outcome in said)
    slider.press("PageDown")
    tab.settled()
    assert tab.fact("then") != said[1][0]


def test_a_slider_of_what_if_moves_the_forecast_and_goes_back(tab: Tab) -> None:
    frame = tab.open(view="What if", run=WATCHED, own=plans())
    planned = tab.fact("whatif")
    assert planned == tab.fact("base")
    frame.locator("input[name=new_horizon]").press("End")
    tab.settled()
    longer = tab.fact("whatif")
    assert numbers(longer)[0] < numbers(planned)[0]
    assert numbers(tab.fact("change"))[0] < 0.0
    assert tab.fact("base") == planned
    frame.get_by_role("button", name="Back to the plan").click()
    tab.settled()
    assert tab.fact("whatif") == planned


def test_a_cooldown_and_another_size_can_be_asked_for(tab: Tab) -> None:
    frame = tab.open(view="What if", run=WATCHED, own=plans())
    frame.locator("input[name=cooldown_steps]").fill("60")
    tab.settled()
    cooled = tab.fact("whatif")
    assert cooled != tab.fact("base")
    frame.get_by_role("radio", name="1 \u2212 sqrt").check(force=True)
    tab.settled()
    expect(frame.locator("[data-fact=size]")).to_have_count(0)  # the run's own size stands there once
    frame.locator("input[name=new_params]").press("End")
    tab.settled()
    size = tab.fact("size")
    frame.locator("input[name=new_params]").press("Home")
    tab.settled()
    assert tab.fact("size") != size


def test_compare_gives_each_pair_a_probability(tab: Tab) -> None:
    frame = tab.open(view="Compare", picked=[WATCHED, *FINISHED], own=plans())
    cells = frame.locator("[data-table=below] td[data-below]")
    expect(cells).to_have_count(6)
    shares = [float(cell.get_attribute("data-below") or "nan") for cell in cells.all()]
    assert not [text for text in cells.all_inner_texts() if re.search(r"[-\u2212]", text)]
    pairs = [(0, 2), (1, 4), (3, 5)]  # a below b, and b below a
    assert all(shares[a] + shares[b] == pytest.approx(1.0) for a, b in pairs)
    frame.get_by_label(f"remove {FINISHED[0]}").click()
    tab.settled()
    expect(cells).to_have_count(2)
    frame.get_by_label("add a run").fill("W48-B6")
    frame.get_by_label("add a run").press("Enter")
    tab.settled()
    expect(cells).to_have_count(6)


def test_compare_says_first_which_run_ends_lowest(tab: Tab) -> None:
    frame = tab.open(view="Compare", picked=[WATCHED, *FINISHED], own=plans())
    table = frame.locator("[data-table=compared] tbody tr")
    medians = [numbers(text)[0] for text in table.locator(".forecast").all_inner_texts()]
    assert medians == sorted(medians)
    first, second = table.locator("button").all_inner_texts()[:2]
    expect(frame.locator("#best")).to_contain_text(f"{first} is forecast to end lowest: {medians[0]}")
    expect(frame.locator("#best")).to_contain_text(f"below the next, {second}, with a probability of ")
    heads = frame.locator("[data-table=below] thead th").all_inner_texts()[1:]
    assert heads == table.locator("button").all_inner_texts()  # a swatch alone tells a screen reader nothing


def test_the_family_foretells_a_next_size_and_takes_a_budget(tab: Tab) -> None:
    frame = tab.open(view="Family", own=plans())
    first = tab.fact("next")
    expect(frame.locator("#scatter")).to_contain_text(f"but for some far off: {OVERFITS} (")
    assert frame.locator("[data-table=law] tbody tr").count() >= 3
    budget = frame.locator("input[name=flops]")
    budget.fill("1e17")
    budget.press("Enter")
    tab.settled()
    assert tab.fact("next") != first


def test_names_are_text(tab: Tab) -> None:
    asked: list[str] = []

    def hear(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    tab.page.on("dialog", hear)
    frame = tab.open(own=plans(), picked=[SCRIPT, WATCHED])
    expect(tab.row(SCRIPT)).to_be_visible()
    for view in VIEWS:
        tab.go(view)
    tab.row(SCRIPT).wait_for(state="detached")
    scripts = frame.locator("script").evaluate_all(
        "nodes => nodes.filter(node => node.textContent === 'alert(1)').length"
    )
    assert (asked, scripts) == ([], 0)


def test_what_can_be_done_now_is_told_with_its_time_and_not_cut_off(tab: Tab) -> None:
    frame = tab.open(view="Curve", run=WATCHED, own=plans())
    table = frame.locator("table[data-table=choices]")
    going_on = table.locator("tr").filter(has_text="go on").locator("td").last
    expect(going_on).to_contain_text("62 s")  # 1,250 steps of 0.05 s
    expect(going_on).to_contain_text("1,250 steps \u00b7 ")
    assert table.evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")


def test_a_run_that_diverged_is_not_said_to_have_a_forecast_to_come(
    open_tab: OpenTab, start_board: StartBoard, tmp_path: Path
) -> None:
    rows = [(step, {"train/loss": values["train/loss"] + 5.0 * (step > 300)}) for step, values in power_law(400)]
    write(tmp_path / "hot", rows)
    frame = open_tab(start_board(tmp_path)).open(view="Curve", run="hot")
    expect(frame.get_by_text("none: it diverged")).to_be_visible()
    expect(frame.get_by_text("not yet")).to_have_count(0)
