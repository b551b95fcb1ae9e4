"""The tables of the README and of docs/accuracy.md say what is on record."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # its scripts import one another by name

from _accuracy import PAGES, filled, tables_of
from _record import recorded


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_is_on_record(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tables = tables_of(recorded("forecast_error"), recorded("demo_forecast"))
    assert filled(text, tables) == text
    assert any(table in text for table in tables.values())


def test_a_table_follows_the_record() -> None:
    page = "<!-- table: demo -->\n\nold\n\n<!-- end -->"
    at = {"step": 500, "median": 1.5, "lower": 1.0, "upper": 2.0, "error, %": 50.0, "inside": True}
    demo = {"seed 0": {"truth": 1.0, "forecasts": {"10%": at}}}
    assert "| 10 % | +50.0 | 1 of 1 | 100 |" in filled(page, tables_of({}, demo))
