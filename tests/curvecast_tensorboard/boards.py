"""The tab's routes behind TensorBoard's real application, over either of its data servers, in this process."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tensorboard.backend import application
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.data import server_ingester
from tensorboard.plugins import base_plugin
from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin
from tensorboard.util import grpc_util
from werkzeug.test import Client

from curvecast_tensorboard.plugin import CurvecastPlugin

ALL = 1_000_000  # more than any tag has; 0 would empty the dashboard of scalars
BASE = "/data/plugin/curvecast/"


class Board:
    """TensorBoard's application with the tab and the scalars' dashboard.

    Args:
        provider: one of TensorBoard's data providers.
        samples: points that it keeps of a scalar tag.
        reload: reads what has been written since.
    """

    def __init__(self, provider: Any, samples: int | None, reload: Callable[[], None]) -> None:
        hints = {} if samples is None else {"scalars": samples}
        context = base_plugin.TBContext(data_provider=provider, sampling_hints=hints)
        self.plugin = CurvecastPlugin(context)
        plugins = [self.plugin, ScalarsPlugin(context)]
        self.client = Client(application.TensorBoardWSGI(plugins, data_provider=provider))
        self.server: subprocess.Popen[bytes] | None = None
        self._reload = reload

    def close(self) -> None:
        """End the data server, where there is one."""
        if self.server is not None:
            assert self.server.stdin is not None
            self.server.stdin.close()
            self.server.wait(10.0)

    def reload(self) -> None:
        """Read what has been written since, and forget that the index was looked at."""
        self._reload()
        if self.plugin._desk is not None:
            self.plugin._desk._looks = type(self.plugin._desk._looks)(4)

    def ask(self, route: str, status: int = 200, **parameters: Any) -> Any:
        """What a route answers, as JSON."""
        response = self.client.get(f"{BASE}{route}?{urlencode(parameters, doseq=True)}")
        assert response.status_code == status, response.get_data(as_text=True)[:2000]
        return response.get_json()

    def table(self, **parameters: Any) -> dict[str, Any]:
        """Every row of the table by its run, once all of them are fitted."""
        rows: dict[str, Any] = {}
        pending, cursor = 1, ""
        while pending:
            told = self.ask("runs", cursor=cursor, **parameters)
            pending, cursor = told["pending"], told["cursor"]
            rows |= {row["run"]: row for row in told["rows"]}
        return rows


def slow(logdir: Path, samples: int | None = ALL) -> Board:
    """Over the Python server (``--load_fast=false``)."""
    sizes = {} if samples is None else {"scalars": samples}
    multiplexer = plugin_event_multiplexer.EventMultiplexer(
        size_guidance={"tensors": 10}, tensor_size_guidance={"scalars": 1000, "text": 10} | sizes
    )

    def read() -> None:
        multiplexer.AddRunsFromDirectory(str(logdir))
        multiplexer.Reload()

    read()
    return Board(data_provider.MultiplexerDataProvider(multiplexer, str(logdir)), samples, read)


def fast(logdir: Path, samples: int | None = ALL) -> Board:
    """Over the data server (``--load_fast=true``), which reads by itself every second."""
    kept = "" if samples is None else f"scalars={samples}"
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "port"
        command = [server_ingester.get_server_binary().path, f"--logdir={logdir}", "--reload=1", "--port=0"]
        command += [f"--samples-per-plugin={kept}", f"--port-file={port}", "--die-after-stdin"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30.0
        while not (port.exists() and port.read_text().strip()):
            assert time.monotonic() < until, "the data server did not start"
            time.sleep(0.02)
        address = f"localhost:{port.read_text().strip()}"
    ingester = server_ingester.ExistingServerDataIngester(address, channel_creds_type=grpc_util.ChannelCredsType.LOCAL)
    board = Board(ingester.data_provider, samples, lambda: time.sleep(2.5))
    board.server = server
    board.reload()
    return board
