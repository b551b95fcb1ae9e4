"""The page of ``curvecast analyze --html`` in a real browser."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect

from curvecast.cli import main
from tests.conftest import write_log


@pytest.fixture
def report(tmp_path: Path) -> str:
    for name, last in (("a-long-folder/of-some-runs/d12", 400), ("d24", 200), ("short", 3)):
        write_log(tmp_path / "logs" / name, last)
    page = tmp_path / "report.html"
    result = CliRunner().invoke(main, ["analyze", str(tmp_path / "logs"), "--horizon", "400", "--html", str(page)])
    assert result.exit_code == 0, result.output
    return page.as_uri()


def opened(browser: Browser, url: str, width: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(url)
    expect(page.locator("#figure .main-svg").first).to_be_visible()
    return page


def test_the_report_counts_its_verdicts_and_what_a_filter_keeps(browser: Browser, report: str) -> None:
    page = opened(browser, report, 1280)
    count = page.locator("#count")
    expect(count).to_have_text("3 runs: 1 finished, 1 on track, 1 not enough data")
    page.locator("#filter").fill("d24")
    expect(count).to_have_text("1 of 3 runs: 1 on track")
    page.close()


def test_the_report_says_where_a_forecast_is_of_the_loss_now(browser: Browser, report: str, tmp_path: Path) -> None:
    page = opened(browser, report, 1280)
    expect(page.locator("#endless")).to_be_hidden()
    page.close()
    told = tmp_path / "endless.html"
    CliRunner().invoke(main, ["analyze", str(tmp_path / "logs"), "--html", str(told)])
    page = opened(browser, told.as_uri(), 1280)
    expect(page.locator("#endless")).to_contain_text(
        "2 runs without a known horizon: forecasts there are of the loss now"
    )
    page.close()


def test_the_report_is_walked_and_sorted_without_a_mouse_and_found_again(browser: Browser, report: str) -> None:
    page = opened(browser, report, 1280)
    stops = page.locator("#runs tbody tr[tabindex='0']")
    expect(stops).to_have_count(1)
    stops.press("ArrowDown")
    stops.press("Enter")
    second = page.locator("#runs td.name").nth(1).inner_text()
    expect(page.locator("#run h2")).to_have_text(second)
    head = page.locator("#runs th.name")
    head.press("Enter")
    head.press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    page.reload()
    expect(page.locator("#run h2")).to_have_text(second)
    page.close()


@pytest.mark.parametrize("sandbox", ["allow-scripts", "allow-scripts allow-same-origin"])
def test_the_report_is_whole_within_another_page(browser: Browser, report: str, tmp_path: Path, sandbox: str) -> None:
    """As a notebook or a tracker shows it: it has no address there, and without an origin no storage."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    outer = tmp_path / "outer.html"
    frame = f'<iframe sandbox="{sandbox}" style="width: 1200px; height: 780px" srcdoc="{{}}"></iframe>'
    outer.write_text(frame.format(html.escape((tmp_path / "report.html").read_text())))
    page.goto(outer.as_uri())
    within = page.frame_locator("iframe")
    expect(within.locator("#figure .main-svg").first).to_be_visible()
    within.locator("#theme").click()
    page.close()


@pytest.mark.parametrize("width", [641, 865, 961, 1100])
def test_on_half_a_screen_no_column_is_cut_off(browser: Browser, report: str, width: int) -> None:
    page = opened(browser, report, width)
    page.locator("#runs .verdict").first.evaluate("e => e.textContent = 'stop: compute efficient point passed'")
    for name in ("name", "step", "now", "forecast", "said", "probability"):
        assert page.locator(f"#runs td.{name}").first.is_visible(), name
    assert page.locator("#runs").evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")
    page.close()


def test_on_a_phone_the_verdict_stands_beside_the_run(browser: Browser, report: str) -> None:
    page = opened(browser, report, 390)
    for name, shown in (("said", True), ("forecast", True), ("interval", False), ("spark", False)):
        assert page.locator(f"#runs td.{name}").first.is_visible() is shown, name
    words, plot = page.locator("#title").bounding_box(), page.locator("#figure").bounding_box()
    assert words is not None
    assert plot is not None
    assert words["y"] + words["height"] <= plot["y"]  # it neither lies on the figure nor runs off the page
    assert words["x"] + words["width"] <= 390
    assert page.locator("#figure .modebar-btn").count() == 0
    table = page.locator("#runs")
    assert table.evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")
    page.close()
