"""docs/architecture.md shows the house as it stands: each room is named, and held to the floor that the page gives."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / name for name in ("architecture.md", "maths.md")]
ROOMS = sorted(
    path.stem
    for path in (ROOT / "curvecast").iterdir()
    if (path.suffix == ".py" and not path.stem.startswith("__")) or (path / "__init__.py").exists()
)
_FILE = re.compile(r"`([\w/]+(?:\.py|/))`")


def floors() -> dict[str, int]:
    """On which floor each room lies, as the linter knows it; the highest is 0."""
    house = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
    return {room.strip(): k for k, rooms in enumerate(house["layers"]) for room in rooms.split("|")}


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_floor_and_a_line_on_the_page(room: str) -> None:
    assert f"curvecast.{room}" in floors()
    assert re.search(rf"`{room}(\.py|/)`", PAGES[0].read_text(encoding="utf-8"))


def test_the_page_has_the_floors_in_the_linters_order() -> None:
    """Highest first; of rooms on one line of the page the order does not matter."""
    at = floors()
    table = PAGES[0].read_text(encoding="utf-8").split("\n## The floors\n")[1].split("\n## ")[0]
    lines = [re.findall(r"`(\w+)(?:\.py|/)`", row.split("|")[1]) for row in table.splitlines() if row.startswith("| `")]
    met = [[at[f"curvecast.{room}"] for room in line if f"curvecast.{room}" in at] for line in lines]
    met = [line for line in met if line]
    assert len(met) > len(ROOMS) // 2
    assert all(max(above) <= min(below) for above, below in pairwise(met))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    places = [ROOT, ROOT / "benchmarks", ROOT / "curvecast", ROOT / "integrations", *(ROOT / "curvecast").glob("*/")]
    places += [ROOT / "integrations" / host for host in ("curvecast_lightning", "curvecast_tensorboard")]
    named = _FILE.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
