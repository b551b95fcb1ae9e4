"""The tab's routes behind TensorBoard's real application, over either of its data servers, in this process."""

from __future__ import annotations

import os
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
        self.server: DataServer | None = None
        self._reload = reload

    def close(self) -> None:
        """End the data server, where there is one."""
        if self.server is not None:
            self.server.close()

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


class DataServer:
    """TensorBoard's data server on a folder, which it looks at every second and says so in a log."""

    def __init__(self, logdir: Path, samples: int | None) -> None:
        kept = "" if samples is None else f"scalars={samples}"
        with tempfile.TemporaryDirectory() as folder:
            port = Path(folder) / "port"
            command = [server_ingester.get_server_binary().path, f"--logdir={logdir}", "--reload=1", "--port=0"]
            command += [f"--samples-per-plugin={kept}", f"--port-file={port}", "--die-after-stdin", "--verbose"]
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 (close() ends it); a pipe that nobody empties would fill
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self._log)
            self._wait(looks=1)
            self.address = f"localhost:{port.read_text().strip()}"

    def look(self) -> None:
        """Wait until a look has ended that has not begun yet: it finds all that is written now."""
        self._wait(looks=self._count(b"Starting") + 1)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10.0)
        self._log.close()

    def _count(self, word: bytes) -> int:
        said = os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0)
        return said.count(word + b" load cycle")

    def _wait(self, looks: int) -> None:
        until = time.monotonic() + 30.0
        while self._count(b"Finished") < looks:
            assert time.monotonic() < until, "the data server did not look at its folder"
            time.sleep(0.02)


def fast(logdir: Path, samples: int | None = ALL) -> Board:
    """Over the data server (``--load_fast=true``)."""
    server = DataServer(logdir, samples)
    ingester = server_ingester.ExistingServerDataIngester(
        server.address, channel_creds_type=grpc_util.ChannelCredsType.LOCAL
    )
    board = Board(ingester.data_provider, samples, server.look)
    board.server = server
    return board
