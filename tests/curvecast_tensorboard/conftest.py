from __future__ import annotations

import pytest

pytest.importorskip("tensorboard", reason="the tab's host is not installed: pip install curvecast[tensorboard]")
