"""Pages lead where they say: each link has a file and a heading, and each page a line in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import curvecast

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *DOCS,
    *sorted(ROOT.glob("[bei]*/**/README.md")),
    *sorted(ROOT.glob("int*/**/*.md")),
]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Its headings, as GitHub names them in links."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}


def broken(page: Path) -> list[str]:
    """Its links to a file, or to a heading, that is not there."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            found.append(link)
    return found


def test_a_link_without_its_file_or_heading_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c\n[1](#a-b-c) [2](#b) [3](page.md#a-b-c) [4](none.md) [5](https://none.none/)")
    assert broken(page) == ["#b", "none.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("page", [page for page in DOCS if page.name != "README.md"], ids=lambda page: page.name)
def test_every_page_stands_in_the_index(page: Path) -> None:
    assert f"]({page.name})" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")


def snippet(page: str) -> str:
    """The one block of Python of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (found,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_settings_of_the_page_of_verdicts_run() -> None:
    names: dict[str, object] = {}
    exec(snippet("verdicts.md"), names)
    assert repr(names["watcher"]).startswith("Watcher(step=0, horizon=20000")


@pytest.mark.parametrize("last", [None, 300])
def test_a_watcher_goes_on_from_a_checkpoint_as_its_page_says(last: int | None) -> None:
    schedule = curvecast.Schedule.cosine(2000)
    before = curvecast.Watcher(schedule=schedule, num_params=85_000_000, batch_tokens=524_288)
    for step in range(1, 1 + (last or 0)):
        before.update(step, train_loss=2.0 + 3.0 * step**-0.5)
    checkpoint = {"curvecast": before.state_dict()} if last else None
    names: dict[str, object] = {"curvecast": curvecast, "schedule": schedule, "checkpoint": checkpoint}
    exec(snippet("watcher.md"), names)
    watcher = names["watcher"]
    assert isinstance(watcher, curvecast.Watcher)
    assert (watcher.step, watcher.horizon, str(watcher.verdict)) == (last or 0, 2000, str(before.verdict))
