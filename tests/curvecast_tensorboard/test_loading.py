"""Starting TensorBoard with the tab installed: it costs little, imports nothing heavy, and cannot take it down."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins import base_plugin

from curvecast_tensorboard.loader import CurvecastLoader

HEAVY = ("torch", "scipy", "plotly", "numpy.ma", "curvecast.watcher", "curvecast.plots")
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def context() -> Any:
    return base_plugin.TBContext(data_provider=object(), sampling_hints={})


def test_nothing_heavy_is_imported_before_the_tab_is_opened() -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from curvecast_tensorboard.loader import CurvecastLoader\n"
        "from tensorboard.plugins import base_plugin\n"
        "plugin = CurvecastLoader().load(base_plugin.TBContext(data_provider=object(), sampling_hints={}))\n"
        "plugin.get_plugin_apps(); plugin.is_active(); plugin.frontend_metadata(); plugin.data_plugin_names()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plugin_that_cannot_be_imported_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "curvecast_tensorboard.plugin", None)
    assert CurvecastLoader().load(context()) is None
    assert "left out" in caplog.text


def test_the_tab_is_active_wherever_there_are_scalars() -> None:
    plugin: Any = CurvecastLoader().load(context())
    assert plugin.is_active() is False
    assert plugin.data_plugin_names() == ("scalars",)
    metadata = plugin.frontend_metadata()
    assert (metadata.tab_name, metadata.es_module_path) == ("Curvecast", "/index.js")
    assert metadata.es_module_path in plugin.get_plugin_apps()


def test_tensorboard_finds_the_loader_by_its_entry_point() -> None:
    assert 'curvecast = "curvecast_tensorboard.loader:CurvecastLoader"' in PROJECT.read_text(encoding="utf-8")
    for point in entry_points(group="tensorboard_plugins"):
        if point.name == "curvecast":
            assert point.load() is CurvecastLoader
